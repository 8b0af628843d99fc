"""The record of a whole state, for journals that never end. Pure; must not know whose state it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: entries whose number is a multiple of it carry one
EVERY = 512


class Checkpoint(NamedTuple):
    """The state after all records that stand before this one. Records of its entry that stand behind it fold on top."""

    #: as JSON can say it; `v` is the version of this form, which is not that of the entry
    state: Mapping[str, Any]


def has_checkpoint(number: int) -> bool:
    """Whether the entry of that number carries one."""
    return number % EVERY == 0
