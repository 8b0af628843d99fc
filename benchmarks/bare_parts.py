"""The bare limit of a cluster: two loops that carry as many messages and documents as core and worker do, and no engine.

Called as `python -m benchmarks.bare_parts core|worker <json>`; prints a line when it is ready. Batches come about as the
engine's do: what arrives while the last batch is stored is the next one. Must not import the engine's loops.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zlib import crc32

from pymongo import MongoClient, UpdateOne
from pymongo.write_concern import WriteConcern

from benchmarks.bare_loop import Got, Loop, Queue, Send
from benchmarks.driver import QUEUE

#: arguments of queues as the engine declares them (re_core/adapters/amqp/topology.py)
QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": -1}
REPLY: dict[str, Any] = {**QUORUM, "x-single-active-consumer": True}
DEAD_LETTERED: dict[str, Any] = {**QUORUM, "x-dead-letter-exchange": "re.dead"}
CONTROL: dict[str, Any] = {"x-queue-type": "classic", "x-expires": 600_000}

#: the worker's own queue
GRANTS = "re.control.bare"

REPLIES = [f"re.reply.{number}" for number in range(16)]

#: as the engine's, of a step without arguments
_STEP = b'{"parameters":{"hosts":["localhost"],"command":"noop","subcommand":"Step"},"group":"bench","dynamic":{},"notify":{}}'
_STARTED, _COMPLETED = b'{"status":"started"}', b'{"status":"completed"}'


class Plan(NamedTuple):
    """What is to be carried."""

    bus_url: str
    store_url: str
    repeatable: bool
    steps: int
    #: octets of an entry and of a row
    journal_bytes: int
    views_bytes: int


class Core:
    """Stores before it answers."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        client: MongoClient[dict[str, Any]] = MongoClient(plan.store_url)
        database = client.get_database(
            urlsplit(plan.store_url).path[1:], write_concern=WriteConcern("majority", j=True)
        )
        self._journal, self._views = database["journal"], database["views"]
        self._views.create_index([("created", -1), ("_id", -1)])
        self._entry, self._row = "x" * (plan.journal_bytes - 60), "x" * (plan.views_bytes - 60)
        #: deployment -> entries
        self._entries: dict[str, int] = {}

    def queues(self) -> list[Queue]:
        replies = [Queue(name, REPLY, prefetch=1024) for name in REPLIES]
        return [
            Queue("re.job.create", QUORUM, "job.create", 64),
            Queue("worker.noop", DEAD_LETTERED, "worker.noop"),
            *replies,
        ]

    def handle(self, batch: list[Got]) -> list[Send]:
        new = [{"_id": one.id, "created": 0, "text": self._row} for one in batch if one.queue == "re.job.create"]
        if new:
            self._views.insert_many(new, ordered=False)
        entries, sends, ended = [], [], []
        for one in batch:
            deployment = one.deployment or one.id
            if self._plan.repeatable and one.body == _STARTED:
                continue
            number = self._entries[deployment] = self._entries.get(deployment, 0) + 1
            entries.append({"_id": f"{deployment}:{number:06d}", "text": self._entry})
            sends.append(self._next(deployment, one))
            if sends[-1].key == QUEUE:
                ended.append(UpdateOne({"_id": deployment}, {"$set": {"created": number}}))
                del self._entries[deployment]
        self._journal.insert_many(entries, ordered=False) if entries else None
        self._views.bulk_write(ended, ordered=False) if ended else None
        return sends

    def _next(self, deployment: str, one: Got) -> Send:
        if one.body == _STARTED:
            headers = {"re-event": "go", "re-attempt": one.id, "re-token": "x" * 30}
            return Send("", GRANTS, b"{}", deployment, f"{one.id}/go", headers=headers, persistent=False)
        step = 1 if one.queue == "re.job.create" else int(one.id.split("/")[1]) + 1
        if step > self._plan.steps:
            return Send(
                "re",
                QUEUE,
                b'{"slug":"bare","message":"it has ended","phase":"completed","target":["x"]}',
                deployment,
                deployment,
            )
        attempt = f"{deployment}/{step}/1"
        headers = {"re-attempt": attempt, "re-timeout": "3600", "re-grant": "1"}
        return Send("re", "worker.noop", _STEP, deployment, attempt, REPLIES[crc32(deployment.encode()) % 16], headers)


class Worker:
    """Says that it begins, and that it has done it."""

    def __init__(self, plan: Plan) -> None:
        self._repeatable = plan.repeatable

    def queues(self) -> list[Queue]:
        return [Queue("worker.noop", DEAD_LETTERED, "worker.noop", 512), Queue(GRANTS, CONTROL, prefetch=512)]

    def handle(self, batch: list[Got]) -> list[Send]:
        sends = []
        for one in batch:
            words = (_STARTED, _COMPLETED) if self._repeatable else (_COMPLETED if one.queue == GRANTS else _STARTED,)
            reply = REPLIES[crc32(one.deployment.encode()) % 16]
            headers = {"re-attempt": one.id, "re-token": "x" * 30, "re-worker": "x" * 26}
            sends += [Send("", reply, word, one.deployment, one.id, GRANTS, headers) for word in words]
        return sends


def main() -> None:
    """See the module."""
    part, text = sys.argv[1:]
    plan = Plan(**json.loads(text))
    made = Core(plan) if part == "core" else Worker(plan)
    Loop(plan.bus_url, made.queues(), made.handle, lambda: print("ready", flush=True)).run()


if __name__ == "__main__":
    main()
