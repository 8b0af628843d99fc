"""A source's document to what it says of hosts and groups, each with its place. Pure; must not know other sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.inventory.fields import FIELDS, OF_HOST, Wrong, name_of_host, secret_names, word
from re_core.inventory.findings import BadPattern, Finding, Place
from re_core.inventory.ranges import expand
from re_core.inventory.sources import SourceDocument
from re_core.wording import did_you_mean, quoted

#: the words at the top of a document
SECTIONS = ("hosts", "groups", "defaults")


class Said(NamedTuple):
    """Something that is said of a host, a group or all hosts."""

    value: Any
    place: Place


#: word -> what is said
Words = Mapping[str, Said]


class HostEntry(NamedTuple):
    """A host, as one source names it."""

    name: str
    place: Place
    words: Words


class GroupEntry(NamedTuple):
    """What one source says of a group."""

    name: str
    place: Place
    words: Words
    #: names of hosts, and of groups below it
    hosts: tuple[Said, ...] = ()
    children: tuple[Said, ...] = ()
    #: its hosts need no entry of their own
    introduces: bool = False


class Parsed(NamedTuple):
    """One source."""

    hosts: list[HostEntry]
    groups: list[GroupEntry]
    defaults: list[tuple[Place, Words]]
    problems: list[Finding]
    warnings: list[Finding]


class DocumentReader:
    """Reads one document of our own form; problems are collected, not raised."""

    def __init__(self, document: SourceDocument) -> None:
        self._document = document
        self.parsed = Parsed([], [], [], [], [])

    def read(self) -> Parsed:
        """All of it."""
        value = self._document.value
        if value is None:
            return self.parsed
        if not self._is_object(value, (), f"expected an object with {', '.join(SECTIONS)}"):
            return self.parsed
        for key, inner in value.items():
            if inner is None and key in SECTIONS:
                continue
            if key == "hosts":
                self._hosts(inner)
            elif key == "groups":
                self._groups(inner)
            elif key == "defaults":
                words = self._words(inner, ("defaults",), FIELDS)
                self.parsed.defaults.append((self._place("defaults"), words))
            else:
                self._unknown(key, (), SECTIONS)
        return self.parsed

    def _hosts(self, value: Any) -> None:
        """An object, name or range -> words; or a list of names."""
        if isinstance(value, list):
            for number, one in enumerate(value):
                self._host(one, {}, ("hosts", number))
        elif self._is_object(value, ("hosts",), "expected an object of hosts, or a list of names"):
            for name, words in value.items():
                self._host(name, words, ("hosts", name))

    def _host(self, name: Any, words: Any, path: tuple[str | int, ...]) -> None:
        place = self._place(*path)
        read = self._words(words, path, {**FIELDS, **OF_HOST})
        for one in self._names(name, path):
            self.parsed.hosts.append(HostEntry(one, place, read))

    def _groups(self, value: Any) -> None:
        if not self._is_object(value, ("groups",), "expected an object of groups"):
            return
        for name, said in value.items():
            path = ("groups", name)
            if self._checked(word, name, path) is None or not self._is_object(said or {}, path, "expected an object"):
                continue
            own = {key: inner for key, inner in (said or {}).items() if key not in ("hosts", "children")}
            words = self._words(own, path, FIELDS, ("hosts", "children"))
            hosts = self._members(said, (*path, "hosts"), self._names)
            children = self._members(said, (*path, "children"), self._group_names)
            self.parsed.groups.append(GroupEntry(name, self._place(*path), words, hosts, children))

    def _members(
        self, said: Any, path: tuple[str, ...], read: Callable[[Any, tuple[str | int, ...]], tuple[str, ...]]
    ) -> tuple[Said, ...]:
        listed = (said or {}).get(path[-1]) or []
        if not isinstance(listed, list):
            self._problem(path, f"expected a list of names, found {listed!r:.60}")
            return ()
        return tuple(
            Said(name, self._place(*path, number))
            for number, one in enumerate(listed)
            for name in read(one, (*path, number))
        )

    def _names(self, value: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
        """The hosts that a name or a range means; none where it is wrong."""
        if not isinstance(value, str):
            self._checked(name_of_host, value, path)
            return ()
        try:
            names = expand(value)
        except BadPattern as error:
            self._problem(path, str(error))
            return ()
        # of a range the first one shows what is wrong with all
        return names if self._checked(name_of_host, names[-1], path) is not None else ()

    def _group_names(self, value: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
        name = self._checked(word, value, path)
        return () if name is None else (name,)

    def _words(
        self,
        value: Any,
        path: tuple[str | int, ...],
        fields: Mapping[str, Callable[[Any], Any]],
        also: tuple[str, ...] = (),
    ) -> Words:
        value = {} if value is None else value
        if not self._is_object(value, path, "expected an object"):
            return {}
        found: dict[str, Said] = {}
        for key, inner in value.items():
            if key not in fields:
                self._unknown(key, path, (*fields, *also))
                continue
            read = self._checked(fields[key], inner, (*path, key))
            if read is not None or (key == "become" and inner is False):
                found[key] = Said(read, self._place(*path, key))
        for name in secret_names(found["vars"].value if "vars" in found else {}):
            advice = "variables are kept with every deployment; store it as a secret, and name that where it is used"
            self.parsed.warnings.append(
                Finding(self._place(*path, "vars", name), f"{name!r:.80} looks like a secret: {advice}")
            )
        return found

    def _checked(self, check: Callable[[Any], Any], value: Any, path: tuple[str | int, ...]) -> Any:
        """What the check makes of it; None where it is wrong, which is noted."""
        try:
            return check(value)
        except Wrong as wrong:
            self._problem(path, str(wrong))
            return None

    def _is_object(self, value: Any, path: tuple[str | int, ...], expected: str) -> bool:
        if isinstance(value, dict):
            return True
        self._problem(path, f"{expected}, found {value!r:.60}")
        return False

    def _unknown(self, key: str, path: tuple[str | int, ...], known: tuple[str, ...]) -> None:
        meant = did_you_mean(key, known) or f"there are {', '.join(sorted(known))}"
        self._problem((*path, key), f"unknown key {quoted(key)}; {meant}")

    def _problem(self, path: tuple[str | int, ...], message: str) -> None:
        self.parsed.problems.append(Finding(self._place(*path), message))

    def _place(self, *path: str | int) -> Place:
        return self._document.place(*path)
