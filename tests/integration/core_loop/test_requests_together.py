"""Two requests that mean one deployment: in one batch, one after the other, and one that comes again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from re_core.admission.acceptance import Admission
from re_core.admission.job_create import Creation
from re_core.deployment.events import Notify
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Append, Appended, Delivery, Published
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import START, CoreHarness


@pytest.fixture
def loud(build: Build) -> CoreHarness:
    """A harness that tells of every start."""
    made = build(around=EnginePolicy(notify={phase: {"console": ("ops",)} for phase in ("started", "failed")}))
    made.save(simple("noop:A"))
    made.save(simple("ghost:Do"), "ghostly")
    return made


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("headers", [{}, {m.KEY: "k1"}])
def test_two_requests_for_one_deployment_tell_people_once(
    loud: CoreHarness, headers: dict[str, str], together: bool
) -> None:
    """One batch writes under one token, so both first entries would pass for the one that was stored."""
    sent: list[str] = []
    real = loud.bus.publish

    def publish(messages: Sequence[Message]) -> list[Published]:
        sent.extend(one.id for one in messages)
        return real(messages)

    loud.bus.publish = publish  # type: ignore[method-assign]
    loud.ask("d1", headers=headers)
    if not together:
        loud.core.turn(0)
    loud.ask("d2" if headers else "d1", headers=headers)
    loud.settle()
    assert loud.answers() == [("d1", ""), ("d1", "")]
    assert sent.count("d1/started/console") == 1


@pytest.mark.parametrize("redelivered", [True, False])
def test_a_request_that_comes_again_after_a_crash_tells_of_start_and_end(loud: CoreHarness, redelivered: bool) -> None:
    """The deployment had ended in its first entry, since nobody offers its step, and nothing of it was published."""
    loud.ask("d1", "ghostly")
    loud.settle()
    ended = loud.state()
    request = Delivery(loud.request("d1", "ghostly"), m.JOB_CREATE, redelivered, 1)
    creation = Creation(request, Admission("d1", ended.accepted, ended.plan))
    told = [
        one.phase
        for one in loud.core._decider._deployments.answer_again(creation, ended, START).effects
        if isinstance(one, Notify)
    ]
    assert told == (["started", "failed"] if redelivered else [])


def test_a_request_that_comes_with_a_look_at_its_row_begins_whole(loud: CoreHarness) -> None:
    """A row is left of a core that died: to write that there is no such deployment would be wrong in this very batch."""
    loud.ask("d1")
    loud.settle()
    row = loud.store.rows(["d1"])[0]._replace(id="d2", ended=None, due=1)
    loud.store.write_views([row])
    real = loud.store.append

    def append(batch: Sequence[Append]) -> list[Appended]:
        """As a store that knows its own entries by their writer."""
        stored = real(batch)
        writers = [loud.store.entries(one.entry.deployment)[one.entry.number - 1].writer for one in batch]
        own = [writer == one.entry.writer for writer, one in zip(writers, batch, strict=True)]
        return [Appended.STORED if mine else outcome for mine, outcome in zip(own, stored, strict=True)]

    loud.store.append = append  # type: ignore[method-assign]
    loud.probe.hear()
    loud.ask("d2")
    loud.say("d2", "due")
    loud.core.turn(0)
    loud.settle()
    assert loud.answers() == [("d2", "")]
    assert (loud.state("d2").status, loud.kinds("d2")[0]) == ("completed", "accepted")
