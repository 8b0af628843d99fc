"""Deployments over HTTP: how they start, what is told of them, and how a refusal of the core is said."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from re_core.deployment.state import fold
from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.integration.front_end.front_end_harness import T0, Answer, FrontEndHarness, accept, body, refuse

WANTED = {"group": "ours", "playbook_id": "book"}
ROUTE = "/api/v1/deployments"


def test_a_deployment_is_created_with_a_location_and_links(harness: FrontEndHarness) -> None:
    with harness.core(accept) as asked:
        response = harness.call("POST", ROUTE, harness.ours, json={**WANTED, "dynamic": {"cart": "x"}})

    id = response.json["id"]
    assert response.status_code == 201
    assert response.json["status"] == "accepted"
    assert response.headers["Location"] == f"{ROUTE}/{id}" == response.json["links"]["self"]
    [message] = asked
    assert (message.key, message.id, message.correlation_id, message.expires) == (
        "job.create",
        id,
        id,
        m.request_life(5),
    )
    assert body(message) == {**WANTED, "dynamic": {"cart": "x"}}
    assert message.headers[m.USER] == "olga"
    assert message.headers[m.SOURCE] == "127.0.0.1"
    assert m.KEY not in message.headers


def test_a_user_in_the_body_is_ignored(harness: FrontEndHarness) -> None:
    with harness.core(accept) as asked:
        harness.call("POST", ROUTE, harness.ours, json={**WANTED, "user_id": "root", "source_ip": "10.0.0.1"})

    assert asked[0].headers[m.USER] == "olga"
    assert set(body(asked[0])) == {"group", "playbook_id", "dynamic"}


def test_an_idempotency_key_reaches_the_core_as_digests_that_only_the_same_request_shares(
    harness: FrontEndHarness,
) -> None:
    def keyed(token: str, key: str, wanted: dict[str, Any]) -> None:
        assert harness.call("POST", ROUTE, token, json=wanted, headers={"Idempotency-Key": key}).status_code == 201

    with harness.core(accept) as asked:
        keyed(harness.ours, "k", {**WANTED, "dynamic": {"a": 1, "b": 2}})
        keyed(harness.ours, "k", {"dynamic": {"b": 2, "a": 1}, **WANTED})
        keyed(harness.admin, "k", WANTED)
        keyed(harness.ours, "l", WANTED)

    keys = [message.headers[m.KEY] for message in asked]
    digests = [message.headers[m.KEY_DIGEST] for message in asked]
    assert keys[0] == keys[1]
    assert digests[0] == digests[1] != digests[2]
    assert len(set(keys)) == 3
    assert all(len(text) == 64 for text in keys + digests)
    assert len({message.id for message in asked}) == 4


@pytest.mark.parametrize("key", ["x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(harness: FrontEndHarness, key: str) -> None:
    assert harness.call("POST", ROUTE, json=WANTED, headers={"Idempotency-Key": key}).status_code == 400


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("unknown-group", 404),
        ("unknown-playbook", 404),
        ("bad-dynamic", 422),
        ("refused", 409),
        ("expired", 503),
        ("key-reused", 422),
        ("a-word-of-tomorrow", 409),
        ("bad-message", 422),
    ],
)
def test_a_refusal_of_the_core_has_its_status_and_its_words(harness: FrontEndHarness, reason: str, status: int) -> None:
    with harness.core(refuse(reason)):
        response = harness.call("POST", ROUTE, json=WANTED)

    assert response.status_code == response.json["status"] == status
    assert response.content_type == "application/problem+json"
    assert response.json["detail"] == f"because {reason}"
    assert ("Retry-After" in response.headers) == (status == 503)


def test_missing_dynamic_values_are_named_one_by_one(harness: FrontEndHarness) -> None:
    problems = '[{"path":"/dynamic/a","message":"needs a"},{"path":"/dynamic/b","message":"needs b"}]'

    with harness.core(refuse("bad-dynamic", **{m.PROBLEMS: problems})):
        response = harness.call("POST", ROUTE, json=WANTED)

    assert [fault["path"] for fault in response.json["errors"]] == ["/dynamic/a", "/dynamic/b"]


def test_silence_of_the_core_is_a_504_that_names_the_minted_id(harness: FrontEndHarness) -> None:
    object.__setattr__(harness.services, "request_timeout", 0.05)

    with harness.core(lambda message: None) as asked:
        response = harness.call("POST", ROUTE, json=WANTED)

    assert response.status_code == 504
    assert response.json["id"] == asked[0].id
    assert response.json["id"] in response.json["detail"]


@pytest.mark.parametrize("error", [BusUnavailable(), StoreUnavailable()])
def test_a_bus_or_store_that_is_away_is_a_503_to_try_again(
    harness: FrontEndHarness, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(harness.bus, "request", away)

    response = harness.call("POST", ROUTE, json=WANTED)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'{"group": "ours", "group": "ours", "playbook_id": "x"}', ""),
        (b'{"group": "ours", "playbook_id": "x", "dynamic": {"a": NaN}}', ""),
        (b'{"group": "ours"}', "/playbook_id"),
        (b'{"group": 1, "playbook_id": "x"}', "/group"),
        (b'{"group": "ours", "playbook_id": "x", "dynamic": []}', "/dynamic"),
        (b'{"group": "ours", "playbook_id": "x", "dynamik": {}}', "/dynamik"),
        (b'{"group": "\\ud800", "playbook_id": "x"}', ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_a_bad_body_is_a_422_that_says_where(harness: FrontEndHarness, sent: bytes, path: str) -> None:
    response = harness.call("POST", ROUTE, data=sent, content_type="application/json")

    assert response.status_code == 422
    assert path in " ".join(f"{fault['path']} {fault['message']}" for fault in response.json["errors"])
    assert harness.store.active() == []


def test_a_body_over_a_mebibyte_is_refused(harness: FrontEndHarness) -> None:
    response = harness.call("POST", ROUTE, data=b" " * (1024 * 1024 + 1), content_type="application/json")

    assert response.status_code == 413
    assert response.content_type == "application/problem+json"


def test_a_body_of_another_type_is_a_415(harness: FrontEndHarness) -> None:
    assert harness.call("POST", ROUTE, data=b"a=b", content_type="application/x-www-form-urlencoded").status_code == 415


def test_a_deployment_is_told_from_its_journal(harness: FrontEndHarness) -> None:
    harness.deployment()

    document = harness.call("GET", f"{ROUTE}/dep1", harness.ours).json

    assert (document["status"], document["group"], document["revision"]) == ("running", "ours", 1)
    assert document["created"] == "2023-11-14T22:13:20.000Z"
    assert document["started"] == "2023-11-14T22:13:21.000Z"
    assert document["ended"] is None
    assert document["duration"] > 1000
    assert document["counts"] == {"completed": 0, "total": 4}
    first, second = document["steps"][:2]
    assert (first["status"], first["worker"], first["host"], first["attempt"]) == ("started", "w1", "one", 1)
    assert (second["status"], second["worker"], second["name"]) == ("pending", None, "noop:Second")


def test_a_deployment_that_ended_says_when_and_why(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.finish("dep1", failed=True)

    document = harness.call("GET", f"{ROUTE}/dep1").json

    assert (document["status"], document["reason"], document["duration"]) == ("failed", "it broke", 5.0)
    assert document["steps"][0]["message"] == "no"


def test_the_journal_shows_its_records_in_order_and_in_pages(harness: FrontEndHarness) -> None:
    harness.deployment()

    first = harness.call("GET", f"{ROUTE}/dep1/journal?limit=1").json
    second = harness.call("GET", f"{ROUTE}/dep1/journal?limit=1&cursor={first['next']}").json

    assert [record["kind"] for record in first["items"][0]["records"]] == ["accepted", "dispatched"]
    assert [record["kind"] for record in second["items"][0]["records"]] == ["started"]
    assert second["next"] is None


def test_the_journal_shows_the_values_of_the_caller_redacted_as_the_document_does(harness: FrontEndHarness) -> None:
    harness.deployment(
        dynamic={"cart": "x", "db_password": "s3cret", "url": "https://ann:s3cret@host/", "long": "y" * 1000}
    )

    document = harness.call("GET", f"{ROUTE}/dep1").json
    response = harness.call("GET", f"{ROUTE}/dep1/journal")

    accepted = response.json["items"][0]["records"][0]
    assert accepted["dynamic"] == document["dynamic"]
    assert accepted["dynamic"]["cart"] == "x"
    assert accepted["dynamic"]["db_password"] == "[redacted]"
    assert "s3cret" not in response.text
    assert fold(harness.store.entries("dep1")).accepted.dynamic["db_password"] == "s3cret"


def test_output_is_paged_as_json_and_whole_as_text(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, "a", "<b>", step=0)
    harness.print("dep1", 3, "c", step=1)

    page = harness.call("GET", f"{ROUTE}/dep1/output?limit=2").json
    rest = harness.call("GET", f"{ROUTE}/dep1/output?after={page['next']}&limit=2").json
    text = harness.call("GET", f"{ROUTE}/dep1/output", headers={"Accept": "text/plain"})

    assert [line["text"] for line in page["lines"]] == ["a", "<b>"]
    assert [(line["number"], line["step"], line["host"]) for line in rest["lines"]] == [(3, 1, "one")]
    assert rest["next"] is None
    assert text.text == "a\n<b>\nc\n"
    assert text.content_type.startswith("text/plain")
    assert harness.call("GET", f"{ROUTE}/dep1/output?format=text&step=1").text == "c\n"


def test_text_is_written_in_few_pieces(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, *map(str, range(1, 30_001)))

    response = harness.call("GET", f"{ROUTE}/dep1/output?format=text", buffered=False)
    pieces = list(response.iter_encoded())

    assert b"".join(pieces).split() == [b"%d" % number for number in range(1, 30_001)]
    assert len(pieces) <= 4


def test_a_page_of_long_lines_ends_early_and_says_where_to_go_on(harness: FrontEndHarness) -> None:
    harness.deployment()
    for first in range(1, 301, 4):
        harness.print("dep1", first, *["x" * 16_000] * 4)

    numbers, after, pages = [], 0, 0
    while after is not None:
        page = harness.call("GET", f"{ROUTE}/dep1/output?limit=10000&after={after}").json
        numbers += [line["number"] for line in page["lines"]]
        after, pages = page["next"], pages + 1

    assert numbers == list(range(1, 301))
    assert 2 <= pages <= 4


def test_the_last_lines_are_found_however_far_back_they_are(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, "old", "older", step=1)
    harness.print("dep1", 3, *(f"line {number}" for number in range(3, 2500)), step=0)

    def texts(query: str) -> list[str]:
        return [line["text"] for line in harness.call("GET", f"{ROUTE}/dep1/output?{query}").json["lines"]]

    assert texts("tail=2") == ["line 2498", "line 2499"]
    assert texts("tail=2&after=2498") == ["line 2499"]
    assert texts("tail=1&step=1") == ["older"]
    assert texts("tail=5&step=1") == ["old", "older"]
    assert texts("tail=5&step=2") == []
    assert len(texts("tail=2400")) == 2400
    assert harness.call("GET", f"{ROUTE}/dep1/output?tail=1&format=text").text == "line 2499\n"
    assert harness.call("GET", f"{ROUTE}/dep1/output?tail=1").json["next"] is None
    assert harness.call("GET", f"{ROUTE}/dep1/output?tail=1&limit=1").status_code == 400
    assert harness.call("GET", f"{ROUTE}/dep1/output?tail=0").status_code == 400


def test_the_list_is_newest_first_filtered_and_paged(harness: FrontEndHarness) -> None:
    for number in range(5):
        harness.deployment(f"dep{number}", at=T0 + number)
    harness.finish("dep0")

    first = harness.call("GET", f"{ROUTE}?limit=3").json
    second = harness.call("GET", f"{ROUTE}?limit=3&cursor={first['next']}").json

    assert [row["id"] for row in first["items"] + second["items"]] == ["dep4", "dep3", "dep2", "dep1", "dep0"]
    assert second["next"] is None
    assert [row["id"] for row in harness.call("GET", f"{ROUTE}?status=completed,failed").json["items"]] == ["dep0"]
    assert (
        len(harness.call("GET", f"{ROUTE}?user=olga&playbook_id=book&since=2023-11-14T22:13:20.003Z").json["items"])
        == 2
    )


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "limit=1001",
        "limit=" + "9" * 5000,
        "status=done",
        "since=soon",
        "since=99999-01-01",
        "cursor=%00",
    ],
)
def test_a_bad_query_is_a_400(harness: FrontEndHarness, query: str) -> None:
    assert harness.call("GET", f"{ROUTE}?{query}").status_code == 400


def test_cancel_asks_the_deployments_own_queue(harness: FrontEndHarness) -> None:
    harness.deployment()

    with harness.core(lambda message: ({"accepted": True}, {})) as asked:
        response = harness.call("POST", f"{ROUTE}/dep1/cancel", harness.ours, json={"reason": "wrong version"})

    assert response.status_code == 202
    [message] = asked
    assert (message.key, message.direct, message.correlation_id) == (m.reply_queue("dep1"), True, "dep1")
    assert message.headers[m.EVENT] == "cancel"
    assert body(message) == {"user": "olga", "reason": "wrong version"}


def test_cancel_of_what_has_ended_is_a_409_with_the_reason(harness: FrontEndHarness) -> None:
    harness.deployment()

    with harness.core(lambda message: ({"accepted": False, "reason": "it has ended"}, {})):
        response = harness.call("POST", f"{ROUTE}/dep1/cancel")

    assert (response.status_code, response.json["detail"]) == (409, "it has ended")


def test_many_posts_at_once_each_get_their_own_answer(harness: FrontEndHarness) -> None:
    ids: list[tuple[str, str]] = []

    def post(number: int) -> None:
        with harness.app.test_client() as client:
            sent = {**WANTED, "dynamic": {"n": number}}
            answer = client.post(ROUTE, json=sent, headers={"Authorization": f"Bearer {harness.admin}"})
            ids.append((str(number), answer.get_json()["id"]))

    def core(message: Message) -> Answer:
        return {"id": f"for-{body(message)['dynamic']['n']}"}, {}

    with harness.core(core):
        threads = [threading.Thread(target=post, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(ids) == sorted((str(number), f"for-{number}") for number in range(20))
