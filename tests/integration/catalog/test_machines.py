"""`service:*`, `user:*`, `group:*`, `cron:*`, `host:*`, `wait:*` with what this machine has."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_workers.testing import ScriptedHost
from tests.integration.catalog.conftest import Act

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

_SCRIPT = """#!/bin/sh
case $1 in
start) touch {state} ;;
stop) rm -f {state} ;;
restart) touch {state}; echo restarted >>{log} ;;
status) [ -e {state} ] || exit 3 ;;
*) exit 2 ;;
esac
"""


@pytest.fixture
def init_script(tmp_path: Path) -> Iterator[str]:
    """A service of init scripts on this machine; its name."""
    name = f"re-test-{os.getpid()}"
    path = Path("/etc/init.d") / name
    path.write_text(_SCRIPT.format(state=tmp_path / "up", log=tmp_path / "log"))
    path.chmod(0o755)
    yield name
    path.unlink()


@as_root
@pytest.mark.skipif(
    Path("/run/systemd/system").exists() or not shutil.which("service") or not Path("/etc/init.d").is_dir(),
    reason="this machine runs no services by init scripts",
)
def test_services_of_init_scripts_are_started_and_stopped(act: Act, init_script: str, tmp_path: Path) -> None:
    wanted = {"service": init_script, "wait": 10}
    status = act("service:Status", {"service": init_script}).data
    assert status == {"manager": "init", "active": False, "state": "", "enabled": False}
    assert act("service:Start", wanted).data == {"changed": True}
    assert act("service:Start", wanted).data == {"changed": False}
    assert act("service:Restart", wanted).data == {"changed": True}
    assert (tmp_path / "log").read_text() == "restarted\n"
    assert act("service:Stop", {"service": init_script}).data == {"changed": True}
    assert act("service:Stop", {"service": init_script}).data == {"changed": False}
    assert "has no service 'no-such'" in str(act("service:Start", {"service": "no-such"}, fails=True).message)


@pytest.mark.skipif(not Path("/run/systemd/system").exists(), reason="systemd does not run this machine")
def test_systemd_says_how_a_service_stands(act: Act) -> None:
    assert act("service:Status", {"service": "dbus"}).data["manager"] == "systemd"


def test_a_service_that_falls_over_fails_with_its_last_lines(act: Act) -> None:
    """What systemctl prints, where systemd does not run: the contract of `show`."""
    shown = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nUnitFileState=disabled\n"
    found = "@manager=systemd\n" + "".join(f"@{line}\n" for line in shown.splitlines())
    host = ScriptedHost(
        {'systemctl "$2"': "", "journalctl": (1, "web is not up\nbind: in use\n"), "systemctl show": found}
    )
    failed = act("service:Start", {"service": "web"}, fails=True, host=host)
    assert "bind: in use" in failed.output
    assert [run.script.splitlines()[0] for run in host.runs[1:]] == [
        "set -- 'web' 'start'",
        "set -- 'web' '30' 'systemd'",
    ]


@as_root
@pytest.mark.skipif(not shutil.which("useradd"), reason="this machine has no useradd")
def test_accounts_come_and_go(act: Act, tmp_path: Path) -> None:
    name, group = f"retest{os.getpid()}", f"retestg{os.getpid()}"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPr ann@example"
    wanted = {"name": name, "shell": "/bin/sh", "home": str(tmp_path / "home"), "keys": [key]}
    try:
        assert act("group:Present", {"name": group}).data == {"changed": True}
        assert act("group:Present", {"name": group}).data == {"changed": False}
        assert act("user:Present", {**wanted, "groups": [group]}).data == {"changed": True}
        assert act("user:Present", {**wanted, "groups": [group]}).data == {"changed": False}
        assert grp.getgrnam(group).gr_mem == [name]
        keys = tmp_path / "home" / ".ssh" / "authorized_keys"
        assert (keys.read_text(), keys.stat().st_uid) == (f"{key}\n", pwd.getpwnam(name).pw_uid)
        assert act("user:Present", {**wanted, "shell": "/bin/false"}).data == {"changed": True}
        assert pwd.getpwnam(name).pw_shell == "/bin/false"
        assert act("user:Absent", {"name": name, "remove_home": True}).data == {"changed": True}
        assert act("user:Absent", {"name": name}).data == {"changed": False}
        assert act("group:Absent", {"name": group}).data == {"changed": True}
    finally:
        subprocess.run(["userdel", "-r", name], capture_output=True, check=False)
        subprocess.run(["groupdel", group], capture_output=True, check=False)


def test_a_crontab_is_read_and_written_back(act: Act) -> None:
    host = ScriptedHost({"crontab -l": "@tools=crontab \n@table:MSAqICogKiAqIG90aGVyCg==\n", "crontab ${1": ""})
    failed = act("cron:Entry", {"name": "b", "when": "@daily", "cmd": "run"}, fails=True, host=host)
    assert "it is not as it should be" in str(failed.message)  # this host forgets what it was given
    assert host.runs[1].stdin == "1 * * * * other\n# re: b\n@daily run\n"


def test_a_host_says_what_it_is(act: Act) -> None:
    found = act("host:Facts")
    facts = found.data
    assert f"{facts['kernel']} {facts['release']}" in found.output[0] and "GiB of memory" in found.output[0]
    assert found.output[1].split(": ")[1:] == ["tools", ", ".join(facts["tools"])]
    assert (facts["kernel"], facts["user"]) == (os.uname().sysname, pwd.getpwuid(os.geteuid()).pw_name)
    assert facts["memory"] > 0
    assert facts["processors"] == os.cpu_count()
    assert "tar" in facts["tools"]


def test_a_port_is_awaited_from_both_sides(act: Act) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        refused = act("wait:ForPort", {"port": port, "address": "127.0.0.1", "timeout": 0.3}, fails=True)
        assert "not there after 0.3 s: 127.0.0.1: Connection refused" in str(refused.message)
        listening.listen()
        for by in ("worker", "host"):
            assert act("wait:ForPort", {"port": port, "address": "127.0.0.1", "by": by}).data["seconds"] >= 0
    denied = act("wait:ForPort", {"port": 80, "address": "169.254.169.254"}, fails=True)
    assert "is denied by httprequest_denied" in str(denied.message)


def test_a_file_is_awaited_until_it_has_the_text(act: Act, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("not yet\n")
    threading.Timer(0.3, lambda: path.write_text("ready\n")).start()
    act("wait:ForFile", {"path": str(path), "contains": "ready"})
    path.unlink()
    act("wait:ForFile", {"path": str(path), "state": "absent", "timeout": 0})
    late = act("wait:ForFile", {"path": str(path), "timeout": 0}, fails=True)
    assert f"{path} is not present after 0 s" in str(late.message)
