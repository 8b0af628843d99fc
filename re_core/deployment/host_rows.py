"""What a step's message says of its host: the rows that the plan keeps. Pure; must not know where they came from.

A row is JSON: the words of docs/reference/inventory.md that differ from their defaults. `jump` names another row of the same plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from re_core.wire.strict_json import dumps
from re_core.wording import quoted

#: name of a host -> its row
Rows = Mapping[str, Mapping[str, Any]]

#: keys of a stored plan: rows of the hosts that are in the inventory, and advice on those that are not
OF_HOSTS = (INVENTORY, UNKNOWN_HOSTS) = ("inventory", "unknown_hosts")

#: bytes of JSON that the rows of one step may have: all headers of a message share one frame of AMQP
MAX_BYTES = 8 * 1024
#: and all rows of a plan: an entry of the journal is one document of the store
MAX_BYTES_ALL = 4 * 1024**2

#: words that say which keys of a host are trusted
_OF_TRUST = ("host_key", "host_keys")
#: and words that say which machine it is
_OF_PLACE = ("address", "port", "jump", "runner")

#: words that say nothing of how a host is reached, so that a host which is only passed through needs none of them
_NOT_OF_WAY = frozenset({"environment", "groups", "labels", "pool", "tags", "vars"})


def rows_of(host: str, rows: Rows) -> dict[str, Mapping[str, Any]]:
    """The row of a host, and those through which it is reached; empty where the plan has none of it."""
    found = {name: rows[name] if name == host else _way(rows[name]) for name in _chain(host, rows)}
    return found if host in found else {}


def header_of(host: str, rows: Rows) -> str:
    """The same as the header of a step's message; empty where there is nothing to say."""
    found = rows_of(host, rows)
    return dumps(found) if found else ""


def trusted_now(host: str, rows: Rows, now: Rows) -> Rows:
    """The rows that a step on the host needs, with the keys that are trusted by the rows of now; all else is as the plan has it.

    A host that has another address since, or is gone, is as it was, and so is all where the message would have no room for the keys.
    """
    before = rows_of(host, rows)
    found = {name: _trusted(row, now[name]) if name in now else row for name, row in before.items()}
    return found if len(header_of(host, found).encode(errors="replace")) <= MAX_BYTES else before


def become_secret(host: str, rows: Rows) -> str:
    """Name of the secret that sudo asks for on a host; empty where it asks for none."""
    become = rows.get(host, {}).get("become")
    password = become.get("password") if isinstance(become, Mapping) else None
    return password if isinstance(password, str) else ""


def unknown_host(name: str, where: str, advice: str) -> str:
    """What people read of a name that the inventory lacks; `where` its steps run all the same."""
    return f"{quoted(name)} is not in the inventory{where}{f'; {advice}' if advice else ''}"


def _chain(host: str, rows: Rows) -> Iterator[str]:
    seen: set[str] = set()
    name: Any = host
    while isinstance(name, str) and name in rows and name not in seen:
        seen.add(name)
        yield name
        name = rows[name].get("jump")


def _trusted(row: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    if any(row.get(word) != now.get(word) for word in _OF_PLACE):
        return row
    kept = {word: value for word, value in row.items() if word not in _OF_TRUST}
    return kept | {word: now[word] for word in _OF_TRUST if word in now}


def _way(row: Mapping[str, Any]) -> dict[str, Any]:
    return {word: value for word, value in row.items() if word not in _NOT_OF_WAY}
