"""Images: have one there, send one to its registry. Must not know containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from re_workers.containers.engine import Engine
from re_workers.containers.streams import heard
from re_workers.context import Context
from re_workers.limits import confidential
from re_workers.outcomes import Failed

#: when an image is fetched: where it is not there; in any case, since its name may mean another one now; not at all
Pulling = Literal["missing", "always", "never"]

#: states of a layer that are said again and again
_BUSY = frozenset({"Downloading", "Extracting", "Waiting", "Pushing", "Preparing", "Pulling fs layer"})


class Auth(TypedDict):
    """Who the registry lets in."""

    username: str
    password: Annotated[str, confidential()]
    #: a token in place of both
    identity_token: NotRequired[Annotated[str, confidential()]]


def identity(image: dict[str, Any] | None) -> str:
    """`sha256:…` of its configuration; empty where it is not there."""
    return str((image or {}).get("Id", ""))


def had(ctx: Context, engine: Engine, name: str, pulling: Pulling, auth: Auth | None) -> str:
    """Have it there; its identity. Raises Failed, Cancelled."""
    there = identity(engine.image(name))
    if pulling == "never" or (there and pulling == "missing"):
        if not there:
            raise Failed(f"{engine.words} has no image {name}, and pull is never", {"kind": "image"})
        return there
    return pulled(ctx, engine, name, auth)


def pulled(ctx: Context, engine: Engine, name: str, auth: Auth | None) -> str:
    """Fetch it, or what is new of it; its identity. Raises Failed, Cancelled."""
    repository, tag = divided(name)
    account = _account(auth)

    def ask(client: Any) -> Iterator[Any]:
        return iter(client.pull(repository, tag=tag, stream=True, decode=True, auth_config=account))

    ctx.output(f"pulling {name}")
    heard(ctx, engine, ask, _Progress(ctx, engine), s404=f"there is no image {name}, or it is not for this account")
    if found := identity(engine.image(name)):
        return found
    raise Failed(f"{engine.words} has fetched {name}, and does not have it", {"kind": "image"})


def pushed(ctx: Context, engine: Engine, name: str, auth: Auth | None) -> str:
    """Send it to the registry of its name; the digest that it has there, empty where that was not said. Raises Failed, Cancelled."""
    repository, tag = divided(name)
    account = _account(auth)

    def ask(client: Any) -> Iterator[Any]:
        return iter(client.push(repository, tag=tag, stream=True, decode=True, auth_config=account))

    ctx.output(f"pushing {name}")
    progress = _Progress(ctx, engine)
    heard(ctx, engine, ask, progress, s404=f"there is no image {name} to push")
    return progress.digest


def divided(name: str) -> tuple[str, str]:
    """The repository, and the tag or digest: `latest` where none is given. Pure."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def _account(auth: Auth | None) -> dict[str, str]:
    if not auth:
        return {}  # None would have the SDK send what the worker's user has in a file of its own
    token = {"identitytoken": auth["identity_token"]} if auth.get("identity_token") else {}
    return {"username": auth["username"], "password": auth["password"], **token}


class _Progress:
    """What an engine says while it moves an image. Raises Failed where it says an error: its status was 200 by then."""

    def __init__(self, ctx: Context, engine: Engine) -> None:
        self._ctx, self._engine = ctx, engine
        self._said: set[str] = set()
        self.digest = ""

    def __call__(self, piece: Any) -> None:
        if error := piece.get("error"):
            raise Failed(f"{self._engine.words}: {' '.join(str(error).split())[:500]}", {"kind": "image"})
        aux = piece.get("aux")
        self.digest = str(aux.get("Digest", "")) if isinstance(aux, dict) else self.digest
        status = str(piece.get("status") or piece.get("stream") or "").strip()
        if not status or status in _BUSY:
            return
        line = f"{piece['id']}: {status}" if piece.get("id") else status
        if line not in self._said and len(self._said) < _MOST_LINES:
            self._said.add(line)
            self._ctx.output(line)


#: lines of one image that are shown
_MOST_LINES = 500
