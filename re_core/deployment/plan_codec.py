"""The stored form of a plan, and the way back. Pure; must not know how a plan is made or carried out.

A block is stored as an object: its children under `serial` or `parallel`, each a step's number or a block, and beside them
what differs from the default: `limit`, `on_failure`, `max_failures`, `rescue`, `after_rescue`, `always`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from re_core.deployment import quota
from re_core.deployment.host_rows import INVENTORY, OF_HOSTS, UNKNOWN_HOSTS
from re_core.deployment.plan import (
    AfterRescue,
    Block,
    Hosts,
    Mode,
    Node,
    Notices,
    OnFailure,
    OnLost,
    Plan,
    PlannedStep,
    Role,
    StepKind,
    StepSpec,
    Task,
)
from re_core.errors import NewerFormat

#: the stored form of a node: a step's number, or a block
Tree = int | dict[str, Any]

_Words = TypeVar("_Words", bound=StrEnum)


def plan_to_document(
    steps: Sequence[PlannedStep],
    tree: Tree,
    patience: float,
    notify: Notices,
    on_lost: OnLost = OnLost.FAIL,
    stages: Sequence[str] = (),
    output_quota: int = quota.DEFAULT,
    of_hosts: Hosts = Hosts(),  # noqa: B008  # it is immutable
) -> dict[str, Any]:
    """Equal to what comes back when it was JSON on the way; specifications and hosts that many steps share are written once."""
    specs: dict[int, int] = {}
    hosts: dict[str, int] = {}
    written: list[dict[str, Any]] = []
    rows = []
    for step in steps:
        if id(step.spec) not in specs:
            specs[id(step.spec)] = len(written)
            written.append(_written(step.spec))
        host = None if step.host is None else hosts.setdefault(step.host, len(hosts))
        rows.append([specs[id(step.spec)], host, step.sequence])
    document = {
        "v": VERSION,
        "specs": written,
        "hosts": list(hosts),
        "steps": rows,
        "tree": tree,
        "patience": patience,
        "notify": _lists(notify),
        "on_lost": on_lost.value,
    }
    # left out where it says nothing, so that such plans are as they always were
    more = {
        "stages": list(stages) if any(stages) else None,
        "output_quota": output_quota if output_quota != quota.DEFAULT else None,
        INVENTORY: {name: dict(row) for name, row in of_hosts.rows.items()} or None,
        UNKNOWN_HOSTS: dict(of_hosts.unknown) or None,
    }
    return {**document, **{name: value for name, value in more.items() if value is not None}}


def _written(spec: StepSpec) -> dict[str, Any]:
    """What says nothing of where it runs is left out, so that such plans are as they always were."""
    said = {**spec._asdict(), "kind": spec.kind.value, "notify": _lists(spec.notify)}
    return {key: value for key, value in said.items() if value or key not in _PLACE}


#: keys of a specification that are stored only where they say something
_PLACE = frozenset({"pool", "environment"})

#: newest version of a stored plan that this engine reads, under `v`; a plan of version 1 does not say it
VERSION = 2

#: blocks that may stand one within the other; far more than a playbook can say
MAX_DEPTH = 50

#: what this version knows of a plan, of a block, of a step's specification and of a step
_PLAN = frozenset(
    {"v", "specs", "hosts", "steps", "tree", "patience", "notify", "on_lost", "stages", "output_quota", *OF_HOSTS}
)
_BLOCK = frozenset({*Mode, "limit", "on_failure", "max_failures", "rescue", "after_rescue", "always"})
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
    if version == 1:
        document = _second(document)
    _require_known("key", document, _PLAN)
    specs = [_spec(one) for one in document["specs"]]
    hosts = document["hosts"]
    if max(map(len, document["steps"]), default=0) > _STEP:
        raise NewerFormat("the plan has a key of a step that this version does not know; upgrade this engine")
    steps = tuple(
        [
            PlannedStep._make((specs[spec], None if host is None else hosts[host], sequence))
            for spec, host, sequence in document["steps"]
        ]
    )
    blocks, tasks, within = _Growth(len(steps)).grow(document["tree"])
    return Plan(
        steps,
        blocks,
        tasks,
        within,
        document["patience"],
        _notices(document),
        _member(OnLost, "on_lost", document.get("on_lost", OnLost.FAIL)),
        tuple(document.get("stages", ())),
        int(document.get("output_quota", quota.DEFAULT)),
        Hosts(*({**document[name]} if name in document else {} for name in OF_HOSTS)),
    )


def _require_known(what: str, there: Collection[str], known: frozenset[str]) -> None:
    """Raises NewerFormat."""
    if not known.issuperset(there):
        unknown = next(name for name in there if name not in known)
        raise NewerFormat(f"the plan has an unknown {what} {unknown!r:.60}; upgrade this engine")


def _member(words: type[_Words], what: str, said: Any) -> _Words:
    """The member of an enumeration. Raises NewerFormat, TypeError."""
    if not isinstance(said, str):
        raise TypeError(f"{what} is not a string")
    try:
        return words(said)
    except ValueError:
        raise NewerFormat(f"the plan has an unknown {what} {said!r:.60}; upgrade this engine") from None


def _second(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a plan of version 1 says, as version 2 has it: it had two roots, and the actions went on after a failure."""
    rest = {name: value for name, value in document.items() if name not in ("main", "actions")}
    actions = document["actions"]
    finish = {"always": {**actions, "on_failure": OnFailure.CONTINUE.value}} if actions["serial"] else {}
    return {**rest, "tree": {**document["main"], **finish}}


