"""rectl retry and rectl resolve, and what status and the watching commands say of a deployment that needs a person."""

from __future__ import annotations

import json
from typing import Any

import pytest

from re_core.api.answers import Deployment
from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, events, problem
from tests.unit.client.documents import deployment, line, step

ID = "01DEPLOYMENT"
ONE = f"/api/v1/deployments/{ID}"
LINKS = {"retry": f"{ONE}/retry"}
DOUBT = "step 1 noop:Do on foo.example.com is lost: its outcome is unknown. Find it out, then:"


def _is(engine: FakeEngine, status: str, *steps: Any, **more: Any) -> Deployment:
    found = deployment(status, *steps, **more)
    engine.on(f"GET {ONE}", Answer(found))
    engine.on(f"GET {ONE}/output", Answer({"lines": [], "next": None}))
    for request in ("retry", "resolve"):
        engine.on(f"POST {ONE}/{request}", Answer({"id": ID, "links": {}}, 202))
    return found


def _asked(engine: FakeEngine, request: str) -> list[Any]:
    return [one.document for one in engine.requests(f"POST {ONE}/{request}")]


# -- retry -----------------------------------------------------------------------------------------


def test_retry_says_why_and_how_often_it_was_retried_when_one_looked(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "failed"), links=LINKS, retries=2)
    ran = rectl("retry", ID, "--reason", "mended")
    assert (ran.code, ran.out) == (0, f"{ID} continues\n")
    assert f"rectl watch {ID}" in ran.err
    assert _asked(engine, "retry") == [{"reason": "mended", "retries": 2}]


def test_retry_as_json_is_the_answer(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "failed"), links=LINKS)
    assert json.loads(rectl("retry", ID, "--json").out) == {"id": ID, "links": {}}


def test_retry_with_a_lost_step_says_first_what_to_say(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "completed"), step(1, "lost"), links=LINKS)
    ran = rectl("retry", ID)
    assert (ran.code, ran.out) == (2, "")
    assert [told.strip() for told in ran.err.splitlines()[1:]] == [
        DOUBT,
        f"rectl retry {ID} --lost succeeded  # the step was carried out",
        f"rectl retry {ID} --lost rerun      # it was not, or running it twice does no harm",
    ]
    assert _asked(engine, "retry") == []
    assert rectl("retry", ID, "--lost", "happened").code == 0
    assert _asked(engine, "retry") == [{"lost": "succeeded", "retries": 0}]


def test_retry_knows_two_answers_only(rectl: Rectl) -> None:
    assert rectl("retry", ID, "--lost", "fail").code == 2
    assert rectl("retry", ID, "--watch", "--wait").code == 2


def test_a_refused_retry_says_what_stands_in_the_way(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "failed"), links=LINKS)
    engine.on(f"POST {ONE}/retry", problem(409, "deployment 01OTHER has not ended", deployment="01OTHER"))
    ran = rectl("retry", ID)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "rectl: deployment 01OTHER has not ended",
        "  see what it does:  rectl status 01OTHER",
    ]


def test_while_the_engine_is_away_a_retry_is_repeated_under_one_key(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "failed"), links=LINKS)
    engine.on(f"POST {ONE}/retry", problem(504, "no answer"), Answer({"id": ID, "links": {}}, 202))
    assert rectl("retry", ID).code == 0
    first, second = engine.requests(f"POST {ONE}/retry")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@pytest.mark.parametrize(("end", "code"), [("completed", 0), ("failed", 1)])
def test_a_retry_that_is_watched_tells_only_what_is_new(engine: FakeEngine, rectl: Rectl, end: str, code: int) -> None:
    _is(engine, "failed", step(0, "completed"), step(1, "failed"), links=LINKS)
    engine.on(f"GET {ONE}/output", Answer({"lines": [line(7)], "next": None}))
    again = deployment("running", step(0, "completed"), step(1, "started", attempt=2), retries=1)
    ended = deployment(end, step(0, "completed"), step(1, end, attempt=2), retries=1)
    stream = events(
        ("9.7", "state", again), ("9.8", "output", line(8, step=1)), ("10.8", "state", ended), ("10.8", "end", {})
    )
    engine.on(f"GET {ONE}/events", stream)
    ran = rectl("retry", ID, "--watch")
    assert ran.code == code
    first, *others = ran.out.splitlines()[:4]
    # its time would be that of the first start
    assert first == f"deployment {ID} of inception/Simple playbook: running"
    assert [said.partition(" ")[2] for said in others] == [
        "step 1 noop:Do on foo.example.com: running (attempt 2)",
        "step 1 | hello",
        f"step 1 noop:Do on foo.example.com: {end} in 0.5 s (attempt 2)",
    ]
    [asked] = engine.requests(f"GET {ONE}/events")
    assert asked.headers["last-event-id"] == "0.7"


# -- resolve ---------------------------------------------------------------------------------------


