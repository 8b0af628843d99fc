"""The processes that speak with peers: links, with the real decisions of what to send, and the sessions that they connect to.

Must not know what is promised. What re_core/services and re_rest do with threads and sockets, these do in turns.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from re_core.cdpm import events as e
from re_core.cdpm import messages as w
from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.state import State, awaited_votes, behind, member
from re_core.cdpm.values import DependentStatus, ReleaseRef
from re_core.cdpm.words import event_message
from re_core.errors import NoAnswer, TransientError
from re_core.ports import Bus, Releases
from re_core.services.cdpm_holders import Holders
from re_core.services.cdpm_watch import Watcher
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.wire import strict_json
from tests.simulation.peering import ENDED, LOST, REFUSED, REPLACED, Away, Frame, Line, Mailbox, Post
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.pipelines import PipelineCluster, SimNode

#: milliseconds between two turns of a link or a session that nothing comes to
PERIOD = 2_000
#: seconds that a request waits
PATIENCE = 10.0
#: milliseconds after which what was not answered or acknowledged is sent again
AGAIN = 60_000
#: milliseconds after which a link dials again that was replaced by a newer one
MAKE_ROOM = 30_000

#: statuses of refusals that are final for a vote; all others are sent again
FINAL = {
    "not-subscribed": 403,
    "not-major": 403,
    "unknown-release": 404,
    "changed-vote": 409,
    "replayed": 409,
    "removed": 404,
}


class Said(NamedTuple):
    """What a pipeline has answered."""

    accepted: bool
    reason: str
    subscriptions: Sequence[str]


class Open(NamedTuple):
    """The first frame of a connection."""

    subscription: str
    url: str
    last: ReleaseKey | None


class Received(NamedTuple):
    """A release and all before it are in the dependent's journal."""

    id: int | str


class Vote(NamedTuple):
    """On a release."""

    url: str
    subscription: str
    id: Any
    created_at: str
    value: str
    deployment: str
    jti: str


class VoteAnswer(NamedTuple):
    """To the vote with that jti."""

    irt: str
    status: int


class Pair(NamedTuple):
    """A node, and one of its dependencies."""

    node: SimNode
    dependency: SimNode


class PeerProcess(Process):
    """A process that asks pipelines and reads their journals."""

    def __init__(self, cluster: PipelineCluster, name: str) -> None:
        super().__init__(cluster, name)
        self.cluster = cluster
        self._numbers = itertools.count(1)

    def new_reader(self) -> PipelineReader:
        """One for each part: it has a lock, and here a part waits inside of the turn of another."""
        return PipelineReader(cast(Bus, self.bus), cast(Any, self.store))

    def new_id(self) -> str:
        return f"{self.name}/{next(self._numbers)}"

    def ask(self, key: str, event: Any) -> Said:
        """Raises BusUnavailable, NoAnswer."""
        named = event if event.request else event._replace(request=self.new_id())
        answer = self.bus.request(event_message(key, named), PATIENCE)
        if answer is None:
            raise NoAnswer
        said = strict_json.loads(answer.body)
        return Said(said["accepted"], said.get("reason", ""), said.get("subscriptions", ()))

    def die(self) -> None:
        """See Process."""
        super().die()
        self.cluster.wire.bury(self)


# -- the dependent's side ------------------------------------------------------------------------------


class LinkProcess(PeerProcess):
    """What a core does for the pipelines whose links it holds."""

    def __init__(self, cluster: PipelineCluster, name: str) -> None:
        super().__init__(cluster, name)
        for pair in cluster.pairs:
            link = Link(self, pair)
            self.add(f"link {pair.node.name}", link.turn, PERIOD, link.box)
        watch = Watch(self)
        self.add("watch", lambda: watch.turn(0), PERIOD, watch)


class Watch(Watcher):
    """The real one; an actor wakes for its hints (see Actor)."""

    def __init__(self, process: LinkProcess) -> None:
        holders = Holders(cast(Releases, process.store), process.name, alone=True)
        store, clock = cast(Any, process.store), process.world.time.monotonic
        super().__init__(cast(Bus, process.bus), store, process.new_reader(), holders, clock)
        self._subscription, self._cluster = self, process.cluster

    @property
    def signal(self) -> bool:
        return bool(self._hinted) and not self._cluster.watchers_gone

    def turn(self, timeout: float) -> int:
        """See Watcher."""
        return 0 if self._cluster.watchers_gone else super().turn(timeout)


