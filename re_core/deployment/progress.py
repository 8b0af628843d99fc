"""What follows from what happened: the next steps, another attempt, the drain of a block, the end. Pure; must not know events.

The rules call these; the theory is in re_core/deployment/machine.py, and what the end of a node means in
re_core/deployment/nodes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from re_core.deployment import events as e
from re_core.deployment import nodes
from re_core.deployment import records as r
from re_core.deployment.deadlines import stopped_at
from re_core.deployment.nodes import Reaction
from re_core.deployment.notifications import deployment_notices, describe_step, step_notices
from re_core.deployment.plan import ROOT, Block, Mode, Node, OnLost, Task, steps_below
from re_core.deployment.reasons import cancelled_by
from re_core.deployment.state import State, StepState
from re_core.model import DeploymentStatus, Ending, StepStatus

#: attempts in all of a step that is idempotent and says nothing of retries
IDEMPOTENT_ATTEMPTS = 3


class Refusal(Exception):
    """A rule found that the event does not fit after all. Raised before anything was emitted."""


class Advance:
    """One advance under way."""

    __slots__ = ("effects", "now", "records", "repeated", "state")

    def __init__(self, state: State, now: int) -> None:
        self.state = state
        self.now = now
        self.records: list[r.Record] = []
        self.effects: list[e.Effect] = []
        self.repeated = False

    def emit(self, record: r.Record) -> None:
        self.state.apply(record, self.now)
        self.records.append(record)

    def do(self, effect: e.Effect) -> None:
        self.effects.append(effect)


def awaited(state: State) -> Iterator[e.Effect]:
    """What the state still waits for, to be asked for again: the same ids, so that copies are recognised."""
    for number in sorted(state.open):
        step = state.steps[number]
        if step.handed:
            continue
        if step.status is StepStatus.DISPATCHED:
            yield e.Dispatch(number, step.attempt, again=True)
        elif step.offered:
            yield e.Adopt(number, step.attempt, step.offered, step.token)
        elif stopped_at(state, number) is not None:
            yield e.Stop(step.control, number, step.attempt)
        elif step.control and (step.moves or step.recorded or not state.plan.steps[number].spec.repeatable):
            yield e.Grant(step.control, number, step.attempt, step.token, go=True)


def begin(go: Advance) -> None:
    """Dispatch the first steps, after a retry those that did not complete; where there are none, the deployment is over."""
    root = go.state.plan.root
    if not _begin(go, root):
        _finish(go)


def advance_from(go: Advance, done: int) -> None:
    """A step is done for good: ask its parent what that leads to, and, where that ends the parent too, the block above it."""
    ended: tuple[Node, Ending] | None = _over(go.state, done)
    while ended:
        ended = _ask_parent(go, *ended)


def ask_parents(go: Advance, done: Iterable[int]) -> None:
    """The same for several steps at once, all of which stand in blocks that drain or were cancelled."""
    _ask_deepest_first(go, [_over(go.state, number) for number in done])


def stops(state: State, number: int) -> bool:
    """Whether no attempt of this step begins any more: a block around it drains, or there was a cancel."""
    return nodes.stops(state, state.plan.block_of(number))


def after_failure(go: Advance, number: int, may_repeat: bool) -> None:
    """Repeat the step where its author allows it; else it is final."""
    state = go.state
    stopping = stops(state, number)
    if may_repeat and not stopping:
        redispatch(go, number, state.steps[number].message or "the attempt failed")
        return
    go.effects.extend(step_notices(state, number, state.steps[number].status))
    if not stopping and _is_to_be_asked(state, number):
        go.emit(r.ResolutionRequested(number, DeploymentStatus.WAITING.value))
        return
    advance_from(go, number)


def _is_to_be_asked(state: State, number: int) -> bool:
    """Whether an operator has to resolve the step. An `always` never waits for one."""
    lost = state.steps[number].status is StepStatus.LOST and not state.plan.runs_always(number)
    return lost and state.plan.on_lost is OnLost.ASK


def withdraw(go: Advance, number: int, why: str) -> None:
    fence(go, number, why)
    status = StepStatus.SKIPPED if go.state.cancel is None else StepStatus.CANCELLED
    go.emit(r.Withdrawn(number, status.value))


def redispatch(go: Advance, number: int, why: str) -> None:
    fence(go, number, why)
    dispatch(go, number)


def dispatch(go: Advance, number: int) -> None:
    """The step's next attempt. It waits for a worker since an earlier one did, where no worker has begun that."""
    step = go.state.steps.get(number)
    attempt, since = (1, 0) if step is None else (step.attempt + 1, step.waiting_since or 0)
    go.emit(r.Dispatched(number, attempt, since))
    go.do(e.Dispatch(number, attempt))


