"""Secrets of the engine's store: set by those who may, shown to none, sealed in the store, and given to the claim that they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from re_core.adapters.peering.seal import SECRETS, LateSeal
from re_core.deployment.records import Accepted, Completed, Dispatched, Started
from re_core.errors import BadMessage
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.playbook.secret_rules import SecretRules
from re_core.rows import WorkerPlace, WorkerRecord
from re_core.usecases.secret_release import NotReleased, Release, release
from re_core.usecases.secrets import SecretDesk
from re_core.wire import secret_messages
from re_core.wire.sealed_box import BoxKey
from re_core.wire.secret_messages import SecretRequest
from re_rest.app import bind_services
from tests.integration.front_end.front_end_harness import FrontEndHarness

URL = "/api/v1/secrets"
NAME, VALUE = "ours/prod/db", "correct horse battery"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "secret.key"


@pytest.fixture
def house(harness: FrontEndHarness, key_file: Path) -> FrontEndHarness:
    """The front end of an engine that can seal."""
    services = dataclasses.replace(harness.services, secret_seal=LateSeal(key_file, SECRETS, make_key=True))
    bind_services(harness.app, services)
    return harness


def _set(house: FrontEndHarness, name: str = NAME, value: str = VALUE) -> Any:
    return house.call("PUT", f"{URL}/{name}", json={"value": value})


def _desk(house: FrontEndHarness, key_file: Path) -> SecretDesk:
    return SecretDesk(house.store, house.clock, LateSeal(key_file, SECRETS, make_key=False))


def test_a_secret_is_set_and_listed_and_no_answer_has_its_value(house: FrontEndHarness) -> None:
    made = _set(house)
    assert made.status_code == 200, made.text
    assert {key: made.json[key] for key in ("name", "group", "environment", "version", "user")} == {
        "name": NAME,
        "group": "ours",
        "environment": "prod",
        "version": 1,
        "user": "root",
    }
    assert _set(house, value="another value").json["version"] == 2
    listed = house.call("GET", URL)
    assert [one["name"] for one in listed.json["items"]] == [NAME]
    assert VALUE not in made.text + listed.text


def test_the_store_has_the_value_sealed_and_only_under_its_name(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    row = house.store.secret(NAME)
    assert row is not None
    assert VALUE.encode() not in row.sealed
    assert key_file.stat().st_mode & 0o077 == 0
    desk = _desk(house, key_file)
    assert desk.open(row) == VALUE
    with pytest.raises(Exception, match="the store was changed"):
        desk.open(row._replace(name="ours/prod/other"))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("db", VALUE, "GROUP/NAME"),
        ("a/b/c/d", VALUE, "GROUP/NAME"),
        (NAME, "x!z", "at least 4 characters"),
        (NAME, "a\0bcdef", "without NUL"),
        (NAME, "ä" * 40_000, "at most 65536 bytes"),
    ],
)
def test_what_cannot_be_kept_is_refused_without_its_value(
    house: FrontEndHarness, name: str, value: str, why: str
) -> None:
    answer = _set(house, name, value)
    assert (answer.status_code, why in answer.text) == (422, True), answer.text
    assert value not in answer.text


def test_only_administrators_set_list_and_remove(house: FrontEndHarness) -> None:
    _set(house)
    for method, path in (("PUT", f"{URL}/{NAME}"), ("DELETE", f"{URL}/{NAME}"), ("POST", f"{URL}/rotate")):
        assert house.call(method, path, house.ours, json={"value": VALUE}).status_code == 403
    assert house.call("GET", URL, house.ours).json["items"] == []


def test_a_secret_is_removed_once(house: FrontEndHarness) -> None:
    _set(house)
    assert house.call("DELETE", f"{URL}/{NAME}").status_code == 204
    assert house.call("DELETE", f"{URL}/{NAME}").status_code == 404


def test_after_a_rotation_the_old_key_is_not_needed(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    _set(house, "ours/key", "another value")
    old = key_file.read_text()
    key_file.write_text(Fernet.generate_key().decode() + "\n" + old)
    answer = house.call("POST", f"{URL}/rotate")
    assert (answer.status_code, answer.json) == (200, {"sealed": 2})
    key_file.write_text(key_file.read_text().splitlines()[0] + "\n")
    desk = _desk(house, key_file)
    assert [desk.open(row) for row in house.store.secrets()] == ["another value", VALUE]


def test_a_key_that_is_lost_says_which_file_to_restore(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    key_file.write_bytes(Fernet.generate_key())
    answer = house.call("POST", f"{URL}/rotate")
    assert answer.status_code == 409
    assert "restore the file that RE_SECRET_KEY_FILE named" in answer.text


def test_an_engine_without_the_extra_says_what_to_install(harness: FrontEndHarness) -> None:
    answer = _set(harness)
    assert (answer.status_code, "release-engine[secrets]" in answer.text) == (409, True)


# -- given to workers --------------------------------------------------------------------------------


def _running(house: FrontEndHarness, parameters: Mapping[str, Any], group: str = "ours") -> str:
    """A deployment of one step that refers to secrets, and was granted to the worker w1; the attempt's id."""
    document = {"group": group, "name": "n", "execution": [{"hosts": ["a"], "steps": [{"noop:A": parameters}]}]}
    anything = EnginePolicy(secrets=SecretRules({"*": ("ours/*", "ours/prod/*")}))
    plan = compile_document(document, anything, {})
    house.append("dep", 1, Accepted(group, "book", "n", 1, "olga", "", "d", {}, plan), Dispatched(0, 1))
    house.append("dep", 2, Started(0, 1, "w1", "token", deployment="running"))
    return "dep/0/1"


