"""The lines of IRC (RFC 1459, RFC 2812, IRCv3): parsed, formatted, split to size. Pure; must not know connections.

A line is at most 512 octets with its CR LF, and when the server passes ours on, it puts `:nick!user@host ` in
front and cuts what is then too long: so room for that is left.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: octets of a line, CR LF included (RFC 2812 §2.3)
MAX_LINE = 512

#: octets of a user name and a host name in the prefix, more than servers in use send
_MAX_USER, _MAX_HOST = 12, 64

#: octets of text per line that remain even where a server gives us an absurd nick
_MIN_ROOM = 64

#: a nick that any server may have; services and masks (`$*.net`, `nick!user@host`) are none
NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,63}")

#: a channel: no space, comma, colon or control character (RFC 2812 §1.3); up to 64 characters
CHANNEL = re.compile(r"[#&+!][^\x00-\x20,:\x7f-\xa0\u2028\u2029\ud800-\udfff]{1,63}")

#: a channel's key
KEY = re.compile(r"(?!:)[^\x00-\x20,\x7f-\xa0\ud800-\udfff]{1,50}")

#: how servers fold case unless they say otherwise: the brackets are the Scandinavian letters of 1988
_FOLD = str.maketrans("[]\\~", "{}|^")


class Line(NamedTuple):
    """One line from the server: its source, the command in upper case or three digits, the parameters."""

    source: str
    command: str
    params: tuple[str, ...]

    @property
    def nick(self) -> str:
        """The nick of the source, or the server's name."""
        return self.source.partition("!")[0]

    @property
    def text(self) -> str:
        """The last parameter: what numerics say for people."""
        return self.param(-1)

    def param(self, index: int) -> str:
        """A parameter, empty when the server sent fewer."""
        return self.params[index] if -len(self.params) <= index < len(self.params) else ""


def parse(raw: bytes) -> Line | None:
    """One line, as lenient as it can be; None when it says nothing.

    Wrong UTF-8 is replaced; CR, LF and NUL, which no line has inside, and message tags are dropped.
    """
    rest = raw.translate(None, b"\r\n\0").decode("utf-8", "replace")
    if rest.startswith("@"):
        rest = rest.partition(" ")[2].lstrip(" ")
    source = ""
    if rest.startswith(":"):
        source, _, rest = rest[1:].partition(" ")
    rest, colon, trailing = f" {rest}".partition(" :")
    words = [word for word in rest.split(" ") if word]
    if not words:
        return None
    return Line(source, words[0].upper(), (*words[1:], trailing) if colon else tuple(words[1:]))


def line(command: str, *params: str) -> bytes:
    """One line with its CR LF, the last parameter as trailing where it must be.

    Raises ValueError for what cannot stand in a line (CR, LF, NUL; an empty parameter or one with a space or a
    leading colon before the last) or when it is longer than 512 octets: a programmer's error, checked here so
    that no way leads around it.
    """
    for param in params[:-1]:
        if not param or " " in param or param.startswith(":"):
            raise ValueError(f"{param!r} cannot stand in the middle of a line")
    trailing = [_trailing(params[-1])] if params else []
    text = " ".join([command, *params[:-1], *trailing])
    if any(char in text for char in "\r\n\0"):
        raise ValueError("CR, LF and NUL cannot stand in a line")
    raw = text.encode("utf-8") + b"\r\n"
    if len(raw) > MAX_LINE:
        raise ValueError(f"a line of {len(raw)} octets; at most {MAX_LINE}")
    return raw


def _trailing(param: str) -> str:
    return f":{param}" if not param or " " in param or param.startswith(":") else param


def room(nick: str, command: str, target: str) -> int:
    """Octets left for the text of a PRIVMSG to `target` when the server passes it on as from `nick`."""
    prefix = len(f":{nick}!@ ".encode()) + _MAX_USER + _MAX_HOST
    return max(_MIN_ROOM, MAX_LINE - prefix - len(f"{command} {target} :\r\n".encode()))


def split(text: str, octets: int) -> list[str]:
    """Pieces of at most `octets` (4 or more) in UTF-8 that together are the text, cut after a space if one is near.

    No character is cut in two, none is lost.
    """
    pieces = []
    raw = text.encode("utf-8")
    while len(raw) > octets:
        end = octets
        while raw[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        space = raw.rfind(b" ", end // 2, end)
        end = space + 1 if space >= 0 else end
        pieces.append(raw[:end].decode("utf-8"))
        raw = raw[end:]
    return [*pieces, raw.decode("utf-8")]


def fold(name: str) -> str:
    """A nick or channel as the server compares it."""
    return name.lower().translate(_FOLD)
