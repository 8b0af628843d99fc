"""The Python client against a real HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_client import discovery
from re_client.api import Client
from re_client.errors import ApiError, NotAuthorized, NotFound, NotReachable, Unavailable
from re_client.events import GapEvent, OutputEvent, StateEvent
from re_core.errors import Problem
from re_core.runtime import settings
from tests.integration.client.engine import Answer, FakeEngine, events, problem
from tests.unit.client.documents import deployment, line, playbook, step

STREAM = "GET /api/v1/deployments/01D/events"


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept."""
    return []


@pytest.fixture
def client(engine: FakeEngine, pauses: list[float]) -> Iterator[Client]:
    with Client(engine.url, "t0ken", pauses.append) as found:
        yield found


def test_the_token_travels_with_every_request(engine: FakeEngine, client: Client) -> None:
    engine.on("GET /api/v1/groups", Answer({"items": [], "next": None}))
    client.groups()
    assert engine.asked[0].headers["authorization"] == "Bearer t0ken"


def test_a_list_is_read_page_by_page(engine: FakeEngine, client: Client) -> None:
    pages = [Answer({"items": [playbook("a")], "next": "c1"}), Answer({"items": [playbook("b")], "next": None})]
    engine.on("GET /api/v1/playbooks", *pages)
    assert [row["id"] for row in client.playbooks("x/y")] == ["a", "b"]
    assert [one.query.get("cursor") for one in engine.asked] == [None, ["c1"]]
    assert all(one.query["group"] == ["x/y"] for one in engine.asked)


def test_a_limit_ends_the_reading(engine: FakeEngine, client: Client) -> None:
    engine.on("GET /api/v1/deployments", Answer({"items": [{"id": n} for n in range(100)], "next": "more"}))
    assert len(client.deployments(150, status=["failed", "lost"], group=None)) == 150
    assert [one.query["limit"] for one in engine.asked] == [["100"], ["50"]]
    assert engine.asked[0].query["status"] == ["failed", "lost"]


def test_an_id_of_any_shape_stays_in_its_place_of_the_path(engine: FakeEngine, client: Client) -> None:
    with pytest.raises(NotFound):
        client.deployment("../tokens?x=1#/y")
    assert engine.asked[0].path == "/api/v1/deployments/..%2Ftokens%3Fx%3D1%23%2Fy"


def test_a_deployment_is_posted_with_a_key_of_its_own(engine: FakeEngine, client: Client) -> None:
    engine.on("POST /api/v1/deployments", Answer({"id": "01D", "status": "accepted", "links": {}}, 201))
    assert client.deploy("g", "p", {"cart": "x"})["id"] == "01D"
    client.deploy("g", "p", {})
    first, second = engine.asked
    assert first.document == {"group": "g", "playbook_id": "p", "dynamic": {"cart": "x"}}
    assert second.document == {"group": "g", "playbook_id": "p"}
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


def test_while_the_engine_is_away_the_post_is_repeated_under_the_same_key(
    engine: FakeEngine, client: Client, pauses: list[float]
) -> None:
    away = problem(503, "the store does not answer")._replace(headers={"retry-after": "2"})
    cut = Answer({"id": "01D"}, 201, cut=True)
    engine.on("POST /api/v1/deployments", away, cut, Answer({"id": "01D", "status": "accepted", "links": {}}, 201))
    assert client.deploy("g", "p", {}, key="mine")["id"] == "01D"
    assert [one.headers["idempotency-key"] for one in engine.asked] == ["mine"] * 3
    assert pauses == [2, 0.5]


def test_what_stays_away_is_given_up(engine: FakeEngine, client: Client, pauses: list[float]) -> None:
    engine.on("POST /api/v1/deployments", problem(503, "not now")._replace(headers={"retry-after": "9999"}))
    with pytest.raises(Unavailable, match="not now"):
        client.deploy("g", "p", {})
    assert (len(engine.asked), pauses) == (3, [5, 5])


