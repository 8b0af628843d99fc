"""One connection with a dependency: releases in, acknowledgements and votes out. Must not know how it was made.

A release is acknowledged once the journal has it; a vote is sent again until it is answered. What a peer sends is believed once its
signature was verified.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import NamedTuple

from re_core.cdpm import events as e
from re_core.cdpm import messages as w
from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.json_hints import NotJson
from re_core.cdpm.moments import written
from re_core.cdpm.state import State
from re_core.cdpm.values import STABLE, Dependency, Vote
from re_core.errors import BadMessage, Conflict, NoAnswer
from re_core.ports import Bus
from re_core.ports.peering import (
    Channel,
    Peering,
    PeerRefused,
    SourceUnavailable,
    Unverified,
)
from re_core.usecases.cdpm.asking import Said, ask
from re_core.usecases.cdpm.peers import Peers, Verified, check_parties
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.usecases.cdpm.refusals import Refusals
from re_core.wire import strict_json

#: refused frames within a minute after which the connection is closed
MOST_REFUSED, MINUTE = 10, 60.0

#: reasons for which a frame is passed over. After any other the connection is made again: the frame may have been a release, and the
#: acknowledgement of the next one would stand for it too
PASSED_OVER = frozenset(
    {"bad-alg", "bad-message", "not-json", "replayed", "unknown-sender", "unsigned", "wrong-audience", "wrong-issuer"}
)

#: releases of one dependency that are taken within an hour (HOUR, seconds): each is in the journal for ever
MOST_RELEASES, HOUR = 200, 3600.0

#: codes of close frames: this side stops; too many refused frames
GOING_AWAY, POLICY = 1001, 1008

#: answers to a vote that are final beside 2xx
FINAL = frozenset({403, 404, 409})

_log = logging.getLogger(__name__)


class Timing(NamedTuple):
    """How long links wait; seconds."""

    #: for a connection, for an answer of a peer, and for one of the core
    connect: float = 10.0
    answer: float = 10.0
    #: between two looks at the pipeline without a hint
    look: float = 5.0
    #: until a vote that was not answered is sent again
    vote: float = 60.0
    #: the first pause before another connection, and the longest
    first: float = 1.0
    longest: float = 300.0
    #: the same where the dependency refuses the subscription
    refused: float = 60.0
    refused_longest: float = 3600.0
    #: after a newer connection took the place of this one, and where the peer has no room
    replaced: float = 30.0
    #: connected for so long, the next pause is the first again though the dependency has said nothing
    steady: float = 60.0


class Surroundings(NamedTuple):
    """What all links share."""

    bus: Bus
    peering: Peering
    peers: Peers
    reader: PipelineReader
    refusals: Refusals
    timing: Timing = Timing()


class Ends(NamedTuple):
    """A node of this engine, and the dependency that it is linked to. All of it is fixed for the life of a link."""

    #: id of the pipeline, key of its aggregate, its `group/name`
    pipeline: str
    key: str
    node: str
    #: URL of its own cdpm.yml
    source: str
    #: name in Dependencies, and URL
    dependency: str
    url: str


class Peer:
    """The dependency as the source and target of signed messages. One thread at a time."""

    def __init__(self, around: Surroundings, ends: Ends) -> None:
        self._around, self._ends = around, ends

    def signed(self, message: w.Message) -> tuple[str, str]:
        """The compact JWS of a message to the dependency, and its jti. Raises as Peers.sign."""
        ends = self._ends
        compact = self._around.peers.sign(ends.pipeline, ends.source, w.emit(message), ends.url)
        return compact, self._around.peering.signatures.read(compact).claims.jti

    def rotated(self, before: str) -> tuple[str, str]:
        """See Peers.rotated."""
        ends = self._ends
        return self._around.peers.rotated(ends.pipeline, ends.source, ends.url, before)

    def read(self, text: str) -> tuple[Verified, w.Message]:
        """A frame of the dependency. Raises PeerRefused, SourceUnavailable."""
        return self._verified(self._around.peering.signatures.read(text))

    def read_answer(self, header: str, body: bytes) -> tuple[Verified, w.Message]:
        """An answer of the dependency over HTTP. Raises PeerRefused, SourceUnavailable."""
        return self._verified(self._around.peering.signatures.detached(header, body))

    def _verified(self, unverified: Unverified) -> tuple[Verified, w.Message]:
        verified = self._around.peers.verified(unverified, self._ends.source, self._ends.url)
        try:
            message = w.parse(verified.payload)
        except NotJson as error:
            raise PeerRefused("not-json", str(error)) from None
        except BadMessage as error:
            raise PeerRefused("bad-message", str(error)) from None
        check_parties(message, verified.claims)
        return verified, message

    def refuse(self, refused: PeerRefused) -> None:
        """Note what the dependency sent."""
        self._around.refusals.note(refused, self._ends.source, self._ends.url, self._ends.url)

    def tell(self, event: e.Request) -> Said:
        """Send an event to the node. Raises BusUnavailable, NoAnswer."""
        return ask(self._around.bus, self._ends.key, event, self._around.timing.answer)


class Arrivals:
    """When the releases of one dependency came. One thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._time = monotonic
        self._times: deque[float] = deque()

    def note(self) -> None:
        """One more. Raises PeerRefused where too many came: it comes again with a later connection."""
        now = self._time()
        while self._times and now - self._times[0] >= HOUR:
            self._times.popleft()
        if len(self._times) >= MOST_RELEASES:
            raise PeerRefused("too-many", f"more than {MOST_RELEASES} releases within an hour")
        self._times.append(now)


