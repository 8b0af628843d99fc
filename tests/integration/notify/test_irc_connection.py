"""The life of an IRC connection: logins, faults, coming back, closing, against a server that the test plays."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from re_workers.notify.handler import Handler, Unreachable
from re_workers.notify.irc_link import IrcLink
from tests.integration.notify.conftest import ClientOf, Deliver, OpenIrc, Trust, plain
from tests.integration.notify.irc_peer import PATIENCE, Door
from tests.unit.notify.notices import Said


def test_a_login_over_tls_with_sasl_plain(
    secure_door: Door, trust: Trust, open_irc: OpenIrc, pool: ThreadPoolExecutor
) -> None:
    login = replace(plain(secure_door), tls=True, sasl="plain", user="u", password="p", ca_file=trust.ca_file)
    delivery = pool.submit(open_irc(login).deliver, Said(target=("PHB",)), "d/1/1")
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
    peer.take()
    delivery.result(PATIENCE)


def test_a_login_with_a_client_certificate(
    secure_door: Door,
    trust: Trust,
    open_irc: OpenIrc,
    pool: ThreadPoolExecutor,
    tmp_path: Path,
) -> None:
    certificate = trust.ca.issue_cert("re@example.com", common_name="release engine")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    login = replace(
        plain(secure_door), tls=True, sasl="external", cert_file=str(tmp_path / "client.pem"), ca_file=trust.ca_file
    )
    delivery = pool.submit(open_irc(login).deliver, Said(target=("PHB",)), "d/1/1")
    peer = secure_door.accept()

    peer.expect("CAP LS 302", "NICK re", "USER re 0 * :Release Engine")
    assert "release engine" in str(peer.socket.getpeercert())  # type: ignore[attr-defined]
    peer.say(":irc.test CAP * LS :sasl", ":irc.test CAP * ACK :sasl")
    peer.expect("CAP REQ sasl", "AUTHENTICATE EXTERNAL")
    peer.say("AUTHENTICATE +", ":irc.test 903 re :welcome")
    peer.expect("AUTHENTICATE +", "CAP END")
    peer.say(":irc.test 001 re :Welcome")
    peer.take()
    delivery.result(PATIENCE)


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_server_that_cannot_prove_its_name_hears_nothing(
    trust: Trust, open_irc: OpenIrc, pool: ThreadPoolExecutor, wrong: str
) -> None:
    door = Door(trust.server("127.0.0.1" if wrong == "authority" else "other.example.com"))
    ca_file = "" if wrong == "authority" else trust.ca_file
    irc = open_irc(replace(plain(door), tls=True, password="secret", ca_file=ca_file))
    delivery = pool.submit(irc.deliver, Said(target=("PHB",)), "d/1/1")

    with contextlib.suppress(OSError):  # the handshake may fail on this side as well
        assert door.accept().hear() == ""
    with pytest.raises(Unreachable, match="certificate verify failed"):
        delivery.result(PATIENCE)
    door.close()


def test_a_login_that_is_refused_is_unreachable_and_says_why(
    door: Door, open_irc: OpenIrc, pool: ThreadPoolExecutor
) -> None:
    login = replace(plain(door), sasl="plain", user="u", password="secret")
    delivery = pool.submit(open_irc(login).deliver, Said(target=("PHB",)), "d/1/1")
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
    assert peer.take() == ["JOIN #team"]
    peer.take()
    delivery.result(PATIENCE)

    second = deliver("#team")
    assert peer.take() == ["PRIVMSG #team :[failed] s: word"]
    second.result(PATIENCE)


@pytest.mark.parametrize("last_words", [[], ["ERROR :Closing link: server restarts"]])
def test_a_connection_lost_half_way_is_unreachable_for_all_and_comes_back_by_itself(
    door: Door, deliver: Deliver, last_words: list[str]
) -> None:
    lost = deliver("PHB", "boss")
    peer = door.let_in()
    peer.hear_until_ping()
    peer.say(*last_words)
    peer.close()

    with pytest.raises(Unreachable, match="server restarts" if last_words else "closed the connection") as raised:
        lost.result(PATIENCE)
    assert raised.value.targets == ("PHB", "boss")

    peer = door.let_in()
    again = deliver(*raised.value.targets)
    assert len(peer.take()) == 2
    again.result(PATIENCE)


def test_it_goes_on_trying_however_often_it_fails(door: Door, pool: ThreadPoolExecutor, client_of: ClientOf) -> None:
    no_wait = -1.0
    client = client_of(chance=lambda: no_wait)
    first = pool.submit(client.do, lambda link: link.nick)
    for _ in range(20):
        door.accept().close()
    with pytest.raises(OSError, match=r"closed|reset|[Bb]roken"):
        first.result(PATIENCE)

    peer = door.let_in()
    assert pool.submit(client.do, lambda link: link.nick).result(PATIENCE) == "re"
    client.close()
    assert peer.hear() == "QUIT closing"


def test_while_it_waits_to_try_again_a_delivery_is_answered_at_once(door: Door, deliver: Deliver) -> None:
    door.close()

    for _ in range(3):
        with pytest.raises(Unreachable, match="refused"):
            deliver("PHB").result(PATIENCE)


def test_a_quiet_server_is_asked_whether_it_is_there_and_given_up_when_it_is_not(
    door: Door, pool: ThreadPoolExecutor, client_of: ClientOf
) -> None:
    client = client_of(timeout=0.5, quiet=0.05, chance=lambda: -1.0)
    pool.submit(client.do, lambda link: link.nick)
    peer = door.let_in()

    assert peer.take() == []
    assert peer.take() == []
    assert peer.hear_until_ping() == []
    door.let_in()


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
    peer = door.let_in()
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
    assert peer.take() == ["PONG cookie", "PRIVMSG PHB :[failed] s: word"]
    delivery.result(PATIENCE)


def test_closing_ends_a_delivery_that_waits_and_says_good_bye(door: Door, irc: Handler, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = door.let_in()
    peer.hear_until_ping()
    irc.close()

    with pytest.raises(Unreachable, match="closed"):
        delivery.result(PATIENCE)
    assert peer.hear() == "QUIT closing"
    assert peer.hear() == ""


def test_after_closing_nothing_is_delivered_and_closing_twice_does_no_harm(irc: Handler, deliver: Deliver) -> None:
    irc.close()
    irc.close()

    with pytest.raises(Unreachable, match="closed"):
        deliver("PHB").result(PATIENCE)


def test_a_mistake_in_the_work_is_the_callers_and_the_link_stays(
    door: Door, pool: ThreadPoolExecutor, client_of: ClientOf
) -> None:
    client = client_of()

    def fail(link: IrcLink) -> None:
        raise LookupError("a mistake")

    mistake = pool.submit(client.do, fail)
    peer = door.let_in()
    with pytest.raises(LookupError, match="a mistake"):
        mistake.result(PATIENCE)

    answer = pool.submit(client.do, lambda link: link.exchange([]))
    assert peer.take() == []
    assert answer.result(PATIENCE) == []


def test_a_server_that_never_lets_us_in_is_given_up(door: Door, open_irc: OpenIrc, pool: ThreadPoolExecutor) -> None:
    irc = open_irc(replace(plain(door), timeout=0.2))
    delivery = pool.submit(irc.deliver, Said(target=("PHB",)), "d/1/1")
    door.accept()

    with pytest.raises(Unreachable, match="does not accept the login in time"):
        delivery.result(PATIENCE)


def test_a_host_that_cannot_be_one_is_unreachable(door: Door, open_irc: OpenIrc) -> None:
    with pytest.raises(Unreachable, match="is not a host name"):
        open_irc(replace(plain(door), host="a..b")).deliver(Said(target=("PHB",)), "d/1/1")