class _Above(NamedTuple):
    """What a block knows from those above it."""

    #: as Block has them
    guards: tuple[int, ...] = ()
    in_always: bool = False
    depth: int = 0


#: the parallel blocks around a node, as Plan has them
_Within = tuple[tuple[int, int], ...]
_Policies = tuple[int, OnFailure, int, Block | None, AfterRescue, Block | None]


#: a name of its own, because so many blocks are read
_SERIAL = Mode.SERIAL


class _Growth:
    """A tree that is read, for a plan of `count` steps."""

    def __init__(self, count: int) -> None:
        self._blocks: list[Block | None] = []
        self._tasks: list[Task | None] = [None] * count
        self._within: list[_Within] = [()] * count

    def grow(self, tree: Any) -> tuple[tuple[Block, ...], tuple[Task, ...], tuple[_Within, ...]]:
        """Blocks and tasks by their numbers, and of each step the parallel blocks around it. Raises as plan_from_document."""
        self._block(tree, _Above(), (), -1, -1, Role.CHILD)
        tasks = tuple(filter(None, self._tasks))
        if len(tasks) < len(self._tasks):
            raise ValueError("a step is not in the tree")
        return tuple(filter(None, self._blocks)), tasks, tuple(self._within)

    def _block(self, tree: Any, above: _Above, within: _Within, parent: int, place: int, role: Role) -> Block:
        """Add the block and all below it."""
        if not isinstance(tree, dict):
            raise TypeError("a block is not an object")
        if above.depth == MAX_DEPTH:
            raise ValueError(f"blocks are nested deeper than {MAX_DEPTH} levels")
        number = len(self._blocks)
        self._blocks.append(None)
        guards, in_always, depth = above
        here = _Above((number, *guards), in_always, depth + 1)
        is_plain = len(tree) == 1 and _SERIAL in tree  # as most
        mode = _SERIAL if is_plain else _mode(tree)
        children = self._children(tree[mode], here, within, number, mode is not _SERIAL)
        more = _PLAIN if is_plain else self._policies(tree, above, here, within, number)
        made = Block(number, parent, place, role, mode, children, *more, here.guards, in_always)
        self._blocks[number] = made
        return made

    def _children(self, stored: Any, here: _Above, within: _Within, parent: int, is_parallel: bool) -> tuple[Node, ...]:
        tasks = self._tasks
        children: list[Node] = []
        for place, child in enumerate(stored):
            around = (*within, (parent, place)) if is_parallel else within
            if type(child) is not int:
                children.append(self._block(child, here, around, parent, place, Role.CHILD))
                continue
            if child < 0 or tasks[child] is not None:
                raise ValueError("a step occurs twice in the tree, or has no number")
            task = tasks[child] = Task(child, parent, place)
            self._within[child] = around
            children.append(task)
        return tuple(children)

    def _policies(
        self, tree: Mapping[str, Any], above: _Above, here: _Above, within: _Within, number: int
    ) -> _Policies:
        """The fields of Block from `limit` to `always`."""
        _require_known("key of a block", tree, _BLOCK)

        def beside(name: str, role: Role, said: _Above) -> Block | None:
            return self._block(tree[name], said, within, number, -1, role) if name in tree else None

        return (
            _count(tree, "limit") if Mode.PARALLEL in tree else 0,
            _member(OnFailure, "on_failure", tree.get("on_failure", OnFailure.STOP)),
            _count(tree, "max_failures"),
            # a rescue begins because its block drains, and an `always` whatever drains
            beside("rescue", Role.RESCUE, here._replace(guards=above.guards)),
            _member(AfterRescue, "after_rescue", tree.get("after_rescue", AfterRescue.FAILED)),
            beside("always", Role.ALWAYS, here._replace(guards=(), in_always=True)),
        )


#: what `_policies` says of a block that is stored with nothing but its children
_PLAIN: _Policies = (0, OnFailure.STOP, 0, None, AfterRescue.FAILED, None)


def _mode(tree: Mapping[str, Any]) -> Mode:
    """Raises NewerFormat, KeyError, ValueError."""
    if Mode.SERIAL in tree and Mode.PARALLEL in tree:
        raise ValueError("a block is serial and parallel")
    mode = Mode.PARALLEL if Mode.PARALLEL in tree else Mode.SERIAL
    if mode not in tree:
        _require_known("key of a block", tree, _BLOCK)
        raise KeyError(mode)
    return mode


def _count(tree: Mapping[str, Any], name: str) -> int:
    """A number of children. Raises TypeError, ValueError."""
    said = tree.get(name, 0)
    if type(said) is not int:
        raise TypeError(f"{name} is not a number")
    if said < 0:
        raise ValueError(f"{name} is less than none")
    return said


def _spec(document: Mapping[str, Any]) -> StepSpec:
    _require_known("key of a step", document, _SPEC)
    return StepSpec(
        **{**document, "kind": _member(StepKind, "kind of step", document["kind"]), "notify": _notices(document)}
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
