"""What the calls of runners do, apart from their streams: from a token to a release, to its files, to its end.

Called on the threads of a pool, since the store may let a call wait. Must not know gRPC's streams. Raises TokenUnknown,
ReleaseOver, Busy (release_rows.py), StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from re_core.rows import Release
from re_core.wire.redaction import MARGIN, Redaction
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest import tokens
from re_gateways.forest.progress import ReleaseProgress, ReleasesInProgress
from re_gateways.forest.release_contents import Contents, ReleaseContents
from re_gateways.forest.release_rows import ReleaseOver, ReleaseRows, TokenUnknown, end_of, is_cancelling
from re_gateways.forest.sessions import Session, Sessions

#: milliseconds after the end of a release in which lines of its log still count
LATE_LINES = 10_000

#: seconds for which a row that another gateway answers for is believed
FRESH = 1.0

#: releases of others that are remembered for their lines
MOST_CACHED = 4096

#: characters of an error, and of a plan, that are kept
MAX_ERROR, MAX_PLAN = 16 * 1024, 512 * 1024

#: what is behind the part that is kept
CUT = " … (cut)"

_OUTCOMES = {pb.RELEASE_OUTCOME_SUCCESS: "success", pb.RELEASE_OUTCOME_FAILURE: "failure"}


class Target(NamedTuple):
    """Where a line of a log goes."""

    #: id of the release
    release: str
    #: None where no step of this process prints it
    progress: ReleaseProgress | None


class Calls:
    """Thread-safe."""

    def __init__(
        self,
        rows: ReleaseRows,
        sessions: Sessions,
        in_progress: ReleasesInProgress,
        contents: ReleaseContents,
        redaction: Redaction,
        say: Callable[[str, str], object],
        late: Callable[[str], None],
        now: Callable[[], int],
        time: Callable[[], float],
    ) -> None:
        """`redaction`: no row holds what the settings cut out. `say` prints a line in the log of a release; `late`
        gets the id of one whose completion came too late. `now`: milliseconds since the epoch; `time`: seconds of a steady clock.
        """
        self._redaction, self._say, self._late = redaction, say, late
        self._rows, self._sessions, self._in_progress, self._contents = rows, sessions, in_progress, contents
        self._now, self._time = now, time
        #: digest -> row, and when it was read
        self._cached: dict[str, tuple[Release, float]] = {}

    def fetch(self, token: str) -> tuple[Release, Contents]:
        """Everything that the runner can fetch of the release. The call counts as the begin of the work."""
        row = self.begin(token)
        about = row.document
        return row, self._contents.get(about["group"], about["artifact"], about["artifact_id"], about["environment"])

    def begin(self, token: str) -> Release:
        """The release of a living token; from now on it has begun."""
        row = self._rows.call(tokens.digest(token))
        self._learn(row)
        return row

    def acknowledge(self, session: Session, token: str, accepted: bool) -> None:
        """A runner says whether it takes an assignment; only that of its own."""
        digest = tokens.digest(token)
        try:
            if self._rows.alive(digest).runner != session.name:
                return
            changed = self._rows.call(digest) if accepted else self._rows.hand_back(digest)
        except (TokenUnknown, ReleaseOver):  # the release may also end between the two
            return
        if changed is not None:
            self._learn(changed)

    def known_target(self, token: str) -> Target | None:
        """Where the next line with that token goes, where that is known without the store."""
        row = self._known(tokens.digest(token))
        return None if row is None else Target(row.id, self._in_progress.get(row.id))

    def target(self, token: str) -> Target:
        """The same, from the store. The first line counts as the begin of the work."""
        row = self._line_of(tokens.digest(token))
        return Target(row.id, self._in_progress.get(row.id))

    def arriving(self, token: str) -> ReleaseProgress | None:
        """The release of which a completion comes, as far as it is in memory: at once, and before the store is asked."""
        digest = tokens.digest(token)
        return next((one for one in self._in_progress.all() if digest and one.row.token == digest), None)

    def complete(self, request: pb.CompleteReleaseRequest) -> Release:
        """Store the outcome."""
        outcome = _OUTCOMES[request.outcome]
        text = self._cut(request.error_message, MAX_ERROR) if outcome == "failure" else ""
        plan = self._cut(request.plan_output, MAX_PLAN) if request.HasField("plan_output") else None
        try:
            row = self._rows.complete(
                tokens.digest(request.release_token), end_of("completion", text, self._now(), outcome, plan)
            )
        except ReleaseOver as over:
            self._learn(over.row)
            if over.noted:
                reports = f"the runner {over.row.runner} reports {outcome}{': ' if text else ''}{text}"
                self._say(over.row.id, f"[{reports}; that came too late and was refused]")
                self._late(over.row.id)
            raise
        self._learn(row)
        return row

    def _cut(self, text: str, most: int) -> str:
        if len(text) <= most:
            return self._redaction.text(text)
        return self._redaction.beginning(text[: most + MARGIN], most) + CUT

    def _learn(self, row: Release) -> None:
        """The row was read or changed: the step of this process sees it."""
        progress = self._in_progress.get(row.id)
        if progress is None:
            return
        session = self._sessions.session(row.runner)
        progress.learn(row, session.generation if session else 0)
        if row.called is not None and row.status == "running":
            self._sessions.hold(row.runner, row.id, begun=True)
            if self._in_progress.get(row.id) is not progress:  # its step has ended in this moment
                self._sessions.release(row.runner, row.id)

    def _known(self, digest: str) -> Release | None:
        """Without the store: the row of a step of this process, or one that was read lately."""
        kept = self._cached.get(digest)
        if kept is None:
            return None
        row, at = kept
        progress = self._in_progress.get(row.id)
        if (
            progress is not None
            and progress.row.token == digest
            and (progress.row.end is None or is_cancelling(progress.row))
        ):
            return row
        if self._time() - at < FRESH:
            return row
        del self._cached[digest]
        return None

    def _line_of(self, digest: str) -> Release:
        try:
            row = self._rows.call(digest)
        except ReleaseOver as over:
            row = over.row
            end = row.end or {}
            late = end.get("kind") == "completion" and self._now() - int(end.get("at", 0)) < LATE_LINES
            if not late:
                raise
        self._learn(row)
        if len(self._cached) >= MOST_CACHED:
            self._cached.clear()
        self._cached[digest] = row, self._time()
        return row
