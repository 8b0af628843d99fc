"""Apps over HTTP, with a real core behind the front end: created, configured, released, scaled, destroyed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from re_core.apps import events as e
from re_core.playbook import json_schema
from re_core.rows import LogCursor, LogLine
from re_core.usecases.apps import configs
from re_core.usecases.feed import Cursor, FeedReader, cloud_event
from re_core.wire import strict_json
from tests.integration.front_end.app_harness import PATIENCE, URL, AppHarness

#: found nowhere but where it belongs
CANARY = "canary-5f3d9b"


def _events(answer: Any) -> list[dict[str, Any]]:
    """What a stream that is over has sent."""
    frames = [frame.split("\n") for frame in answer.get_data(as_text=True).split("\n\n")]
    return [
        json.loads(line[6:]) for frame in frames for line in frame if line.startswith("data: {") and "id: " in frame[0]
    ]


# -- apps ----------------------------------------------------------------------------------------------


def test_an_app_is_created_once_for_each_key_and_its_name_is_unique_in_the_engine(apps_here: AppHarness) -> None:
    body = {"name": "shop", "group": "ours", "zones": ["eu", "us"]}
    first, again = (apps_here.ok("POST", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first == again
    assert (first["name"], first["group"], first["zones"], first["state"]) == ("shop", "ours", ["eu", "us"], "idle")
    assert first["release"] is first["newest"] is None
    other = apps_here.call("POST", URL, json={**body, "group": "theirs"})
    assert other.status_code == 409
    assert "names are unique in the engine" in other.json["detail"]
    assert [row["name"] for row in apps_here.ok("GET")["items"]] == ["shop"]


def test_of_many_that_create_one_name_at_once_one_succeeds(apps_here: AppHarness) -> None:
    def create(_: int) -> int:
        with apps_here.app.test_client() as client:
            headers = {"Authorization": f"Bearer {apps_here.admin}"}
            body = {"name": "shop", "group": "ours", "zones": ["eu"]}
            return client.post(URL, json=body, headers=headers).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(create, range(6)))
    # who finds an app that the engine has not confirmed yet confirms it
    assert statuses[0] == 201
    assert set(statuses) <= {201, 409}
    assert len(apps_here.store.apps()) == 1
    assert apps_here.state().zones == ("eu",)


def test_what_is_wrong_with_a_new_app_is_said_where_it_stands(apps_here: AppHarness) -> None:
    apps_here.zone("eu")
    apps_here.zone("us")
    for body, path, words in (
        ({"name": "Shop"}, "/name", "lower-case"),
        ({"name": "shop", "zones": ["ue"]}, "/zones/0", "eu"),
        ({"name": "shop", "zones": ["eu", "eu"]}, "/zones/1", "twice"),
        ({"name": "shop", "zones": []}, "/zones", "1 to 32"),
        ({"name": "shop", "gruop": "x"}, "/gruop", "group"),
    ):
        answer = apps_here.call("POST", URL, json=body)
        assert answer.status_code == 422, answer.text
        assert [one["path"] for one in answer.json["errors"]] == [path]
        assert words in answer.text
    assert apps_here.store.apps() == []
    assert apps_here.ok("POST", json={"name": "shop"})["zones"] == ["eu", "us"]


def test_an_app_that_nothing_runs_of_is_destroyed_at_once_and_its_name_is_free(apps_here: AppHarness) -> None:
    before = apps_here.create()
    apps_here.ok("DELETE", "/shop")
    gone = apps_here.call("GET", f"{URL}/shop")
    assert (gone.status_code, "destroyed" in gone.text) == (404, True)
    assert apps_here.ok("GET")["items"] == []
    after = apps_here.create(group="theirs")
    assert after["id"] != before["id"]
    assert after["group"] == "theirs"


def test_the_name_of_a_destroyed_app_is_free_when_its_zones_have_stopped_it(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release()
    apps_here.ok("DELETE", "/shop")
    body = {"name": "shop", "group": "ours", "zones": ["eu"]}
    refused = apps_here.call("POST", URL, json=body)
    assert refused.status_code == 409
    assert "eu, us has still to stop it" in refused.json["detail"]
    apps_here.say(e.Left("eu"), e.Left("us"))
    assert apps_here.ok("POST", json=body)["newest"] is None


def test_an_app_that_is_not_there_is_not_found_by_a_hint_to_what_the_caller_may_see(apps_here: AppHarness) -> None:
    apps_here.create("shop", group="theirs")
    hidden = apps_here.call("GET", f"{URL}/shops", token=apps_here.ours)
    assert (hidden.status_code, "shop'" in hidden.json["detail"].replace("'shops'", "")) == (404, False)
    assert "'shop'" in apps_here.call("GET", f"{URL}/shops").json["detail"]
    assert apps_here.call("GET", f"{URL}/shop", token=apps_here.ours).status_code == 403


# -- releases ------------------------------------------------------------------------------------------


def test_a_push_is_stored_and_queued_and_a_repetition_of_it_is_the_same_release(apps_here: AppHarness) -> None:
    apps_here.create()
    asked = [apps_here.push("?broadcast_id=u-1:3f2c&commit=3f2c9a1") for _ in range(2)]
    assert [one.status_code for one in asked] == [202, 202]
    assert asked[0].json == asked[1].json == {"release": 1, "broadcast_id": "u-1:3f2c"}
    version = apps_here.state().versions[1]
    assert (version.commit, version.note, version.who) == ("3f2c9a1", "Deploy 3f2c9a1", "root")
    group, _, name = version.archive.removeprefix("artifact:").partition("/")
    [stored] = apps_here.call("GET", f"/api/v1/artifacts?group={group}&prefix={name}").json["items"]
    assert (stored["group"], stored["kind"]) == ("ours", "archive")
    assert apps_here.push().json["release"] == 2
    assert [row["release"] for row in apps_here.ok("GET", "/shop/releases")["items"]] == [2, 1]


def test_an_id_of_a_broadcast_belongs_to_one_app(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.create("blog")
    assert apps_here.push("?broadcast_id=taken").status_code == 202
    other = apps_here.push("?broadcast_id=taken", name="blog")
    assert other.status_code == 409
    assert "is taken" in other.json["detail"]
    config = {"set": {"A": "1"}, "broadcast_id": "taken"}
    assert apps_here.call("PATCH", f"{URL}/blog/config", json=config).status_code == 409
    assert apps_here.state("blog").versions == {}


def test_what_is_no_archive_makes_no_release(apps_here: AppHarness) -> None:
    apps_here.create()
    for query, more, status in (
        ("", {"data": b"Procfile", "headers": {"Content-Type": "application/gzip"}}, 422),
        ("", {"json": {}}, 415),
        ("?commit=HEAD", {"data": b"", "headers": {"Content-Type": "application/gzip"}}, 400),
        ("?broadcast_id=a%20b", {"data": b"", "headers": {"Content-Type": "application/gzip"}}, 400),
    ):
        answer = apps_here.call("POST", f"{URL}/shop/releases{query}", **more)
        assert answer.status_code == status, answer.text
    assert apps_here.state().versions == {}
    assert apps_here.call("GET", "/api/v1/artifacts").json["items"] == []


def test_releases_come_back_and_what_cannot_is_said_with_what_can(apps_here: AppHarness) -> None:
    apps_here.create()
    assert apps_here.call("POST", f"{URL}/shop/rollback", json={}).status_code == 409
    apps_here.release("a")
    apps_here.release("b")
    apps_here.steps.failing.add(3)
    apps_here.push()
    apps_here.end(3)
    refused = apps_here.call("POST", f"{URL}/shop/rollback", json={"release": 3})
    assert (refused.status_code, refused.json["detail"]) == (409, "v3 failed and never ran; succeeded: v2, v1")
    missing = apps_here.call("POST", f"{URL}/shop/rollback", json={"release": 12})
    assert (missing.status_code, missing.json["detail"]) == (404, "release 12 of shop not found")
    asked = apps_here.ok("POST", "/shop/rollback", json={"broadcast_id": "back"})
    assert asked == {"release": 4, "broadcast_id": "back"}
    apps_here.end(4)
    shown = apps_here.ok("GET", "/shop/releases/4")
    assert (shown["kind"], shown["of"], shown["note"], shown["current"]) == ("rollback", 1, "Rollback to v1", True)
    assert shown["payload"]["digest"] == "a" * 64
    assert apps_here.ok("POST", "/shop/rollback", json={"broadcast_id": "back"}) == asked
    assert apps_here.ok("GET", "/shop")["release"] == 4


def test_only_what_failed_is_tried_again_with_the_same_archive(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.steps.failing.update({1, 3})
    apps_here.push("?commit=3f2c9a1")
    apps_here.end(1)
    assert apps_here.ok("GET", "/shop/releases/1")["status"] == "failed"
    assert apps_here.ok("POST", "/shop/releases/1/retry")["release"] == 2
    first, second = apps_here.state().versions.values()
    assert (second.archive, second.commit, second.note) == (first.archive, first.commit, "Retry v1")
    apps_here.end(2)
    refused = apps_here.call("POST", f"{URL}/shop/releases/2/retry")
    assert (refused.status_code, "v2 succeeded" in refused.json["detail"]) == (409, True)
    assert apps_here.call("POST", f"{URL}/shop/releases/9/retry").status_code == 404
    apps_here.say(e.Build("https://ann:t0ken@files.example/shop.tar.gz", "", "a" * 36, "", "ann"))
    apps_here.end(3)
    assert apps_here.call("POST", f"{URL}/shop/releases/3/retry").status_code == 400


# -- config --------------------------------------------------------------------------------------------


def test_before_the_first_release_a_config_makes_none_and_afterwards_each_change_is_one(apps_here: AppHarness) -> None:
    apps_here.create()
    first = apps_here.ok("PATCH", "/shop/config", json={"set": {"A": "1", "B": "2\n3"}})
    assert first == {"release": None, "broadcast_id": None, "names": ["A", "B"]}
    apps_here.release()
    asked = apps_here.ok("PATCH", "/shop/config", json={"set": {"C": "4", "A": "9"}, "unset": ["B"]})
    assert (asked["release"], asked["names"]) == (2, ["A", "C"])
    apps_here.end(2)
    shown = apps_here.ok("GET", "/shop/releases/2")
    assert (shown["kind"], shown["note"]) == ("config", "Config add C, change A, remove B")
    assert shown["config"] == ["A", "C"]
    same = apps_here.ok("PATCH", "/shop/config", json={"set": {"C": "4"}, "unset": ["B"]})
    assert (same["release"], apps_here.state().last) == (None, 2)
    values = apps_here.call("GET", f"{URL}/shop/config?values=true")
    assert values.json == {"names": ["A", "C"], "values": {"A": "9", "C": "4"}}
    assert values.headers["Cache-Control"] == "no-store"


def test_a_config_whose_release_fails_is_as_it_was(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.ok("PATCH", "/shop/config", json={"set": {"A": "1"}})
    apps_here.release()
    apps_here.steps.failing.add(2)
    apps_here.ok("PATCH", "/shop/config", json={"set": {"A": "2", "B": "3"}})
    apps_here.end(2)
    assert apps_here.ok("GET", "/shop/config?values=true")["values"] == {"A": "1"}
    refused = apps_here.call("POST", f"{URL}/shop/releases/2/retry")
    assert (refused.status_code, "set it again" in refused.json["detail"]) == (409, True)


def test_changes_at_one_time_are_all_kept(apps_here: AppHarness) -> None:
    apps_here.create()

    def change(n: int) -> int:
        with apps_here.app.test_client() as client:
            headers = {"Authorization": f"Bearer {apps_here.admin}"}
            return client.patch(f"{URL}/shop/config", json={"set": {f"V{n}": str(n)}}, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(change, range(4))) == {202}
    assert apps_here.ok("GET", "/shop/config?values=true")["values"] == {f"V{n}": str(n) for n in range(4)}


def test_a_change_whose_answer_was_lost_is_the_same_release(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release()
    body = {"set": {"A": "1"}, "broadcast_id": "once"}
    first, again = (apps_here.ok("PATCH", "/shop/config", json=body) for _ in range(2))
    assert first == again == {"release": 2, "broadcast_id": "once", "names": ["A"]}


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"set": {"PORT": CANARY}}, "/set/PORT"),
        ({"set": {"LD_PRELOAD": CANARY}}, "/set/LD_PRELOAD"),
        ({"set": {"DPLOY_X": CANARY}}, "/set/DPLOY_X"),
        ({"set": {"A B": CANARY}}, "/set/A B"),
        ({"set": {"A": CANARY + "\0"}}, "/set/A"),
        ({"set": {"A": 5}}, "/set/A"),
        ({"set": {"A": CANARY + "x" * 70_000}}, ""),
        ({"set": {f"V{n}": CANARY for n in range(201)}}, ""),
        ({"set": {"A": CANARY}, "unset": ["A"]}, "/unset"),
        ({}, ""),
    ],
)
def test_a_config_that_cannot_be_is_refused_without_a_word_of_its_values(
    apps_here: AppHarness, changed: dict[str, Any], path: str
) -> None:
    apps_here.create()
    answer = apps_here.call("PATCH", f"{URL}/shop/config", json=changed)
    assert answer.status_code == 422, answer.text
    assert path in [one["path"] for one in answer.json.get("errors", [{"path": ""}])]
    assert CANARY not in answer.text
    assert apps_here.state().config.id == ""


def test_values_stand_in_no_journal_and_no_row_that_is_not_sealed(apps_here: AppHarness, tmp_path: Path) -> None:
    apps_here.create()
    apps_here.release()
    value = f"{CANARY}\nsecond line"
    apps_here.ok("PATCH", "/shop/config", json={"set": {"TOKEN": value}})
    apps_here.end(2)
    assert apps_here.ok("GET", "/shop/config?values=true")["values"] == {"TOKEN": value}
    apps_here.ok("PATCH", "/shop/config", json={"unset": ["TOKEN"]})
    found = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert found == []
    for path in ("/shop", "/shop/config", "/shop/releases/2", "/shop/releases"):
        assert CANARY not in json.dumps(apps_here.ok("GET", path))


def test_who_may_not_push_code_reads_no_values(apps_here: AppHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    apps_here.create()
    apps_here.ok("PATCH", "/shop/config", json={"set": {"A": "1"}})
    for role, status in (("viewer", 403), ("author", 403), ("operator", 403), ("member", 200)):
        apps_here.become(monkeypatch, role)
        assert apps_here.call("GET", f"{URL}/shop/config?values=true").status_code == status
        assert apps_here.ok("GET", "/shop/config") == {"names": ["A"]}


def test_a_note_names_variables_and_stays_within_its_bound() -> None:
    names = [f"{chr(65 + n)}{'X' * 127}" for n in range(20)]
    note = configs._note(configs.Change(dict.fromkeys(names, "v"), ["OLD"]), {"OLD": "x"})
    assert len(note) <= 500
    assert note.endswith("and 15 more, remove OLD")


# -- what runs -----------------------------------------------------------------------------------------


def test_counts_change_what_runs_and_make_no_release(apps_here: AppHarness) -> None:
    apps_here.create()
    assert apps_here.call("PATCH", f"{URL}/shop/formation", json={"formation": {"web": 2}}).status_code == 409
    apps_here.release()
    assert apps_here.ok("PATCH", "/shop/formation", json={"formation": {"web": 3}}) == {
        "formation": {"web": 3, "worker": 0}
    }
    assert apps_here.ok("GET", "/shop")["newest"] == 1
    for formation, status in (
        ({"webb": 1}, 400),
        ({"web": 21}, 422),
        ({"web": "two"}, 422),
        ({"web": True}, 422),
        ({}, 422),
    ):
        assert apps_here.call("PATCH", f"{URL}/shop/formation", json={"formation": formation}).status_code == status


def test_a_restart_and_a_run_are_carried_out_once_for_each_key(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release()
    for _ in range(2):
        apps_here.ok("POST", "/shop/restart", headers={"Idempotency-Key": "r"})
    assert apps_here.state().generation == 2
    first, again = (
        apps_here.ok("POST", "/shop/runs", json={"command": "ls"}, headers={"Idempotency-Key": "l"}) for _ in range(2)
    )
    assert first == again
    seen = apps_here.state()
    while not seen.runs[first["run"]].ended:
        seen = apps_here.reader.wait(apps_here.id(), seen.entry, PATIENCE) or seen
    [run] = apps_here.ok("GET", "/shop")["runs"]
    assert (run["command"], run["user"], run["zone"], run["code"]) == ("ls", "root", "eu", 3)


def test_a_key_of_one_user_is_no_key_of_another(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release()
    for token in (apps_here.admin, apps_here.ours):
        apps_here.ok("POST", "/shop/restart", token=token, headers={"Idempotency-Key": "same"})
    assert apps_here.state().generation == 3


def test_processes_and_routes_are_what_zones_have_reported(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release()
    row = {
        "name": "web.1",
        "state": "up",
        "port": 5001,
        "pid": 7,
        "since": 1000,
        "exit": "",
        "restarts": 2,
        "version": 1,
    }
    app = {"app_id": apps_here.id(), "version": 1, "state": "running", "ps": [row]}
    apps_here.zone("eu", apps={"shop": {**app, "routes": {"revision": 9, "addresses": ["10.0.0.5:5001"]}}})
    found = apps_here.ok("GET", "/shop/ps")
    assert [(one["zone"], one["process"], one["port"], one["restarts"], one["release"]) for one in found["items"]] == [
        ("eu", "web.1", 5001, 2, 1)
    ]
    eu, us = found["zones"]
    assert (eu["release"], eu["trouble"]) == (1, "")
    assert (us["seen"], us["trouble"]) == (None, "the engine has no zone of this name")
    apps_here.zone("us", apps={}, trouble="it does not answer")
    assert apps_here.ok("GET", "/shop/ps")["zones"][1]["trouble"] == "it does not answer"
    apps_here.zone("us", apps={"shop": {**app, "version": 0}})
    assert apps_here.ok("GET", "/shop/ps")["zones"][1]["trouble"] == "it follows to v1"
    assert apps_here.ok("GET", "/shop/routes")["addresses"] == ["10.0.0.5:5001"]
    [first, second] = apps_here.call("GET", "/api/v1/zones").json["items"]
    assert (first["name"], first["apps"], second["name"]) == ("eu", ["shop"], "us")


@pytest.mark.parametrize(
    "report", [{}, {"apps": 5}, {"apps": {"shop": []}}, {"apps": {"shop": {"ps": [5, {"name": 6}]}}}]
)
def test_what_a_zone_reports_amiss_breaks_nothing(apps_here: AppHarness, report: dict[str, Any]) -> None:
    apps_here.create(zones=["eu"])
    apps_here.zone("eu", **report)
    found = apps_here.ok("GET", "/shop/ps")
    assert [zone["zone"] for zone in found["zones"]] == ["eu"]
    assert apps_here.ok("GET", "/shop/routes")["addresses"] == []
    assert apps_here.call("GET", "/api/v1/zones").status_code == 200


def test_zones_that_are_taken_off_have_still_to_stop_the_app(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release()
    after = apps_here.ok("PUT", "/shop/zones", json={"zones": ["us", "ap"]})
    assert (after["zones"], after["leaving"]) == (["us", "ap"], ["eu"])
    row = apps_here.store.app_by_name("shop")
    assert row is not None
    assert row.zones == ("us", "ap")
    assert [zone["zone"] for zone in apps_here.ok("GET", "/shop/ps")["zones"]] == ["us", "ap", "eu"]


def test_only_an_engine_that_is_behind_takes_zones_over(apps_here: AppHarness) -> None:
    apps_here.create(zones=["eu"])
    apps_here.zone("eu", apps={"shop": {"app_id": apps_here.id(), "epoch": 1}})
    refused = apps_here.call("POST", f"{URL}/shop/takeover")
    assert (refused.status_code, "nothing to take over" in refused.json["detail"]) == (409, True)
    apps_here.zone("eu", apps={"shop": {"app_id": apps_here.id(), "epoch": 812}})
    apps_here.ok("POST", "/shop/takeover")
    assert apps_here.state().epoch > 812


# -- streams -------------------------------------------------------------------------------------------


def test_a_release_says_each_line_once_and_one_end(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release(query="?broadcast_id=b1")
    found = _events(apps_here.call("GET", f"{URL}/shop/broadcasts/b1"))
    assert [(one["type"], one["body"]) for one in found] == [
        ("status", {"type": "info", "data": "Building v1"}),
        ("output", {"type": "line", "data": "Collecting flask"}),
        ("status", {"type": "completed", "data": "v1 runs in eu, us"}),
    ]
    headers = {"Last-Event-ID": "1"}
    assert _events(apps_here.call("GET", f"{URL}/shop/broadcasts/b1", headers=headers)) == found[1:]
    assert apps_here.call("GET", f"{URL}/shop/broadcasts/b2").status_code == 404
    assert apps_here.call("GET", f"{URL}/shop/broadcasts/b1", headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_release_that_fails_ends_its_stream_with_the_reason(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.steps.failing.add(1)
    apps_here.push("?broadcast_id=b1")
    apps_here.end(1)
    [line, end] = _events(apps_here.call("GET", f"{URL}/shop/broadcasts/b1"))
    assert line["body"] == {"type": "line", "data": "Traceback of what was tried"}
    assert end["body"]["type"] == "error"
    assert end["body"]["data"].startswith("v1 failed: ")
    assert "it was told to fail" in end["body"]["data"]


def test_the_log_is_read_from_its_end_and_followed_behind_a_line(apps_here: AppHarness) -> None:
    apps_here.create()
    id = apps_here.id()
    lines = [LogLine(1000 + n, "eu", f"web.{n % 2 + 1}", "app", f"line {n}") for n in range(1, 6)]
    lines.insert(0, LogLine(1000, "eu", "dploy.0", "dploy", "web.1 line 0"))
    assert apps_here.store.add_log_lines(lines, LogCursor(id, "eu", "d", {"web.1-1": (0, 1)}))
    assert [one["text"] for one in apps_here.ok("GET", "/shop/logs?tail=2")["lines"]] == ["line 4", "line 5"]
    assert [one["text"] for one in apps_here.ok("GET", "/shop/logs?ps=web.1&source=app")["lines"]] == [
        "line 2",
        "line 4",
    ]
    assert len(apps_here.ok("GET", "/shop/logs?ps=web")["lines"]) == 6
    assert apps_here.call("GET", f"{URL}/shop/logs?source=zone").status_code == 400
    answer = apps_here.call("GET", f"{URL}/shop/logs/events", headers={"Last-Event-ID": "4"}, buffered=False)
    pieces = iter(answer.response)
    assert b"ready" in next(pieces)
    frames = next(pieces).decode()
    assert [strict_json.loads(line[6:])["id"] for line in frames.splitlines() if line.startswith("data: ")] == [
        "5",
        "6",
    ]
    answer.close()


def test_what_happens_to_apps_is_in_the_feed_as_the_schema_says(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.release(query="?commit=3f2c9a1")
    apps_here.ok("PATCH", "/shop/formation", json={"formation": {"web": 2}})
    apps_here.ok("DELETE", "/shop")
    placed, _ = FeedReader(apps_here.store).after(Cursor(0))
    found = [cloud_event(one.event) for one in placed if one.event.kind == "app"]
    assert [one["type"].rpartition(".")[2] for one in found] == [
        "registered",
        "queued",
        "committed",
        "scaled",
        "destroyed",
    ]
    assert [one for event in found for one in json_schema.problems("event", event)] == []
    assert found[1]["data"] == {
        "app": found[0]["subject"],
        "group": "ours",
        "name": "shop",
        "version": 1,
        "made_by": "build",
        "commit": "3f2c9a1",
        "who": "root",
        "of": 0,
    }
