"""Runs `re-core` or `re-worker` and counts what it does; started in their place by a benchmark.

Called as `python -m benchmarks.observed <file> <program> <words>`; when the program ends, the file holds one JSON object.
With BENCH_PROFILE, a directory, each thread's profile is there too, for `python -m pstats`. Must not know what is measured.
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from re_core import process
from re_core.adapters.amqp import AmqpBus
from re_core.adapters.mongo import MongoStore
from re_core.ports import Append, Appended, Published
from re_core.sequencer.loop import Sequencer
from re_core.wire.messages import Message

#: messages by where they go, documents by collection, batches and deliveries of the sequencer, journals read
counts: Counter[str] = Counter()


def observe(file: Path) -> None:
    """From now on what goes out and what is stored is counted."""
    publish, append, write_views, turn = AmqpBus.publish, MongoStore.append, MongoStore.write_views, Sequencer.turn

    def count_messages(self: AmqpBus, messages: Sequence[Message]) -> list[Published]:
        counts.update(f"messages.{_kind(message.key)}" for message in messages)
        counts["publishings"] += 1
        return publish(self, messages)

    def count_entries(self: Any, batch: Sequence[Append]) -> list[Appended]:
        new = sum(row.entry.number == 1 and row.view is not None for row in batch)
        counts.update({"documents.journal": len(batch), "documents.views": new, "appends": 1})
        return append(self, batch)

    def count_views(self: Any, views: Sequence[Any]) -> None:
        counts.update({"documents.views": len(views), "viewings": 1})
        write_views(self, views)

    def count_turns(self: Sequencer, timeout: float) -> int:
        settled = turn(self, timeout)
        counts.update({"deliveries": settled, "turns": settled > 0})
        counts["reads"] = self.reads
        return settled

    def leave(code: int) -> None:
        file.write_text(json.dumps(counts))
        _dump_profiles()
        os._exit(code)

    AmqpBus.publish = count_messages  # type: ignore[method-assign]
    MongoStore.append = count_entries  # type: ignore[method-assign]
    MongoStore.write_views = count_views  # type: ignore[method-assign]
    Sequencer.turn = count_turns  # type: ignore[method-assign]
    process.leave = leave  # type: ignore[assignment]


def _kind(key: str) -> str:
    """Queues of one kind have numbers or names behind it."""
    kinds = ("worker", "re.reply", "re.control", "notify", "re.answer")
    return next((kind for kind in kinds if key.startswith(f"{kind}.")), key)


_profiles: dict[str, cProfile.Profile] = {}


def _profile() -> None:
    run = threading.Thread.run

    def profiled(self: threading.Thread) -> None:
        _profiles[self.name] = profile = cProfile.Profile()
        profile.runcall(run, self)

    threading.Thread.run = profiled  # type: ignore[method-assign]


def _dump_profiles() -> None:
    for name, profile in _profiles.items():
        profile.dump_stats(Path(os.environ["BENCH_PROFILE"]) / f"{os.getpid()}.{name}.prof")


def main() -> None:
    """See the module."""
    file, program, *words = sys.argv[1:]
    observe(Path(file))
    if os.environ.get("BENCH_PROFILE"):
        _profile()
    sys.argv = [program, *words]
    # imported late: they take `leave` by its name
    if program == "re-core":
        from re_core.__main__ import main as run
    else:
        from re_workers.__main__ import main as run
    run()


if __name__ == "__main__":
    main()
