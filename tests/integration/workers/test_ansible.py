"""A real ansible-playbook: on this machine, and on hosts over a real ssh."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from re_workers.context import Call, Context
from re_workers.outcomes import Failed, Outcome
from re_workers.outgoing import Origin, Outgoing
from re_workers.perform import perform
from re_workers.steps.ansible import Ansible, program
from re_workers.steps.ansible_inventory import LOCAL, inventory_of, known_hosts_of
from re_workers.steps.confinement import Confinement
from re_workers.testing import Result, plan, run
from tests.integration.workers.waiting import until
from tests.services.sshd import SshHost

#: this machine under three names
_HOSTS = {"all": {"hosts": dict.fromkeys(("web1", "web2", "web3"), LOCAL)}}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Where a test writes its playbook; the inventory of three hosts is beside it."""
    (tmp_path / "hosts.json").write_text(json.dumps(_HOSTS))
    return tmp_path / "book.yml"


def _worker() -> Ansible:
    return Ansible(Confinement(isolation="off"))


def _play(book: Path, tasks: list[dict[str, Any]], hosts: str = "all", **terms: Any) -> Result:
    book.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    given = {"playbook": str(book), "inventory": str(book.parent / "hosts.json"), **terms}
    return run(_worker(), "ansible:Playbook", given)


def test_a_playbook_is_run_and_to_look_runs_nothing_of_it(book: Path) -> None:
    file = book.parent / "{{ inventory_hostname }}.conf"
    tasks: list[dict[str, Any]] = [
        {"name": "write", "copy": {"dest": str(file), "content": "{{ greeting }}\n"}, "tags": ["files"]},
        {"name": "say", "debug": {"msg": "@re-ansible {}"}},
        {"name": "never", "fail": {"msg": "no"}, "when": "false"},
    ]
    terms: dict[str, Any] = {"extra_vars": {"greeting": "hello s3cret"}, "limit": "web1,web2"}
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    given = {"playbook": str(book), "inventory": str(book.parent / "hosts.json"), **terms}
    assert plan(_worker(), "ansible:Playbook", given).will == "unknown"
    shown = _play(book, tasks, **terms, check=True, diff=True)
    assert (shown.data["changed"], "+hello s3cret" in shown.output) == (False, True)
    assert not list(book.parent.glob("web*.conf"))

    result = _play(book, tasks, **terms)
    counts = {"ok": 2, "changed": 1, "failed": 0, "unreachable": 0, "skipped": 1}
    assert result.data == {"changed": True, "hosts": {"web1": counts, "web2": counts}}, result
    assert (book.parent / "web2.conf").read_text() == "hello s3cret\n"
    assert {"TASK write", "web1: changed", "web2: skipped", "@re-ansible{}"} <= set(result.output)
    again = _play(book, tasks, **terms, tags=["files"])
    assert again.data["changed"] is False
    assert again.data["hosts"]["web1"]["skipped"] == 0


def test_what_fails_names_host_task_and_reason(book: Path) -> None:
    tasks = [{"name": "break", "fail": {"msg": "out of cheese"}, "when": "inventory_hostname != 'web3'"}]
    failed = _play(book, tasks, forks=1)  # of hosts that run at once, any may be the first
    assert str(failed.message) == "web1: break: out of cheese; web2: break: out of cheese"
    assert failed.data["code"] == 2
    assert {host: one["failed"] for host, one in failed.data["hosts"].items()} == {"web1": 1, "web2": 1, "web3": 0}
    nowhere = _play(book, tasks, limit="web9")
    assert "exit code 1: [ERROR]: Specified inventory, host pattern and/or --limit leaves us with no hosts" in str(
        nowhere.message
    )
    missing = run(_worker(), "ansible:Playbook", {"playbook": str(book.parent / "none.yml")})
    assert "could not be found" in str(missing.message)
    option = run(_worker(), "ansible:Playbook", {"playbook": str(book), "limit": {"secret": "web/x"}})
    assert "a secret must not stand here" in str(option.message)


