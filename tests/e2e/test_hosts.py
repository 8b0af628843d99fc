"""Hosts in the shipped engine: a file of them, patterns in a playbook, mistakes, and hosts that are added."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import PATIENCE, ended, printed
from tests.e2e.engine_process import wait_until
from tests.services.recipe import Place
from tests.services.sshd import running

_BOOK = """
group: ours
name: %s
execution:
- hosts: [%s]
  steps:
  - noop:Say
"""


def _book(name: str, *hosts: str) -> bytes:
    return (_BOOK % (name, json.dumps(hosts)[1:-1])).encode()


def test_a_playbook_names_groups_of_a_file_and_follows_its_changes_without_a_restart(new_engine: MakeEngine) -> None:
    engine = new_engine("inventory: [hosts.yml]\n")
    file = engine.directory / "hosts.yml"
    file.write_text("hosts: {'web[1:3]': {groups: [web]}, db1: {}}\n")
    engine.start()
    with engine.client() as client:
        stored = client.apply_playbook(_book("all", "group:web", "!web2", "db1"))
        found = ended(client, client.deploy("ours", stored["id"], {})["id"])
        assert [step["host"] for step in found["steps"]] == ["web1", "web3", "db1"]

        file.write_text("hosts:\n  web1: {groups: [web]}\n  db1: {prt: 22}\n")
        wait_until("the mistake is noticed", lambda: not client.hosts.check()["usable"], PATIENCE)
        refused = engine.run("deploy", "ours/all")
        assert refused.returncode == 2
        assert "hosts.yml:3: unknown key 'prt'; did you mean 'port'?" in refused.stderr
        checked = engine.run("hosts", "check")
        assert (checked.returncode, f"{file}:3: unknown key 'prt'" in checked.stderr) == (2, True)

        file.write_text("hosts:\n  web1: {groups: [web]}\n  web2: {}\n  db1: {port: 22}\n")
        wait_until("it is mended", lambda: client.hosts.check()["usable"], PATIENCE)
        client.hosts.save({"new1": {"groups": ["web"]}})
        found = ended(client, client.deploy("ours", stored["id"], {})["id"])
        assert [step["host"] for step in found["steps"]] == ["web1", "new1", "db1"]


def test_a_name_that_is_not_there_runs_as_before_and_its_output_says_where(new_engine: MakeEngine) -> None:
    engine = new_engine("inventory: [hosts.yml]\n")
    (engine.directory / "hosts.yml").write_text("hosts: [web1]\n")
    engine.start()
    with engine.client() as client:
        applied = client.apply_playbook(_book("one", "web11"))
        assert "'web11' is not in the inventory" in applied["warnings"][0]["message"]
        found = client.deploy("ours", applied["id"], {})
        assert ended(client, found["id"])["status"] == "completed"
        wait_until("the line is there", lambda: bool(printed(client, found["id"])), PATIENCE)
        (line,) = printed(client, found["id"])
        assert line.startswith("'web11' is not in the inventory: this runs on the machine of the worker ")
        assert line.endswith("; did you mean 'web1'?")


#: SSH_CONNECTION ends with the port of the server on which the program runs
_NAMED = """
group: ours
name: over-ssh
execution:
- hosts: ["group:web", "!web2"]
  steps:
  - command:Run: {cmd: 'echo "$RE_HOST is at ${SSH_CONNECTION##* }"'}
"""


@pytest.mark.service("sshd")
def test_commands_run_over_ssh_on_the_hosts_of_a_group_and_a_retry_lets_a_key_count_that_was_trusted_since(
    new_engine: MakeEngine, sshd: Place, tmp_path: Path
) -> None:
    engine = new_engine("inventory: [hosts.yml]\n")
    with ExitStack() as stack:
        servers = {}
        for name in ("web1", "web2", "web3"):
            (tmp_path / name).mkdir()
            servers[name] = stack.enter_context(running(sshd, tmp_path / name, name))
        rows = {name: one.row(groups=["web"], records=f"{one.seen}/records") for name, one in servers.items()}
        rows["web3"] = {word: value for word, value in rows["web3"].items() if word not in ("host_key", "host_keys")}
        (engine.directory / "hosts.yml").write_text(json.dumps({"hosts": rows}))
        engine.start()
        with engine.client() as client:
            applied = client.apply_playbook(_NAMED.encode())
            id = client.deploy("ours", applied["id"], {})["id"]
            found = ended(client, id)
            assert [(step["host"], step["status"]) for step in found["steps"]] == [
                ("web1", "completed"),
                ("web3", "failed"),
            ]
            assert "rectl hosts trust web3" in found["reason"]
            trusted = engine.run("hosts", "trust", "web1", "web3", "--yes")
            assert "web3: 1 key trusted" in trusted.stderr, trusted.stderr
            client.retry(id)
            assert ended(client, id)["status"] == "completed"
            expected = [f"{name} is at {servers[name].port}" for name in ("web1", "web3")]
            wait_until("both have said where they are", lambda: sorted(printed(client, id)) == expected, PATIENCE)
        assert not (servers["web2"].data / "records").exists()


_FILES = """
group: ours
name: files
execution:
- hosts: [here]
  steps:
  - file:Copy: {path: %(place)s/motd, content: "two\\n"}
  - file:Directory: {path: %(place)s}
  - command:Run: {cmd: "touch %(place)s/never"}
"""


def test_a_plan_looks_at_hosts_and_changes_nothing(new_engine: MakeEngine, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(one.stat().st_mode | 0o001)
    (place / "motd").write_text("one\n")
    engine = new_engine()
    engine.start()
    with engine.client() as client:
        client.apply_playbook((_FILES % {"place": place}).encode())
        looked = engine.run("playbook", "plan", "ours/files", "--look")
        assert looked.returncode == 0, looked.stderr
        assert "~ step 0 file:Copy on here: would change (content of" in looked.stdout
        assert "    -one\n    +two\n" in looked.stdout
        assert "= step 1 file:Directory on here: is as it should be" in looked.stdout
        assert "1 would change, 1 is as it should be, 1 not known" in looked.stdout
        assert [one.name for one in place.iterdir()] == ["motd"]
        assert (place / "motd").read_text() == "one\n"
        said = json.loads(engine.run("playbook", "plan", "ours/files", "--look", "--json").stdout)
        assert [one["will"] for one in said["changes"]] == ["yes", "no", "unknown"]
        viewer = json.loads(engine.run("token", "create", "--user", "x", "--group", "others", "--json").stdout)["token"]
        refused = engine.run("playbook", "plan", "ours/files", "--look", more={"RE_TOKEN": viewer})
        assert refused.returncode != 0