def _release(house: FrontEndHarness, key_file: Path, **changes: Any) -> Mapping[str, str]:
    """What the worker reads."""
    rules = changes.pop("rules", SecretRules())
    key = BoxKey()
    request = SecretRequest("dep/0/1", "token", "w1", (NAME,), key.public)._replace(**changes)
    here = Release(house.store, _desk(house, key_file), rules)
    box = release(here, request)
    assert VALUE.encode() not in box
    return secret_messages.values(key.open(box, request.about), request.names)


def _bound(house: FrontEndHarness, *environments: str) -> None:
    place = WorkerPlace(environments=environments)
    house.store.register(WorkerRecord("w1", 1, {}, (), house.clock.now(), place=place))


def test_the_worker_that_runs_the_step_gets_the_value_and_no_other_key_opens_it(
    house: FrontEndHarness, key_file: Path
) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}})
    _bound(house, "prod", "staging")
    assert _release(house, key_file) == {NAME: VALUE}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"token": "other"}, "another worker"),
        ({"worker": "w2"}, "another worker"),
        ({"attempt": "dep/0/2"}, "does not run"),
        ({"attempt": "dep/7/1"}, "no attempt"),
        ({"attempt": "none/0/1"}, "no attempt"),
        ({"names": ("ours/other",)}, "does not refer"),
    ],
)
def test_a_claim_that_is_not_the_granted_one_gets_nothing(
    house: FrontEndHarness, key_file: Path, changes: dict[str, Any], why: str
) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}})
    _bound(house, "prod")
    with pytest.raises(NotReleased, match=why):
        _release(house, key_file, **changes)


def test_an_attempt_that_has_ended_gets_nothing(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}})
    _bound(house, "prod")
    house.append("dep", 3, Completed(0, 1))
    with pytest.raises(NotReleased, match="does not run"):
        _release(house, key_file)


@pytest.mark.parametrize("environments", [(), ("staging",)], ids=["none", "another"])
def test_a_worker_that_is_not_bound_to_the_environment_gets_nothing(
    house: FrontEndHarness, key_file: Path, environments: tuple[str, ...]
) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}})
    _bound(house, *environments)
    with pytest.raises(NotReleased, match="environment prod"):
        _release(house, key_file)


def test_a_worker_that_the_registry_does_not_know_is_bound_to_nothing(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}})
    with pytest.raises(NotReleased, match="bound to no environment"):
        _release(house, key_file)


def test_a_group_that_lost_its_right_since_gets_nothing(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}}, group="theirs")
    _bound(house, "prod")
    assert _release(house, key_file, rules=SecretRules({"theirs": (NAME,)})) == {NAME: VALUE}
    with pytest.raises(NotReleased, match="may not use"):
        _release(house, key_file)


def test_a_secret_that_the_store_lacks_is_left_out(house: FrontEndHarness, key_file: Path) -> None:
    _running(house, {"one": {"secret": "ours/none"}})
    assert _release(house, key_file, names=("ours/none",)) == {}


def test_a_key_that_is_none_is_refused(house: FrontEndHarness, key_file: Path) -> None:
    _set(house)
    _running(house, {"one": {"secret": NAME}})
    _bound(house, "prod")
    for key in (b"", bytes(31), bytes(32)):
        with pytest.raises(BadMessage, match="public key"):
            _release(house, key_file, key=key)


def test_a_box_opens_for_its_request_alone() -> None:
    from re_core.wire.sealed_box import close

    key = BoxKey()
    box = close(key.public, b"plain", b"about")
    assert key.open(box, b"about") == b"plain"
    for wrong, about in ((box, b"other"), (box[:-1], b"about"), (b"", b"about"), (bytes(len(box)), b"about")):
        with pytest.raises(BadMessage):
            key.open(wrong, about)
    with pytest.raises(BadMessage):
        BoxKey().open(box, b"about")


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b'{"names": ["a"]}', b'{"attempt": 1}', b'{"names": [], "key": ""}', b'{"what": 1}', b"no"],
)
def test_a_question_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        secret_messages.parse_request(body)


def test_a_question_travels_whole() -> None:
    request = SecretRequest("dep/0/1", "t", "w", ("a/b", "a/c/d"), bytes(range(32)))
    assert secret_messages.parse_request(request.body()) == request
