"""The link of a node to one of its dependencies: subscribes, connects, and begins again. Must not know which links there are.

Each has a thread of its own, since looking a name up, connecting and reading a file block. What a peer can do wrong ends an attempt and
lengthens the pause before the next; it never ends the link.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

from re_core.backoff import Backoff
from re_core.cdpm import events as e
from re_core.cdpm import messages as w
from re_core.cdpm.state import State, awaited_votes
from re_core.cdpm.values import Dependency, DependentStatus
from re_core.errors import CallerError, OperatorError, ReleaseEngineError, TransientError
from re_core.ports.peering import (
    Channel,
    ChannelClosed,
    HandshakeRefused,
    PeerAnswer,
    PeerRefused,
    SourceUnavailable,
)
from re_core.services.cdpm_talk import GOING_AWAY, Arrivals, Ends, Peer, Surroundings, Talk

#: codes of close frames (docs/cdpm.md, The connection)
NORMAL, NO_ROOM, REPLACED, ENDED, REFUSED = 1000, 1013, 4000, 4001, 4003

#: answers by which a dependency does not want this node's subscription
UNWANTED = frozenset({403, 404})

#: answer that is not signed -> what a person may do; of such an answer nothing but its status is believed
UNSIGNED = {
    403: "perhaps the cdpm.yml of the dependency does not list this node, or its engine has not read that yet",
    404: "perhaps the url in the cdpm.yml of the dependency is wrong, or its engine does not have that node",
}

#: seconds that a peer's Retry-After may ask for at most
MOST_RETRY_AFTER = 3600

#: characters of the reason that the node shows
_MOST_WHY = 500

_log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """What a link does now."""

    STARTING = "starting"
    SUBSCRIBING = "subscribing"
    CONNECTING = "connecting"
    UP = "up"
    WAITING = "waiting"
    ENDED = "ended"


class LinkStatus(NamedTuple):
    """For people and figures."""

    ends: Ends
    state: LinkState
    #: since when, in seconds of the monotonic clock
    since: float
    #: why it is not up; empty where it is
    why: str = ""


class _Pause(Exception):
    """This attempt is over. Never leaves the link."""

    def __init__(self, why: str, seconds: float, shown: str = "") -> None:
        """`shown`: the reason as the node shows it, where that is another text."""
        super().__init__(why)
        self.seconds, self.shown = seconds, shown or why


class Link:
    """`start`, `stop`, `wake` and `status` are for any thread."""

    def __init__(self, around: Surroundings, ends: Ends) -> None:
        self.ends = ends
        self._around, self._peer = around, Peer(around, ends)
        timing = around.timing
        self._backoff = Backoff(timing.first, timing.longest)
        #: where the dependency knows the subscription no more: both journals grow by each new one, whatever it says in between
        self._ended = Backoff(timing.first, timing.longest)
        self._unwanted = Backoff(timing.refused, timing.refused_longest)
        self._stop, self._bell = threading.Event(), threading.Event()
        self._channel: Channel | None = None
        self._arrivals = Arrivals()
        #: why it was not up when that was logged last; once it is up, all is logged again
        self._logged = ""
        #: the subscription that the dependency was asked for last, or that this node had
        self._subscription = ""
        self.status = LinkStatus(ends, LinkState.STARTING, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="cdpm-link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something has changed: look. Never blocks."""
        self._bell.set()
        if (channel := self._channel) is not None:
            channel.wake()

    def stop(self) -> None:
        """End, and leave the subscription as it is: another core goes on with it, or this one after its restart. Does not wait."""
        self._stop.set()
        self.wake()

    def join(self, timeout: float) -> bool:
        """Whether it has ended within so many seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    # -- its thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._around.reader.follow(self.ends.key, self.wake):
            while not self._stop.is_set():
                try:
                    if self._attempt():
                        continue
                    break
                except _Pause as over:
                    pause, why = over.seconds, str(over)
                    self._tell_why(over.shown)
                except HandshakeRefused as error:
                    pause, why = self._after_handshake(error), str(error)
                except ChannelClosed as closed:
                    pause, why = self._after_close(closed), f"closed with {closed.code}: {closed}"
                except (TransientError, CallerError, OperatorError) as error:
                    pause, why = self._after_error(error), str(error)
                except Exception as error:  # a bug met by what a peer sent: other links go on
                    _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
                    pause, why = self._around.timing.longest, f"a bug of the engine: {error!r}"
                self._wait(pause, why)
        self._show(LinkState.ENDED)

    def _attempt(self) -> bool:
        """Subscribe or speak; False where there is nothing left to link. Raises what it must wait after."""
        state = self._around.reader.state(self.ends.key)
        known = self._known(state)
        if known is None:
            self._leave()
            return False
        self._subscription = known.subscription or self._subscription
        wanted = state.node.wanted_ref(self.ends.dependency)
        if known.status is DependentStatus.INITIAL or known.ref != wanted[1]:
            self._subscribe(state, known, w.Reference(*wanted))
        else:
            self._speak(known)
        return True

    def _known(self, state: State) -> Dependency | None:
        """The dependency as it is in the journal; None where this node has left it."""
        known = state.dependencies.get(self.ends.dependency)
        gone = state.ended is not None or known is None or known.url != self.ends.url or known.away
        return None if gone else known

    # -- the subscription --------------------------------------------------------------------------

    def _subscribe(self, state: State, known: Dependency, wanted: w.Reference) -> None:
        self._show(LinkState.SUBSCRIBING)
        around, ends = self._around, self.ends
        answer, said = self._post(w.Subscribe(state.name, ends.source, (wanted,), ends.url))
        if said is not None and said.message_type == "subscribed" and answer.status == 200 and said.subscriptions:
            self._joined(known, said.subscriptions[0], wanted.ref)
            return
        if said is not None:
            why = f"{answer.status} {said.status_msg}"
        else:
            around.peers.look_again(ends.url)  # it may answer elsewhere by now
            hint = UNSIGNED.get(answer.status, "")
            why = f"{answer.status} without a valid signature{f': {hint}' if hint else ''}"
        if answer.status not in UNWANTED:
            raise _Pause(f"the dependency answers {why}", self._later(answer.headers.get("retry-after", "")))
        raise _Pause(f"the dependency refuses the subscription: {why}", self._unwanted.next(), why)

    def _joined(self, known: Dependency, subscription: str, ref: str) -> None:
        told = self._peer.tell(e.Subscribed(self.ends.dependency, subscription, ref))
        if not told.accepted:
            raise _Pause(f"{told.reason}: {told.detail}", self._backoff.next())
        before, self._subscription = self._subscription, subscription
        _log.info("%s is subscribed to %s", self.ends.node, self.ends.dependency, extra={"action": "cdpm_subscribed"})
        if known.subscription and before != subscription:
            self._unsubscribe(before)  # of the ref before
        self._around.reader.state(self.ends.key)  # so that the next attempt knows it

    def _leave(self) -> None:
        """Once, best effort: a dependency that does not hear it learns it from a connection that does not come."""
        subscription, self._subscription = self._subscription, ""
        if subscription:
            self._unsubscribe(subscription)

    def _unsubscribe(self, subscription: str) -> None:
        ends = self.ends
        message = w.Unsubscribe(ends.node.partition("/")[2], ends.source, subscription, ends.url)
        try:
            answer, _ = self._post(message)
            said = f"it answers {answer.status}"
        except ReleaseEngineError as error:
            said = str(error)
        _log.info("%s leaves %s: %s", ends.node, ends.dependency, said, extra={"action": "cdpm_left"})

    def _post(self, message: w.Subscribe | w.Unsubscribe) -> tuple[PeerAnswer, w.Subscribed | None]:
        """The answer, and what it says where the dependency has signed it as the answer to this."""
        around = self._around
        compact, jti = self._peer.signed(message)
        headers = {"cdpm-signature": around.peering.signatures.detach(compact)}
        url = f"{around.peers.file_of(self.ends.url).url}/subscribe"
        answer = around.peering.dialer.post(url, w.emit(message), headers, around.timing.answer)
        header = answer.headers.get("cdpm-signature", "")
        try:
            verified, said = self._peer.read_answer(header, answer.body)
        except PeerRefused as refused:
            if answer.status == 200:
                self._peer.refuse(refused)
            return answer, None
        is_answer = isinstance(said, w.Subscribed) and verified.claims.irt == jti
        return answer, said if is_answer and isinstance(said, w.Subscribed) else None

    # -- the connection ----------------------------------------------------------------------------

    def _speak(self, known: Dependency) -> None:
        """Until the connection ends, or there is no reason for it any more. Raises ChannelClosed and others."""
        around = self._around
        self._show(LinkState.CONNECTING)
        channel = around.peering.dialer.dial(around.peers.file_of(self.ends.url).url, around.timing.connect)
        code = GOING_AWAY
        self._channel = channel
        try:
            talk = Talk(around, self.ends, channel, known.subscription, self._arrivals)
            talk.open(known)
            begun = time.monotonic()
            self._show(LinkState.UP)
            _log.info("%s is connected to %s", self.ends.node, self.ends.dependency, extra={"action": "cdpm_link_up"})
            while self._is_needed(state := around.reader.known(self.ends.key), known):
                talk.turn(state, awaited_votes(state, self.ends.dependency))
                self._logged = ""
                self._went_well(talk.heard, time.monotonic() - begun > around.timing.steady)
            code = NORMAL
        finally:
            self._channel = None
            channel.close(code, "")

    def _went_well(self, heard: bool, steady: bool) -> None:
        """A dependency that speaks is no stranger: that it restarts often must not make this node wait ever longer."""
        if heard or steady:
            self._backoff.reset()
        if steady:
            self._ended.reset()
            self._unwanted.reset()

    def _is_needed(self, state: State, known: Dependency) -> bool:
        if self._stop.is_set():
            return False
        now = self._known(state)
        wanted = state.node.wanted_ref(self.ends.dependency)
        return now is not None and now.subscription == known.subscription and now.ref == wanted[1]

    # -- between two attempts ----------------------------------------------------------------------

    def _after_close(self, closed: ChannelClosed) -> float:
        """Seconds to wait. Raises nothing: what the node has to know is sent again after the next attempt."""
        if closed.code == REPLACED:
            return self._around.timing.replaced
        if closed.code == NO_ROOM:
            return max(self._around.timing.replaced, self._backoff.next())
        ended = closed.code == ENDED or (closed.code == REFUSED and "not-subscribed" in str(closed))
        if ended:
            why = "the dependency knows this subscription no more"
            with suppress(TransientError):
                self._peer.tell(e.NotSubscribed(self.ends.dependency, why))
                self._around.reader.state(self.ends.key)
            return self._ended.next()
        return self._unwanted.next() if closed.code == REFUSED else self._backoff.next()

    def _after_handshake(self, refused: HandshakeRefused) -> float:
        if refused.status in UNWANTED:
            return self._unwanted.next()
        return self._later(refused.headers.get("retry-after", ""))

    def _after_error(self, error: ReleaseEngineError) -> float:
        """Seconds to wait. A peer that cannot be reached, or only where it must not be, may answer elsewhere by now."""
        if isinstance(error, SourceUnavailable | PeerRefused):
            self._around.peers.look_again(self.ends.url)
        self._tell_why(str(error))
        return self._backoff.next()

    def _tell_why(self, why: str) -> None:
        """The node shows why it is not subscribed. Raises nothing: it is known with the next attempt."""
        why = why[:_MOST_WHY]
        with suppress(TransientError, OperatorError):
            known = self._known(self._around.reader.known(self.ends.key))
            if known is not None and known.status is DependentStatus.INITIAL and known.why != why:
                self._peer.tell(e.NotSubscribed(self.ends.dependency, why))

    def _later(self, retry_after: str) -> float:
        asked = min(int(retry_after), MOST_RETRY_AFTER) if retry_after.isascii() and retry_after.isdigit() else 0
        return max(float(asked), self._backoff.next())

    def _wait(self, seconds: float, why: str) -> None:
        """Or until it is stopped, or what it is about has changed."""
        self._show(LinkState.WAITING, why)
        if why != self._logged:
            self._logged = why
            text = "%s is not linked to %s: %s; trying again in %.0f s"
            _log.warning(text, self.ends.node, self.ends.dependency, why, seconds, extra={"action": "cdpm_link_down"})
        until, about = time.monotonic() + seconds, self._about()
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._bell.wait(min(left, self._around.timing.look))
            self._bell.clear()
            if (now := self._about()) is not None and about is not None and now != about:
                return

    def _about(self) -> object:
        """What an attempt depends on; None where it cannot be read just now."""
        try:
            state = self._around.reader.known(self.ends.key)
        except (TransientError, OperatorError):
            return None
        return self._known(state) is None, state.digest, state.node.wanted_ref(self.ends.dependency)

    def _show(self, state: LinkState, why: str = "") -> None:
        self.status = LinkStatus(self.ends, state, time.monotonic(), why)
