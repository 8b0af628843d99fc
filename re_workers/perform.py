"""Runs one step and turns whatever it does into an outcome. Must not know the bus."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Mapping
from typing import Any, cast

from re_core.errors import ReleaseEngineError
from re_workers.context import Context
from re_workers.outcomes import Cancelled, Declined, Failed, HandedOver, Lost, Outcome
from re_workers.results import plain
from re_workers.sdk import Step, Worker

_log = logging.getLogger(__name__)

_DONE = Outcome("completed")


def perform(worker: Worker, step: Step, ctx: Context, arguments: Mapping[str, Any]) -> Outcome:
    """Never raises: a step may be any code, and its end must be reported however it ended."""
    try:
        data = _called(worker, step, ctx, arguments)
        return _DONE if data is None else Outcome("completed", _declared(step, ctx, data))
    except Failed as failure:
        return Outcome("failed", failure.data, str(failure))
    except Cancelled as stop:
        return Outcome("failed", stop.data, str(stop))
    except (Lost, Declined, HandedOver) as end:
        return Outcome(end.reason, None, str(end))
    except ReleaseEngineError as error:
        return Outcome("failed", None, str(error))
    except BaseException as error:  # SystemExit in a step must not end the worker of all others
        return Outcome("failed", None, _unexpected(ctx, error))


def _called(worker: Worker, step: Step, ctx: Context, arguments: Mapping[str, Any]) -> Any:
    if not step.is_async:
        return step.call(worker, ctx, **arguments)
    from re_workers import coroutines  # most processes have no such step

    try:
        return coroutines.run(cast(Coroutine[Any, Any, Any], step.call(worker, ctx, **arguments)), ctx.cancelled)
    except coroutines.Stopped:
        raise Cancelled(ctx.cancel_reason) from None


def _declared(step: Step, ctx: Context, data: Any) -> Any:
    """The data as JSON has it; what differs from what the step declares is said, and travels all the same: the work is done."""
    try:
        data = plain(data)
    except RecursionError:
        return data  # the reply says so
    returned = step.signature.returned
    if returned is not None and (problem := returned.problem(data)):
        ctx.output(f"[{problem}]")
    return data


def _unexpected(ctx: Context, error: BaseException) -> str:
    where = {"action": "step_error", "deployment_id": ctx.deployment, "step": ctx.step}
    _log.exception("%s:%s raised %s", ctx.call.command, ctx.subcommand, type(error).__name__, extra=where)
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
