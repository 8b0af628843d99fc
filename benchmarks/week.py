"""A week of steps that print, in simulated time, on the real file, bus and recorder: whether file and memory stay flat.

python -m benchmarks.week [--days 7] [--steps 10] [--hourly 18000]

Every step prints a message of output each 0.2 s, which is 18 000 an hour; every hour its deployment ends and another begins,
and what ended a day ago is forgotten, as `RE_PRUNE_OLDER=1d` does. The default takes more than an hour.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.services.output_recorder import Recorder
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from tests.contract.places import FakeClock

#: milliseconds
_HOUR = 3600 * 1000

#: when the week begins, milliseconds since the epoch
_BEGIN = 1_700_000_000_000

#: messages of output that are published before the recorder takes its turns
_BURST = 100


class Evening(NamedTuple):
    """What there is at the end of one day."""

    day: int
    #: of the file once its log is written back, and of the log beside it, which is used again from 16 MiB on
    file_bytes: int
    log_bytes: int
    #: rows of the mailbox, and chunks of output
    mailbox: int
    chunks: int
    #: of this process
    memory_bytes: int
    #: real time that the day took
    seconds: float


def play(path: Path, days: int, steps: int, hourly: int) -> Iterator[Evening]:
    """One day after the other. `hourly`: messages that one step prints in an hour."""
    clock = FakeClock(_BEGIN)
    with closing(SqliteStore(path, clock)) as store:
        bus = EmbeddedBus(store, clock, clock.monotonic)
        recorder = Recorder(bus, store, clock, Redaction([re.compile("password=.*")]))
        for day in range(1, days + 1):
            began = time.perf_counter()
            for hour in range(24):
                past = 24 * day + hour
                _hour(bus, recorder, past, steps, hourly)
                store.forget([_name(past - 24, step) for step in range(steps)])
                clock.milliseconds += _HOUR
            yield _evening(path, day, time.perf_counter() - began)
        recorder.close()
        bus.close()


def _hour(bus: EmbeddedBus, recorder: Recorder, hour: int, steps: int, hourly: int) -> None:
    for first in range(0, hourly, _BURST):
        numbers = range(first, min(first + _BURST, hourly))
        bus.publish([_message(hour, step, number) for number in numbers for step in range(steps)])
        while recorder.turn(0):
            pass


def _message(hour: int, step: int, number: int) -> Message:
    id, text = _name(hour, step), f"line {number} of step {step}, as long as lines are"
    return Message(m.OUTPUT, m.encode({"message": text}), f"{id}/0/1/{number}", id, headers={m.STEP: "0"})


def _name(hour: int, step: int) -> str:
    return f"{hour:08}.{step}"


def _evening(path: Path, day: int, seconds: float) -> Evening:
    with closing(sqlite3.connect(path)) as file:
        (mailbox,) = file.execute("SELECT count(*) FROM mailbox").fetchone()
        (chunks,) = file.execute("SELECT count(*) FROM output").fetchone()
        (size,) = file.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    log = path.with_name(f"{path.name}-wal").stat().st_size
    return Evening(day, size, log, mailbox, chunks, psutil.Process().memory_info().rss, seconds)


def main() -> None:
    """Play it and print a row for each day."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.week", description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--hourly", type=int, default=18_000, help="messages of one step in an hour")
    wanted = parser.parse_args()
    print(f"{'day':>4} {'file MiB':>9} {'log MiB':>8} {'mailbox':>8} {'chunks':>9} {'memory MiB':>11} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as directory:
        for one in play(Path(directory) / "week.db", wanted.days, wanted.steps, wanted.hourly):
            file, log, memory = (size / 2**20 for size in (one.file_bytes, one.log_bytes, one.memory_bytes))
            print(
                f"{one.day:>4} {file:>9.1f} {log:>8.1f} {one.mailbox:>8} {one.chunks:>9} {memory:>11.1f} {one.seconds:>8.1f}"
            )


if __name__ == "__main__":
    main()
