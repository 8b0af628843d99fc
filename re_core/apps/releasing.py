"""Versions: how one is asked for, and what becomes of it. Pure; the table VERSION.

The theory is in re_core/apps/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.advancing import Advance, Refusal, known_already
from re_core.apps.asking import ask_release
from re_core.apps.names import BROADCAST_ID, COMMIT, DIGEST, TYPE_NAME
from re_core.apps.payloads import MOST_PAYLOADS, digest_of, kept_payloads
from re_core.apps.state import MOST_PENDING, State, source_of
from re_core.apps.values import Job, Kind, Payload, Status, Version

#: characters of a note, of where an archive is, and of why a version failed
MOST_NOTE, MOST_ARCHIVE, MOST_WHY = 500, 2_048, 500
#: types of processes; characters of them with their commands; of the variables that a build sets
MOST_TYPES, MOST_PROCESSES, MOST_BUILD_ENV = 20, 16_384, 4_096

#: how many versions a refusal names
_NAMED = 5


class VersionWord(StrEnum):
    """What can happen to a version."""

    TURN = "its turn"
    PREPARED = "prepared"
    BUILT = "built"
    READY = "ready in a zone"
    COMMIT = "commit"
    COMPLETED = "job completed"
    UNDONE = "job failed, cancelled, refused or vanished"
    SWITCHED = "switched in a zone"


class End(NamedTuple):
    """The end of the job that releases a version: its record, and why it ended."""

    record: r.JobEnded | r.JobRefused
    why: str = ""


# -- what people ask for ---------------------------------------------------------------------------


def on_build(go: Advance, event: e.Build) -> None:
    if is_repeated(go, event):
        return
    if not event.archive or len(event.archive) > MOST_ARCHIVE:
        raise Refusal("bad-message", f"`archive` has 1 to {MOST_ARCHIVE} characters")
    if not COMMIT.fullmatch(event.commit):
        raise Refusal("bad-message", f"`commit` is {event.commit[:80]!r}; it is up to 64 hexadecimal digits")
    check_request(event)
    check_room(go.state)
    note = event.note or (f"Deploy {event.commit[:7]}" if event.commit else "Deploy")
    queue(go, event, Kind.BUILD, note, commit=event.commit, archive=event.archive)


def on_rollback(go: Advance, event: e.Rollback) -> None:
    if is_repeated(go, event):
        return
    of = event.version or _before(go.state)
    source = _deployable(go.state, of)
    check_request(event)
    check_room(go.state)
    what = {"commit": source.commit, "of": of, "head": go.state.config.id}
    queue(go, event, Kind.ROLLBACK, event.note or f"Rollback to v{of}", **what)


def is_repeated(go: Advance, event: e.Build | e.Configure | e.Rollback) -> bool:
    """Whether a kept version was made by that request: the answer is that version's."""
    wanted = event.broadcast_id or event.request
    known = next((one for one in go.state.versions.values() if wanted and one.broadcast_id == wanted), None)
    if known is not None:
        go.answer_version(known.number)
    return known is not None


def check_request(event: e.Build | e.Configure | e.Rollback) -> None:
    """Raises Refusal where what the request says cannot be kept."""
    if event.broadcast_id and not BROADCAST_ID.fullmatch(event.broadcast_id):
        raise Refusal("bad-message", "`broadcast_id` has 1 to 128 letters, digits and `:._-`")
    if len(event.note) > MOST_NOTE:
        raise Refusal("bad-message", f"`note` has {len(event.note)} characters, at most {MOST_NOTE} are kept")


def check_room(state: State) -> None:
    """Raises Refusal where no version more may wait."""
    if len(state.pending) >= MOST_PENDING:
        raise Refusal("too-many", f"{MOST_PENDING} versions of {state.name} wait for their turn; try again later")


def queue(go: Advance, event: e.Build | e.Configure | e.Rollback, kind: Kind, note: str, **what: Any) -> None:
    """The next version; its turn comes at once where no other one goes on."""
    number = go.state.last + 1
    broadcast_id = event.broadcast_id or event.request
    go.emit(r.Queued(number, kind, broadcast_id, note=note, who=event.user, source=event.source, **what))
    go.answer_version(number)
    _begin_next(go)


def _begin_next(go: Advance) -> None:
    state = go.state
    if not state.active and state.pending and not state.destroyed:
        version = state.versions[state.pending[0]]
        VERSION[version.status][VersionWord.TURN](go, version, None)


def _before(state: State) -> int:
    """The last version before the current one that has succeeded and differs from it in payload or config."""
    current = state.versions.get(state.current)
    if current is None:
        raise Refusal("nothing-runs", f"no version of {state.name} has succeeded yet")
    for one in reversed(state.versions.values()):
        differs = (one.payload, one.config) != (current.payload, current.config)
        if one.number < current.number and one.status is Status.SUCCEEDED and differs:
            return one.number  # of all that differ the newest, so that its files are kept
    raise Refusal(
        "not-deployable", f"no version of {state.name} before v{current.number} differs from it and succeeded"
    )


