"""The worker `forest` with the step `Release`, as the engine sees the gateway. Must not know gRPC or the store.

Its steps are divided into lanes by the type of their destination, so that a step goes only where a runner takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from re_gateways.forest.execution import ReleaseExecution
from re_gateways.forest.progress import Order
from re_gateways.forest.sessions import Sessions
from re_workers import Context, Worker, step
from re_workers.context import Call
from re_workers.limits import Limit, fits

#: characters of names
_MOST_NAME = 200
#: of the destination's metadata: entries, and characters of a value (a key of SSH may be one)
_MOST_ENTRIES, _MOST_VALUE = 100, 64 * 1024

_TEXT = {"type": "string", "minLength": 1, "maxLength": _MOST_NAME}


def _destination_problem(value: Mapping[str, Any]) -> str:
    for name in ("name", "environment"):
        text = value.get(name)
        if not isinstance(text, str) or not 0 < len(text) <= _MOST_NAME:
            return f"expected {name}: a string of 1 to {_MOST_NAME} characters"
    unknown = sorted(set(value) - {"name", "environment", "metadata"})
    if unknown:
        return f"unknown key {unknown[0][:80]!r} (there are name, environment, metadata)"
    return _metadata_problem(value.get("metadata", {}))


def _metadata_problem(metadata: Any) -> str:
    if not isinstance(metadata, Mapping) or len(metadata) > _MOST_ENTRIES:
        return f"expected metadata: an object with at most {_MOST_ENTRIES} entries"
    for key, text in metadata.items():
        if not isinstance(text, str) or len(text) > _MOST_VALUE:
            return f"expected metadata {key[:80]!r}: a string of at most {_MOST_VALUE} characters"
    return ""


#: where the artifact goes: {name, environment, metadata: {key: string}}
Destination = Annotated[
    dict[str, Any],
    Limit(
        {
            "properties": {
                "name": _TEXT,
                "environment": _TEXT,
                "metadata": {
                    "type": "object",
                    "maxProperties": _MOST_ENTRIES,
                    "additionalProperties": {"type": "string", "maxLength": _MOST_VALUE},
                },
            },
            "required": ["name", "environment"],
            "additionalProperties": False,
        },
        _destination_problem,
    ),
]

#: a string that is not empty
Name = Annotated[
    str,
    Limit(
        {"minLength": 1, "maxLength": _MOST_NAME},
        lambda text: "" if 0 < len(text) <= _MOST_NAME else f"expected 1 to {_MOST_NAME} characters",
    ),
]


class Forest(Worker):
    """Releases artifacts with the runners that are connected to this process."""

    command = "forest"
    outlives = True

    def __init__(
        self,
        execution: ReleaseExecution,
        sessions: Sessions,
        settled: Callable[[str], None],
        refused: Callable[[str], None],
    ) -> None:
        """`settled` and `refused` get the attempt; they return at once."""
        self._execution, self._sessions, self._settled, self._refused = execution, sessions, settled, refused

    @step
    def Release(
        self,
        ctx: Context,
        type: Annotated[str, fits("re-destination-type")],
        organisation: Name,
        project: Name,
        destination: Destination,
        artifact: Name,
        mode: Literal["deploy", "plan"] = "deploy",
    ) -> Mapping[str, Any]:
        """Release an artifact of the store to a destination, by a forest runner that takes its type, or plan that.

        The result is {"outcome", "runner"}, with "plan" in the mode plan: the runner's plan, or its log where it gave none, which says
        what is missing in it.
        """
        return self._execution.carry_out(ctx, Order(type, organisation, project, destination, artifact, mode))

    def lanes(self) -> Mapping[str, int]:
        """By text of a type: the releases that the connected runners of that type have at once."""
        return self._sessions.lanes()

    def lane(self, arguments: Mapping[str, Any]) -> str:
        """The type."""
        return str(arguments["type"])

    def offers(self) -> dict[str, dict[str, Any]]:
        """The step, always; and the types that a connected runner takes now."""
        types = sorted(self._sessions.lanes())
        return {name: {**offer, "accepts": {"type": types}} for name, offer in super().offers().items()}

    def reserve(self, call: Call, token: str, arguments: Mapping[str, Any]) -> bool:
        """A place of a runner."""
        return self._sessions.reserve(call.attempt_id, token, arguments["type"])

    def unreserve(self, call: Call, token: str) -> None:
        """The place is free again."""
        self._sessions.unreserve(call.attempt_id, token)

    def settled(self, attempt_id: str) -> None:
        """The bus has its outcome."""
        self._settled(attempt_id)

    def refused(self, attempt_id: str) -> None:
        """The core has no use for it any more."""
        self._refused(attempt_id)
