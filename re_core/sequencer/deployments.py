"""Deployments, the first kind of aggregate: the machine, and what surrounds it. Must not know the order of a turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from re_core.admission.acceptance import Acceptance
from re_core.admission.job_create import Creation, refusal
from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import due_of, next_look
from re_core.deployment.feed import FED, KIND, has_events
from re_core.deployment.machine import Decision, Verdict, accept, advance
from re_core.deployment.notifications import begin_notices, repeated_notices
from re_core.deployment.plan import StepSpec
from re_core.deployment.progress import awaited
from re_core.deployment.senders import OPEN, Protection
from re_core.deployment.state import State, extend
from re_core.deployment.summary import view_of
from re_core.errors import StoreUnavailable
from re_core.playbook.host_rules import HostResolver
from re_core.ports import UNOBSERVED, Clock, Journal, Observer, Store, read_state
from re_core.rows import View
from re_core.sequencer import event_log
from re_core.sequencer.aggregate import Aggregate
from re_core.sequencer.cache import CachedAggregate
from re_core.sequencer.decoding import AddressedEvent, read_word
from re_core.sequencer.encoding import messages_of, news_messages, rejection_messages
from re_core.sequencer.reports import reports_of
from re_core.sequencer.unproven import UnprovenLog
from re_core.sequencer.work import Item, Work
from re_core.usecases.worker_proofs import WorkerProofs
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.proof import REPLY
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import dumps
from re_core.wire.trace_context import DeploymentTrace
from re_core.workforce.capabilities import LiveOffers
from re_core.workforce.claimants import WorkerRegistrar
from re_core.workforce.routing import Route, StepRouter

#: bytes that a step takes in memory, and that a byte of a plan's JSON does (measured: 700, and 1 to 20)
_STEP, _BYTE = 700, 8

#: plans whose size is kept; the oldest is dropped
_PLAN_SIZES = 32

_Router = Callable[[State, e.Dispatch], tuple[Route, str]]

#: effects whose message is a step
_STEPS = frozenset({e.Dispatch, e.HandedOver, e.Adopt})

#: records after which something is due that was not
_BEGINNINGS = frozenset({r.Dispatched, r.Started})


class Deployments(Aggregate):
    """One sequencer's. One thread at a time."""

    kind = KIND
    #: what an operator has asked for, or the core itself, and what changes when something is due
    urgent = frozenset({r.CancelRequested, r.Resolved, r.Retried, r.TakenBack})
    fed = FED
    mailed = frozenset({e.Notify})
    #: nothing starts after its caller has left and may have changed its mind; an end may come late
    perishable = frozenset({e.RetryAsked, e.Resolved})
    #: rules outside of the deployment may forbid a retry
    guarded = frozenset({e.RetryAsked})

    def __init__(
        self,
        store: Store,
        clock: Clock,
        acceptance: Acceptance,
        redaction: Redaction,
        router: StepRouter | None = None,
        observer: Observer = UNOBSERVED,
        accepting: LiveOffers | None = None,
        proofs: WorkerProofs | None = None,
    ) -> None:
        """`router`: decides which worker gets a step; without it a step is sent to its queue, and not offered where there is none.

        `accepting`: knows which values of parameters workers accept; without it a step waits for a worker that does. `proofs`: knows
        who has sent a worker's message; without it every worker is part of this process.
        """
        super().__init__(store, clock, observer)
        self._acceptance = acceptance
        self._redaction = redaction
        self._router = router
        self._accepting = accepting
        self._proofs = proofs
        self._protection = Protection() if proofs is None else proofs.protection
        self._unproven = UnprovenLog(clock, observer)
        self._claimants = None if router is None else WorkerRegistrar(store, clock)
        #: id of a plan -> that plan, and its size; the plan is kept so that no other object gets its id
        self._plan_sizes: OrderedDict[int, tuple[Mapping[str, Any], int]] = OrderedDict()

    def create(self, creation: Creation, now: int) -> Work:
        """The work of a new deployment."""
        admission = creation.admission
        state, records, effects = accept(admission.deployment, admission.accepted, now, admission.plan)
        work = Work(CachedAggregate(self, admission.deployment, state), fresh=True, creation=creation)
        work.records.extend(records)
        work.effects.extend(effects)
        work.answers.extend(creation.yes())
        return work

    def answer_again(self, creation: Creation, state: State, now: int) -> Work:
        """The id is taken: by the same request (a redelivery, or one with the same key), or by another one.

        While it has one entry only, the core that wrote it may take it back: the journal has to say first that another
        request was answered with it.
        """
        work = Work(CachedAggregate(self, state.deployment, state), fresh=True)
        work.answered = creation
        if state.accepted.digest == creation.admission.accepted.digest:
            if state.entry == 1 and state.ended is None:
                work.adopts = creation
                adopted = r.Adopted(creation.message.id)
                state.apply(adopted, now)
                work.records.append(adopted)
            work.effects.extend(awaited(state))
            if creation.delivery.redelivered:  # a crash may have cut them off
                work.republished = True
                work.effects.extend(begin_notices(state))
                work.effects.extend(repeated_notices(state, None))
            work.answers.extend(creation.yes())
        else:
            why = f"the id {state.deployment} belongs to another deployment"
            work.answers.extend(refusal(creation.message, "refused", why))
        return work

    # -- triage ------------------------------------------------------------------------------------

    def read(self, message: Message, redaction: Redaction) -> AddressedEvent:
        """See Aggregate. Raises StoreUnavailable: who has sent it is looked up."""
        word = read_word(message, redaction)
        if self._proofs is None or not isinstance(word.event, e.WorkerEvent):
            return word
        sender = self._proofs.sender(message, REPLY)
        return word if sender == OPEN else word._replace(event=word.event._replace(sender=sender))

    def rejected(self, key: str, event: Any, reason: str) -> Sequence[Message]:
        """See Aggregate."""
        return rejection_messages(key, event, reason) if isinstance(event, e.OperatorRequest) else ()

    # -- decide ------------------------------------------------------------------------------------

    def load(self, journal: Journal, key: str, now: int, note: list[r.Entry]) -> State | None:
        """See Aggregate."""
        return read_state(journal, key, lambda entry: note.append(entry) if has_events(entry) else None)

    def fold(self, state: Any, entry: r.Entry) -> Any:
        """See Aggregate."""
        extend(state, [entry])
        return state

    def permit(self, key: str, event: Any, now: int) -> Any:
        """See Aggregate: rules outside of the deployment may forbid a retry."""
        return self._acceptance.permitted(key, event, now)

    def advance(self, state: State, event: Any, now: int) -> Decision:
        """See Aggregate."""
        decision = advance(state, event, now)
        if decision.verdict is Verdict.REFUSED and self._proofs is not None:
            self._unproven.refused(state, event)
        return decision

    def again(self, state: State, event: Any, changed: bool, redelivered: bool, looks: bool) -> Iterator[e.Notify]:
        """See Aggregate: notifications, which are not among what the state awaits."""
        if not changed:
            yield from self._repeated_notices(state, event, redelivered, looks)
        elif looks and state.entry == 1:
            yield from begin_notices(state)  # though with this look it may have ended

    def _repeated_notices(self, state: State, event: Any, redelivered: bool, looks: bool) -> Iterator[e.Notify]:
        if redelivered:
            yield from repeated_notices(state, getattr(event, "step", None))
        elif looks:
            yield from repeated_notices(state, None)
        if looks and state.entry == 1:
            yield from begin_notices(state)

    def is_unclear(self, event: Any) -> bool:
        """See Aggregate."""
        return getattr(event, "step", 0) == e.UNSAID

    def redirect(self, state: State, records: list[Any], effects: list[Any], now: int) -> list[Any]:
        """See Aggregate: a step that no worker offers, or takes as it is, fails; one for a worker of 2014 is handed over."""
        if self._router is None and (self._accepting is None or not self._accepting.accepted):
            return effects
        return _routed(state, records, effects, now, self._way)

    def _way(self, state: State, effect: e.Dispatch) -> tuple[Route, str]:
        """Where the step goes, and why it goes nowhere. What was sent before waits for its worker, whatever is accepted by now."""
        spec = state.plan.steps[effect.step].spec
        way = Route.SEND if self._router is None else self._router.route(spec.name, spec.pool, spec.environment)
        if way is Route.NO_WORKER:
            return way, self._no_worker(spec)
        if way is Route.SEND and not effect.again and self._accepting is not None:
            why = self._accepting.refusal(spec.name, spec.parameters, state.accepted.dynamic)
            if why:
                return Route.NO_WORKER, self._redaction.text(why)
        return way, ""

    def _no_worker(self, spec: StepSpec) -> str:
        pool = f" of the pool {spec.pool}" if spec.pool else ""
        environment = f" for the environment {spec.environment}" if spec.environment else ""
        shown = " that has shown its credential" if self._protection.of(spec.pool, spec.environment) else ""
        return f"no worker{pool}{environment}{shown} offers {spec.name}"

    # -- commit, publish ---------------------------------------------------------------------------

    def encode(self, state: State, effects: Iterable[Any], trace: DeploymentTrace) -> list[Message]:
        """See Aggregate."""
        now, effects = self._clock.now(), list(effects)
        return messages_of(
            state,
            effects,
            self._redaction,
            trace,
            pooled=self._router is not None,
            now=now,
            protection=self._protection,
            known=self._known_hosts() if state.retries and any(type(one) in _STEPS for one in effects) else None,
        )

    def _known_hosts(self) -> HostResolver | None:
        """By whose keys the hosts of a retried deployment are trusted: its operator may just have trusted one that was refused."""
        try:
            return self._acceptance.known_hosts()
        except StoreUnavailable:  # what is journaled is sent all the same, with the keys of the plan
            return None

    def news(self, state: State, entry: r.Entry, listened: Callable[[str], bool]) -> list[Message]:
        """See Aggregate."""
        return [*news_messages(state, entry, listened), *reports_of(state, entry)]

    # -- settle ------------------------------------------------------------------------------------

    def row(self, key: str, state: State, due: int | None, published: int) -> View:
        """See Aggregate."""
        return view_of(state, due, published)

    def due(self, state: State, now: int) -> int | None:
        """See Aggregate."""
        return None if state.ended is not None else next_look(state, now)

    def is_sooner(self, state: State, records: Sequence[Any], due: int | None, now: int) -> bool:
        """See Aggregate. Only what these records have begun is looked at: a plan may have ten thousand steps."""
        for record in records:
            if type(record) not in _BEGINNINGS or record.step not in state.open:
                continue
            if due is None or due_of(state, record.step, now) < due:
                return True
        return False

    def spent(self, key: str, event: Any, message: Message) -> str | None:
        """See Aggregate: a reply queue of one attempt alone whose worker, one of 2014, has sent its last reply."""
        if not isinstance(event, e.OutcomeReported):
            return None
        through = message.headers.get(m.FORWARDED_BY)
        own = through and through == m.attempt_queue(m.AttemptId(key, event.step, event.attempt))
        return through if own else None

    def recorded(
        self, key: str, state: State, records: Sequence[r.Record], at: int, trace: DeploymentTrace | None
    ) -> None:
        """See Aggregate."""
        event_log.log_records(state, records)
        self._observer.recorded(state, records, at, trace)

    def settled(self, items: Iterable[Item]) -> None:
        """See Aggregate: a worker that claims a step is in the registry."""
        if self._claimants is None:
            return
        for event, _ in items:
            if isinstance(event, e.ClaimMade) and event.worker:
                self._claimants.met(event.worker)

    def weight(self, state: State) -> int:
        """See Aggregate; without what its steps keep, which is counted by the state."""
        accepted = state.accepted
        document = self._plan_size(accepted.plan) + (len(dumps(accepted.dynamic)) if accepted.dynamic else 0)
        return _STEP * len(state.plan.steps) + _BYTE * document

    def _plan_size(self, plan: Mapping[str, Any]) -> int:
        """Characters of its JSON. Deployments of one revision share one plan object, so it is measured once for all of them."""
        if (known := self._plan_sizes.get(id(plan))) is None:
            known = plan, len(dumps(plan))
            self._plan_sizes[id(plan)] = known
            if len(self._plan_sizes) > _PLAN_SIZES:
                self._plan_sizes.popitem(last=False)
        return known[1]

    def growth(self, state: State) -> int:
        """See Aggregate: messages and results of its steps."""
        return state.kept


