"""All sources to one inventory. Pure; the entrance of the package.

A host stands in one source, since two that describe it differently would make its address a matter of order. Groups may be said
more of by any source. A word comes from the host, else from the deepest of its groups that says it, else from `defaults`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from re_core.inventory.ansible import is_ansible, read_ansible
from re_core.inventory.documents import DocumentReader, GroupEntry, HostEntry, Parsed, Said
from re_core.inventory.fields import MERGED
from re_core.inventory.findings import BadInventory, Finding, Place
from re_core.inventory.grouping import Groups, merged
from re_core.inventory.hosts import MOST_GROUPS, MOST_HOSTS, MOST_JUMPS, MOST_OF_GROUPS, Host
from re_core.inventory.inventory import Inventory
from re_core.inventory.sources import MOST_BYTES_ALL, SourceText, parse
from re_core.wording import did_you_mean, quoted


def read_inventory(sources: Sequence[SourceText]) -> Inventory:
    """The inventory that they are together. Raises BadInventory with all that is wrong, in all of them."""
    size = sum(len(one.text) for one in sources)
    if size > MOST_BYTES_ALL:
        raise BadInventory(
            [Finding(Place("inventory"), f"{size} characters; all sources have at most {MOST_BYTES_ALL}")]
        )
    return merge([read_source(source) for source in sources])


def read_source(source: SourceText) -> Parsed:
    """What one of them says; its mistakes are among it. `merge` makes an inventory of several."""
    try:
        document, doubts = parse(source)
    except BadInventory as error:
        return Parsed([], [], [], [*error.findings], [])
    found = read_ansible(document) if is_ansible(document.value) else DocumentReader(document).read()
    return found._replace(warnings=[*doubts, *found.warnings])


def merge(parsed: Sequence[Parsed]) -> Inventory:
    """The inventory that they are together. Raises BadInventory with all that is wrong, in all of them."""
    problems = list(chain.from_iterable(one.problems for one in parsed))
    if problems:  # what is missing because of them is not missing
        raise BadInventory(problems)
    return _Merger(parsed, list(chain.from_iterable(one.warnings for one in parsed))).inventory()


class _Merger:
    def __init__(self, parsed: Sequence[Parsed], warnings: list[Finding]) -> None:
        self._warnings = warnings
        self._problems: list[Finding] = []
        self._hosts = self._unique(chain.from_iterable(one.hosts for one in parsed))
        entries = list(chain.from_iterable(one.groups for one in parsed))
        self._groups = Groups(entries, _mentioned(self._hosts.values()))
        self._problems += self._groups.problems
        self._defaults = self._one_default(chain.from_iterable(one.defaults for one in parsed))
        self._members = self._membership(entries)

    def inventory(self) -> Inventory:
        """All hosts with all that is said of them. Raises BadInventory."""
        if len(self._groups) > MOST_GROUPS:
            place = next(iter(self._hosts.values())).place if self._hosts else Place("inventory")
            self._problems.append(Finding(place, f"{len(self._groups)} groups; an inventory has at most {MOST_GROUPS}"))
        self._raise()
        hosts = {name: self._host(entry) for name, entry in self._hosts.items()}
        for host in hosts.values():
            self._check(host, hosts)
        self._raise()
        self._warn_of_twins(hosts.values())
        return Inventory(hosts, self._groups.names(), tuple(self._warnings))

    def _raise(self) -> None:
        if self._problems:
            raise BadInventory(self._problems)

    def _unique(self, entries: Iterable[HostEntry]) -> dict[str, HostEntry]:
        found: dict[str, HostEntry] = {}
        for entry in entries:
            before = found.setdefault(entry.name, entry)
            if before is not entry:
                message = f"the host {quoted(entry.name)} stands at {before.place} too; describe it in one place"
                self._problems.append(Finding(entry.place, message))
            elif len(found) > MOST_HOSTS:
                self._problems.append(
                    Finding(entry.place, f"more than {MOST_HOSTS} hosts; an inventory has at most that")
                )
                break
        return found

    def _one_default(self, given: Iterable[tuple[Place, Mapping[str, Said]]]) -> dict[str, Said]:
        found: dict[str, Said] = {}
        for _, words in given:
            for word, said in words.items():
                before = found.get(word)
                if before is None:
                    found[word] = said
                elif word in MERGED:
                    found[word] = Said({**before.value, **said.value}, said.place)
                elif before.value != said.value:
                    message = f"the default of {word} is something else at {before.place}; say it once"
                    self._problems.append(Finding(said.place, message))
        return found

    def _membership(self, entries: Iterable[GroupEntry]) -> dict[str, set[str]]:
        """Host -> groups that it is in, by its own words or theirs."""
        found: dict[str, set[str]] = {name: set() for name in self._hosts}
        for entry in entries:
            for one in entry.hosts:
                if one.value in found:
                    found[one.value] |= {entry.name} - {""}
                else:
                    near = did_you_mean(one.value, self._hosts)
                    message = f"there is no host {quoted(one.value)}; {near or 'add it under hosts'}"
                    self._problems.append(Finding(one.place, message))
        for host in self._hosts.values():
            if (said := host.words.get("groups")) is not None:
                found[host.name].update(said.value)
        return found

    def _host(self, entry: HostEntry) -> Host:
        groups = self._groups.above(self._members[entry.name])
        if len(groups) > MOST_OF_GROUPS:
            message = f"{quoted(entry.name)} is in {len(groups)} groups; a host is in at most {MOST_OF_GROUPS}"
            self._problems.append(Finding(entry.place, message))
        of_groups, contradictions = self._groups.said_of(groups, entry.name) if groups else ({}, {})
        self._problems += (one for which, one in contradictions.items() if not _says(entry, *which))
        words: dict[str, Any] = {}
        for word in {*self._defaults, *of_groups, *entry.words} - {"groups"}:
            layers = [layer[word].value for layer in (self._defaults, of_groups, entry.words) if word in layer]
            words[word] = merged(layers) if word in MERGED else layers[-1]
        if words.get("jump") == entry.name and "jump" not in entry.words:
            del words["jump"]  # the jump host of all hosts is reached without itself
        return Host(entry.name, entry.place, groups=tuple(sorted(groups)), **words)

    def _check(self, host: Host, hosts: Mapping[str, Host]) -> None:
        if host.host_key == "pinned" and not host.host_keys:
            message = f"{quoted(host.name)} has pinned keys and no `host_keys`; `ssh-keyscan {host.address or host.name}` prints them"
            self._problems.append(Finding(host.place, message))
        if host.jump:
            self._check_jumps(host, hosts)

    def _check_jumps(self, host: Host, hosts: Mapping[str, Host]) -> None:
        chain_of = [host.name]
        at = host
        while at.jump:
            chain_of.append(at.jump)
            if at.jump not in hosts:
                near = did_you_mean(at.jump, hosts)
                message = f"{quoted(at.name)} is reached through {quoted(at.jump)}, which is no host of the inventory; {near or 'add it'}"
                self._problems.append(Finding(at.place, message))
                return
            at = hosts[at.jump]
            if len(chain_of) - 1 > MOST_JUMPS or at.name == host.name:
                what = "leads back to it" if at.name == host.name else f"has more than {MOST_JUMPS} jumps"
                message = f"the way to {quoted(host.name)} {what}: {' via '.join(chain_of):.300}"
                self._problems.append(Finding(host.place, message))
                return

    def _warn_of_twins(self, hosts: Iterable[Host]) -> None:
        """Two names of one machine are allowed, and rarely meant."""
        seen: dict[tuple[str, int | None, str], Host] = {}
        for host in hosts:
            if host.runner != "ssh":
                continue
            before = seen.setdefault((host.address or host.name, host.port, host.jump), host)
            if before is not host:
                message = f"{quoted(host.name)} has the address of {quoted(before.name)} ({before.place})"
                self._warnings.append(Finding(host.place, message))


def _says(entry: HostEntry, word: str, key: str) -> bool:
    """Whether the host says it itself, so that what its groups say does not matter."""
    said = entry.words.get(word)
    return said is not None and (word not in MERGED or key in said.value)


def _mentioned(hosts: Iterable[HostEntry]) -> Iterator[tuple[str, Place]]:
    for host in hosts:
        if (said := host.words.get("groups")) is not None:
            for group in said.value:
                yield group, said.place