class Talk:
    """One connection. One thread, but for `wake` of its channel."""

    def __init__(
        self,
        around: Surroundings,
        ends: Ends,
        channel: Channel,
        subscription: str,
        arrivals: Arrivals,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`arrivals`: those of the connections before too."""
        self._around, self._ends, self._peer = around, ends, Peer(around, ends)
        self._arrivals = arrivals
        #: releases that the journal has, the newest of them
        self._seen: Sequence[ReleaseKey] = ()
        self._channel, self._subscription, self._time = channel, subscription, monotonic
        #: release -> jti of the vote on it, and when that was sent
        self._sent: dict[ReleaseKey, tuple[str, float]] = {}
        self._refusals: deque[float] = deque(maxlen=MOST_REFUSED + 1)
        #: whether a frame of the dependency was accepted
        self.heard = False
        #: kid of the key that signs, and digest of the own cdpm.yml when that was looked at
        self._kid = self._digest = ""

    def open(self, known: Dependency) -> None:
        """The first frame: where to go on. Raises ChannelClosed, and as Peers.sign."""
        last = known.seen[-1] if known.seen else None
        message = w.Open(self._subscription, None if last is None else (last.id, last.created_at))
        self._send(message)

    def turn(self, state: State, votes: Sequence[Vote]) -> None:
        """Send the votes whose time it is, and take one frame.

        Raises ChannelClosed, PeerRefused where the connection is to be made again; StoreUnavailable, BusUnavailable, NoAnswer.
        """
        if state.digest != self._digest:
            with suppress(PeerRefused, Conflict, SourceUnavailable):  # a message to send will say so
                self._follow_key()
            self._digest = state.digest
        self._vote(state, votes)
        known = state.dependencies.get(self._ends.dependency)
        self._seen = known.seen if known is not None else ()
        try:
            text = self._channel.take(self._pause(votes))
            if text is not None:
                self._on_frame(*self._peer.read(text))
                self.heard = True
        except PeerRefused as refused:
            self._refuse(refused)
        except SourceUnavailable as error:
            self._refuse(PeerRefused("source-unavailable", str(error)))

    # -- out ---------------------------------------------------------------------------------------

    def _send(self, message: w.Message) -> str:
        """Its jti."""
        self._follow_key()
        text, jti = self._peer.signed(message)
        self._channel.send(text)
        return jti

    def _follow_key(self) -> None:
        """Where another key signs now, the dependency learns it from the one that it knows, before it gets what that has signed."""
        self._kid, text = self._peer.rotated(self._kid)
        if text:
            self._channel.send(text)

    def _vote(self, state: State, votes: Sequence[Vote]) -> None:
        now = self._time()
        awaited = {ReleaseKey(one.id, one.created_at) for one in votes}
        self._sent = {key: sent for key, sent in self._sent.items() if key in awaited}
        for one in votes:
            key = ReleaseKey(one.id, one.created_at)
            if key in self._sent and now - self._sent[key][1] < self._around.timing.vote:
                continue
            self._sent[key] = self._send(self._message(state, one)), now

    def _message(self, state: State, vote: Vote) -> w.Vote:
        stable, ref = vote.value == STABLE, vote.ref or "unknown"
        tried = w.Deployable(vote.deployment, "success" if stable else "failed", ref, written(vote.at))
        ends = self._ends
        return w.Vote(
            stable, state.name, ends.source, self._subscription, vote.id, ref, vote.created_at, tried, ends.url
        )

    def _pause(self, votes: Sequence[Vote]) -> float:
        times = [sent + self._around.timing.vote - self._time() for _, sent in self._sent.values()]
        return max(0.05, min([self._around.timing.look, *times]))

    # -- in ----------------------------------------------------------------------------------------

    def _on_frame(self, verified: Verified, message: w.Message) -> None:
        if isinstance(message, w.NewRelease):
            self._on_release(verified, message)
        elif isinstance(message, w.VoteAnswer):
            self._on_answer(verified, message)
        elif isinstance(message, w.KeyRotated):
            self._around.peers.look_again(self._ends.url)
        else:
            raise PeerRefused("bad-message", f"a dependency sends no {type(message).__name__} over its connection")

    def _on_release(self, verified: Verified, message: w.NewRelease) -> None:
        """Acknowledged once the journal has it; where that is not known, a new connection asks for it again."""
        if ReleaseKey(message.id, message.created_at) not in self._seen:
            self._arrivals.note()
        listed = verified.file.listed(self._ends.source)
        major = listed is not None and listed.major
        document = strict_json.loads(verified.payload)
        said = self._peer.tell(
            e.ReleaseReceived(self._ends.dependency, message.id, message.created_at, document, major)
        )
        if said.accepted:
            self._send(w.Received(self._subscription, message.id))
        else:
            raise PeerRefused(said.reason, f"release {message.id}: {said.detail}")

    def _on_answer(self, verified: Verified, message: w.VoteAnswer) -> None:
        """To one of this connection's votes; any other is ignored."""
        key = next((key for key, (jti, _) in self._sent.items() if jti == verified.claims.irt), None)
        if key is None:
            return
        status = int(message.status_code)
        if not (200 <= status < 300 or status in FINAL):
            text = "%s answers %d to the vote on release %s: %s; it is sent again"
            _log.warning(text, self._ends.dependency, status, key.id, message.status_msg, extra={"action": "cdpm_vote"})
            return
        event = e.VoteAnswered(self._ends.dependency, key.id, key.created_at, status, message.status_msg)
        try:
            self._peer.tell(event)
        except NoAnswer:
            return  # it is still awaited, and sent again
        self._sent[key] = verified.claims.irt, inf  # not again, until the journal as this process knows it says so

    def _refuse(self, refused: PeerRefused) -> None:
        self._peer.refuse(refused)
        if refused.code not in PASSED_OVER:
            raise refused
        now = self._time()
        self._refusals.append(now)
        if len(self._refusals) > MOST_REFUSED and now - self._refusals[0] < MINUTE:
            self._channel.close(POLICY, "too many refused frames")
