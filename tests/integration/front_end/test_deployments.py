"""Deployments over HTTP: how they start, what is told of them, and how a refusal of the core is said."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.integration.front_end.house import T0, Answer, House, accept, body, refuse

WANTED = {"group": "ours", "playbook_id": "book"}
ROUTE = "/api/v1/deployments"


def test_a_deployment_is_created_with_a_location_and_links(house: House) -> None:
    with house.core(accept) as asked:
        response = house.call("POST", ROUTE, house.ours, json={**WANTED, "dynamic": {"cart": "x"}})

    id = response.json["id"]
    assert response.status_code == 201
    assert response.json["status"] == "accepted"
    assert response.headers["Location"] == f"{ROUTE}/{id}" == response.json["links"]["self"]
    [message] = asked
    assert (message.key, message.id, message.correlation_id, message.expires) == ("job.create", id, id, 5000)
    assert body(message) == {**WANTED, "dynamic": {"cart": "x"}}
    assert message.headers[m.USER] == "olga"
    assert message.headers[m.SOURCE] == "127.0.0.1"
    assert m.KEY not in message.headers


def test_a_user_in_the_body_is_ignored(house: House) -> None:
    with house.core(accept) as asked:
        house.call("POST", ROUTE, house.ours, json={**WANTED, "user_id": "root", "source_ip": "10.0.0.1"})

    assert asked[0].headers[m.USER] == "olga"
    assert set(body(asked[0])) == {"group", "playbook_id", "dynamic"}


def test_an_idempotency_key_reaches_the_core_as_digests_that_only_the_same_request_shares(house: House) -> None:
    def keyed(token: str, key: str, wanted: dict[str, Any]) -> None:
        assert house.call("POST", ROUTE, token, json=wanted, headers={"Idempotency-Key": key}).status_code == 201

    with house.core(accept) as asked:
        keyed(house.ours, "k", {**WANTED, "dynamic": {"a": 1, "b": 2}})
        keyed(house.ours, "k", {"dynamic": {"b": 2, "a": 1}, **WANTED})
        keyed(house.admin, "k", WANTED)
        keyed(house.ours, "l", WANTED)

    keys = [message.headers[m.KEY] for message in asked]
    digests = [message.headers[m.KEY_DIGEST] for message in asked]
    assert keys[0] == keys[1]
    assert digests[0] == digests[1] != digests[2]
    assert len(set(keys)) == 3
    assert all(len(text) == 64 for text in keys + digests)
    assert len({message.id for message in asked}) == 4


@pytest.mark.parametrize("key", ["x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(house: House, key: str) -> None:
    assert house.call("POST", ROUTE, json=WANTED, headers={"Idempotency-Key": key}).status_code == 400


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
def test_a_refusal_of_the_core_has_its_status_and_its_words(house: House, reason: str, status: int) -> None:
    with house.core(refuse(reason)):
        response = house.call("POST", ROUTE, json=WANTED)

    assert response.status_code == response.json["status"] == status
    assert response.content_type == "application/problem+json"
    assert response.json["detail"] == f"because {reason}"
    assert ("Retry-After" in response.headers) == (status == 503)


def test_missing_dynamic_values_are_named_one_by_one(house: House) -> None:
    problems = '[{"path":"/dynamic/a","message":"needs a"},{"path":"/dynamic/b","message":"needs b"}]'

    with house.core(refuse("bad-dynamic", **{m.PROBLEMS: problems})):
        response = house.call("POST", ROUTE, json=WANTED)

    assert [fault["path"] for fault in response.json["errors"]] == ["/dynamic/a", "/dynamic/b"]


def test_silence_of_the_core_is_a_504_that_names_the_minted_id(house: House) -> None:
    object.__setattr__(house.services, "request_timeout", 0.05)

    with house.core(lambda message: None) as asked:
        response = house.call("POST", ROUTE, json=WANTED)

    assert response.status_code == 504
    assert response.json["id"] == asked[0].id
    assert response.json["id"] in response.json["detail"]


@pytest.mark.parametrize("error", [BusUnavailable(), StoreUnavailable()])
def test_a_bus_or_store_that_is_away_is_a_503_to_try_again(
    house: House, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(house.bus, "request", away)

    response = house.call("POST", ROUTE, json=WANTED)

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
def test_a_bad_body_is_a_422_that_says_where(house: House, sent: bytes, path: str) -> None:
    response = house.call("POST", ROUTE, data=sent, content_type="application/json")

    assert response.status_code == 422
    assert path in " ".join(f"{fault['path']} {fault['message']}" for fault in response.json["errors"])
    assert house.store.active() == []


def test_a_body_over_a_mebibyte_is_refused(house: House) -> None:
    response = house.call("POST", ROUTE, data=b" " * (1024 * 1024 + 1), content_type="application/json")

    assert response.status_code == 413
    assert response.content_type == "application/problem+json"


def test_a_body_of_another_type_is_a_415(house: House) -> None:
    assert house.call("POST", ROUTE, data=b"a=b", content_type="application/x-www-form-urlencoded").status_code == 415


def test_a_deployment_is_told_from_its_journal(house: House) -> None:
    house.deployment()

    document = house.call("GET", f"{ROUTE}/dep1", house.ours).json

    assert (document["status"], document["group"], document["revision"]) == ("running", "ours", 1)
    assert document["created"] == "2023-11-14T22:13:20.000Z"
    assert document["started"] == "2023-11-14T22:13:21.000Z"
    assert document["ended"] is None
    assert document["duration"] > 1000
    assert document["counts"] == {"completed": 0, "total": 4}
    first, second = document["steps"][:2]
    assert (first["status"], first["worker"], first["host"], first["attempt"]) == ("started", "w1", "one", 1)
    assert (second["status"], second["worker"], second["name"]) == ("pending", None, "noop:Second")


def test_a_deployment_that_ended_says_when_and_why(house: House) -> None:
    house.deployment()
    house.finish("dep1", failed=True)

    document = house.call("GET", f"{ROUTE}/dep1").json

    assert (document["status"], document["reason"], document["duration"]) == ("failed", "it broke", 5.0)
    assert document["steps"][0]["message"] == "no"


def test_the_journal_shows_its_records_in_order_and_in_pages(house: House) -> None:
    house.deployment()

    first = house.call("GET", f"{ROUTE}/dep1/journal?limit=1").json
    second = house.call("GET", f"{ROUTE}/dep1/journal?limit=1&cursor={first['next']}").json

    assert [record["kind"] for record in first["items"][0]["records"]] == ["accepted", "dispatched"]
    assert [record["kind"] for record in second["items"][0]["records"]] == ["started"]
    assert second["next"] is None


def test_output_is_paged_as_json_and_whole_as_text(house: House) -> None:
    house.deployment()
    house.print("dep1", 1, "a", "<b>", step=0)
    house.print("dep1", 3, "c", step=1)

    page = house.call("GET", f"{ROUTE}/dep1/output?limit=2").json
    rest = house.call("GET", f"{ROUTE}/dep1/output?after={page['next']}&limit=2").json
    text = house.call("GET", f"{ROUTE}/dep1/output", headers={"Accept": "text/plain"})

    assert [line["text"] for line in page["lines"]] == ["a", "<b>"]
    assert [(line["number"], line["step"], line["host"]) for line in rest["lines"]] == [(3, 1, "one")]
    assert rest["next"] is None
    assert text.text == "a\n<b>\nc\n"
    assert text.content_type.startswith("text/plain")
    assert house.call("GET", f"{ROUTE}/dep1/output?format=text&step=1").text == "c\n"


def test_text_is_written_in_few_pieces(house: House) -> None:
    house.deployment()
    house.print("dep1", 1, *map(str, range(1, 30_001)))

    response = house.call("GET", f"{ROUTE}/dep1/output?format=text", buffered=False)
    pieces = list(response.iter_encoded())

    assert b"".join(pieces).split() == [b"%d" % number for number in range(1, 30_001)]
    assert len(pieces) <= 4


def test_a_page_of_long_lines_ends_early_and_says_where_to_go_on(house: House) -> None:
    house.deployment()
    for first in range(1, 301, 4):
        house.print("dep1", first, *["x" * 16_000] * 4)

    numbers, after, pages = [], 0, 0
    while after is not None:
        page = house.call("GET", f"{ROUTE}/dep1/output?limit=10000&after={after}").json
        numbers += [line["number"] for line in page["lines"]]
        after, pages = page["next"], pages + 1

    assert numbers == list(range(1, 301))
    assert 2 <= pages <= 4


def test_the_last_lines_are_found_however_far_back_they_are(house: House) -> None:
    house.deployment()
    house.print("dep1", 1, "old", "older", step=1)
    house.print("dep1", 3, *(f"line {number}" for number in range(3, 2500)), step=0)

    def texts(query: str) -> list[str]:
        return [line["text"] for line in house.call("GET", f"{ROUTE}/dep1/output?{query}").json["lines"]]

    assert texts("tail=2") == ["line 2498", "line 2499"]
    assert texts("tail=2&after=2498") == ["line 2499"]
    assert texts("tail=1&step=1") == ["older"]
    assert texts("tail=5&step=1") == ["old", "older"]
    assert texts("tail=5&step=2") == []
    assert len(texts("tail=2400")) == 2400
    assert house.call("GET", f"{ROUTE}/dep1/output?tail=1&format=text").text == "line 2499\n"
    assert house.call("GET", f"{ROUTE}/dep1/output?tail=1").json["next"] is None
    assert house.call("GET", f"{ROUTE}/dep1/output?tail=1&limit=1").status_code == 400
    assert house.call("GET", f"{ROUTE}/dep1/output?tail=0").status_code == 400


def test_the_list_is_newest_first_filtered_and_paged(house: House) -> None:
    for number in range(5):
        house.deployment(f"dep{number}", at=T0 + number)
    house.finish("dep0")

    first = house.call("GET", f"{ROUTE}?limit=3").json
    second = house.call("GET", f"{ROUTE}?limit=3&cursor={first['next']}").json

    assert [row["id"] for row in first["items"] + second["items"]] == ["dep4", "dep3", "dep2", "dep1", "dep0"]
    assert second["next"] is None
    assert [row["id"] for row in house.call("GET", f"{ROUTE}?status=completed,failed").json["items"]] == ["dep0"]
    assert (
        len(house.call("GET", f"{ROUTE}?user=olga&playbook_id=book&since=2023-11-14T22:13:20.003Z").json["items"]) == 2
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
def test_a_bad_query_is_a_400(house: House, query: str) -> None:
    assert house.call("GET", f"{ROUTE}?{query}").status_code == 400


def test_cancel_asks_the_deployments_own_queue(house: House) -> None:
    house.deployment()

    with house.core(lambda message: ({"accepted": True}, {})) as asked:
        response = house.call("POST", f"{ROUTE}/dep1/cancel", house.ours, json={"reason": "wrong version"})

    assert response.status_code == 202
    [message] = asked
    assert (message.key, message.direct, message.correlation_id) == (m.reply_queue("dep1"), True, "dep1")
    assert message.headers[m.EVENT] == "cancel"
    assert body(message) == {"user": "olga", "reason": "wrong version"}


def test_cancel_of_what_has_ended_is_a_409_with_the_reason(house: House) -> None:
    house.deployment()

    with house.core(lambda message: ({"accepted": False, "reason": "it has ended"}, {})):
        response = house.call("POST", f"{ROUTE}/dep1/cancel")

    assert (response.status_code, response.json["detail"]) == (409, "it has ended")


def test_many_posts_at_once_each_get_their_own_answer(house: House) -> None:
    ids: list[tuple[str, str]] = []

    def post(number: int) -> None:
        with house.app.test_client() as client:
            sent = {**WANTED, "dynamic": {"n": number}}
            answer = client.post(ROUTE, json=sent, headers={"Authorization": f"Bearer {house.admin}"})
            ids.append((str(number), answer.get_json()["id"]))

    def core(message: Message) -> Answer:
        return {"id": f"for-{body(message)['dynamic']['n']}"}, {}

    with house.core(core):
        threads = [threading.Thread(target=post, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(ids) == sorted((str(number), f"for-{number}") for number in range(20))
