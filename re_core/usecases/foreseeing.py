"""What the steps of a plan would change: asks the workers that would run them, which look at the hosts. Nothing is changed or stored.

To look at a host takes the right to act on it: the right to deploy in the playbook's group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from ulid import ULID

from re_core import ports
from re_core.deployment.plan import Hosts, PlannedStep
from re_core.errors import BadMessage, BusUnavailable
from re_core.playbook import compiler
from re_core.playbook.compiler import EnginePolicy
from re_core.rows import WorkerRecord
from re_core.usecases import workers
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.step_message import host_headers, step_document
from re_core.wire import foresight
from re_core.wire import messages as m
from re_core.wire.foresight import PLAN, PLANS, Foreseen
from re_core.wire.messages import Message

#: steps that are looked at, how many of them at once, and seconds for all of them
MOST, AT_ONCE, WHOLE = 100, 16, 25.0


class Looking(NamedTuple):
    """What the use case needs."""

    bus: ports.Bus
    registry: ports.Registry
    clock: ports.Clock
    #: all workers are part of this process, so that one serves every pool and environment
    alone: bool


def foreseen(
    here: Looking,
    principal: Principal,
    document: Mapping[str, Any],
    supplied: Mapping[str, Any],
    around: EnginePolicy,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Foreseen]:
    """Of each step of the plan, in its order. Raises NotAllowed, BadDocument."""
    require(principal, Verb.DEPLOY, document["group"])
    living = workers.living(here.registry, here.clock)
    plan = compiler.compile_plan(document, around, workers.offers(living))
    missing = [name for name in compiler.required_dynamic(plan) if name not in supplied]
    if missing:
        why = f"dynamic values are missing: {', '.join(missing)[:500]}"
        return [_unknown(why) for _ in plan.steps]
    end = monotonic() + WHOLE
    asked: list[Future[Foreseen] | Foreseen] = []
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="plan") as pool:
        for number, step in enumerate(plan.steps):
            worker = _worker_of(step, living, here.alone)
            if number >= MOST:
                asked.append(_unknown(f"not looked at: the first {MOST} steps are"))
            elif isinstance(worker, str):
                asked.append(_unknown(worker))
            else:
                message = _question(step, plan.hosts, worker, document["group"], supplied)
                asked.append(pool.submit(_answered, here.bus, message, end, monotonic))
    return [one if isinstance(one, Foreseen) else one.result() for one in asked]


def _worker_of(step: PlannedStep, living: Sequence[WorkerRecord], alone: bool) -> WorkerRecord | str:
    """One that would be given the step and answers; or why there is none."""
    spec = step.spec
    name = f"{spec.command}:{spec.subcommand}"
    offering = [
        one
        for one in living
        if (name in one.offers or f"{spec.command}:*" in one.offers)
        and (alone or _serves(one, spec.pool, spec.environment))
    ]
    if not offering:
        return f"no living worker offers {name}" + (f" in the pool {spec.pool}" if spec.pool else "")
    answering = [one for one in offering if one.offers.get(name, {}).get(PLANS) is True]
    if not answering:
        return "the step does not say, or its worker is older"
    if any(one.credential or one.fault for one in offering):
        # its user at the broker may not write to the queue of the answer; and one beside it that has shown nothing is not believed
        return "workers with a credential are not asked (docs/decisions/0040)"
    return min(answering, key=lambda one: (len(one.running), one.id))


def _serves(worker: WorkerRecord, pool: str, environment: str) -> bool:
    bound = worker.place.environments
    return worker.place.pool == pool and (not bound or environment in bound)


def _question(step: PlannedStep, hosts: Hosts, worker: WorkerRecord, group: str, dynamic: Mapping[str, Any]) -> Message:
    headers = {m.EVENT: PLAN}
    if step.host is not None:
        headers |= host_headers(step.host, hosts)
    body = m.encode(step_document(step, group, dynamic))
    queue = f"re.control.{worker.id}.{step.spec.command}"
    return Message(queue, body, f"plan/{ULID()}", headers=headers, app_id=m.APP, direct=True)


def _answered(bus: ports.Bus, message: Message, end: float, monotonic: Callable[[], float]) -> Foreseen:
    left = min(foresight.ANSWER, end - monotonic())
    if left <= 0:
        return _unknown(f"not looked at: {WHOLE:g} s were over")
    try:
        answer = bus.request(message, left)
        return (
            _unknown(f"its worker has not answered within {left:.0f} s")
            if answer is None
            else foresight.parse(answer.body)
        )
    except (BusUnavailable, BadMessage) as error:
        return _unknown(f"its worker could not be asked: {error}")


def _unknown(why: str) -> Foreseen:
    return Foreseen("unknown", "", why)
