"""Playbooks and settings for one seed. Must not know when they are deployed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from re_core.deployment.plan import StepSpec
from re_core.deployment.progress import IDEMPOTENT_ATTEMPTS
from re_core.deployment.state import State
from re_core.rows import StoredPlaybook
from re_core.runtime.settings import Settings
from tests.simulation.clock import START

_TOLD = {phase: {"console": ["dev"]} for phase in ("started", "completed", "failed")}

_Steps = list[tuple[int, Callable[[random.Random], dict[str, Any]]]]

#: how often a kind of step is drawn, and how it is made
_STEPS: _Steps = [
    (4, lambda dice: {"job:Quick": {}}),
    (6, lambda dice: {"job:Do": {"takes": dice.choice((0, 200, 3_000, 12_000, 45_000))}}),
    (2, lambda dice: {"other:Quick": {}}),
    (3, lambda dice: {"job:Do": {"takes": dice.choice((0, 2_000, 9_000))}, "idempotent": True}),
    (2, lambda dice: {"job:Quick": {}, "idempotent": True}),
    (2, lambda dice: {"job:Do": {"takes": 500, "fails": dice.choice((0, 1, 2, 3))}, "retries": 2}),
    (1, lambda dice: {"job:Quick": {"fails": 9}}),
    (1, lambda dice: {"ghost:Do": {}}),
    (1, lambda dice: {"job:Do": {"takes": 50_000}, "timeout": 15}),
    (1, lambda dice: {"job:Do": {"takes": 60_000, "stubborn": True}, "timeout": 20}),
]

#: the same, for worlds with work that goes on elsewhere
_STEPS_AFAR = [
    *_STEPS,
    (4, lambda dice: {"away:Run": {"takes": dice.choice((0, 3_000, 12_000, 25_000, 45_000))}}),
    (1, lambda dice: {"away:Run": {"takes": dice.choice((3_000, 25_000))}, "retries": 1}),
    (1, lambda dice: {"away:Run": {"takes": 50_000}, "timeout": 15}),
    (1, lambda dice: {"job:Lose": {"takes": dice.choice((0, 3_000)), "loses": 1}}),
    (1, lambda dice: {"job:Lose": {"takes": 500, "loses": dice.choice((1, 2, 3))}, "retries": 2}),
    (1, lambda dice: {"job:Lose": {"takes": 500, "loses": dice.choice((1, 2))}, "idempotent": True}),
    (1, lambda dice: {"job:Decline": {"takes": dice.choice((0, 3_000)), "declines": dice.choice((1, 2, 12))}}),
    (1, lambda dice: {"job:Decline": {"takes": 500, "declines": dice.choice((1, 2))}, "idempotent": True}),
]


def draw_playbook(dice: random.Random, name: str, afar: bool = False) -> StoredPlaybook:
    """A playbook, mostly one that ends well; `afar`: with work that goes on elsewhere."""
    steps = _STEPS_AFAR if afar else _STEPS
    sequences = [_sequence(dice, steps) for _ in range(dice.choice((1, 1, 2)))]
    document = {"group": "inception", "name": name, "execution": sequences}
    return StoredPlaybook(name, "inception", name, 1, document, START, START, "pat")


def draw_settings(dice: random.Random) -> Settings:
    """What the settings put around every deployment of this seed."""
    around: dict[str, Any] = {}
    if dice.random() < 0.4:
        around["pre_deploy_check"] = (_around("Check", dice),)
    if dice.random() < 0.4:
        around["post_deploy_action"] = (_around("Tidy", dice), _around("Sweep", dice))
    if dice.random() < 0.7:
        around["phase_notification"] = {phase: {"console": ("ops",)} for phase in ("started", "completed", "failed")}
    return Settings(bus_url="amqp://simulated", step_timeout=240.0, queue_timeout=240.0, **around)


def _sequence(dice: random.Random, steps: _Steps) -> dict[str, Any]:
    made: dict[str, Any] = {
        "hosts": ["a", "b"][: dice.choice((1, 1, 2))],
        "steps": [_step(dice, steps) for _ in range(dice.randint(1, 3))],
    }
    if dice.random() < 0.25:
        made["preflight"] = [_step(dice, steps) for _ in range(dice.choice((1, 2)))]
    return made


def _step(dice: random.Random, steps: _Steps) -> dict[str, Any]:
    weights = [weight for weight, _ in steps]
    ((_, make),) = dice.choices(steps, weights)
    made = make(dice)
    if dice.random() < 0.3:
        (name,) = (key for key in made if ":" in key)
        made[name]["notify"] = _TOLD
    return made


def _around(name: str, dice: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {
        "NAME": name,
        "COMMAND": "job",
        "SUBCOMMAND": dice.choice(("Quick", "Do")),
        "PARAMETERS": {},
    }
    if name == "Check":
        made["EXPECTATION"] = {"status": "completed"}
    return made


def should_complete(state: State) -> bool:
    """Whether nothing in this deployment's own plan keeps it from ending well."""
    return all(_ends_well(planned.spec, state.accepted.dynamic) for planned in state.plan.steps)


def _ends_well(spec: StepSpec, dynamic: Mapping[str, Any]) -> bool:
    parameters = spec.parameters
    if parameters.get("who") in str(dynamic.get("release_version", "")).split("-")[1:]:
        return False
    in_time = int(parameters.get("takes", 0)) < spec.timeout * 1000
    lost = int(parameters.get("loses", 0))
    found = lost <= spec.retries or (spec.idempotent and lost < IDEMPOTENT_ATTEMPTS)
    # what is declined again and again may not find a worker in time
    patient = int(parameters.get("declines", 0)) <= 2
    return spec.command != "ghost" and int(parameters.get("fails", 0)) <= spec.retries and in_time and found and patient
