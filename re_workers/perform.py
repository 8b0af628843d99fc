"""Runs one step and turns whatever it does into an outcome. Must not know the bus."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, cast

from re_core.deployment.records import MAX_DATA
from re_core.errors import BadMessage, ReleaseEngineError
from re_core.wire import strict_json
from re_workers.context import Context
from re_workers.outcomes import Cancelled, Declined, Failed, HandedOver, Lost, Outcome
from re_workers.results import plain
from re_workers.sdk import Step, Worker
from re_workers.stored_results import LARGE

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
    """The data as JSON has it; what differs from what the step declares is said, and travels all the same: the work is done.

    What is no JSON but bytes, or a file, is stored as an artifact, and so is what is too large for the journal. Raises Failed, Cancelled.
    """
    if isinstance(data, bytes | Path):
        return plain(ctx.artifact(_name(ctx), data))
    try:
        data = plain(data)
    except RecursionError:
        return data  # the reply says so
    returned = step.signature.returned
    if returned is not None and (problem := returned.problem(data)):
        ctx.output(f"[{problem}]")
    return data if step.options.quick else _fitting(ctx, data)


def _fitting(ctx: Context, data: Any) -> Any:
    """The data, or the artifact that has it. Where it cannot be stored, its beginning is kept as ever, and the output says so."""
    try:
        text = strict_json.dumps(data).encode()
    except (TypeError, ValueError, RecursionError, BadMessage):
        return data  # the reply says so
    if len(text) <= MAX_DATA:
        return data
    try:
        shown = strict_json.dumps(ctx.redacted(data)).encode()
        stored = ctx.artifact(_name(ctx), shown, file=LARGE)
    except Failed as failure:
        ctx.output(f"[the step's data has {len(text)} bytes, and could not be stored as an artifact: {failure}]")
        return data
    ctx.output(f"[the step's data has {len(text)} bytes: it is the artifact {stored.artifact}]")
    return plain(stored)


def _name(ctx: Context) -> str:
    """Of the artifact with the data of this attempt. Raises Failed."""
    if not ctx.attempt_id:
        raise Failed("its core does not say which attempt it is, so that its data cannot be stored as an artifact")
    return f"{ctx.deployment}.{ctx.step}.{ctx.attempt}"


def _unexpected(ctx: Context, error: BaseException) -> str:
    where = {"action": "step_error", "deployment_id": ctx.deployment, "step": ctx.step}
    _log.exception("%s:%s raised %s", ctx.call.command, ctx.subcommand, type(error).__name__, extra=where)
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
