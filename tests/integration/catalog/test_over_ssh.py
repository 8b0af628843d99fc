"""Every step that acts on a host, over a real sshd, on a Debian host of its own: it says what it will do, does it, and the second time
changes nothing. Then as users are: odd names, no room, no rights."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from re_workers.catalog.families import workers
from tests.integration.catalog.conftest import Host
from tests.integration.catalog.test_packages import index, package

#: what people call files: quotes, an expansion, a line feed, letters beyond ASCII
ODD = 'it\'s "one" $(touch /pwned) `x`\n-ä;*'
#: of a whole path
AT = f"/srv/{ODD}"

_UNIT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: retest
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: of a test
### END INIT INFO
case $1 in start) touch /srv/up ;; stop) rm -f /srv/up ;; status) [ -e /srv/up ] || exit 3 ;; esac
"""

#: step, its parameters, and what it leaves: in this order, on one host
STEPS: list[tuple[str, dict[str, Any], str]] = [
    ("file:Directory", {"path": AT, "mode": "0750"}, 'stat -c %a "$AT" = 750'),
    ("file:Copy", {"path": f"{AT}/f", "content": "one\n", "mode": "0640"}, 'cat "$AT/f" = one'),
    ("file:Copy", {"path": f"{AT}/f", "content": "two\n"}, 'cat "$AT/f" = two'),
    ("file:Template", {"path": f"{AT}/-t", "template": "{{ a }}\n", "vars": {"a": ODD}}, 'wc -l <"$AT/-t" = 2'),
    ("file:Line", {"path": f"{AT}/f", "line": "Port $(id) 'x'"}, "tail -n 1 \"$AT/f\" = Port $(id) 'x'"),
    ("file:Link", {"path": f"{AT}/l", "target": "-t"}, 'readlink "$AT/l" = -t'),
    ("file:Permissions", {"path": AT, "mode": "0600", "directory_mode": "0700", "recursive": True}, ""),
    ("file:Ownership", {"path": AT, "user": "nobody", "recursive": True}, 'stat -c %U "$AT/f" = nobody'),
    ("fileops:ChangePermissions", {"path": f"{AT}/f", "mode": "0644"}, 'stat -c %a "$AT/f" = 644'),
    ("fileops:ChangeOwnership", {"path": f"{AT}/f", "user": "root", "group": "root"}, 'stat -c %U "$AT/f" = root'),
    ("archive:Pack", {"path": AT, "target": "/srv/-o'dd.tgz"}, 'tar -tzf "/srv/-o\'dd.tgz" | wc -l = 4'),
    ("archive:Unpack", {"source": "/srv/-o'dd.tgz", "path": f"{AT}/into"}, "tail -n 1 \"$AT/into/f\" = Port $(id) 'x'"),
    ("app:Release", {"source": "/srv/-o'dd.tgz", "path": f"{AT}/app", "version": "1"}, ""),
    ("app:Switch", {"path": f"{AT}/app", "version": "1"}, 'readlink "$AT/app/current" = releases/1'),
    ("app:Release", {"source": "/srv/-o'dd.tgz", "path": f"{AT}/app", "version": "2"}, ""),
    ("app:Switch", {"path": f"{AT}/app", "version": "2"}, ""),
    ("app:Release", {"source": "/srv/-o'dd.tgz", "path": f"{AT}/app", "version": "3"}, ""),
    ("app:Switch", {"path": f"{AT}/app", "version": "3"}, ""),
    ("app:Prune", {"path": f"{AT}/app", "keep": 1}, "ls \"$AT/app/releases\" | tr '\\n' ' ' = 2 3 "),
    ("file:Remove", {"path": AT, "recursive": True}, 'ls -d "$AT" 2>/dev/null | wc -l = 0'),
    ("group:Present", {"name": "retest", "gid": 4711}, "getent group retest = retest:x:4711:"),
    (
        "user:Present",
        {
            "name": "ann",
            "groups": ["retest"],
            "comment": "Ann 'O' $X",
            "keys": ["ssh-ed25519 AAAA a'b$c"],
            "shell": "/bin/sh",
        },
        "cat ~ann/.ssh/authorized_keys = ssh-ed25519 AAAA a'b$c",
    ),
    (
        "cron:Entry",
        {"name": "it's", "when": "1 2 * * *", "cmd": "echo \"$HOME\" 'x'", "user": "ann"},
        "crontab -l -u ann | wc -l = 2",
    ),
    ("cron:Entry", {"name": "it's", "state": "absent", "user": "ann"}, "crontab -l -u ann | wc -l = 0"),
    ("user:Absent", {"name": "ann", "remove_home": True}, "ls -d /home/ann 2>/dev/null | wc -l = 0"),
    ("group:Absent", {"name": "retest"}, "getent group retest | wc -l = 0"),
    ("package:Install", {"packages": ["re-a", "re-b"], "refresh": True}, "cat /usr/share/re-a/version = 1"),
    ("package:Remove", {"package": "re-b"}, "ls -d /usr/share/re-b 2>/dev/null | wc -l = 0"),
    ("service:Start", {"service": "retest", "wait": 10}, "ls /srv/up = /srv/up"),
    ("service:Enable", {"service": "retest"}, "ls /etc/rc2.d/S*retest | wc -l = 1"),
    ("service:Disable", {"service": "retest"}, ""),
    ("service:Stop", {"service": "retest"}, "ls /srv/up 2>/dev/null | wc -l = 0"),
    ("command:Run", {"cmd": "echo x >/srv/made", "creates": "/srv/made"}, "cat /srv/made = x"),
    ("command:Script", {"script": "rm /srv/made", "removes": "/srv/made"}, "ls /srv/made 2>/dev/null | wc -l = 0"),
]
#: those that only look, and what is different every time
LOOKS: list[tuple[str, dict[str, Any]]] = [
    ("host:Facts", {}),
    ("file:Find", {"path": "/etc", "name": "pass*"}),
    ("file:Fetch", {"path": "/etc/passwd"}),
    ("fileops:FindInFiles", {"path": "/etc/passwd", "regexp": "^root:"}),
    ("service:Status", {"service": "retest"}),
    ("wait:ForFile", {"path": "/etc/passwd", "contains": "root:"}),
]
#: tested elsewhere: over a server, or because nothing of theirs is ever unchanged
ELSEWHERE = {
    *("archive:Fetch", "service:Restart", "service:Reload", "service:Wait", "host:Reboot", "package:Update"),
    *("wait:ForPort", "wait:ForHttp"),
}


