"""What dependents may ask of the pipelines of this engine: to subscribe, to get releases, to vote. Any thread.

Whose message it is is decided here, what follows from it by the pipeline's machine, over the bus. Must not know connections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from re_core import ports
from re_core.cdpm import events as e
from re_core.cdpm import messages as cdpm
from re_core.cdpm.ids import ReleaseKey, pipeline_key
from re_core.cdpm.json_hints import NotJson
from re_core.cdpm.messages import Message
from re_core.cdpm.moments import written
from re_core.cdpm.state import State, behind, member
from re_core.cdpm.values import ReleaseRef
from re_core.errors import BadMessage, BusUnavailable, CallerError, NoAnswer, OperatorError, TransientError
from re_core.ports.peering import Peering, PeerRefused, SourceUnavailable, Unverified
from re_core.rows import PipelineRow, Position
from re_core.usecases.cdpm.acknowledgements import Acknowledgements
from re_core.usecases.cdpm.asking import Said, ask
from re_core.usecases.cdpm.peers import AHEAD, PROVEN, Peers, Verified, check_parties
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.usecases.cdpm.refusals import Counts, Refusals, network_of, status_of

#: files of nodes that are not known which one address may have read in a minute, where a node takes any subscriber
STRANGERS = 10

#: characters of the reason in an answer
_MOST_REASON = 500

_log = logging.getLogger(__name__)


class _Store(ports.Pipelines, ports.Journal, Protocol):
    """The parts of a store that are needed."""


class Reply(NamedTuple):
    """The answer to a POST."""

    status: int
    payload: bytes
    #: value of the header CDPM-Signature
    signature: str


class Subscriber(NamedTuple):
    """Whom a connection is of."""

    pipeline: str
    #: URL of the pipeline's own cdpm.yml, and of the subscriber's
    source: str
    url: str
    subscription: str
    #: after which release it goes on; None: since it has subscribed
    last: ReleaseKey | None
    #: it has said before what it has received
    acknowledges: bool
    #: (iat, jti) of the message that opened it
    opened: tuple[int, str]

    @property
    def key(self) -> str:
        """Key of the pipeline."""
        return pipeline_key(self.pipeline)


class Heard(NamedTuple):
    """What a frame has led to."""

    #: id of the release that the subscriber says to have; None: it does not say
    received: int | str | None = None
    #: frame to send; empty: none
    answer: str = ""
    refused: bool = False


class Dependents:
    """See the module."""

    def __init__(
        self,
        bus: ports.Bus,
        store: _Store,
        clock: ports.Clock,
        peering: Peering,
        reader: PipelineReader,
        counted: Callable[[str], None] = lambda code: None,
        window: int = 300_000,
        timeout: float = 10.0,
    ) -> None:
        """`reader`: the caller closes it; `counted`: called with the code of each refusal; `window`: milliseconds for which a
        message is accepted; `timeout`: seconds that a question waits for the engine."""
        self._bus, self._store, self._clock, self._timeout = bus, store, clock, timeout
        self._signatures, self._window = peering.signatures, window
        self._peers = Peers(peering, store, clock, window)
        self._refusals, self._strangers = Refusals(counted), Counts()
        self.reader = reader
        self._acknowledgements = Acknowledgements(store)

    def close(self) -> None:
        """Write down what is known."""
        self._acknowledgements.close()

    def refused(self, error: PeerRefused, address: str, peer: Subscriber | None = None) -> None:
        """Note what was refused before it was a message."""
        self._refusals.note(error, peer.source if peer else "", peer.url if peer else "", address)

    # -- subscribe, unsubscribe --------------------------------------------------------------------

    def subscribe(self, body: bytes, signature: str, address: str) -> Reply:
        """POST /subscribe; `signature`: the header CDPM-Signature.

        A refusal is a signed answer where the signature fits. Else raises PeerRefused, SourceUnavailable; StoreUnavailable,
        BusUnavailable, TransientError where no core answers or this node cannot sign just now.
        """
        unverified: Unverified | None = None
        row: PipelineRow | None = None
        verified: Verified | None = None
        try:
            unverified = self._signatures.detached(signature, body)
            row, state = self._node(unverified)
            stranger = self._is_stranger(state, unverified.claims.iss, address)
            verified = self._peers.verified(unverified, row.source, stranger=stranger)
            return self._subscribed(row, verified)
        except (PeerRefused, SourceUnavailable) as error:
            refused = self._noted(error, unverified, address)
            if unverified is None or row is None or not (verified or refused.code in PROVEN):
                raise
            return self._signed(row, unverified, _no(refused, self._clock.now()))

    def _subscribed(self, row: PipelineRow, verified: Verified) -> Reply:
        message = _parsed(verified)
        claims = verified.claims
        if isinstance(message, cdpm.Subscribe):
            refs = [one._asdict() for one in message.subscriptions]
            key = verified.file.key.kid
            event: Any = e.SubscribeAsked(claims.iss, message.caller_name, refs, claims.jti, claims.iat, key)
        elif isinstance(message, cdpm.Unsubscribe):
            event = e.UnsubscribeAsked(claims.iss, message.subscription_id, claims.jti, claims.iat)
        else:
            raise PeerRefused("bad-message", "POST /subscribe takes subscribe and unsubscribe")
        asked = self._ask(row, event)
        if asked is None:
            raise TransientError(f"the engine did not answer within {self._timeout:g} s; ask again")
        if not asked.accepted:
            raise PeerRefused(asked.reason, asked.detail)
        stamp = _stamp(self._clock.now())
        if isinstance(message, cdpm.Subscribe):
            answer = cdpm.Subscribed(asked.subscriptions, response_time_stamp=stamp)
        else:
            answer = cdpm.Subscribed((message.subscription_id,), "200", "OK", stamp, "unsubscribed")
        return self._signed(row, Unverified(claims, b"", ""), answer)

    def _signed(self, row: PipelineRow, asked: Unverified, answer: cdpm.Subscribed) -> Reply:
        payload = cdpm.emit(answer)
        compact = self._sign(row.id, row.source, payload, asked.claims.iss, asked.claims.jti)
        return Reply(int(answer.status_code), payload, self._signatures.detach(compact))

    # -- connections -------------------------------------------------------------------------------

    def open(self, text: str, address: str) -> Subscriber:
        """Whose connection it is, by its first frame. Raises PeerRefused, SourceUnavailable, StoreUnavailable."""
        unverified: Unverified | None = None
        try:
            unverified = self._signatures.read(text)
            row, state = self._node(unverified)
            stranger = self._is_stranger(state, unverified.claims.iss, address)
            verified = self._peers.verified(unverified, row.source, stranger=stranger)
            return self._opened(row, state, verified)
        except (PeerRefused, SourceUnavailable) as error:
            raise self._noted(error, unverified, address) from None

    def _opened(self, row: PipelineRow, state: State, verified: Verified) -> Subscriber:
        message, claims = _parsed(verified), verified.claims
        if not isinstance(message, cdpm.Open):
            raise PeerRefused("bad-message", "the first frame of a connection is `open`")
        if claims.iss in state.barred:
            raise PeerRefused("barred", "an operator has barred the sender")
        subscription = message.subscription_id
        if member(state, subscription, claims.iss) is None:
            raise PeerRefused("not-subscribed", "the sender has no such subscription")
        since = self._clock.now() - self._window - AHEAD
        if not self._store.open_position(subscription, row.id, claims.iat, claims.jti, since):
            why = "this message has opened a connection before, or too many others have since"
            raise PeerRefused("replayed", why)
        position = self._store.position(subscription) or Position(subscription, row.id)
        last = ReleaseKey(*message.last) if message.last else None
        if last is None and position.delivered:
            last = ReleaseKey(position.delivered, position.delivered_at)
        opened = claims.iat, claims.jti
        return Subscriber(row.id, row.source, claims.iss, subscription, last, position.acknowledges, opened)

    def behind(self, peer: Subscriber, last: ReleaseKey | None) -> Sequence[ReleaseRef] | None:
        """What to send to it, in order; None where the subscription has ended. Raises StoreUnavailable."""
        state = self.reader.known(peer.key)
        if state.ended is not None or member(state, peer.subscription, peer.url) is None:
            return None
        return behind(state, peer.subscription, last)

    def is_replaced(self, peer: Subscriber) -> bool:
        """Whether its subscriber has opened a newer connection, to whichever process. Raises StoreUnavailable."""
        position = self._store.position(peer.subscription)
        return position is not None and bool(position.opens) and position.opens[-1] != peer.opened

    def release(self, peer: Subscriber, ref: ReleaseRef) -> str:
        """The frame with that release, signed now; empty where it cannot be one.

        Raises NotFound, StoreUnavailable, TransientError where this node cannot sign just now.
        """
        document = self.reader.document(peer.key, ref)
        try:
            return self._sign(peer.pipeline, peer.source, document, peer.url)
        except ValueError as error:
            _log.error("release %d of %s cannot be sent: %s", ref.n, peer.source, error, extra={"action": "bug"})
            return ""

    def digest(self, peer: Subscriber) -> str:
        """Of the node's own cdpm.yml, as it was read last. Raises StoreUnavailable."""
        return self.reader.known(peer.key).digest

    def rotated(self, peer: Subscriber, before: str) -> tuple[str, str]:
        """See Peers.rotated. Raises TransientError where this node cannot sign just now."""
        with self._signing(peer.source):
            return self._peers.rotated(peer.pipeline, peer.source, peer.url, before)

    def acknowledged(self, peer: Subscriber, ref: ReleaseRef) -> None:
        """It has this release, and all before it."""
        self._acknowledgements.add(Position(peer.subscription, peer.pipeline, ref.n, ref.created_at, True))

    def hear(self, peer: Subscriber, text: str, address: str) -> Heard:
        """A frame after the first one. Raises StoreUnavailable."""
        unverified: Unverified | None = None
        verified: Verified | None = None
        try:
            unverified = self._signatures.read(text)
            verified = self._peers.verified(unverified, peer.source, peer.url)
            return self._heard(peer, verified)
        except (PeerRefused, SourceUnavailable) as error:
            refused = self._noted(error, unverified, address)
            if unverified is None or not (verified or refused.code in PROVEN):
                return Heard(refused=True)
            return Heard(answer=self._refusal(peer, unverified, refused), refused=True)

    def _heard(self, peer: Subscriber, verified: Verified) -> Heard:
        message = _parsed(verified)
        if isinstance(message, cdpm.Received):
            _check_own(peer, message.subscription_id)
            return Heard(received=message.id)
        if isinstance(message, cdpm.Vote):
            _check_own(peer, message.subscription_id)
            return self._vote(peer, verified, message)
        if isinstance(message, cdpm.KeyRotated):
            self._peers.look_again(peer.url)
            return Heard()
        raise PeerRefused("bad-message", "a subscriber sends `received`, votes and `key_rotated` here")

    def _vote(self, peer: Subscriber, verified: Verified, vote: cdpm.Vote) -> Heard:
        if not isinstance(vote.id, int):
            raise PeerRefused("unknown-release", "ids of releases here are numbers")
        claims, value = verified.claims, "stable" if vote.stable else "unstable"
        about = vote.id, vote.created_at, value, str(vote.deployable.id)
        event = e.VoteReceived(peer.url, vote.subscription_id, *about, claims.jti, claims.iat)
        try:
            asked = self._ask(peer, event)
        except BusUnavailable:
            asked = None
        if asked is None:  # it was not counted, or it was: its sender sends it again
            return Heard(received=vote.id)
        if not asked.accepted:
            raise PeerRefused(asked.reason, asked.detail)
        return Heard(vote.id, self._vote_answer(peer, vote, verified.claims.jti, "200", "OK"))

    def _refusal(self, peer: Subscriber, unverified: Unverified, refused: PeerRefused) -> str:
        """The answer to a vote; nothing else is answered."""
        try:
            vote = cdpm.parse(unverified.payload)
        except BadMessage:
            return ""
        if not isinstance(vote, cdpm.Vote):
            return ""
        return self._vote_answer(peer, vote, unverified.claims.jti, str(status_of(refused)), _reason(refused))

    def _vote_answer(self, peer: Subscriber, vote: cdpm.Vote, jti: str, code: str, why: str) -> str:
        answer = cdpm.VoteAnswer((vote.subscription_id,), code, why, _stamp(self._clock.now()))
        return self._sign(peer.pipeline, peer.source, cdpm.emit(answer), peer.url, jti)

    # -- common ------------------------------------------------------------------------------------

    def _node(self, unverified: Unverified) -> tuple[PipelineRow, State]:
        """The node that the message names. Raises PeerRefused."""
        row = self._store.pipeline_by_source(unverified.claims.aud)
        state = None if row is None else self.reader.state(pipeline_key(row.id))
        if row is None or state is None or state.ended is not None:
            raise PeerRefused("unknown-node", f"there is no node {unverified.claims.aud[:200]} here")
        if not state.digest:
            raise PeerRefused("not-ready", "the cdpm.yml of this node was not read yet; try again in a minute")
        return row, state

    def _is_stranger(self, state: State, url: str, address: str) -> bool:
        """Whether the node does not know the sender. Raises PeerRefused where it does not take such, so that no file is read for it."""
        if url in state.dependents or any(one.url == url for one in state.subscriptions.values()):
            return False
        if not state.node.open_to_any:
            raise PeerRefused("not-listed", "the node's cdpm.yml does not name the sender among its Dependents")
        if self._strangers.hit(network_of(address)) > STRANGERS:
            why = f"more than {STRANGERS} messages of nodes that are not known have come from there in a minute"
            raise PeerRefused("source-unavailable", f"the file of the sender is not read now: {why}")
        return True

    def _noted(
        self, error: PeerRefused | SourceUnavailable, unverified: Unverified | None, address: str
    ) -> PeerRefused:
        refused = error if isinstance(error, PeerRefused) else PeerRefused("source-unavailable", str(error))
        node, sender = (unverified.claims.aud, unverified.claims.iss) if unverified else ("", "")
        self._refusals.note(refused, node, sender, address)
        return refused

    def _sign(self, pipeline: str, source: str, payload: bytes, audience: str, answered: str = "") -> str:
        with self._signing(source):
            return self._peers.sign(pipeline, source, payload, audience, answered)

    @contextmanager
    def _signing(self, source: str) -> Iterator[None]:
        """Raises TransientError where the node cannot sign just now, whatever the reason: an operator sees it in the log."""
        try:
            yield
        except (CallerError, OperatorError) as error:
            _log.warning("%s cannot sign: %s", source, error, extra={"action": "cdpm_not_ready"})
            raise TransientError("this node cannot sign just now; ask again later") from None

    def _ask(self, node: PipelineRow | Subscriber, event: Any) -> Said | None:
        """What the pipeline says; None where no core has answered. Raises BusUnavailable."""
        pipeline = node.id if isinstance(node, PipelineRow) else node.pipeline
        try:
            return ask(self._bus, pipeline_key(pipeline), event, self._timeout)
        except NoAnswer:
            return None


def _parsed(verified: Verified) -> Message:
    """Raises PeerRefused."""
    try:
        message = cdpm.parse(verified.payload)
    except NotJson as error:
        raise PeerRefused("not-json", str(error)) from None
    except BadMessage as error:
        raise PeerRefused("bad-message", str(error)) from None
    check_parties(message, verified.claims)
    return message


def _check_own(peer: Subscriber, subscription: str) -> None:
    if subscription != peer.subscription:
        raise PeerRefused("not-subscribed", "this connection is of another subscription")


def _no(refused: PeerRefused, now: int) -> cdpm.Subscribed:
    return cdpm.Subscribed((), str(status_of(refused)), _reason(refused), _stamp(now), "not subscribed")


def _reason(refused: PeerRefused) -> str:
    """On one line."""
    return " ".join(f"{refused.code}: {refused.detail}".split())[:_MOST_REASON]


def _stamp(now: int) -> str:
    """UTC in whole seconds, as in the founding document."""
    return written(now)[:19]
