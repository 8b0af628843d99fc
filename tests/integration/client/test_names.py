"""What may stand for an id on the command line: @last, a part of the id, a playbook's bare name."""

from __future__ import annotations

import pytest

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, problem
from tests.unit.client.documents import deployment, playbook

IDS = [f"01M82AAAA{n:02}ZZ{n:02}" for n in range(12)]


def _list(*rows: object) -> Answer:
    return Answer({"items": list(rows), "next": None})


def _row(id: str) -> dict[str, object]:
    return {"id": id, "group": "inception", "playbook": "Simple playbook"}


def _deployments(engine: FakeEngine, *ids: str) -> None:
    engine.on("GET /api/v1/deployments", _list(*(_row(id) for id in ids)))
    for id in ids:
        engine.on(f"GET /api/v1/deployments/{id}", Answer(deployment("completed", id=id)))


def test_last_is_the_newest_deployment_and_rectl_says_which(rectl: Rectl, engine: FakeEngine) -> None:
    _deployments(engine, "01NEW", "01OLD")
    ran = rectl("status", "@last")
    assert ran.code == 0
    assert "01NEW" in ran.out
    assert ran.err == "@last is 01NEW of inception/Simple playbook\n"


def test_last_without_a_deployment_says_that_there_is_none(rectl: Rectl, engine: FakeEngine) -> None:
    _deployments(engine)
    ran = rectl("cancel", "@last")
    assert (ran.code, ran.err) == (2, "rectl: @last: there are no deployments\n")


@pytest.mark.parametrize("part", [IDS[7][:11], IDS[7][-4:]])
def test_a_part_of_one_id_finds_the_deployment_and_rectl_says_which(
    rectl: Rectl, engine: FakeEngine, part: str
) -> None:
    _deployments(engine, *IDS)
    engine.on(f"GET /api/v1/deployments/{part}", problem(404, "no deployment has this id"))
    ran = rectl("status", part)
    assert ran.code == 0
    assert ran.err == f"{part} is {IDS[7]}\n"


def test_an_ambiguous_part_lists_ten_ids_and_counts_the_rest(rectl: Rectl, engine: FakeEngine) -> None:
    _deployments(engine, *IDS)
    engine.on("GET /api/v1/deployments/01M8", problem(404, "no deployment has this id"))
    ran = rectl("status", "01M8")
    assert ran.code == 2
    lines = ran.err.splitlines()
    assert lines[0] == "rectl: 12 deployments match '01M8'; type more characters of the id:"
    assert lines[1:] == [*(f"  {id}" for id in IDS[:10]), "  … and 2 more"]


def test_ambiguous_playbooks_are_listed_to_ten(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on("GET /api/v1/playbooks", _list(*(playbook(f"01PB{n:02}", name=f"site{n}") for n in range(12))))
    ran = rectl("deploy", "01PB")
    assert ran.code == 2
    assert ran.err.splitlines()[0] == "rectl: 12 playbooks match '01PB'; use the id of one:"
    assert ran.err.splitlines()[-1] == "  … and 2 more"
    assert len(ran.err.splitlines()) == 12


def test_a_bare_name_suggests_the_group_that_has_it(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on("GET /api/v1/playbooks", _list(playbook("p1", group="web", name="site"), playbook("p2", name="other")))
    ran = rectl("deploy", "site")
    assert (ran.code, ran.err) == (2, "rectl: there is no playbook 'site'; did you mean 'web/site'?\n")


def test_last_is_the_playbook_that_was_stored_last(rectl: Rectl, engine: FakeEngine) -> None:
    old = {**playbook("p1", name="old"), "updated": "2026-11-01T00:00:00Z"}
    new = {**playbook("p2", name="new"), "updated": "2026-11-02T00:00:00Z"}
    engine.on("GET /api/v1/playbooks", _list(old, new))
    engine.on("GET /api/v1/playbooks/p2", Answer(b"name: new\n", headers={"content-type": "application/yaml"}))
    ran = rectl("playbook", "show", "@last")
    assert (ran.code, ran.out, ran.err) == (0, "name: new\n", "@last is inception/new, p2\n")


def test_dead_letters_are_found_by_parts_before_any_is_dropped(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on("GET /api/v1/deadletters", _list(*({"id": id, "queue": "q", "reason": "r"} for id in IDS)))
    for id in IDS:
        engine.on(f"DELETE /api/v1/deadletters/{id}", Answer(None, 204))
    ran = rectl("deadletters", "drop", "--yes", IDS[3][-4:], "01M8")
    assert ran.code == 2
    assert not [asked for asked in engine.asked if asked.method == "DELETE"]
    ran = rectl("deadletters", "drop", "--yes", IDS[3][-4:], "@last")
    assert ran.code == 0
    assert [asked.path.rpartition("/")[2] for asked in engine.asked if asked.method == "DELETE"] == [IDS[3], IDS[0]]


def test_a_token_is_revoked_by_a_part_of_its_id_and_never_by_last(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on("GET /api/v1/tokens", _list({"id": "tokenaaaa"}, {"id": "tokenbbbb"}))
    engine.on("DELETE /api/v1/tokens/tokenbbbb", Answer(None, 204))
    assert rectl("token", "revoke", "@last").code == 2
    assert not [asked for asked in engine.asked if asked.method == "DELETE"]
    ran = rectl("token", "revoke", "bbbb")
    assert (ran.code, ran.err) == (0, "bbbb is tokenbbbb\ntokenbbbb is revoked\n")
