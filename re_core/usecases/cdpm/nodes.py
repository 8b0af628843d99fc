"""Pipeline nodes: created, replaced, shown, removed, and given another key. Must not know HTTP.

The row of a node is saved before its pipeline gets the document, so that every process finds it; what the pipeline has not
confirmed is repeated by storing the same document again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core import ports
from re_core.api import pipelines as api
from re_core.cdpm import events as e
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State, begin
from re_core.errors import BadDocument, Conflict, NotFound, PreconditionFailed, Problem, StoreRefused
from re_core.ports.peering import PeerRefused, SourceUnavailable
from re_core.rows import PipelineKey, PipelineRow
from re_core.usecases import keys
from re_core.usecases.authorization import Principal, Verb, groups_of, require
from re_core.usecases.cdpm import names
from re_core.usecases.cdpm.asking import ask
from re_core.usecases.cdpm.names import is_removed
from re_core.usecases.cdpm.node_checks import Checked
from re_core.usecases.cdpm.own_file import read_own_file
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.usecases.cdpm.removed import drop_pipelines
from re_core.usecases.ids import new_id, plausible
from re_core.usecases.playbooks import Condition
from re_core.usecases.times import rfc3339
from re_core.wire import strict_json

#: nodes of one engine
MOST_NODES = 1_000

#: milliseconds for which a removed node is kept, with the keys that sign that it leaves its dependencies; and how many of them one
#: creation deletes, with their journals
KEPT, MOST_FORGOTTEN = 7 * 24 * 3_600_000, 20

#: part of every idempotency key of nodes
ROUTE = "cdpm/nodes"

#: tries to save a row that others save at the same time
_TRIES = 20

#: what is said where nodes cannot be stored
OFF = "this engine does not speak with other pipelines: RE_CDPM is off; start it with RE_CDPM=1"

_log = logging.getLogger(__name__)


class Store(
    ports.Pipelines,
    ports.Playbooks,
    ports.Locks,
    ports.IdempotencyKeys,
    ports.Journal,
    ports.Registry,
    ports.Maintenance,
    Protocol,
):
    """The part of a store that nodes need."""


class Desk(NamedTuple):
    """What the use cases of nodes work with."""

    bus: ports.Bus
    store: Store
    clock: ports.Clock
    reader: PipelineReader
    #: None: RE_CDPM is off
    peers: Peers | None
    #: seconds that the engine is waited for
    timeout: float

    def speaking(self) -> Peers:
        """Raises Conflict where RE_CDPM is off."""
        if self.peers is None:
            raise Conflict(OFF)
        return self.peers

    def state(self, row: PipelineRow) -> State:
        """As its journal has it now."""
        return self.reader.state(pipeline_key(row.id))

    def say(self, row: PipelineRow, event: e.Request) -> None:
        """Raises Conflict where the pipeline refuses it; BusUnavailable, NoAnswer."""
        said = ask(self.bus, pipeline_key(row.id), event, self.timeout)
        if not said.accepted:
            raise Conflict(said.detail or said.reason)


class RowPage(NamedTuple):
    """Some rows of the list, and the cursor of the next ones."""

    rows: Sequence[api.NodeRow]
    next: str | None


def require_author(principal: Principal, group: str) -> None:
    """A node makes others start playbooks of its group. Raises NotAllowed."""
    require(principal, Verb.AUTHOR, group)
    require(principal, Verb.DEPLOY, group)


def create(desk: Desk, principal: Principal, checked: Checked, key: str = "") -> PipelineRow:
    """Store a new node and make its key pair.

    Raises NotAllowed, KeyReused, Conflict where its name or its source is another node's; BusUnavailable, NoAnswer.
    """
    require_author(principal, checked.group)
    peers = desk.speaking()
    id, _ = keys.claim(desk.store, principal.subject, ROUTE, key, checked.document, new_id())
    row = desk.store.pipeline(id)
    if row is None:
        row = _insert(desk, id, checked)
    if not desk.store.keys(id):
        peers.add_key(id)
    _settle(desk, principal, row, checked)
    return row


def replace(
    desk: Desk, principal: Principal, found: PipelineRow, checked: Checked, condition: Condition | None
) -> PipelineRow:
    """Store another document of the node; an equal one changes nothing, and goes to the engine again.

    Raises NotAllowed, PreconditionFailed, BadDocument for another name or source, Conflict; BusUnavailable, NoAnswer.
    """
    require_author(principal, found.group)
    desk.speaking()
    _require_same(found, checked)
    for _ in range(_TRIES):
        require_present(found)
        if condition is not None and not condition(etag(found)):
            raise PreconditionFailed(f"the node has changed: its version is now {found.version}; read it again")
        ids = _ids(checked)
        if strict_json.equal(found.document, checked.document) and found.playbooks == ids:
            made = found
        else:
            made = found._replace(version=found.version + 1, document=checked.document, playbooks=ids)
            if not desk.store.save_pipeline(made):
                found = _find(desk, found.id)
                continue
        _settle(desk, principal, made, checked)
        return made
    raise Conflict("other requests keep replacing this node; try again")


def remove(desk: Desk, principal: Principal, found: PipelineRow, condition: Condition | None) -> None:
    """End the node; deployments that it has started go on. Twice is the same as once.

    Raises NotAllowed, PreconditionFailed, Conflict; BusUnavailable, NoAnswer.
    """
    require(principal, Verb.OPERATE, found.group)
    if condition is not None and not condition(etag(found)):
        raise PreconditionFailed(f"the node has changed: its version is now {found.version}; read it again")
    if desk.state(found).registered:
        desk.say(found, e.Remove(principal.subject))
    for _ in range(_TRIES):
        gone = found._replace(version=found.version + 1, document={}, playbooks=())
        if is_removed(found) or desk.store.save_pipeline(gone):
            names.drop(desk.store, found.group, found.name, found.id)
            return
        found = _find(desk, found.id)
    raise Conflict("other requests keep replacing this node; try again")


def get(desk: Desk, principal: Principal, id: str) -> PipelineRow:
    """The node with this id. Raises NotFound, NotAllowed."""
    found = _find(desk, id)
    require(principal, Verb.SEE, found.group)
    return found


def listed(
    desk: Desk, principal: Principal, group: str | None, name: str | None, limit: int, cursor: str = ""
) -> RowPage:
    """By group and name, those that are not removed: of that group or (None) of all that the caller sees. Raises NotAllowed."""
    groups = groups_of(principal, Verb.SEE, group)
    rows = [row for row in desk.store.pipelines(group) if not is_removed(row)]
    rows = [row for row in rows if (groups is None or row.group in groups) and name in (None, row.name)]
    if cursor:
        after = tuple(cursor.split("/", 1))
        rows = [row for row in rows if (row.group, row.name) > after]
    shown = rows[:limit]
    next = f"{shown[-1].group}/{shown[-1].name}" if len(rows) > limit else None
    return RowPage([_row_of(desk, row) for row in shown], next)


def rotate(desk: Desk, principal: Principal, found: PipelineRow, another: bool = False) -> PipelineKey:
    """The key that its cdpm.yml shall have next: one that waits for its commit already, unless `another` is wanted; else a new one.

    Keys older than the one that stands in the file are deleted. Raises NotAllowed, Conflict.
    """
    require(principal, Verb.OPERATE, found.group)
    require_present(found)
    peers = desk.speaking()
    known = desk.store.keys(found.id)
    current = _committed(peers, found, known)
    place = known.index(current) if current is not None else -1
    for old in known[:place] if place > 0 else ():
        desk.store.drop_key(found.id, old.kid)
    if place < len(known) - 1 and not another:
        return known[-1]
    return peers.add_key(found.id)


def refresh(desk: Desk, principal: Principal, found: PipelineRow) -> None:
    """Read its own cdpm.yml from its source now. The engine does so by itself every few minutes.

    Raises NotAllowed, Conflict where it cannot be read, is not valid, or has a key that is none of the node's; BusUnavailable,
    NoAnswer.
    """
    require(principal, Verb.OPERATE, found.group)
    require_present(found)
    peers = desk.speaking()
    try:
        read_own_file(desk.bus, peers, found.id, found.source, desk.timeout, again=True)
    except (PeerRefused, SourceUnavailable) as error:
        raise Conflict(str(error)) from None


def require_present(found: PipelineRow) -> None:
    """Raises Conflict where it was removed."""
    if is_removed(found):
        raise Conflict("the node was removed; create it again")


def etag(row: PipelineRow) -> str:
    """Of its document."""
    return f'"{row.version}"'


def key_document(key: PipelineKey) -> api.NodeKey:
    """For people; of the private half there is nothing."""
    return {"kid": key.kid, "public_key": key.public, "created": rfc3339(key.created)}


def _row_of(desk: Desk, row: PipelineRow) -> api.NodeRow:
    """One whose journal cannot be read keeps no other from being seen."""
    try:
        return row_document(row, desk.state(row))
    except StoreRefused as error:
        text = "the journal of the node %s/%s cannot be read: %s"
        _log.error(text, row.group, row.name, error, extra={"action": "cdpm_unreadable"})
        return {**row_document(row, begin(pipeline_key(row.id))), "state": "unreadable"}


def row_document(row: PipelineRow, state: State) -> api.NodeRow:
    """One row of the list."""
    joined = [one for one in state.dependencies.values() if one.subscription]
    newest = state.releases.get(state.last)
    return {
        "id": row.id,
        "group": row.group,
        "name": row.name,
        "source": row.source,
        "version": row.version,
        "state": _state_of(row, state),
        "dependencies": len(state.dependencies),
        "joined": len(joined),
        "dependents": len(state.subscriptions),
        "release": state.last or None,
        "release_state": newest.status if newest is not None else None,
    }


def document_of(desk: Desk, row: PipelineRow) -> api.PipelineNode:
    """The whole."""
    state = desk.state(row)
    return {
        **row_document(row, state),
        "created": rfc3339(state.registered or None),
        "removed": rfc3339(state.ended),
        "document": row.document,
        "keys": [key_document(key) for key in desk.store.keys(row.id)],
        "candidates": [
            {"deployment": one.deployment, "state": one.status, "since": rfc3339(one.since)}
            for one in state.candidates.values()
        ],
        "barred": list(state.barred),
    }


def _state_of(row: PipelineRow, state: State) -> api.NodeState:
    if is_removed(row) or state.ended is not None:
        return "removed"
    if state.configured != row.version:
        return "registering"
    return "ready" if state.digest else "waiting"


def _insert(desk: Desk, id: str, checked: Checked) -> PipelineRow:
    """Raises Conflict."""
    store = desk.store
    rows = store.pipelines()
    _forget(desk, [row for row in rows if is_removed(row)][:MOST_FORGOTTEN])
    if sum(not is_removed(row) for row in rows) >= MOST_NODES:
        raise Conflict(f"{MOST_NODES} nodes are stored, the most that the engine keeps; remove some")
    same = store.pipeline_by_source(checked.source)
    if same is not None and is_removed(same):
        drop_pipelines(store, [same.id])
    standing = names.take(store, checked.group, checked.name, id, desk.clock.now())
    if standing != id:
        raise Conflict(f"there is a node {checked.group}/{checked.name} already: {standing}; replace it")
    row = PipelineRow(id, checked.group, checked.name, checked.source, 1, checked.document, _ids(checked))
    if not store.save_pipeline(row):
        names.drop(store, checked.group, checked.name, id)
        raise Conflict(f"another node has the source {checked.source}: each node has a cdpm.yml of its own")
    return row


def _forget(desk: Desk, removed: Sequence[PipelineRow]) -> None:
    """Delete all of those that were removed long ago: without its row nothing finds a journal any more, pruning neither."""
    drop_pipelines(desk.store, [row.id for row in removed if _is_old(desk, row)])


def _is_old(desk: Desk, row: PipelineRow) -> bool:
    try:
        ended = desk.state(row).ended
    except StoreRefused:  # for an engine that can read it, or for pruning
        return False
    return ended is None or ended < desk.clock.now() - KEPT


def _settle(desk: Desk, principal: Principal, row: PipelineRow, checked: Checked) -> None:
    """Let the engine know; all of it may be repeated. Raises Conflict, BusUnavailable, NoAnswer."""
    desk.say(row, e.Register(row.group, row.name, row.source, principal.subject))
    desk.say(row, e.Configure(row.version, row.document, checked.playbooks, principal.subject))


def _require_same(found: PipelineRow, checked: Checked) -> None:
    wrong = []
    if (found.group, found.name) != (checked.group, checked.name):
        wrong.append(Problem("/node", f"it is {found.group}/{found.name}, which never changes; create another node"))
    if found.source != checked.source:
        text = f"it is {found.source}, which never changes: peers know the node by it; create another node"
        wrong.append(Problem("/source", text))
    if wrong:
        raise BadDocument(wrong[0].message, wrong)


def _committed(peers: Peers, found: PipelineRow, known: Sequence[PipelineKey]) -> PipelineKey | None:
    """The key that stands in its own file; None where none of them does, or the file cannot be read."""
    try:
        kid = peers.file_of(found.source).key.kid
    except (PeerRefused, SourceUnavailable):
        return None
    return next((key for key in known if key.kid == kid), None)


def _find(desk: Desk, id: str) -> PipelineRow:
    found = desk.store.pipeline(id) if plausible(id) else None
    if found is None:
        raise NotFound(f"there is no node {id[:60]!r}")
    return found


def _ids(checked: Checked) -> tuple[str, ...]:
    return tuple(sorted(set(checked.playbooks.values())))
