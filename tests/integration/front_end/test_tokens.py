"""Tokens end, say when they were used, and are believed for seconds only, by streams too."""

from __future__ import annotations

import errno
from functools import partial
from typing import Any

import pytest

from re_core.errors import BadDocument, NotAuthenticated, StoreUnavailable
from re_core.usecases import access
from re_core.usecases.access import LIFETIME
from re_core.wire.redaction import Redaction
from re_rest import auth, deployments, events
from re_rest.auth import BELIEVED, WRITTEN, Authenticator, Standing
from re_rest.streams import Position, Streams
from tests.contract.places import FakeClock
from tests.integration.front_end.front_end_harness import FrontEndHarness

DAY = 24 * 3600 * 1000
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", NOW + LIFETIME),
        ("never", None),
        ("1d", NOW + DAY),
        ("12h", NOW + DAY // 2),
        ("2023-12-01", 1_701_388_800_000),
        ("2023-12-01T12:00:00+02:00", 1_701_424_800_000),
    ],
)
def test_a_token_ends_when_its_maker_says(said: str, expected: int | None) -> None:
    assert access.expiry(said, NOW) == expected


@pytest.mark.parametrize("said", ["soon", "0d", "-1d", "1w", "1.5d", "999999d", "2020-01-01", "never ", "9999-12-31"])
def test_an_end_that_cannot_be_is_refused_where_it_is_said(harness: FrontEndHarness, said: str) -> None:
    with pytest.raises(BadDocument):
        access.expiry(said, NOW)
    refused = harness.call("POST", "/api/v1/tokens", json={"user": "x", "expires": said})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["path"] == "/expires"


@pytest.mark.parametrize("user", ["cdpm:shop/own", "CDPM:x", " cdpm:x"])
def test_no_token_may_look_like_a_pipeline(harness: FrontEndHarness, user: str) -> None:
    refused = harness.call("POST", "/api/v1/tokens", json={"user": user}, headers={"Idempotency-Key": "k"})
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/user")
    assert "those of pipelines" in refused.json["errors"][0]["message"]
    good = harness.call("POST", "/api/v1/tokens", json={"user": "x cdpm:"}, headers={"Idempotency-Key": "k"})
    assert good.status_code == 201  # the key was not taken


def test_a_token_is_good_for_ninety_days_unless_somebody_chooses(harness: FrontEndHarness) -> None:
    made = harness.call("POST", "/api/v1/tokens", json={"user": "x", "groups": ["ours"]}).json
    never = harness.call("POST", "/api/v1/tokens", json={"user": "y", "groups": ["ours"], "expires": "never"}).json

    stored = {token.user: token for token in harness.store.tokens()}
    assert stored["x"].expires == stored["x"].created + LIFETIME
    assert stored["y"].expires is None
    assert (made["notify"], made["used"], never["expires"]) == (False, None, None)
    assert made["expires"] > made["created"]


def test_a_token_that_has_expired_opens_nothing_and_says_since_when(harness: FrontEndHarness) -> None:
    clock = FakeClock()
    clock.milliseconds = NOW
    secret = access.mint(harness.store, clock, "x", ["ours"], expires="1h").secret
    gate = Authenticator(harness.store, clock)
    assert gate.admit(secret).user == "x"

    clock.milliseconds += 3600 * 1000

    with pytest.raises(NotAuthenticated, match="expired at 2023-11-14T23:13:20"):
        gate.admit(secret)


def test_tokens_that_expired_long_ago_are_forgotten_when_another_is_made(harness: FrontEndHarness) -> None:
    clock = FakeClock()
    clock.milliseconds = NOW
    for _ in range(10):
        access.mint(harness.store, clock, "hourly", ["ours"], expires="1h")
        clock.milliseconds += access.KEPT // 2
    assert [token.user for token in harness.store.tokens()].count("hourly") <= 3


def test_an_expired_token_is_a_401(harness: FrontEndHarness) -> None:
    clock = FakeClock()
    clock.milliseconds = NOW
    secret = access.mint(harness.store, clock, "x", ["ours"]).secret

    refused = harness.call("GET", "/api/v1/groups", secret)

    assert refused.status_code == 401
    assert "this token expired at" in refused.json["detail"]


