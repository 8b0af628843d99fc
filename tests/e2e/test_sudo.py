"""Another user on a host of the inventory: the shipped engine, a real sudo that wants a password, and a secret that is nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from re_core.wire.secret_forms import forms
from tests.e2e.deploying import await_line, begin, ended, printed
from tests.e2e.engine_process import running
from tests.services.guests import Guest, guest_of
from tests.services.recipe import Place

pytestmark = pytest.mark.service("sshd")

#: prints all that another user, or a careless program, could find the password in
_LOOK = "id -un; env; cat; ps axeww -o args; echo to the log >&2"


@pytest.fixture
def guest(sshd: Place) -> Iterator[Guest]:
    with guest_of(sshd) as found:
        found.allow("{guest} ALL=(ALL) ALL")
        yield found


def _book(name: str, cmd: str) -> str:
    step = {"command:Run": {"cmd": cmd}, "retries": 2}
    return yaml.safe_dump({"group": "tests", "name": name, "execution": [{"hosts": ["web1"], "steps": [step]}]})


def test_the_inventory_names_the_password_of_sudo_and_no_byte_of_it_is_left(guest: Guest, tmp_path: Path) -> None:
    become = {"user": "root", "password": {"secret": "ops/sudo"}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"hosts": {"web1": guest.row(become=become)}}))
    with (
        running(tmp_path, f"inventory: [{tmp_path}/hosts.yml]\nlog_level: debug\n") as engine,
        engine.client() as client,
    ):
        missing = ended(client, begin(client, _book("missing", "true")))
        assert "web1: become.password: there is no secret ops/sudo" in missing["reason"]
        client.set_secret("ops/sudo", "not the password")
        wrong = ended(client, begin(client, _book("wrong", "true")))
        assert "web1: sudo: the password is wrong; set the secret of become.password again" in wrong["reason"]
        client.set_secret("ops/sudo", guest.password)
        id = begin(client, _book("right", f"{_LOOK}; printf '%s' '{guest.password[:6]}'; echo '{guest.password[6:]}'"))
        assert ended(client, id)["status"] == "completed"
        await_line(client, id, "[redacted]")  # a program that knows it cannot print it
        assert printed(client, id)[0] == "root"
        shown = [engine.run(*words) for words in (("status", id), ("logs", id), ("hosts", "show", "web1"))]
        seen = {"answers": "".join(one.stdout + one.stderr for one in shown).encode()}
        refused = engine.run("playbook", "apply", str(_stealing(tmp_path)))
        assert "the group 'tests' may not use the secret ops/sudo" in refused.stderr
    files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    leaks = [
        name for name, data in (seen | files).items() if any(one.encode() in data for one in forms(guest.password))
    ]
    assert leaks == []


def _stealing(place: Path) -> Path:
    """A playbook whose author wants the secret itself."""
    step = {"command:Run": {"cmd": "true", "env": {"A": {"secret": "ops/sudo"}}}}
    document = {"group": "tests", "name": "thief", "execution": [{"hosts": ["web1"], "steps": [step]}]}
    (place / "thief.yml").write_text(yaml.safe_dump(document))
    return place / "thief.yml"
