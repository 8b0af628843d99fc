"""Hosts: what the inventory knows, what lists of hosts mean, and what administrators say of hosts by the API.

Must not know how the inventory is read, nor how a key is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from re_core import ports
from re_core.api import hosts as answers
from re_core.deployment.host_rows import unknown_host
from re_core.errors import BadDocument, Conflict, NotFound, Problem, Refused, TransientError
from re_core.inventory.findings import BadInventory, BadPattern, Finding
from re_core.inventory.hosts import PINNED, Host
from re_core.inventory.inventory import Inventory
from re_core.inventory.resolving import Snapshot
from re_core.inventory.stored import KEYS, SOURCE, WORDS, said, too_large
from re_core.playbook.host_rules import AsWritten
from re_core.rows import StoredHosts
from re_core.runtime import host_keys
from re_core.usecases.authorization import Allowed, Principal, Verb, can, require
from re_core.usecases.times import rfc3339
from re_core.wording import quoted

#: races for the document that are lost before a caller gives up
_TRIES = 20
#: what every caller sees of a host; how it is reached, and its variables, is for those who see all groups
_PUBLIC = frozenset({"groups", "tags", "environment", "pool", "labels"})


class KnownHosts(Protocol):
    """The inventory, as it is kept (re_core/services/inventory_watch.py)."""

    def snapshot(self) -> Snapshot:
        """All that is known now. Raises StoreUnavailable."""
        ...

    def tried(self, stored: StoredHosts) -> Inventory | None:
        """What it would be with these hosts of the API; None where that cannot be known. Raises BadInventory."""
        ...


class NoHosts:
    """KnownHosts of a process that cannot know any yet."""

    def snapshot(self) -> Snapshot:
        """See KnownHosts."""
        return Snapshot(AsWritten())

    def tried(self, stored: StoredHosts) -> None:
        """See KnownHosts."""


def listed(known: KnownHosts, principal: Principal, patterns: Sequence[str] = ()) -> list[answers.Host]:
    """All hosts, or those that the patterns mean. Raises BadDocument, Refused where the inventory cannot be used."""
    inventory = _usable(known)
    whole = _sees_all(principal)
    names = _select(inventory, patterns).names if patterns else tuple(inventory.hosts)
    return [_document(inventory.hosts[name], whole) for name in names if name in inventory.hosts]


def shown(known: KnownHosts, principal: Principal, name: str) -> answers.Host:
    """One. Raises NotFound, Refused where the inventory cannot be used."""
    inventory = _usable(known)
    return _document(_host(inventory, name), _sees_all(principal))


def selected(known: KnownHosts, patterns: Sequence[str]) -> answers.Selection:
    """What a list of hosts means now. Raises BadDocument, Refused where the inventory cannot be used."""
    inventory = _usable(known)
    found = _select(inventory, patterns)
    unknown = [unknown_host(name, "", inventory.nearest(name)) for name in found.unknown[:20]]
    return {"names": list(found.names), "unknown": list(found.unknown), "warnings": [*found.warnings, *unknown]}


def checked(known: KnownHosts, principal: Principal) -> answers.InventoryCheck:
    """Whether it can be used, and all that is wrong with it; whole for a caller who sees all groups. Raises NotAllowed."""
    require(principal, Verb.SEE, None)
    now = known.snapshot()
    inventory = now.inventory
    errors: Sequence[Finding] = now.error.findings if now.error else ()
    return {
        "usable": now.error is None,
        "hosts": len(inventory.hosts) if inventory else 0,
        "groups": len(inventory.groups) if inventory else 0,
        "digest": inventory.digest if inventory else "",
        "degraded": now.degraded if now.error is None else "",
        "errors": [_fault(one) for one in errors],
        "warnings": [_fault(one) for one in (inventory.warnings if inventory else ())],
        "more": now.error.more if now.error else 0,
    }


def save(
    rows: ports.HostRows,
    known: KnownHosts,
    clock: ports.Clock,
    principal: Principal,
    hosts: Mapping[str, Any],
    replace: bool,
) -> list[str]:
    """Say this of hosts, name or range -> words: all of it or nothing; the names that are meant.

    Raises NotAllowed, BadDocument with every mistake, Conflict where a host is there and `replace` is not said.
    """
    require(principal, Verb.ADMIN, None)
    names = _names(hosts)

    def change(stored: StoredHosts) -> dict[str, Mapping[str, Any]]:
        there = [name for name in names if WORDS in stored.hosts.get(name, {})]
        if there and not replace:
            raise Conflict(f"{quoted(there[0])} is there already; `rectl hosts set` changes it")
        by = {"user": principal.subject, "at": clock.now()}
        own = {name: {**stored.hosts.get(name, {}), WORDS: words, **by} for name, words in names.items()}
        return {**stored.hosts, **own}

    _change(rows, known, change)
    return list(names)


def remove(rows: ports.HostRows, known: KnownHosts, principal: Principal, name: str) -> None:
    """Forget what the API says of a host, its trusted keys too. Raises NotAllowed, NotFound, BadDocument where others need it."""
    require(principal, Verb.ADMIN, None)

    def change(stored: StoredHosts) -> dict[str, Mapping[str, Any]]:
        if name not in stored.hosts:
            inventory = known.snapshot().inventory
            host = inventory.hosts.get(name) if inventory else None
            where = f"; it stands at {host.place}" if host else ""
            raise NotFound(f"the API keeps no host {quoted(name)}{where}")
        return {other: row for other, row in stored.hosts.items() if other != name}

    _change(rows, known, change)


def scanned(known: KnownHosts, principal: Principal, name: str) -> answers.Scan:
    """The keys that a host shows to this machine, and which of them are trusted. Raises NotAllowed, NotFound, Refused, ScanFailed."""
    require(principal, Verb.ADMIN, None)
    inventory = _usable(known)
    host = _host(inventory, name)
    _require_trustable(host)
    where = host_keys.way(host.address or host.name, host.port)
    through = host.jump or where.through
    if through:
        raise Refused(
            f"{quoted(name)} is reached through {through}, which ssh-keyscan cannot pass: run `ssh-keyscan -p {where.port} "
            f"{where.address}` there, and give what it prints: `rectl hosts trust {name} --keys FILE`"
        )
    found = host_keys.scan(where)
    return {
        "address": where.address,
        "port": where.port,
        "keys": [_key(one, one in host.host_keys) for one in found],
        "trusted": [_key(one, True) for one in host.host_keys],
    }


def trust(
    rows: ports.HostRows,
    known: KnownHosts,
    clock: ports.Clock,
    principal: Principal,
    name: str,
    keys: Sequence[str],
    replace: bool,
) -> answers.Host:
    """Trust these keys of a host, beside those before; with `replace` in place of them. A step's worker gets them with the step.

    Raises NotAllowed, NotFound, BadDocument, Refused, Conflict where another key of a type is trusted and `replace` is not said.
    """
    require(principal, Verb.ADMIN, None)
    _require_trustable(_host(_usable(known), name))
    mistakes = said({name: {"host_keys": list(keys)}}).problems
    if mistakes:
        raise BadDocument("", [Problem("/keys", one.message) for one in mistakes])

    def change(stored: StoredHosts) -> dict[str, Mapping[str, Any]]:
        row = stored.hosts.get(name, {})
        before: Sequence[str] = () if replace else row.get(KEYS, ())
        for key in keys:
            other = [one for one in before if one.split()[0] == key.split()[0] and one != key]
            if other:
                raise Conflict(
                    f"{quoted(name)} has another {key.split()[0]} key: {host_keys.fingerprint(other[0])} is trusted, "
                    f"{host_keys.fingerprint(key)} is new; if the host was installed again, replace it: --replace"
                )
        by = {"user": principal.subject, "at": clock.now()}
        return {**stored.hosts, name: {**row, KEYS: list(dict.fromkeys((*before, *keys))), **by}}

    _change(rows, known, change)
    return shown(known, principal, name)


def stored_row(rows: ports.HostRows, principal: Principal, name: str) -> answers.StoredHost:
    """What the API keeps of a host. Raises NotAllowed, NotFound."""
    require(principal, Verb.ADMIN, None)
    row = rows.stored_hosts().hosts.get(name)
    if row is None:
        raise NotFound(f"the API keeps no host {quoted(name)}")
    return {
        "name": name,
        "words": row.get(WORDS),
        "keys": [_key(one, True) for one in row.get(KEYS, ())],
        "user": row["user"],
        "changed": rfc3339(row["at"]),
    }


def _change(
    rows: ports.HostRows, known: KnownHosts, change: Callable[[StoredHosts], Mapping[str, Mapping[str, Any]]]
) -> None:
    """Store what `change` makes of what is stored, if the inventory can be used with it. Raises what it raises, BadDocument."""
    for _ in range(_TRIES):
        stored = rows.stored_hosts()
        new = StoredHosts(stored.version + 1, change(stored))
        if large := too_large(new):
            raise BadDocument(large.message)
        was_usable = known.snapshot().error is None
        try:
            known.tried(new)
        except BadInventory as error:
            if was_usable:  # of one that was broken before, a part is taken away that may have broken it
                raise BadDocument("", [_problem(one) for one in error.findings]) from None
        if rows.save_hosts(new):
            return
    raise TransientError("the hosts are changed by others all the time; try again")


def _names(hosts: Mapping[str, Any]) -> dict[str, Any]:
    """Ranges expanded: name -> words. Raises BadDocument."""
    read = said(hosts)
    if read.problems:
        raise BadDocument("", [_problem(one) for one in read.problems])
    if not read.hosts:
        raise BadDocument("no host is named")
    return {entry.name: _said_of(hosts, entry.place.path) for entry in read.hosts}


def _said_of(hosts: Mapping[str, Any], path: str) -> Any:
    """The words at a pointer `/hosts/<name>`."""
    name = path.removeprefix("/hosts/").replace("~1", "/").replace("~0", "~")
    return hosts[name] or {}


def _usable(known: KnownHosts) -> Inventory:
    """Raises Refused."""
    now = known.snapshot()
    if now.error is not None:
        raise Refused(f"the inventory cannot be used: {now.error}; `rectl hosts check` lists all that is wrong")
    return now.inventory or Inventory({})


def _select(inventory: Inventory, patterns: Sequence[str]) -> Any:
    try:
        return inventory.select(patterns)
    except BadPattern as error:
        raise BadDocument(str(error), [one._replace(path=f"/patterns{one.path}") for one in error.problems]) from None


def _host(inventory: Inventory, name: str) -> Host:
    found = inventory.hosts.get(name)
    if found is None:
        near = inventory.nearest(name)
        raise NotFound(f"the inventory has no host {quoted(name)}{f'; {near}' if near else ''}")
    return found


def _require_trustable(host: Host) -> None:
    if host.runner != "ssh":
        raise Refused(f"{quoted(host.name)} is not reached by ssh, but by the runner {host.runner}: it has no key")
    if host.host_key == PINNED:
        raise Refused(f"the keys of {quoted(host.name)} are pinned at {host.place}; change `host_keys` there")


def _sees_all(principal: Principal) -> bool:
    return isinstance(can(principal, Verb.SEE, None), Allowed)


def _document(host: Host, whole: bool) -> answers.Host:
    facts = host.facts()
    del facts["name"]
    keys: Iterable[str] = facts.pop("host_keys", ()) if whole else ()
    return {
        "name": host.name,
        "place": str(host.place) if whole else "",
        "by_api": host.place.source == SOURCE,
        "words": facts if whole else {word: value for word, value in facts.items() if word in _PUBLIC},
        "keys": [_key(one, True) for one in keys],
    }


def _key(key: str, trusted: bool) -> answers.HostKey:
    return {"type": key.split()[0], "fingerprint": host_keys.fingerprint(key), "key": key, "trusted": trusted}


def _fault(finding: Finding) -> answers.InventoryFault:
    place = finding.place
    return {"source": place.source, "line": place.line or None, "path": place.path, "message": finding.message}


def _problem(finding: Finding) -> Problem:
    """Of the request, where it is about what the request says; else with its place in the message."""
    place = finding.place
    return Problem(place.path, finding.message) if place.source == SOURCE else Problem("", str(finding))
