"""The IRC handler on a real server, ngircd, heard by another user of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from uuid import uuid4

import pytest

from re_workers.notify.handler import Undeliverable
from re_workers.notify.irc import IrcHandler
from re_workers.notify.irc_token_bucket import TokenBucket
from re_workers.notify.settings import IrcSettings
from tests.integration.notify.irc_peer import Peer, join_as_user
from tests.services.ngircd import IrcServer
from tests.unit.notify.notices import Said

pytestmark = pytest.mark.service("ngircd")

User = Callable[..., tuple[str, Peer]]


@pytest.fixture
def channel() -> str:
    """A channel that no other test has been in."""
    return f"#{uuid4().hex[:12]}"


@pytest.fixture
def user(ngircd: IrcServer) -> Iterator[User]:
    """Makes other users of the server: a nick, and what that person hears."""
    peers: list[Peer] = []

    def make(*commands: str) -> tuple[str, Peer]:
        nick = f"u{uuid4().hex[:7]}"
        peers.append(join_as_user(ngircd.host, ngircd.port, nick, *commands))
        return nick, peers[-1]

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def settings(ngircd: IrcServer) -> IrcSettings:
    return IrcSettings(ngircd.host, f"r{uuid4().hex[:7]}", port=ngircd.port, tls=False)


@pytest.fixture
def handler(settings: IrcSettings) -> Iterator[IrcHandler]:
    handler = IrcHandler(settings, partial(TokenBucket, burst=1000))
    yield handler
    handler.close()


def heard(peer: Peer, count: int) -> list[tuple[str, str]]:
    """Target and text of the next PRIVMSGs; `Peer` holds every line to 512 octets of UTF-8."""
    messages: list[tuple[str, str]] = []
    while len(messages) < count:
        line = peer.hear_until(lambda line: " PRIVMSG " in line)[-1]
        _, _, target, text = line.split(" ", 3)
        messages.append((target, text.removeprefix(":")))
    return messages


def test_a_channel_and_a_person_hear_the_notice(handler: IrcHandler, user: User, channel: str) -> None:
    nick, person = user(f"JOIN {channel}")
    handler.deliver(Said(target=(channel, nick)), "d/1/1")

    text = "[completed] RPMs promoted: The rpms in my cart are promoted"
    assert heard(person, 2) == [(channel, text), (nick, text)]


def test_a_second_notice_needs_no_second_join(handler: IrcHandler, user: User, channel: str) -> None:
    _, person = user(f"JOIN {channel}")
    for message in ("one", "two"):
        handler.deliver(Said("s", message, target=(channel,)), "d/1/1")

    lines = person.hear_until(lambda line: line.endswith("two"))
    assert sum(" JOIN " in line for line in lines) == 1
    assert sum(" PRIVMSG " in line for line in lines) == 2


def test_a_long_text_arrives_whole_in_lines_that_the_server_did_not_cut(
    handler: IrcHandler, user: User, channel: str
) -> None:
    _, person = user(f"JOIN {channel}")
    text = "Größe 🚀 über alles " * 60
    handler.deliver(Said("s", text, target=(channel,)), "d/1/1")

    words = f"[completed] s: {text}".split()
    said: list[str] = []
    while len(said) < len(words):  # every cut falls after a space, and ngircd drops spaces at a line's end
        said += heard(person, 1)[0][1].split()
    assert said == words


@pytest.mark.parametrize(
    ("mode", "number"), [("+k secret", 475), ("+i", 473), ("+b *!*@*", 474), ("+l 1", 471), ("+m", 404)]
)
def test_a_channel_that_refuses_us_is_named_and_the_others_hear_the_notice(
    handler: IrcHandler, user: User, channel: str, mode: str, number: int
) -> None:
    nick, person = user(f"JOIN {channel}", f"MODE {channel} {mode}")

    with pytest.raises(Undeliverable, match=f"'{channel}': {number} ") as raised:
        handler.deliver(Said("s", "word", target=(channel, nick)), "d/1/1")

    assert raised.value.targets == (channel,)
    assert heard(person, 1) == [(nick, "[completed] s: word")]


def test_a_person_who_is_not_there_is_undeliverable(handler: IrcHandler) -> None:
    with pytest.raises(Undeliverable, match="'nobody': 401 ") as raised:
        handler.deliver(Said(target=("nobody",)), "d/1/1")
    assert raised.value.targets == ("nobody",)


def test_when_the_nick_is_taken_the_notice_comes_from_another(
    settings: IrcSettings, ngircd: IrcServer, user: User
) -> None:
    nick, person = user()
    handler = IrcHandler(IrcSettings(ngircd.host, nick, ngircd.port, tls=False))
    handler.deliver(Said(target=(nick,)), "d/1/1")
    handler.close()

    line = person.hear_until(lambda line: " PRIVMSG " in line)[-1]
    assert line.startswith(f":{nick}_!")


def test_the_notice_travels_over_tls(settings: IrcSettings, ngircd: IrcServer, user: User) -> None:
    if not ngircd.tls_port:
        pytest.skip("the server that the environment names has no known TLS port")
    nick, person = user()
    handler = IrcHandler(IrcSettings(ngircd.host, settings.nick, ngircd.tls_port, ca_file=str(ngircd.ca_file)))
    handler.deliver(Said("s", "word", target=(nick,)), "d/1/1")
    handler.close()

    assert heard(person, 1) == [(nick, "[completed] s: word")]
