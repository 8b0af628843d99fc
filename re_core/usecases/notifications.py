"""Say something to people through a notifier, and list what was said. Must not know any transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from re_core.api import notifications as documents
from re_core.errors import CallerError, Conflict
from re_core.playbook import notice_routes
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Bus, IdempotencyKeys, Notifications, NotifiedFilter, Published
from re_core.usecases import keys
from re_core.usecases.authorization import Principal, Verb, groups_of, require
from re_core.usecases.deployments import APP_ID
from re_core.usecases.ids import new_id
from re_core.usecases.times import rfc3339
from re_core.wire.messages import Notification, notification_message
from re_core.wire.notified import OUTCOMES, Notified


def send(
    bus: Bus,
    requests: IdempotencyKeys,
    principal: Principal,
    transport: str,
    notification: Notification,
    said: Mapping[str, Any],
    key: str = "",
) -> str:
    """Send it to the notifier that is bound to the transport's key; its id. With the same idempotency key it has the same id.

    `said` is the request's document, which a repetition must have too.

    Raises NotAllowed, KeyReused, Conflict where no notifier is bound, BusUnavailable.
    """
    require(principal, Verb.NOTIFY, None)
    id, _ = keys.claim(requests, principal.subject, "notifications", key, said, new_id())
    document = {**notification._asdict(), "target": list(notification.target)}
    message = notification_message(transport, document, id, "", APP_ID)
    if bus.publish([message]) != [Published.TAKEN]:
        raise Conflict(f"no notifier has ever consumed the transport {transport!r}")
    return id


def listed(
    rows: Notifications,
    principal: Principal,
    group: str | None,
    wanted: NotifiedFilter,
    limit: int,
    cursor: str,
) -> tuple[list[documents.NotificationRow], str | None]:
    """What notifiers were done with, the newest first, and where to go on.

    Those that belong to no group (sent from outside) are shown to a caller that sees every group. Raises NotAllowed, CallerError.
    """
    if wanted.outcome and wanted.outcome not in OUTCOMES:
        raise CallerError(f"outcome: expected one of {', '.join(OUTCOMES)}, found {wanted.outcome[:40]!r}")
    found = rows.notified(wanted._replace(groups=groups_of(principal, Verb.SEE, group)), limit + 1, cursor)
    return [_document(row) for row in found[:limit]], found[limit - 1].id if len(found) > limit else None


def targets(
    around: EnginePolicy, principal: Principal, group: str, playbook: str, environments: Sequence[str]
) -> documents.NotificationTargets:
    """Who would hear of a deployment of that playbook whose steps are of these environments. Raises NotAllowed, CallerError."""
    require(principal, Verb.SEE, group)
    if not (group and playbook):
        raise CallerError("say of which group and playbook: ?group=…&playbook=…")
    phases = notice_routes.route(around.routes, around.notify, group, playbook, environments)
    daily = [one for one in around.routes if one.daily is not None and one.covers(group, playbook, environments)]
    return {
        "phases": {phase: _lists(to) for phase, to in phases.items()},
        "daily": [{"at": str(one.daily), "outcomes": list(one.outcomes), "to": _lists(one.to)} for one in daily],
    }


def _lists(to: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {transport: list(found) for transport, found in to.items()}


def _document(row: Notified) -> documents.NotificationRow:
    return {
        "id": row.id,
        "notification": row.notification,
        "at": rfc3339(row.at),
        "transport": row.transport,
        "target": list(row.target),
        "phase": row.phase,
        "slug": row.slug,
        "outcome": "failed" if row.outcome == "failed" else "sent",
        "why": row.why,
        "tries": row.tries,
        "together": row.together,
        "deployment": row.deployment,
        "group": row.group,
        "playbook": row.playbook,
        "worker": row.worker,
    }
