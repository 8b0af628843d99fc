"""What a deployment will do: its steps, and the order of them. Pure; must not know how a playbook is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from re_core.deployment import quota
from re_core.deployment.host_rows import Rows

#: phase -> transport -> targets
Notices = Mapping[str, Mapping[str, tuple[str, ...]]]

#: number of the block that holds all others
ROOT = 0


class OnLost(StrEnum):
    """What happens when a step that may not be repeated is lost."""

    #: it fails the deployment; an operator who retries that has to resolve the step
    FAIL = "fail"
    #: the deployment waits until an operator resolves it
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
    #: only workers of this pool take it; empty: those of none
    pool: str = ""
    #: only workers of this environment take it, or such that are bound to none; empty: only such
    environment: str = ""

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


class Mode(StrEnum):
    """In which order the children of a block begin."""

    #: one after the other
    SERIAL = "serial"
    #: all at once, or as many at once as the block's limit says
    PARALLEL = "parallel"


class OnFailure(StrEnum):
    """What a block does once more of its children have failed than may."""

    #: it drains: nothing more of it begins
    STOP = "stop"
    #: the other children have their turn all the same, and the block fails at its end
    CONTINUE = "continue"


class AfterRescue(StrEnum):
    """How a block ends whose children failed and whose rescue completed."""

    #: what was handled has failed all the same
    FAILED = "failed"
    #: as if its children had completed
    CONTINUE = "continue"


class Role(Enum):
    """What a block is to the block above it."""

    CHILD = "child"
    RESCUE = "rescue"
    ALWAYS = "always"


class Task(NamedTuple):
    """A node of the plan's tree that is one step."""

    step: int
    #: number of the block that it stands in, and its place among the children there
    parent: int
    place: int


class Block(NamedTuple):
    """A node of the plan's tree that has others below it. Numbered from the root, 0, in the order in which a walk meets them."""

    number: int
    #: number of the block above, and the place among the children there; -1 where there is none, as of a rescue
    parent: int
    place: int
    role: Role
    mode: Mode
    children: tuple[Task | Block, ...]
    #: how many children of a parallel block are under way at once; 0: all
    limit: int
    on_failure: OnFailure
    #: children that may fail without the block failing
    max_failures: int
    #: begins when the children have failed
    rescue: Block | None
    after_rescue: AfterRescue
    #: begins when all of that has ended, however it did, after a cancel too
    always: Block | None
    #: blocks that keep what stands in this one from beginning while they drain: this one, and those above up to an `always`
    guards: tuple[int, ...]
    #: it is an `always`, or below one: no cancel ends it, and no step of it waits for an operator
    in_always: bool


Node = Task | Block


class Hosts(NamedTuple):
    """What the inventory said of the hosts of a plan at the deployment's acceptance; empty where there was none."""

    #: name -> row, of the hosts of the steps that were in it, and of those through which they are reached
    rows: Rows = {}
    #: names of hosts of steps that were not in it -> advice, which may be empty
    unknown: Mapping[str, str] = {}


class Plan(NamedTuple):
    """Everything that a deployment will do, frozen at its acceptance. Steps are numbered in playbook order."""

    steps: tuple[PlannedStep, ...]
    #: by their numbers, the root first
    blocks: tuple[Block, ...]
    #: by the numbers of their steps
    tasks: tuple[Task, ...]
    #: of each step: the parallel blocks that it is below, as a child or deeper, and its place among the children of each
    within: tuple[tuple[tuple[int, int], ...], ...]
    #: seconds that a dispatched step may wait for a worker
    patience: float
    #: targets of the notifications of the deployment's own start and end
    notify: Notices
    #: what is done about a lost step that may not be repeated
    on_lost: OnLost = OnLost.FAIL
    #: descriptions of the sequences, by their number, for people; empty where none has one
    stages: tuple[str, ...] = ()
    #: bytes of output that one attempt of a step may have
    output_quota: int = quota.DEFAULT
    #: of the steps
    hosts: Hosts = Hosts()

    @property
    def root(self) -> Block:
        return self.blocks[ROOT]

    def block_of(self, step: int) -> Block:
        """The block that the step stands in."""
        return self.blocks[self.tasks[step].parent]

    def runs_always(self, step: int) -> bool:
        """Whether the step stands in an `always`: it has its turn however all else ended, after a cancel too."""
        return self.block_of(step).in_always


def steps_below(node: Node | None) -> Iterator[int]:
    """Numbers of the steps of a node: of a block those of its children, its rescue and its `always`."""
    if isinstance(node, Task):
        yield node.step
    elif node is not None:
        for one in (*node.children, node.rescue, node.always):
            yield from steps_below(one)
