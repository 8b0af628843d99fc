"""Whether a deployment may begin, and with which plan. Must not know queues, or when the answer is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core.admission.compiled_plans import Compiled, Plans
from re_core.admission.exclusive import Exclusive, entries_of_another
from re_core.apps.names import BUILT_IN, app_key
from re_core.apps.playbook import built_in
from re_core.deployment.events import Event, RetryAsked
from re_core.deployment.machine import Verdict, advance
from re_core.deployment.plan import Plan, StepKind
from re_core.deployment.plan_codec import plan_from_document
from re_core.deployment.records import Accepted, never_began, was_taken_back
from re_core.deployment.state import State, fold
from re_core.errors import (
    BadDocument,
    BadDynamic,
    CallerError,
    KeyReused,
    Refused,
    StoreRefused,
    UnknownGroup,
    UnknownPlaybook,
)
from re_core.model import StepStatus
from re_core.playbook.command_rules import STRICTEST, CommandRules
from re_core.playbook.compiler import (
    EnginePolicy,
    Offers,
    compile_document,
    missing_dynamic,
    policy_now,
    required_dynamic,
    step_entries,
)
from re_core.playbook.dynamic_values import demands, value_problems
from re_core.playbook.host_rules import AsWritten, HostResolver, HostRules
from re_core.ports import IdempotencyKeys, Journal, KeyRecord, Playbooks, Tokens
from re_core.rows import StoredPlaybook
from re_core.wire import messages as m
from re_core.wire.messages import DeploymentRequest, Message
from re_core.wire.strict_json import dumps
from re_core.workforce.capabilities import LiveOffers

#: kinds of the steps that a playbook names; the settings name the others
_WRITTEN = frozenset({StepKind.PREFLIGHT, StepKind.STEP})


class _Library(Journal, Playbooks, IdempotencyKeys, Tokens, Protocol):
    """The part of a store that acceptance needs."""


class Admission(NamedTuple):
    """A request that may become a deployment."""

    deployment: str
    accepted: Accepted
    plan: Plan


class Acceptance:
    """Looks playbooks up and compiles them. One thread at a time."""

    def __init__(
        self, library: _Library, offers: LiveOffers, around: EnginePolicy, exclusive: Exclusive | None = None
    ) -> None:
        """Without `exclusive`, deployments of an exclusive playbook do not exclude each other."""
        self._exclusive = exclusive
        self._library = library
        self._offers = offers
        self._around = around
        #: with the tokens that there are, as they were found since `look_again`
        self._around_now: EnginePolicy | None = None
        #: as it was since `look_again`
        self._hosts: HostResolver | None = None
        self._plans = Plans()
        #: as they were found since `look_again`
        self._found: dict[str, StoredPlaybook] = {}
        #: whether groups have playbooks, as it was asked since `look_again`
        self._groups: dict[str, bool] = {}
        #: idempotency key -> what it stands for, as it was claimed since `look_again`
        self._standing: dict[str, KeyRecord] = {}

    def look_again(self, requests: Sequence[Message]) -> None:
        """Call it when requests have come: their callers mean the newest playbook. All their keys are claimed at once.

        Raises StoreUnavailable.
        """
        self._found.clear()
        self._groups.clear()
        self._around_now = self._hosts = None
        wanted = [claim for message in requests if (claim := _claim_of(message)) is not None]
        try:
            standing = self._library.claim_all(wanted) if wanted else []
        except StoreRefused:
            standing = []  # one of them cannot be read: each is claimed by itself, and only that one fails
        self._standing = {claim.key: claim for claim in standing}

    def admit(self, message: Message) -> Admission:
        """The deployment that job.create asks for.

        Raises BadMessage for a body that is not in the format, and UnknownGroup, UnknownPlaybook, BadDynamic,
        KeyReused or Refused for one that cannot start.
        """
        request = m.parse_deployment_request(message.body)
        digest = request_digest(request)
        deployment = self._settle_id(message, digest)
        try:
            accepted, plan = self._check(message, request, digest)
            if accepted.exclusive and self._exclusive is not None:
                self._exclusive.acquire(accepted.playbook_id, deployment)
            return Admission(deployment, accepted, plan)
        except CallerError:
            # what is wrong now may have been right when the deployment began: a refusal of the repeated request would be false
            admission = self._begun(deployment, digest)
            if admission is None:
                raise
            return admission

    def permitted(self, deployment: str, event: Event, now: int) -> Event:
        """The event as it may be judged: a retry is forbidden if it would run a command that its group may not use any more, or
        while another deployment of its exclusive playbook runs.
        """
        if not isinstance(event, RetryAsked):
            return event
        entries = self._library.entries(deployment)
        state = fold(entries) if entries and not never_began(entries) else None
        if state is None or state.ended is None:
            return event
        if state.accepted.playbook_id.startswith(BUILT_IN):
            app, _, _ = state.accepted.playbook_id.removeprefix(BUILT_IN).partition("/")
            return event._replace(forbidden=f"a release of an app is not retried: rectl apps releases retry {app}")
        # the lock is taken only for what is then carried out; this state, which counts that retry, is thrown away
        if advance(state, event, now).verdict is not Verdict.APPLIED:
            return event
        if why := self._no_longer_allowed(state):
            return event._replace(forbidden=why)
        if self._exclusive is None or not state.accepted.exclusive:
            return event
        try:
            self._exclusive.reacquire(state.accepted.playbook_id, deployment, state.retries)
        except Refused as refusal:
            return event._replace(forbidden=str(refusal), holder=refusal.deployment)
        return event

    def known_hosts(self) -> HostResolver:
        """What is known of hosts now. Raises StoreUnavailable."""
        return self._around.hosts.now()

    def _no_longer_allowed(self, state: State) -> str:
        """Why the group may not use a command or a host of a step that is still to run; empty if it may.

        The settings' own steps are exempt.
        """
        left = [
            (number, planned)
            for number, planned in enumerate(state.plan.steps)
            if planned.spec.kind in _WRITTEN and state.step(number).status is not StepStatus.COMPLETED
        ]
        steps = [(str(number), planned.spec.name, planned.spec.parameters) for number, planned in left]
        hosts = [(str(number), (planned.host,)) for number, planned in left if planned.host is not None]
        rules, group = self._around.commands, state.accepted.group
        depends = rules.depends(group, steps)
        if not depends and not self._around.host_rules.listed:
            return ""
        around = policy_now(self._around, self._library)
        problems = around.commands.problems(group, steps) + around.host_rules.problems(group, hosts, around.hosts)
        return f"step {problems[0].path} would run again, but {problems[0].message}" if problems else ""

    def _begun(self, deployment: str, digest: str) -> Admission | None:
        """The deployment that the same request began; None where it began none."""
        entries = entries_of_another(self._library, deployment)
        accepted = entries[0].records[0] if entries else None
        if not isinstance(accepted, Accepted) or accepted.digest != digest:
            return None
        return Admission(deployment, accepted, plan_from_document(accepted.plan))

    def _check(self, message: Message, request: DeploymentRequest, digest: str) -> tuple[Accepted, Plan]:
        playbook = self._playbook(request, message.headers.get(m.ASKER, ""))
        document, plan, required, demanded = self._plan(playbook)
        if not required <= request.dynamic.keys():
            missing = missing_dynamic(plan, request.dynamic)
            names = ", ".join(name for name in required_dynamic(plan) if name not in request.dynamic)
            raise BadDynamic(f"dynamic values are missing: {names}", missing)
        if wrong := value_problems(demanded, request.dynamic):
            raise BadDynamic(wrong[0].message, wrong)
        headers = message.headers
        accepted = Accepted(
            group=playbook.group,
            playbook_id=playbook.id,
            playbook=playbook.name,
            revision=playbook.revision,
            user=headers.get(m.USER) or request.user,
            source=headers.get(m.SOURCE) or request.source,
            digest=digest,
            dynamic=request.dynamic,
            plan=document,
            exclusive=playbook.document.get("exclusive") is True,
        )
        return accepted, plan

    def _settle_id(self, message: Message, digest: str) -> str:
        """The id of the deployment: the message's, the first one under the same key, or (2014) one derived."""
        deployment = message.id or derived_id(message)
        key = message.headers.get(m.KEY)
        if not key:
            return deployment
        digest = message.headers.get(m.KEY_DIGEST, digest)
        while True:
            standing = self._standing.get(key) or self._library.claim(KeyRecord(key, deployment, digest))
            if standing.digest != digest:
                raise KeyReused()
            if standing.deployment == deployment or not self._is_gone(standing.deployment):
                return standing.deployment
            # what the key stood for never begins; all requests with the key go on to the same next one
            key = hashlib.sha256(f"{key}/{standing.deployment}".encode()).hexdigest()

    def _is_gone(self, deployment: str) -> bool:
        entries = entries_of_another(self._library, deployment)
        return never_began(entries) or was_taken_back(entries)

    def _playbook(self, request: DeploymentRequest, asker: str) -> StoredPlaybook:
        if request.playbook_id.startswith(BUILT_IN):
            return _built_in(request, asker)
        playbook = self._found.get(request.playbook_id) or self._library.playbook(request.playbook_id)
        if playbook is not None and playbook.group == request.group:
            self._found[playbook.id] = playbook
            return playbook
        if request.group not in self._groups:
            self._groups[request.group] = self._library.has_playbooks(request.group)
        if not self._groups[request.group]:
            raise UnknownGroup(f"no playbook belongs to the group {request.group[:100]!r}")
        raise UnknownPlaybook(
            f"the group {request.group[:100]!r} has no playbook with the id {request.playbook_id[:100]!r}"
        )

    def _plan(self, playbook: StoredPlaybook) -> Compiled:
        offers = self._offers.read()
        if playbook.id.startswith(BUILT_IN):
            return self._built_in_plan(playbook, offers)
        hosts = self._hosts = self._hosts or self._around.hosts.now()
        any_tokens = (playbook.id, playbook.revision, self._offers.version, hosts.version, STRICTEST)
        if (kept := self._plans.get(any_tokens)) is not None:
            return kept
        around = self._around_now or policy_now(self._around._replace(hosts=hosts), self._library)
        self._around_now = around
        these_tokens = (*any_tokens[:4], around.commands.reached)
        if (kept := self._plans.get(these_tokens)) is not None:
            return kept
        try:
            document = compile_document(playbook.document, around, offers)
        except BadDocument as error:  # stored under other rules
            raise Refused(f"the playbook {playbook.id} cannot be compiled: {error}") from error
        plan = plan_from_document(document)
        # most playbooks have no step whose rule depends on the tokens, so that they need not be read
        key = these_tokens if around.commands.depends(playbook.group, step_entries(playbook.document)) else any_tokens
        return self._plans.add(key, Compiled(document, plan, frozenset(required_dynamic(plan)), demands(plan, offers)))

    def _built_in_plan(self, playbook: StoredPlaybook, offers: Offers) -> Compiled:
        """Kept for no other one; and no rule about groups is asked, since its text is no author's. Its hosts are zones."""
        around = self._around._replace(commands=CommandRules(), hosts=AsWritten(), host_rules=HostRules())
        document = compile_document(playbook.document, around, offers)
        plan = plan_from_document(document)
        return Compiled(document, plan, frozenset(required_dynamic(plan)), demands(plan, offers))


