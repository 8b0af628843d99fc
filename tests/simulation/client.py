"""Who asks for deployments and for their end, as a front end does: what was asked, and what was heard. Must not know who answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from re_core.errors import BusUnavailable, Conflict, NoAnswer
from re_core.ports import Bus
from re_core.usecases.deployments import Author, Found, cancel
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message
from tests.factories import principal
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

#: milliseconds that a caller waits
PATIENCE = 10_000


class Post:
    """One POST of a deployment."""

    def __init__(self, id: str, key: str, playbook: str, at: int) -> None:
        self.id, self.key, self.playbook = id, key, playbook
        #: when its publishing began, and when that was over: until then it may have stood still before it sent anything
        self.at = self.sent = at
        #: what was heard: an id, or None for no
        self.heard: set[str | None] = set()
        self.why = ""
        self.over = False

    def has_waited(self, now: int) -> bool:
        """Whether its caller has given up: it waits from before it publishes, as `AmqpBus.request` does."""
        return now >= self.at + PATIENCE


class Client(Process):
    """One front end."""

    mortal = False

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.posts: dict[str, Post] = {}
        #: deployments whose cancel was said to be accepted
        self.cancelled: set[str] = set()
        self._answers = f"re.answer.{name}"
        self._subscription = self.bus.subscribe([self._answers], 100)
        self.add("answers", self._hear, PATIENCE // 4, self)

    def post(self, key: str, playbook: str, dynamic: Mapping[str, str] = MappingProxyType({})) -> None:
        """Ask for a deployment; the same key is the same deployment."""
        post = Post(f"{self.name}-{len(self.posts)}", key, playbook, self.world.time.now)
        self.posts[post.id] = post
        body = {"group": "inception", "playbook_id": playbook, "dynamic": dict(dynamic)}
        headers = {m.USER: "ann", m.KEY: key, m.KEY_DIGEST: playbook}
        message = Message(
            "job.create",
            m.encode(body),
            post.id,
            post.id,
            self._answers,
            headers,
            expires=m.request_life(PATIENCE / 1000),
        )
        try:
            self.bus.publish([message])
        except BusUnavailable:
            self.world.trace(f"{post.id} could not be asked for")
        post.sent = self.world.time.now

    def cancel(self, deployment: str) -> None:
        """Ask for its end, and wait for the answer."""
        try:
            cancel(cast(Bus, self.bus), Found(deployment, "inception"), Author(principal(), "because"), PATIENCE / 1000)
        except (Conflict, NoAnswer, BusUnavailable) as error:
            self.world.trace(f"{deployment} is not cancelled: {error!r}")
        else:
            self.cancelled.add(deployment)

    @property
    def idle(self) -> bool:
        """Nobody waits any more."""
        return all(post.over for post in self.posts.values())

    def _hear(self) -> None:
        taken = self._subscription.take(100, 0)
        for delivery in taken:
            post = self.posts[delivery.message.id.removesuffix("/answer")]
            if post.has_waited(self.world.time.now):
                continue  # it is gone
            post.heard.add(strict_json.loads(delivery.message.body)["id"])
            post.why = delivery.message.headers.get(m.REASON, "")
            post.over = True
        self._subscription.ack(taken)
        for post in self.posts.values():
            post.over = post.over or post.has_waited(self.world.time.now)