def test_a_refusal_is_not_repeated_and_says_all_that_is_wrong(engine: FakeEngine, client: Client) -> None:
    errors = [
        {"path": "/dynamic/cart", "message": "is missing"},
        {"path": "", "message": "bad", "line": 3, "column": 4},
    ]
    engine.on("POST /api/v1/deployments", problem(422, "wrong", errors=errors, type="https://x/bad-dynamic"))
    with pytest.raises(ApiError) as caught:
        client.deploy("g", "p", {})
    assert len(engine.asked) == 1
    assert (caught.value.status, caught.value.type) == (422, "https://x/bad-dynamic")
    assert caught.value.problems == (Problem("/dynamic/cart", "is missing"), Problem("", "bad", 3, 4))
    assert str(caught.value).splitlines() == ["wrong", "  /dynamic/cart: is missing", "  3:4: bad"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ApiError), (401, NotAuthorized), (403, NotAuthorized), (404, NotFound), (409, ApiError), (500, Unavailable)],
)
def test_every_status_has_its_error(engine: FakeEngine, client: Client, status: int, kind: type[ApiError]) -> None:
    engine.on("GET /api/v1/tokens", problem(status, "because"))
    with pytest.raises(ApiError, match=r"^because") as caught:
        client.tokens()
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[1]", b"\xff"])
def test_an_answer_that_is_no_problem_document_is_told_as_it_is(
    engine: FakeEngine, client: Client, body: bytes
) -> None:
    engine.on("GET /api/v1/tokens", Answer(body, 502))
    with pytest.raises(Unavailable, match="the engine answers 502 Bad Gateway"):
        client.tokens()


def test_a_success_that_is_not_json_is_no_engine(engine: FakeEngine, client: Client) -> None:
    engine.on("GET /api/v1/deployments/01D", Answer(b"<html>hello</html>"))
    with pytest.raises(ApiError, match="is it a release engine"):
        client.deployment("01D")


def test_a_single_error_is_told_once_with_its_place(engine: FakeEngine, client: Client) -> None:
    engine.on("GET /api/v1/groups", problem(422, "is missing", errors=[{"path": "/user", "message": "is missing"}]))
    with pytest.raises(ApiError) as caught:
        client.groups()
    assert str(caught.value) == "/user: is missing"


def test_nobody_there_is_told_with_what_to_do() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(NotReachable, match=r"rectl up.*RE_URL"):
        client.groups()


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://x", "http://", "http:///x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(NotReachable):
        Client(url)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    engine.on("GET /api/v1/groups", Answer({"items": []}))
    with Client(engine.url) as client:
        assert client.groups() == []
    assert "authorization" not in engine.asked[0].headers


def test_output_is_read_page_by_page(engine: FakeEngine, client: Client) -> None:
    pages = [Answer({"lines": [line(1), line(2)], "next": 2}), Answer({"lines": [line(3)], "next": None})]
    engine.on("GET /api/v1/deployments/01D/output", *pages)
    assert [one["number"] for one in client.output("01D", step=0)] == [1, 2, 3]
    assert [one.query["after"] for one in engine.asked] == [["0"], ["2"]]
    assert all(one.query["step"] == ["0"] for one in engine.asked)


def test_playbooks_are_sent_as_they_are_with_what_guards_them(engine: FakeEngine, client: Client) -> None:
    engine.on("POST /api/v1/playbooks", Answer(playbook(), 201))
    engine.on("PUT /api/v1/playbooks/p1", Answer(playbook()))
    engine.on("DELETE /api/v1/playbooks/p1", Answer(None, 204))
    client.create_playbook(b"group: g\n")
    client.update_playbook("p1", b"{}", 4, "application/json")
    client.delete_playbook("p1", 5)
    create, update, delete = engine.asked
    assert (create.body, create.headers["content-type"]) == (b"group: g\n", "application/yaml")
    assert create.headers["idempotency-key"]
    assert (update.headers["if-match"], update.headers["content-type"]) == ('"4"', "application/json")
    assert delete.headers["if-match"] == '"5"'


# -- events ----------------------------------------------------------------------------------------


def test_a_stream_is_read_to_its_end(engine: FakeEngine, client: Client) -> None:
    state = deployment("running", step(0))
    engine.on(STREAM, events(("1.0", "state", state), ("1.1", "output", line(1)), ("2.1", "end", {})))
    assert list(client.events("01D")) == [StateEvent(state), OutputEvent(line(1))]


