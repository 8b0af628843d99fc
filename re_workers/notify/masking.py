"""Secrets of URLs, cut out of what libraries and servers say. Pure; must not know where the text goes.

A URL of a notifier is a secret as a whole: `https://hooks.slack.com/services/T0/B0/x` permits every holder to write into the channel.
An error seldom repeats the whole URL, so its parts are secrets too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

#: what stands where a secret stood
MASKED = "***"

#: characters from which on a part of a URL is a secret of its own; shorter ones occur in any text
LEAST = 5


class Mask:
    """Of some URLs."""

    def __init__(self, urls: Iterable[str]) -> None:
        found = sorted({part for url in urls for part in _parts(url)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def text(self, text: str) -> str:
        """The text without them."""
        return self._pattern.sub(MASKED, text) if self._pattern else text


def _parts(url: str) -> Iterator[str]:
    """The URL, and what stands in it behind the scheme, but for the host and port of a URL with nothing secret in them.

    The host of `slack://TokenA/TokenB` is a token, so a host counts unless it has a full stop or is this machine's name.
    """
    yield url
    parts = urlsplit(url)
    pieces = [*re.split(r"[/:@]", parts.path), *re.split(r"[&=;]", parts.query), *re.split(r"[:@]", parts.netloc)]
    pieces += [parts.fragment, parts.path.strip("/")]
    for piece in pieces:
        for form in {piece, unquote(piece)}:
            if len(form) >= LEAST and not _is_host(form, parts.netloc):
                yield form


def _is_host(text: str, netloc: str) -> bool:
    host = netloc.rpartition("@")[2].rpartition(":")[0] or netloc.rpartition("@")[2]
    return text == host and ("." in host or host == "localhost" or host.startswith("["))
