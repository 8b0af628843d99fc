"""The stored form of a plan, and the way back. Pure; must not know how a plan is made or carried out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from re_core.deployment import quota
from re_core.deployment.plan import Notices, OnLost, Plan, PlannedStep, StepKind, StepSpec, Unit
from re_core.errors import NewerFormat

#: the tree of a plan: a step's number, or {"serial": [...]}, or {"parallel": [...]}
Tree = int | dict[str, Any]

_Words = TypeVar("_Words", bound=StrEnum)


def plan_to_document(
    steps: Sequence[PlannedStep],
    main: Tree,
    actions: Tree,
    patience: float,
    notify: Notices,
    on_lost: OnLost = OnLost.FAIL,
    stages: Sequence[str] = (),
    output_quota: int = quota.DEFAULT,
) -> dict[str, Any]:
    """Equal to what comes back when it was JSON on the way; specifications and hosts that many steps share are written once."""
    specs: dict[int, int] = {}
    hosts: dict[str, int] = {}
    written: list[dict[str, Any]] = []
    rows = []
    for step in steps:
        if id(step.spec) not in specs:
            specs[id(step.spec)] = len(written)
            written.append({**step.spec._asdict(), "kind": step.spec.kind.value, "notify": _lists(step.spec.notify)})
        host = None if step.host is None else hosts.setdefault(step.host, len(hosts))
        rows.append([specs[id(step.spec)], host, step.sequence])
    document = {
        "specs": written,
        "hosts": list(hosts),
        "steps": rows,
        "main": main,
        "actions": actions,
        "patience": patience,
        "notify": _lists(notify),
        "on_lost": on_lost.value,
    }
    # left out where it says nothing, so that such plans are as they always were
    more = {"stages": list(stages)} if any(stages) else {}
    return {**document, **more, **({"output_quota": output_quota} if output_quota != quota.DEFAULT else {})}


#: newest version of a stored plan that this engine reads, under `v`; a plan of version 1 does not say it
VERSION = 1

#: what this version knows of a plan, of a step's specification and of a step
_PLAN = frozenset(
    {"v", "specs", "hosts", "steps", "main", "actions", "patience", "notify", "on_lost", "stages", "output_quota"}
)
_SPEC = frozenset(StepSpec._fields)
_STEP = 3


def plan_from_document(document: Mapping[str, Any]) -> Plan:
    """The plan that `plan_to_document` wrote.

    Raises NewerFormat for one with something in it that this version does not know, and so must not carry out; KeyError,
    IndexError, TypeError, ValueError or AttributeError for a damaged one.
    """
    version = document.get("v", 1)
    if not isinstance(version, int) or version > VERSION:
        raise NewerFormat(f"the plan has version {version!r:.20}, this engine reads {VERSION}; upgrade this engine")
    _require_known("key", document, _PLAN)
    specs = [_spec(one) for one in document["specs"]]
    hosts = document["hosts"]
    steps = tuple(
        PlannedStep(specs[spec], None if host is None else hosts[host], sequence)
        for spec, host, sequence in map(_row, document["steps"])
    )
    units: list[Unit] = []
    places: list[tuple[int, int]] = [(-1, -1)] * len(steps)
    main = _grow(document["main"], -1, 0, units, places)
    actions = _grow(document["actions"], -1, 0, units, places)
    first_action = next((n for n, step in enumerate(steps) if step.spec.kind is StepKind.ACTION), len(steps))
    return Plan(
        steps,
        tuple(units),
        tuple(places),
        main,
        actions,
        first_action,
        document["patience"],
        _notices(document),
        _word(OnLost, "on_lost", document.get("on_lost", OnLost.FAIL)),
        tuple(document.get("stages", ())),
        int(document.get("output_quota", quota.DEFAULT)),
    )


def _require_known(what: str, there: Iterable[str], known: Container[str]) -> None:
    """Raises NewerFormat."""
    for name in there:
        if name not in known:
            raise NewerFormat(f"the plan has an unknown {what} {name!r:.60}; upgrade this engine")


def _word(words: type[_Words], what: str, said: Any) -> _Words:
    """The word of an enumeration. Raises NewerFormat, TypeError."""
    if not isinstance(said, str):
        raise TypeError(f"{what} is not a string")
    _require_known(what, [said], frozenset(words))
    return words(said)


def _row(row: Sequence[Any]) -> Sequence[Any]:
    """What is known of one step. Raises NewerFormat where more is said."""
    if len(row) > _STEP:
        raise NewerFormat("the plan has a key of a step that this version does not know; upgrade this engine")
    return row


def _grow(tree: Any, parent: int, position: int, units: list[Unit], places: list[tuple[int, int]]) -> int:
    """Add the unit and all below it; returns its number. The depth is that of plan.py: five at most."""
    number = len(units)
    if not isinstance(tree, Mapping):
        raise TypeError("a unit is not an object")
    _require_known("unit", tree, ("serial", "parallel"))
    parallel = "parallel" in tree
    children = tree["parallel" if parallel else "serial"]
    units.append(Unit(parallel, (), parent, position))
    numbers: list[int] = []
    for place, child in enumerate(children):
        if isinstance(child, int):
            places[child] = (number, place)
            numbers.append(child)
        else:
            numbers.append(~_grow(child, number, place, units, places))
    units[number] = Unit(parallel, tuple(numbers), parent, position)
    return number


def _spec(document: Mapping[str, Any]) -> StepSpec:
    _require_known("key of a step", document, _SPEC)
    return StepSpec(
        **{**document, "kind": _word(StepKind, "kind of step", document["kind"]), "notify": _notices(document)}
    )


def _lists(notify: Notices) -> dict[str, dict[str, list[str]]]:
    return {
        phase: {transport: list(targets) for transport, targets in transports.items()}
        for phase, transports in notify.items()
    }


def _notices(document: Mapping[str, Any]) -> Notices:
    return {
        phase: {transport: tuple(targets) for transport, targets in transports.items()}
        for phase, transports in document["notify"].items()
    }