def _deployable(state: State, number: int) -> Version:
    """The version that comes back. Raises Refusal with the reason why it cannot."""
    if number == state.current:
        raise Refusal("same", f"v{number} is what {state.name} runs")
    old = state.old.get(number)
    if old == Status.SUCCEEDED:
        raise Refusal("payload-gone", f"the files of v{number} of {state.name} are not kept any more")
    known = state.versions.get(number)
    if known is None and old is None:
        raise Refusal("unknown-version", f"release {number} of {state.name} not found")
    if known is None or known.status is not Status.SUCCEEDED:
        status = old if known is None else known.status
        how = "failed and never ran" if status == Status.FAILED else f"is {status}"
        fit = [f"v{one.number}" for one in reversed(state.versions.values()) if one.status is Status.SUCCEEDED]
        raise Refusal("not-deployable", f"v{number} {how}; succeeded: {', '.join(fit[:_NAMED]) or 'none'}")
    if digest_of(known) not in kept_payloads(state):
        what = f"{MOST_PAYLOADS} different ones of the newest releases that succeeded are"
        raise Refusal("payload-gone", f"the files of v{number} of {state.name} are not kept any more: {what}")
    return known


# -- what steps say --------------------------------------------------------------------------------


def on_step(go: Advance, event: e.Prepared | e.Built | e.Ready | e.Commit | e.Switched) -> None:
    """Only the version's job of now is heard: that of an earlier turn, and any other playbook, changes nothing."""
    version = go.state.versions.get(event.version)
    if version is None:
        raise Refusal("unknown-version", f"release {event.version} of {go.state.name} not found")
    if not version.job or event.deployment != version.job:
        raise Refusal("not-yours", f"deployment {event.deployment[:40]!r} does not release v{version.number}")
    VERSION[version.status][_STEPS[type(event)]](go, version, event)


def job_over(go: Advance, job: Job, end: End) -> None:
    """The job of a version is closed. Its record, what it means for the version, and the next turn are one entry."""
    go.emit(end.record)
    version = go.state.versions.get(job.version)
    if version is not None and version.job == job.id:
        is_completed = isinstance(end.record, r.JobEnded) and end.record.status == "completed"
        word = VersionWord.COMPLETED if is_completed else VersionWord.UNDONE
        VERSION[version.status][word](go, version, end)
    _begin_next(go)


def fail(go: Advance, version: Version, why: str) -> None:
    """It will not run. A config that it alone had is the newest no more: else each push after it would fail as well."""
    state = go.state
    go.emit(r.Failed(version.number, why[:MOST_WHY], _STAGES.get(version.status, "")))
    current = state.versions.get(state.current)
    if version.kind is Kind.CONFIG and state.config.id == version.config and current is not None:
        note = f"v{version.number} failed: config is as it was"
        go.emit(r.Configured(current.config, current.config_names, note, version.who))


# -- the cells -------------------------------------------------------------------------------------


def _turn(go: Advance, version: Version, _: None) -> None:
    ask_release(go, version.number)


def _prepare(go: Advance, version: Version, event: e.Prepared) -> None:
    """Here is bound what the version is made of; what is set later is of later versions."""
    source = source_of(go.state, version)
    config, names = version.config, version.config_names
    if version.kind is Kind.BUILD:
        config, names = go.state.config.id, go.state.config.names
    elif version.kind is Kind.ROLLBACK and source is not None:
        config, names = source.config, source.config_names
    payload, commit = "", version.commit
    if source is not None and source.payload is not None:
        payload, commit = source.payload.digest, source.commit
    go.emit(r.Prepared(version.number, config, names, payload, commit))


def _build(go: Advance, version: Version, event: e.Built) -> None:
    _check_payload(event)
    payload = {name: getattr(event, name) for name in ("artifact", "digest", "size", "crc", "length")}
    rest = event.processes, event.build_env, event.python, event.release
    go.emit(r.Built(version.number, payload, *rest))


def _check_payload(event: e.Built) -> None:
    processes = event.processes
    length = sum(len(name) + len(command) for name, command in processes.items()) + len(event.release)
    if not processes or len(processes) > MOST_TYPES or not all(map(TYPE_NAME.fullmatch, processes)):
        raise Refusal("bad-message", f"`processes` names 1 to {MOST_TYPES} types of letters, digits, `_` and `-`")
    if length > MOST_PROCESSES:
        raise Refusal("bad-message", f"the commands have {length} characters, at most {MOST_PROCESSES} are kept")
    if sum(len(name) + len(value) for name, value in event.build_env.items()) > MOST_BUILD_ENV:
        raise Refusal("bad-message", f"`build_env` has more than {MOST_BUILD_ENV} characters")
    if not DIGEST.fullmatch(event.digest) or len(event.artifact) > MOST_NOTE or len(event.python) > MOST_NOTE:
        raise Refusal("bad-message", "`digest` is no SHA-256 in hexadecimal digits, or a name is too long")


def _built_again(go: Advance, version: Version, event: e.Built) -> None:
    digest = "" if version.payload is None else version.payload.digest
    if digest != event.digest:
        raise Refusal("differs", f"v{version.number} has the payload {digest[:12]}, which stays")


