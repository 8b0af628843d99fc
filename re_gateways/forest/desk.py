"""Carries a release out, on the thread of its step: finds a runner, gives it the release, watches, and says how it ended.

What a step says of its end is what its row says: every end is stored first, by a compare-and-swap that a completion may win
(ledger.py). While the store is away nothing is concluded. Must not know streams, nor how the engine hears of the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from re_core.errors import BadDocument, NotFound, StoreRefused, StoreUnavailable
from re_core.rows import OVER, Release
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest import tokens
from re_gateways.forest.admission import shown
from re_gateways.forest.case import Case, Cases, Order
from re_gateways.forest.fleet import Fleet, Session
from re_gateways.forest.judge import CANCEL_WAIT, judge
from re_gateways.forest.ledger import Ledger, is_cancelling
from re_gateways.forest.parcels import Parcels
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


class Desk:
    """One per gateway; any number of threads."""

    def __init__(
        self,
        ledger: Ledger,
        fleet: Fleet,
        cases: Cases,
        parcels: Parcels,
        note_use: Callable[[str, str, str], object],
        time: Callable[[], float],
        calm: Callable[[], float],
        tick: float = 0.5,
    ) -> None:
        """`note_use`: a step of that group begins that names that artifact, in that deployment. `time`: seconds of a steady
        clock; `calm`: since when this process has not paused and its beats are stored. `tick`: seconds between two looks at a
        release of which nothing is heard.
        """
        self._ledger, self._fleet, self._cases, self._parcels = ledger, fleet, cases, parcels
        self._note_use, self._time, self._calm, self._tick = note_use, time, calm, tick

    def carry_out(self, ctx: Context, order: Order) -> Mapping[str, Any]:
        """Until the release has ended; the step's result. Raises what ends a step otherwise."""
        ctx.heeds_cancel()
        case = self._open(ctx, order)
        self._cases.add(case)
        try:
            while True:
                self._print(ctx, case)
                result = self._advance(ctx, case)
                if result is not None:
                    return result
                case.wake.wait(self._tick)
                case.wake.clear()
        finally:
            self._cases.remove(case)
            self._leave(ctx, case)

    # begin

    def _open(self, ctx: Context, order: Order) -> Case:
        document: dict[str, Any] | None = None
        fresh: Release | None = None
        while True:
            try:
                if ctx.resumed:
                    return self._resumed(ctx, order)
                document = document or self._checked(ctx, order)
                fresh = fresh or self._ledger.fresh(ctx.attempt_id, ctx.saved(), document)
                if not self._ledger.insert(fresh):
                    raise HandedOver("another gateway has this attempt")
                return Case(fresh, order, self._time)
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
            artifact = self._parcels.check(ctx.group, order.artifact, environment)
        except (NotFound, BadDocument) as error:
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

    def _resumed(self, ctx: Context, order: Order) -> Case:
        row = self._ledger.get(ctx.attempt_id)
        if row is None or row.owner != self._ledger.me or row.status == OVER:
            raise HandedOver("another gateway has this attempt")
        if row.runner and row.status in ("assigned", "running"):
            self._fleet.hold(row.runner, row.id, row.called is not None)
        case = Case(row, order, self._time)
        case.held = row.runner
        return case

    # one look

    def _advance(self, ctx: Context, case: Case) -> Mapping[str, Any] | None:
        """Do what is to be done now; the result at the end."""
        try:
            self._look(ctx, case)
        except (StoreUnavailable, StoreRefused) as error:
            self._away(ctx, error)
            if ctx.stopping.is_set():
                raise HandedOver("the gateway is stopping") from None
        except (Declined, HandedOver):
            raise
        except Exception as error:  # its runner works on: this is no end of the release
            case.mistakes += 1
            _log.exception("the gateway failed on %s", case.row.id, extra=_where(ctx, "gateway_error"))
            if case.mistakes > MOST_MISTAKES:
                raise Lost(f"the gateway failed, and the runner may still be working: {error!r}") from error
        return self._report(case) if case.row.status in ("ended", "reported") else None

    def _look(self, ctx: Context, case: Case) -> None:
        self._reconcile(ctx, case)
        row = case.row
        if row.owner != self._ledger.me or row.status == OVER:
            raise HandedOver("another gateway has this attempt")
        if row.status in ("ended", "reported"):
            return
        if ctx.stopping.is_set():
            if self._keep(case, self._ledger.hand_over(row)):
                raise HandedOver("the gateway is stopping")
        elif is_cancelling(row):
            self._watch_cancelled(case)
        elif ctx.cancelled.is_set():
            self._cancel(ctx, case)
        elif row.status == "waiting":
            self._find_runner(ctx, case)
        elif case.secret and not case.sent:
            self._send(ctx, case)
        else:
            self._watch(ctx, case)

    def _reconcile(self, ctx: Context, case: Case) -> None:
        """Its runner has it no more: this gateway took it back, or the runner handed it back."""
        held, row = case.held, case.row
        if held and held != row.runner:
            case.held = case.secret = ""
            self._fleet.release(held, row.id)
            ctx.output(f"[the runner {held} has it no more: {case.why or 'it handed the release back'}]")
            case.why = ""

    def _keep(self, case: Case, changed: Release | None) -> bool:
        """Note a change of the row; where another was faster, read it again."""
        if changed is not None:
            case.learn(changed)
            return True
        row = self._ledger.get(case.row.id)
        if row is None:
            raise HandedOver("the release was deleted")
        session = self._fleet.session(row.runner)
        case.learn(row, session.generation if session else 0)
        return False

    # a runner for it

    def _find_runner(self, ctx: Context, case: Case) -> None:
        if not case.cleared and not self._clear(ctx, case):
            return
        row = case.row
        excluded = {*row.excluded, *case.excluded}
        found = self._fleet.choose(row.id, case.order.type, excluded)
        if found is not None:
            self._assign(ctx, case, *found)
        elif self._time() - case.waits_since >= NO_RUNNER:
            why = f"no connected runner that is free takes {case.order.type}"
            if self._keep(case, self._ledger.over(row, why)):
                raise Declined(why)

    def _assign(self, ctx: Context, case: Case, session: Session, kind: Type) -> None:
        row, about = case.row, session.about
        case.secret, case.sent = case.secret or tokens.make(), False
        digest = tokens.digest(case.secret)
        try:
            done = self._keep(case, self._ledger.assign(row, about.name, about.since, digest, ctx.call.timeout))
        finally:
            if case.row.runner == about.name:
                case.held = about.name
            else:  # not stored, or not known to be
                self._fleet.release(about.name, row.id)
        if done:
            self._send(ctx, case, kind)

    def _send(self, ctx: Context, case: Case, kind: Type | None = None) -> None:
        """The assignment goes out once: the row has its token."""
        row = case.row
        session = self._fleet.session(row.runner)
        kind = kind or (session.about.kind(case.order.type) if session else None)
        case.sent = True
        if row.token != tokens.digest(case.secret) or session is None or kind is None:
            return  # the judge takes it back
        self._fleet.hold(row.runner, row.id, row.called is not None)
        case.held, case.sent_to = row.runner, session.generation
        session.send(_assignment(row, case, kind))
        ctx.output(f"[the runner {row.runner} ({shown(session.about.peer)}) has it, as {kind}]")

    def _clear(self, ctx: Context, case: Case) -> bool:
        """Earlier attempts of this step get no further: their tokens die, and one that runs is awaited."""
        rows = self._ledger.of_step(case.row)
        case.excluded = frozenset(name for one in rows for name in one.excluded)
        running = []
        for row in rows:
            if _attempt(row) >= _attempt(case.row) or row.status in ("ended", "reported", OVER):
                continue
            if row.called is None:
                self._ledger.over(row, "a later attempt follows")
            elif row.end is None:
                self._ledger.cancel(row, "a later attempt follows")
            running.append(row)
        if not running:
            case.cleared = True
            return True
        now = self._time()
        if case.clearing is None:
            case.clearing = now
            names = ", ".join(sorted({row.runner for row in running if row.runner}))
            ctx.output(
                f"[an earlier attempt may still run at {names or 'a runner'}: up to {CANCEL_WAIT:g} s for its end]"
            )
        elif now - case.clearing >= CANCEL_WAIT:
            for row in running:
                self._ledger.end(row, "lost", "a later attempt follows; the runner may still be working")
        return False

    # what was seen of it

    def _watch(self, ctx: Context, case: Case) -> None:
        row = case.row
        verdict = judge(case.evidence(self._fleet, self._calm()), self._time())
        if verdict is None:
            return
        if verdict.kind == "take back":
            case.why = verdict.text
            self._keep(case, self._ledger.take_back(row))
        elif verdict.kind in ("failed", "lost"):
            tail = case.tail()
            text = f"runner {row.runner}: {verdict.text}" + (f"; its log ends: {tail}" if tail else "")
            self._keep(case, self._ledger.end(row, verdict.kind, ctx.beginning(text, 4000)))

    def _cancel(self, ctx: Context, case: Case) -> None:
        row = case.row
        if row.called is None:
            self._keep(case, self._ledger.end(row, "cancelled", ctx.cancel_reason))
        elif self._keep(case, self._ledger.cancel(row, ctx.cancel_reason)):
            ctx.output(
                f"[{ctx.cancel_reason}: the protocol has no way to stop the runner {row.runner}, which may go on; its end is "
                f"awaited for {CANCEL_WAIT:g} s]"
            )

    def _watch_cancelled(self, case: Case) -> None:
        row, reason = case.row, (case.row.end or {}).get("text", "cancelled")
        if row.late is not None:
            if row.late["outcome"] == "success":
                text = f"{reason}; the runner had deployed it all the same"
                self._keep(case, self._ledger.end(row, "completion", text, "success", row.late["plan"]))
            else:
                self._keep(
                    case, self._ledger.end(row, "cancelled", f"{reason}; the runner reports: {row.late['text']}")
                )
            return
        verdict = judge(case.evidence(self._fleet, self._calm()), self._time())
        if verdict is not None and verdict.kind in ("lost", "cancelled"):
            self._keep(case, self._ledger.end(row, verdict.kind, f"{reason}; runner {row.runner}: {verdict.text}"))

    # the end

    def _report(self, case: Case) -> Mapping[str, Any] | None:
        """What the row says; None where the end of the log is awaited first."""
        row = case.row
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
        if kind == "completion" and self._log_goes_on(case):
            return None
        result = {"outcome": end.get("outcome") or "failure", "runner": row.runner}
        if kind != "completion" or end.get("outcome") != "success":
            raise Failed(text or "the runner reports a failure without a word", result)
        if case.order.mode == "plan":
            plan = end.get("plan")
            result["plan"] = case.log() if plan is None else plan
        return {**result, "note": text} if text else result

    def _log_goes_on(self, case: Case) -> bool:
        """Its last lines may still come: a completion overtakes them, and a step that has ended shows none."""
        over = case.half_closed is not None and not case.logs
        return not over and self._time() - (case.ended or 0.0) < LOG_END

    def _print(self, ctx: Context, case: Case) -> None:
        lines = case.take_lines()
        if lines:  # at once: where the bus is away, each call may wait
            ctx.output("\n".join(lines) + ("" if lines[-1] else "\n"))

    def _leave(self, ctx: Context, case: Case) -> None:
        """The step ends here."""
        self._print(ctx, case)
        row = case.row
        kind = (row.end or {}).get("kind")
        lingers = row.called is not None and (row.status in ("running", OVER) or kind in ("lost", "failed"))
        if case.held:
            self._fleet.release(case.held, row.id, lingers)
        self._fleet.forget_reservations(row.id)

    def _away(self, ctx: Context, error: Exception) -> None:
        _log.debug("%s waits for the store: %s", ctx.attempt_id, error, extra=_where(ctx, "store_away"))


def _attempt(row: Release) -> int:
    return int(row.id.rpartition("/")[2])


def _where(ctx: Context, action: str) -> dict[str, Any]:
    return {"action": action, "deployment_id": ctx.deployment, "step": ctx.step}


def _assignment(row: Release, case: Case, kind: Type) -> pb.ServerMessage:
    order, to = case.order, case.order.destination
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
            release_token=case.secret,
            release_id=row.id,
            release_intent_id=row.deployment,
            artifact_id=str(row.document.get("artifact_id", "")),
            destination_id=f"{to['environment']}/{to['name']}",
            destination=destination,
            mode=MODES[order.mode],
        )
    )
