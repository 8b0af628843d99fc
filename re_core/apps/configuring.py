"""The config of an app: names of variables here, values in a sealed row. Pure; must not know values."""

from __future__ import annotations

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.advancing import Advance, Refusal
from re_core.apps.names import VARIABLE, is_reserved
from re_core.apps.releasing import MOST_NOTE, check_request, check_room, is_repeated, queue
from re_core.apps.values import Kind

#: variables of one app
MOST_VARIABLES = 200


def on_configure(go: Advance, event: e.Configure) -> None:
    """The newest config; where something runs, it becomes a version at once."""
    state = go.state
    if is_repeated(go, event):
        return
    if event.config == state.config.id:
        made = [one.number for one in state.versions.values() if (one.kind, one.config) == (Kind.CONFIG, event.config)]
        if made:
            go.answer_version(made[-1])
        return
    if event.base != state.config.id:
        raise Refusal("conflict", f"the config of {state.name} has changed meanwhile: read it, and set it once more")
    _check(event)
    check_request(event)
    if state.current:
        check_room(state)
    go.emit(r.Configured(event.config, sorted(event.names), event.note, event.user))
    if state.current:
        queue(go, event, Kind.CONFIG, event.note or "Config", config=event.config)


def _check(event: e.Configure) -> None:
    names = set(event.names)
    if not event.config or len(event.config) > MOST_NOTE:
        raise Refusal("bad-message", f"`config` has 1 to {MOST_NOTE} characters")
    if len(names) > MOST_VARIABLES or len(names) < len(event.names):
        raise Refusal("bad-config", f"there are {len(event.names)} variables; {MOST_VARIABLES} different ones are kept")
    for name in sorted(names):
        if not VARIABLE.fullmatch(name):
            raise Refusal("bad-config", f"the variable {name[:80]!r} is not named by letters, digits and `_`")
        if is_reserved(name):
            raise Refusal("bad-config", f"the variable {name} is set by the engine itself")
