"""Things to put into the adapters, each told apart by a name or a number."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.deployment.records import Dispatched, Entry
from re_core.model import DeploymentStatus
from re_core.ports import Append, Delivery, Subscription
from re_core.rows import StoredPlaybook, View
from re_core.wire.messages import Message
from tests.contract.places import SOON


def message(name: str, key: str = "worker.test", direct: bool = False, expires: int | None = None) -> Message:
    return Message(key, f'{{"name":"{name}"}}'.encode(), name, direct=direct, expires=expires)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries]


def take_all(subscription: Subscription, count: int) -> list[Delivery]:
    """Exactly `count` deliveries, however many takes it needs."""
    taken: list[Delivery] = []
    while len(taken) < count:
        more = subscription.take(count - len(taken), SOON)
        assert more, f"{count} deliveries expected, {names(taken)} came"
        taken += more
    return taken


def entry(deployment: str, number: int = 1, writer: str = "core-1", step: int = 0) -> Entry:
    return Entry(deployment, number, 1_700_000_000_000 + number, writer, (Dispatched(step, 1),))


def append(deployment: str, number: int = 1, writer: str = "core-1", step: int = 0) -> Append:
    return Append(entry(deployment, number, writer, step))


def view(id: str, created: int = 1, entry: int = 1, **changes: object) -> View:
    plain = View(
        id=id,
        group="team",
        playbook_id="p-1",
        playbook="release",
        user="ada",
        status=DeploymentStatus.RUNNING,
        created=created,
        ended=None,
        done=0,
        total=3,
        step="noop:Noop",
        reason="",
        due=None,
        entry=entry,
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


def playbook(
    id: str, revision: int = 1, created: int = 1, name: str = "release", group: str = "team"
) -> StoredPlaybook:
    document = {"group": group, "name": name, "revision of the document": revision}
    return StoredPlaybook(id, group, name, revision, document, created, created + revision, "ada")
