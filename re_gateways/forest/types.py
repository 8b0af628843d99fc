"""Destination types: `organisation/name@version`, and `organisation/name`, which stands for any version. Pure.

Runners match organisation, name and version exactly, and drop silently what they do not offer; so what is sent to a runner
always has the version that this runner offers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from re_core.playbook.formats import DESTINATION_TYPE, MAX_VERSION


class Type(NamedTuple):
    """One type in one version."""

    organisation: str
    name: str
    #: uint64
    version: int

    @property
    def any_version(self) -> str:
        """`organisation/name`."""
        return f"{self.organisation}/{self.name}"

    def __str__(self) -> str:
        return f"{self.any_version}@{self.version}"


def offered(organisation: str, name: str, version: int) -> Type | None:
    """What a runner says that it takes; None where no playbook could name it."""
    one = Type(organisation, name, version)
    match = DESTINATION_TYPE.fullmatch(str(one))
    return one if match and match[1] == organisation and match[2] == name and 0 <= version < MAX_VERSION else None


def texts(types: Iterable[Type]) -> tuple[str, ...]:
    """All texts by which a playbook can name one of these, each once, in order."""
    return tuple(dict.fromkeys(text for one in types for text in (str(one), one.any_version)))


def chosen(text: str, types: Iterable[Type]) -> Type | None:
    """The type of a runner that a playbook's text stands for: the highest version where it names none; None where none fits."""
    fitting = [one for one in types if text in (str(one), one.any_version)]
    return max(fitting, key=lambda one: one.version, default=None)
