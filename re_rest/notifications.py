"""Notifications: from outside to a notifier's queue, and the list of what was sent. Must not know any transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from re_core.api import requests
from re_core.errors import BadDocument, BadMessage
from re_core.playbook import json_schema
from re_core.ports import NotifiedFilter
from re_core.usecases import notifications
from re_core.wire import messages
from re_core.wire.messages import Notification
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("notifications", __name__, url_prefix="/api/v1/notifications")


@blueprint.post("")
def send() -> Response:
    document = request_parsing.json_document(requests.NotificationRequest)
    notification = _notification(document)
    here = services()
    # a repeated request sends the same id again, which the notifier knows
    id = notifications.send(
        here.bus, here.store, caller(), document["transport"], notification, document.sent, request_parsing.key()
    )
    return json_answer({"id": id}, 202)


@blueprint.get("")
def listed() -> Response:
    said = request.args
    wanted = NotifiedFilter(None, said.get("deployment", ""), said.get("outcome", ""), said.get("transport", ""))
    group, cursor = said.get("group"), said.get("cursor", "")
    return page_answer(
        *notifications.listed(services().store, caller(), group, wanted, request_parsing.limit(), cursor)
    )


@blueprint.get("/targets")
def targets() -> Response:
    said, here = request.args, services()
    names = said.get("group", ""), said.get("playbook", "")
    return json_answer(notifications.targets(here.around, caller(), *names, said.getlist("environment")))


def _notification(document: Mapping[str, Any]) -> Notification:
    """The strict parser on the way in; the schema only words what it refuses."""
    try:
        return messages.notification_from(document)
    except BadMessage:
        problems = json_schema.problems("notification", {key: document[key] for key in document if key != "transport"})
        if not problems:
            raise
        raise BadDocument("", problems) from None
