"""Whose message it is: keys that are swapped, replaced and away; messages that are old, early, repeated and for others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from re_core.adapters.peering.jws import new_key
from re_core.adapters.sqlite import SqliteStore
from re_core.bootstrap import open_peering
from re_core.cdpm.messages import KeyRotated, Subscribe, emit, parse
from re_core.errors import Conflict
from re_core.ports.peering import Claims, Fetched, KeyPair, Peering, PeerRefused, SourceUnavailable, Unverified
from re_core.runtime.settings import load
from re_core.usecases.cdpm import key_book, replays
from re_core.usecases.cdpm.peers import AHEAD, Peers, check_parties
from tests.contract.places import FakeClock

#: milliseconds since the epoch
_NOW = 1_764_288_000_000
_SECOND, _MINUTE = 1000, 60_000

PAYLOAD = emit(KeyRotated("u"))


@pytest.fixture(scope="module")
def pairs() -> list[KeyPair]:
    return [new_key() for _ in range(3)]


class _World:
    """Files of peers in a directory, and one process that reads them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "files"
        self.directory.mkdir()
        environment = {"RE_DATA_DIR": str(directory), "RE_CDPM": "1", "RE_CDPM_SOURCES": f"file:{self.directory}/"}
        peering = open_peering(load(environment), make_key=True)
        assert peering is not None
        self.peering: Peering = peering
        self.clock = FakeClock(_NOW)
        self.store = SqliteStore(directory / "re.db", self.clock)
        self.peers = self.process()
        self.mine = self.url("me")
        self._number = 0

    def process(self) -> Peers:
        return Peers(self.peering, self.store, self.clock)

    def url(self, name: str) -> str:
        return f"file://{self.directory}/{name}/cdpm.yml"

    def write(self, name: str, public: str) -> str:
        (self.directory / name).mkdir(exist_ok=True)
        text = f"Pipeline-node:\n  public-key: {public}\n  url: https://{name}.example\n"
        (self.directory / name / "cdpm.yml").write_text(text)
        return self.url(name)

    def message(self, iss: str, pair: KeyPair, aud: str = "", iat: int | None = None, jti: str = "") -> Unverified:
        self._number += 1
        claims = Claims(iss, aud or self.mine, self.clock.now() if iat is None else iat, jti or f"j{self._number}")
        return self.peering.signatures.read(self.peering.signatures.sign(PAYLOAD, claims, pair.private))

    def refusal(self, message: Unverified, sender: str = "") -> PeerRefused:
        with pytest.raises(PeerRefused) as refused:
            self.peers.verified(message, self.mine, sender)
        return refused.value


@pytest.fixture
def world(tmp_path: Path) -> Iterator[_World]:
    world = _World(tmp_path)
    yield world
    world.store.close()


