"""The steps of simulated workers, and the place where they do their work. Must not know queues or the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from re_workers.context import Context
from re_workers.notify.handler import Notice
from re_workers.outcomes import Declined, Failed, HandedOver, Lost
from re_workers.sdk import Worker, step
from tests.simulation.following import Following

if TYPE_CHECKING:
    from re_workers.attempt import Attempt
    from tests.simulation.worker import WorkerProcess

#: milliseconds after which a step looks again whether its frozen process goes on
LOOK = 500


class Under:
    """A step that takes its time."""

    def __init__(self, attempt: Attempt, work: Callable[[], None]) -> None:
        self.attempt = attempt
        self._work = work
        self.done = False

    @property
    def stopped(self) -> bool:
        """The core or the host has asked it to stop or to leave, and it listens."""
        ctx = self.attempt.context
        return ctx.stopping.is_set() or (ctx.cancelled.is_set() and not self.attempt.arguments.get("stubborn"))

    def finish(self) -> None:
        """It ends, however it ends."""
        if not self.done:
            self.done = True
            self._work()


class Site:
    """Where one worker process does its steps."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        #: key and token of the attempt -> its work
        self._under_way: dict[tuple[str, str], Under] = {}
        #: key of the attempt -> what follows its run
        self._followed: dict[str, Following] = {}

    def spawn(self, work: Callable[[], None]) -> None:
        """See re_workers.runs.Spawn: a step that is not quick begins."""
        attempt = next(one for one in self._process.attempts() if (one.key, one.token) not in self._under_way)
        under = self._under_way[attempt.key, attempt.token] = Under(attempt, work)
        if attempt.recorded:
            self._follow(under)
            return
        takes = self._begin(attempt)
        self._process.world.ledger.go_on(attempt.call.attempt_id, self._process.name)
        self._process.world.after(takes, lambda: self._end(under))

    def _follow(self, under: Under) -> None:
        """What runs elsewhere, and is recorded there."""
        attempt, ledger = under.attempt, self._process.world.ledger
        if attempt.context.resumed:
            ledger.resume(attempt.call.attempt_id, self._process.name, attempt.moves)
        ledger.go_on(attempt.call.attempt_id, self._process.name)
        following = self._followed[attempt.key] = Following(self._process, under)
        self._process.world.after(0, following.visit)

    def tell_recorded(self, ctx: Context) -> None:
        """How it ended. Raises what its follower has found."""
        end = self._followed.pop(ctx.attempt_id).end
        if end is not None:
            raise end

    def _begin(self, attempt: Attempt) -> int:
        """Milliseconds until it ends."""
        world, id, takes = self._process.world, attempt.call.attempt_id, int(attempt.arguments.get("takes", 0))
        if attempt.context.resumed:
            world.ledger.resume(id, self._process.name, attempt.moves)
            return max(0, world.remote.find(id).ends_at - world.time.now)
        if attempt.call.command == Away.command and not self.begin_remote(attempt.context, takes):
            return 0
        if attempt.arguments.get("declines", 0) < attempt.call.attempt:
            world.ledger.begin(id, self._process.name)
        return takes

    def begin_remote(self, ctx: Context, takes: int) -> bool:
        """What outlives the process begins; False where it has begun before."""
        return self._process.world.remote.begin(ctx.attempt_id, ctx.saved(), self._process.name, takes)

    def end_remote(self, ctx: Context) -> None:
        """It has ended, unless that is another process's to say. Raises HandedOver, Cancelled."""
        run = self._process.world.remote.find(ctx.attempt_id)
        if run.owner != self._process.name or run.saved != ctx.saved():
            raise HandedOver("another process has it")
        if run.ended:
            return
        if ctx.stopping.is_set():
            run.owner = ""
            raise HandedOver("its process stops")
        ctx.check()
        run.ended = True
        self.complete(ctx)

    def refuse_remote(self, attempt: str) -> None:
        """The core does not want to hear of it."""
        self._process.world.remote.find(attempt).over = True

    def look(self) -> None:
        """Those that were told to stop do; those whose end was told are forgotten."""
        running = {(one.key, one.token) for one in self._process.attempts()}
        self._under_way = {which: under for which, under in self._under_way.items() if which in running}
        for under in list(self._under_way.values()):
            if under.stopped and not under.attempt.recorded:
                self._end(under)

    def begin_quick(self, ctx: Context) -> None:
        """A step that is over at once begins."""
        self._process.world.ledger.begin(ctx.attempt_id, self._process.name)

    def complete(self, ctx: Context) -> None:
        """It did what it should."""
        self._process.world.ledger.completed[ctx.attempt_id] += 1

    def lose(self, ctx: Context) -> None:
        """Its worker says that it does not know."""
        self._process.world.ledger.lost.add(ctx.attempt_id)

    def _end(self, under: Under) -> None:
        if under.done or not self._process.alive:
            return
        if self._process.frozen:
            self._process.world.after(LOOK, lambda: self._end(under))
            return
        self._process.world.ledger.end(under.attempt.call.attempt_id, self._process.name)
        under.finish()


