"""Plans that no playbook says yet: any tree of blocks, any events. What a tree promises holds whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.plan import OnLost
from re_core.model import ENDED, Resolution
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, simple

Tree = dict[str, Any]

_FINAL = {"completed", "failed", "timed_out", "lost", "skipped", "cancelled"}
_BAD = {"failed", "timed_out", "lost"}

_policies: st.SearchStrategy[Tree] = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.integers(1, 2),
        "on_failure": st.just("continue"),
        "max_failures": st.integers(1, 2),
        "after_rescue": st.just("continue"),
    },
)


def _block(mode: str, children: list[Any], policies: Tree, rescue: Any, always: Any) -> Tree:
    beside = {name: one for name, one in (("rescue", rescue), ("always", always)) if one is not None}
    return {mode: children, **policies, **beside}


def _blocks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    """A block; a step is a 0 until it gets its number."""
    beside = st.none() | st.none() | st.builds(lambda one: one if isinstance(one, dict) else {"serial": [one]}, inner)
    modes = st.sampled_from(["serial", "parallel"])
    return st.builds(_block, modes, st.lists(inner, max_size=3), _policies, beside, beside)


_trees = _blocks(st.recursive(st.just(0), _blocks, max_leaves=8))
_words = st.sampled_from(
    ["claim"] * 5
    + ["complete"] * 8
    + ["fail", "fail", "fail", "decline", "gone", "gone", "time", "cancel", "retry"]
    + ["succeeded", "rerun", "failed"]
)
_events = st.lists(st.tuples(_words, st.integers(0, 11)), max_size=30)


def _numbered(tree: Any, next_number: Iterator[int]) -> Any:
    """The tree with its steps numbered in the order of a walk."""
    if tree == 0:
        return next(next_number)
    made = {name: value for name, value in tree.items() if name not in ("serial", "parallel", "rescue", "always")}
    mode = _mode(tree)
    made[mode] = [_numbered(child, next_number) for child in tree[mode]]
    for name in ("rescue", "always"):
        if name in tree:
            made[name] = _numbered(tree[name], next_number)
    return made


def _mode(tree: Tree) -> str:
    return "parallel" if "parallel" in tree else "serial"


def _children(tree: Tree) -> list[Any]:
    children: list[Any] = tree[_mode(tree)]
    return children


def _below(tree: Any) -> list[int]:
    """Steps of a node, its rescue's and its `always`'s among them."""
    if tree is None:
        return []
    if isinstance(tree, int):
        return [tree]
    parts = [*_children(tree), tree.get("rescue"), tree.get("always")]
    return [number for part in parts for number in _below(part)]


def _all_blocks(tree: Any) -> Iterator[Tree]:
    """Blocks in the order of their numbers."""
    if isinstance(tree, dict):
        yield tree
        for part in (*_children(tree), tree.get("rescue"), tree.get("always")):
            yield from _all_blocks(part)


class Case:
    """One deployment of one tree, and what has to hold of it."""

    def __init__(self, tree: Tree, asks: bool) -> None:
        self.tree = _numbered(tree, count())
        steps = _below(self.tree)
        around = EnginePolicy(on_lost=OnLost.ASK if asks else OnLost.FAIL)
        self.blocks = list(_all_blocks(self.tree))
        self.unstoppable = {n for block in self.blocks for n in _below(block.get("always"))}
        self.drained: set[int] = set()
        self.run = Run(simple(*[{"noop:A": {}, "retries": n % 2} for n in range(len(steps))]), around, tree=self.tree)
        self.look()

    def send(self, word: str, index: int, request: str) -> None:
        run = self.run
        fitting = sorted(run.state.asked) if word in ("succeeded", "rerun", "failed") else run.open
        step = fitting[index % len(fitting)] if fitting else 0
        before = run.statuses
        if word == "retry":
            run.send(e.RetryAsked("ann", "", list(Resolution)[index % 2], "answers", request))
            if "retried" in run.kinds():
                self.look_at_retry(before)
        elif word in ("succeeded", "rerun", "failed"):
            run.send(e.Resolved(step, Resolution(word), "ann", "", "answers", request))
        else:
            words: dict[str, Callable[[], object]] = {
                "claim": lambda: run.claim(step, worker=f"w{step}"),
                "complete": lambda: run.complete(step),
                "fail": lambda: run.fail(step),
                "decline": lambda: run.decline(step),
                "gone": lambda: run.gone(f"w{step}"),
                "time": lambda: run.wait(4000),
                "cancel": run.cancel,
            }
            words[word]()
        self.look()

    def finish(self) -> None:
        """All that is open completes, and all that is asked is answered: it ends."""
        for turn in range(10 * len(self.run.plan.steps) + 10):
            if self.run.state.status in ENDED:
                return
            if self.run.open:
                self.run.complete(self.run.open[turn % len(self.run.open)])
            else:
                self.run.send(e.Resolved(min(self.run.state.asked), Resolution.FAILED, "ann", "", "a", f"end{turn}"))
            self.look()
        raise AssertionError("it never ends")

    # -- what holds after every event ----------------------------------------------------------------

    def look(self) -> None:
        run = self.run
        waits = bool(run.open or run.state.asked)
        assert waits != (run.state.status in ENDED), "it neither waits nor has it ended, or both"
        for record in run.last.records:
            if isinstance(record, r.BlockDraining):
                self.drained.add(record.node)
        if "retried" not in run.kinds():
            self.look_at_dispatches()
        for block in self.blocks:
            self.look_at(block)
        if run.state.status in ENDED:
            self.look_at_end()

    def look_at_dispatches(self) -> None:
        """What is dispatched after a drain or a cancel in the same event stands outside of it."""
        stopped: set[int] = set()
        for record in self.run.last.records:
            if isinstance(record, r.BlockDraining):
                stopped |= {n for child in _children(self.blocks[record.node]) for n in _below(child)} - self._inside(
                    self.blocks[record.node]
                )
            elif isinstance(record, r.CancelRequested):
                stopped |= set(_below(self.tree)) - self.unstoppable
            elif isinstance(record, r.Dispatched):
                assert record.step not in stopped, "it begins though it was stopped"

    def _inside(self, block: Tree) -> set[int]:
        """Steps of every `always` below the children of a block."""
        inner = (one for child in _children(block) for one in _all_blocks(child))
        return {n for one in inner for n in _below(one.get("always"))}

    def look_at(self, block: Tree) -> None:
        under_way = [self._is_under_way(child) for child in _children(block)]
        most = 1 if _mode(block) == "serial" else block.get("limit", len(under_way))
        assert sum(under_way) <= most, "more children are under way than may be"
        phases = [any(under_way), self._is_under_way(block.get("rescue")), self._is_under_way(block.get("always"))]
        assert sum(phases) <= 1, "children, rescue and always overlap"

    def _is_under_way(self, node: Any) -> bool:
        below = set(_below(node))
        return bool(below & (self.run.state.open | self.run.state.asked))

    # -- what holds at the end -----------------------------------------------------------------------

    def look_at_end(self) -> None:
        statuses = self.run.statuses
        assert set(statuses) <= _FINAL
        for block in self.blocks:
            always = block.get("always")
            if always is not None and any(self._was_begun(n) for n in _below({**block, "always": {"serial": []}})):
                assert self._has_run(always), "a block began, and its always did not run"
        ended = self.how(self.tree)
        cancelled = self.run.state.cancel is not None and not self.failed(self.tree.get("always"))
        assert self.run.status == ("cancelled" if cancelled else ended)
        if self.run.status == "failed":
            assert self.run.state.reason

    def _was_begun(self, number: int) -> bool:
        return self.run.attempt(number) > 0 and self.run.statuses[number] != "pending"

    def _has_run(self, node: Any) -> bool:
        """Whether a step of the node was begun, where there is one that begins without a failure."""
        rescues = {n for one in _all_blocks(node) for n in _below(one.get("rescue"))}
        below = set(_below(node)) - rescues
        return not below or any(self.run.attempt(number) for number in below)

    def failed(self, node: Any) -> bool:
        return node is not None and self.how(node) == "failed"

    def how(self, node: Any) -> str:
        """How a node ended, from nothing but how its steps did."""
        if isinstance(node, int):
            status = self.run.statuses[node]
            return "failed" if status in _BAD else status
        ends = [self.how(child) for child in _children(node)]
        too_many = ends.count("failed") > node.get("max_failures", 0)
        rescue = node.get("rescue")
        rescued = rescue is not None and node.get("after_rescue") == "continue" and self.how(rescue) == "completed"
        if self.failed(node.get("always")) or (too_many and not rescued):
            return "failed"
        if too_many:
            return "completed"
        return "completed" if all(end in ("completed", "failed") for end in ends) else "cancelled"

    def look_at_retry(self, before: list[str]) -> None:
        """What has completed outside of a rescue and an `always` is not done again; a failed root has something to do."""
        (again,) = (record.again for record in self.run.last.records if isinstance(record, r.Retried))
        numbers = {number for first, last in again for number in range(first, last + 1)}
        beside = {n for block in self.blocks for name in ("rescue", "always") for n in _below(block.get(name))}
        assert not {n for n in numbers - beside if before[n] == "completed"}
        assert numbers
        for block in self.blocks:
            if block is not self.tree and all(before[n] == "completed" for n in _below(block)):
                assert not numbers & (set(_below(block)) - beside)


def _play(tree: Tree, asks: bool, events: list[tuple[str, int]]) -> None:
    case = Case(tree, asks)
    for number, (word, index) in enumerate(events):
        case.send(word, index, f"q{number}")
    case.finish()


def _has_steps(tree: Mapping[str, Any]) -> bool:
    return bool(_below(_numbered(tree, count())))


@given(_trees.filter(_has_steps), st.booleans(), _events)
@settings(deadline=None, max_examples=40)
def test_a_tree_keeps_its_promises(tree: Tree, asks: bool, events: list[tuple[str, int]]) -> None:
    _play(tree, asks, events)


@pytest.mark.slow
@given(_trees.filter(_has_steps), st.booleans(), _events)
@settings(deadline=None, max_examples=1_500)
def test_many_trees_keep_their_promises(tree: Tree, asks: bool, events: list[tuple[str, int]]) -> None:
    _play(tree, asks, events)
