"""What the IRC handler says, to whom, and how it tells what was refused, against a server that the test plays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from re_workers.notify.handler import Handler, Undeliverable, Unreachable
from re_workers.notify.irc import MAX_LINES
from tests.integration.notify.conftest import ClientOf, Deliver
from tests.integration.notify.irc_peer import PATIENCE, Door
from tests.unit.notify.notices import Said


def test_a_channel_is_joined_with_its_key_and_spoken_to_and_a_nick_is_spoken_to(door: Door, deliver: Deliver) -> None:
    delivery = deliver("#secret", "#team", "PHB")
    peer = door.let_in()

    assert peer.take() == ["JOIN #secret key", "JOIN #team"]
    assert peer.take() == [f"PRIVMSG {to} :[failed] s: word" for to in ("#secret", "#team", "PHB")]
    delivery.result(PATIENCE)


def test_a_delivery_is_not_over_before_the_server_has_answered(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB")
    peer = door.let_in()
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
    peer = door.let_in()
    peer.hear_until_ping()
    peer.say(":re!u@h JOIN :#Team")
    peer.pong()
    peer.take()
    first.result(PATIENCE)

    second = deliver("#team")
    assert peer.take() == ["PRIVMSG #team :[failed] s: word"]
    second.result(PATIENCE)

    peer.say(":op!u@h KICK #team other :bye", ":op!u@h KICK #team re :bye")
    peer.say("PING and-now")
    peer.expect("PONG and-now")
    third = deliver("#team")
    assert peer.take() == ["JOIN #team"]
    peer.take()
    third.result(PATIENCE)


@pytest.mark.parametrize("number", ["403", "405", "471", "473", "474", "475"])
def test_a_channel_that_does_not_let_us_in_is_undeliverable_and_the_others_are_told(
    door: Door, deliver: Deliver, number: str
) -> None:
    delivery = deliver("#closed", "#open")
    peer = door.let_in()
    peer.hear_until_ping()
    peer.say(f":irc.test {number} re #CLOSED :Go \x1baway", ":re!u@h JOIN #open")
    peer.pong()
    assert peer.take() == ["PRIVMSG #open :[failed] s: word"]

    with pytest.raises(Undeliverable, match=rf"'#closed': {number} Go \\x1baway$") as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == ("#closed",)


@pytest.mark.parametrize(("target", "number"), [("ghost", "401"), ("#team", "404"), ("#team", "442")])
def test_a_target_that_the_server_refuses_our_words_for_is_undeliverable(
    door: Door, deliver: Deliver, target: str, number: str
) -> None:
    delivery = deliver(target, "PHB")
    peer = door.let_in()
    if target.startswith("#"):
        peer.take()
    peer.hear_until_ping()
    peer.say(f":irc.test {number} re {target} :No", ":irc.test 301 re PHB :Gone fishing")
    peer.pong()

    with pytest.raises(Undeliverable, match=f"{number} No") as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == (target,)


def test_a_channel_that_is_away_for_now_is_unreachable(door: Door, deliver: Deliver) -> None:
    delivery = deliver("#split", "PHB")
    peer = door.let_in()
    peer.hear_until_ping()
    peer.say(":irc.test 437 re #split :Nick/channel is temporarily unavailable")
    peer.pong()
    peer.take()

    with pytest.raises(Unreachable) as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == ("#split",)


def test_what_is_no_target_is_refused_without_a_word_to_the_server(deliver: Deliver) -> None:
    evil = ["#a\r\nQUIT", "a b", "#a,#b", "$*.net", "", "0", "#a\0", "nick\n", "a@example.com"]

    with pytest.raises(Undeliverable, match="is neither a channel nor a nick") as raised:
        deliver(*evil).result(PATIENCE)  # nobody accepts the connection: none is made
    assert raised.value.targets == tuple(evil)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
def test_no_field_can_start_a_line_or_a_client_command(
    door: Door, irc: Handler, pool: ThreadPoolExecutor, end: str
) -> None:
    evil = f"x{end}QUIT :bye{end}JOIN 0{end}\x01DCC SEND x\x01"
    delivery = pool.submit(irc.deliver, Said(evil, evil, evil, (evil, "PHB")), evil)
    peer = door.let_in()
    lines = peer.take()

    assert all(line.startswith("PRIVMSG PHB ") and line.isprintable() for line in lines)
    with pytest.raises(Undeliverable) as raised:
        delivery.result(PATIENCE)
    assert raised.value.targets == (evil,)


def test_a_message_of_many_lines_is_as_many_lines_and_a_long_line_is_cut_into_several(
    door: Door, deliver: Deliver
) -> None:
    long = "Größe 🚀 " * 100
    delivery = deliver("PHB", message=f"one\n\ntwo\n{long}")
    said = [line.removeprefix("PRIVMSG PHB :") for line in door.let_in().take()]

    assert said[:2] == ["[failed] s: one", "PRIVMSG PHB two"]
    assert "".join(said[2:]).rstrip() == long.rstrip()
    assert len(said) > 4
    delivery.result(PATIENCE)


def test_a_message_without_end_ends(door: Door, deliver: Deliver) -> None:
    delivery = deliver("PHB", message="line\n" * 1000)
    lines = door.let_in().take()

    assert len(lines) == MAX_LINES
    assert lines[-1] == f"PRIVMSG PHB :({1000 - MAX_LINES + 1} more lines)"
    delivery.result(PATIENCE)


def test_no_more_than_a_burst_is_sent_at_once(door: Door, pool: ThreadPoolExecutor, client_of: ClientOf) -> None:
    now = [0.0]
    client = client_of(clock=lambda: now[0])
    lines = [f"PRIVMSG PHB {number}" for number in range(6)]
    done = pool.submit(client.do, lambda link: link.exchange([f"{line}\r\n".encode() for line in lines]))
    peer = door.let_in()

    peer.expect(*lines[:4])
    for line in lines[4:]:
        peer.say("PING has-anything-else-been-sent")
        peer.expect("PONG has-anything-else-been-sent")
        now[0] += 2.0
        peer.say("NOTICE re :look at the clock")
        peer.expect(line)
    now[0] += 2.0
    peer.say("NOTICE re :look at the clock")
    peer.take()

    assert [said.command for said in done.result(PATIENCE)] == ["PING", "NOTICE", "PING", "NOTICE", "NOTICE"]


def test_a_notice_for_a_closed_channel_alone_is_said_nowhere(door: Door, deliver: Deliver) -> None:
    delivery = deliver("#closed")
    peer = door.let_in()
    peer.hear_until_ping()
    peer.say(":irc.test 473 re #closed :Invite only")
    peer.pong()

    with pytest.raises(Undeliverable, match="473 Invite only"):
        delivery.result(PATIENCE)
    again = deliver("#closed")
    assert peer.take() == ["JOIN #closed"]
    peer.take()
    again.result(PATIENCE)