def fence(go: Advance, number: int, why: str) -> None:
    """The claimant of the attempt, which has not ended it, has declined it: it does not count as begun."""
    step = go.state.steps[number]
    go.emit(r.Fenced(number, step.attempt, why, step.begun - (step.status is StepStatus.STARTED)))


# -- the tree --------------------------------------------------------------------------------------


def _begin(go: Advance, node: Node) -> bool:
    """Begin what of the node has not completed; whether anything of it is open now."""
    if isinstance(node, Task):
        pending = go.state.is_pending(node.step)
        if pending:
            dispatch(go, node.step)
        return pending
    begun = _begin_one(go, node, 0) if node.mode is Mode.SERIAL else _begin_many(go, node)
    return begun or _after_children(go, node)


def _begin_many(go: Advance, block: Block) -> bool:
    """Begin of the children as many as may be under way at once; whether there is one."""
    begun = 0
    for child in block.children:
        begun += _begin(go, child)
        if begun == block.limit > 0:
            break
    return begun > 0


def _over(state: State, done: int) -> tuple[Node, Ending]:
    """The step, which is done for good, and how it has ended."""
    return state.plan.tasks[done], nodes.ENDINGS[state.steps[done].status]


def _ask_parent(go: Advance, child: Node, how: Ending) -> tuple[Node, Ending] | None:
    """What the end of a node leads to. Returns the block that it stands in, and how that has ended, where it has by it."""
    state = go.state
    block = state.plan.blocks[child.parent]
    if how is Ending.FAILED and (released := _drain(go, block, child)):
        _ask_deepest_first(go, [*(_over(state, number) for number in released), (child, how)])
        return None
    if child.place < 0:  # its rescue, or its `always`
        goes_on = child is block.rescue and _after_rescue(go, block, child)
    else:
        reaction = nodes.REACTIONS[None if nodes.stops(state, block) else block.mode, how]
        goes_on = _CARRY_OUT[reaction](go, block, child.place)
    return None if goes_on else _close(go, block)


def _ask_deepest_first(go: Advance, over: Iterable[tuple[Node, Ending]]) -> None:
    """A block is asked after all below it that has ended: that may have a rescue or an `always` to begin, for which it waits."""
    ended = {node.parent: (node, how) for node, how in over}
    while ended:
        closed = _ask_parent(go, *ended.pop(max(ended)))
        if closed is not None:
            ended[closed[0].parent] = closed


def _next(go: Advance, block: Block, place: int) -> bool:
    """One after the other: the child after this place; whether anything of the block is open now."""
    if _begin_one(go, block, place + 1):
        return True
    # of most blocks that is all: where none drains, nothing is left to be skipped
    return (block.rescue or block.always) is not None and _after_children(go, block)


def _fill(go: Advance, block: Block, place: int) -> bool:
    """Side by side: a child that waits for a place; whether anything of the block is open still, or now."""
    if block.limit and _begin_one(go, block, go.state.begun_to.get(block.number, 0)):
        return True
    return _await(go, block, place)


def _await(go: Advance, block: Block, place: int) -> bool:
    """No child more; whether anything of the block is open still, or now."""
    return bool(go.state.held.get(block.number)) or _after_children(go, block)


def _count(go: Advance, block: Block, place: int) -> bool:
    """It was counted when it failed, and no more have failed than may: as if it had completed."""
    return _CARRY_OUT[nodes.REACTIONS[block.mode, Ending.COMPLETED]](go, block, place)


#: what a block does about the child at a place of it that has ended
_CARRY_OUT: Mapping[Reaction, Callable[[Advance, Block, int], bool]] = {
    Reaction.NEXT: _next,
    Reaction.FILL: _fill,
    Reaction.COUNT: _count,
    Reaction.AWAIT: _await,
}


def _after_rescue(go: Advance, block: Block, rescue: Node) -> bool:
    """The rescue of the block has ended: whether its `always` is open now."""
    _skip(go, block, [rescue])
    return block.always is not None and _begin(go, block.always)


def _begin_one(go: Advance, block: Block, place: int) -> bool:
    """Begin the next child, from this place on, that has not completed; whether there is one."""
    while place < len(block.children):
        if _begin(go, block.children[place]):
            return True
        place += 1
    return False