class Job(Worker):
    """Steps that do nothing but be counted."""

    command = "job"

    def __init__(self, site: Site) -> None:
        self._site = site

    @step(quick=True)
    def Quick(self, ctx: Context, fails: int = 0) -> None:
        """Over at once. The first `fails` attempts fail."""
        self._site.begin_quick(ctx)
        self._end(ctx, fails)

    @step
    def Do(self, ctx: Context, takes: int = 0, fails: int = 0, stubborn: bool = False) -> None:
        """Takes that many milliseconds; a stubborn one does not stop when it is told to."""
        if not stubborn:
            ctx.check()
        self._end(ctx, fails)

    @step
    def Lose(self, ctx: Context, takes: int = 0, loses: int = 0) -> None:
        """Takes that many milliseconds; the first `loses` attempts lose contact with what they started."""
        if ctx.attempt <= loses:
            self._site.lose(ctx)
            raise Lost("out of sight")
        self._end(ctx, 0)

    @step
    def Decline(self, ctx: Context, takes: int = 0, declines: int = 0) -> None:
        """Takes that many milliseconds; the first `declines` attempts have begun nothing by then."""
        if ctx.attempt <= declines:
            raise Declined("no room")
        self._end(ctx, 0)

    @step
    def Try(self, ctx: Context, release_version: str, who: str = "", takes: int = 0) -> None:
        """Takes that many milliseconds; fails for a version that names `who` among those that do not get along with it."""
        ctx.check()
        self._end(ctx, ctx.attempt if who in release_version.split("-")[1:] else 0)

    def _end(self, ctx: Context, fails: int) -> None:
        ctx.output(f"step {ctx.step} attempt {ctx.attempt}")
        if ctx.attempt <= fails:
            raise Failed("broken")
        self._site.complete(ctx)


class Other(Job):
    """The same steps under another command, which not every worker has."""

    command = "other"


class Away(Worker):
    """Steps whose work goes on without the process that began them."""

    command = "away"
    outlives = True

    def __init__(self, site: Site) -> None:
        self._site = site

    @step
    def Run(self, ctx: Context, takes: int = 0) -> None:
        """Ends after that many milliseconds, whatever becomes of the process."""
        self._site.end_remote(ctx)

    def refused(self, attempt_id: str) -> None:
        self._site.refuse_remote(attempt_id)


class Recorded(Worker):
    """Steps that are recorded on a host."""

    command = "host"

    def __init__(self, site: Site) -> None:
        self._site = site

    @step(recorded=True)
    def Run(self, ctx: Context, takes: int = 0, fails: int = 0) -> None:
        """Ends after that many milliseconds, whatever becomes of the process; the first `fails` attempts fail."""
        self._site.tell_recorded(ctx)


class NotificationCounter:
    """See re_workers.notify.handler.Handler."""

    transport = "console"

    def __init__(self, process: WorkerProcess) -> None:
        self._ledger = process.world.ledger

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """People hear of it."""
        self._ledger.told[notification_id] += 1

    def close(self) -> None:
        """Nothing to let go of."""