def test_a_cut_stream_is_taken_up_where_it_was(engine: FakeEngine, client: Client, pauses: list[float]) -> None:
    engine.on(
        STREAM,
        events(("1.1", "output", line(1)), cut=True),
        problem(503, "starting"),
        events(("1.2", "output", line(2))),
        events(("3.2", "end", {})),
    )
    found = list(client.events("01D"))
    assert [one for one in found if not isinstance(one, GapEvent)] == [OutputEvent(line(1)), OutputEvent(line(2))]
    assert [one.headers.get("last-event-id") for one in engine.asked] == [None, "1.1", "1.1", "1.2"]
    assert [
        round(pause / full, 3) >= 0.5 and pause <= full for pause, full in zip(pauses, (0.25, 0.5, 0.25), strict=True)
    ] == [True] * 3


def test_half_an_event_is_none(engine: FakeEngine, client: Client) -> None:
    half = b'id: 1.1\nevent: output\ndata: {"number": 1'
    engine.on(STREAM, Answer(half, 200, {"content-type": "text/event-stream"}), events(("1.1", "end", {})))
    # nothing was heard of the half one, so the next connection is still the first to bring something
    assert list(client.events("01D")) == [GapEvent("the engine closed the stream")]
    assert "last-event-id" not in engine.asked[1].headers


def test_an_event_that_is_not_json_is_told(engine: FakeEngine, client: Client) -> None:
    engine.on(STREAM, Answer(b"event: state\ndata: {\n\n", 200, {"content-type": "text/event-stream"}))
    with pytest.raises(ApiError, match="not JSON"):
        list(client.events("01D"))


def test_an_event_that_is_not_known_is_passed_over(engine: FakeEngine, client: Client) -> None:
    engine.on(STREAM, events(("1.0", "metrics", {"x": 1}), ("1.0", "end", {})))
    assert list(client.events("01D")) == []


def test_the_first_connection_must_succeed(engine: FakeEngine, client: Client, pauses: list[float]) -> None:
    engine.on(STREAM, problem(503, "starting"))
    with pytest.raises(Unavailable):
        list(client.events("01D"))
    assert pauses == []


def test_a_deployment_that_is_gone_ends_the_watching(engine: FakeEngine, client: Client) -> None:
    engine.on(STREAM, events(("1.1", "output", line(1))), problem(404, "no such deployment"))
    with pytest.raises(NotFound):
        list(client.events("01D"))


def test_an_engine_that_stays_away_is_given_up_after_minutes(
    engine: FakeEngine, client: Client, pauses: list[float]
) -> None:
    engine.on(STREAM, events(("1.1", "output", line(1))), problem(503, "still away"))
    with pytest.raises(Unavailable, match="still away"):
        list(client.events("01D"))
    assert 200 < sum(pauses) < 400


def test_an_answer_that_is_no_stream_is_told(engine: FakeEngine, client: Client) -> None:
    engine.on(STREAM, Answer({"hello": 1}))
    with pytest.raises(NotReachable, match="text/event-stream"):
        list(client.events("01D"))


# -- which engine ----------------------------------------------------------------------------------


def _local(directory: Path) -> None:
    (directory / "url").write_text("http://127.0.0.1:1234\n")
    (directory / "token").write_text("local-secret\n")


def test_the_local_engine_is_found_with_its_token(tmp_path: Path) -> None:
    _local(tmp_path)
    found = discovery.find(settings.load({"RE_DATA_DIR": str(tmp_path)}))
    assert found == ("http://127.0.0.1:1234", "local-secret")


def test_the_local_token_is_never_sent_to_another_engine(tmp_path: Path) -> None:
    _local(tmp_path)
    elsewhere = {"RE_DATA_DIR": str(tmp_path), "RE_URL": "http://elsewhere:1234"}
    assert discovery.find(settings.load(elsewhere)) == ("http://elsewhere:1234", "")
    same = {"RE_DATA_DIR": str(tmp_path), "RE_URL": "http://127.0.0.1:1234/"}
    assert discovery.find(settings.load(same)) == ("http://127.0.0.1:1234", "local-secret")


def test_what_is_set_wins(tmp_path: Path) -> None:
    _local(tmp_path)
    environ = {"RE_DATA_DIR": str(tmp_path), "RE_URL": "https://x", "RE_TOKEN": "mine"}
    assert discovery.find(settings.load(environ)) == ("https://x", "mine")


def test_no_engine_at_all_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotReachable, match="rectl up"):
        discovery.find(settings.load({"RE_DATA_DIR": str(tmp_path)}))