def test_a_vault_is_opened_and_no_command_line_has_what_is_secret(book: Path) -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    (book.parent / "pass").write_text("hunter22")
    vault = [
        str(Path(program()).with_name("ansible-vault")),
        "encrypt_string",
        "--vault-password-file",
        "pass",
        "kept",
    ]
    found = subprocess.run(vault, capture_output=True, text=True, check=True, cwd=book.parent, env=env).stdout
    (book.parent / "vars.yml").write_text(f"opened: {found}")
    tasks: list[dict[str, Any]] = [
        {"include_vars": "vars.yml"},
        {"command": {"cmd": "ps -eo args"}, "register": "all", "delegate_to": "localhost"},
        {"copy": {"dest": str(book.parent / "seen"), "content": "{{ opened }} {{ extra }}\n{{ all.stdout }}"}},
    ]
    played = _play(book, tasks, limit="web1", vault_password="hunter22", extra_vars={"extra": "t0psecret"})
    assert played.status == "completed", played
    first, _, processes = (book.parent / "seen").read_text().partition("\n")
    assert first == "kept t0psecret"
    assert "ansible-playbook" in processes
    assert "hunter22" not in processes and "t0psecret" not in processes


def test_a_cancel_ends_ansible_and_its_children(book: Path) -> None:
    book.write_text(
        json.dumps([{"hosts": "web1", "gather_facts": False, "tasks": [{"command": f"sleep 3{os.getpid()}"}]}])
    )
    given = {"playbook": str(book), "inventory": str(book.parent / "hosts.json")}
    context = _context()
    ended: list[Outcome] = []
    worker = _worker()
    thread = threading.Thread(
        target=lambda: ended.append(perform(worker, worker.steps["Playbook"], context, given)), daemon=True
    )
    thread.start()
    until(lambda: _of(f"sleep 3{os.getpid()}"))
    context.cancel()
    thread.join(30)
    assert ended == [Outcome("failed", None, "cancelled")]
    assert not _of(f"sleep 3{os.getpid()}") and not _of(str(book))


def test_a_host_of_the_inventory_is_reached_as_the_plan_says(book: Path, throwaway: SshHost) -> None:
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"raw": "echo on $(whoami) >&2"}]}]))
    context, worker = _context(hosts=("web1",), rows={"web1": throwaway.row()}), _worker()
    outcome = perform(worker, worker.steps["Playbook"], context, {"playbook": str(book)})
    assert outcome.status == "completed", outcome
    assert outcome.data["hosts"]["web1"]["changed"] == 1


def _context(hosts: tuple[str, ...] = (), rows: Mapping[str, Mapping[str, Any]] = {}) -> Context:
    call = Call("D/0/1", "D", 0, 1, "ansible", "Playbook", "g", hosts, {}, None, rows)
    return Context(call, Outgoing(Origin("D", 0, "D/0/1/T"), lambda: None))


def _of(words: str) -> list[str]:
    """Command lines of this machine with these words."""
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if words in line and "pytest" not in line.partition(words)[0]]


def test_an_inventory_says_what_the_plan_says_of_a_host() -> None:
    rows: dict[str, dict[str, Any]] = {
        "web1": {
            "address": "10.0.0.1",
            "port": 2222,
            "user": "deploy",
            "identity": "/k",
            "jump": "bastion",
            "host_key": "pinned",
            "host_keys": ["ssh-ed25519 AAAA"],
            "become": {"user": "root"},
            "groups": ["web"],
            "vars": {"n": 1},
        },
        "bastion": {"address": "b.example.com", "user": "jump", "port": 22, "jump": "outer"},
        "outer": {},
        "here": {"runner": "local"},
        "far": {"host_key": "trust-first"},
    }
    found = inventory_of(["web1", "here", "far", "none"], rows, "/tmp/known")
    assert found["all"]["children"] == {"web": {"hosts": {"web1": {}}}}
    hosts = found["all"]["hosts"]
    trust = "-o UserKnownHostsFile=/tmp/known -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
    assert hosts["web1"] == {
        "ansible_host": "10.0.0.1",
        "ansible_port": 2222,
        "ansible_user": "deploy",
        "ansible_ssh_private_key_file": "/k",
        "ansible_become": True,
        "ansible_become_user": "root",
        "ansible_ssh_common_args": f"-o ProxyJump=outer,jump@b.example.com:22 {trust}",
        "n": 1,
    }
    assert hosts["here"] == hosts["none"] == LOCAL
    assert hosts["far"] == {"ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new"}
    here = inventory_of(["here"], rows, "", "/s/modules")["all"]["hosts"]["here"]
    assert here == {**LOCAL, "ansible_remote_tmp": "/s/modules"}
    assert known_hosts_of(["web1"], rows) == "[10.0.0.1]:2222 ssh-ed25519 AAAA\n"
    with pytest.raises(Failed, match="says the runner 'docker'"):
        inventory_of(["x"], {"x": {"runner": "docker"}}, "")
