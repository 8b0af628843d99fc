"""Where cdpm.yml files are read from: by the kind of their URL, and only where the settings allow it."""

from __future__ import annotations

from collections.abc import Mapping

from re_core.adapters.peering.git import GitSource
from re_core.adapters.peering.https import HttpsSource
from re_core.adapters.peering.local import LocalSource
from re_core.cdpm.reading import URL
from re_core.cdpm.sources import Allowed, raw_url
from re_core.ports.peering import Fetched, PeerRefused, Sources
from re_core.runtime.http_exchange import Way


class PeerSources:
    """See ports.peering.Sources."""

    def __init__(self, allowed: Allowed, way: Way) -> None:
        """`way`: which addresses may be reached, and which authorities are trusted."""
        self._allowed = allowed
        https = HttpsSource(way)
        git = GitSource(way, _below(allowed, "git+file"))
        self._by_kind: Mapping[str, Sources] = {
            "https": https,
            "http": https,
            "file": LocalSource(_below(allowed, "file")),
            "git+https": git,
            "git+file": git,
        }

    def fetch(self, url: str, etag: str = "") -> Fetched | None:
        """See ports.peering.Sources."""
        if len(url) > URL or not url.isascii() or not url.isprintable():
            raise PeerRefused("source-unavailable", f"expected a URL of at most {URL} printable ASCII characters")
        try:
            read_from = raw_url(url)
            why = self._allowed.why_not(read_from)
        except ValueError as error:
            why = f"it is no URL: {error}"
        if why:
            raise PeerRefused("source-unavailable", f"{url[:200]}: {why}")
        return self._by_kind[read_from.partition(":")[0].lower()].fetch(read_from, etag)


def _below(allowed: Allowed, kind: str) -> list[str]:
    return [directory for one, directory in allowed.below if one == kind]