def _drain(go: Advance, block: Block, child: Node) -> set[int]:
    """A child of the block has failed: drain what fails with it. Returns the steps that wait for no operator any longer."""
    state = go.state
    top = nodes.topmost_failing(state, block, child) if child.place >= 0 and not nodes.stops(state, block) else None
    if top is None:
        return set()
    asked = {number for number in state.asked if top.number in state.plan.block_of(number).guards}
    go.emit(r.BlockDraining(top.number, _why(state, child), "" if state.asked - asked else goes_on(state)))
    return asked


def _after_children(go: Advance, block: Block) -> bool:
    """All that began of the children has ended: skip the rest, then rescue what failed; whether anything is open now."""
    rescue = block.rescue
    if rescue is not None or nodes.stops(go.state, block):
        if nodes.is_stopped_from_above(go.state, block) or not nodes.children_failed(go.state, block):
            rescue = None
        _skip(go, block, (*block.children, block.rescue if rescue is None else None))
    return (rescue is not None and _begin(go, rescue)) or (block.always is not None and _begin(go, block.always))


def _skip(go: Advance, block: Block, rest: Iterable[Node | None]) -> None:
    """What never began of these parts of a block never will; where the block is stopped from above, that is said up there."""
    if block.number != ROOT and nodes.is_stopped_from_above(go.state, block):
        return
    if pending := go.state.pending(sorted(number for node in rest for number in steps_below(node))):
        go.emit(r.Skipped(pending))


def _close(go: Advance, block: Block) -> tuple[Node, Ending] | None:
    """All of the block has ended. Returns it, and how; nothing for the root, with which the deployment ends."""
    state = go.state
    if block.number == ROOT:
        _finish(go)
        return None
    how = nodes.ending_of(state, block)
    said = how is Ending.FAILED or block.number in state.draining
    if said and not nodes.is_stopped_from_above(state, block):
        go.emit(r.BlockClosed(block.number, how.value))
    return block, how


def _finish(go: Advance) -> None:
    status, reason = _end_of(go.state)
    go.emit(r.Ended(status, reason))
    go.effects.extend(deployment_notices(go.state))


def _end_of(state: State) -> tuple[DeploymentStatus, str]:
    """How it ends: a failed `always` fails it, then a cancel, then what failed of the rest; else it completed."""
    root = state.plan.root
    if root.always is not None and state.closed.get(root.always.number) is Ending.FAILED:
        return DeploymentStatus.FAILED, _why(state, root.always, "the worker gave no reason")
    if state.cancel is not None:
        return DeploymentStatus.CANCELLED, cancelled_by(state.cancel)
    if nodes.ending_of(state, root) is Ending.FAILED:
        return DeploymentStatus.FAILED, state.draining.get(ROOT) or _why(state, root)
    return DeploymentStatus.COMPLETED, ""


def _why(state: State, node: Node, silent: str = "") -> str:
    """Why the node has failed: its first step that did, and what that says of itself, or `silent`."""
    number = nodes.first_failure(state, node)
    if number is None:
        return silent
    step = state.steps[number]
    said = step.message or silent
    reason = f"{describe_step(state.plan.steps[number])} {step.status.replace('_', ' ')}"
    return f"{reason}: {said}" if said else reason


# -- what follows ----------------------------------------------------------------------------------


def runs(state: State) -> str:
    """What the deployment's status becomes because a worker has begun a step; empty where it stays."""
    return DeploymentStatus.RUNNING.value if state.status is DeploymentStatus.ACCEPTED else ""


def goes_on(state: State) -> str:
    """What the deployment's status becomes because no step waits for an operator any more; empty where it stays."""
    return DeploymentStatus.RUNNING.value if state.status is DeploymentStatus.WAITING else ""


def begun_by_end(step: StepState) -> int:
    """Attempts that count as begun once the current one has ended: it has begun, also where no claim said so."""
    return step.begun + (step.status is StepStatus.DISPATCHED)


def mark_lost(go: Advance, number: int, step: StepState, text: str) -> None:
    spec = go.state.plan.steps[number].spec
    go.emit(r.Lost(number, step.attempt, text, begun_by_end(step)))
    may_repeat = step.begun - 1 < spec.retries or (spec.idempotent and step.begun < IDEMPOTENT_ATTEMPTS)
    after_failure(go, number, may_repeat)