def _built_in(request: DeploymentRequest, asker: str) -> StoredPlaybook:
    """The playbook that the engine makes for an app, where an app asks for it; no front door can. Raises UnknownPlaybook."""
    is_asked_by_app = asker.startswith(app_key(""))
    playbook = built_in(request.playbook_id, request.group, request.dynamic) if is_asked_by_app else None
    if playbook is None:
        raise UnknownPlaybook(f"the playbook {request.playbook_id[:100]!r} is the engine's own: it releases an app")
    return playbook


def request_digest(request: DeploymentRequest) -> str:
    """Distinguishes two requests: the same text for the same group, playbook and values."""
    text = dumps([request.group, request.playbook_id, dict(sorted(request.dynamic.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def _claim_of(message: Message) -> KeyRecord | None:
    """What its sender has made of key and body; None where that is left to us."""
    key, digest = message.headers.get(m.KEY), message.headers.get(m.KEY_DIGEST)
    return KeyRecord(key, message.id or derived_id(message), digest) if key and digest else None


def derived_id(message: Message) -> str:
    """For a 2014 re-rest, which sends no id: its server-named `reply_to` is new for every request (docs/wire-format.md, Deployment)."""
    return hashlib.sha256(message.body + b"\0" + message.reply_to.encode()).hexdigest()[:26]
