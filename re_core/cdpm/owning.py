"""What operators, and the node's own cdpm.yml, say of the node. Pure. The theory is in re_core/cdpm/machine.py."""

from __future__ import annotations

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance, Refusal
from re_core.cdpm.receiving import leave
from re_core.cdpm.state import MOST_DEPENDENCIES, MOST_MAJORS, MOST_SUBSCRIPTIONS
from re_core.cdpm.values import DependentStatus


def on_register(go: Advance, event: e.Register) -> None:
    state, said = go.state, (event.group, event.name, event.source)
    if not state.registered:
        go.emit(r.Registered(*said, event.user))
    elif (state.group, state.name, state.source) != said:
        raise Refusal("conflict", f"this id belongs to the node {state.group}/{state.name} at {state.source}")


def on_configure(go: Advance, event: e.Configure) -> None:
    state = go.state
    same = (state.document, state.playbooks) == (event.document, event.playbooks)
    if event.version == state.configured and same:
        return
    if event.version <= state.configured:
        raise Refusal("stale", f"the node has version {state.configured} of its document; read it again")
    go.emit(r.Configured(event.version, event.document, event.playbooks, event.user))
    if state.digest:
        _drop_strangers(go)


def on_remove(go: Advance, event: e.Remove) -> None:
    if go.state.ended is None:
        go.emit(r.Removed(event.user))


def on_file(go: Advance, event: e.FileRead) -> None:
    state = go.state
    found = {name: one.url for name, one in state.dependencies.items()}
    same = found == event.dependencies and state.dependents == event.dependents
    if event.digest == state.digest and same and state.majors == tuple(event.majors):
        return
    if state.source in (*event.dependencies.values(), *event.dependents):
        raise Refusal("own-file", "cdpm.yml names the node itself among its peers; take that out")
    for what, size, most in (
        ("Dependencies", len(event.dependencies), MOST_DEPENDENCIES),
        ("Dependents", len(event.dependents), MOST_SUBSCRIPTIONS),
        ("major Dependents", len(event.majors), MOST_MAJORS),
    ):
        if size > most:
            raise Refusal("too-many", f"cdpm.yml names {size} {what}; at most {most} are taken")
    for name, known in list(state.dependencies.items()):
        if event.dependencies.get(name) != known.url and known.status is not DependentStatus.INITIAL:
            leave(go, name, "cdpm.yml names it no more")
    go.emit(r.FileKnown(event.digest, event.dependencies, event.dependents, event.majors))
    if state.configured:
        _drop_strangers(go)


def _drop_strangers(go: Advance) -> None:
    """Who may not subscribe any more is sent nothing more."""
    state = go.state
    if state.node.open_to_any:
        return
    for one in [one for one in state.subscriptions.values() if one.url not in state.dependents]:
        go.emit(r.PeerUnsubscribed(one.id, "cdpm.yml does not name the peer any more"))
