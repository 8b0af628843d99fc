"""How soon a person sees what a forest runner prints: from the moment at which it pushes a line until `rectl watch` shows it.

With the shipped programs: `rectl up`, and two watchers of one deployment, on a terminal, where frames are redrawn, and into a pipe.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import random
import selectors
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import httpx2

from re_gateways.forest import runner_pb2 as pb
from tests.forest.async_runner import Fetched, Outcome, Runner, Say

#: seconds after which something is wrong
STUCK = 30.0

#: seconds between two lines: from, to; neither a round number of frames nor of the engine's waits
PAUSE = (0.3, 1.5)

#: rows and columns of the terminal
SIZE = (40, 120)

#: the line for which both watchers are awaited at first
READY = "line ready"


class Speaker:
    """A runner on a thread of its own that prints the lines that it is given, of one release."""

    def __init__(self, address: str) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        #: seconds of the monotonic clock at which each was pushed
        self.said: dict[str, float] = {}
        self.registered = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._runner = Runner(address, "runner-0", self._work, self._note)
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Speaker:
        self._thread.start()
        if not self.registered.wait(STUCK):
            sys.exit("the runner could not register")
        return self

    def __exit__(self, *_: object) -> None:
        self.say("")
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join()

    def say(self, line: str) -> None:
        """Print that; an empty one is the end of the release."""
        self._lines.put(line)

    def _run(self) -> None:
        async def run() -> None:
            self._task = asyncio.ensure_future(self._runner.run())
            await asyncio.gather(self._task, return_exceptions=True)

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(run())

    async def _work(self, given: pb.WorkAssignment, fetched: Fetched, say: Say) -> Outcome:
        while line := await self._loop.run_in_executor(None, self._lines.get):
            self.said[line] = time.monotonic()
            await say("stdout", line)
        return Outcome()

    def _note(self, what: str, release: str, seconds: float) -> None:
        if what == "registered":
            self.registered.set()


class View(NamedTuple):
    """What one watcher writes."""

    name: str
    file: int
    #: the end of all that was read
    text: bytearray


def measure(url: str, directory: Path, address: str, token: str, playbook: str, lines: int) -> dict[str, Any]:
    """Median and longest, in milliseconds, of so many lines: {"terminal", "pipe"}. `directory`: that of the running engine."""
    with ExitStack() as stack:
        speaker = stack.enter_context(Speaker(address))
        with httpx2.Client(trust_env=False, timeout=STUCK, headers={"Authorization": f"Bearer {token}"}) as http:
            body = {"group": "bench", "playbook_id": playbook}
            id = http.post(f"{url}/api/v1/deployments", json=body).raise_for_status().json()["id"]
        views = [stack.enter_context(_watcher(name, directory, id)) for name in ("terminal", "pipe")]
        speaker.say(READY)
        _seen(views, READY)
        took: dict[str, list[float]] = {view.name: [] for view in views}
        for number in range(lines):
            time.sleep(random.uniform(*PAUSE))  # at any moment of a frame
            line = f"line {number} of {lines}"
            speaker.say(line)
            for name, at in _seen(views, line).items():
                took[name].append((at - speaker.said[line]) * 1000)
        speaker.say("")
    return {
        "lines": lines,
        **{name: {"p50_ms": sorted(found)[lines // 2], "max_ms": max(found)} for name, found in took.items()},
    }


def _seen(views: Sequence[View], line: str) -> dict[str, float]:
    """When each of them showed it, in seconds of the monotonic clock."""
    found: dict[str, float] = {}
    end = time.monotonic() + STUCK
    with selectors.DefaultSelector() as selector:
        for view in views:
            selector.register(view.file, selectors.EVENT_READ, view)
        while len(found) < len(views):
            ready = selector.select(max(0.0, end - time.monotonic()))
            now = time.monotonic()
            if not ready:
                raise RuntimeError(f"{line!r} is not shown after {STUCK:g} s")
            for key, _ in ready:
                written: View = key.data
                written.text.extend(_read(written.file))
                if written.name not in found and line.encode() in written.text:
                    found[written.name] = now
                del written.text[: -2 * len(line)]
    return found


def _read(file: int) -> bytes:
    try:
        found = os.read(file, 1 << 16)
    except OSError:  # what a terminal says when its program has ended
        found = b""
    if not found:
        raise RuntimeError("the deployment ended, or its watcher")
    return found


@contextmanager
def _watcher(name: str, directory: Path, id: str) -> Iterator[View]:
    """`rectl watch`, on a terminal or into a pipe, until the deployment has ended."""
    ours, theirs = pty.openpty() if name == "terminal" else os.pipe()
    if name == "terminal":
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    environ = {"RE_DATA_DIR": str(directory), "PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "re_client", "watch", id]
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=theirs)
    os.close(theirs)
    try:
        yield View(name, ours, bytearray())
    finally:
        process.terminate()
        process.wait(STUCK)
        os.close(ours)
