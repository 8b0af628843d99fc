"""Compiled plans that a core keeps, so that a playbook is compiled once and not for each of its deployments. Must not know how."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from re_core.deployment.plan import Plan
from re_core.playbook.dynamic_values import Demands
from re_core.wire.strict_json import dumps

#: plans that are kept, and the bytes that they take, nearly; the one unused for longest goes
MOST, MOST_BYTES = 256, 64 * 1024 * 1024

#: bytes that a step of a plan takes, and that a byte of its JSON does
_STEP, _BYTE = 500, 8

#: playbook, revision, which offers of workers and which inventory it was compiled with, and under which rule for commands
Key = tuple[str, int, int, str, Hashable]


class Compiled(NamedTuple):
    """What one revision of a playbook comes to: its plan, stored and in use, the values that it needs, and what it asks of them."""

    document: Mapping[str, Any]
    plan: Plan
    required: frozenset[str]
    demands: Demands


class Plans:
    """Compiled plans by what they were made of."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._plans: OrderedDict[Key, tuple[Compiled, int]] = OrderedDict()
        self.weight = 0

    def get(self, key: Key) -> Compiled | None:
        """The plan, if it is kept."""
        found = self._plans.get(key)
        if found is None:
            return None
        self._plans.move_to_end(key)
        return found[0]

    def add(self, key: Key, compiled: Compiled) -> Compiled:
        """Keep it; returns it."""
        weight = _STEP * len(compiled.plan.steps) + _BYTE * len(dumps(compiled.document))
        self._plans[key] = compiled, weight
        self.weight += weight
        while len(self._plans) > self._most or (self.weight > self._most_bytes and len(self._plans) > 1):
            _, (_, gone) = self._plans.popitem(last=False)
            self.weight -= gone
        return compiled