def test_a_message_of_a_peer_is_accepted_with_its_file(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    message = world.message(fog, pairs[0])
    verified = world.peers.verified(message, world.mine)
    assert (verified.claims, verified.payload) == (message.claims, PAYLOAD)
    assert (verified.file.key.kid, verified.file.url) == (pairs[0].kid, "https://fog.example")


def test_the_key_of_another_peer_does_not_sign_for_this_one(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    world.write("evil", pairs[1].public)
    refused = world.refusal(world.message(fog, pairs[1]))
    assert refused.code == "bad-signature"


def test_of_two_peers_with_swapped_keys_both_are_refused(world: _World, pairs: list[KeyPair]) -> None:
    fog, rails = world.write("fog", pairs[0].public), world.write("rails", pairs[1].public)
    assert world.refusal(world.message(fog, pairs[1])).code == "bad-signature"
    assert world.refusal(world.message(rails, pairs[0])).code == "bad-signature"
    assert world.peers.verified(world.message(fog, pairs[0]), world.mine)


def test_another_sender_than_the_expected_one_is_refused_before_its_file_is_read(
    world: _World, pairs: list[KeyPair]
) -> None:
    refused = world.refusal(world.message(world.url("missing"), pairs[0]), world.url("fog"))
    assert refused.code == "unknown-sender"
    assert world.store.peer_file(world.url("missing")) is None


def test_a_message_to_another_node_is_refused(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    refused = world.refusal(world.message(fog, pairs[0], aud=world.url("other")))
    assert (refused.code, world.mine in refused.detail) == ("wrong-audience", True)


@pytest.mark.parametrize(
    ("age", "code", "said"),
    [
        (300 * _SECOND, "", ""),
        (301 * _SECOND, "stale", "signed 301 s ago, at most 300 s are accepted"),
        (-AHEAD, "", ""),
        (-AHEAD - _SECOND, "from-future", "signed 61 s ahead of this clock, at most 60 s"),
        (_NOW, "stale", "ago"),
    ],
)
def test_a_message_is_accepted_for_some_minutes(
    world: _World, pairs: list[KeyPair], age: int, code: str, said: str
) -> None:
    message = world.message(world.write("fog", pairs[0].public), pairs[0], iat=_NOW - age)
    if not code:
        assert world.peers.verified(message, world.mine)
        return
    refused = world.refusal(message)
    assert (refused.code, said in refused.detail) == (code, True)


def test_a_repeated_message_is_refused_as_long_as_it_would_be_accepted(world: _World, pairs: list[KeyPair]) -> None:
    fog, rails = world.write("fog", pairs[0].public), world.write("rails", pairs[1].public)
    message = world.message(fog, pairs[0], iat=_NOW + AHEAD, jti="once")
    world.peers.verified(message, world.mine)
    assert world.peers.verified(world.message(rails, pairs[1], jti="once"), world.mine)
    assert world.refusal(message).code == "replayed"
    world.clock.milliseconds += 300 * _SECOND + AHEAD
    assert world.refusal(message).code == "replayed"
    world.clock.milliseconds += 1
    assert world.refusal(message).code == "stale"


def test_a_message_that_was_refused_does_not_count_as_received(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    world.refusal(world.message(fog, pairs[1], jti="mine"))
    assert world.peers.verified(world.message(fog, pairs[0], jti="mine"), world.mine)


def test_the_names_inside_are_those_that_signed(world: _World) -> None:
    claims = Claims("https://a.example/c", "https://b.example/c", 1, "j")
    whole = Subscribe("a", claims.iss, (), claims.aud)
    check_parties(whole, claims)
    for message, code in (
        (whole._replace(url="x"), "wrong-issuer"),
        (whole._replace(destination="x"), "wrong-audience"),
    ):
        with pytest.raises(PeerRefused) as refused:
            check_parties(message, claims)
        assert refused.value.code == code
    check_parties(parse(b'{"response":[],"status_code":"200","response_time_stamp":"x"}'), claims)


# -- keys that are replaced, and sources that are away -----------------------------------------------


def test_a_new_key_is_found_at_the_first_message_that_it_signs(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    world.peers.verified(world.message(fog, pairs[0]), world.mine)
    world.clock.milliseconds += _SECOND
    world.write("fog", pairs[1].public)
    verified = world.peers.verified(world.message(fog, pairs[1]), world.mine)
    assert verified.file.key.kid == pairs[1].kid
    assert world.refusal(world.message(fog, pairs[0])).code == "bad-signature"
    row = world.store.peer_file(fog)
    assert row is not None and row.changed_at == world.clock.now()


def test_signatures_that_do_not_fit_cause_one_look_a_minute(
    world: _World, pairs: list[KeyPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    fog = world.write("fog", pairs[0].public)
    world.peers.verified(world.message(fog, pairs[0]), world.mine)
    looks: list[str] = []
    fetch = world.peering.sources.fetch

    def counted(url: str, etag: str) -> Fetched | None:
        looks.append(url)
        return fetch(url, etag)

    monkeypatch.setattr(world.peering.sources, "fetch", counted)
    for _ in range(5):
        world.refusal(world.message(fog, pairs[1]))
    assert looks == [fog]
    world.clock.milliseconds += _MINUTE
    for _ in range(5):
        world.refusal(world.message(fog, pairs[1]))
    assert looks == [fog] * 2


def test_a_file_is_looked_at_again_after_ten_minutes_and_in_all_processes(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    other = world.process()
    assert world.peers.file_of(fog).key.kid == other.file_of(fog).key.kid == pairs[0].kid
    world.write("fog", pairs[1].public)
    assert world.peers.file_of(fog).key.kid == pairs[0].kid
    world.clock.milliseconds += key_book.FRESH
    assert world.peers.file_of(fog).key.kid == pairs[1].kid
    (world.directory / "fog" / "cdpm.yml").unlink()
    assert other.file_of(fog).key.kid == pairs[1].kid, "what the first process has read"


def test_a_slow_source_holds_one_thread_and_not_all(
    world: _World, pairs: list[KeyPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can send messages in the name of a peer; they must not hold the threads of the front end."""
    monkeypatch.setattr(key_book, "PATIENCE", 0.0)
    fog = world.write("fog", pairs[0].public)
    world.peers.file_of(fog)
    world.clock.milliseconds += key_book.FRESH
    begun, go_on, fetch = threading.Event(), threading.Event(), world.peering.sources.fetch

    def slow(url: str, etag: str) -> Fetched | None:
        begun.set()
        assert go_on.wait(30)
        return fetch(url, etag)

    monkeypatch.setattr(world.peering.sources, "fetch", slow)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(world.peers.file_of, fog)
        try:
            assert begun.wait(30)
            assert world.peers.verified(world.message(fog, pairs[0]), world.mine).file.key.kid == pairs[0].kid
            assert world.refusal(world.message(fog, pairs[1])).code == "bad-signature"
        finally:
            go_on.set()
        assert reading.result(30).key.kid == pairs[0].kid


def test_a_key_that_one_process_has_read_is_known_to_all_at_once(world: _World, pairs: list[KeyPair]) -> None:
    fog, other = world.write("fog", pairs[0].public), world.process()
    assert other.file_of(fog).key.kid == pairs[0].kid
    world.clock.milliseconds += _SECOND
    world.write("fog", pairs[1].public)
    assert world.peers.read_again(fog).key.kid == pairs[1].kid
    assert other.file_of(fog).key.kid == pairs[1].kid
    assert other.file_of(fog) is other.file_of(fog)  # it is not parsed again for each message


def test_while_its_source_is_away_or_broken_a_peer_is_believed_for_a_week(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.write("fog", pairs[0].public)
    assert world.peers.verified(world.message(fog, pairs[0]), world.mine)
    world.clock.milliseconds += key_book.KEPT - 2 * _MINUTE
    (world.directory / "fog" / "cdpm.yml").unlink()
    assert world.peers.verified(world.message(fog, pairs[0]), world.mine)
    world.clock.milliseconds += _MINUTE
    (world.directory / "fog" / "cdpm.yml").write_text("<html>")
    assert world.peers.verified(world.message(fog, pairs[0]), world.mine)
    assert world.process().file_of(fog).key.kid == pairs[0].kid
    world.clock.milliseconds += _MINUTE
    assert world.refusal(world.message(fog, pairs[0])).code == "source-unavailable"


def test_what_could_not_be_read_is_not_tried_again_at_once(world: _World, pairs: list[KeyPair]) -> None:
    fog = world.url("fog")
    with pytest.raises(SourceUnavailable):
        world.peers.file_of(fog)
    world.write("fog", pairs[0].public)
    with pytest.raises(SourceUnavailable):
        world.peers.file_of(fog)
    world.clock.milliseconds += _MINUTE
    assert world.peers.file_of(fog).key.kid == pairs[0].kid


def test_what_the_settings_allow_no_more_is_not_believed(world: _World, pairs: list[KeyPair], tmp_path: Path) -> None:
    fog = world.write("fog", pairs[0].public)
    world.peers.file_of(fog)
    closed = open_peering(load({"RE_DATA_DIR": str(tmp_path), "RE_CDPM": "1"}))
    assert closed is not None
    world.clock.milliseconds += key_book.FRESH
    with pytest.raises(PeerRefused, match="file: is not allowed"):
        Peers(closed, world.store, world.clock).file_of(fog)


def test_a_file_with_a_weak_key_is_refused_as_that(world: _World) -> None:
    small = (
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqGKukO1De7zhZj6+H0qtjTkVxwTCpvKe4eCZ0FPqri0cb2JZfXJ/DgYSF6vUpwmJG8wVQZKje"
        "GcjDOL5UlsuusFncCzWBQ7RKNUSesmQRMSGkVb1/3j+skZ6UtW+5u09lHNsj6tQ51s1SPrCBkedbNf0Tp0GbMJDyR4e9T04ZZwIDAQAB"
    )
    with pytest.raises(PeerRefused, match=r"line 2: .*1024 bits") as refused:
        world.peers.file_of(world.write("fog", small))
    assert refused.value.code == "weak-key"


# -- one's own messages ------------------------------------------------------------------------------


def test_one_signs_with_the_key_that_stands_in_ones_own_file(world: _World) -> None:
    old, new = world.peers.add_key("p1"), world.peers.add_key("p1")
    mine, fog = world.write("me", old.public), world.url("fog")
    for key in (old, new):
        world.write("me", key.public)
        signed = world.peers.sign("p1", mine, PAYLOAD, fog, "j0")
        unverified = world.peering.signatures.read(signed)
        assert unverified.claims.kid == key.kid
        assert unverified.claims[:3] == (mine, fog, world.clock.now())
        assert unverified.claims.irt == "j0"
        assert world.process().verified(unverified, fog).file.key.kid == key.kid
        world.clock.milliseconds += key_book.FRESH


def test_one_does_not_sign_while_ones_own_file_has_a_foreign_key(world: _World, pairs: list[KeyPair]) -> None:
    world.peers.add_key("p1")
    with pytest.raises(Conflict, match=f"the key {pairs[0].kid} in .* is none of this pipeline's"):
        world.peers.sign("p1", world.write("me", pairs[0].public), PAYLOAD, world.url("fog"))


# -- the memory of ids -------------------------------------------------------------------------------


def test_a_sender_cannot_fill_the_memory_of_others() -> None:
    memory = replays.Replays(300_000)
    for number in range(replays.MOST_OF_SENDER):
        memory.note("fog", f"j{number}", number, 300_000)
    with pytest.raises(PeerRefused) as refused:
        memory.note("fog", "one more", 300_000, 300_000)
    assert refused.value.code == "too-many"
    memory.note("rails", "one more", 300_000, 300_000)
    memory.note("fog", "one more", 300_000, 300_001)  # the first is too old to be accepted by now
    with pytest.raises(PeerRefused) as again:
        memory.note("fog", "j1", 1, 300_001)
    assert again.value.code == "replayed"


def test_all_senders_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST", 3)
    memory = replays.Replays(300_000)
    for sender in "abc":
        memory.note(sender, "j", 0, 0)
    with pytest.raises(PeerRefused) as refused:
        memory.note("d", "j", 0, 0)
    assert refused.value.code == "too-many"
    memory.note("d", "j", 300_001, 300_001)
