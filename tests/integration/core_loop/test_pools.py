"""Which queue a step of a pool goes to, what happens where the pool has no worker, and which claims are of another environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment.plan_codec import plan_from_document
from re_core.errors import BadDocument
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.rows import WorkerPlace, WorkerRecord
from re_core.wire.messages import Message
from re_core.wire.places import ENVIRONMENT, POOL
from tests.factories import Run, simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture
def harness(build: Build) -> CoreHarness:
    """A core that asks who offers a step, with one worker of the pool dmz and one of none."""
    made = build(around=EnginePolicy(patience=300.0), shared=False, commands=("other",))
    _register(made, "inside", "noop:*")
    _register(made, "outside", "noop:*", "edge:*", pool="dmz")
    return made


def _register(harness: CoreHarness, worker: str, *offers: str, pool: str = "") -> None:
    about: dict[str, dict[str, Any]] = {offer: {} for offer in offers}
    harness.store.register(WorkerRecord(worker, 8, about, (), harness.clock.now(), place=WorkerPlace(pool)))


def _stage(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"group": "inception", "name": "p1", "execution": [{"hosts": ["one"], "steps": list(steps), **more}]}


def _dispatched(harness: CoreHarness, document: Mapping[str, Any], queue: str) -> list[Message]:
    """What lies on that queue once the deployment was accepted."""
    consumer = harness.bus.subscribe([queue], 8)
    harness.save(document)
    harness.ask()
    harness.core.turn(0)
    return [one.message for one in consumer.take(8, 0)]


def test_a_step_of_a_pool_goes_to_the_queue_of_that_pool(harness: CoreHarness) -> None:
    (message,) = _dispatched(harness, _stage("noop:A", pool="dmz"), "worker.noop.dmz")
    assert message.headers[POOL] == "dmz"


def test_a_pool_and_an_environment_of_a_stage_are_those_of_its_steps(harness: CoreHarness) -> None:
    document = _stage("noop:A", pool="dmz", environment="prod")
    (message,) = _dispatched(harness, document, "worker.noop.dmz")
    assert (message.headers[POOL], message.headers[ENVIRONMENT]) == ("dmz", "prod")


def test_a_step_without_a_pool_is_sent_as_ever(harness: CoreHarness) -> None:
    (message,) = _dispatched(harness, _stage("noop:A"), "worker.noop")
    assert not {POOL, ENVIRONMENT} & message.headers.keys()


@pytest.mark.parametrize(
    ("step", "more", "why"),
    [
        ("noop:A", {"pool": "lab"}, "no worker of the pool lab offers noop:A"),
        ("edge:A", {}, "no worker offers edge:A"),
    ],
    ids=["a pool without workers", "offered in a pool alone"],
)
def test_a_step_that_its_pool_does_not_offer_fails_with_the_pool_named(
    harness: CoreHarness, step: str, more: dict[str, Any], why: str
) -> None:
    harness.save(_stage(step, **more))
    harness.ask()
    harness.settle()
    assert why in harness.state("d1").reason


def test_in_one_process_the_one_worker_has_all_pools(build: Build) -> None:
    harness = build(commands=("other",))
    (message,) = _dispatched(harness, _stage("noop:A", pool="dmz"), "worker.noop")
    assert message.headers[POOL] == "dmz"


def test_a_plan_without_pools_is_stored_as_ever() -> None:
    plan = compile_document(_stage("noop:A"), EnginePolicy(), {})
    assert not {"pool", "environment"} & plan["specs"][0].keys()
    placed = compile_document(_stage("noop:A", pool="dmz", environment="prod"), EnginePolicy(), {})
    spec = plan_from_document(placed).steps[0].spec
    assert (spec.pool, spec.environment) == ("dmz", "prod")


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"pool": "DMZ"}, "/execution/0/pool"),
        ({"pool": 5}, "/execution/0/pool"),
        ({"environment": "a b"}, "/execution/0/environment"),
    ],
)
def test_a_place_that_is_no_name_is_refused(more: dict[str, Any], at: str) -> None:
    with pytest.raises(BadDocument) as refused:
        compile_document(_stage("noop:A", **more), EnginePolicy(), {})
    assert [one.path for one in refused.value.problems] == [at]


def test_a_secret_of_another_environment_than_the_stage_is_refused() -> None:
    document = _stage({"noop:A": {"key": {"secret": "inception/prod/db"}}}, environment="staging")
    with pytest.raises(BadDocument, match="another environment than the stage's, staging"):
        compile_document(document, EnginePolicy(), {})


# -- claims of another environment ---------------------------------------------------------------------


def _claim(run: Run, *environments: str) -> e.Grant:
    run.send(e.ClaimMade(0, 1, "w", "one", "control.w", asks=True, environments=environments))
    (grant,) = [one for one in run.effects if isinstance(one, e.Grant)]
    return grant


@pytest.mark.parametrize(
    ("environment", "bound", "go"),
    [
        ("prod", ("prod",), True),
        ("prod", ("staging", "prod"), True),
        ("prod", (), True),
        ("", (), True),
        ("prod", ("staging",), False),
        ("", ("staging",), False),
    ],
)
def test_a_worker_is_granted_steps_of_its_environments_alone(
    environment: str, bound: tuple[str, ...], go: bool
) -> None:
    document = simple("noop:A")
    if environment:
        document["execution"][0]["environment"] = environment
    grant = _claim(Run(document), *bound)
    assert grant.go is go
    assert bool(grant.reason) is not go
    if not go:
        assert f"worker w is bound to {bound[0]}" in grant.reason