class Link:
    """See re_core/services/cdpm_link.py."""

    def __init__(self, process: LinkProcess, pair: Pair) -> None:
        self._process, self._cluster, self._reader = process, process.cluster, process.new_reader()
        self._node, self._dependency = pair
        self.box = Mailbox(process.world)
        self._line: Line | None = None
        #: the subscription that it had last
        self._subscription = ""
        self._rests_until = 0
        #: release -> jti of the vote on it, and when that was sent
        self._sent: dict[ReleaseKey, tuple[str, int]] = {}

    def turn(self) -> None:
        """Raises TransientError after it has hung up."""
        try:
            self._turn()
        except TransientError:
            self._hang_up()
            raise

    def _turn(self) -> None:
        state = self._reader.state(self._node.key)
        known = state.dependencies.get(self._dependency.name)
        if known is None or known.away or state.ended is not None:
            self._leave()
            return
        self._subscription = known.subscription or self._subscription
        if self._line is not None and (self._line.code or self._line.subscription != known.subscription):
            self._after_close(self._line.code)
        elif known.status is DependentStatus.INITIAL:
            self._subscribe(state)
        elif self._line is None:
            self._connect(known.subscription, known.seen[-1] if known.seen else None)
        else:
            self._vote(self._line, awaited_votes(state, self._dependency.name))
            self._hear(self._line)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close(1000)
        self._line = None
        self.box.clear()
        self._sent.clear()

    def _after_close(self, code: int) -> None:
        self._hang_up()
        if code == REPLACED:
            self._rests_until = self._process.world.time.now + MAKE_ROOM
        elif code == ENDED:
            self._tell(e.NotSubscribed(self._dependency.name, "the dependency knows this subscription no more"))

    def _leave(self) -> None:
        """Once, and if that is lost it is lost."""
        self._hang_up()
        subscription, self._subscription = self._subscription, ""
        if subscription:
            self._post(e.UnsubscribeAsked(self._node.url, subscription, self._process.new_id(), self._now()))

    def _subscribe(self, state: State) -> None:
        refs = [{"ref_type": "stable", "ref": "v1"}]
        said = self._post(e.SubscribeAsked(self._node.url, state.name, refs, self._process.new_id(), self._now()))
        if said.accepted:
            self._tell(e.Subscribed(self._dependency.name, said.subscriptions[0], "v1"))
        else:
            self._tell(e.NotSubscribed(self._dependency.name, said.reason))
            raise Away(said.reason)

    def _connect(self, subscription: str, last: ReleaseKey | None) -> None:
        if self._now() < self._rests_until:
            return
        front = self._cluster.front
        self.box.clear()
        self._line = self._cluster.wire.dial(self._process, self.box, front, front.desk(self._dependency).box)
        self._line.subscription = subscription
        self._line.to_session(Open(subscription, self._node.url, last))

    def _vote(self, line: Line, votes: Sequence[Any]) -> None:
        for one in votes:
            key = ReleaseKey(one.id, one.created_at)
            if key in self._sent and self._now() - self._sent[key][1] < AGAIN:
                continue
            jti = self._process.new_id()
            line.to_session(
                Vote(self._node.url, line.subscription, one.id, one.created_at, one.value, one.deployment, jti)
            )
            self._sent[key] = jti, self._now()

    def _hear(self, line: Line) -> None:
        while (frame := self.box.take()) is not None:
            if frame.line is not line:
                continue
            if frame.message is None:
                raise Away("a frame was refused: what it was is sent again after the next `open`")
            if isinstance(frame.message, VoteAnswer):
                self._on_answer(frame.message)
            else:
                self._on_release(line, frame.message)

    def _on_release(self, line: Line, document: bytes) -> None:
        """Acknowledged once the journal has it."""
        message = w.parse(document)
        assert isinstance(message, w.NewRelease)
        major = self._node.url in self._cluster.files[self._dependency.name].majors
        said = self._tell(
            e.ReleaseReceived(self._dependency.name, message.id, message.created_at, strict_json.loads(document), major)
        )
        if said.accepted:
            line.to_session(Received(message.id))

    def _on_answer(self, answer: VoteAnswer) -> None:
        key = next((key for key, (jti, _) in self._sent.items() if jti == answer.irt), None)
        if key is not None:
            self._tell(e.VoteAnswered(self._dependency.name, key.id, key.created_at, answer.status))
            del self._sent[key]

    def _tell(self, event: Any) -> Said:
        return self._process.ask(self._node.key, event)

    def _post(self, event: Any) -> Said:
        front = self._cluster.front
        box = front.desk(self._dependency).box
        answer: Said = self._cluster.wire.post(event, front, box, PATIENCE + 2)
        return answer

    def _now(self) -> int:
        return self._process.world.time.now