@pytest.fixture(scope="module")
def prepared(web1: Host) -> Iterator[Host]:
    """With a repository of packages, an init script, and nothing that a test before left."""
    repository = web1.data / "packages" / "repository"
    repository.mkdir(parents=True)
    for name in ("re-a", "re-b"):
        package(repository, name, "1")
    index(repository)
    web1.sh(
        f"rm -f /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] copy:{web1.seen}/packages/repository ./' >/etc/apt/sources.list\n"
        f"cat >/etc/init.d/retest <<'END'\n{_UNIT}END\nchmod 755 /etc/init.d/retest"
    )
    yield web1
    shutil.rmtree(repository.parent)
    web1.sh("rm -rf /srv/[!d]*")


@pytest.mark.long
def test_every_step_does_once_what_it_said_and_then_nothing(prepared: Host) -> None:
    for name, parameters, left in STEPS:
        before = prepared.foresee(name, parameters)
        unclear = name.startswith("command:")
        assert before.will == ("unknown" if unclear else "yes"), (name, before)
        assert before.diff or unclear or name.startswith("service:"), (name, "has no diff")
        first = prepared.act(name, parameters)
        assert first.data["changed"] is True, (name, first)
        again = prepared.act(name, parameters)
        assert again.data["changed"] is False, (name, again.output)
        assert prepared.foresee(name, parameters).will == "no", name
        script, _, expected = left.rpartition(" = ")
        if script:
            assert prepared.sh(f"AT={_quoted(AT)}\n{script}") == expected, (name, script)
    assert prepared.sh("ls -a /pwned 2>/dev/null || true; ls -a /srv | grep -c '[.]re-' || true") == "0"
    for name, parameters in LOOKS:
        assert prepared.foresee(name, parameters).will == "no", name
        assert prepared.act(name, parameters).status == "completed", name


