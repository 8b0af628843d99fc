"""A runner of the chaos as a process: `python -m tests.chaos.forest_runner ADDRESS ID LEDGER READY`.

What it does with a release, the playbook says in the destination's metadata. It writes down when it has fetched one, how it ends
before it says so, and that it was answered OK; so the ledger knows what the gateway must not forget.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from re_gateways.forest import runner_pb2 as pb
from tests.forest.async_runner import Fetched, Outcome, Runner, Say

#: seconds between two tries to connect, and between two heartbeats: as the real one, but several times faster
RECONNECT, HEARTBEAT = 0.5, 5.5

#: what happens -> what the ledger calls it
WORDS = {
    "fetched": "begin",
    "completes success": "completed",
    "completes failure": "failed",
    "ok success": "ok-completed",
    "ok failure": "ok-failed",
}


async def _work(given: pb.WorkAssignment, fetched: Fetched, say: Say) -> Outcome:
    metadata = given.destination.metadata
    await say("stdout", f"{len(fetched.files)} files for {given.destination.name}")
    await asyncio.sleep(float(metadata["seconds"]))
    await say("stderr", "done")
    return Outcome(metadata.get("error", ""))


def main() -> None:
    """Until it is killed."""
    address, id, ledger, ready = sys.argv[1:]
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, release: str, seconds: float) -> None:
        if what == "registered":
            Path(ready).touch()
        if what in WORDS:  # one write, so that no line is cut in two
            os.write(file, f"{WORDS[what]} {release} {os.getpid()} {time.monotonic():.3f}\n".encode())

    asyncio.run(Runner(address, id, _work, note, reconnect=RECONNECT, heartbeat=HEARTBEAT).run())


if __name__ == "__main__":
    main()
