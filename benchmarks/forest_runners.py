"""Many runners in one process: `python -m benchmarks.forest_runners '{"address": …, "runners": 300, "seconds": 0.04}'`.

Prints `connected` when all are registered, and for each line on its input what CompleteRelease took since the last one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from re_gateways.forest import runner_pb2 as pb
from tests.forest.async_runner import Fetched, Outcome, Runner, Say


class Crowd:
    """The runners, and what they heard."""

    def __init__(self, address: str, runners: int, seconds: float) -> None:
        """`seconds`: how long a release takes."""
        self._seconds = seconds
        self._registered = 0
        self._all = asyncio.Event()
        self._wanted = runners
        self._took: list[float] = []
        self._told = dict.fromkeys(("assigned", "fetched", "ok success", "gone"), 0)
        self._dropped = 0
        self._runners = [Runner(address, f"runner-{number}", self._work, self._note) for number in range(runners)]

    async def run(self) -> None:
        """Until the input ends."""
        tasks = [asyncio.create_task(runner.run()) for runner in self._runners]
        await self._all.wait()
        print("connected", flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(self._report()), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, given: pb.WorkAssignment, fetched: Fetched, say: Say) -> Outcome:
        assert fetched.files, "a release without files"
        for number in range(5):
            await say("stdout", f"line {number} of {given.release_id}")
        await asyncio.sleep(self._seconds)
        return Outcome()

    def _note(self, what: str, release: str, seconds: float) -> None:
        if what == "registered":
            self._registered += 1
            if self._registered >= self._wanted:
                self._all.set()
        elif what in self._told:
            self._told[what] += 1
            if what == "ok success":
                self._took.append(seconds * 1000)
        elif what.startswith("dropped"):
            self._dropped += 1

    def _report(self) -> dict[str, Any]:
        took, self._took = sorted(self._took), []
        found = {"completions_ms": took, "dropped": self._dropped, **self._told}
        self._told, self._dropped = dict.fromkeys(self._told, 0), 0
        return found


if __name__ == "__main__":
    asyncio.run(Crowd(**json.loads(sys.argv[1])).run())
