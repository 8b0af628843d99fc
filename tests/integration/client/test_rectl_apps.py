"""`rectl apps`: what it asks the engine for, what it prints at 3 a.m., and what it exits with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, events, problem

APPS = "/api/v1/apps"


def _ago(**passed: float) -> str:
    return (datetime.now(UTC) - timedelta(**passed)).isoformat()


def _app(**changes: Any) -> dict[str, Any]:
    return {
        "id": "01APP",
        "group": "web",
        "name": "shop",
        "state": "idle",
        "zones": ["eu", "us"],
        "release": 2,
        "newest": 3,
        "newest_status": "failed",
        "waiting": 0,
        "formation": {"web": 2, "worker": 0},
        "created": _ago(days=1),
        "destroyed": None,
        "config": ["GREETING", "TOKEN"],
        "processes": {"web": "gunicorn app:app", "worker": "python worker.py"},
        "commit": "3f2c9a1" + "0" * 33,
        "releasing": None,
        "leaving": [],
        "runs": [],
        **changes,
    }


def _release(number: int, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "release": number,
        "status": status,
        "current": False,
        "kind": "build",
        "commit": "77ab210" + "0" * 33,
        "note": "Deploy 77ab210",
        "user": "ann",
        "created": _ago(minutes=number),
        "ended": None,
        "why": "",
        "stage": "",
        "of": None,
        "deployment": "01DEP",
        "broadcast_id": f"b{number}",
        **changes,
    }


def _said(*messages: tuple[str, str]) -> Answer:
    """A broadcast: `line` is what a program prints, the rest is status."""
    documents = [
        {"type": "output" if kind == "line" else "status", "body": {"type": kind, "data": text}, "seq": place}
        for place, (kind, text) in enumerate(messages, 1)
    ]
    return events(*((str(one["seq"]), "message", one) for one in documents), ("9", "end", {}))


def test_an_app_is_created_in_its_zones_and_the_next_step_is_named(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"POST {APPS}", Answer(_app(), 201))
    ran = rectl("apps", "create", "shop", "--zones", "eu, us", "--group", "web")
    assert (ran.code, ran.out) == (0, "shop created in group web, zones eu us\n")
    assert "rectl apps push shop ARCHIVE" in ran.err
    assert engine.asked[-1].document == {"name": "shop", "group": "web", "zones": ["eu", "us"]}
    assert engine.asked[-1].headers["idempotency-key"]
    rectl("apps", "create", "shop")
    assert engine.asked[-1].document == {"name": "shop"}


def test_releases_show_what_runs_and_why_one_failed(engine: FakeEngine, rectl: Rectl) -> None:
    why = "eu: web.1 did not listen on port 5002 within 60 s"
    rows = [
        _release(3, "failed", why=why, stage="deploy"),
        _release(2, "succeeded", current=True),
        _release(1, "succeeded"),
    ]
    engine.on(f"GET {APPS}/shop/releases", Answer({"items": rows, "next": None}))
    head, third, second, first = rectl("apps", "releases", "shop").out.splitlines()
    assert head.split() == ["V", "STATUS", "COMMIT", "NOTE", "BY", "WHEN", "WHY"]
    assert third.split()[:3] == ["v3", "failed", "77ab210"]
    assert third.endswith(why)
    assert second.split()[:2] == ["v2*", "succeeded"]
    assert first.split()[:2] == ["v1", "succeeded"]
    assert json.loads(rectl("apps", "releases", "shop", "--json").out) == rows


def test_one_release_is_shown_by_its_number_or_as_the_newest(engine: FakeEngine, rectl: Rectl) -> None:
    whole = {
        **_release(3, "failed", why="it ended", stage="deploy", kind="rollback", of=1),
        "zones": ["eu", "us"],
        "ready": ["eu"],
        "switched": [],
        "config": ["GREETING"],
        "formation": {},
        "processes": {"web": "gunicorn app:app"},
        "payload": {"digest": "3fa9c1d200aa" + "0" * 52, "size": 2048, "python": "3.13"},
    }
    engine.on(f"GET {APPS}/shop/releases/3", Answer(whole))
    engine.on(f"GET {APPS}/shop", Answer(_app()))
    out = rectl("apps", "releases", "info", "shop", "v3").out
    for words in (
        "v3 failed\n",
        "it ended (stage deploy)",
        "rollback of v1, ann",
        "eu (ready) us (not ready)",
        "2.0 KiB, sha256 3fa9c1d200aa, Python 3.13",
        "rectl logs 01DEP",
    ):
        assert words in out
    assert rectl("apps", "releases", "info", "shop").out == out
    assert rectl("apps", "releases", "info", "shop", "third").code == 2


def test_a_config_change_shows_the_release_and_not_what_programs_print(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"PATCH {APPS}/shop/config", Answer({"release": 4, "broadcast_id": "b4", "names": ["A"]}, 202))
    engine.on(
        f"GET {APPS}/shop/broadcasts/b4",
        _said(("line", "starting"), ("info", "eu: web.1 up"), ("completed", "v4 runs in eu")),
    )
    ran = rectl("apps", "config", "set", "shop", "A=b=c", "B=")
    assert (ran.code, ran.out) == (0, "-----> eu: web.1 up\n-----> v4 runs in eu\n")
    asked = engine.requests(f"PATCH {APPS}/shop/config")[-1].document
    assert (asked["set"], asked["unset"]) == ({"A": "b=c", "B": ""}, [])
    assert asked["broadcast_id"]


def test_a_release_that_fails_exits_with_1_and_shows_the_last_lines(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"POST {APPS}/shop/rollback", Answer({"release": 4, "broadcast_id": "b4"}, 202))
    engine.on(
        f"GET {APPS}/shop/broadcasts/b4",
        _said(("line", "Traceback"), ("error", "v4 failed: eu: web.1 ended with code 1")),
    )
    ran = rectl("apps", "rollback", "shop", "v2")
    assert ran.code == 1
    assert ran.out == "       Traceback\n !     v4 failed: eu: web.1 ended with code 1\n"
    assert engine.requests(f"POST {APPS}/shop/rollback")[-1].document["release"] == 2


def test_a_rollback_that_cannot_be_says_what_can(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"POST {APPS}/shop/rollback", problem(409, "v3 failed and never ran; succeeded: v2, v1"))
    ran = rectl("apps", "rollback", "shop", "v3")
    assert (ran.code, ran.out) == (2, "")
    assert "v3 failed and never ran; succeeded: v2, v1" in ran.err


def test_a_stream_that_is_cut_goes_on_behind_the_last_message(engine: FakeEngine, rectl: Rectl) -> None:
    message = {"type": "status", "body": {"type": "info", "data": "one"}, "seq": 1}
    engine.on(f"POST {APPS}/shop/releases/3/retry", Answer({"release": 4, "broadcast_id": "b4"}, 202))
    engine.on(
        f"GET {APPS}/shop/broadcasts/b4",
        events(("1", "message", message), cut=True),
        events(("2", "message", {**message, "body": {"type": "completed", "data": "done"}}), ("2", "end", {})),
    )
    ran = rectl("apps", "releases", "retry", "shop", "v3")
    assert (ran.code, ran.out) == (0, "-----> one\n-----> done\n")
    assert engine.asked[-1].headers["last-event-id"] == "1"


def test_values_are_printed_only_by_config_get(engine: FakeEngine, rectl: Rectl) -> None:
    names = ["GREETING", "TOKEN"]
    engine.on(
        f"GET {APPS}/shop/config",
        lambda asked: Answer(
            {"names": names, **({"values": {"GREETING": "hello", "TOKEN": "a\nb"}} if asked.query else {})}
        ),
    )
    assert rectl("apps", "config", "shop").out.splitlines() == names
    assert engine.asked[-1].query == {}
    assert rectl("apps", "config", "get", "shop", "TOKEN").out == "a\nb\n"
    assert engine.asked[-1].query == {"values": ["true"]}
    missing = rectl("apps", "config", "get", "shop", "TOKENS")
    assert (missing.code, missing.out) == (2, "")
    assert "it has GREETING, TOKEN" in missing.err


def test_a_secret_can_be_set_without_standing_on_a_command_line(
    engine: FakeEngine, rectl: Rectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("line 1\nline 2\n"))
    engine.on(f"PATCH {APPS}/shop/config", Answer({"release": None, "broadcast_id": None, "names": ["TOKEN"]}, 202))
    ran = rectl("apps", "config", "set", "shop", "--stdin", "TOKEN")
    assert (ran.code, ran.out) == (0, "nothing had to be released\n")
    assert engine.asked[-1].document["set"] == {"TOKEN": "line 1\nline 2"}


def test_ps_shows_every_process_and_what_is_wrong_with_a_zone(engine: FakeEngine, rectl: Rectl) -> None:
    def process(zone: str, **changes: Any) -> dict[str, Any]:
        row = {"zone": zone, "process": "web.1", "state": "up", "port": 5001, "since": _ago(minutes=4), "exit": ""}
        return {**row, "restarts": 0, "release": 2, **changes}

    zones = [
        {"zone": "eu", "seen": _ago(seconds=1), "release": 2, "state": "running", "trouble": ""},
        {"zone": "us", "seen": _ago(minutes=3), "release": 2, "state": "running", "trouble": "it does not answer"},
    ]
    items = [process("eu"), process("us", state="crashed", exit="code 3", restarts=7)]
    engine.on(f"GET {APPS}/shop/ps", Answer({"items": items, "zones": zones}))
    head, eu, us, trouble = rectl("apps", "ps", "shop").out.splitlines()
    assert head.split() == ["ZONE", "PROCESS", "STATE", "SINCE", "PORT", "RESTARTS", "VERSION", "EXIT"]
    assert eu.split() == ["eu", "web.1", "up", "4", "m", "00", "s", "5001", "0", "v2", "-"]
    assert us.split()[:3] == ["us", "web.1", "crashed"]
    assert us.split()[-4:] == ["7", "v2", "code", "3"]
    assert trouble.startswith("us: it does not answer (last seen 3 m")


def test_counts_are_set_and_shown(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"PATCH {APPS}/shop/formation", Answer({"formation": {"worker": 1, "web": 2}}))
    engine.on(f"GET {APPS}/shop", Answer(_app()))
    ran = rectl("apps", "scale", "shop", "web=2", "worker=1")
    assert (ran.code, ran.out) == (0, "shop is to run web=2 worker=1 in each zone\n")
    assert engine.asked[-1].document == {"formation": {"web": 2, "worker": 1}}
    assert rectl("apps", "scale", "shop").out == "shop runs web=2 worker=0 in each zone\n"
    assert rectl("apps", "scale", "shop", "web=-1").code == 2


def test_the_log_goes_on_behind_its_last_line(engine: FakeEngine, rectl: Rectl) -> None:
    def line(id: int, text: str, source: str = "app") -> dict[str, Any]:
        at = "2026-11-28T12:00:04.004Z"
        return {"id": str(id), "at": at, "zone": "eu", "process": "web.1", "source": source, "text": text}

    engine.on(f"GET {APPS}/shop/logs", Answer({"lines": [line(7, "State changed from starting to up", "dploy")]}))
    engine.on(f"GET {APPS}/shop/logs/events", events(("8", "line", line(8, "GET / \x1b[31m200")), ("8", "end", {})))
    ran = rectl("apps", "logs", "shop", "--tail", "-n", "1", "--ps", "web")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "2026-11-28T12:00:04.004Z eu dploy[web.1]: State changed from starting to up",
        "2026-11-28T12:00:04.004Z eu app[web.1]: GET / 200",
    ]
    assert engine.asked[-1].headers["last-event-id"] == "7"
    assert engine.asked[-1].query == {"ps": ["web"]}
    assert engine.asked[0].query == {"tail": ["1"], "ps": ["web"]}


@pytest.mark.parametrize(("code", "exit"), [(0, 0), (3, 3), (None, 1)])
def test_a_command_exits_with_its_own_code(engine: FakeEngine, rectl: Rectl, code: int | None, exit: int) -> None:
    run = {"run": 5, "zone": "eu", "command": "x", "user": "ann", "started": _ago(), "ended": _ago(), "code": code}
    engine.on(f"POST {APPS}/shop/runs", Answer({"run": 5, "deployment": "01RUN"}, 202))
    engine.on("GET /api/v1/deployments/01RUN", problem(404, "not yet"), Answer({"id": "01RUN"}))
    engine.on(
        f"GET {APPS}/shop",
        Answer(_app(runs=[{**run, "ended": None, "code": None, "why": "", "deployment": "01RUN"}])),
        Answer(_app(runs=[{**run, "why": "it vanished", "deployment": "01RUN"}])),
    )
    printed = {"number": 1, "step": 0, "host": "eu", "at": _ago(), "text": "migrated"}
    engine.on("GET /api/v1/deployments/01RUN/events", events(("1.1", "output", printed), ("1.1", "end", {})))
    ran = rectl("apps", "run", "shop", "--", "python", "manage.py", "migrate it", "--now")
    assert (ran.code, ran.out) == (exit, "migrated\n")
    assert engine.asked[0].document == {"command": "python manage.py 'migrate it' --now"}
    assert ("it vanished" in ran.err) == (code is None)


def test_an_app_is_destroyed_only_by_its_name(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {APPS}/shop", Answer(_app()))
    engine.on(f"DELETE {APPS}/shop", Answer(None, 204))
    refused = [rectl("apps", "destroy", "shop"), rectl("apps", "destroy", "shop", "--confirm", "shops")]
    assert [one.code for one in refused] == [2, 2]
    assert "--confirm shop" in refused[0].err
    assert engine.requests(f"DELETE {APPS}/shop") == []
    assert rectl("apps", "destroy", "shop", "--confirm", "shop").code == 0
    assert len(engine.requests(f"DELETE {APPS}/shop")) == 1


def test_zones_are_listed_and_set(engine: FakeEngine, rectl: Rectl) -> None:
    rows = [
        {"name": "eu", "seen": _ago(seconds=2), "apps": ["blog", "shop"], "trouble": ""},
        {"name": "us", "seen": None, "apps": [], "trouble": "it does not answer"},
    ]
    engine.on("GET /api/v1/zones", Answer({"items": rows, "next": None}))
    engine.on(f"PUT {APPS}/shop/zones", Answer(_app(zones=["us"])))
    head, eu, us = rectl("apps", "zones").out.splitlines()
    assert head.split() == ["ZONE", "SEEN", "APPS", "TROUBLE"]
    assert eu.split()[0] == "eu"
    assert eu.split()[-3:] == ["blog", "shop", "-"]
    assert us.split()[:2] == ["us", "never"]
    assert rectl("apps", "zones", "shop", "--set", "us").out == "shop runs in us\n"
    assert engine.asked[-1].document == {"zones": ["us"]}
    assert rectl("apps", "zones", "--set", "us").code == 2


def test_a_zone_that_never_comes_back_is_removed_after_a_question(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("DELETE /api/v1/zones/us", Answer(None, 204))
    assert rectl("apps", "zones", "shop", "--remove", "us").code == 2
    assert rectl("apps", "zones", "--remove", "us").code != 0
    assert engine.requests("DELETE /api/v1/zones/us") == []
    removed = rectl("apps", "zones", "--remove", "us", "--yes")
    assert (removed.code, "the zone us is removed" in removed.err) == (0, True)
    assert len(engine.requests("DELETE /api/v1/zones/us")) == 1


def test_an_app_is_shown_with_what_it_runs(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {APPS}/shop", Answer(_app(releasing=4, waiting=2, leaving=["ap"])))
    engine.on(f"GET {APPS}", Answer({"items": [_app()], "next": None}))
    out = rectl("apps", "info", "shop").out
    for words in (
        "shop of group web, 01APP",
        "v2, commit 3f2c9a1\n",
        "v4; 2 wait behind it",
        "v3 failed",
        "ap: not stopped there yet",
        "web=2: gunicorn app:app",
        "worker=0: python worker.py",
        "GREETING TOKEN",
    ):
        assert words in out
    head, row = rectl("apps", "list").out.splitlines()
    assert head.split() == ["APP", "GROUP", "STATE", "RELEASE", "NEWEST", "PROCESSES", "ZONES"]
    assert row.split() == ["shop", "web", "idle", "v2", "v3", "failed", "web=2", "worker=0", "eu", "us"]
