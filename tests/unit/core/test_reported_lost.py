"""A worker that lives says that it has lost what it had started."""

from __future__ import annotations

import pytest

from re_core.deployment import records as r
from re_core.deployment.machine import Verdict
from re_core.deployment.plan import OnLost
from re_core.deployment.transitions import MOST_DECLINED_AT_ONCE
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, simple

WHY = "the runner is gone"


def _begun(**beside: object) -> Run:
    run = Run(simple({"noop:A": {}, "timeout": 60, **beside}, "noop:B"))
    run.claim(0)
    return run


def test_a_step_that_may_not_be_repeated_is_lost_for_that_reason() -> None:
    run = _begun()
    run.lose(0, reason=WHY)
    assert run.last.records[0] == r.Lost(0, 1, WHY, 1)
    assert run.statuses == ["lost", "skipped"]
    assert (run.status, run.state.reason.endswith(WHY)) == ("failed", True)


def test_a_loss_without_a_reason_says_what_is_unknown() -> None:
    run = _begun()
    run.lose(0)
    assert "whether it finished is unknown" in (run.state.step(0).message or "")


@pytest.mark.parametrize("beside", [{"retries": 1}, {"idempotent": True}])
def test_what_may_be_repeated_gets_another_attempt(beside: dict[str, object]) -> None:
    run = _begun(**beside)
    run.lose(0, reason=WHY)
    assert (run.kinds(), run.dispatched()) == (["lost", "fenced", "dispatched"], [(0, 2)])


def test_an_operator_resolves_it_where_the_settings_want_that() -> None:
    run = Run(simple("noop:A", "noop:B"), EnginePolicy(on_lost=OnLost.ASK))
    run.claim(0)
    run.lose(0, reason=WHY)
    assert (run.kinds(), run.status, run.state.asked) == (["lost", "asked"], "waiting", {0})


def test_only_its_claimant_can_say_so() -> None:
    run = _begun()
    assert run.lose(0, "u").verdict is Verdict.REFUSED
    assert run.statuses == ["started", "pending"]


def test_a_repeated_loss_asks_again_for_what_is_awaited_and_changes_nothing() -> None:
    run = _begun(retries=1)
    run.lose(0)
    run.lose(0, attempt=1)
    assert (run.last.verdict, run.kinds(), run.dispatched()) == (Verdict.REPEATED, [], [(0, 2)])


def test_a_loss_of_what_is_already_lost_changes_nothing() -> None:
    run = Run(simple("noop:A", "noop:B"), EnginePolicy(on_lost=OnLost.ASK))
    run.claim(0)
    run.gone()
    assert (run.lose(0).verdict, run.kinds()) == (Verdict.REPEATED, [])


def test_after_a_cancel_it_is_final_whatever_its_author_allows() -> None:
    run = _begun(retries=1, idempotent=True)
    run.cancel()
    run.lose(0, reason=WHY)
    assert run.last.records[0] == r.Lost(0, 1, WHY, 1)
    assert (run.status, run.statuses[0]) == ("cancelled", "lost")


def test_after_its_timeout_idempotent_alone_does_not_repeat_it() -> None:
    run = _begun(idempotent=True)
    run.wait(60)
    run.lose(0, reason=WHY)
    assert run.state.step(0).message == f"it did not end within its timeout of 60 s; {WHY}"
    assert run.statuses == ["lost", "skipped"]


def test_a_loss_counts_as_begun_though_the_claim_went_astray() -> None:
    run = Run(simple({"noop:A": {}, "retries": 1}))
    run.lose(0)
    assert run.state.step(0).begun == 1
    run.lose(0)
    assert (run.status, run.state.step(0).begun) == ("failed", 2)


def test_a_worker_that_declines_whatever_it_claims_gets_the_step_again_slowly() -> None:
    run = Run(simple("noop:A"))
    for attempt in range(1, MOST_DECLINED_AT_ONCE):
        run.claim(0)
        run.decline(0)
        assert run.dispatched() == [(0, attempt + 1)]
    run.claim(0)
    run.decline(0)
    assert (run.kinds(), run.dispatched()) == (["fenced", "dispatched"], [])
    run.wait(30)
    assert run.dispatched() == [(0, MOST_DECLINED_AT_ONCE + 1)]
