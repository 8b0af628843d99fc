"""The hosts, and which of them a list of patterns means. Pure.

What a list means must be what its author meant, since what is wrong here runs on a machine that it should have spared. So an
unknown group, a tag that no host has, a range with a host that is not there, and an exclusion of what does not exist are
errors, with the nearest name. A plain name that is not in the inventory is none: it means what it meant before there was one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from re_core.errors import Problem
from re_core.inventory.findings import BadPattern, Finding
from re_core.inventory.hosts import PINNED, Host
from re_core.inventory.patterns import ALL, MOST_TERMS, By, Condition, Term, parse
from re_core.wire.strict_json import dumps
from re_core.wording import did_you_mean, quoted

#: names that a message lists
_LISTED = 5


class Selection(NamedTuple):
    """What a list of patterns means."""

    #: in the order of the list, those of a group in that of the inventory; each once
    names: tuple[str, ...]
    #: of these the plain ones that are not in the inventory
    unknown: tuple[str, ...]
    #: for people: entries that mean no host now
    warnings: tuple[str, ...]


class Inventory:
    """All hosts. It never changes."""

    def __init__(self, hosts: Mapping[str, Host], groups: Iterable[str] = (), warnings: Sequence[Finding] = ()) -> None:
        """`groups`: their names, those without hosts too."""
        self.hosts = hosts
        self.warnings = tuple(warnings)
        self.groups = _members(((host, host.groups) for host in hosts.values()), groups)
        self._tags = _members((host, host.tags) for host in hosts.values())
        self._environments = _members((host, (host.environment,)) for host in hosts.values() if host.environment)

    @cached_property
    def digest(self) -> str:
        """Another one for every inventory that could give another plan."""
        document = [[host.name, host.facts()] for host in self.hosts.values()]
        return hashlib.sha256(dumps([document, sorted(self.groups)]).encode(errors="surrogatepass")).hexdigest()

    def __bool__(self) -> bool:
        return bool(self.hosts)

    def with_keys(self, keys: Mapping[str, Sequence[str]]) -> Inventory:
        """The same, with these public keys of hosts beside their own. Pinned keys stand alone."""
        more = {name: self.hosts[name] for name in keys if name in self.hosts and self.hosts[name].host_key != PINNED}
        if not more:
            return self
        known = {
            name: host._replace(host_keys=tuple(dict.fromkeys((*host.host_keys, *keys[name]))))
            for name, host in more.items()
        }
        return Inventory({**self.hosts, **known}, self.groups, self.warnings)

    def facts(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """All that a plan keeps of these hosts, and of those through which they are reached."""
        found: dict[str, dict[str, Any]] = {}
        wanted = [name for name in names if name in self.hosts]
        while wanted:
            host = self.hosts[wanted.pop()]
            if host.name not in found:
                found[host.name] = host.facts()
                wanted += [host.jump] if host.jump else []
        return found

    def select(self, patterns: Sequence[str]) -> Selection:
        """What the list means. Raises BadPattern, with a problem for each term that is wrong; its path is the number of the term."""
        if len(patterns) > MOST_TERMS:
            raise BadPattern(f"{len(patterns)} entries; a list of hosts has at most {MOST_TERMS}")
        problems: list[Problem] = []
        terms = [
            (f"/{number}", term) for number, text in enumerate(patterns) if (term := _parsed(text, number, problems))
        ]
        named = {name for _, term in terms if term.is_plain for name in term.conditions[0].words}
        found: dict[str, None] = {}
        warnings: list[str] = []
        excluded: set[str] = set()
        for path, term in terms:
            try:
                names = self._meant(term, named)
            except BadPattern as error:
                problems.append(Problem(path, str(error)))
                continue
            if term.excludes:
                excluded.update(names)
            else:
                found.update(dict.fromkeys(names))
                warnings += [] if names else [f"{quoted(term.text)} means no host now"]
        if problems:
            raise BadPattern("; ".join(one.message for one in problems[:_LISTED]), problems)
        return self._selection(terms, tuple(name for name in found if name not in excluded), warnings)

    def _selection(self, terms: Sequence[tuple[str, Term]], names: tuple[str, ...], warnings: list[str]) -> Selection:
        if not names:
            raise BadPattern(_why_none([term for _, term in terms]))
        unknown = tuple(name for name in names if name not in self.hosts)
        return Selection(names, unknown, tuple(warnings))

    def nearest(self, name: str) -> str:
        """`did you mean 'web1'?` for a name that is not in it; empty where none is near."""
        return did_you_mean(name, self.hosts)

    def _meant(self, term: Term, named: Collection[str]) -> tuple[str, ...]:
        """The hosts of one term, in their order. Raises BadPattern where one of its words is unknown."""
        sets = [self._hosts_of(one, term, named) for one in term.conditions]
        first = sets[0]
        others = [set(one) for one in sets[1:]]
        return tuple(name for name in first if all(name in other for other in others))

    def _hosts_of(self, condition: Condition, term: Term, named: Collection[str]) -> Collection[str]:
        word = condition.words[0]
        if condition.by is By.NAME:
            return condition.words if term.is_plain else self._known(condition.words, term, named)
        if condition.by is By.GROUP:
            return self.hosts if word == ALL else _look_up(self.groups, word, "group", term)
        if condition.by is By.ENVIRONMENT:
            return _look_up(self._environments, word, "environment", term)
        tagged = _look_up(self._tags, word, "tag", term)
        if condition.value is None:
            return tagged
        return self._with_value(tagged, word, condition.value, term)

    def _with_value(self, tagged: Sequence[str], tag: str, value: str, term: Term) -> tuple[str, ...]:
        found = tuple(name for name in tagged if self.hosts[name].tags[tag] == value)
        if not found:
            values = sorted({self.hosts[name].tags[tag] for name in tagged})
            there = did_you_mean(value, values) or f"it has {', '.join(values[:_LISTED])}"
            raise BadPattern(f"{quoted(term.text)}: no host has the tag {tag} with the value {quoted(value)}; {there}")
        return found

    def _known(self, names: Sequence[str], term: Term, named: Collection[str]) -> Sequence[str]:
        """Of a range, or of an exclusion: all of them have to be there, or to be named by another entry."""
        missing = [name for name in names if name not in self.hosts and name not in named]
        if not missing:
            return names
        listed = ", ".join(missing[:_LISTED]) + (
            f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        )
        near = did_you_mean(missing[0], self.hosts) if len(missing) == 1 else ""
        advice = near or "add them to the inventory, or write a smaller range"
        if term.excludes and not near:
            advice = "an exclusion of what is not there would spare nothing"
        raise BadPattern(f"{quoted(term.text)}: not in the inventory: {listed}; {advice}")


def _parsed(text: str, number: int, problems: list[Problem]) -> Term | None:
    try:
        return parse(text)
    except BadPattern as error:
        problems.append(Problem(f"/{number}", str(error)))
        return None


def _members(hosts: Iterable[tuple[Host, Iterable[str]]], names: Iterable[str] = ()) -> dict[str, list[str]]:
    """Name -> hosts in order."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for host, among in hosts:
        for name in among:
            found.setdefault(name, []).append(host.name)
    return found


def _look_up(known: Mapping[str, list[str]], word: str, what: str, term: Term) -> list[str]:
    if word in known:
        return known[word]
    some = ", ".join(sorted(known)[:_LISTED])
    there = did_you_mean(word, known) or (f"there are {some}" if some else "there are none")
    raise BadPattern(f"{quoted(term.text)}: the inventory has no {what} {quoted(word)}; {there}")


def _why_none(terms: Sequence[Term]) -> str:
    listed = ", ".join(quoted(term.text) for term in terms[:_LISTED])
    if terms and all(term.excludes for term in terms):
        return f"{listed}: an exclusion needs something to exclude from, such as group:{ALL}"
    return f"{listed or 'an empty list'}: means no host now"
