"""Playbook to plan: hosts expanded, triggers inserted, checks and actions in place. Pure; must not know stores or workers.

The tree of a plan is, from the outside in: the checks, then each sequence; in a sequence first the preflight
(all hosts at once, each its own chain), then host by host all steps (docs/reference/playbook.md, Stage). The actions are the
`always` of the root, because they run however all before them ended, and each whatever became of the one before
(docs/reference/settings.md, Around every deployment).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from re_core.deployment import quota
from re_core.deployment.host_rows import MAX_BYTES_ALL
from re_core.deployment.plan import Hosts, Notices, OnFailure, OnLost, Plan, PlannedStep, StepKind, StepSpec
from re_core.deployment.plan_codec import Tree, plan_from_document, plan_to_document
from re_core.errors import BadDocument, BadMessage, Problem
from re_core.json_pointer import escape
from re_core.playbook import placing
from re_core.playbook.command_rules import CommandRules
from re_core.playbook.host_rules import AsWritten, HostResolver, HostRules, Named, Resolved
from re_core.playbook.notice_routes import Route, route
from re_core.playbook.placing import Placement
from re_core.playbook.secret_rules import SecretRules
from re_core.rows import Token
from re_core.wire.messages import check_limits
from re_core.wire.places import check_place
from re_core.wire.strict_json import dumps

#: steps of one deployment, after expansion
MAX_STEPS = 10_000
TOO_MANY = f"more than {MAX_STEPS} steps after expansion; split the playbook"

#: `command:Subcommand` or `command:*` -> {parameters, idempotent, retries, timeout}, as live workers offer them
Offers = Mapping[str, Mapping[str, Any]]

#: arguments of a playbook's step that have no effect: the message says the step's own there, as it did in 2014
OVERWRITTEN = frozenset({"hosts", "command", "subcommand"})

_STEP_NAME = re.compile(r"\w{1,200}:\w{1,200}", re.ASCII)
_BESIDE = frozenset({"name", "timeout", "idempotent", "retries", "pool"})


class EnginePolicy(NamedTuple):
    """What the settings put around every deployment (docs/reference/settings.md, Around every deployment)."""

    checks: Sequence[Mapping[str, Any]] = ()
    actions: Sequence[Mapping[str, Any]] = ()
    triggers: Sequence[Mapping[str, Any]] = ()
    notify: Notices = {}
    #: which deployments notify which targets besides
    routes: Sequence[Route] = ()
    #: seconds that a step may take unless it says otherwise
    step_timeout: float = 3600
    #: seconds that a dispatched step waits for a worker
    patience: float = 3600
    #: what is done about a lost step that may not be repeated
    on_lost: OnLost = OnLost.FAIL
    #: bytes of output that one attempt of a step may have where the playbook says nothing
    output_quota: int = quota.DEFAULT
    #: which group may use which commands; what the settings themselves put around is not asked
    commands: CommandRules = CommandRules()
    #: which group may use which secrets; of what the settings themselves put around, those of no group
    secrets: SecretRules = SecretRules()
    #: what the lists of hosts mean, and which group may use which of them
    hosts: HostResolver = AsWritten()
    host_rules: HostRules = HostRules()


class _Tokens(Protocol):
    def tokens(self) -> list[Token]: ...


def policy_now(around: EnginePolicy, tokens: _Tokens) -> EnginePolicy:
    """The same, for the inventory and the tokens of now: these decide what a group may use of which the settings say nothing."""
    return around._replace(commands=around.commands.with_tokens(tokens.tokens()), hosts=around.hosts.now())


class _Draft:
    """The steps so far. Their numbers are their places in `steps`."""

    def __init__(self) -> None:
        self.steps: list[PlannedStep] = []
        #: of the hosts of the steps, as Resolved has them
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.unknown: dict[str, str] = {}

    def chain(self, specs: Iterable[StepSpec], host: str | None, sequence: int | None) -> dict[str, Any]:
        first = len(self.steps)
        self.steps.extend(PlannedStep(spec, host, sequence) for spec in specs)
        if len(self.steps) > MAX_STEPS:
            raise BadDocument(TOO_MANY)
        return {"serial": list(range(first, len(self.steps)))}


def compile_document(document: Mapping[str, Any], around: EnginePolicy, offers: Offers) -> dict[str, Any]:
    """The stored form of the plan of a playbook. Raises BadDocument with every problem that it meets."""
    problems = around.commands.problems(_group(document), step_entries(document))
    problems += around.secrets.problems(_group(document), step_entries(document))
    draft = _Draft()
    main: list[Tree] = []
    if around.checks:
        main.append(draft.chain(_surrounding(around.checks, StepKind.CHECK, around, offers), None, None))
    sequences = _list(document, "execution", "/execution", problems)
    named: list[Named] = []
    for number, sequence in enumerate(sequences):
        resolved = _resolve(sequence, number, around)
        problems += resolved.problems
        named.append((_at_hosts(number), resolved.names))
        main.extend(_sequence(draft, sequence, resolved, number, around, offers, problems))
    problems += around.host_rules.problems(_group(document), named, around.hosts)
    size = _quota(document, around, problems)
    if problems:
        raise BadDocument("", problems)
    actions = draft.chain(_surrounding(around.actions, StepKind.ACTION, around, offers), None, None)
    finish = {"always": {**actions, "on_failure": OnFailure.CONTINUE.value}} if around.actions else {}
    stages = [str(sequence.get("description") or "") for sequence in sequences]
    tree: Tree = {"serial": main, **finish}
    environments = {step.spec.environment for step in draft.steps} - {""}
    notify = route(around.routes, around.notify, _group(document), _name(document), environments)
    hosts = Hosts(draft.rows, draft.unknown)
    if draft.rows and (size_of_rows := len(dumps(draft.rows))) > MAX_BYTES_ALL:
        raise BadDocument(
            f"what the inventory says of its hosts has {size_of_rows} characters; a deployment keeps at most "
            f"{MAX_BYTES_ALL}: make their variables smaller, or split the playbook"
        )
    return plan_to_document(draft.steps, tree, around.patience, notify, around.on_lost, stages, size, hosts)


def compile_plan(document: Mapping[str, Any], around: EnginePolicy, offers: Offers) -> Plan:
    """The plan of a playbook. Raises BadDocument."""
    return plan_from_document(compile_document(document, around, offers))


def required_dynamic(plan: Plan) -> tuple[str, ...]:
    """Names of the values that the caller must supply, in the order of the steps that want them."""
    names: dict[str, None] = {}
    for spec in _specs(plan):
        wanted = spec.parameters.get("dynamic", ())
        if isinstance(wanted, list):
            names.update(dict.fromkeys(name for name in wanted if isinstance(name, str)))
    return tuple(names)


def asked_values(document: Mapping[str, Any], around: EnginePolicy) -> set[str]:
    """Names of the values that the steps of a playbook and of the settings ask for; nothing is compiled for it."""
    configured = (one.get("PARAMETERS") or {} for one in (*around.checks, *around.triggers, *around.actions))
    return {name for one in (*(own for _, _, own in step_entries(document)), *configured) for name in _named(one)}


def missing_dynamic(plan: Plan, supplied: Mapping[str, Any]) -> list[Problem]:
    """One problem for each value that a step wants and the caller did not supply: all of them at once."""
    wanted = {name: spec.name for spec in reversed(_specs(plan)) for name in _wants(spec)}
    return [
        Problem(
            f"/dynamic/{escape(name)}",
            f"the step {wanted[name]} needs a value for {name!r}",
        )
        for name in required_dynamic(plan)
        if name not in supplied
    ]


def step_entries(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(JSON pointer, step name, arguments) of every step that a playbook names, preflight included.

    What is no step is left out: of a playbook that is wrong elsewhere the steps can be looked at all the same.
    """
    for number, sequence in enumerate(_items(document, "execution")):
        for part in ("preflight", "steps"):
            for place, entry in enumerate(_items(sequence, part)):
                try:
                    name, arguments, _ = _split(entry)
                except BadDocument:
                    continue
                yield f"/execution/{number}/{part}/{place}", name, arguments