def test_no_step_of_the_catalogue_is_left_out() -> None:
    there = {f"{one.command}:{name}" for one in workers() for name in one.steps}
    # those of git stand in test_git.py
    tried = {name for name, _, _ in STEPS} | {name for name, _ in LOOKS} | ELSEWHERE
    assert {
        one for one in there - tried if one.partition(":")[0] in {name.partition(":")[0] for name in tried}
    } == set()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_a_large_file_arrives_whole_and_one_that_does_not_fit_leaves_what_was_there(prepared: Host) -> None:
    """Two gigabytes, sparse; and a file system of 200 kilobytes."""
    prepared.sh(f"truncate -s 2G {prepared.seen}/large; mkdir /srv/small; mount -t tmpfs -o size=200k tmpfs /srv/small")
    try:
        listed = prepared.act("file:Permissions", {"path": f"{prepared.seen}/large", "mode": "0600"})
        assert listed.data == {"changed": True}
        refused = prepared.act("file:Fetch", {"path": f"{prepared.seen}/large"}, fails=True)
        assert "more than" in str(refused.message)
        prepared.act("file:Copy", {"path": "/srv/small/f", "content": "old\n"})
        full = prepared.act("file:Copy", {"path": "/srv/small/f", "content": "x" * 900_000}, fails=True)
        assert "o space left" in f"{full.message} {full.output}" or "no room" in str(full.message)
        assert prepared.sh("cat /srv/small/f; ls -A /srv/small") == "old\nf"
    finally:
        prepared.sh(f"umount /srv/small; rmdir /srv/small; rm {prepared.seen}/large")


def test_a_wrong_clock_and_a_login_script_that_prints_change_nothing(prepared: Host) -> None:
    """The clock is ten years behind, and what is printed looks like what a look of the catalogue says."""
    prepared.sh(
        "library=$(ls /usr/lib/*/faketime/libfaketime.so.1)\n"
        "printf 'LD_PRELOAD=%s\\nFAKETIME=-3650d\\n' \"$library\" >~/.ssh/environment\n"
        "printf 'echo @kind=directory\\necho welcome >&2\\n' >~/.ssh/rc"
    )
    try:
        year = int(prepared.sh("date +%Y"))
        assert year < time.gmtime().tm_year - 8
        wanted = {"path": "/srv/late", "content": "x\n", "backup": True}
        assert prepared.act("file:Copy", wanted).data == {"changed": True}
        assert prepared.act("file:Copy", wanted).data == {"changed": False}
        assert prepared.act("wait:ForFile", {"path": "/srv/late", "timeout": 5}).status == "completed"
        late = prepared.act("wait:ForFile", {"path": "/srv/never", "timeout": 0}, fails=True)
        assert "is not present after 0 s" in str(late.message)
        assert prepared.act("command:Run", {"cmd": "echo done"}).output == ["done"]
    finally:
        prepared.sh("rm ~/.ssh/environment ~/.ssh/rc")


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("file:Copy", {"path": "/proc/sys/f", "content": "x"}, "/proc/sys"),
        ("file:Directory", {"path": "/etc/passwd/d"}, "/etc/passwd"),
        ("file:Line", {"path": "/srv/absent", "line": "x"}, "create: true"),
        ("file:Ownership", {"path": "/etc/passwd", "user": "no-such"}, "no user 'no-such'"),
        ("file:Remove", {"path": "/etc"}, "/etc"),
        ("archive:Unpack", {"source": "/srv/absent.tgz", "path": "/srv/x"}, "/srv/absent.tgz"),
        ("app:Switch", {"path": "/srv/absent", "version": "1"}, "app:Release"),
        ("package:Install", {"package": "re-absent"}, "re-absent"),
        ("service:Start", {"service": "no-such"}, "no service 'no-such'"),
        ("user:Absent", {"name": "root"}, "superuser"),
        ("group:Present", {"name": "root", "gid": 5}, "has the number 0"),
        ("cron:Entry", {"name": "x", "when": "@daily", "cmd": "y", "user": "no-such"}, "no-such"),
        ("git:Clone", {"repo": "/srv/absent.git", "path": "/srv/x"}, "/srv/absent.git"),
    ],
)
def test_what_cannot_be_done_names_what_is_missing(
    prepared: Host, name: str, parameters: Mapping[str, Any], words: str
) -> None:
    failed = prepared.act(name, parameters, fails=True)
    assert words in "\n".join((str(failed.message), *failed.output)), failed
