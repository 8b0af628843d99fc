"""A front end with everything real behind it but the core: what the tests of re_rest share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.deployment.feed import has_events
from re_core.deployment.records import Accepted, Completed, Dispatched, Ended, Entry, Failed, Record, Started
from re_core.deployment.state import fold
from re_core.model import DeploymentStatus
from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.ports import Append, Appended
from re_core.rows import Artifact, OutputChunk, StoredPlaybook, View
from re_core.sequencer.encoding import news_messages
from re_core.usecases import access, artifact_pushing
from re_core.usecases.artifact_pushing import Bounds, Wanted
from re_core.usecases.authorization import Binding, Principal
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message
from re_rest.app import bind_services, create_app
from re_rest.app_context import AppContext

#: what the core answers: a body, and headers
Answer = tuple[Mapping[str, Any], Mapping[str, str]]

#: a small valid playbook
PLAYBOOK: dict[str, Any] = {
    "group": "ours",
    "name": "Two steps",
    "execution": [{"description": "all", "hosts": ["one", "two"], "steps": ["noop:First", {"noop:Second": {"a": 1}}]}],
}

T0 = 1_700_000_000_000

#: every group may use every command, whoever has tokens
EVERYTHING = CommandRules({"*": ("*",)})


class FrontEndHarness:
    """An application, its store and bus, and three tokens."""

    def __init__(
        self, store: SqliteStore, app: Flask | None = None, timeout: float = 5.0, commands: CommandRules = EVERYTHING
    ) -> None:
        self.store = store
        self.bus = EmbeddedBus(store)
        self.clock = SystemClock()
        self.parts: dict[str, str] = {"bus": "", "store": "", "core": ""}
        self.services = AppContext(
            self.bus, store, self.clock, EnginePolicy(commands=commands), lambda: self.parts, timeout
        )
        # making the routes takes longer than most tests, so they may share them
        self.app = app or create_app(self.services)
        bind_services(self.app, self.services)
        self.client: FlaskClient = self.app.test_client()
        self.admin = access.mint(store, self.clock, "root", None, admin=True).secret
        self.ours = access.mint(store, self.clock, "olga", ["ours"]).secret
        self.theirs = access.mint(store, self.clock, "theo", ["theirs"]).secret

    def call(self, method: str, path: str, token: str | None = "", **more: Any) -> Any:
        """A response; the admin's token unless another one, or None, is given."""
        headers = dict(more.pop("headers", {}))
        more.setdefault("buffered", True)
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.admin}"
        return self.client.open(path, method=method, headers=headers, **more)

    def playbook(self, id: str = "book", group: str = "ours", **changes: Any) -> StoredPlaybook:
        """Store a playbook."""
        document = {**PLAYBOOK, "group": group, **changes}
        made = StoredPlaybook(id, group, document["name"], 1, document, T0, T0, "root")
        assert self.store.save_playbook(made)
        return made

    def artifact(self, name: str = "shop", group: str = "ours", **texts: str) -> Artifact:
        """Push an artifact of texts of the category `notes`."""
        root = Principal("root", (Binding("admin"),))
        files = {"notes": texts or {"a": "text"}}
        wanted = Wanted(group, name, "files", {})
        return artifact_pushing.push_files(self.store, self.clock, root, wanted, files, Bounds()).artifact

    def append(self, id: str, number: int, *records: Record, at: int = T0) -> None:
        """An entry of a journal, with its row of the list."""
        entry = Entry(id, number, at, "test", records)
        state = fold([*self.store.entries(id), entry])
        view = View(
            id,
            state.accepted.group,
            state.accepted.playbook_id,
            state.accepted.playbook,
            state.accepted.user,
            state.status,
            state.created,
            state.ended,
            state.count_done(),
            len(state.plan.steps),
            "",
            state.reason,
            None,
            number,
        )
        assert self.store.append([Append(entry, view, fed=has_events(entry))]) == [Appended.STORED]
        self.bus.publish(news_messages(state, entry, self.bus.listened))

    def deployment(
        self, id: str = "dep1", group: str = "ours", at: int = T0, dynamic: Mapping[str, Any] | None = None
    ) -> str:
        """A deployment whose first step runs."""
        plan = compile_document({**PLAYBOOK, "group": group}, EnginePolicy(), {})
        accepted = Accepted(group, "book", "Two steps", 1, "olga", "127.0.0.1", "d", dynamic or {}, plan)
        self.append(id, 1, accepted, Dispatched(0, 1), at=at)
        self.append(id, 2, Started(0, 1, "w1", deployment="running"), at=at + 1000)
        return id

    def finish(self, id: str, *, failed: bool = False, at: int = T0 + 5000) -> None:
        """Its end: the first step failed, or every one completed."""
        number = len(self.store.entries(id)) + 1
        if failed:
            self.append(id, number, Failed(0, 1, message="no"), Ended("failed", "it broke"), at=at)
            return
        rest = [record for step in (1, 2, 3) for record in (Dispatched(step, 1), Started(step, 1), Completed(step, 1))]
        self.append(id, number, Completed(0, 1, {"x": 1}), *rest, Ended(DeploymentStatus.COMPLETED, ""), at=at)

    def print(self, id: str, first: int, *lines: str, step: int | None = 0) -> None:
        """Lines of output."""
        self.store.add_output([OutputChunk(f"{id}-{first}", id, first, step, T0, lines)])
        self.bus.publish([Message(m.OUTPUT_GREW, b"{}", f"{id}/output/{first}", id)])

    @contextmanager
    def core(self, answer: Callable[[Message], Answer | None]) -> Iterator[list[Message]]:
        """Something that answers job.create and control messages; yields what it was asked."""
        asked: list[Message] = []
        subscription = self.bus.subscribe([m.JOB_CREATE, *m.reply_queues()], 100)
        done = threading.Event()

        def run() -> None:
            while not done.is_set():
                for delivery in subscription.take(10, 0.05):
                    asked.append(delivery.message)
                    said = answer(delivery.message)
                    subscription.ack([delivery])
                    if said is not None:
                        body, headers = said
                        to = delivery.message.reply_to
                        self.bus.publish([Message(to, m.encode(body), f"a-{to}", headers=headers, direct=True)])

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield asked
        finally:
            done.set()
            subscription.close()
            thread.join()


def accept(message: Message) -> Answer:
    """The core takes it."""
    return {"id": message.id}, {}


def refuse(reason: str, **headers: str) -> Callable[[Message], Answer]:
    """The core refuses with that reason."""
    return lambda message: ({"id": None}, {m.REASON: reason, m.DETAIL: f"because {reason}", **headers})


def body(message: Message) -> Any:
    """What a message says."""
    return strict_json.loads(message.body)
