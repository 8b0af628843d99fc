"""How an app begins and ends, and where it runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.advancing import Advance, Refusal
from re_core.apps.names import APP_NAME

#: zones of one app
MOST_ZONES = 32

#: characters of the name of a group
_MOST_GROUP = 200


def on_register(go: Advance, event: e.Register) -> None:
    if not APP_NAME.fullmatch(event.name):
        raise Refusal("bad-message", f"an app is named by up to 30 of a-z, 0-9 and `-`, not {event.name[:60]!r}")
    if not event.group or len(event.group) > _MOST_GROUP:
        raise Refusal("bad-message", f"`group` has 1 to {_MOST_GROUP} characters")
    _check_zones(event.zones)
    go.emit(r.Registered(event.group, event.name, event.zones, event.user))


def on_register_again(go: Advance, event: e.Register) -> None:
    if (event.group, event.name) != (go.state.group, go.state.name):
        raise Refusal("taken", f"this is the app {go.state.group}/{go.state.name}")


def on_zones(go: Advance, event: e.Zones) -> None:
    _check_zones(event.zones)
    if tuple(event.zones) != go.state.zones:
        go.emit(r.Zoned(event.zones, event.user))


def on_destroy(go: Advance, event: e.Destroy) -> None:
    """What waits never begins. The release that goes on is not cut off: it cannot be decided any more."""
    waiting = go.state.pending
    go.emit(r.Destroyed(event.user))
    for number in waiting:
        go.emit(r.Failed(number, "the app was destroyed", "prepare"))


def on_left(go: Advance, event: e.Left) -> None:
    if event.zone in go.state.leaving:
        go.emit(r.Left(event.zone))


def on_rebase(go: Advance, event: e.Rebase) -> None:
    if event.base > go.state.base:
        go.emit(r.Rebased(event.base, event.user))


def _check_zones(zones: Sequence[str]) -> None:
    if not 1 <= len(zones) <= MOST_ZONES or len(set(zones)) < len(zones):
        raise Refusal("bad-message", f"an app has 1 to {MOST_ZONES} different zones")
    if wrong := next((zone for zone in zones if not APP_NAME.fullmatch(zone)), None):
        raise Refusal("bad-message", f"a zone is named by up to 30 of a-z, 0-9 and `-`, not {wrong[:60]!r}")
