"""Notifications from outside: handed to a notifier's queue. Must not know any transport."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core import messages
from re_core.usecases import keys, notifications
from re_core.usecases.ids import new_id
from re_rest import asking, bodies
from re_rest.answering import json_answer
from re_rest.services import services

blueprint = Blueprint("notifications", __name__, url_prefix="/api/v1/notifications")


@blueprint.post("")
def send() -> Response:
    document = asking.json_document(bodies.NOTIFICATION)
    here, who = services(), asking.asker()
    # a repeated request sends the same id again, which the notifier knows
    id, _ = keys.claim(here.store, who.user, "notifications", who.key, document, new_id())
    notification = messages.notification_from(document)
    notifications.send(here.bus, document["transport"], notification, id)
    return json_answer({"id": id}, 202)
