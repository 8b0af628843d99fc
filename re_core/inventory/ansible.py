"""Ansible's dynamic inventory, as its plug-ins and scripts print it for `--list`, to what it says of hosts and groups. Pure.

    {"_meta": {"hostvars": {"web1": {"ansible_host": "10.0.3.7", "rack": 3}}}, "web": {"hosts": ["web1"], "vars": {}, "children": []}}

A group may be a bare list of hosts. Without `_meta` the hosts have no variables: no program is started once for each host. What
Ansible calls a connection variable becomes the word of ours, where there is one; passwords are left out, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from re_core.inventory.documents import SECTIONS, GroupEntry, HostEntry, Parsed, Said, Words
from re_core.inventory.fields import FIELDS, OF_HOST, Wrong, name_of_host, word
from re_core.inventory.findings import Finding, Place
from re_core.inventory.sources import SourceDocument

_META, _ALL, _UNGROUPED = "_meta", "all", "ungrouped"
_OF_GROUP = frozenset({"hosts", "vars", "children"})

#: variable -> word
_TRANSLATED: Mapping[str, str] = {
    "ansible_host": "address",
    "ansible_ssh_host": "address",
    "ansible_port": "port",
    "ansible_ssh_port": "port",
    "ansible_user": "user",
    "ansible_ssh_user": "user",
    "ansible_private_key_file": "identity",
    "ansible_ssh_private_key_file": "identity",
}
#: variables that hold passwords
_PASSWORDS = frozenset(
    {
        "ansible_password",
        "ansible_ssh_pass",
        "ansible_become_password",
        "ansible_become_pass",
        "ansible_sudo_pass",
        "ansible_ssh_private_key_passphrase",
    }
)
#: ssh's own settings, which stand in ssh_config here
_OPTIONS = frozenset({"ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args"})
_BECOME, _BECOME_USER, _CONNECTION = "ansible_become", "ansible_become_user", "ansible_connection"


def is_ansible(value: Any) -> bool:
    """Whether a document has this form and not ours."""
    if not isinstance(value, dict) or not value:
        return False
    if _META in value:
        return True
    if value.keys() <= set(SECTIONS):
        return False
    return all(isinstance(one, list) or (isinstance(one, dict) and one.keys() <= _OF_GROUP) for one in value.values())


def read_ansible(document: SourceDocument) -> Parsed:
    """What it says; problems are collected, not raised."""
    return _Reader(document).read()


class _Reader:
    def __init__(self, document: SourceDocument) -> None:
        self._document = document
        self._parsed = Parsed([], [], [], [], [])
        #: said once, not for each host
        self._warned: set[str] = set()

    def read(self) -> Parsed:
        groups = {name: one for name, one in self._document.value.items() if name != _META}
        for name, said in groups.items():
            self._group(name, {"hosts": said} if isinstance(said, list) else said)
        self._hosts(self._hostvars(), self._mentioned())
        return self._parsed

    def _hostvars(self) -> Mapping[str, Any]:
        meta = self._document.value.get(_META)
        if meta is None:
            warning = "without `_meta` the hosts have no variables; let the program print them for --list"
            self._parsed.warnings.append(Finding(self._document.place(), warning))
            return {}
        found = meta.get("hostvars", {}) if isinstance(meta, dict) else None
        if isinstance(found, dict):
            return found
        self._problem((_META, "hostvars"), "expected an object: host -> its variables")
        return {}

    def _mentioned(self) -> dict[str, Place]:
        """Hosts that groups name."""
        found: dict[str, Place] = {}
        for group in self._parsed.groups:
            for one in group.hosts:
                found.setdefault(one.value, one.place)
        return found

    def _hosts(self, hostvars: Mapping[str, Any], mentioned: Mapping[str, Place]) -> None:
        for name in dict.fromkeys((*mentioned, *hostvars)):
            path = (_META, "hostvars", name)
            place = mentioned.get(name) or self._document.place(*path)
            if name not in mentioned and self._checked(name_of_host, name, path) is None:
                continue
            words = self._words(hostvars.get(name), path, {**FIELDS, **OF_HOST})
            self._parsed.hosts.append(HostEntry(name, place, words))

    def _group(self, name: str, said: Any) -> None:
        path = (name,)
        if not isinstance(said, dict):
            self._problem(
                path, f"expected a list of hosts, or an object with hosts, vars and children; found {said!r:.60}"
            )
            return
        words = self._words(said.get("vars"), (name, "vars"), FIELDS)
        hosts = self._listed(said, name, "hosts", name_of_host)
        if name in (_ALL, _UNGROUPED):
            if words:
                self._parsed.defaults.append((self._document.place(name, "vars"), words))
            self._parsed.groups.append(GroupEntry("", self._document.place(name), {}, hosts))
        elif self._checked(word, name, path) is not None:
            children = self._listed(said, name, "children", word)
            place = self._document.place(name)
            self._parsed.groups.append(GroupEntry(name, place, words, hosts, children, introduces=True))

    def _listed(self, said: Mapping[str, Any], group: str, key: str, check: Callable[[Any], Any]) -> tuple[Said, ...]:
        listed = said.get(key) or []
        if not isinstance(listed, list):
            self._problem((group, key), f"expected a list of names, found {listed!r:.60}")
            return ()
        checked = [(number, self._checked(check, one, (group, key, number))) for number, one in enumerate(listed)]
        return tuple(Said(one, self._document.place(group, key, number)) for number, one in checked if one is not None)

    def _words(self, given: Any, path: tuple[str | int, ...], fields: Mapping[str, Callable[[Any], Any]]) -> Words:
        given = {} if given is None else given
        if not isinstance(given, dict):
            self._problem(path, f"expected an object of variables, found {given!r:.60}")
            return {}
        place = self._document.place(*path)
        found: dict[str, Said] = {}
        for name, value in self._translated(given, place):
            if name not in fields:
                continue  # an address of a whole group
            read = self._checked(fields[name], value, path)
            if read is not None:
                found[name] = Said(read, place)
        return found

    def _translated(self, given: Mapping[str, Any], place: Place) -> list[tuple[str, Any]]:
        words: dict[str, Any] = {}
        variables: dict[str, Any] = {}
        for name, value in given.items():
            if name in _PASSWORDS:
                self._warn(
                    place, f"{name} is left out: an inventory holds no passwords; use keys, or a secret in `become`"
                )
            elif name in _OPTIONS:
                self._warn(place, f"{name} is not used: write it into ssh_config, where every program reads it")
            elif name in _TRANSLATED:
                words[_TRANSLATED[name]] = int(value) if _is_port(name, value) else value
            elif name not in (_BECOME, _BECOME_USER, _CONNECTION):
                variables[name] = value
        if given.get(_CONNECTION) == "local":
            words["runner"] = "local"
        if _is_true(given.get(_BECOME)):
            words["become"] = given.get(_BECOME_USER, True)
        return [*words.items(), *([("vars", variables)] if variables else [])]

    def _warn(self, place: Place, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._parsed.warnings.append(Finding(place, message))

    def _checked(self, check: Callable[[Any], Any], value: Any, path: tuple[str | int, ...]) -> Any:
        try:
            return check(value)
        except Wrong as wrong:
            self._problem(path, str(wrong))
            return None

    def _problem(self, path: tuple[str | int, ...], message: str) -> None:
        self._parsed.problems.append(Finding(self._document.place(*path), message))


def _is_port(name: str, value: Any) -> bool:
    return name.endswith("port") and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6


def _is_true(value: Any) -> bool:
    """As Ansible takes it, in variables that come from INI files too."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "1"))