def _routed(state: State, records: list[Any], effects: list[Any], now: int, route: _Router) -> list[Any]:
    """Each dispatch goes where a worker takes it; what becomes of one that is not simply sent is in the same entry."""
    sent = _dispatched(records)
    kept: list[Any] = []
    while effects:
        effect = effects.pop(0)
        way, why = route(state, effect) if type(effect) is e.Dispatch else (Route.SEND, "")
        if way is Route.SEND:
            kept.append(effect)
        elif (event := _diverted(effect, way, why, sent)) is not None:
            decision = advance(state, event, now)
            records.extend(decision.records)
            effects.extend(decision.effects)
            sent |= _dispatched(decision.records)
    return kept


def _diverted(effect: e.Dispatch, way: Route, why: str, sent: set[tuple[int, int]]) -> e.Event | None:
    """What becomes of a dispatch that is not simply sent; None where nothing does.

    One that is only repeated is never handed over: the worker of 2014 may find the first copy too, and would not ask.
    """
    if way is Route.NO_WORKER:
        return e.NoWorkerAvailable(effect.step, effect.attempt, why)
    return e.HandOver(effect.step, effect.attempt) if (effect.step, effect.attempt) in sent else None


def _dispatched(records: Iterable[Any]) -> set[tuple[int, int]]:
    return {(record.step, record.attempt) for record in records if isinstance(record, r.Dispatched)}