def _ready(go: Advance, version: Version, event: e.Ready) -> None:
    _check_zone(version, event.zone)
    if event.zone not in version.ready:
        go.emit(r.Ready(version.number, event.zone))


def _switched(go: Advance, version: Version, event: e.Switched) -> None:
    _check_zone(version, event.zone)
    if event.zone not in version.switched:
        go.emit(r.Switched(version.number, event.zone))


def _check_zone(version: Version, zone: str) -> None:
    if zone not in version.zones:
        raise Refusal(
            "unknown-zone", f"v{version.number} is released in {', '.join(version.zones)}, not in {zone[:40]!r}"
        )


def _commit(go: Advance, version: Version, event: e.Commit) -> None:
    """The decision. After it each zone goes to the version; before it nothing has changed in any."""
    state = go.state
    if state.destroyed:
        raise Refusal("destroyed", f"{state.name} was destroyed")
    missing = [zone for zone in version.zones if zone not in version.ready]
    if missing or version.payload is None:
        raise Refusal("not-ready", f"v{version.number} is not ready in {', '.join(missing)}")
    go.emit(r.Committed(version.number, next_formation(state, version.payload)))
    if version.kind is Kind.ROLLBACK and state.config.id == version.head != version.config:
        go.emit(r.Configured(version.config, version.config_names, version.note, version.who))


def next_formation(state: State, payload: Payload) -> dict[str, int]:
    """Counts stay with their types; of a type that is new, one `web` runs, and none of any other."""
    return {name: state.counts.get(name, 1 if name == "web" else 0) for name in payload.processes}


def _without_release(go: Advance, version: Version, end: End) -> None:
    fail(go, version, "its deployment ended without a release")


def _undone(go: Advance, version: Version, end: End) -> None:
    fail(go, version, end.why)


def _not_prepared(go: Advance, version: Version, event: Any) -> None:
    raise Refusal("not-prepared", f"v{version.number} is {version.status}")


def _not_built(go: Advance, version: Version, event: Any) -> None:
    raise Refusal("not-built", f"v{version.number} is {version.status}")


def _not_committed(go: Advance, version: Version, event: Any) -> None:
    raise Refusal("not-committed", f"v{version.number} is {version.status}")


def _over(go: Advance, version: Version, event: Any) -> None:
    raise Refusal("over", f"v{version.number} failed: {version.why}"[:MOST_WHY])


def _no_turn(go: Advance, version: Version, event: Any) -> None:
    """A version has one turn, and it had it."""


_STAGES = {Status.PENDING: "prepare", Status.BUILDING: "build", Status.DEPLOYING: "deploy"}

_STEPS: Mapping[type[Any], VersionWord] = {
    e.Prepared: VersionWord.PREPARED,
    e.Built: VersionWord.BUILT,
    e.Ready: VersionWord.READY,
    e.Commit: VersionWord.COMMIT,
    e.Switched: VersionWord.SWITCHED,
}

_Rule = Callable[[Advance, Version, Any], None]

#: what a version does with a word
VERSION: Mapping[Status, Mapping[VersionWord, _Rule]] = {
    Status.PENDING: {
        VersionWord.TURN: _turn,
        VersionWord.PREPARED: _prepare,
        VersionWord.BUILT: _not_prepared,
        VersionWord.READY: _not_prepared,
        VersionWord.COMMIT: _not_prepared,
        VersionWord.COMPLETED: _without_release,
        VersionWord.UNDONE: _undone,
        VersionWord.SWITCHED: _not_prepared,
    },
    Status.BUILDING: {
        VersionWord.TURN: _no_turn,
        VersionWord.PREPARED: known_already,
        VersionWord.BUILT: _build,
        VersionWord.READY: _not_built,
        VersionWord.COMMIT: _not_built,
        VersionWord.COMPLETED: _without_release,
        VersionWord.UNDONE: _undone,
        VersionWord.SWITCHED: _not_built,
    },
    Status.DEPLOYING: {
        VersionWord.TURN: _no_turn,
        VersionWord.PREPARED: known_already,
        VersionWord.BUILT: _built_again,
        VersionWord.READY: _ready,
        VersionWord.COMMIT: _commit,
        VersionWord.COMPLETED: _without_release,
        VersionWord.UNDONE: _undone,
        VersionWord.SWITCHED: _not_committed,
    },
    Status.SUCCEEDED: {
        VersionWord.TURN: _no_turn,
        VersionWord.PREPARED: known_already,
        VersionWord.BUILT: known_already,
        VersionWord.READY: known_already,
        VersionWord.COMMIT: known_already,
        VersionWord.COMPLETED: known_already,
        VersionWord.UNDONE: known_already,
        VersionWord.SWITCHED: _switched,
    },
    Status.FAILED: {
        VersionWord.TURN: _no_turn,
        VersionWord.PREPARED: _over,
        VersionWord.BUILT: _over,
        VersionWord.READY: _over,
        VersionWord.COMMIT: _over,
        VersionWord.COMPLETED: known_already,
        VersionWord.UNDONE: known_already,
        VersionWord.SWITCHED: _over,
    },
}
