"""What apps read and write: Procfiles, environments, the engine's own playbooks, broadcasts, events of the feed."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from re_schemas import load

from re_core.apps import events as e
from re_core.apps import feed
from re_core.apps import records as r
from re_core.apps.asking import ask_of
from re_core.apps.broadcasts import MOST, TERMINAL, broadcast
from re_core.apps.env import flatten
from re_core.apps.playbook import built_in
from re_core.apps.procfile import parse_procfile
from re_core.errors import BadDocument
from re_core.playbook.compiler import EnginePolicy, compile_plan, required_dynamic
from re_core.rows import OutputLine
from tests.apps import EU, ID, US, Shop, build, configure

# -- Procfile --------------------------------------------------------------------------------------


def test_a_procfile_names_types_and_their_commands_in_order() -> None:
    found = parse_procfile(
        "# ours\nworker:  python work.py  \n\nweb: gunicorn app:app -b :$PORT\nrelease: make migrate\n"
    )
    assert list(found.processes.items()) == [("worker", "python work.py"), ("web", "gunicorn app:app -b :$PORT")]
    assert (found.release, found.warnings) == ("make migrate", ())


def test_a_line_that_is_no_process_is_passed_over_with_a_warning() -> None:
    found = parse_procfile("web: run\r\nwhat is this\nwe b: run\nclock:\n")
    assert list(found.processes) == ["web"]
    assert [one.split(" is ")[0] for one in found.warnings] == [f"line {n} of the Procfile" for n in (2, 3, 4)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no process"),
        ("release: migrate", "names no process"),
        ("web: a\nworker: b\nweb: c", "line 3 of the Procfile names web once more"),
        ("w" * 31 + ": a", "at most 30 characters"),
        ("\n".join(f"t{n}: a" for n in range(21)), "21 types"),
        ("web: a\0b", "NUL"),
        ("web: " + "a" * 17_000, "17005 characters"),
    ],
)
def test_a_procfile_that_cannot_run_is_refused_with_the_line(text: str, why: str) -> None:
    with pytest.raises(BadDocument, match=why):
        parse_procfile(text)


# -- environment -----------------------------------------------------------------------------------


def test_groups_of_variables_become_one_and_the_later_group_wins() -> None:
    flat, lines = flatten({"build": {"A": "1", "B": "same"}, "app": {"A": "0", "B": "same", "C": "x\ny"}})
    assert flat == {"A": "1", "B": "same", "C": "x\ny"}
    assert lines == ["A of build replaces that of app"], "values are no one's business"


# -- the engine's own playbooks --------------------------------------------------------------------


def _release(shop: Shop) -> Any:
    ask = ask_of(shop.state, shop.job)
    return built_in(ask.playbook_id, "web", ask.dynamic)


def test_a_build_is_prepared_built_deployed_in_each_zone_and_committed() -> None:
    shop = Shop(build(1))
    found = _release(shop)
    assert (found.id, found.group, found.name, found.revision) == ("dploy/shop", "web", "dploy/shop", 1)
    plan = compile_plan(found.document, EnginePolicy(), {})
    steps = [(one.host, one.spec.name, one.spec.parameters["part"]) for one in plan.steps]
    assert steps == [
        ("engine", "dploy:Prepare", "center"),
        ("engine", "dploy:Build", "build"),
        (EU, "dploy:Deploy", "center"),
        (US, "dploy:Deploy", "center"),
        ("engine", "dploy:Commit", "center"),
    ]
    assert required_dynamic(plan) == ("app_id",)
    assert all(one.spec.idempotent and one.spec.timeout >= 600 for one in plan.steps), "said by live offers alone"
    assert {one.spec.parameters["version"] for one in plan.steps} == {1}


def test_a_config_or_a_rollback_is_not_built() -> None:
    shop = Shop()
    shop.push(1)
    shop.send(configure("", "c1"))
    found = _release(shop)
    names = [name for stage in found.document["execution"] for step in stage["steps"] for name in step]
    assert "dploy:Build" not in names
    assert found.revision == 2


def test_a_run_is_one_step_that_is_not_repeated() -> None:
    shop = Shop()
    shop.push(1)
    job = shop.state.jobs[shop.answer(e.RunCommand("ls")).deployment]
    ask = ask_of(shop.state, job)
    found = built_in(ask.playbook_id, "web", ask.dynamic)
    assert found is not None
    [step] = compile_plan(found.document, EnginePolicy(), {}).steps
    assert (step.host, step.spec.name, step.spec.idempotent, step.spec.retries) == (EU, "dploy:Run", False, 0)
    assert step.spec.parameters == {"part": "center", "run": 1, "dynamic": ["app_id"]}


@pytest.mark.parametrize(
    ("id", "dynamic"),
    [
        ("shop", {"app_id": ID, "version": 1, "zones": [EU]}),
        ("dploy/../shop", {"app_id": ID, "version": 1, "zones": [EU]}),
        ("dploy/shop", {}),
        ("dploy/shop", {"app_id": ID, "version": 1}),
        ("dploy/shop", {"app_id": ID, "version": "1", "zones": [EU]}),
        ("dploy/shop", {"app_id": ID, "version": 0, "zones": [EU]}),
        ("dploy/shop", {"app_id": ID, "version": 1, "zones": []}),
        ("dploy/shop", {"app_id": 1, "version": 1, "zones": [EU]}),
        ("dploy/shop/run", {"app_id": ID, "run": 1}),
        ("dploy/shop/run", {"app_id": ID, "zone": EU, "run": "1"}),
    ],
)
def test_what_no_job_asks_for_is_no_playbook(id: str, dynamic: dict[str, Any]) -> None:
    assert built_in(id, "web", dynamic) is None


# -- broadcasts ------------------------------------------------------------------------------------


def _lines(*texts: str) -> list[OutputLine]:
    return [OutputLine(number, 0, 1_000 * number, text) for number, text in enumerate(texts, 1)]


def test_a_broadcast_is_the_output_of_its_deployment_and_one_terminal_message() -> None:
    shop = Shop(build(1))
    lines = _lines("-----> Building shop v1", "  Successfully installed", "-----> ")
    shop.ready()
    shop.step(e.Commit)
    assert [one.seq for one in broadcast(shop.state, 1, lines)] == [1, 2, 3], "its deployment goes on"
    shop.fact("completed")
    found = broadcast(shop.state, 1, lines)
    assert [(one.type, one.body["type"], one.body["data"]) for one in found] == [
        ("status", "info", "Building shop v1"),
        ("output", "line", "  Successfully installed"),
        ("status", "info", ""),
        ("status", "completed", "v1 runs in eu, us"),
    ]
    assert (found[-1].seq, found[-1].ts) == (TERMINAL, shop.state.versions[1].ended)
    assert broadcast(shop.state, 1, lines, after=2) == found[2:]
    assert broadcast(shop.state, 1, lines, settled=False) == found[:-1]
    assert broadcast(shop.state, 1, lines, after=TERMINAL) == []
    for one in found:
        Draft202012Validator(load("dploy-broadcast-message")).validate(one.document())


def test_the_terminal_message_of_a_version_that_failed_says_why() -> None:
    shop = Shop(build(1))
    shop.fact("failed", "no Procfile")
    [end] = broadcast(shop.state, 1, [])
    assert end.body == {"type": "error", "data": "v1 failed: no Procfile"}


def test_a_broadcast_is_given_in_pages_and_ends_behind_the_last() -> None:
    shop = Shop(build(1))
    shop.fact("failed", "no")
    lines = _lines(*(["x"] * (MOST + 1)))
    first = broadcast(shop.state, 1, lines)
    assert (len(first), first[-1].seq) == (MOST, MOST)
    assert [one.seq for one in broadcast(shop.state, 1, lines, MOST)] == [MOST + 1, TERMINAL]


def test_a_version_that_is_not_kept_whole_keeps_its_end() -> None:
    shop = Shop(build(1))
    shop.fact("failed", "no")
    del shop.state.versions[1]
    assert broadcast(shop.state, 1, []) == []
    shop.state.old[1] = "failed"
    [end] = broadcast(shop.state, 1, [])
    assert end.body == {"type": "error", "data": "v1 failed"}


# -- feed ------------------------------------------------------------------------------------------


def test_followers_of_the_group_hear_what_happens_to_an_app() -> None:
    shop = Shop()
    shop.push(1)
    shop.send(e.Scale({"web": 2}), e.Restart(), build(2))
    shop.fact("failed", "secret text")
    shop.send(e.RunCommand("echo $TOKEN"), e.Destroy())
    first = r.Registered("web", "shop", [EU, US])
    events = [one for entry in shop.entries for one in feed.events_of(entry, first)]
    assert [one.what for one in events] == [
        "registered",
        "queued",
        "committed",
        "scaled",
        "restarted",
        "queued",
        "failed",
        "destroyed",
    ]
    assert {(one.kind, one.group, one.subject, one.data["name"]) for one in events} == {("app", "web", ID, "shop")}
    assert "secret" not in str(events)
    assert "TOKEN" not in str(events)
    for entry in shop.entries:
        assert feed.has_events(entry) is bool(feed.whats_of(entry))
