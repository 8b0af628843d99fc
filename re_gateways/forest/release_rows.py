"""Releases in the store: every change is one compare-and-swap of a row, and every end is in its row before it is said anywhere.

Any gateway serves the calls of any runner from the row. Must not know streams, runners that are connected, or the worker. All
methods raise StoreUnavailable where the store is away; what they were to write may or may not be there then, and they may be
called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from re_core.ports import Clock, Releases
from re_core.rows import OVER, Release

#: milliseconds that a token lives beyond its step's timeout: clocks of machines differ, and a token dies by the status of its row
SLACK = 3_600_000

#: milliseconds that a token lives where the step has no timeout
LONGEST = 30 * 24 * 3_600_000

#: how often a change is tried on a row that others change
TRIES = 50

#: how a release ends
Kind = Literal["completion", "failed", "lost", "cancelled", "refused"]


class TokenUnknown(Exception):
    """No living token: unknown, malformed, expired, or its runner was revoked."""


class ReleaseOver(Exception):
    """The token is known, and its release is over or cancelled."""

    def __init__(self, row: Release, noted: bool = False) -> None:
        """`noted`: a completion that came too late was written down by this call."""
        super().__init__(row.id)
        self.row, self.noted = row, noted


class Busy(Exception):
    """The row was changed by others at every try."""


def end_of(kind: Kind, text: str, at: int, outcome: str = "", plan: str | None = None) -> dict[str, Any]:
    """The form of Release.end and Release.late."""
    return {"kind": kind, "outcome": outcome, "text": text, "plan": plan, "at": at}


def is_cancelling(row: Release) -> bool:
    """The step was cancelled, its token is dead, and the end of the run may still be seen."""
    return row.end is not None and row.status in ("assigned", "running")


def is_alive(row: Release) -> bool:
    """The token opens something."""
    return row.status in ("assigned", "running") and row.end is None


class ReleaseRows:
    """The rows of all releases, for one gateway. Thread-safe."""

    def __init__(
        self, store: Releases, clock: Clock, me: str, is_revoked: Callable[[str, int], bool] = lambda name, since: False
    ) -> None:
        """`me`: the gateway's id. `is_revoked`: whether a runner's name and `created` no longer stand for it."""
        self._store, self._clock, self.me, self._is_revoked = store, clock, me, is_revoked

    # what runners call

    def find(self, digest: str) -> Release:
        """The release of a token. Raises TokenUnknown."""
        row = self._store.release_by_token(digest) if digest else None
        if row is None or (row.expires is not None and self._clock.now() >= row.expires):
            raise TokenUnknown
        return row

    def alive(self, digest: str) -> Release:
        """The release of a living token. Raises TokenUnknown, ReleaseOver."""
        row = self.find(digest)
        if not is_alive(row):
            raise ReleaseOver(row)
        if self._is_revoked(row.runner, row.runner_since):
            raise TokenUnknown
        return row

    def call(self, digest: str) -> Release:
        """A call with the token has come: from now on it is never taken back. Raises TokenUnknown, ReleaseOver."""
        for _ in range(TRIES):
            row = self.alive(digest)
            if row.called is not None:
                return row
            called = self._change(row, status="running", called=self._clock.now())
            if called is not None:
                return called
        raise Busy

    def complete(self, digest: str, end: Mapping[str, Any]) -> Release:
        """Store a completion, as of `end_of`. An equal one that is there already counts. Raises TokenUnknown, ReleaseOver.

        One that comes too late is noted in the row, and ReleaseOver has that row.
        """
        for _ in range(TRIES):
            row = self.find(digest)
            if is_alive(row):
                now = self._clock.now()
                done = self._change(row, status="ended", end=dict(end), called=row.called or now)
                if done is not None:
                    return done
            elif row.end is not None and _equal(row.end, end):
                return row
            elif row.late is not None or (row.end or {}).get("kind") == "completion":
                raise ReleaseOver(row)
            elif (noted := self._change(row, late=dict(end))) is not None:
                raise ReleaseOver(noted, True)
        raise Busy

    def hand_back(self, digest: str) -> Release | None:
        """The runner does not want it; None where it has begun, or has it no more."""
        for _ in range(TRIES):
            row = self._store.release_by_token(digest) if digest else None
            if row is None or row.called is not None or not is_alive(row):
                return None
            freed = self._change(row, **_UNASSIGNED, excluded=(*row.excluded, row.runner))
            if freed is not None:
                return freed
        raise Busy

    # what its gateway does

    def fresh(self, id: str, saved: bytes, document: Mapping[str, Any]) -> Release:
        """The first row of an attempt, to be inserted."""
        return Release(id, 1, self.me, "waiting", saved, self._clock.now(), document=document)

    def insert(self, row: Release) -> bool:
        """Whether it is there now; False where the attempt has another one."""
        return self._store.save_release(row)

    def of_step(self, row: Release) -> list[Release]:
        """The rows of all attempts of the same step."""
        step = row.id.rpartition("/")[0]
        return [one for one in self._store.releases_of(row.deployment) if one.id.rpartition("/")[0] == step]

    def get(self, id: str) -> Release | None:
        """The row as it is."""
        return self._store.find_release(id)

    def assign(self, row: Release, runner: str, since: int, digest: str, timeout: float | None) -> Release | None:
        """Give it to that runner. None, here and below: another was faster; read the row again."""
        now = self._clock.now()
        life = LONGEST if timeout is None else int(timeout * 1000)
        return self._change(
            row,
            status="assigned",
            runner=runner,
            runner_since=since,
            token=digest,
            assigned=now,
            called=None,
            expires=now + life + SLACK,
        )

    def take_back(self, row: Release, excluding: bool = False) -> Release | None:
        """From a runner that has fetched nothing."""
        excluded = (*row.excluded, row.runner) if excluding else row.excluded
        return self._change(row, **_UNASSIGNED, excluded=excluded)

    def cancel(self, row: Release, text: str) -> Release | None:
        """Its token dies now; how it ends is seen later."""
        return self._change(row, end=end_of("cancelled", text, self._clock.now()))

    def end(self, row: Release, kind: Kind, text: str, outcome: str = "", plan: str | None = None) -> Release | None:
        """It has ended, by what its gateway concludes."""
        return self._change(row, status="ended", end=end_of(kind, text, self._clock.now(), outcome, plan))

    def reported(self, row: Release) -> Release | None:
        """The bus has its outcome."""
        return self._change(row, status="reported")

    def over(self, row: Release, text: str = "") -> Release | None:
        """Nothing is left to do with it."""
        end = row.end or end_of("refused", text, self._clock.now())
        return self._change(row, status=OVER, end=end)

    def hand_over(self, row: Release, owner: str = "") -> Release | None:
        """Another gateway answers for it; without one any may take it."""
        return self._change(row, owner=owner)

    def _change(self, row: Release, **changes: Any) -> Release | None:
        changed = row._replace(version=row.version + 1, **changes)
        return changed if self._store.save_release(changed) else None


_UNASSIGNED: Mapping[str, Any] = {
    "status": "waiting",
    "runner": "",
    "runner_since": 0,
    "token": "",
    "assigned": None,
    "expires": None,
}


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Two completions, whenever they came."""
    return {**one, "at": 0} == {**other, "at": 0}
