"""Run: one command in the environment of the current version, in the first zone. Must not know releases."""

from __future__ import annotations

from re_core.apps import events as e
from re_core.apps.state import State
from re_core.apps.values import Run
from re_dploy import wire
from re_dploy.center.calls import ZoneAway
from re_dploy.center.looking import Looking, refused
from re_dploy.center.orders import run_order
from re_dploy.center.tools import Talk, Tools
from re_dploy.wire.names import MAX_LINES
from re_workers.outcomes import Failed

#: exit code where it is not known how a command ended
UNKNOWN = 255

#: reports that are read in one look while each has many lines, so that a command that prints much is not read too late
PIECES, MANY = 10, MAX_LINES // 2


class Running(Looking):
    """See the module. The zone begins it at most once, whatever is repeated: its order's id is the deployment's."""

    def __init__(self, tools: Tools, talk: Talk, app: str, n: int) -> None:
        super().__init__(tools, talk, app, 0)
        self._n = n
        self._after = 0
        self._given = False
        #: version of which it was said that the zone has still to follow
        self._waits_for = 0
        #: the exit code, once it has ended
        self.code: int | None = None

    def look(self) -> bool:
        """See Looking."""
        state = self.tools.reader.fresh(self._app)
        run = state.runs.get(self._n)
        if run is None or run.job != self.talk.deployment:
            raise Failed(f"this deployment does not carry out run {self._n} of any app; nothing was done")
        if run.ended:
            self.code = UNKNOWN if run.code is None else run.code
            return True
        order = run_order(self.talk.deployment, run.zone)
        for _ in range(PIECES):
            seen = self.seen(self.zone(run.zone), state.name, order, self._after)
            if seen is None:
                return False
            if seen.order is None:
                if self._follows(state, run, 0 if seen.app is None else seen.app.version):
                    self._begin(state, run, order)
                return False
            if self._read(run, seen.order):
                return True
            if len(seen.order.lines) < MANY:
                return False
        return False

    def stop(self) -> None:
        """Ask the zone to end it; its end is awaited as before. Raises TransientError."""
        state = self.tools.reader.fresh(self._app)
        run = state.runs.get(self._n)
        if run is not None and run.job == self.talk.deployment and not run.ended and run.zone in self.tools.zones:
            self.zone(run.zone).control(wire.Control("stop-run", state.name, epoch=state.epoch, n=self._n))

    def _follows(self, state: State, run: Run, version: int) -> bool:
        """Whether the zone runs the current version: a command meant for that has no other one's code and config."""
        if version == state.current or self._given:
            return True
        if self._waits_for != state.current:
            self._waits_for = state.current
            self.line(
                f"waits until {run.zone} runs v{state.current}: it runs {f'v{version}' if version else 'nothing'}"
            )
        return False

    def _begin(self, state: State, run: Run, order: str) -> None:
        if self._given:
            raise Failed(f"{run.zone} does not know the command any more; whether it finished is unknown")
        control = wire.Control("run", state.name, order, state.epoch, self._n, run.command)
        try:
            answer = self.zone(run.zone).control(control)
        except ZoneAway as error:
            self.silent(run.zone, error)
            return
        if answer.refused and self.is_late(answer):
            return  # it is asked for once more
        if answer.refused:
            raise refused(run.zone, answer, state.epoch)
        self._given = True

    def _read(self, run: Run, report: wire.OrderReport) -> bool:
        self._given = True
        for line in report.lines:
            self.talk.output(f"{line}\n")
        self._after = max(self._after, report.next)
        if report.state not in wire.OVER:
            return False
        code = report.code if report.code is not None else UNKNOWN
        if report.code is None and report.why:
            self.line(f"{run.zone}: {report.why}")
        said = self.say(e.Ran(self._n, self.talk.deployment, code))
        if not said.accepted and said.reason != "over":
            raise Failed(said.detail or said.reason)
        self.code = code
        return True
