"""What the end of a node means to the block that it stands in. Pure; must not know events, records or effects.

The plan is a tree (re_core/deployment/plan.py). What ends asks its parent: REACTIONS says what that does. These rules look
at a state and say what follows; re_core/deployment/progress.py carries it out.

A block *drains* once more of its children have failed than may, and stops at a failure: no child of it, nor anything below
one, begins any more; what runs is awaited. Its `rescue` stands outside of that, and an `always` outside of everything, a
cancel too. A block whose failure no rescue can mend any more makes its parent fail at once, and not only at its own end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Protocol

from re_core.deployment.plan import ROOT, AfterRescue, Block, Mode, Node, OnFailure, Plan, Role, Task, steps_below
from re_core.model import Ending, StepStatus


class Reaction(StrEnum):
    """What a block does when a child has ended."""

    #: begin the child after it; where there is none, the children have ended
    NEXT = "next"
    #: begin a child that waits for its place; where none is open any more, the children have ended
    FILL = "fill"
    #: where more children have failed than may, drain if the block stops at failures; else as if it had completed
    COUNT = "count"
    #: begin nothing; where none is open any more, the children have ended
    AWAIT = "await"


#: what a block of this mode does when a child of it has ended; under None one that drains, or stands in one that does
REACTIONS: Mapping[tuple[Mode | None, Ending], Reaction] = {
    (Mode.SERIAL, Ending.COMPLETED): Reaction.NEXT,
    (Mode.SERIAL, Ending.FAILED): Reaction.COUNT,
    (Mode.SERIAL, Ending.CANCELLED): Reaction.NEXT,
    (Mode.SERIAL, Ending.SKIPPED): Reaction.NEXT,
    (Mode.PARALLEL, Ending.COMPLETED): Reaction.FILL,
    (Mode.PARALLEL, Ending.FAILED): Reaction.COUNT,
    (Mode.PARALLEL, Ending.CANCELLED): Reaction.FILL,
    (Mode.PARALLEL, Ending.SKIPPED): Reaction.FILL,
    (None, Ending.COMPLETED): Reaction.AWAIT,
    (None, Ending.FAILED): Reaction.AWAIT,
    (None, Ending.CANCELLED): Reaction.AWAIT,
    (None, Ending.SKIPPED): Reaction.AWAIT,
}

#: how a step has ended, by its status once it is final
ENDINGS: Mapping[StepStatus, Ending] = {
    StepStatus.COMPLETED: Ending.COMPLETED,
    StepStatus.FAILED: Ending.FAILED,
    StepStatus.TIMED_OUT: Ending.FAILED,
    StepStatus.LOST: Ending.FAILED,
    StepStatus.SKIPPED: Ending.SKIPPED,
    StepStatus.CANCELLED: Ending.CANCELLED,
}


class Step(Protocol):
    """What these rules look at in a step."""

    @property
    def status(self) -> StepStatus: ...


class Facts(Protocol):
    """What these rules look at in a state."""

    @property
    def plan(self) -> Plan: ...
    @property
    def steps(self) -> Mapping[int, Step]: ...
    @property
    def asked(self) -> set[int]: ...
    @property
    def cancel(self) -> object: ...
    @property
    def draining(self) -> Mapping[int, str]: ...
    @property
    def closed(self) -> Mapping[int, Ending]: ...


# -- what may begin --------------------------------------------------------------------------------


def stops(state: Facts, block: Block) -> bool:
    """Whether no child of the block begins any more: it drains, or something around it does, or there was a cancel."""
    if state.cancel is None and not state.draining:
        return False
    return is_stopped_from_above(state, block) or block.number in state.draining


def is_stopped_from_above(state: Facts, block: Block) -> bool:
    """The same, but for what the block itself does: neither its rescue nor anything after it matters."""
    if state.cancel is not None and not block.in_always:
        return True
    return bool(state.draining) and any(one in state.draining for one in block.guards[1:])


def topmost_failing(state: Facts, block: Block, failed: Node) -> Block | None:
    """The highest of the blocks that drain because this child of `block` fails; None where none does.

    A block with a rescue may be mended yet, so what is above it waits for its end.
    """
    top = None
    while block.on_failure is OnFailure.STOP and _exceeds(state, block, failed):
        top = block
        if block.number == ROOT or block.role is not Role.CHILD or block.rescue is not None:
            break
        failed, block = block, state.plan.blocks[block.parent]
    return top


def _exceeds(state: Facts, block: Block, failed: Node) -> bool:
    if not block.max_failures:
        return True
    others = sum(has_failed(state, child) for child in block.children if child is not failed)
    return others + 1 > block.max_failures


# -- how a block ends ------------------------------------------------------------------------------


def children_failed(state: Facts, block: Block) -> bool:
    """Whether more children of the block have failed than may."""
    if block.number in state.draining:
        return True
    return block.on_failure is OnFailure.CONTINUE and failures(state, block) > block.max_failures


def failures(state: Facts, block: Block) -> int:
    """Children of the block that have failed, or that nothing can keep from it any more."""
    return sum(has_failed(state, child) for child in block.children)


def has_failed(state: Facts, node: Node) -> bool:
    """Whether the node has failed, or nothing can keep it from that any more."""
    if isinstance(node, Block):
        ended = state.closed.get(node.number)
        return node.number in state.draining and node.rescue is None if ended is None else ended is Ending.FAILED
    step = state.steps.get(node.step)
    return step is not None and ENDINGS.get(step.status) is Ending.FAILED and node.step not in state.asked


def ending_of(state: Facts, block: Block) -> Ending:
    """How the block has ended, now that all of it has."""
    if block.always is not None and state.closed.get(block.always.number) is Ending.FAILED:
        return Ending.FAILED
    if state.cancel is None and not state.draining and block.on_failure is OnFailure.STOP:
        return Ending.COMPLETED  # as most blocks
    if is_stopped_from_above(state, block):
        return Ending.CANCELLED
    return Ending.FAILED if children_failed(state, block) and not _is_rescued(state, block) else Ending.COMPLETED


def _is_rescued(state: Facts, block: Block) -> bool:
    if block.rescue is None or block.after_rescue is AfterRescue.FAILED:
        return False
    return state.closed.get(block.rescue.number) is not Ending.FAILED


def first_failure(state: Facts, node: Node) -> int | None:
    """Number of the first step below that has failed."""
    tasks = state.plan.tasks
    return next((number for number in sorted(steps_below(node)) if has_failed(state, tasks[number])), None)


# -- retry -----------------------------------------------------------------------------------------


def brought_back(state: Facts) -> list[int]:
    """Steps that a retry of what has failed gives another turn, in ascending order.

    Of a block that did not complete: what did not complete, its rescue, and its `always`.
    """
    return sorted(number for number in _again(state, state.plan.root) if number in state.steps)


def _again(state: Facts, block: Block) -> Iterator[int]:
    for child in block.children:
        if isinstance(child, Block):
            yield from () if _has_completed(state, child) else _again(state, child)
        elif not _has_completed(state, child):
            yield child.step
    yield from steps_below(block.rescue)
    yield from steps_below(block.always)


def _has_completed(state: Facts, node: Node) -> bool:
    if isinstance(node, Task):
        return node.step in state.steps and state.steps[node.step].status is StepStatus.COMPLETED
    if node.number in state.closed or node.number in state.draining:
        return state.closed.get(node.number) is Ending.COMPLETED
    done = all(_has_completed(state, child) or has_failed(state, child) for child in node.children)
    finished = node.always is None or _has_completed(state, node.always)
    return done and finished and failures(state, node) <= node.max_failures
