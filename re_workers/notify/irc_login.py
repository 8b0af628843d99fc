"""How a connection gets a name: PASS, capabilities, SASL, NICK and its fallbacks, until the server says 001.

Pure: lines in, lines out, by a table from command to method. Must not know sockets or time. A login that was
asked to authenticate and cannot is refused, never continued without.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from re_workers.notify.irc_lines import Line, line
from re_workers.notify.settings import IrcSettings
from re_workers.notify.text import one_line

#: characters of one AUTHENTICATE line (IRCv3 SASL); a shorter one, perhaps `+` for empty, ends the answer
_CHUNK = 400

#: characters that every server takes as a nick (RFC 2812 §1.2.1)
_SHORT = 9


class LoginRefused(ConnectionError):
    """The server does not let us in like this."""


class Login:
    """One login: send what `begin` and `receive` return, feed it what the server says, until `ready`."""

    def __init__(self, settings: IrcSettings) -> None:
        self._settings = settings
        self._nicks = _nicks(settings.nick)
        self._offered: list[str] = []
        self._authenticated = settings.sasl == "none"
        self.nick = next(self._nicks)
        self.ready = False
        self._table: dict[str, Callable[[Line], list[bytes]]] = {
            "001": self._welcome,
            "CAP": self._capabilities,
            "AUTHENTICATE": self._answer_challenge,
            "903": self._accepted,
            **dict.fromkeys(("432", "433", "436", "437"), self._next_nick),
            **dict.fromkeys(("464", "465", "902", "904", "905", "906", "908"), self._refuse),
        }

    def begin(self) -> list[bytes]:
        """What to send first."""
        to = self._settings
        capabilities = [line("CAP", "LS", "302")] if to.sasl != "none" else []
        password = [line("PASS", to.password)] if to.password and to.sasl == "none" else []
        names = [line("NICK", self.nick), line("USER", to.nick, "0", "*", one_line(to.realname))]
        return [*capabilities, *password, *names]

    def receive(self, said: Line) -> list[bytes]:
        """What to answer; raises LoginRefused when there is no way in."""
        answer = self._table.get(said.command)
        return answer(said) if answer else []

    def _welcome(self, said: Line) -> list[bytes]:
        if not self._authenticated:
            raise LoginRefused("the server accepted the login without SASL, which the settings require")
        self.ready = True
        return []

    def _capabilities(self, said: Line) -> list[bytes]:
        kind = said.param(1).upper()
        if kind == "ACK":
            return [line("AUTHENTICATE", self._settings.sasl.upper())]
        if kind == "NAK":
            raise LoginRefused("the server refuses SASL")
        if kind != "LS" or self._authenticated:
            return []
        self._offered += said.text.split()
        more_to_come = len(said.params) > 3 and said.param(2) == "*"
        return [] if more_to_come else [self._ask_for_sasl()]

    def _ask_for_sasl(self) -> bytes:
        offers = dict(offer.partition("=")[::2] for offer in self._offered)
        mechanisms = offers.get("sasl")
        if mechanisms is None:
            raise LoginRefused("the server offers no SASL")
        if mechanisms and self._settings.sasl.upper() not in mechanisms.upper().split(","):
            raise LoginRefused(f"the server offers SASL {one_line(mechanisms)}, not {self._settings.sasl}")
        return line("CAP", "REQ", "sasl")

    def _answer_challenge(self, said: Line) -> list[bytes]:
        if said.text != "+":
            raise LoginRefused("the server sent a challenge that the mechanism does not define")
        to = self._settings
        plain = f"\0{to.user}\0{to.password}".encode() if to.sasl == "plain" else b""
        text = base64.b64encode(plain).decode()
        chunks = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]
        ended = bool(chunks) and len(chunks[-1]) < _CHUNK
        return [line("AUTHENTICATE", chunk) for chunk in (chunks if ended else [*chunks, "+"])]

    def _accepted(self, said: Line) -> list[bytes]:
        self._authenticated = True
        return [line("CAP", "END")]

    def _next_nick(self, said: Line) -> list[bytes]:
        nick = next(self._nicks, None)
        if nick is None:
            raise LoginRefused(f"no nick is free: {one_line(said.text)}")
        self.nick = nick
        return [line("NICK", nick)]

    def _refuse(self, said: Line) -> list[bytes]:
        raise LoginRefused(f"the server refuses the login: {said.command} {one_line(said.text)}")


def _nicks(wanted: str) -> Iterator[str]:
    """The nick that is wanted, then others like it, the later ones short enough for any server."""
    numbered = [f"{wanted[: _SHORT - 1]}{number}" for number in range(1, 10)]
    return iter(dict.fromkeys([wanted, f"{wanted}_", f"{wanted[: _SHORT - 1]}_", *numbered]))
