"""What a deployment will do: its steps, and the order of them. Pure; must not know how a playbook is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.deployment import quota

#: phase -> transport -> targets
Notices = Mapping[str, Mapping[str, tuple[str, ...]]]


class OnLost(StrEnum):
    """What happens when a step that may not be repeated is lost."""

    #: it fails the deployment; whoever retries that has to decide about the step
    FAIL = "fail"
    #: the deployment waits until a person decides
    ASK = "ask"


class StepKind(StrEnum):
    """Why a step is in the plan."""

    #: a PRE_DEPLOY_CHECK of the settings
    CHECK = "check"
    #: of a sequence's `preflight`
    PREFLIGHT = "preflight"
    #: of a sequence's `steps`
    STEP = "step"
    #: inserted before a step by a trigger of the settings
    TRIGGER = "trigger"
    #: a POST_DEPLOY_ACTION of the settings
    ACTION = "action"


class StepSpec(NamedTuple):
    """One step as its author wrote it, with the worker's defaults filled in. Shared by all hosts it runs on."""

    #: `command:Subcommand`, as the playbook names it
    name: str
    kind: StepKind
    #: the author's arguments; for a step with dynamic values the list of names stays in `dynamic`
    parameters: Mapping[str, Any]
    notify: Notices
    #: seconds from the step's start
    timeout: float
    #: a lost attempt may be repeated
    idempotent: bool
    #: how often a failed or lost attempt is repeated
    retries: int
    #: for people: the `name` beside a step's key, a check's NAME, a trigger's DESCRIPTION
    label: str = ""
    #: a check's: what its final reply must equal; None where any `completed` will do
    expectation: Any = None

    @property
    def command(self) -> str:
        return self.name.partition(":")[0]

    @property
    def subcommand(self) -> str:
        return self.name.partition(":")[2]

    @property
    def repeatable(self) -> bool:
        """Whether its author says that it may be begun more than once (docs/guarantees.md, Which steps are rerun)."""
        return self.idempotent or self.retries > 0


class PlannedStep(NamedTuple):
    """One step on one host: what one dispatch carries."""

    spec: StepSpec
    #: None for a check or an action
    host: str | None
    #: number of the sequence in the playbook, from 0; None outside one
    sequence: int | None


class Unit(NamedTuple):
    """A node of the plan's tree. `children` holds step numbers (0 and up) and units (their number, inverted: -1 is unit 0)."""

    #: all children at once, or one after the other
    parallel: bool
    children: tuple[int, ...]
    #: number of the unit above; -1 at a root
    parent: int
    #: place among the parent's children
    position: int


class Plan(NamedTuple):
    """Everything that a deployment will do, frozen at its acceptance. Steps are numbered in playbook order."""

    steps: tuple[PlannedStep, ...]
    units: tuple[Unit, ...]
    #: of each step: the unit that holds it, and its place there
    places: tuple[tuple[int, int], ...]
    #: number of the root unit of checks and sequences
    main: int
    #: number of the root unit of the actions
    actions: int
    #: number of the first action; the steps from here on are actions
    first_action: int
    #: seconds that a dispatched step may wait for a worker
    patience: float
    #: who hears of the deployment's own start and end
    notify: Notices
    #: what is done about a lost step that may not be repeated
    on_lost: OnLost = OnLost.FAIL
    #: descriptions of the sequences, by their number, for people; empty where none has one
    stages: tuple[str, ...] = ()
    #: bytes of output that one attempt of a step may have
    output_quota: int = quota.DEFAULT

    def first(self, unit: int) -> Iterator[int]:
        """The steps that begin when `unit` begins."""
        here = self.units[unit]
        for child in here.children if here.parallel else here.children[:1]:
            if child >= 0:
                yield child
            else:
                yield from self.first(~child)
