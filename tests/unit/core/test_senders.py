"""Which step a worker is granted, and whose word on an attempt counts, by what it has shown of itself."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment.machine import Verdict
from re_core.deployment.senders import Protection, Sender
from re_core.model import StepStatus
from re_core.rows import WorkerCredential
from re_core.sequencer.encoding import messages_of
from re_core.wire import messages as m
from tests.factories import Run, simple

PROD = Protection(environments=frozenset({"prod"}))
PROVEN_ONLY = Protection(everything=True)


def _credential(name: str = "w1", **more: Any) -> WorkerCredential:
    return WorkerCredential(name, "key", (), "dmz", ("prod",), 1, "ada")._replace(**more)


def _run(step: Any = "noop:A", pool: str = "dmz", environment: str = "prod") -> Run:
    document = simple(step)
    document["execution"][0] |= {key: value for key, value in (("pool", pool), ("environment", environment)) if value}
    return Run(document)


def _claim(run: Run, sender: Sender) -> e.Grant:
    run.send(e.ClaimMade(0, 1, "w1~01", "t1", "control", asks=True, sender=sender))
    return next(one for one in run.last.effects if isinstance(one, e.Grant))


@pytest.mark.parametrize(
    ("sender", "go", "why"),
    [
        (Sender(_credential(), protection=PROD), True, ""),
        (Sender(_credential(commands=("noop",)), protection=PROVEN_ONLY), True, ""),
        (Sender(protection=PROD), False, "the worker has shown no credential, and the environment prod is protected"),
        (Sender(protection=PROVEN_ONLY), False, "worker_credentials is required"),
        (Sender(protection=Protection(pools=frozenset({"dmz"}))), False, "the pool dmz is protected"),
        (Sender(), True, ""),
        (Sender(fault="there is no credential w9"), False, "there is no credential w9"),
        (Sender(_credential(revoked=5)), False, "the credential w1 is revoked"),
        (Sender(_credential(commands=("file",))), False, "the credential w1 is not for noop"),
        (Sender(_credential(pool="lab")), False, "is not for steps of the pool dmz"),
        (Sender(_credential(pool="")), False, "is not for steps of the pool dmz"),
        (Sender(_credential(environments=("lab",))), False, "is not for steps of the environment prod"),
        (Sender(_credential(environments=()), protection=PROD), False, "is not for the environment prod, which is protected"),
        (Sender(_credential(environments=())), True, ""),
    ],
    ids=lambda value: str(value) if isinstance(value, str) and value else None,
)  # fmt: skip
def test_a_claim_is_granted_by_what_its_worker_has_shown(sender: Sender, go: bool, why: str) -> None:
    grant = _claim(_run(), sender)
    assert (grant.go, grant.unproven) == (go, not go)
    assert why in grant.reason


def test_a_credential_for_an_environment_gets_no_step_of_none() -> None:
    grant = _claim(_run(pool="dmz", environment=""), Sender(_credential(), protection=PROD))
    assert "is not for steps of no environment" in grant.reason


def test_a_repeatable_step_that_an_unproven_worker_has_begun_is_stopped() -> None:
    run = _run({"noop:A": {}, "idempotent": True})
    run.send(e.ClaimMade(0, 1, "x", "t1", "control", sender=Sender(protection=PROD)))
    assert run.last.verdict is Verdict.REFUSED
    assert e.Stop("control", 0, 1) in run.last.effects


REPORTS = (
    e.OutcomeReported(0, 1, completed=True, token="t1", worker="w1~01"),
    e.ClaimReleased(0, 1, "t1", worker="w1~01"),
    e.AttemptLost(0, 1, "t1", worker="w1~01"),
    e.AttemptReleased(0, 1, "t1", worker="w1~01"),
)


@pytest.mark.parametrize("report", REPORTS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    ("sender", "counts"),
    [
        (Sender(_credential(), protection=PROD), True),
        (Sender(_credential(revoked=5), protection=PROD), True),
        (Sender(protection=PROD), False),
        (Sender(), False),
        (Sender(_credential("w2"), protection=PROD), False),
        (Sender(fault="the signature is not that of the credential w1"), False),
    ],
    ids=["its own", "its own, revoked since", "unproven", "unproven, unprotected", "another worker's", "forged"],
)
def test_of_a_claimed_step_only_the_claimants_word_counts(report: Any, sender: Sender, counts: bool) -> None:
    run = _run()
    _claim(run, Sender(_credential(), protection=PROD))
    run.send(report._replace(sender=sender))
    assert (run.last.verdict is not Verdict.REFUSED) is counts or isinstance(report, e.AttemptReleased)
    if not counts:
        assert run.last.verdict is Verdict.REFUSED
        assert run.state.step(0).status is StepStatus.STARTED


def test_before_its_claim_the_outcome_of_a_protected_step_needs_what_a_claim_needs() -> None:
    for sender, verdict in (
        (Sender(protection=PROD), Verdict.REFUSED),
        (Sender(_credential(), protection=PROD), Verdict.APPLIED),
    ):
        run = _run({"noop:A": {}, "idempotent": True})
        run.send(e.OutcomeReported(0, 1, completed=True, token="t1", worker="w", sender=sender))
        assert run.last.verdict is verdict


def test_a_worker_of_2014_completes_no_protected_step() -> None:
    run = _run(pool="")
    run.send(e.OutcomeReported(e.UNSAID, 1, completed=True, sender=Sender(protection=PROD)))
    assert run.last.verdict is Verdict.REFUSED
    assert "has shown no credential" in run.last.reason


def test_a_worker_asks_before_it_begins_a_protected_step_that_may_be_repeated() -> None:
    run = _run({"noop:A": {}, "idempotent": True})
    for protection, grant in ((Protection(), None), (PROD, m.AGAIN)):
        (message,) = [
            one for one in messages_of(run.state, run.effects, protection=protection) if m.TURN in one.headers
        ]
        assert message.headers.get(m.GRANT) == grant
