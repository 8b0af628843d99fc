"""rectl deploy, watch, status, deployments, cancel, logs: output, exit codes, and what is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from re_client import watching
from re_client.api import Client
from re_client.events import Event, StateEvent
from re_core.api.answers import Deployment
from tests.integration.client.conftest import Ran, Rectl
from tests.integration.client.engine import Answer, Asked, FakeEngine, events, problem
from tests.unit.client.documents import deployment, line, playbook, step

ID = "01DEPLOYMENT"
ONE = f"/api/v1/deployments/{ID}"


def _list(*rows: object) -> Answer:
    return Answer({"items": list(rows), "next": None})


@pytest.fixture(autouse=True)
def _playbooks(engine: FakeEngine) -> None:
    """Three playbooks, two of them of one name; every POST starts the same deployment."""
    rows = (playbook(), playbook("abcd1", "Twice", "g/h"), playbook("abcd2", "Twice", "g/h"))
    engine.on("GET /api/v1/playbooks", _list(*rows))
    engine.on("POST /api/v1/deployments", Answer({"id": ID, "status": "accepted", "links": {}}, 201))


def _ends(engine: FakeEngine, end: Deployment) -> None:
    """The deployment runs and ends so, with one line of output."""
    engine.on(f"GET {ONE}", Answer(end))
    begin = deployment("running", step(0, "started"))
    stream = events(("1.0", "state", begin), ("1.1", "output", line(1)), ("2.1", "state", end), ("2.1", "end", {}))
    engine.on(f"GET {ONE}/events", stream)


def test_deploy_prints_the_id_alone_for_scripts(engine: FakeEngine, rectl: Rectl) -> None:
    ran = rectl("deploy", "inception/Simple playbook", "--set", "cart=x", "--set-json", "n=[1]", "--key", "k1")
    assert (ran.code, ran.out) == (0, f"{ID}\n")
    assert f"rectl watch {ID}" in ran.err
    (asked,) = engine.requests("POST /api/v1/deployments")
    assert asked.document == {"group": "inception", "playbook_id": "p1", "dynamic": {"cart": "x", "n": [1]}}
    assert asked.headers["idempotency-key"] == "k1"


def test_deploy_takes_an_id_too_and_prints_json(rectl: Rectl) -> None:
    ran = rectl("deploy", "p1", "--json")
    assert json.loads(ran.out) == {"id": ID, "status": "accepted", "links": {}}


def test_several_playbooks_of_one_name_are_listed_by_id(engine: FakeEngine, rectl: Rectl) -> None:
    ran = rectl("deploy", "g/h/Twice")
    assert (ran.code, ran.out) == (2, "")
    assert "abcd1" in ran.err
    assert "abcd2" in ran.err
    assert not engine.requests("POST /api/v1/deployments")


def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(engine: FakeEngine, rectl: Rectl) -> None:
    assert rectl("deploy", "abcd").code == 2
    engine.on("GET /api/v1/playbooks", _list(playbook("abcd1"), playbook("abce1")))
    assert rectl("deploy", "abcd").code == 0


def test_a_misspelt_playbook_gets_a_suggestion(rectl: Rectl) -> None:
    ran = rectl("deploy", "inception/Simpel playbook")
    assert ran.code == 2
    assert ran.err == (
        "rectl: there is no playbook 'inception/Simpel playbook'; did you mean 'inception/Simple playbook'?\n"
    )


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_values_that_no_step_asks_for_are_told_beside_the_id(
    engine: FakeEngine, rectl: Rectl, how: tuple[str, ...]
) -> None:
    warnings = [{"path": "/dynamic/crat", "message": "no step uses the value 'crat'; did you mean 'cart'?"}]
    answer = {"id": ID, "status": "accepted", "links": {}, "warnings": warnings}
    engine.on("POST /api/v1/deployments", Answer(answer, 201))
    ran = rectl("deploy", "p1", "--set", "cart=x", "--set", "crat=y", *how)
    assert ran.code == 0
    assert (json.loads(ran.out)["id"] if how else ran.out.strip()) == ID
    assert "warning: no step uses the value 'crat'; did you mean 'cart'?" in ran.err


def test_a_refused_deployment_says_all_that_is_wrong(engine: FakeEngine, rectl: Rectl) -> None:
    errors = [{"path": "/dynamic/cart", "message": "is missing"}, {"path": "/dynamic/x", "message": "is missing"}]
    engine.on("POST /api/v1/deployments", problem(422, "dynamic values are missing", errors=errors))
    ran = rectl("deploy", "p1")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "rectl: dynamic values are missing",
        "  /dynamic/cart: is missing",
        "  /dynamic/x: is missing",
    ]


def test_watch_in_a_pipe_is_one_line_per_change_and_a_summary(engine: FakeEngine, rectl: Rectl) -> None:
    _ends(engine, deployment("completed", step(0, "completed")))
    ran = rectl("deploy", "p1", "--watch")
    assert ran.code == 0
    told = [line.partition(" ")[2] for line in ran.out.splitlines()[:-1]]
    assert told == [
        f"deployment {ID} of inception/Simple playbook: running (revision 3)",
        "step 0 noop:Do on foo.example.com: running",
        "step 0 | hello",
        "step 0 noop:Do on foo.example.com: completed in 0.5 s",
    ]
    assert ran.out.endswith("completed in 30 s, 1 step: 1 completed\n")
    assert "\x1b" not in ran.out


def test_a_failure_exits_1_with_why_and_the_last_lines(engine: FakeEngine, rectl: Rectl) -> None:
    _ends(engine, deployment("failed", step(0, "failed", message="exit code 3"), reason="noop:Do failed: exit code 3"))
    ran = rectl("watch", ID)
    assert ran.code == 1
    assert [line.strip() for line in ran.out.splitlines()[-3:]] == [
        "✗ failed after 30 s, 1 step: 1 failed",
        "why: step 0 noop:Do on foo.example.com failed: exit code 3",
        "| hello",
    ]


def test_wait_says_nothing_before_the_end(engine: FakeEngine, rectl: Rectl) -> None:
    _ends(engine, deployment("cancelled", step(0, "cancelled")))
    ran = rectl("deploy", "p1", "--wait")
    assert ran.code == 1
    assert len(ran.out.splitlines()) == 1
    assert ran.err == f"deployment {ID}\n"


def test_wait_asks_for_states_alone_and_for_the_lines_of_the_step_that_failed(engine: FakeEngine, rectl: Rectl) -> None:
    end = deployment("failed", step(0, "failed", message="exit code 3"), reason="noop:Do failed: exit code 3")
    engine.on(f"GET {ONE}/events", events(("2.0", "state", end), ("2.0", "end", {})))
    engine.on(f"GET {ONE}/output", Answer({"lines": [line(7, "no space left")], "next": None}))
    ran = rectl("deploy", "p1", "--wait")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].strip() == "| no space left"
    assert [asked.query for asked in engine.requests(f"GET {ONE}/events")] == [{"output": ["false"]}]
    assert [asked.query for asked in engine.requests(f"GET {ONE}/output")] == [{"tail": ["10"], "step": ["0"]}]


def _skips(engine: FakeEngine) -> None:
    """A deployment prints so much that the stream leaves most of it out."""
    begin, end = deployment("running", step(0, "started")), deployment("completed", step(0, "completed"))
    skipped = ("1.123457", "skipped", {"first": 2, "last": 123_457})
    lines = [(f"1.{number}", "output", line(number, f"line {number}")) for number in (1, 123_458)]
    told: list[tuple[str, str, Any]] = [
        ("1.0", "state", begin),
        lines[0],
        skipped,
        lines[1],
        ("2.123458", "state", end),
        ("2.123458", "end", {}),
    ]
    engine.on(f"GET {ONE}", Answer(end))
    engine.on(f"GET {ONE}/events", events(*told))


def test_watch_says_how_many_lines_were_skipped_and_where_they_are(engine: FakeEngine, rectl: Rectl) -> None:
    _skips(engine)
    told = rectl("watch", ID).out.splitlines()
    place = told.index(f"… 123 456 lines skipped; rectl logs {ID} has them")
    assert told[place - 1].endswith(" | line 1")
    assert told[place + 1].endswith(" | line 123458")


def test_watch_as_json_says_which_lines_were_skipped(engine: FakeEngine, rectl: Rectl) -> None:
    _skips(engine)
    told = [json.loads(line) for line in rectl("watch", ID, "--json").out.splitlines()]
    assert told[2] == {"event": "skipped", "first": 2, "last": 123_457}


def test_wait_with_json_is_the_document_of_the_end(engine: FakeEngine, rectl: Rectl) -> None:
    end = deployment("completed", step(0, "completed"))
    _ends(engine, end)
    ran = rectl("deploy", "p1", "--wait", "--json")
    assert (json.loads(ran.out), ran.err) == (end, "")


def test_watch_with_json_is_one_object_per_event(engine: FakeEngine, rectl: Rectl) -> None:
    _ends(engine, deployment("completed", step(0, "completed")))
    told = [json.loads(line) for line in rectl("watch", ID, "--json").out.splitlines()]
    assert [one["event"] for one in told] == ["state", "output", "state"]
    assert told[1]["line"] == line(1)


def test_where_the_stream_ends_too_early_the_journal_has_the_last_word(engine: FakeEngine, rectl: Rectl) -> None:
    _ends(engine, deployment("failed", step(0, "failed")))
    engine.on(f"GET {ONE}/events", events(("1.0", "state", deployment("running", step(0))), ("1.0", "end", {})))
    assert rectl("watch", ID).code == 1


def test_ctrl_c_detaches_and_says_how_to_go_on(
    engine: FakeEngine, rectl: Rectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.on(f"GET {ONE}", Answer(deployment("running", step(0))))

    def interrupted(self: Client, id: str, last: str = "", output: bool = True) -> Iterator[Event]:
        yield StateEvent(deployment("running", step(0, "started")))
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "events", interrupted)
    ran = rectl("watch", ID)
    assert ran.code == 130
    assert f"rectl watch {ID}" in ran.err
    assert f"rectl cancel {ID}" in ran.err
    assert not engine.requests(f"POST {ONE}/cancel")


def test_watch_and_wait_exclude_each_other(rectl: Rectl) -> None:
    assert rectl("deploy", "p1", "--watch", "--wait").code == 2


# -- status, list ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"), [("running", 0), ("cancelling", 0), ("completed", 0), ("failed", 1), ("cancelled", 1)]
)
def test_status_exits_1_only_where_it_ended_badly(engine: FakeEngine, rectl: Rectl, status: str, code: int) -> None:
    engine.on(f"GET {ONE}", Answer(deployment(status, step(0, "completed"))))
    ran = rectl("status", ID)
    assert ran.code == code
    assert "noop:Do" in ran.out


def test_status_shows_the_last_lines_of_the_step_that_failed(engine: FakeEngine, rectl: Rectl) -> None:
    steps = [step(0, "completed"), step(1, "failed", message="exit code 3")]
    engine.on(f"GET {ONE}", Answer(deployment("failed", *steps, reason="noop:Do failed: exit code 3")))
    engine.on(f"GET {ONE}/output", Answer({"lines": [line(7, "all is lost", 1)], "next": None}))
    ran = rectl("status", ID)
    assert [told.strip() for told in ran.out.splitlines()[-3:]] == [
        "2 steps: 1 completed, 1 failed",
        "why: step 1 noop:Do on foo.example.com failed: exit code 3",
        "| all is lost",
    ]
    assert engine.asked[-1].query == {"tail": ["10"], "step": ["1"]}


def test_status_as_json_is_the_document(engine: FakeEngine, rectl: Rectl) -> None:
    document = deployment("running", step(0))
    engine.on(f"GET {ONE}", Answer(document))
    assert json.loads(rectl("status", ID, "--json").out) == document


def test_the_end_of_an_id_finds_a_recent_deployment(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/deployments", _list({"id": "01AAA"}, {"id": ID}))
    engine.on(f"GET {ONE}", Answer(deployment("running")))
    assert rectl("status", "MENT").code == 0


def test_an_id_that_is_no_deployments_is_told(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/deployments", _list({"id": "01AAA"}, {"id": ID}))
    assert "did you mean '01DEPLOYMENT'?" in rectl("status", "01DEPLOIMENT").err
    ran = rectl("status", "zz")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "rectl: nothing is at /api/v1/deployments/zz\n"


def test_an_ambiguous_id_lists_those_that_match(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/deployments", _list({"id": "01DEPLOY1"}, {"id": "01DEPLOY2"}))
    ran = rectl("status", "01DEPLOY")
    assert ran.code == 2
    assert "2 deployments match" in ran.err


def test_deployments_are_a_table_with_what_runs_or_why_it_stopped(engine: FakeEngine, rectl: Rectl) -> None:
    row = {
        "id": ID,
        "group": "g",
        "playbook_id": "p1",
        "playbook": "n",
        "user": "ann",
        "created": "2026-11-22T12:00:00Z",
    }
    running = {**row, "status": "running", "ended": None, "done": 1, "total": 3, "step": "noop:Do", "reason": ""}
    ended = {"ended": "2026-11-22T12:00:05Z", "done": 3, "total": 3, "step": "noop:Do", "reason": "\x1bcbroken"}
    engine.on("GET /api/v1/deployments", _list(running, {**row, **ended, "status": "failed"}))
    head, first, second = rectl("deployments").out.splitlines()
    assert head.split() == ["ID", "STATUS", "CREATED", "USER", "PLAYBOOK", "REV", "VALUES", "TIME", "STEPS", "DETAIL"]
    assert first.split()[-2:] == ["1/3", "noop:Do"]
    assert second.split()[1:2] + second.split()[4:6] == ["failed", "ann", "g/n"]
    assert second.split()[-3:] == ["s", "3/3", "broken"]


def test_filters_travel_as_the_api_names_them(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/deployments", _list())
    arguments = ["--group", "g", "--playbook", "p1", "--status", "failed", "--status", "cancelled", "--user", "ann"]
    ran = rectl("deployments", *arguments, "--since", "2026-11-22T13:00:00+01:00", "--limit", "5")
    assert (ran.code, ran.out, ran.err) == (0, "", "No deployments.\n")
    assert engine.asked[-1].query == {
        "group": ["g"],
        "playbook_id": ["p1"],
        "status": ["failed", "cancelled"],
        "user": ["ann"],
        "since": ["2026-11-22T12:00:00.000Z"],
        "limit": ["5"],
    }


def test_since_takes_a_time_ago(engine: FakeEngine, rectl: Rectl, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.on("GET /api/v1/deployments", _list())
    now = watching.now()
    monkeypatch.setattr(watching, "now", lambda: now.replace(2026, 11, 22, 12, 0, 0, 0))
    rectl("deployments", "--since", "36h")
    assert engine.asked[-1].query["since"] == ["2026-11-21T00:00:00.000Z"]
    assert rectl("deployments", "--since", "a while").code == 2


# -- cancel, logs ----------------------------------------------------------------------------------


def test_cancel_sends_the_reason(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {ONE}", Answer(deployment("running")))
    engine.on(f"POST {ONE}/cancel", Answer({"id": ID, "status": "cancelling"}, 202))
    ran = rectl("cancel", ID, "--reason", "wrong cart")
    assert (ran.code, ran.out) == (0, f"{ID} is being cancelled\n")
    assert engine.asked[-1].document == {"reason": "wrong cart"}


def test_cancelling_what_has_ended_is_refused(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {ONE}", Answer(deployment("completed")))
    engine.on(f"POST {ONE}/cancel", problem(409, "it has completed"))
    ran = rectl("cancel", ID)
    assert (ran.code, ran.err) == (2, "rectl: it has completed\n")


@pytest.mark.parametrize(("end", "code"), [("cancelled", 0), ("completed", 1)])
def test_cancel_that_waits_tells_whether_it_was_cancelled(
    engine: FakeEngine, rectl: Rectl, end: str, code: int
) -> None:
    _ends(engine, deployment(end))
    engine.on(f"POST {ONE}/cancel", Answer({}, 202))
    assert rectl("cancel", ID, "--wait").code == code


@pytest.fixture
def logged(engine: FakeEngine, rectl: Rectl) -> Callable[..., Ran]:
    """`rectl logs` of a deployment whose output is at line 2, while its stream begins at line 4."""
    engine.on(f"GET {ONE}", Answer(deployment("running")))
    lines = [line(1, "one"), line(2, "t\x1b[1mwo", step=1), line(3, "three"), line(4, "four", step=1), line(5, "five")]

    def output(asked: object) -> Answer:
        if "tail" in engine.asked[-1].query:
            return Answer({"lines": [lines[1]], "next": None})
        after = int(engine.asked[-1].query["after"][0])
        step = engine.asked[-1].query.get("step")
        known = lines[: 2 if len(engine.requests(f"GET {ONE}/output")) == 1 else 5]
        found = [one for one in known if one["number"] > after and (step is None or str(one["step"]) == step[0])]
        return Answer({"lines": found, "next": None})

    engine.on(f"GET {ONE}/output", output)
    engine.on(f"GET {ONE}/events", events(("1.4", "output", lines[3]), ("1.4", "end", {})))

    def logs(*arguments: str) -> Ran:
        return rectl("logs", ID, *arguments)

    return logs


def test_logs_prints_what_is_there(logged: Callable[..., Ran]) -> None:
    assert logged().out == "one\ntwo\n"


def test_logs_that_follow_lose_nothing_and_repeat_nothing(logged: Callable[..., Ran]) -> None:
    assert logged("-f").out == "one\ntwo\nthree\nfour\nfive\n"


def test_logs_that_follow_read_what_the_stream_skips(engine: FakeEngine, rectl: Rectl) -> None:
    _skips(engine)

    def output(asked: Asked) -> Answer:
        after = int(asked.query["after"][0])
        upto = min(after + 50_000, 123_458) if len(engine.requests(f"GET {ONE}/output")) > 1 else 1
        lines = [line(number, f"line {number}") for number in range(after + 1, upto + 1)]
        return Answer({"lines": lines, "next": upto if 1 < upto < 123_458 else None})

    engine.on(f"GET {ONE}/output", output)
    assert rectl("logs", ID, "-f").out.splitlines() == [f"line {number}" for number in range(1, 123_459)]


def test_logs_of_one_step(logged: Callable[..., Ran]) -> None:
    assert logged("-f", "--step", "1").out == "two\nfour\n"


def test_logs_of_the_last_lines(logged: Callable[..., Ran], engine: FakeEngine) -> None:
    assert logged("--tail", "1").out == "two\n"
    assert engine.asked[-1].query == {"tail": ["1"]}
    assert logged("--tail", "1", "--after", "3").code == 2


def test_logs_of_the_last_lines_go_on_after_them(logged: Callable[..., Ran]) -> None:
    assert logged("-f", "--tail", "1").out == "two\nthree\nfour\nfive\n"


def test_logs_as_json_keep_the_text_as_it_was(logged: Callable[..., Ran]) -> None:
    told = [json.loads(line) for line in logged("--json").out.splitlines()]
    assert [one["text"] for one in told] == ["one", "t\x1b[1mwo"]


def test_logs_with_times_name_step_and_host(logged: Callable[..., Ran]) -> None:
    first = logged("--times").out.splitlines()[0]
    assert first.endswith("   0 foo.example.com | one")


def test_logs_of_several_hosts_begin_each_line_with_its_host(engine: FakeEngine, rectl: Rectl) -> None:
    steps = [step(0, "completed", host="web1"), step(1, "completed", host="database")]
    engine.on(f"GET {ONE}", Answer(deployment("completed", *steps)))
    lines = [{**line(1, "one"), "host": "web1"}, {**line(2, "two", step=1), "host": "database"}]
    engine.on(f"GET {ONE}/output", Answer({"lines": lines, "next": None}))
    assert rectl("logs", ID).out.splitlines() == ["web1     | one", "database | two"]
    assert rectl("logs", ID, "--no-prefix").out.splitlines() == ["one", "two"]