def test_resolve_says_which_step_and_which_attempt(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "waiting", step(0, "lost", asks=True), step(1, "lost", asks=True, attempt=2))
    ran = rectl("resolve", ID, "1", "succeeded", "--reason", "looked")
    assert (ran.code, ran.out) == (0, "step 1 noop:Do on foo.example.com: succeeded\n")
    assert _asked(engine, "resolve") == [{"step": 1, "resolution": "succeeded", "attempt": 2, "reason": "looked"}]


def test_resolve_needs_no_step_where_only_one_waits(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "waiting", step(0, "lost"), step(1, "lost", asks=True))
    assert json.loads(rectl("resolve", ID, "rerun", "--json").out) == {"id": ID, "links": {}}
    assert _asked(engine, "resolve") == [{"step": 1, "resolution": "rerun", "attempt": 1}]


@pytest.mark.parametrize(("old", "new"), [("happened", "succeeded"), ("again", "rerun"), ("fail", "failed")])
def test_the_words_of_version_0_1_are_understood(engine: FakeEngine, rectl: Rectl, old: str, new: str) -> None:
    _is(engine, "waiting", step(1, "lost", asks=True))
    ran = rectl("decide", ID, "1", old)
    assert (ran.code, ran.out) == (0, f"step 1 noop:Do on foo.example.com: {new}\n")
    assert _asked(engine, "resolve") == [{"step": 1, "resolution": new, "attempt": 1}]


def test_help_shows_the_command_of_today_alone(rectl: Rectl) -> None:
    listed = rectl("--help").out.split()
    assert ("resolve" in listed, "decide" in listed) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rerun",), "2 steps wait for a resolution; name one:"),
        (("3", "rerun"), "step 3 does not wait for a resolution; these do:"),
        (("happned",), "expected succeeded, rerun, failed, found 'happned'"),
        (("1", "2"), "expected succeeded, rerun, failed, found '2'"),
    ],
)
def test_resolve_says_what_is_wrong_and_what_to_type(
    engine: FakeEngine, rectl: Rectl, arguments: tuple[str, ...], told: str
) -> None:
    _is(engine, "waiting", step(0, "lost", asks=True), step(1, "lost", asks=True))
    ran = rectl("resolve", ID, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"rectl: {told}"
    assert ("rectl resolve 01DEPLOYMENT 1 succeeded" in ran.err) is told.endswith(":")
    assert _asked(engine, "resolve") == []


def test_resolve_about_one_that_has_failed_says_how_to_retry_it(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "completed"), step(1, "lost"), links=LINKS)
    ran = rectl("resolve", ID, "1", "succeeded")
    assert ran.code == 2
    assert ran.err.startswith("rectl: no step of this deployment waits for a resolution; the deployment is failed\n")
    assert f"rectl retry {ID} --lost succeeded" in ran.err


# -- who looks -------------------------------------------------------------------------------------


def test_status_shows_what_waits_and_what_to_type(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "waiting", step(0, "completed"), step(1, "lost", asks=True))
    ran = rectl("status", ID)
    assert ran.code == 0
    assert [told.strip() for told in ran.out.splitlines()[-4:-2]] == [
        DOUBT,
        f"rectl resolve {ID} 1 succeeded  # the step was carried out",
    ]


def test_status_of_a_failed_one_says_how_to_go_on(engine: FakeEngine, rectl: Rectl) -> None:
    _is(engine, "failed", step(0, "failed"), links=LINKS)
    ran = rectl("status", ID)
    assert (ran.code, ran.out.splitlines()[-1].strip()) == (1, f"continue from the failed steps:  rectl retry {ID}")


def test_who_waits_in_silence_is_asked_all_the_same(engine: FakeEngine, rectl: Rectl) -> None:
    end = _is(engine, "completed", step(0, "completed"))
    waiting = deployment("waiting", step(1, "lost", asks=True))
    engine.on(f"GET {ONE}/events", events(("1.0", "state", waiting), ("2.0", "state", end), ("2.0", "end", {})))
    engine.on("POST /api/v1/deployments", Answer({"id": ID, "status": "accepted", "links": {}}, 201))
    engine.on("GET /api/v1/playbooks", Answer({"items": [{"id": "p1", "group": "g", "name": "n"}], "next": None}))
    ran = rectl("deploy", "p1", "--wait")
    assert (ran.code, len(ran.out.splitlines())) == (0, 1)
    assert ran.err.splitlines()[1] == DOUBT


def test_a_refused_deployment_names_the_one_that_stands_in_the_way(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/playbooks", Answer({"items": [{"id": "p1", "group": "g", "name": "n"}], "next": None}))
    engine.on("POST /api/v1/deployments", problem(409, "deployment 01OTHER has not ended", deployment="01OTHER"))
    ran = rectl("deploy", "p1")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == "  see what it does:  rectl status 01OTHER"
