"""Has a container be there as it is specified, and lets the one before serve until then. Must not know the step's parameters' form.

The new one is made beside the old one, as `NAME.next`. The old one is stopped before the new one starts only where both would take the
same ports of the host; it is removed after the new one was found healthy, and runs again where that was not. What a worker that died has
left is put in order by the next deployment: while there is a NAME, `NAME.next` is a leftover; where there is none, it is the new one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from re_workers.containers.engine import Engine
from re_workers.containers.health import await_healthy
from re_workers.containers.images import Auth, Pulling, had, identity
from re_workers.containers.run import removed
from re_workers.containers.spec import OWNER, SPEC, Spec, difference, made_by
from re_workers.context import Context
from re_workers.outcomes import Cancelled, Failed
from re_workers.sdk import Change

#: what kind of container it is, in its label OWNER
DEPLOYED = "deploy"


class Wanted(NamedTuple):
    """What is to be there."""

    name: str
    spec: Spec
    pull: Pulling
    auth: Auth | None
    #: seconds for it to be healthy, and for which it has to run where it has no check
    healthy_in: float
    steady: float
    #: seconds that the old one has to end
    grace: int


class Found(NamedTuple):
    """What is there."""

    will: Literal["no", "start", "replace", "create"]
    diff: str = ""
    why: str = ""
    #: identity of the container that is there
    id: str = ""
    #: it ran when it was looked at
    was_running: bool = False


def look(engine: Engine, wanted: Wanted, image: str, hidden: Collection[str] = ()) -> Found:
    """What is to be done. `image`: identity of the image that it shall have; empty where that is not known yet. `hidden`: parameters that
    have secrets."""
    there = engine.found(wanted.name)
    if there is None:
        return Found("create", difference(None, wanted.spec, image, hidden), "there is none")
    config = there.get("Config") or {}
    labels = config.get("Labels") or {}
    runs, id = bool((there.get("State") or {}).get("Running")), str(there.get("Id", ""))
    made = made_by(labels.get(SPEC, "{}"), config.get("Env") or (), _image(there))
    if SPEC not in labels:
        why = "one of this name is there that no deployment has made"
        return Found("replace", difference(made, wanted.spec, image, hidden), why, id, runs)
    if (is_same := made.is_as(wanted.spec)) and not (image and made.image != _plain(image)):
        why = f"{wanted.name} runs as specified"
        return Found("no", why=why, id=id) if runs else Found("start", "", "it is stopped", id)
    why = "its image has changed" if is_same else "its specification has changed"
    return Found("replace", difference(made, wanted.spec, image, hidden), why, id, runs)


def foreseen(engine: Engine, wanted: Wanted) -> Change:
    """What `deploy` would change; only looks."""
    image = identity(engine.image(wanted.spec.image))
    found = look(engine, wanted, image)
    if found.will != "no":
        return Change("yes", found.diff, found.why)
    if wanted.pull == "always":
        return Change("unknown", "", f"{found.why}; whether its registry has a newer image is seen when it is pulled")
    if not image and wanted.pull == "missing":
        return Change("unknown", "", f"{found.why}; its image is not there, and is to be pulled")
    return Change("no", why=found.why)


def deploy(ctx: Context, engine: Engine, wanted: Wanted) -> dict[str, Any]:
    """Have it there; `{"changed", "id", "image"}`. Raises Failed, Cancelled; the one before serves then."""
    _put_in_order(ctx, engine, wanted)
    image = had(ctx, engine, wanted.spec.image, wanted.pull, wanted.auth)
    found = look(engine, wanted, image, ctx.secret_parameters)
    if found.will == "no":
        ctx.output(f"unchanged: {found.why}")
        await_healthy(ctx, engine, wanted.name, wanted.healthy_in, 0)
        return {"changed": False, "id": found.id, "image": image}
    if found.diff:
        ctx.output(found.diff.rstrip("\n"))
    if found.will == "start":
        with engine.errors():
            engine.api.start(wanted.name)
        await_healthy(ctx, engine, wanted.name, wanted.healthy_in, wanted.steady)
    else:
        _replace(ctx, engine, wanted, found)
    now = engine.found(wanted.name) or {}
    return {"changed": True, "id": str(now.get("Id", "")), "image": image}


def _replace(ctx: Context, engine: Engine, wanted: Wanted, found: Found) -> None:
    new, first = _next(wanted.name), found.was_running and wanted.spec.takes_ports
    labels = {OWNER: DEPLOYED, SPEC: wanted.spec.label()}
    with engine.errors():
        engine.api.create_container_from_config(wanted.spec.config(labels), new)
    try:
        if first:
            _stop(ctx, engine, wanted)
        with engine.errors():
            engine.api.start(new)
        how = await_healthy(ctx, engine, new, wanted.healthy_in, wanted.steady)
        ctx.output(f"{new} is {how}")
    except (Failed, Cancelled) as error:
        raise _back(ctx, engine, wanted, error, found.was_running) from None
    if found.was_running and not first:
        _stop(ctx, engine, wanted)
    removed(engine, wanted.name)
    with engine.errors():
        engine.api.rename(new, wanted.name)


def _stop(ctx: Context, engine: Engine, wanted: Wanted) -> None:
    ctx.output(f"stopping the {wanted.name} that is there")
    with engine.errors():
        engine.client().stop(wanted.name, timeout=wanted.grace)


def _back(
    ctx: Context, engine: Engine, wanted: Wanted, error: Failed | Cancelled, was_running: bool
) -> Failed | Cancelled:
    """Have the one before serve again; the error, with what became of that."""
    try:
        removed(engine, _next(wanted.name))
        if was_running:
            with engine.errors():
                engine.client().start(wanted.name)
    except Failed as worse:
        words = f"{error}; the {wanted.name} of before could not be started again: {worse}"
        return Failed(words, {"kind": "rollback", "rolled_back": False})
    if isinstance(error, Cancelled):
        return error
    data = {**(error.data if isinstance(error.data, dict) else {}), "rolled_back": was_running}
    words = f"; the {wanted.name} of before runs on" if was_running else ""
    return Failed(f"{error}{words}", data)


def _put_in_order(ctx: Context, engine: Engine, wanted: Wanted) -> None:
    new = _next(wanted.name)
    left = engine.found(new)
    if left is None:
        return
    there = engine.found(wanted.name)
    if there is None:
        ctx.output(f"{new}, which a deployment left that did not end, becomes {wanted.name}")
        with engine.errors():
            engine.api.rename(new, wanted.name)
        return
    ctx.output(f"[removing {new}, which a deployment left that did not end]")
    removed(engine, new)
    if wanted.spec.takes_ports and not (there.get("State") or {}).get("Running"):
        with engine.errors():
            engine.api.start(wanted.name)


def _next(name: str) -> str:
    return f"{name}.next"


def _image(container: dict[str, Any]) -> str:
    return _plain(str(container.get("Image", "")))


def _plain(identity: str) -> str:
    return identity.removeprefix("sha256:")