# -- the dependency's side -----------------------------------------------------------------------------


class FrontProcess(PeerProcess):
    """What a front end does for the dependents of its pipelines."""

    def __init__(self, cluster: PipelineCluster, name: str) -> None:
        super().__init__(cluster, name)
        self._desks = {node.name: Desk(self, node) for node in dict.fromkeys(pair.dependency for pair in cluster.pairs)}
        for desk in self._desks.values():
            self.add(f"desk {desk.node.name}", desk.turn, PERIOD, desk.box)

    def desk(self, node: SimNode) -> Desk:
        """Where the dependents of that node go."""
        return self._desks[node.name]


class Session:
    """One connection."""

    def __init__(self, line: Line, opened: Open) -> None:
        self.line, self.subscription, self.url, self.last = line, opened.subscription, opened.url, opened.last
        #: sent and not acknowledged, and when the first of them was sent
        self.waiting: list[ReleaseRef] = []
        self.since = 0


class Desk:
    """See re_rest/cdpm_sessions.py and re_core/usecases/cdpm/dependents.py."""

    def __init__(self, process: FrontProcess, node: SimNode) -> None:
        self._process, self._reader, self.node = process, process.new_reader(), node
        self.box = Mailbox(process.world)
        #: subscription -> its newest connection
        self._sessions: dict[str, Session] = {}

    def turn(self) -> None:
        """Raises TransientError; what was to be answered is not, and is asked again."""
        while (one := self.box.take()) is not None:
            if isinstance(one, Post):
                one.answer = self._process.ask(self.node.key, one.message)
            else:
                self._on_frame(one)
        if any(not session.line.code for session in self._sessions.values()):
            self._send_all()

    def _on_frame(self, frame: Frame) -> None:
        message, line = frame
        if message is None and not self._is_open(line):
            line.close(REFUSED)
        elif isinstance(message, Open):
            self._on_open(line, message)
        elif isinstance(message, Received):
            if self._is_open(line):
                session = self._sessions[line.subscription]
                session.waiting = [one for one in session.waiting if one.n > int(message.id)]
        elif isinstance(message, Vote):
            self._on_vote(line, message)

    def _is_open(self, line: Line) -> bool:
        session = self._sessions.get(line.subscription)
        return session is not None and session.line is line

    def _on_open(self, line: Line, opened: Open) -> None:
        try:
            state = self._state()
        except TransientError:
            line.close(LOST)
            raise
        if member(state, opened.subscription, opened.url) is None:
            line.close(ENDED)
            return
        before = self._sessions.get(opened.subscription)
        if before is not None:
            before.line.close(REPLACED)
        self._sessions[opened.subscription] = Session(line, opened)

    def _on_vote(self, line: Line, vote: Vote) -> None:
        about = vote.id, vote.created_at, vote.value, vote.deployment
        now = self._process.world.time.now
        said = self._process.ask(self.node.key, e.VoteReceived(vote.url, vote.subscription, *about, vote.jti, now))
        status = 200 if said.accepted else FINAL.get(said.reason, 503)
        if status != 503 and not line.code:
            line.to_link(VoteAnswer(vote.jti, status))

    def _send_all(self) -> None:
        state = self._state()
        for session in list(self._sessions.values()):
            if session.line.code:
                del self._sessions[session.subscription]
                continue
            try:
                self._send(state, session)
            except TransientError:  # its next connection gets what this one did not
                session.line.close(LOST)

    def _send(self, state: State, session: Session) -> None:
        if state.ended is not None or member(state, session.subscription, session.url) is None:
            session.line.close(ENDED)
            return
        now = self._process.world.time.now
        if session.waiting and now - session.since >= AGAIN:
            session.since = now
            for ref in session.waiting:
                session.line.to_link(self._reader.document(self.node.key, ref))
        for ref in behind(state, session.subscription, session.last):
            session.since = session.since if session.waiting else now
            session.waiting.append(ref)
            session.last = ReleaseKey(ref.n, ref.created_at)
            session.line.to_link(self._reader.document(self.node.key, ref))

    def _state(self) -> State:
        return self._reader.state(self.node.key)