def offer_of(name: str, offers: Offers) -> Mapping[str, Any] | None:
    """What live workers say of a step; None where none offers it."""
    found = offers.get(name)  # every key of an offer may be missing
    return offers.get(name.partition(":")[0] + ":*") if found is None else found


def _wants(spec: StepSpec) -> list[str]:
    return _named(spec.parameters)


def _named(parameters: Mapping[str, Any]) -> list[str]:
    wanted = parameters.get("dynamic", ())
    return [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []


def _specs(plan: Plan) -> list[StepSpec]:
    return list({id(step.spec): step.spec for step in plan.steps}.values())


def resolve_hosts(document: Any, around: EnginePolicy) -> dict[int, Resolved]:
    """Number of a stage -> what its list of hosts means."""
    return {number: _resolve(one, number, around) for number, one in enumerate(_items(document, "execution"))}


def _resolve(sequence: Any, number: int, around: EnginePolicy) -> Resolved:
    if not isinstance(sequence, Mapping):  # which is said of all of it
        return Resolved()
    at = _at_hosts(number)
    problems: list[Problem] = []
    hosts = _list(sequence, "hosts", at, problems)
    for place, host in enumerate(hosts):
        if not isinstance(host, str) or not host:
            problems.append(Problem(f"{at}/{place}", f"expected a host's name, found {host!r:.40}"))
    return Resolved(problems=tuple(problems)) if problems else around.hosts.resolve(hosts, at)


def _at_hosts(number: int) -> str:
    return f"/execution/{number}/hosts"


def _sequence(
    draft: _Draft,
    sequence: Any,
    hosts: Resolved,
    number: int,
    around: EnginePolicy,
    offers: Offers,
    problems: list[Problem],
) -> Iterator[Tree]:
    at = f"/execution/{number}"
    if not isinstance(sequence, Mapping):
        problems.append(Problem(at, "expected a stage: an object with hosts and steps"))
        return
    before = _list(sequence, "preflight", f"{at}/preflight", problems) if sequence.get("preflight", []) != [] else []
    preflight = [
        _spec(one, StepKind.PREFLIGHT, around, offers, f"{at}/preflight/{n}", problems) for n, one in enumerate(before)
    ]
    entries = _list(sequence, "steps", f"{at}/steps", problems)
    steps = [_spec(one, StepKind.STEP, around, offers, f"{at}/steps/{n}", problems) for n, one in enumerate(entries)]
    problems += placing.problems(sequence, hosts, [*preflight, *steps], at)
    if problems:
        return
    steps = _with_triggers(steps, around, offers)
    draft.rows.update(hosts.rows)
    draft.unknown.update(hosts.unknown)
    placed = Placement(sequence, hosts)
    if preflight:
        yield {"parallel": [draft.chain(placed.of(preflight, host), host, number) for host in hosts.names]}
    for host in hosts.names:
        yield draft.chain(placed.of(steps, host), host, number)


def _with_triggers(steps: list[StepSpec], around: EnginePolicy, offers: Offers) -> list[StepSpec]:
    """Each trigger in its order, over what the earlier ones made of the list."""
    for trigger in around.triggers:
        inserted = _configured(trigger, StepKind.TRIGGER, str(trigger.get("DESCRIPTION", "")), around, offers)
        when = trigger["WHEN"]
        grown: list[StepSpec] = []
        for step in steps:
            if when.get("NEXT_COMMAND", step.command) == step.command and (
                when.get("NEXT_SUBCOMMAND", step.subcommand) == step.subcommand
            ):
                grown.append(inserted)
            grown.append(step)
            if len(grown) > MAX_STEPS:  # triggers that match each other's steps double them every time
                raise BadDocument(TOO_MANY)
        steps = grown
    return steps


def _surrounding(
    configured: Sequence[Mapping[str, Any]], kind: StepKind, around: EnginePolicy, offers: Offers
) -> list[StepSpec]:
    return [_configured(one, kind, str(one.get("NAME", "")), around, offers) for one in configured]


def _configured(one: Mapping[str, Any], kind: StepKind, label: str, around: EnginePolicy, offers: Offers) -> StepSpec:
    """A step of the settings: upper-case keys."""
    name = f"{one['COMMAND']}:{one['SUBCOMMAND']}"
    spec = _build(name, dict(one.get("PARAMETERS") or {}), {}, kind, around, offers)
    return spec._replace(label=label, expectation=one.get("EXPECTATION"))


def _spec(
    entry: Any, kind: StepKind, around: EnginePolicy, offers: Offers, at: str, problems: list[Problem]
) -> StepSpec:
    try:
        name, arguments, beside = _split(entry)
        check_limits(beside, at)
        check_place(beside, at)
        _check_notify(arguments.get("notify"), f"{at}/{name}/notify")
    except BadMessage as error:
        problems.extend(error.problems)
        name, arguments, beside = "", {}, {}
    except BadDocument as error:
        problems.append(Problem(at, str(error)))
        name, arguments, beside = "", {}, {}
    own = {key: value for key, value in arguments.items() if key not in OVERWRITTEN}
    return _build(name, own, beside, kind, around, offers)


def _split(entry: Any) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Name, arguments, and what stands beside the step's key. Raises BadDocument."""
    name: str
    arguments: Any = {}
    beside: dict[str, Any] = {}
    if isinstance(entry, str):
        name = entry
    elif isinstance(entry, Mapping):
        beside = {key: value for key, value in entry.items() if key in _BESIDE}
        keys = [key for key in entry if key not in _BESIDE]
        if len(keys) != 1:
            raise BadDocument(f"expected one step, found the keys {', '.join(map(repr, keys)) or 'none'}")
        name, arguments = str(keys[0]), {} if entry[keys[0]] is None else entry[keys[0]]
    else:
        raise BadDocument("expected command:Subcommand, or an object with that one key")
    if not _STEP_NAME.fullmatch(name):
        raise BadDocument(f"expected command:Subcommand, found {name[:80]!r}")
    if not isinstance(arguments, Mapping):
        raise BadDocument(f"the arguments of {name} must be an object")
    return name, arguments, beside


def _check_notify(notify: Any, at: str) -> None:
    """Raises BadMessage unless it is phases, each with transports, each with a list of targets, or nothing."""
    for phase, transports in _members(notify, at):
        for transport, targets in _members(transports, f"{at}/{phase}"):
            if not isinstance(targets, list | tuple) or not all(isinstance(target, str) for target in targets):
                raise BadMessage("expected a list of targets", f"{at}/{phase}/{transport}")


def _members(value: Any, at: str) -> Iterable[tuple[str, Any]]:
    if value is not None and not isinstance(value, Mapping):
        raise BadMessage(f"expected an object, found {value!r:.40}", at)
    return (value or {}).items()


def _build(
    name: str,
    arguments: dict[str, Any],
    beside: Mapping[str, Any],
    kind: StepKind,
    around: EnginePolicy,
    offers: Offers,
) -> StepSpec:
    """The playbook's value first, then the worker's default, then the engine's."""
    offer = offer_of(name, offers) or {}
    notify = arguments.pop("notify", None) or {}
    return StepSpec(
        name=name,
        kind=kind,
        parameters=arguments,
        notify={phase: {way: tuple(to) for way, to in (ways or {}).items()} for phase, ways in notify.items()},
        timeout=beside.get("timeout", offer.get("timeout") or around.step_timeout),
        idempotent=beside.get("idempotent", offer.get("idempotent", False)),
        retries=beside.get("retries", offer.get("retries", 0)),
        label=str(beside.get("name", "")),
        pool=beside.get("pool", ""),
    )


def _quota(document: Any, around: EnginePolicy, problems: list[Problem]) -> int:
    """The playbook's value first, then the engine's."""
    said = document.get("output_quota") if isinstance(document, Mapping) else None
    size = around.output_quota if said is None else said
    if isinstance(size, int) and not isinstance(size, bool) and quota.LEAST <= size <= quota.MOST:
        return size
    expected = f"expected bytes, a whole number from {quota.LEAST} to {quota.MOST}"
    problems.append(Problem("/output_quota", f"{expected}, found {size!r:.40}"))
    return around.output_quota


def _group(document: Any) -> str:
    group = document.get("group") if isinstance(document, Mapping) else None
    return group if isinstance(group, str) else ""


def _name(document: Any) -> str:
    name = document.get("name") if isinstance(document, Mapping) else None
    return name if isinstance(name, str) else ""


def _items(document: Any, name: str) -> list[Any]:
    value = document.get(name) if isinstance(document, Mapping) else None
    return value if isinstance(value, list) else []


def _list(document: Any, name: str, at: str, problems: list[Problem]) -> list[Any]:
    value = document.get(name) if isinstance(document, Mapping) else None
    if isinstance(value, list) and value:
        return value
    problems.append(Problem(at, f"expected a list of at least one, found {value!r:.40}"))
    return []
