"""What clients and zones may ask of the center. Must not know sockets.

Every method raises CallerError, TransientError and OperatorError with words that the asker may read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.apps.broadcasts import PLATFORM
from re_core.apps.names import BROADCAST_ID
from re_core.apps.state import State
from re_core.apps.values import OVER
from re_core.errors import BadMessage, NotAllowed, NotFound
from re_core.playbook import json_schema
from re_core.usecases.apps import broadcasts
from re_core.usecases.apps.apps import Desk, by_name
from re_core.usecases.apps.broadcasts import Found
from re_core.usecases.apps.releases import Push, build, rollback
from re_core.usecases.authorization import Principal, Verb, require
from re_core.wire import strict_json
from re_dploy import wire
from re_dploy.center.cargoes import Cargoes
from re_dploy.center.peers import Client
from re_dploy.wire.fields import Fields

#: where releases come from that were asked for here
SOURCE = "zeromq"
#: characters of a note that are kept
MOST_NOTE = 500
#: bytes a second, and at once, that one key may broadcast
RATE, BURST = 1024 * 1024, 4 * 1024 * 1024
#: bytes for which a message counts in any case, so that small ones have a rate too: 1 024 a second
LEAST = 1024
#: keys whose rate is remembered
MOST_RATES = 1_000


class Asked(NamedTuple):
    """The version that a request has made, and the id under which it is broadcast."""

    version: int
    broadcast_id: str

    def document(self) -> dict[str, Any]:
        """As it travels."""
        return self._asdict()


class Piece(NamedTuple):
    """A piece of cargo, and the size of the whole."""

    data: bytes
    size: int


class Door:
    """Thread-safe."""

    def __init__(
        self, desk: Desk, cargoes: Cargoes, find: Callable[[str], Found], say: Callable[[str, str], None]
    ) -> None:
        """`find` gives the version with a broadcast; `say` adds a line to the output of a deployment."""
        self._desk, self._cargoes, self._find, self._say = desk, cargoes, find, say
        self._rates = _Rates()

    def build(self, client: Client, body: bytes) -> Asked:
        """A BuildRequest: the version is on disk when this returns."""
        principal = _principal(client)
        document = _checked("dploy-build-request", body)
        found = by_name(self._desk, principal, document["app"], Verb.DEPLOY)
        note, broadcast_id = document["update_message"][:MOST_NOTE], document["broadcast_id"]
        version = document["release_version"]
        if version:
            said = rollback(self._desk, principal, found, version, note, broadcast_id, SOURCE)
        else:
            push = Push(document["commit"], note, broadcast_id)
            said = build(self._desk, principal, found, document["archive_uri"], push, SOURCE)
        return Asked(said.version, said.broadcast_id)

    def refuse(self, broadcast_id: str) -> bool:
        """Whether the end of a request that was refused may be said under the id: none has it, nor ever will. Raises StoreUnavailable."""
        return bool(BROADCAST_ID.fullmatch(broadcast_id)) and broadcasts.refuse(self._desk.store, broadcast_id)

    def history(self, client: Client, body: bytes) -> dict[str, Any]:
        """Messages of a broadcast behind a number: what a late listener missed."""
        principal = _principal(client)
        fields = Fields.of(body)
        page = broadcasts.page(
            self._desk.store,
            principal,
            self._find(fields.text("broadcast_id", 128)),
            fields.number("after", default=0),
            fields.number("limit", default=broadcasts.MOST_MESSAGES, least=1),
            self._desk.clock.now(),
        )
        return {"messages": [one.document() for one in page.messages], "over": page.over}

    def cargo(self, client: Client, body: bytes) -> Piece:
        """A piece of the cargo of a version, for a zone that its app has, or had when it was released."""
        ask = wire.parse_cargo_ask(body)
        if not client.zone and not client.is_local:
            raise NotAllowed("cargo is served to zones alone, under their own keys")
        row = self._desk.store.app_by_name(ask.app)
        state = None if row is None else self._desk.reader.fresh(row.id)
        version = None if state is None else state.versions.get(ask.version)
        # one that was taken off the app has no claim to what was pushed since
        zones = () if state is None else (*state.zones, *(version.zones if version is not None else ()))
        if state is None or (client.zone and client.zone not in zones):
            raise NotFound(f"the zone {client.zone} has no app {ask.app}")
        if version is None or version.payload is None:
            raise NotFound(f"v{ask.version} of {ask.app} has no cargo")
        data = self._cargoes.piece(client.zone, state, version, ask.offset)
        return Piece(data, self._cargoes.size(state, version))

    def admits(self, key: str, size: int) -> bool:
        """Whether a message of so many bytes may be broadcast under this key now. It costs nothing to ask, and waits for nothing."""
        return self._rates.takes(key, size + LEAST)

    def take(self, client: Client, broadcast_id: str, body: bytes) -> None:
        """A BroadcastMessage of a client or a zone: a line of the version's output. Only the journal ends a broadcast."""
        state, version = self._find(broadcast_id)
        if version.status in OVER or not version.job:
            raise NotFound(f"v{version.number} of {state.name} takes no lines now")
        who = self._writer(client, state)
        document = _checked("dploy-broadcast-message", body)
        text = str(document["body"].get("data", ""))
        is_status = document["type"] == "status"
        for line in text.splitlines() or [""]:
            # a line of others never looks like a status of the center
            said = f"{document['body']['type']}: {line}" if is_status else line
            self._say(version.job, f"{who}{said.removeprefix(PLATFORM)}\n")

    def may_hear(self, client: Client, group: str) -> bool:
        """Whether it may listen to a broadcast of an app of the group."""
        if client.principal is None:
            return False
        try:
            require(client.principal, Verb.OUTPUT, group)
        except NotAllowed:
            return False
        return True

    def _writer(self, client: Client, state: State) -> str:
        """What stands before its lines. Raises NotAllowed."""
        if client.zone:
            if client.zone not in state.zones:
                raise NotAllowed(f"the zone {client.zone} has no app {state.name}")
            return f"{client.zone}: "
        require(_principal(client), Verb.DEPLOY, state.group)
        return ""


class _Rates:
    """A bucket of bytes for each key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: key -> bytes that it may send now, and when that was so; the one that sent last is the last
        self._left: dict[str, tuple[float, float]] = {}

    def takes(self, key: str, size: int) -> bool:
        """Whether it may send so many bytes now."""
        now = time.monotonic()
        with self._lock:
            left, at = self._left.pop(key, (float(BURST), now))
            left = min(float(BURST), left + (now - at) * RATE)
            is_taken = left >= size
            self._left[key] = (left - size if is_taken else left, now)
            while len(self._left) > MOST_RATES:
                del self._left[next(iter(self._left))]
        return is_taken


def _principal(client: Client) -> Principal:
    if client.principal is None:
        raise NotAllowed("the center does not know this key as a client's (dploy_clients)")
    return client.principal


def _checked(schema: str, body: bytes) -> Mapping[str, Any]:
    """The document, which fits the schema. Raises BadDocument."""
    document = strict_json.loads(body)
    if not isinstance(document, dict):
        raise BadMessage("expected an object")
    json_schema.check(schema, document)
    return document
