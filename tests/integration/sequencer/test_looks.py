"""What a look at a deployment without a journal says of the job that asked for it, by what was known when the look began."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.apps import events as apps
from re_core.apps import state as app_state
from re_core.apps import values as app_values
from re_core.cdpm import events as pipelines
from re_core.cdpm import state as pipeline_state
from re_core.cdpm import values as pipeline_values
from re_core.cdpm.ids import pipeline_key
from re_core.jobs.table import JobStatus
from re_core.sequencer.apps import Apps
from re_core.sequencer.pipelines import Pipelines
from re_core.services.cdpm_watch import is_news

#: what was known -> what the job hears of a deployment that has no journal
HEARD = [(JobStatus.ASKED, []), (JobStatus.ACCEPTED, ["missing"]), (JobStatus.POSTPONED, [])]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    store = SqliteStore(tmp_path / "re.db", SystemClock())
    yield store
    store.close()


def _pipeline(status: JobStatus) -> pipeline_state.State:
    state = pipeline_state.begin(pipeline_key("N"))
    state.jobs["J"] = pipeline_values.Job("J", "trial", status, "p", {}, "cdpm:shop/app", "", 1, 0, 0)
    return state


@pytest.mark.parametrize(("known", "heard"), HEARD)
def test_a_pipeline_hears_of_a_missing_journal_only_for_what_was_accepted_before(
    store: Any, known: JobStatus, heard: list[str]
) -> None:
    """Else a deployment that begins in between would have vanished, and its vote would never be given."""
    state = _pipeline(known)
    facts = Pipelines(store, SystemClock()).perform(state.key, state, pipelines.Look("J"))
    assert [fact.status for fact in facts] == heard
    assert is_news(state, pipelines.Fact("J", 0, "missing")) is bool(heard)


@pytest.mark.parametrize(("known", "heard"), HEARD)
def test_an_app_hears_of_a_missing_journal_only_for_what_was_accepted_before(
    store: Any, known: JobStatus, heard: list[str]
) -> None:
    state = app_state.begin("app/A")
    state.jobs["J"] = app_values.Job("J", app_values.Purpose.RELEASE, known, 1, ("eu",), 1, 1, 0, 0)
    facts = Apps(store, SystemClock()).perform(state.key, state, apps.Look("J"))
    assert [fact.status for fact in facts] == heard
