"""What people say of hosts by the API, as a source of the inventory. Pure; must not know how it is kept.

Of each name the stored document has `words`, as a file has them under `hosts`, and `keys`, the public keys of the host that an
administrator trusts. Each may be missing: the keys of a host that a file describes are kept here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from re_core.inventory.documents import Parsed
from re_core.inventory.findings import Finding, Place
from re_core.inventory.reading import read_source
from re_core.inventory.sources import SourceText
from re_core.rows import StoredHosts
from re_core.wire.strict_json import dumps

#: as people name this source
SOURCE = "rectl hosts"
#: bytes of JSON of the whole document
MOST_BYTES = 4 * 1024**2

WORDS, KEYS = "words", "keys"


def parsed(stored: StoredHosts) -> Parsed:
    """What it says, as one source; its mistakes are among that."""
    return said({name: row[WORDS] for name, row in stored.hosts.items() if WORDS in row})


def said(hosts: Mapping[str, Any]) -> Parsed:
    """The same of a section `hosts`: name or range -> words."""
    return read_source(SourceText(SOURCE, "json", dumps({"hosts": hosts})))


def keys(stored: StoredHosts) -> dict[str, Sequence[str]]:
    """Name -> the keys of it that are trusted."""
    return {name: row[KEYS] for name, row in stored.hosts.items() if row.get(KEYS)}


def too_large(stored: StoredHosts) -> Finding | None:
    """Why it cannot be kept."""
    size = len(dumps(stored.hosts).encode(errors="replace"))
    if size <= MOST_BYTES:
        return None
    return Finding(
        Place(SOURCE),
        f"{size} bytes; what the API keeps of hosts has at most {MOST_BYTES}: use a file, which the setting `inventory` names",
    )
