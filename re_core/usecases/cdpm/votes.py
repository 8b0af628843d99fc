"""What a node has received of its dependencies: how it built that, and which vote that became. Must not know HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

from re_core.api import pipelines as api
from re_core.cdpm import records as r
from re_core.cdpm.asking import TRIAL
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.values import Job
from re_core.rows import PipelineRow
from re_core.usecases.cdpm.nodes import Desk
from re_core.usecases.cdpm.releases import job_document

#: entries of the journal, the newest, in which votes are looked for
LOOKED_BACK = 1_000


class _Sent(NamedTuple):
    value: str
    answer: str | None = None


#: dependency, id of the release, and when it was made
_Key = tuple[str, int | str, str]


def trials(desk: Desk, row: PipelineRow) -> list[api.Trial]:
    """Builds that go on, and the newest that are over, newest first. A vote is shown as far as LOOKED_BACK entries say."""
    state = desk.state(row)
    sent = _votes(desk, row, state.entry)
    jobs = sorted((job for job in state.jobs.values() if job.purpose == TRIAL), key=lambda job: -job.asked)
    return [_trial(job, sent.get((job.dependency, job.release, job.created_at))) for job in jobs]


def _votes(desk: Desk, row: PipelineRow, newest: int) -> Mapping[_Key, _Sent]:
    found: dict[_Key, _Sent] = {}
    for entry in desk.store.entries(pipeline_key(row.id), max(0, newest - LOOKED_BACK), LOOKED_BACK):
        for record in entry.records:
            if isinstance(record, r.Voted):
                found[record.dependency, record.id, record.created_at] = _Sent(record.value)
            elif isinstance(record, r.VoteDelivered | r.VoteRefused):
                key = record.dependency, record.id, record.created_at
                why = f"{record.status} {record.why}" if isinstance(record, r.VoteRefused) else str(record.status)
                found[key] = found.get(key, _Sent(""))._replace(answer=why)
    return found


def _trial(job: Job, sent: _Sent | None) -> api.Trial:
    value = sent.value if sent is not None and sent.value else None
    return {
        **job_document(job),
        "dependency": job.dependency,
        "url": job.url,
        "release": job.release,
        "created": job.created_at,
        "major": job.major,
        "vote": cast(Literal["stable", "unstable"] | None, value),
        "answer": sent.answer if sent is not None else None,
    }
