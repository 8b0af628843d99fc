"""The IRC client against a server that the test plays: logins, refusals, faults, and the life of the connection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from re_workers.notify.handler import Handler, Undeliverable, Unreachable
from re_workers.notify.irc import MAX_LINES, IrcHandler
from re_workers.notify.irc_client import IrcClient
from re_workers.notify.irc_link import IrcLink
from re_workers.notify.irc_pace import Pace
from re_workers.notify.settings import IrcSettings
from tests.integration.notify.conftest import Trust
from tests.integration.notify.irc_peer import PATIENCE, Door, Peer
from tests.unit.notify.notices import Said

#: As many lines at once as a test may want.
HASTY = partial(Pace, burst=1000)

Deliver = Callable[..., "Future[None]"]


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


@pytest.fixture
def secure_door(trust: Trust) -> Iterator[Door]:
    door = Door(trust.server())
    yield door
    door.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for the delivery, while the test plays the server."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def opened(pool: ThreadPoolExecutor) -> Iterator[Callable[[IrcSettings], IrcHandler]]:
    """Makes handlers that do not outlive the test, and are closed before the pool waits for its deliveries."""
    handlers: list[IrcHandler] = []

    def make(settings: IrcSettings) -> IrcHandler:
        handlers.append(IrcHandler(settings, HASTY))
        return handlers[-1]

    yield make
    for handler in handlers:
        handler.close()


@pytest.fixture
def client_of(door: Door, pool: ThreadPoolExecutor) -> Iterator[Callable[..., IrcClient]]:
    """Makes clients in the same way, with the options that a test needs."""
    clients: list[IrcClient] = []

    def make(**options: Any) -> IrcClient:
        timeout = options.pop("timeout", PATIENCE)
        clients.append(IrcClient(replace(plain(door), timeout=timeout), **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def plain(door: Door) -> IrcSettings:
    return IrcSettings(door.host, "re", port=door.port, tls=False, timeout=PATIENCE)


@pytest.fixture
def handler(door: Door, opened: Callable[[IrcSettings], IrcHandler]) -> Handler:
    return opened(replace(plain(door), channels={"#Secret": "key"}))


@pytest.fixture
def deliver(handler: Handler, pool: ThreadPoolExecutor) -> Deliver:
    """Begins a delivery to targets."""

    def begin(*target: str, message: str = "word") -> Future[None]:
        return pool.submit(handler.deliver, Said("s", message, "failed", target), "d/1/1")

    return begin


def accept(door: Door) -> Peer:
    peer = door.accept()
    peer.let_in()
    return peer


def take(peer: Peer) -> list[str]:
    """What is sent up to the PING, which is answered: the server has taken it."""
    lines = peer.hear_until_ping()
    peer.pong()
    return lines


def test_a_channel_is_joined_with_its_key_and_spoken_to_and_a_nick_is_spoken_to(door: Door, deliver: Deliver) -> None:
    delivery = deliver("#secret", "#team", "PHB")
    peer = accept(door)

    assert take(peer) == ["JOIN #secret key", "JOIN #team"]
    assert take(peer) == [f"PRIVMSG {to} :[failed] s: word" for to in ("#secret", "#team", "PHB")]
    delivery.result(PATIENCE)


def test_a_delivery_is_not_over_before_the_server_has_answered(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = accept(door)
    peer.hear_until_ping()
    assert not delivery.done()

    peer.say(":irc.test PONG irc.test something-else")
    peer.say("PING still-there")
    peer.expect("PONG still-there")
    assert not delivery.done()

    peer.pong()
    delivery.result(PATIENCE)


def test_a_channel_is_joined_once_and_again_after_being_thrown_out(door: Door, deliver: Deliver) -> None:
    first = deliver("#team")
    peer = accept(door)
    peer.hear_until_ping()
    peer.say(":re!u@h JOIN :#Team")
    peer.pong()
    take(peer)
    first.result(PATIENCE)

    second = deliver("#team")
    assert take(peer) == ["PRIVMSG #team :[failed] s: word"]
    second.result(PATIENCE)

    peer.say(":op!u@h KICK #team other :bye", ":op!u@h KICK #team re :bye")
    peer.say("PING and-now")
    peer.expect("PONG and-now")
    third = deliver("#team")
    assert take(peer) == ["JOIN #team"]
    take(peer)
    third.result(PATIENCE)


@pytest.mark.parametrize("number", ["403", "405", "471", "473", "474", "475"])
def test_a_channel_that_does_not_let_us_in_is_undeliverable_and_the_others_are_told(
    door: Door, deliver: Deliver, number: str
) -> None:
    delivery = deliver("#closed", "#open")
    peer = accept(door)
    peer.hear_until_ping()
    peer.say(f":irc.test {number} re #CLOSED :Go \x1baway", ":re!u@h JOIN #open")
    peer.pong()
    assert take(peer) == ["PRIVMSG #open :[failed] s: word"]

    with pytest.raises(Undeliverable, match=rf"'#closed': {number} Go \\x1baway$") as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == ("#closed",)


@pytest.mark.parametrize(("target", "number"), [("ghost", "401"), ("#team", "404"), ("#team", "442")])
def test_a_target_that_the_server_refuses_our_words_for_is_undeliverable(
    door: Door, deliver: Deliver, target: str, number: str
) -> None:
    delivery = deliver(target, "PHB")
    peer = accept(door)
    if target.startswith("#"):
        take(peer)
    peer.hear_until_ping()
    peer.say(f":irc.test {number} re {target} :No", ":irc.test 301 re PHB :Gone fishing")
    peer.pong()

    with pytest.raises(Undeliverable, match=f"{number} No") as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == (target,)


def test_a_channel_that_is_away_for_now_is_unreachable(door: Door, deliver: Deliver) -> None:
    delivery = deliver("#split", "PHB")
    peer = accept(door)
    peer.hear_until_ping()
    peer.say(":irc.test 437 re #split :Nick/channel is temporarily unavailable")
    peer.pong()
    take(peer)

    with pytest.raises(Unreachable) as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == ("#split",)


def test_what_is_no_target_is_refused_without_a_word_to_the_server(deliver: Deliver) -> None:
    evil = ["#a\r\nQUIT", "a b", "#a,#b", "$*.net", "", "0", "#a\0", "nick\n", "a@example.com"]

    with pytest.raises(Undeliverable, match="is no channel and no nick") as raised:
        deliver(*evil).result(PATIENCE)  # nobody accepts the connection: none is made
    assert raised.value.targets == tuple(evil)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
def test_no_field_can_start_a_line_or_a_client_command(
    door: Door, handler: Handler, pool: ThreadPoolExecutor, end: str
) -> None:
    evil = f"x{end}QUIT :bye{end}JOIN 0{end}\x01DCC SEND x\x01"
    delivery = pool.submit(handler.deliver, Said(evil, evil, evil, (evil, "PHB")), evil)
    peer = accept(door)
    lines = take(peer)

    assert all(line.startswith("PRIVMSG PHB ") and line.isprintable() for line in lines)
    with pytest.raises(Undeliverable) as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == (evil,)


def test_a_message_of_many_lines_is_as_many_lines_and_a_long_line_is_cut_into_several(
    door: Door, deliver: Deliver
) -> None:
    long = "Größe 🚀 " * 100
    delivery = deliver("PHB", message=f"one\n\ntwo\n{long}")
    said = [line.removeprefix("PRIVMSG PHB :") for line in take(accept(door))]

    assert said[:2] == ["[failed] s: one", "PRIVMSG PHB two"]
    assert "".join(said[2:]).rstrip() == long.rstrip()
    assert len(said) > 4
    delivery.result(PATIENCE)


def test_a_message_without_end_ends(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB", message="line\n" * 1000)
    lines = take(accept(door))

    assert len(lines) == MAX_LINES
    assert lines[-1] == f"PRIVMSG PHB :({1000 - MAX_LINES + 1} more lines)"
    delivery.result(PATIENCE)


def test_no_more_than_a_burst_is_sent_at_once(
    door: Door, pool: ThreadPoolExecutor, client_of: Callable[..., IrcClient]
) -> None:
    now = [0.0]
    client = client_of(clock=lambda: now[0])
    lines = [f"PRIVMSG PHB {number}" for number in range(6)]
    done = pool.submit(client.do, lambda link: link.exchange([f"{line}\r\n".encode() for line in lines]))
    peer = accept(door)

    peer.expect(*lines[:4])
    for line in lines[4:]:
        peer.say("PING has-anything-else-been-sent")
        peer.expect("PONG has-anything-else-been-sent")
        now[0] += 2.0
        peer.say("NOTICE re :look at the clock")
        peer.expect(line)
    now[0] += 2.0
    peer.say("NOTICE re :look at the clock")
    take(peer)

    assert [said.command for said in done.result(PATIENCE)] == ["PING", "NOTICE", "PING", "NOTICE", "NOTICE"]


def test_a_login_over_tls_with_sasl_plain(
    secure_door: Door, trust: Trust, opened: Callable[[IrcSettings], IrcHandler], pool: ThreadPoolExecutor
) -> None:
    login = replace(plain(secure_door), tls=True, sasl="plain", user="u", password="p", ca_file=trust.ca_file)
    delivery = pool.submit(opened(login).deliver, Said(target=("PHB",)), "d/1/1")
    peer = secure_door.accept()

    peer.expect("CAP LS 302", "NICK re", "USER re 0 * :Release Engine")
    peer.say(":irc.test CAP * LS :sasl=PLAIN")
    peer.expect("CAP REQ sasl")
    peer.say(":irc.test CAP * ACK :sasl")
    peer.expect("AUTHENTICATE PLAIN")
    peer.say("AUTHENTICATE +")
    peer.expect("AUTHENTICATE AHUAcA==")
    peer.say(":irc.test 903 re :SASL authentication successful")
    peer.expect("CAP END")
    peer.say(":irc.test 001 re :Welcome")
    take(peer)
    delivery.result(PATIENCE)


def test_a_login_with_a_client_certificate(
    secure_door: Door,
    trust: Trust,
    opened: Callable[[IrcSettings], IrcHandler],
    pool: ThreadPoolExecutor,
    tmp_path: Path,
) -> None:
    certificate = trust.ca.issue_cert("re@example.com", common_name="release engine")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    login = replace(
        plain(secure_door), tls=True, sasl="external", cert_file=str(tmp_path / "client.pem"), ca_file=trust.ca_file
    )
    delivery = pool.submit(opened(login).deliver, Said(target=("PHB",)), "d/1/1")
    peer = secure_door.accept()

    peer.expect("CAP LS 302", "NICK re", "USER re 0 * :Release Engine")
    assert "release engine" in str(peer.socket.getpeercert())  # type: ignore[attr-defined]
    peer.say(":irc.test CAP * LS :sasl", ":irc.test CAP * ACK :sasl")
    peer.expect("CAP REQ sasl", "AUTHENTICATE EXTERNAL")
    peer.say("AUTHENTICATE +", ":irc.test 903 re :welcome")
    peer.expect("AUTHENTICATE +", "CAP END")
    peer.say(":irc.test 001 re :Welcome")
    take(peer)
    delivery.result(PATIENCE)


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_server_that_cannot_prove_its_name_hears_nothing(
    trust: Trust, opened: Callable[[IrcSettings], IrcHandler], pool: ThreadPoolExecutor, wrong: str
) -> None:
    door = Door(trust.server("127.0.0.1" if wrong == "authority" else "other.example.com"))
    ca_file = "" if wrong == "authority" else trust.ca_file
    handler = opened(replace(plain(door), tls=True, password="secret", ca_file=ca_file))
    delivery = pool.submit(handler.deliver, Said(target=("PHB",)), "d/1/1")

    with contextlib.suppress(OSError):  # the handshake may fail on this side as well
        assert door.accept().hear() == ""
    with pytest.raises(Unreachable, match="certificate verify failed"):
        delivery.result(PATIENCE)
    door.close()


def test_a_login_that_is_refused_is_unreachable_and_says_why(
    door: Door, opened: Callable[[IrcSettings], IrcHandler], pool: ThreadPoolExecutor
) -> None:
    login = replace(plain(door), sasl="plain", user="u", password="secret")
    delivery = pool.submit(opened(login).deliver, Said(target=("PHB",)), "d/1/1")
    peer = door.accept()
    peer.say(":irc.test CAP * LS :sasl", ":irc.test 904 re :SASL failed", "ERROR :Closing link")

    with pytest.raises(Unreachable, match="904 SASL failed") as raised:
        delivery.result(PATIENCE)
    assert "secret" not in str(raised.value)
    assert raised.value.targets == ("PHB",)


def test_another_nick_is_taken_when_ours_is_and_it_is_known_as_ours(door: Door, deliver: Deliver) -> None:
    delivery = deliver("#team")
    peer = door.accept()
    peer.expect("NICK re", "USER re 0 * :Release Engine")
    peer.say("PING cookie", ":irc.test 433 * re :Nickname is already in use.")
    peer.expect("PONG cookie", "NICK re_")
    peer.say(":irc.test 001 re_ :Welcome", ":re_!u@h NICK :Guest7", ":guest7!u@h JOIN #team")
    assert take(peer) == ["JOIN #team"]
    take(peer)
    delivery.result(PATIENCE)

    second = deliver("#team")
    assert take(peer) == ["PRIVMSG #team :[failed] s: word"]
    second.result(PATIENCE)


@pytest.mark.parametrize("last_words", [[], ["ERROR :Closing link: server restarts"]])
def test_a_connection_lost_half_way_is_unreachable_for_all_and_comes_back_by_itself(
    door: Door, deliver: Deliver, last_words: list[str]
) -> None:
    lost = deliver("PHB", "boss")
    peer = accept(door)
    peer.hear_until_ping()
    peer.say(*last_words)
    peer.close()

    with pytest.raises(Unreachable, match="server restarts" if last_words else "closed the connection") as raised:
        lost.result(PATIENCE)
    assert raised.value.targets == ("PHB", "boss")

    peer = accept(door)
    again = deliver(*raised.value.targets)
    assert len(take(peer)) == 2
    again.result(PATIENCE)


def test_it_goes_on_trying_however_often_it_fails(
    door: Door, pool: ThreadPoolExecutor, client_of: Callable[..., IrcClient]
) -> None:
    no_wait = -1.0
    client = client_of(chance=lambda: no_wait)
    first = pool.submit(client.do, lambda link: link.nick)
    for _ in range(20):
        door.accept().close()
    with pytest.raises(OSError, match=r"closed|reset|[Bb]roken"):
        first.result(PATIENCE)

    peer = accept(door)
    assert pool.submit(client.do, lambda link: link.nick).result(PATIENCE) == "re"
    client.close()
    assert peer.hear() == "QUIT closing"


def test_while_it_waits_to_try_again_a_delivery_is_answered_at_once(door: Door, deliver: Deliver) -> None:
    door.close()

    for _ in range(3):
        with pytest.raises(Unreachable, match="refused"):
            deliver("PHB").result(PATIENCE)


def test_a_quiet_server_is_asked_whether_it_is_there_and_given_up_when_it_is_not(
    door: Door, pool: ThreadPoolExecutor, client_of: Callable[..., IrcClient]
) -> None:
    client = client_of(timeout=0.5, quiet=0.05, chance=lambda: -1.0)
    pool.submit(client.do, lambda link: link.nick)
    peer = accept(door)

    assert take(peer) == []
    assert take(peer) == []
    assert peer.hear_until_ping() == []
    accept(door)


def test_a_server_that_sends_without_end_is_left(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = door.accept()
    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        while True:
            peer.socket.sendall(b"x" * 65536)

    with pytest.raises(Unreachable, match="too much"):
        delivery.result(PATIENCE)


def test_odd_lines_from_the_server_harm_nothing(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = accept(door)
    peer.hear_until_ping()
    peer.socket.sendall(
        b"\r\n:\r\n:re!u@h JOIN\r\nKICK\r\n:re!u@h PART\r\n:re!u@h NICK\r\n\xff\xfe 401 re\r\n401\r\n001\r\n"
    )
    peer.socket.sendall(b"PING :" + "ü".encode() * 4000 + b"\r\nPING\r\n")
    assert peer.hear().startswith("PONG üü")
    assert peer.hear() == "PONG :"
    peer.pong()
    delivery.result(PATIENCE)


def test_a_line_that_comes_in_pieces_is_one_line(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = door.accept()
    peer.hear_until(lambda line: line.startswith("USER "))
    for piece in (b"PI", b"NG ", b"cookie\r\n:irc.test 0", b"01 re :Wel", b"come\r", b"\n"):
        peer.socket.sendall(piece)
    assert take(peer) == ["PONG cookie", "PRIVMSG PHB :[failed] s: word"]
    delivery.result(PATIENCE)


def test_closing_ends_a_delivery_that_waits_and_says_good_bye(door: Door, handler: Handler, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = accept(door)
    peer.hear_until_ping()
    handler.close()

    with pytest.raises(Unreachable, match="closed"):
        delivery.result(PATIENCE)
    assert peer.hear() == "QUIT closing"
    assert peer.hear() == ""


def test_after_closing_nothing_is_delivered_and_closing_twice_does_no_harm(handler: Handler, deliver: Deliver) -> None:
    handler.close()
    handler.close()

    with pytest.raises(Unreachable, match="closed"):
        deliver("PHB").result(PATIENCE)


def test_a_mistake_in_the_work_is_the_callers_and_the_link_stays(
    door: Door, pool: ThreadPoolExecutor, client_of: Callable[..., IrcClient]
) -> None:
    client = client_of()

    def fail(link: IrcLink) -> None:
        raise LookupError("a mistake")

    mistake = pool.submit(client.do, fail)
    peer = accept(door)
    with pytest.raises(LookupError, match="a mistake"):
        mistake.result(PATIENCE)

    answer = pool.submit(client.do, lambda link: link.exchange([]))
    assert take(peer) == []
    assert answer.result(PATIENCE) == []
