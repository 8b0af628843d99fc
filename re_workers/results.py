"""What a step returns, as its author declares it: JSON Schema for its readers, and JSON of what comes. Pure; must not know steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from re_workers.kinds import Kind, Mismatch, kind_of


class StoredArtifact(NamedTuple):
    """What a step has stored as an artifact of its deployment's group, or one file of it: what its data says in place of the bytes."""

    #: its name
    artifact: str
    #: `category/path`; empty: all of it
    file: str
    #: `sha256:…` of the file, or of the artifact
    digest: str
    #: bytes
    size: int


class Returned(NamedTuple):
    """A declared result."""

    kind: Kind

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema."""
        return self.kind.schema

    def problem(self, data: Any) -> str:
        """Why this, which is `plain`, is not what was declared, or an empty text."""
        try:
            self.kind.read(data, "")
        except Mismatch as mismatch:
            at = f" at {mismatch.path}" if mismatch.path else ""
            return f"the step's data{at} is not what the step declares: {mismatch.message}"
        return ""


def returned_of(annotation: Any) -> Returned | None:
    """Of a return annotation; None where it says nothing: `None`, `object`, `Any`, or a type that is not JSON's."""
    if annotation in (None, type(None), object, Any):
        return None
    try:
        return Returned(kind_of(StoredArtifact if annotation in (bytes, Path) else annotation))
    except TypeError:
        return None


def plain(value: Any) -> Any:
    """NamedTuples and dataclasses, at any depth, as objects; everything else as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(one) for name, one in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value
