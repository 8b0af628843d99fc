"""Groups of all sources together: which are above which, and what they say of a host. Pure.

A host takes a word from the deepest of its groups that says it; two groups of one depth that say different things of one host
are a problem, not a matter of names or order. Variables and tags merge key by key, by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from re_core.inventory.documents import GroupEntry, Said
from re_core.inventory.fields import MERGED
from re_core.inventory.findings import Finding, Place
from re_core.inventory.hosts import MOST_DEPTH
from re_core.wording import quoted

#: word, and key where the word merges -> which groups say different things of it
Contradictions = Mapping[tuple[str, str], Finding]


_TOO_DEEP = f"has more than {MOST_DEPTH} levels above it"


class Group(NamedTuple):
    """What all sources say of a group."""

    name: str
    place: Place
    #: groups right above it
    parents: frozenset[str]
    #: word -> what the sources say of it; of the words that merge one for each source and key
    said: tuple[tuple[str, Said], ...]
    #: groups above it, at most MOST_DEPTH; the deeper one says more
    depth: int = 0
    #: itself and all above it
    above: frozenset[str] = frozenset()


class Groups:
    """All of them. `problems` has what is wrong with them."""

    def __init__(self, entries: Iterable[GroupEntry], mentioned: Iterable[tuple[str, Place]] = ()) -> None:
        """`mentioned`: groups that hosts say they are in, which no source need say more of."""
        self.problems: list[Finding] = []
        self._groups: dict[str, Group] = {}
        entries = [one for one in entries if one.name]
        for entry in entries:
            self._add(entry)
        for name, place in mentioned:
            self._groups.setdefault(name, Group(name, place, frozenset(), ()))
        for entry in entries:
            self._link(entry)
        for name in list(self._groups):
            self._measure(name, ())

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def __len__(self) -> int:
        return len(self._groups)

    def names(self) -> Iterable[str]:
        """All of them."""
        return self._groups.keys()

    def above(self, names: Iterable[str]) -> frozenset[str]:
        """These and all above them."""
        return frozenset(one for name in names for one in self._groups[name].above)

    def said_of(self, names: Iterable[str], host: str) -> tuple[dict[str, Said], Contradictions]:
        """Word -> what these groups say of the host: of merged words one object. And where they contradict each other."""
        found: dict[tuple[str, str], tuple[int, Said, str]] = {}
        doubts: dict[tuple[str, str], tuple[int, Finding]] = {}
        for group in sorted((self._groups[name] for name in names), key=lambda one: (one.depth, one.name)):
            for word, key, said in _keyed(group.said):
                before = found.get((word, key))
                if before is not None and before[0] == group.depth and before[1].value != said.value:
                    doubts[word, key] = group.depth, _contradiction(host, word, key, before, said, group.name)
                elif before is None or before[0] < group.depth:
                    found[word, key] = group.depth, said, group.name
        contradictions = {which: finding for which, (depth, finding) in doubts.items() if found[which][0] == depth}
        return _together({which: said for which, (_, said, _) in found.items()}), contradictions

    def _add(self, entry: GroupEntry) -> None:
        before = self._groups.get(entry.name)
        said = tuple(entry.words.items())
        if before is None:
            self._groups[entry.name] = Group(entry.name, entry.place, frozenset(), said)
            return
        earlier = dict(_first(before.said))
        for word, one in said:
            if word not in MERGED and word in earlier and earlier[word].value != one.value:
                message = f"the group {quoted(entry.name)} says {word} here and something else at {earlier[word].place}"
                self.problems.append(Finding(one.place, f"{message}; say it once"))
        self._groups[entry.name] = before._replace(said=(*before.said, *said))

    def _link(self, entry: GroupEntry) -> None:
        for child in entry.children:
            if child.value not in self._groups:
                if not entry.introduces:
                    self.problems.append(
                        Finding(child.place, f"there is no group {quoted(child.value)}; add it under groups")
                    )
                    continue
                self._groups[child.value] = Group(child.value, child.place, frozenset(), ())
            group = self._groups[child.value]
            self._groups[child.value] = group._replace(parents=group.parents | {entry.name})

    def _measure(self, name: str, below: tuple[str, ...]) -> Group:
        """Depth and what is above; a circle, or what is too deep, is noted and cut."""
        group = self._groups[name]
        if group.depth:
            return group
        if name in below:
            return self._cut(group, f"contains itself: {' < '.join((*below, name)):.300}")
        if len(below) >= MOST_DEPTH:
            return self._cut(group, _TOO_DEEP)
        parents = [self._measure(one, (*below, name)) for one in sorted(group.parents)]
        depth = 1 + max((one.depth for one in parents), default=0)
        if depth > MOST_DEPTH:
            return self._cut(group, _TOO_DEEP)
        above = frozenset({name}).union(*(one.above for one in parents))
        self._groups[name] = group._replace(depth=depth, above=above)
        return self._groups[name]

    def _cut(self, group: Group, what: str) -> Group:
        self.problems.append(Finding(group.place, f"the group {quoted(group.name)} {what}"))
        self._groups[group.name] = group._replace(depth=1, above=frozenset({group.name}))
        return self._groups[group.name]


def _keyed(said: Iterable[tuple[str, Said]]) -> Iterator[tuple[str, str, Said]]:
    """Of the words that merge each key by itself."""
    for word, one in said:
        if word in MERGED:
            for key, value in one.value.items():
                yield word, key, Said(value, one.place)
        else:
            yield word, "", one


def _together(found: Mapping[tuple[str, str], Said]) -> dict[str, Said]:
    words: dict[str, Said] = {}
    for (word, key), said in found.items():
        if word not in MERGED:
            words[word] = said
        elif word in words:
            words[word].value[key] = said.value
        else:
            words[word] = Said({key: said.value}, said.place)
    return words


def _first(said: Iterable[tuple[str, Said]]) -> Iterator[tuple[str, Said]]:
    seen: set[str] = set()
    for word, one in said:
        if word not in seen:
            seen.add(word)
            yield word, one


def _contradiction(host: str, word: str, key: str, before: tuple[int, Said, str], said: Said, group: str) -> Finding:
    what = f"{word}.{key}" if key else word
    other = f"the group {quoted(before[2])} ({before[1].place})"
    message = f"{quoted(host)} takes {what} from this group, {quoted(group)}, and another value from {other}"
    return Finding(said.place, f"{message}: neither is below the other; say it of the host, or of one of the groups")


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Objects key by key, the later ones over the earlier ones."""
    return {key: value for layer in layers for key, value in layer.items()}
