"""Notices on IRC, to people and to channels, which it joins first, and again after a kick.

Must not know sockets, nor what happens to a notice that failed.

There is no receipt in IRC; but a server answers in order, so once it has answered the PING that follows our
messages, all its objections have arrived. Why this client is our own: docs/decisions/0005.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from re_workers.notify.handler import Notice, settle
from re_workers.notify.irc_client import IrcClient
from re_workers.notify.irc_lines import CHANNEL, NICK, Line, fold, line, room, split
from re_workers.notify.irc_link import IrcLink, connect
from re_workers.notify.irc_token_bucket import TokenBucket
from re_workers.notify.settings import IrcSettings
from re_workers.notify.text import announcement, one_line

#: lines of one notice to one target; at our pace twenty take half a minute, and a chat is no place for more
MAX_LINES = 20

#: refusals that pass: the name is held after a split of the network; we send to too many too fast
_FOR_NOW = frozenset({"437", "439"})


class _Outcome(NamedTuple):
    refused: dict[str, str]
    missed: dict[str, str]


class IrcHandler:
    """Says notices as PRIVMSGs: `[phase] slug: ` before the first line. Connects at the first delivery.

    A channel is joined before the first message to it (with its key, if the settings have one) and kept. Targets that
    are neither channels nor nicks, and those the server answers with an error for, are Undeliverable; without
    a connection all are Unreachable. `pace` makes a new token bucket for every connection.
    """

    transport: Final = "irc"

    def __init__(self, settings: IrcSettings, pace: Callable[[], TokenBucket] = TokenBucket) -> None:
        self._settings = settings
        self._keys = {fold(channel): key for channel, key in settings.channels.items() if key}
        self._client = IrcClient(settings, pace)

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Return when the server has taken every line for every target; see the port for what is raised."""
        targets = {fold(target): target for target in notice.target if _is_target(target)}
        outcome = _Outcome({t: "is neither a channel nor a nick" for t in notice.target if not _is_target(t)}, {})
        if targets:
            said = announcement(notice)
            try:
                found = self._client.do(partial(self._announce, said, list(targets.values())))
            except OSError as error:
                found = _Outcome({}, dict.fromkeys(targets.values(), _away(self._settings, error)))
            outcome.refused.update(found.refused)
            outcome.missed.update(found.missed)
        settle(outcome.refused, outcome.missed)

    def close(self) -> None:
        """Leave the network; a delivery under way ends with Unreachable."""
        self._client.close()

    def _announce(self, said: Sequence[str], targets: Sequence[str], link: IrcLink) -> _Outcome:
        outcome = _Outcome({}, {})
        absent = [target for target in targets if CHANNEL.fullmatch(target) and not link.has_joined(target)]
        if absent:
            _note(outcome, link.exchange([self._join(channel) for channel in absent]), absent)
        able = [target for target in targets if target not in outcome.refused and target not in outcome.missed]
        if able:
            words = [word for target in able for word in _words(said, link.nick, target)]
            _note(outcome, link.exchange(words), able)
        for target in (*outcome.refused, *outcome.missed):
            link.leave(target)  # perhaps we are not there any more; joining again does no harm
        return outcome

    def _join(self, channel: str) -> bytes:
        key = self._keys.get(fold(channel))
        return line("JOIN", channel, key) if key else line("JOIN", channel)


def trouble(settings: IrcSettings) -> str:
    """Why the network cannot be reached just now; empty where it can. It does not log in: that would be seen there."""
    try:
        connect(settings).close()
    except OSError as error:
        return _away(settings, error)
    return ""


def _away(settings: IrcSettings, error: OSError) -> str:
    return f"{settings.host}:{settings.port} cannot be reached: {one_line(str(error)) or type(error).__name__}"


def _is_target(text: str) -> bool:
    return bool(NICK.fullmatch(text) or CHANNEL.fullmatch(text))


def _words(said: Iterable[str], nick: str, target: str) -> list[bytes]:
    """The PRIVMSGs for one target, none longer than the server may pass on."""
    octets = room(nick, "PRIVMSG", target)
    pieces = [piece for text in said for piece in split(text, octets)]
    if len(pieces) > MAX_LINES:
        left = len(pieces) - MAX_LINES + 1
        pieces[MAX_LINES - 1 :] = [f"({left} more lines)"]
    return [line("PRIVMSG", target, piece) for piece in pieces]


def _note(outcome: _Outcome, replies: Iterable[Line], targets: Sequence[str]) -> None:
    """Adds what the server said against any of the targets: 4xx and 5xx, `<us> <target> :<why>`."""
    named = {fold(target): target for target in targets}
    for said in replies:
        target = named.get(fold(said.param(1)))
        if target and said.command.isdigit() and said.command[0] in "45":
            where = outcome.missed if said.command in _FOR_NOW else outcome.refused
            where[target] = f"{said.command} {one_line(said.text)}"
