"""Steps that are coroutines."""

from __future__ import annotations

import asyncio
import threading

import pytest

from re_workers import Cancelled, Context, Failed, Worker, step
from re_workers.cancellation import Cancellation
from re_workers.context import Call
from re_workers.outgoing import Origin, Outgoing
from re_workers.perform import perform
from re_workers.testing import run


class Async(Worker):
    def __init__(self) -> None:
        self.began = threading.Event()
        self.cleaned = False

    @step
    async def Add(self, ctx: Context, left: int, right: int) -> int:
        await asyncio.sleep(0)
        return left + right

    @step
    async def Fail(self, ctx: Context) -> None:
        raise Failed("no", {"why": 1})

    @step
    async def Sleep(self, ctx: Context) -> None:
        self.began.set()
        try:
            await asyncio.sleep(600)
        finally:
            self.cleaned = True

    @step
    async def Care(self, ctx: Context) -> None:
        self.began.set()
        await ctx.cancelled
        await asyncio.sleep(0)
        raise Cancelled("stopped tidily", {"done": 3})

    @step
    async def Block(self, ctx: Context) -> None:
        ctx.host.run("true")


def _beside(worker: Async, name: str) -> tuple[Context, threading.Thread, list[object]]:
    found = worker.find(name)
    assert found is not None
    call = Call("d/0/1", "d", 0, 1, "async", name, "test", (), {}, None)
    ctx = Context(call, Outgoing(Origin("d", 0, "d/0/1")))
    outcomes: list[object] = []
    thread = threading.Thread(target=lambda: outcomes.append(perform(worker, found, ctx, {})), daemon=True)
    ctx.cancelled.clear()
    thread.start()
    assert worker.began.wait(20)
    return ctx, thread, outcomes


def test_a_coroutine_is_a_step_like_any_other() -> None:
    assert run(Async(), "async:Add", {"left": 2, "right": 3}).data == 5
    failed = run(Async(), "async:Fail")
    assert (failed.status, failed.message, failed.data) == ("failed", "no", {"why": 1})


def test_a_cancel_ends_what_it_awaits() -> None:
    worker = Async()
    ctx, thread, outcomes = _beside(worker, "Sleep")
    ctx.cancel("timed out after 5 s")
    thread.join(20)
    assert outcomes == [("failed", None, "timed out after 5 s")]
    assert worker.cleaned


def test_one_that_awaits_its_cancel_ends_as_it_likes() -> None:
    ctx, thread, outcomes = _beside(Async(), "Care")
    ctx.cancel()
    thread.join(20)
    assert outcomes == [("failed", {"done": 3}, "stopped tidily")]


def test_a_run_on_a_host_would_stop_all_coroutines_and_is_refused() -> None:
    assert "asyncio.to_thread(ctx.host.run" in str(run(Async(), "async:Block").message)


def test_a_cancel_that_is_set_is_awaited_no_longer() -> None:
    async def wait() -> None:
        cancelled = Cancellation()
        cancelled.set()
        await cancelled

    asyncio.run(asyncio.wait_for(wait(), 20))


@pytest.mark.parametrize("mistake", ["quick", "generator"])
def test_what_cannot_be_a_step_is_refused_when_the_class_is_made(mistake: str) -> None:
    with pytest.raises(TypeError, match="quick" if mistake == "quick" else "yield"):
        if mistake == "quick":

            class Quick(Worker):
                @step(quick=True)
                async def Now(self, ctx: Context) -> None:
                    pass

        else:

            class Many(Worker):
                @step
                def Each(self, ctx: Context) -> object:
                    yield 1
