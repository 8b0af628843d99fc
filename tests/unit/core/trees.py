"""Plans of any tree, made in one line. Must not know what a test wants to show."""

from __future__ import annotations

from typing import Any

from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, simple


def run_tree(tree: dict[str, Any], around: EnginePolicy | None = None, retries: int = 0) -> Run:
    """A deployment of this tree."""
    return Run(simple(*[{"noop:A": {}, "retries": retries}] * _count(tree)), around, tree=tree)


def serial(*children: Any, **more: Any) -> dict[str, Any]:
    """A block of children one after the other: a number is a step, a list a block of steps."""
    return _block("serial", children, more)


def parallel(*children: Any, **more: Any) -> dict[str, Any]:
    """The same of children side by side."""
    return _block("parallel", children, more)


def lose(run: Run, step: int) -> None:
    """Let the worker of this step go away."""
    run.claim(step, worker=f"w{step}")
    run.gone(f"w{step}")


def _block(mode: str, children: tuple[Any, ...], more: dict[str, Any]) -> dict[str, Any]:
    beside = {name: {"serial": one} if isinstance(one, list) else one for name, one in more.items()}
    return {mode: [{"serial": one} if isinstance(one, list) else one for one in children], **beside}


def _count(tree: Any) -> int:
    if isinstance(tree, int):
        return 1
    parts = [part for name in ("serial", "parallel") for part in tree.get(name, ())]
    return sum(map(_count, [*parts, *(tree[name] for name in ("rescue", "always") if name in tree)]))
