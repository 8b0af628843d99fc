"""The worker of the chaos tests, as a user writes one: every step writes down on disk that it begins and that it ends.

`re-worker ledger` loads it with RE_WORKERS_DIR. CHAOS_LEDGER names the file that all processes append to.
"""

import os
import time
from pathlib import Path

from re_workers import Context, Failed, Worker, step

#: seconds between two looks for the file that a step waits for
LOOK = 0.02


class Ledger(Worker):
    """Steps that may be repeated, and steps that may not."""

    @step
    def Once(self, ctx: Context, seconds: float = 0.0) -> None:
        """May not be repeated."""
        _run(ctx, seconds)

    @step(quick=True)
    def Quick(self, ctx: Context) -> None:
        """May not be repeated, and is over at once."""
        _run(ctx, 0)

    @step(idempotent=True)
    def Again(self, ctx: Context, seconds: float = 0.0) -> None:
        """May be repeated when it was lost."""
        _run(ctx, seconds)

    @step(retries=2)
    def Stubborn(self, ctx: Context, seconds: float = 0.0, failures: int = 0) -> None:
        """May be repeated when it failed or was lost; fails in its first attempts."""
        _run(ctx, seconds, fails=ctx.attempt <= failures)

    @step
    def Fails(self, ctx: Context) -> None:
        """May not be repeated, and fails."""
        _run(ctx, 0, fails=True)

    @step
    def Waits(self, ctx: Context, file: str) -> None:
        """May not be repeated, and hangs until the file is there, as far as nobody cancels it."""
        _write("begin", ctx)
        while not Path(file).exists():
            ctx.wait(LOOK)
        _write("completed", ctx)


def _run(ctx: Context, seconds: float, fails: bool = False) -> None:
    _write("begin", ctx)
    ctx.output(f"begin {ctx.attempt_id}")
    if seconds:
        ctx.wait(seconds)
    _write("failed" if fails else "completed", ctx)
    if fails:
        raise Failed("as it was asked to")


def _write(what: str, ctx: Context) -> None:
    """One line in one write: `<what> <attempt> <pid> <seconds of the monotonic clock>`."""
    line = f"{what} {ctx.attempt_id} {os.getpid()} {time.monotonic():.6f}\n"
    file = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)
