"""Playbooks of three to ten steps for the chaos, drawn by a seed. Must not know what is done to who carries them out."""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

#: seconds that a step takes which is not over at once: from, to
PACE = (0.2, 1.0)

#: one step of so many is slow
SLOW = 3

#: one step of so many tells people of its end
TELLS = 4

#: how often a kind of step comes, in parts
KINDS = {"Once": 4, "Quick": 2, "Again": 2, "Stubborn": 2}

#: what the playbook says beside a step: a core that has not heard of the worker yet does not know what the worker says
BESIDE: dict[str, dict[str, Any]] = {"Again": {"idempotent": True}, "Stubborn": {"retries": 2}}


class Book(NamedTuple):
    """A playbook as JSON, and how its deployments end if no step is lost."""

    text: str
    ends: str


def draw(dice: random.Random, count: int) -> list[Book]:
    """`count` different playbooks, the first of which fails."""
    return [_draw(dice, number) for number in range(count)]


def _draw(dice: random.Random, number: int) -> Book:
    steps = [_step(dice) for _ in range(dice.randint(3, 10))]
    if number == 0:
        steps[dice.randrange(1, len(steps))] = {"ledger:Fails": {}}
    return book(f"book {number}", steps, "completed" if number else "failed")


def _step(dice: random.Random) -> dict[str, Any]:
    [name] = dice.choices(list(KINDS), list(KINDS.values()))
    words: dict[str, Any] = {}
    if name != "Quick" and dice.randrange(SLOW) == 0:
        words["seconds"] = round(dice.uniform(*PACE), 2)
    if name == "Stubborn":
        words["failures"] = dice.choice((0, 0, 1))
    if dice.randrange(TELLS) == 0:
        words["notify"] = {"completed": {"console": ["ops"]}}
    return {f"ledger:{name}": words, **BESIDE.get(name, {})}


def book(name: str, steps: list[dict[str, Any]], ends: str = "completed") -> Book:
    """A playbook with these steps on one host."""
    execution = [{"hosts": ["one"], "steps": steps}]
    return Book(json.dumps({"group": "chaos", "name": name, "execution": execution}), ends)
