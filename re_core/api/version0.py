"""The documents of version 0, as clients of 2014 know them. Must not know how they are made."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from re_core.api.answers import Group


class V0Error(TypedDict):
    """A refused request. Other keys may be added to it."""

    status: str
    message: NotRequired[str]
    id: NotRequired[Annotated[str, "id of the deployment that was requested; the core has not answered"]]


class V0Groups(TypedDict):
    """All groups."""

    status: Literal["ok"]
    items: list[Group]


class V0Playbooks(TypedDict):
    """Playbooks as they were stored, each with its `id`."""

    status: Literal["ok"]
    items: list[dict[str, Any]]


class V0Playbook(TypedDict):
    """A playbook as it was stored."""

    status: Literal["ok"]
    item: dict[str, Any]


class V0Created(TypedDict):
    """A playbook was stored, or a deployment was accepted."""

    status: Literal["created"]
    id: str


class V0Replaced(TypedDict):
    """A playbook was replaced."""

    status: Literal["ok"]
    id: str


class V0Gone(TypedDict):
    """A playbook was deleted."""

    status: Literal["gone"]


class V0Status(TypedDict):
    """How a deployment stands. Other keys may be added to it."""

    status: Literal["completed", "in progress", "failed", "not found", "bad request"]
    message: NotRequired[str]
    created: NotRequired[str]
    deployment: NotRequired[str]
    duration: NotRequired[Annotated[int, "seconds"]]
    ended: NotRequired[str]
    active_step: NotRequired[str]
    failed_step: NotRequired[str]


_ALL = (V0Error, V0Groups, V0Playbooks, V0Playbook, V0Created, V0Replaced, V0Gone, V0Status)

#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {kind.__name__: kind for kind in _ALL}

#: documents to which a later version may add keys
EXTENSIBLE: frozenset[Any] = frozenset({V0Error, V0Status})
