"""Exclusive playbooks: one deployment at a time, whatever dies, freezes or races, and no lock that stays behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from re_core.admission.exclusive import ABANDONED, Exclusive
from re_core.deployment.records import never_began
from re_core.errors import Refused
from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import Clock, CoreHarness
from tests.integration.core_loop.faults import Death, Faults

KEY = {m.KEY: "k1"}
#: what is said of a request that was waited for in vain
EXPIRED = (None, "expired")


@pytest.fixture
def harness(build: Build) -> CoreHarness:
    """Two cores, and exclusive playbooks that end well, that fail and that hang."""
    harness = build(sequencers=2, script={"Fail": {"status": "failed", "message": "no"}})
    for name, step in (("p1", "noop:A"), ("fails", "noop:Fail"), ("hangs", "noop:Hang")):
        harness.save({**simple(step), "exclusive": True}, name)
    harness.save(simple("noop:Hang"), "free")
    return harness


def _ask(harness: CoreHarness, id: str, playbook: str = "p1", **more: Any) -> tuple[Any, str]:
    """Ask for it, let everybody do what follows, and give the answer."""
    harness.ask(id, playbook, **more)
    harness.settle()
    [answer] = harness.answers()
    return answer


def _asked(harness: CoreHarness, say: Callable[..., None], *words: str, **body: Any) -> dict[str, Any]:
    say(*words, **body)
    harness.settle()
    [answer] = harness.probe.hear()
    told: dict[str, Any] = strict_json.loads(answer.body)
    return told


def _fail(harness: CoreHarness, id: str = "d1") -> None:
    """A deployment of `hangs` that has failed a moment ago."""
    assert _ask(harness, id, "hangs") == (id, "")
    harness.worker.end(f"{id}/0/1", {"status": "failed"})
    harness.settle()
    assert harness.state(id).status == "failed"
    harness.clock.milliseconds += 1000


def _once(faults: Faults, where: str, name: str, do: Callable[[], object]) -> None:
    """Do it `before` or `after` the next call of that name; calls that it makes itself are left alone."""

    def check(called: str, number: int) -> None:
        if called == name:
            faults.heal()
            do()

    setattr(faults, where, check)


def _die() -> None:
    raise Death


def _hold_and_die(harness: CoreHarness, id: str = "d1", **more: Any) -> None:
    """Its core holds the playbook, and dies before it has written the first entry."""
    _once(harness.faults, "before", "append", _die)
    harness.ask(id, **more)
    with pytest.raises(Death):
        harness.cores[0].turn(0)
    harness.restart()


# -- while one runs --------------------------------------------------------------------------------


def test_a_second_deployment_is_refused_and_the_first_is_named(harness: CoreHarness) -> None:
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    harness.ask("d2", "hangs")
    harness.settle()
    [answer] = harness.probe.hear()
    assert strict_json.loads(answer.body) == {"id": None}
    assert (answer.headers[m.REASON], answer.headers[m.HOLDER]) == ("refused", "d1")
    assert "deployment d1 of this playbook has not ended" in answer.headers[m.DETAIL]
    assert harness.store.entries("d2") == []


def test_of_two_in_one_batch_the_first_begins(harness: CoreHarness) -> None:
    harness.ask("d1", "hangs")
    harness.ask("d2", "hangs")
    harness.settle()
    assert harness.answers() == [("d1", ""), (None, "refused")]


def test_another_playbook_and_one_that_is_not_exclusive_are_free(harness: CoreHarness) -> None:
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    assert _ask(harness, "d2", "p1") == ("d2", "")
    assert _ask(harness, "d3", "free") == ("d3", "")
    assert _ask(harness, "d4", "free") == ("d4", "")


def test_the_request_of_the_one_that_runs_is_answered_again(harness: CoreHarness) -> None:
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    assert harness.kinds().count("accepted") == 1


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_after_its_end_the_next_one_begins(harness: CoreHarness, end: str) -> None:
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    if end == "cancelled":
        _asked(harness, harness.cancel)
    else:
        harness.worker.end("d1/0/1", {"status": end})
        harness.settle()
    assert harness.state().status == end
    assert _ask(harness, "d2", "hangs") == ("d2", "")
    assert _ask(harness, "d3", "hangs") == (None, "refused")


def test_one_that_has_ended_takes_no_lock_when_its_request_comes_again(harness: CoreHarness) -> None:
    assert _ask(harness, "d1") == ("d1", "")
    assert _ask(harness, "d2") == ("d2", "")
    assert _ask(harness, "d1") == ("d1", "")
    assert _ask(harness, "d3") == ("d3", "")


def test_what_counts_is_the_revision_that_is_asked_for(harness: CoreHarness) -> None:
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    harness.save(simple("noop:Hang"), "hangs", revision=2)
    assert _ask(harness, "d2", "hangs") == ("d2", "")


# -- cores that race, die and freeze ----------------------------------------------------------------


def _meanwhile(harness: CoreHarness, other: Callable[[], None]) -> None:
    """The first core takes d1, and before it appends that, the other thing happens."""
    _once(harness.faults, "before", "append", other)
    harness.ask("d1", "hangs")
    harness.cores[0].turn(0)
    harness.settle()


def test_while_a_core_is_between_its_hold_and_its_entry_another_ones_request_is_refused(harness: CoreHarness) -> None:
    def other() -> None:
        harness.ask("d2", "hangs")
        assert harness.cores[1].turn(0) == 1

    _meanwhile(harness, other)
    assert harness.answers() == [("d1", ""), (None, "refused")]
    assert harness.world.begun_times("d2") == {}


def test_of_cores_that_race_for_a_playbook_that_has_become_free_one_wins(harness: CoreHarness) -> None:
    assert _ask(harness, "d0") == ("d0", "")
    cores = [Exclusive(harness.store, harness.clock, f"core{number}") for number in range(4)]
    begin = threading.Barrier(len(cores))
    refused: list[str] = []

    def race(number: int) -> None:
        begin.wait()
        try:
            cores[number].acquire("p1", f"d{number + 1}")
        except Refused as refusal:
            refused.append(refusal.deployment)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(len(cores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    [winner] = set(refused)
    assert harness.store.acquire("exclusive:p1", "d9", harness.clock.now()).deployment == winner


def test_a_holder_whose_core_died_is_waited_for_a_minute_and_then_kept_out(harness: CoreHarness) -> None:
    _hold_and_die(harness)
    harness.clock.milliseconds += ABANDONED - 1
    assert _ask(harness, "d2") == (None, "refused")
    assert harness.store.entries("d1") == []
    harness.clock.milliseconds += 1
    assert _ask(harness, "d3") == ("d3", "")
    assert never_began(harness.store.entries("d1"))
    assert harness.state("d3").status == "completed"


def test_a_frozen_holder_that_comes_back_too_late_begins_nothing(harness: CoreHarness) -> None:
    def other() -> None:
        harness.clock.milliseconds += ABANDONED
        harness.ask("d2", "hangs")
        assert harness.cores[1].turn(0) == 1

    _meanwhile(harness, other)
    assert harness.answers() == [("d2", ""), EXPIRED]
    assert harness.world.begun_times("d1") == {}
    assert harness.statuses("d2") == ["started"]


def test_a_holder_that_writes_its_entry_just_before_it_is_kept_out_is_not(harness: CoreHarness) -> None:
    """The one who waits has read an empty journal, and then the holder is faster."""

    def holder_goes_on() -> None:
        harness.ask("d1", "hangs")
        assert harness.cores[0].turn(0) == 1

    Exclusive(harness.store, harness.clock, "core0").acquire("hangs", "d1")
    harness.clock.milliseconds += ABANDONED
    late = Exclusive(harness.faults.store(harness.store), harness.clock, "late")
    _once(harness.faults, "before", "append", holder_goes_on)
    with pytest.raises(Refused) as caught:
        late.acquire("hangs", "d2")
    assert caught.value.deployment == "d1"
    assert harness.kinds("d1")[0] == "accepted"


# -- keys -------------------------------------------------------------------------------------------


def test_a_key_whose_deployment_was_kept_out_stands_for_the_next_one(harness: CoreHarness) -> None:
    _hold_and_die(harness, headers=KEY)
    harness.clock.milliseconds += ABANDONED
    assert _ask(harness, "d2") == ("d2", "")
    assert never_began(harness.store.entries("d1"))
    assert _ask(harness, "d3", headers=KEY) == ("d3", "")
    assert _ask(harness, "d4", headers=KEY) == ("d3", "")
    assert harness.store.entries("d4") == []


def test_a_key_whose_deployment_was_kept_out_still_wants_the_same_body(harness: CoreHarness) -> None:
    _hold_and_die(harness, headers=KEY)
    harness.clock.milliseconds += ABANDONED
    assert _ask(harness, "d2") == ("d2", "")
    assert _ask(harness, "d3", headers=KEY, dynamic={"n": 1}) == (None, "key-reused")
    assert _ask(harness, "d4", headers=KEY) == ("d4", "")
    assert _ask(harness, "d5", headers=KEY, dynamic={"n": 1}) == (None, "key-reused")


def test_a_key_whose_core_died_goes_on_with_the_deployment_that_holds_the_playbook(harness: CoreHarness) -> None:
    _hold_and_die(harness, headers=KEY)
    assert _ask(harness, "d2") == (None, "refused")
    assert _ask(harness, "d3", headers=KEY) == ("d1", "")
    assert harness.state("d1").status == "completed"


# -- retries ----------------------------------------------------------------------------------------


def test_a_retry_is_refused_while_another_one_runs_and_names_it(harness: CoreHarness) -> None:
    _fail(harness)
    assert _ask(harness, "d2", "hangs") == ("d2", "")
    told = _asked(harness, harness.retry, "d1")
    assert (told["accepted"], told["holder"]) == (False, "d2")
    assert "deployment d2 of this playbook has not ended" in told["reason"]
    assert harness.state("d1").status == "failed"
    harness.worker.end("d2/0/1", {"status": "completed"})
    harness.settle()
    assert _asked(harness, harness.retry, "d1", id="r2") == {"accepted": True}
    assert harness.state("d1").status == "running"


def test_a_retried_deployment_keeps_others_out_until_it_has_ended_again(harness: CoreHarness) -> None:
    _fail(harness)
    assert _asked(harness, harness.retry) == {"accepted": True}
    assert _ask(harness, "d2", "hangs") == (None, "refused")
    harness.worker.end("d1/0/2", {"status": "completed"})
    harness.settle()
    assert _ask(harness, "d3", "hangs") == ("d3", "")


def test_who_has_just_read_that_it_had_ended_loses_against_its_retry(harness: CoreHarness) -> None:
    def retry() -> None:
        harness.retry("d1")
        assert harness.cores[0].turn(0) == 1

    _fail(harness)
    late = Exclusive(harness.faults.store(harness.store), harness.clock, "late")
    _once(harness.faults, "after", "entries", retry)
    with pytest.raises(Refused) as caught:
        late.acquire("hangs", "d2")
    assert caught.value.deployment == "d1"
    assert harness.state("d1").status == "running"


def test_a_retry_loses_against_who_took_the_playbook_meanwhile(harness: CoreHarness) -> None:
    """The retry has read that the last holder has ended, and then somebody is faster."""
    quick = Exclusive(harness.store, harness.clock, "quick")
    _fail(harness)
    _fail(harness, "d2")
    # the first reading is of the retried one's own journal, the second of the holder's
    then = lambda: _once(harness.faults, "after", "entries", lambda: quick.acquire("hangs", "d3"))  # noqa: E731
    _once(harness.faults, "after", "entries", then)
    assert _asked(harness, harness.retry, "d1")["holder"] == "d3"
    assert harness.state("d1").status == "failed"


def test_a_retry_whose_core_died_before_it_wrote_it_is_waited_for_and_then_kept_out(harness: CoreHarness) -> None:
    _fail(harness)
    _once(harness.faults, "before", "append", _die)
    harness.retry("d1")
    with pytest.raises(Death):
        harness.cores[0].turn(0)
    harness.restart()
    assert _ask(harness, "d2", "hangs") == (None, "refused")
    harness.clock.milliseconds += ABANDONED
    assert _ask(harness, "d3", "hangs") == ("d3", "")
    assert harness.kinds("d1")[-2:] == ["ended", "void"]
    assert harness.state("d1").status == "failed"
    assert _asked(harness, harness.retry, "d1", id="r2")["holder"] == "d3"
    harness.worker.end("d3/0/1", {"status": "completed"})
    harness.settle()
    assert _asked(harness, harness.retry, "d1", id="r3") == {"accepted": True}


def test_a_frozen_retry_that_comes_back_too_late_is_refused(harness: CoreHarness) -> None:
    def other() -> None:
        harness.clock.milliseconds += ABANDONED
        harness.ask("d2", "hangs")
        assert harness.cores[1].turn(0) == 1

    _fail(harness)
    _once(harness.faults, "before", "append", other)
    harness.retry("d1")
    harness.cores[0].turn(0)
    harness.settle()
    told = [strict_json.loads(one.body) for one in harness.probe.hear()]
    assert {"id": "d2"} in told
    assert [one["holder"] for one in told if "accepted" in one] == ["d2"]
    assert harness.state("d1").status == "failed"


def test_a_retry_that_is_refused_for_another_reason_takes_no_lock(harness: CoreHarness) -> None:
    assert _ask(harness, "d1", "hangs") == ("d1", "")
    harness.restart()
    harness.settle()
    assert harness.statuses("d1") == ["lost"]
    assert "resolve it as `succeeded` or `rerun`" in _asked(harness, harness.retry)["reason"]
    assert _ask(harness, "d2", "hangs") == ("d2", "")


def test_a_retry_that_was_carried_out_before_takes_no_lock_when_it_comes_again(harness: CoreHarness) -> None:
    _fail(harness)
    assert _asked(harness, harness.retry) == {"accepted": True}
    harness.worker.end("d1/0/2", {"status": "failed"})
    harness.settle()
    assert _asked(harness, harness.retry) == {"accepted": True}
    assert harness.state("d1").status == "failed"
    assert _ask(harness, "d2", "hangs") == ("d2", "")


@pytest.mark.parametrize("skew", [-3_600_000, 3_600_000])
def test_no_clock_has_to_be_right(harness: CoreHarness, skew: int) -> None:
    """The core of a retry has another time than all others: they wait for it longer, and then keep it out."""
    clock = Clock()
    clock.milliseconds += skew
    _fail(harness)
    Exclusive(harness.store, clock, "other").reacquire("hangs", "d1", 1)
    assert _ask(harness, "d2", "hangs") == (None, "refused")
    harness.clock.milliseconds += ABANDONED + max(skew, 0)
    assert _ask(harness, "d3", "hangs") == ("d3", "")
    assert harness.kinds("d1")[-1] == "void"


def test_a_hold_for_a_retry_of_a_deployment_that_is_forgotten_is_nobodys(harness: CoreHarness) -> None:
    _fail(harness)
    Exclusive(harness.store, harness.clock, "other").reacquire("hangs", "d1", 1)
    harness.store.forget(["d1"])
    assert _ask(harness, "d2", "hangs") == ("d2", "")
    assert harness.store.entries("d1") == []
