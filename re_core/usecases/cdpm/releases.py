"""A node's own releases: listed, shown with their votes, published by an operator. Must not know HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from re_core.api import pipelines as api
from re_core.cdpm import events as e
from re_core.cdpm import messages
from re_core.cdpm.documents import release_document
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.moments import written
from re_core.cdpm.node_document import VERDICTS
from re_core.cdpm.state import MOST_RELEASES, State
from re_core.cdpm.values import STABLE, UNSTABLE, CastVote, Job, Release, ReleaseRef
from re_core.errors import BadDocument, BadMessage, Conflict, NotFound, Problem
from re_core.json_pointer import pointer
from re_core.rows import PipelineRow
from re_core.usecases import keys
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.cdpm.nodes import Desk, require_present
from re_core.usecases.ids import new_id
from re_core.usecases.times import rfc3339
from re_core.wire import strict_json

#: part of every idempotency key of releases
ROUTE = "cdpm/publish"

#: dynamic values of a release that an operator publishes, and characters of each
MOST_VALUES, MOST_TEXT = 64, 500

#: a release that an operator published has no deployment: its name begins with this
_PUBLISHED = "publish/"


def listed(desk: Desk, row: PipelineRow) -> list[api.ReleaseRow]:
    """The newest MOST_RELEASES, newest first."""
    releases = desk.state(row).releases
    return [_row(releases[n]) for n in sorted(releases, reverse=True)]


def one(desk: Desk, row: PipelineRow, n: int) -> api.WholeRelease:
    """Release `n`. Raises NotFound."""
    state = desk.state(row)
    found = state.releases.get(n)
    if found is None:
        kept = f"; the newest is {state.last}, and the newest {MOST_RELEASES} are kept" if state.last else ""
        raise NotFound(f"the node has no release {n}{kept}")
    ref = ReleaseRef(found.n, found.entry, found.ref, found.created_at)
    missing = [id for id in found.majors if id not in found.votes]
    return {
        **_row(found),
        "votes": [_vote(state, id, vote) for id, vote in found.votes.items()],
        "missing": [_voter(state, id) for id in missing],
        "rule": _rule(state),
        "reactions": [_reaction(job) for job in state.jobs.values() if job.purpose in VERDICTS and job.release == n],
        "document": strict_json.loads(desk.reader.document(pipeline_key(row.id), ref)),
    }


def publish(desk: Desk, principal: Principal, found: PipelineRow, values: Mapping[str, Any], key: str = "") -> int:
    """Publish a release that no deployment made; its number. With a key it is one release, however often it is asked for.

    Raises NotAllowed, BadDocument for values of which no message can be made, KeyReused, Conflict, BusUnavailable, NoAnswer.
    """
    require(principal, Verb.DEPLOY, found.group)
    require_present(found)
    state = desk.state(found)
    if not state.configured:
        raise Conflict("the engine has not confirmed the node's document yet; apply it again")
    _check(state, values)
    body = {"node": found.id, "dynamic": values}
    request = keys.request_id(desk.store, principal.subject, ROUTE, key, body, found.id) or new_id()
    desk.say(found, e.Publish(values, principal.subject, request=request))
    made = (one.n for one in desk.state(found).releases.values() if one.deployment == f"{_PUBLISHED}{request}")
    return next(made, state.last)


def job_document(job: Job) -> api.JobRow:
    """A deployment that the node asks for."""
    return {
        "deployment": job.id,
        "state": job.status,
        "status": job.result or None,
        "why": job.why,
        "asked": rfc3339(job.asked),
    }


def _check(state: State, values: Mapping[str, Any]) -> None:
    """Raises BadDocument where no peer would take the message."""
    if len(values) > MOST_VALUES:
        raise BadDocument("", [Problem("/dynamic", f"expected at most {MOST_VALUES} values, found {len(values)}")])
    expected = f"expected a string of at most {MOST_TEXT} characters"
    wrong = [
        Problem(pointer(["dynamic", name]), expected)
        for name, value in values.items()
        if not isinstance(value, str) or len(value) > MOST_TEXT
    ]
    if wrong:
        raise BadDocument(wrong[0].message, wrong)
    document = release_document(state, state.last + 1, written(0), f"{_PUBLISHED}x", values)
    try:
        messages.parse(strict_json.dumps(document).encode())
    except BadMessage as error:
        text = f"no peer would take the message: {error.path}: {error}"
        raise BadDocument(text, [Problem("/dynamic", text)]) from None


def _row(one: Release) -> api.ReleaseRow:
    return {
        "release": one.n,
        "state": one.status,
        "undecided": one.undecided,
        "version": str(one.inputs.get("release_version", "")),
        "ref": one.ref,
        "created": rfc3339(one.at),
        "deployment": None if one.deployment.startswith(_PUBLISHED) else one.deployment,
        "majors": len(one.majors),
        "stable": one.counted(STABLE),
        "unstable": one.counted(UNSTABLE),
        "deadline": rfc3339(one.deadline or None),
    }


def _voter(state: State, id: str) -> api.Voter:
    known = state.subscriptions.get(id)
    return {"subscription": id, "name": known.name if known else "", "url": known.url if known else ""}


def _vote(state: State, id: str, vote: CastVote) -> api.ReleaseVote:
    value = cast(Literal["stable", "unstable"], vote.value)
    return {
        **_voter(state, id),
        "value": value,
        "counts": vote.counts,
        "deployment": vote.deployment,
        "voted": rfc3339(vote.at),
    }


def _rule(state: State) -> api.ReleaseRule:
    promote, demote = state.document.get("promote") or {}, state.document.get("demote") or {}
    return {"promote": promote.get("stable"), "demote": demote.get("unstable"), "within": promote.get("within")}


def _reaction(job: Job) -> api.Reaction:
    return {**job_document(job), "verdict": cast(Literal["promoted", "demoted", "undecided"], job.purpose)}