def test_the_last_use_is_written_when_the_caller_has_the_answer(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(harness.store, "use_token", lambda digest, at: written.append(digest))

    response = harness.call("GET", "/api/v1/groups", harness.ours, buffered=False)

    assert (response.status_code, written) == (200, [])
    response.close()
    assert written == [access.digest_of(harness.ours)]


def test_the_last_use_is_shown_and_written_once_a_minute(harness: FrontEndHarness) -> None:
    def used() -> Any:
        [found] = [one for one in harness.call("GET", "/api/v1/tokens").json["items"] if one["user"] == "olga"]
        return found["used"]

    assert used() is None
    harness.call("GET", "/api/v1/groups", harness.ours)
    assert used() is not None

    clock = FakeClock()
    gate = Authenticator(harness.store, harness.clock, clock.monotonic)
    token = gate.admit(harness.ours)
    assert [gate.claims_use(token), gate.claims_use(token)] == [True, False]
    clock.milliseconds += int(WRITTEN * 1000)
    assert gate.claims_use(token)


def test_a_store_that_cannot_write_keeps_nobody_out(harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(digest: str, at: int) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(harness.store, "use_token", full)
    assert harness.call("GET", "/api/v1/groups", harness.ours).status_code == 200


def test_a_gate_remembers_a_bounded_number_of_tokens(harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REMEMBERED", 2)
    gate = Authenticator(harness.store, harness.clock)
    for secret in (harness.admin, harness.ours, harness.theirs):
        gate.claims_use(gate.admit(secret))
    assert len(gate._known) <= 2
    assert len(gate._written) <= 2


def test_a_long_answer_asks_the_store_again_and_again(harness: FrontEndHarness) -> None:
    clock = FakeClock()
    gate = Authenticator(harness.store, harness.clock, clock.monotonic)
    standing = Standing(gate, harness.ours, clock.monotonic)
    gate.admit(harness.ours)
    harness.store.revoke_token(access.digest_of(harness.ours))

    standing.check()
    clock.milliseconds += int(BELIEVED * 1000)
    with pytest.raises(NotAuthenticated):
        standing.check()


def test_a_stream_ends_when_its_token_was_revoked(harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "BELIEVED", 0.05)
    harness.deployment()
    response = harness.call("GET", "/api/v1/deployments/dep1/events", harness.ours, buffered=False)
    frames = response.iter_encoded()
    assert b"event: state" in next(frames)

    # as another process does it: nobody tells this one
    harness.store.revoke_token(access.digest_of(harness.ours))

    assert list(frames) == [b": this token is unknown or was revoked\n\n"]
    response.close()
    assert harness.call("GET", "/api/v1/deployments/dep1/events", harness.ours).status_code == 401


def test_a_stream_in_full_flow_ends_when_its_token_was_revoked(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, *("x" * 1000 for _ in range(5000)))
    streams = Streams(
        harness.store, harness.clock, partial(deployments.document, redaction=Redaction()), 10, harness.bus
    )
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) > 5:
            raise NotAuthenticated("revoked")

    pieces = list(events.stream(streams, "dep1", Position(), check=check))

    assert pieces[-1] == b": revoked\n\n"
    assert 0 < sum(piece.count(b"event: output") for piece in pieces) < 1000


def test_a_text_that_is_cut_short_by_a_revocation_is_no_whole_answer(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "BELIEVED", 0.0)
    harness.deployment()
    harness.print("dep1", 1, *map(str, range(30_000)))
    response = harness.call("GET", "/api/v1/deployments/dep1/output?format=text", harness.ours, buffered=False)
    pieces = response.iter_encoded()
    next(pieces)
    harness.store.revoke_token(access.digest_of(harness.ours))

    with pytest.raises(ConnectionResetError) as cut:
        list(pieces)

    assert cut.value.errno == errno.ECONNRESET
    response.close()
