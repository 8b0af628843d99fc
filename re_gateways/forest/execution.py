"""Carries a release out, on the thread of its step: finds a runner, gives it the release, watches, and says how it ended.

What a step says of its end is what its row says: every end is stored first, by a compare-and-swap that a completion may win
(release_rows.py). While the store is away nothing is concluded. Must not know streams, nor how the engine hears of the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from re_core.errors import BadDocument, DamagedArtifact, NotFound, StoreRefused, StoreUnavailable
from re_core.rows import OVER, Release
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest import tokens
from re_gateways.forest.admission import shown
from re_gateways.forest.judge import CANCEL_WAIT, judge
from re_gateways.forest.progress import Order, ReleaseProgress, ReleasesInProgress
from re_gateways.forest.release_contents import ReleaseContents
from re_gateways.forest.release_rows import ReleaseRows, is_cancelling
from re_gateways.forest.sessions import Session, Sessions
from re_gateways.forest.types import Type
from re_workers import Cancelled, Context, Declined, Failed, HandedOver, Lost

#: seconds that a claimed step waits for a runner before another worker may have it; within 30 s of its dispatch that is at once
NO_RUNNER = 20.0

#: seconds that the end of the log is awaited after a completion, which overtakes its last lines
LOG_END = 1.0

#: errors that no code expected before the release is given up
MOST_MISTAKES = 20

#: the names of modes, as the protocol has them
MODES = {"deploy": pb.RELEASE_MODE_DEPLOY, "plan": pb.RELEASE_MODE_PLAN}

_log = logging.getLogger(__name__)


class ReleaseExecution:
    """One per gateway; any number of threads."""

    def __init__(
        self,
        rows: ReleaseRows,
        sessions: Sessions,
        in_progress: ReleasesInProgress,
        contents: ReleaseContents,
        note_use: Callable[[str, str, str], object],
        redact: Callable[[str], str],
        time: Callable[[], float],
        calm: Callable[[], float],
        tick: float = 0.5,
    ) -> None:
        """`note_use`: a step of that group begins that names that artifact, in that deployment. `redact`: a text without what the
        settings cut out. `time`: seconds of a steady clock; `calm`: since when this process has not paused and its beats are stored.
        `tick`: seconds between two looks at a release of which nothing is heard.
        """
        self._rows, self._sessions, self._in_progress, self._contents = rows, sessions, in_progress, contents
        self._note_use, self._redact = note_use, redact
        self._time, self._calm, self._tick = time, calm, tick

    def carry_out(self, ctx: Context, order: Order) -> Mapping[str, Any]:
        """Until the release has ended; the step's result. Raises what ends a step otherwise."""
        ctx.heeds_cancel()
        try:
            progress = self._open(ctx, order)
        except BaseException:  # the place that was kept for its claim is free again
            self._sessions.forget_reservations(ctx.attempt_id)
            raise
        self._in_progress.add(progress)
        try:
            while True:
                self._print(ctx, progress)
                result = self._advance(ctx, progress)
                if result is not None:
                    return result
                progress.wake.wait(self._tick)
                progress.wake.clear()
        finally:
            self._in_progress.remove(progress)
            self._leave(ctx, progress)

    # begin

    def _open(self, ctx: Context, order: Order) -> ReleaseProgress:
        document: dict[str, Any] | None = None
        fresh: Release | None = None
        while True:
            try:
                if ctx.resumed:
                    return self._resumed(ctx, order)
                document = document or self._checked(ctx, order)
                fresh = fresh or self._rows.fresh(ctx.attempt_id, ctx.saved(), document)
                if not self._rows.insert(fresh):
                    raise HandedOver("another gateway has this attempt")
                return ReleaseProgress(fresh, order, self._time)
            except (StoreUnavailable, StoreRefused) as error:
                self._away(ctx, error)
            if ctx.stopping.wait(self._tick):
                raise HandedOver("the gateway is stopping") if ctx.resumed else Declined("the gateway is stopping")
            if ctx.cancelled.is_set() and not ctx.resumed:
                raise Cancelled(ctx.cancel_reason)

    def _checked(self, ctx: Context, order: Order) -> dict[str, Any]:
        """What the calls of the runner are answered from. Raises Failed where it cannot have what it needs."""
        environment, name = order.destination["environment"], order.destination["name"]
        try:
            self._note_use(ctx.group, order.artifact, ctx.deployment)
            artifact = self._contents.check(ctx.group, order.artifact, environment)
        except (NotFound, BadDocument, DamagedArtifact) as error:
            raise Failed(str(error)) from None
        return {
            "group": ctx.group,
            "artifact": order.artifact,
            "artifact_id": artifact,
            "environment": environment,
            "destination": name,
            "type": order.type,
            "organisation": order.organisation,
            "project": order.project,
            "mode": order.mode,
        }

    def _resumed(self, ctx: Context, order: Order) -> ReleaseProgress:
        row = self._rows.get(ctx.attempt_id)
        if row is None or row.owner != self._rows.me or row.status == OVER:
            raise HandedOver("another gateway has this attempt")
        if row.runner and row.status in ("assigned", "running"):
            self._sessions.hold(row.runner, row.id, row.called is not None)
        progress = ReleaseProgress(row, order, self._time)
        progress.held = row.runner
        progress.partial = row.called is not None
        return progress

    # one look

    def _advance(self, ctx: Context, progress: ReleaseProgress) -> Mapping[str, Any] | None:
        """Do what is to be done now; the result at the end."""
        try:
            self._look(ctx, progress)
        except (StoreUnavailable, StoreRefused) as error:
            self._away(ctx, error)
            if ctx.stopping.is_set():
                raise HandedOver("the gateway is stopping") from None
        except (Declined, HandedOver):
            raise
        except Exception as error:  # its runner works on: this is no end of the release
            progress.mistakes += 1
            _log.exception("the gateway failed on %s", progress.row.id, extra=_where(ctx, "gateway_error"))
            if progress.mistakes > MOST_MISTAKES:
                raise Lost(f"the gateway failed, and the runner may still be working: {error!r}") from error
        return self._report(progress) if progress.row.status in ("ended", "reported") else None

    def _look(self, ctx: Context, progress: ReleaseProgress) -> None:
        self._reconcile(ctx, progress)
        row = progress.row
        if row.owner != self._rows.me or row.status == OVER:
            raise HandedOver("another gateway has this attempt")
        if row.status in ("ended", "reported"):
            return
        if ctx.stopping.is_set():
            if self._keep(progress, self._rows.hand_over(row)):
                raise HandedOver("the gateway is stopping")
        elif is_cancelling(row):
            self._watch_cancelled(progress)
        elif ctx.cancelled.is_set():
            self._cancel(ctx, progress)
        elif row.status == "waiting":
            self._find_runner(ctx, progress)
        elif progress.secret and not progress.sent:
            self._send(ctx, progress)
        else:
            self._watch(ctx, progress)

    def _reconcile(self, ctx: Context, progress: ReleaseProgress) -> None:
        """Its runner has it no more: this gateway took it back, or the runner handed it back."""
        held, row = progress.held, progress.row
        if held and held != row.runner:
            progress.held = progress.secret = ""
            self._sessions.release(held, row.id)
            ctx.output(f"[the runner {held} has it no more: {progress.why or 'it handed the release back'}]")
            progress.why = ""

    def _keep(self, progress: ReleaseProgress, changed: Release | None) -> bool:
        """Note a change of the row; where another was faster, read it again."""
        if changed is not None:
            progress.learn(changed)
            return True
        row = self._rows.get(progress.row.id)
        if row is None:
            raise HandedOver("the release was deleted")
        session = self._sessions.session(row.runner)
        progress.learn(row, session.generation if session else 0)
        return False

    # a runner for it

    def _find_runner(self, ctx: Context, progress: ReleaseProgress) -> None:
        if not progress.cleared and not self._clear(ctx, progress):
            return
        row = progress.row
        excluded = {*row.excluded, *progress.excluded}
        found = self._sessions.choose(row.id, progress.order.type, excluded)
        if found is not None:
            self._assign(ctx, progress, *found)
            return
        # a place was reserved before this step knew who had handed it back: another release may have that runner
        self._sessions.wait(row.id, progress.order.type)
        if self._time() - progress.waits_since >= NO_RUNNER:
            why = f"no connected runner that is free takes {progress.order.type}"
            if self._keep(progress, self._rows.over(row, why)):
                raise Declined(why)

    def _assign(self, ctx: Context, progress: ReleaseProgress, session: Session, kind: Type) -> None:
        row, about = progress.row, session.about
        progress.secret, progress.sent = progress.secret or tokens.make(), False
        digest = tokens.digest(progress.secret)
        try:
            done = self._keep(progress, self._rows.assign(row, about.name, about.since, digest, ctx.call.timeout))
        finally:
            if progress.row.runner == about.name:
                progress.held = about.name
            else:  # not stored, or not known to be
                self._sessions.release(about.name, row.id)
        if done:
            self._send(ctx, progress, kind)

    def _send(self, ctx: Context, progress: ReleaseProgress, kind: Type | None = None) -> None:
        """The assignment goes out once: the row has its token."""
        row = progress.row
        session = self._sessions.session(row.runner)
        kind = kind or (session.about.kind(progress.order.type) if session else None)
        progress.sent = True
        if row.token != tokens.digest(progress.secret) or session is None or kind is None:
            return  # the judge takes it back
        self._sessions.hold(row.runner, row.id, row.called is not None)
        progress.held, progress.sent_to = row.runner, session.generation
        session.send(_assignment(row, progress, kind))
        ctx.output(f"[the runner {row.runner} ({shown(session.about.peer)}) has it, as {kind}]")

    def _clear(self, ctx: Context, progress: ReleaseProgress) -> bool:
        """Earlier attempts of this step get no further: their tokens die, and one that runs is awaited."""
        rows = self._rows.of_step(progress.row)
        progress.excluded = frozenset(name for one in rows for name in one.excluded)
        running = []
        for row in rows:
            if _attempt(row) >= _attempt(progress.row) or row.status in ("ended", "reported", OVER):
                continue
            if row.called is None:
                self._rows.over(row, "a later attempt follows")
            elif row.end is None:
                self._rows.cancel(row, "a later attempt follows")
            running.append(row)
        if not running:
            progress.cleared = True
            return True
        now = self._time()
        if progress.clearing is None:
            progress.clearing = now
            names = ", ".join(sorted({row.runner for row in running if row.runner}))
            ctx.output(
                f"[an earlier attempt may still run at {names or 'a runner'}: up to {CANCEL_WAIT:g} s for its end]"
            )
        elif now - progress.clearing >= CANCEL_WAIT:
            for row in running:
                self._rows.end(row, "lost", "a later attempt follows; the runner may still be working")
        return False

    # what was seen of it

    def _watch(self, ctx: Context, progress: ReleaseProgress) -> None:
        row = progress.row
        conclusion = judge(progress.evidence(self._sessions, self._calm()), self._time())
        if conclusion is None:
            return
        if conclusion.kind == "take back":
            progress.why = conclusion.text
            self._keep(progress, self._rows.take_back(row))
        elif conclusion.kind in ("failed", "lost"):
            tail = progress.tail(self._redact)
            text = f"runner {row.runner}: {conclusion.text}" + (f"; its log ends: {tail}" if tail else "")
            self._keep(progress, self._rows.end(row, conclusion.kind, ctx.beginning(text, 4000)))

    def _cancel(self, ctx: Context, progress: ReleaseProgress) -> None:
        row = progress.row
        if row.called is None:
            self._keep(progress, self._rows.end(row, "cancelled", ctx.cancel_reason))
        elif self._keep(progress, self._rows.cancel(row, ctx.cancel_reason)):
            ctx.output(
                f"[{ctx.cancel_reason}: the protocol has no way to stop the runner {row.runner}, which may go on; its end is "
                f"awaited for {CANCEL_WAIT:g} s]"
            )

    def _watch_cancelled(self, progress: ReleaseProgress) -> None:
        row, reason = progress.row, (progress.row.end or {}).get("text", "cancelled")
        if row.late is not None:
            if row.late["outcome"] == "success":
                text = f"{reason}; the runner had deployed it all the same"
                self._keep(progress, self._rows.end(row, "completion", text, "success", row.late["plan"]))
            else:
                self._keep(
                    progress, self._rows.end(row, "cancelled", f"{reason}; the runner reports: {row.late['text']}")
                )
            return
        conclusion = judge(progress.evidence(self._sessions, self._calm()), self._time())
        if conclusion is not None and conclusion.kind in ("lost", "cancelled"):
            self._keep(
                progress, self._rows.end(row, conclusion.kind, f"{reason}; runner {row.runner}: {conclusion.text}")
            )

    # the end

    def _report(self, progress: ReleaseProgress) -> Mapping[str, Any] | None:
        """What the row says; None where the end of the log is awaited first."""
        row = progress.row
        end = row.end or {}
        text = end.get("text", "")
        if row.late is not None and end.get("kind") in ("failed", "lost"):
            # it was refused, and yet it is what happened; an operator may be asked about this step just now
            end, text = row.late, f"{row.late['text'] or 'it came late'}; before: {text}"
        kind = end.get("kind")
        if kind == "lost":
            raise Lost(text)
        if kind == "cancelled":
            raise Cancelled(text)
        if kind == "completion" and self._log_goes_on(progress):
            return None
        result = {"outcome": end.get("outcome") or "failure", "runner": row.runner}
        if kind != "completion" or end.get("outcome") != "success":
            raise Failed(text or "the runner reports a failure and gives no reason", result)
        if progress.order.mode == "plan":
            plan = end.get("plan")
            result["plan"] = progress.log() if plan is None else plan
        return {**result, "note": text} if text else result

    def _log_goes_on(self, progress: ReleaseProgress) -> bool:
        """Its last lines may still come: a completion overtakes them, and a step that has ended shows none."""
        over = progress.half_closed is not None and not progress.logs
        return not over and self._time() - (progress.ended or 0.0) < LOG_END

    def _print(self, ctx: Context, progress: ReleaseProgress) -> None:
        lines = progress.take_lines()
        if lines:  # at once: where the bus is away, each call may wait
            ctx.output("\n".join(lines) + ("" if lines[-1] else "\n"))

    def _leave(self, ctx: Context, progress: ReleaseProgress) -> None:
        """The step ends here."""
        self._print(ctx, progress)
        row = progress.row
        kind = (row.end or {}).get("kind")
        lingers = row.called is not None and (row.status in ("running", OVER) or kind in ("lost", "failed"))
        if progress.held:
            self._sessions.release(progress.held, row.id, lingers)
        self._sessions.forget_reservations(row.id)
        self._sessions.stop_waiting(row.id)

    def _away(self, ctx: Context, error: Exception) -> None:
        _log.debug("%s waits for the store: %s", ctx.attempt_id, error, extra=_where(ctx, "store_away"))


def _attempt(row: Release) -> int:
    return int(row.id.rpartition("/")[2])


def _where(ctx: Context, action: str) -> dict[str, Any]:
    return {"action": action, "deployment_id": ctx.deployment, "step": ctx.step}


def _assignment(row: Release, progress: ReleaseProgress, kind: Type) -> pb.ServerMessage:
    order, to = progress.order, progress.order.destination
    capability = pb.DestinationCapability(organisation=kind.organisation, name=kind.name, version=kind.version)
    destination = pb.DestinationInfo(
        name=to["name"],
        environment=to["environment"],
        metadata=to.get("metadata") or {},
        type=capability,
        organisation=order.organisation,
    )
    return pb.ServerMessage(
        work_assignment=pb.WorkAssignment(
            release_token=progress.secret,
            release_id=row.id,
            release_intent_id=row.deployment,
            artifact_id=str(row.document.get("artifact_id", "")),
            destination_id=f"{to['environment']}/{to['name']}",
            destination=destination,
            mode=MODES[order.mode],
        )
    )
