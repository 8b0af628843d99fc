"""Tells an app how a deployment ended that it has asked for. Must not know what follows.

Such a message makes it quick: the next version begins at once. Should it be lost, the app looks by itself (re_core/jobs/times.py).
"""

from __future__ import annotations

from re_core.apps.events import Fact
from re_core.apps.names import BUILT_IN, app_key
from re_core.apps.words import event_message
from re_core.deployment.records import Ended, Entry
from re_core.deployment.state import State
from re_core.wire.messages import APP, Message


def reports_of(state: State, entry: Entry) -> list[Message]:
    """The message to the app, where the entry ends a deployment of one of the engine's own playbooks; else none."""
    accepted = state.accepted
    if not accepted.playbook_id.startswith(BUILT_IN):
        return []
    app_id = str(accepted.dynamic.get("app_id", ""))
    ends = [record for record in entry.records if isinstance(record, Ended)]
    facts = [Fact(entry.deployment, one.status, one.reason, request=f"{entry.id}/fact") for one in ends[-1:]]
    return [event_message(app_key(app_id), fact)._replace(app_id=APP) for fact in facts]
