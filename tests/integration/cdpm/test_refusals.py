"""Every refusal over real sockets of a front end, by peers that keep to nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from re_core.cdpm import events as e
from re_core.cdpm import messages as cdpm
from re_core.cdpm.messages import Reference
from re_core.ports.peering import REFUSALS, ChannelClosed
from re_core.usecases.cdpm import dependents, key_book, refusals, replays
from re_rest import cdpm_sessions
from tests.e2e.engine_process import wait_until
from tests.integration.cdpm.conftest import Served
from tests.integration.cdpm.raw_clients import asked, closing, frame
from tests.integration.cdpm.serving import LONG, FrontEnd, Peer

#: bits of a key that no node may have
_WEAK = 1024

SECOND = 1000


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _problem(served: Served, body: bytes, signature: str, **headers: str) -> tuple[int, str]:
    """Status and code of an answer that is not signed."""
    status, named, said = served.front.post(body, signature, **headers)
    assert "cdpm-signature" not in named, said
    assert named["content-type"] == "application/problem+json"
    return status, json.loads(said)["type"].removeprefix("urn:release-engine:")


def _posted(served: Served, compact: str) -> tuple[int, str]:
    """The same, of a JWS of any kind."""
    protected, payload, signature = compact.split(".")
    body = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return _problem(served, body, f"{protected}..{signature}")


def _answered(
    served: Served, message: cdpm.Message | bytes, peer: Peer | None = None, **changes: Any
) -> tuple[int, str]:
    """Status and code of a signed answer."""
    status, answer = (peer or served.rails).post(served.front, message, **changes)
    assert (answer.message_type, answer.subscriptions) == ("not subscribed", ())
    return status, answer.status_msg.partition(":")[0]


def _forged(served: Served, sign: Callable[[bytes], bytes], **header: Any) -> str:
    """A subscribe with this header and this signature."""
    claims = served.rails.claims()
    whole = {"typ": "cdpm", "iss": claims.iss, "aud": claims.aud, "iat": claims.iat / 1000, "jti": "j", **header}
    signed = f"{_b64(json.dumps(whole).encode())}.{_b64(cdpm.emit(served.rails.wanting()))}"
    return f"{signed}.{_b64(sign(signed.encode()))}"


def _hs256(served: Served) -> str:
    """Signed with the public key as the secret."""
    public = base64.b64decode(served.rails.pair.public)
    return _forged(served, lambda data: hmac.digest(public, data, hashlib.sha256), alg="HS256")


def _stranger(served: Served) -> Peer:
    return served.peer("stranger", 3)


def _weak(served: Served) -> tuple[int, str]:
    key = rsa.generate_private_key(65537, _WEAK).public_key()
    public = base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    served.world.write("rails", public)
    return _posted(served, served.rails.sign(served.rails.wanting()))


def _not_ready(served: Served) -> tuple[int, str]:
    """A node that was stored a moment ago."""
    served.node.world.say(served.node.key, e.FileRead("", {}, {}, []))
    return _posted(served, served.rails.sign(served.rails.wanting()))


def _not_listed(served: Served) -> tuple[int, str]:
    """A stranger, and one that was listed, whose subscription ends."""
    served.rails.subscribe(served.front)
    served.node.list_dependents(["toy"])
    return _posted(served, served.rails.sign(served.rails.wanting()))


def _foreign(served: Served) -> tuple[int, str]:
    """A message of another peer on the connection of one; it is not answered."""
    subscription = served.rails.subscribe(served.front)
    served.rails.open(served.front, subscription).send(served.toy.sign(cdpm.Received(subscription, 1)))
    wait_until("it is refused", lambda: served.world.refused != [], LONG)
    return 0, served.world.refused[0]


def _barred(served: Served) -> tuple[int, str]:
    served.world.say(served.node.key, e.Bar(served.rails.url))
    return _answered(served, served.rails.wanting())


def _replayed(served: Served) -> tuple[int, str]:
    assert served.rails.post(served.front, served.rails.wanting(), jti="once")[0] == 200
    return _answered(served, served.rails.wanting(), jti="once")


def _too_many(served: Served) -> tuple[int, str]:
    for number in range(replays.MOST_OF_SENDER):
        assert served.rails.post(served.front, served.rails.wanting(), jti=f"j{number}")[0] == 200
    return _answered(served, served.rails.wanting())


def _away(served: Served) -> tuple[int, str]:
    Path(served.rails.url.removeprefix("file://")).unlink()
    return _posted(served, served.rails.sign(served.rails.wanting()))


def _wrong_audience(served: Served) -> tuple[int, str]:
    """To one node, with a message inside that is for another."""
    return _answered(served, served.rails.wanting(destination=served.world.url("other")))


def _changed_vote(served: Served) -> tuple[int, str]:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release()
    release = rails.take_release(channel)
    rails.vote(channel, subscription, release, stable=False)
    answer = rails.vote(channel, subscription, release)
    return int(answer.status_code), answer.status_msg.partition(":")[0]


def _vote(served: Served, peer: Peer, **changes: Any) -> tuple[int, str]:
    subscription = peer.subscribe(served.front)
    channel = peer.open(served.front, subscription)
    served.node.release()
    answer = peer.vote(channel, subscription, peer.take_release(channel), **changes)
    return int(answer.status_code), answer.status_msg.partition(":")[0]


#: code -> what is refused with it, status or close code, and the reason that is said
CASES: dict[str, tuple[Callable[[Served], tuple[int, str]], int]] = {
    "bad-alg": (lambda s: _posted(s, _hs256(s)), 401),
    "bad-message": (lambda s: _answered(s, b'{"message_type":"subscribe"}'), 400),
    "bad-signature": (lambda s: _posted(s, s.rails.sign(s.rails.wanting(), pair=s.toy.pair)), 401),
    "barred": (_barred, 403),
    "binary-frame": (lambda s: closing(s, frame(2, b"x")), 1003),
    "browser": (lambda s: asked(s, Origin="https://evil.example"), 403),
    "changed-vote": (_changed_vote, 409),
    "from-future": (lambda s: _answered(s, s.rails.wanting(), iat=s.world.clock.now() + 120 * SECOND), 401),
    "no-subprotocol": (lambda s: asked(s, Sec_WebSocket_Protocol="chat"), 400),
    "not-json": (lambda s: _answered(s, "{“a”: 1}".encode()), 400),
    "not-listed": (_not_listed, 403),
    "not-major": (lambda s: _vote(s, s.toy), 403),
    "not-ready": (_not_ready, 503),
    "not-subscribed": (lambda s: _answered(s, s.rails.unsubscribing("none")), 403),
    "replayed": (_replayed, 409),
    "source-unavailable": (_away, 503),
    "stale": (lambda s: _answered(s, s.rails.wanting(), iat=s.world.clock.now() - 400 * SECOND), 401),
    "too-large": (lambda s: _problem(s, b"x" * 50_000, "a..b"), 413),
    "too-many": (_too_many, 429),
    "unknown-node": (lambda s: _posted(s, s.rails.sign(s.rails.wanting(), aud=s.world.url("none"))), 404),
    "unknown-ref": (lambda s: _answered(s, s.rails.wanting(subscriptions=(Reference("stable", "v9"),))), 404),
    "unknown-release": (lambda s: _vote(s, s.rails, id=7), 404),
    "unknown-sender": (_foreign, 0),
    "unsigned": (lambda s: _problem(s, cdpm.emit(s.rails.wanting()), ""), 401),
    "weak-key": (_weak, 401),
    "wrong-audience": (_wrong_audience, 401),
    "wrong-issuer": (lambda s: _answered(s, s.rails.wanting(url=s.toy.url)), 401),
}


def test_every_refusal_has_a_case() -> None:
    assert sorted(CASES) == sorted(REFUSALS)


@pytest.mark.parametrize("code", CASES)
def test_what_is_refused_says_why_is_logged_and_counted_and_changes_nothing(
    served: Served, code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replays, "MOST_OF_SENDER", 5)
    monkeypatch.setattr(key_book, "AGAIN", 0)
    refuse, status = CASES[code]
    assert refuse(served) == (status, code)
    wait_until("it is counted", lambda: code in served.world.refused, LONG)
    assert served.world.refused == [code]
    assert [one for one in caplog.records if one.levelno > logging.WARNING] == []
    [line] = [one for one in caplog.records if getattr(one, "action", "") == "cdpm_refused"]
    assert "127.0.0.1" in line.getMessage() and f": {code}: " in line.getMessage()
    if code not in ("unknown-sender", "replayed", "too-many", "not-major", "changed-vote", "unknown-release"):
        assert served.node.state.subscriptions == {}


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "RS256", "jwk": {"kty": "RSA"}},
        {"alg": "RS256", "jku": "https://evil.example/keys"},
        {"alg": "RS256", "x5c": ["x"]},
        {"alg": "RS256", "crit": ["b64"], "b64": False},
        {"alg": "RS512"},
        {"alg": "ES256"},
    ],
)
def test_no_header_chooses_how_a_message_is_verified(served: Served, header: dict[str, Any]) -> None:
    status, code = _posted(served, _forged(served, lambda data: b"x" * 384, **header))
    assert code == ("bad-alg" if header["alg"] != "RS256" else "bad-message")
    assert status == (401 if code == "bad-alg" else 400)


def test_a_key_that_was_replaced_in_its_file_is_found_at_the_first_message(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.rails.subscribe(served.front)
    monkeypatch.setattr(key_book, "AGAIN", 0)
    old = served.rails.pair
    fresh = served.peer("rails", 3)
    assert fresh.subscribe(served.front)
    assert _posted(served, fresh.sign(fresh.wanting(), pair=old))[1] == "bad-signature"


# -- repetitions -------------------------------------------------------------------------------------


def _fresh_process(served: Served) -> FrontEnd:
    """One that remembers nothing."""
    return served.world.front_end()


def test_an_open_works_once_at_every_front_end_and_after_a_restart(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    captured = rails.sign(cdpm.Open(subscription))
    channel = rails.dial(served.front)
    channel.send(captured)
    served.node.release("1.0")
    rails.take_release(channel)
    for front_end in (served.front, _fresh_process(served)):
        thief = rails.dial(front_end)
        thief.send(captured)
        with pytest.raises(ChannelClosed, match="replayed") as closed:
            thief.take(LONG)
        assert closed.value.code == 4003
    served.node.release("1.1")
    assert rails.take_release(channel).new_version == "1.1"


def test_a_captured_unsubscribe_ends_no_later_subscription_at_another_front_end(served: Served) -> None:
    rails = served.rails
    first = rails.subscribe(served.front)
    payload = cdpm.emit(rails.unsubscribing(first))
    signature = served.world.peering.signatures.detach(rails.sign(payload))
    assert served.front.post(payload, signature)[0] == 200
    second = rails.subscribe(served.front)
    _fresh_process(served).post(payload, signature)
    assert list(served.node.state.subscriptions) == [second]


def test_a_captured_subscribe_brings_no_subscription_back(served: Served) -> None:
    rails = served.rails
    payload = cdpm.emit(rails.wanting())
    signature = served.world.peering.signatures.detach(rails.sign(payload))
    assert served.front.post(payload, signature)[0] == 200
    [subscription] = served.node.state.subscriptions
    rails.post(served.front, rails.unsubscribing(subscription))
    status, _, body = _fresh_process(served).post(payload, signature)
    assert (status, json.loads(body)["message_type"]) == (409, "not subscribed")
    assert served.node.state.subscriptions == {}


def test_a_captured_vote_counts_once(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    number = served.node.release("1.0")
    release = rails.take_release(channel)
    captured = rails.sign(rails.voting(subscription, release))
    channel.send(captured)
    assert rails.take(channel).status_code == "200"
    assert rails.vote(channel, subscription, release, stable=False).status_code == "200"
    other = rails.open(_fresh_process(served), subscription, (release.id, release.created_at))
    other.send(captured)
    assert rails.take(other).status_code == "409"
    assert [one.value for one in served.node.state.releases[number].votes.values()] == ["unstable"]


# -- connections -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subscription": "none"}, "not-subscribed"),
        ({"of": "toy"}, "not-subscribed"),
        ({"aud": "other"}, "not-subscribed"),
        ({"aud": "none"}, "unknown-node"),
        ({"message": "received"}, "bad-message"),
        ({"pair": 2}, "bad-signature"),
        ({"iat": -400 * SECOND}, "stale"),
    ],
)
def test_a_connection_whose_first_frame_is_refused_is_closed_with_the_reason(
    served: Served, changes: dict[str, Any], reason: str
) -> None:
    other = served.world.node("other", served.pairs[3], ["rails"])
    rails = served.rails
    subscription = changes.get("subscription") or rails.subscribe(served.front)
    sender = served.toy if changes.get("of") else rails
    more: dict[str, Any] = {}
    if "aud" in changes:
        more["aud"] = other.url if changes["aud"] == "other" else served.world.url("none")
    if "iat" in changes:
        more["iat"] = served.world.clock.now() + changes["iat"]
    message = cdpm.Received(subscription, 1) if "message" in changes else cdpm.Open(subscription)
    pair = served.pairs[changes["pair"]] if "pair" in changes else None
    channel = rails.dial(served.front)
    channel.send(sender.sign(message, pair, **more))
    with pytest.raises(ChannelClosed) as closed:
        channel.take(LONG)
    assert (closed.value.code, str(closed.value)) == (4003, reason)


def test_frames_of_others_and_of_another_time_are_refused_and_too_many_end_the_connection(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release("1.0")
    release = rails.take_release(channel)
    vote = rails.voting(subscription, release)
    frames = {
        "unsigned": "hello",
        "unknown-sender": served.toy.sign(cdpm.Received(subscription, 1)),
        "bad-signature": rails.sign(vote, pair=served.toy.pair),
        "not-subscribed": rails.sign(cdpm.Received("none", 1)),
        "bad-message": rails.sign(cdpm.Open(subscription)),
    }
    for text in frames.values():
        channel.send(text)
    for code, changes in (
        ("stale", {"iat": served.world.clock.now() - 400 * SECOND}),
        ("wrong-audience", {"aud": served.world.url("other")}),
    ):
        compact = rails.sign(vote, **changes)
        channel.send(compact)
        answer = rails.read(channel.take(LONG) or "", served.world.peering.signatures.read(compact).claims.jti)
        assert (answer.status_code, answer.status_msg.partition(":")[0]) == ("401", code)
    assert served.world.refused == [*frames, "stale", "wrong-audience"]
    assert rails.vote(channel, subscription, release).status_code == "200"
    for _ in range(cdpm_sessions.MOST_REFUSED):
        channel.send("hello")
    with pytest.raises(ChannelClosed) as closed:
        channel.take(LONG)
    assert closed.value.code == 1008


def test_where_any_node_may_subscribe_few_files_of_strangers_are_read(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependents, "STRANGERS", 2)
    document = {**served.node.state.document, "subscribers": "any"}
    served.world.say(served.node.key, e.Configure(2, document))
    stranger = _stranger(served)
    assert stranger.subscribe(served.front)
    # one that has a subscription is no stranger any more
    assert [stranger.subscribe(served.front) for _ in range(3)]
    others = [served.peer(f"other{number}", 3) for number in range(2)]
    assert others[0].subscribe(served.front)
    assert _posted(served, others[1].sign(others[1].wanting())) == (503, "source-unavailable")
    # what was read for one that was not known is kept for none
    assert [served.world.store.peer_file(one.url) for one in others] == [None, None]


def test_no_flood_of_refusals_fills_the_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(refusals.MOST_LINES + 5):
        _problem(served, b"{}", "")
    assert served.world.refused == ["unsigned"] * (refusals.MOST_LINES + 5)
    lines = [one for one in caplog.records if getattr(one, "action", "") == "cdpm_refused"]
    assert len(lines) == refusals.MOST_LINES
    _posted(served, _hs256(served))
    assert "5 more were refused that are not listed" in caplog.records[-1].getMessage()
