"""cdpm.yml: what a pipeline node says of itself, and whom it knows. Pure; must not know YAML, nor where the file comes from.

The schema `cdpm-file` says what may stand where; here is what a schema cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from re_core.cdpm import public_key
from re_core.cdpm.public_key import PublicKey
from re_core.errors import BadDocument, Problem
from re_core.json_pointer import pointer

#: bytes of a file
MAX_FILE = 64 * 1024

#: entries of Dependencies, and of Dependents
MAX_PEERS = 200


class Dependent(NamedTuple):
    """Whose votes count."""

    url: str
    major: bool = True


class CdpmFile(NamedTuple):
    """A whole file."""

    key: PublicKey
    #: where the node answers, without a / at its end
    url: str
    #: name -> URL of its cdpm.yml
    dependencies: Mapping[str, str]
    #: name -> whose votes count
    dependents: Mapping[str, Dependent]
    #: keys that nothing reads
    ignored: tuple[str, ...] = ()

    def listed(self, url: str) -> Dependent | None:
        """The dependent whose cdpm.yml has this URL."""
        return next((one for one in self.dependents.values() if one.url == url), None)


def read(document: Mapping[str, Any]) -> CdpmFile:
    """The file, of a document that its schema accepts. Raises BadDocument with all problems, each with its JSON pointer."""
    problems: list[Problem] = []
    key: PublicKey | None = None
    node = document["Pipeline-node"]
    try:
        key = public_key.read(node["public-key"])
    except BadDocument as error:
        problems.append(Problem("/Pipeline-node/public-key", str(error)))
    problems += _wrong_url(node["url"], "/Pipeline-node/url")
    dependencies, dependents = document.get("Dependencies") or {}, document.get("Dependents") or {}
    for section, peers in (("Dependencies", dependencies), ("Dependents", dependents)):
        problems += _wrong_peers(section, peers)
    if problems or key is None:
        raise BadDocument(f"{problems[0].path}: {problems[0].message}", problems)
    return CdpmFile(
        key,
        node["url"].rstrip("/"),
        {name: one["url"] for name, one in dependencies.items()},
        {name: Dependent(one["url"], one.get("major", True)) for name, one in dependents.items()},
        tuple(name for name in document if name.startswith("x-")),
    )


def _wrong_peers(section: str, peers: Mapping[str, Any]) -> Iterator[Problem]:
    """A URL twice in one section: of two names for one node, one would be without effect."""
    seen: dict[str, str] = {}
    for name, peer in peers.items():
        url = peer["url"]
        yield from _wrong_url(url, pointer([section, name, "url"]))
        if url in seen:
            yield Problem(pointer([section, name, "url"]), f"this URL stands under {seen[url]!r} too; keep one of them")
        seen.setdefault(url, name)


def _wrong_url(url: str, at: str) -> Iterator[Problem]:
    """What a pattern does not find: a port that is none, a bracket that is not closed, characters that no URL has."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        yield Problem(at, f"it is no URL: {error}")
        return
    if port == 0 or (parts.scheme not in ("file", "git+file") and not parts.hostname):
        yield Problem(at, "it is no URL: it has no host, or the port 0")
    elif not url.isascii() or not url.isprintable():
        yield Problem(at, "it is no URL: percent-encode what is not ASCII, and write the name of the host in punycode")
