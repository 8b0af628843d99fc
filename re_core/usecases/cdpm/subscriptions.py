"""The subscriptions of a node, in both directions: shown, left, joined, barred. Must not know HTTP, nor connections."""

from __future__ import annotations

from collections.abc import Iterator

from re_core.api import pipelines as api
from re_core.cdpm import events as e
from re_core.cdpm.state import State
from re_core.cdpm.values import Dependency, Subscription
from re_core.errors import Conflict, NotFound
from re_core.rows import PipelineRow, Position
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.cdpm.nodes import Desk, require_present
from re_core.usecases.times import rfc3339
from re_core.wording import did_you_mean


def of_node(desk: Desk, row: PipelineRow) -> api.NodeSubscriptions:
    """As its journal says, and how far each dependent was served."""
    state = desk.state(row)
    return {
        "dependencies": [_dependency(one) for one in state.dependencies.values()],
        "dependents": list(_dependents(desk, state)),
    }


def join(desk: Desk, principal: Principal, found: PipelineRow, dependency: str) -> None:
    """Take back that it was left. Raises NotAllowed, NotFound, Conflict, BusUnavailable, NoAnswer."""
    require(principal, Verb.OPERATE, found.group)
    _require_known(desk, found, dependency)
    desk.say(found, e.Join(dependency, principal.subject))


def leave(desk: Desk, principal: Principal, found: PipelineRow, dependency: str) -> None:
    """Leave a dependency, though cdpm.yml names it. Raises as `join`."""
    require(principal, Verb.OPERATE, found.group)
    _require_known(desk, found, dependency)
    desk.say(found, e.Leave(dependency, principal.subject))


def bar(desk: Desk, principal: Principal, found: PipelineRow, url: str, barred: bool) -> None:
    """End the subscriptions of the peer and refuse its next ones, or take that back. Raises as `join`, but for NotFound."""
    require(principal, Verb.OPERATE, found.group)
    require_present(found)
    desk.say(found, e.Bar(url, barred, principal.subject))


def _require_known(desk: Desk, found: PipelineRow, dependency: str) -> None:
    require_present(found)
    state = desk.state(found)
    if dependency in state.dependencies:
        return
    if not state.digest:
        raise Conflict("the node's cdpm.yml was not read yet, so its dependencies are not known")
    known = list(state.dependencies)
    hint = did_you_mean(dependency, known) or f"it names: {', '.join(known[:10]) or 'none'}"
    raise NotFound(f"the node's cdpm.yml names no dependency {dependency[:100]!r}; {hint}")


def _dependency(one: Dependency) -> api.DependencyLink:
    return {
        "name": one.name,
        "url": one.url,
        "state": one.status,
        "subscription": one.subscription or None,
        "ref": one.ref or None,
        "since": rfc3339(one.since or None) if one.subscription else None,
        "left": one.away,
        "why": one.why,
        "stability": one.stability,
        "trial": one.trial or None,
        "waiting": len(one.pending),
        "votes": len(one.votes),
    }


def _dependents(desk: Desk, state: State) -> Iterator[api.DependentLink]:
    """Those with subscriptions, then those that cdpm.yml names, then those that are barred."""
    shown: set[str] = set()
    for one in state.subscriptions.values():
        shown.add(one.url)
        yield _subscribed(state, one, desk.store.position(one.id))
    for url, name in state.dependents.items():
        if url not in shown:
            shown.add(url)
            yield _unsubscribed(state, url, name)
    for url in state.barred:
        if url not in shown:
            yield _unsubscribed(state, url, "")


def _subscribed(state: State, one: Subscription, position: Position | None) -> api.DependentLink:
    delivered = position.delivered if position is not None else 0
    opened = [at for at, _ in position.opens] if position is not None else []
    behind = [n for n, r in state.releases.items() if n > delivered and r.ref == one.ref and r.at >= one.since]
    return {
        **_unsubscribed(state, one.url, one.name),
        "subscription": one.id,
        "ref_type": one.ref_type,
        "ref": one.ref,
        "since": rfc3339(one.since),
        "connected": rfc3339(max(opened, default=None)),
        "delivered": delivered or None,
        "behind": len(behind),
    }


def _unsubscribed(state: State, url: str, name: str) -> api.DependentLink:
    return {
        "name": name,
        "url": url,
        "subscription": None,
        "ref_type": None,
        "ref": None,
        "since": None,
        "major": url in state.majors,
        "barred": url in state.barred,
        "connected": None,
        "delivered": None,
        "behind": 0,
    }
