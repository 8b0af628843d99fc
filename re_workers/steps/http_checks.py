"""Whether an answer in JSON is the expected one. Must not know how it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from re_core.errors import BadMessage
from re_core.json_pointer import look_up, valid
from re_core.wire import strict_json
from re_core.wire.redaction import MARGIN
from re_workers.outcomes import Failed
from re_workers.steps.http_terms import Check
from re_workers.steps.limited import found

#: characters of a value that a failure repeats
EXCERPT = 200


def checked(checks: Sequence[Check]) -> Sequence[Check]:
    """The same. Raises Failed where one of them says nothing, or has no JSON pointer."""
    for number, one in enumerate(checks, 1):
        if not valid(one["path"]):
            raise Failed(
                f"check {number}: expected a JSON pointer such as /items/0/state, found {one['path'][:EXCERPT]!r}"
            )
        if not one.keys() & {"equals", "matches", "exists"}:
            raise Failed(f"check {number}: expected equals, matches or exists")
    return checks


def document_of(body: bytes, most: int) -> Any:
    """The JSON of an answer. Raises Failed."""
    try:
        return strict_json.loads(body, most)
    except BadMessage as error:
        raise Failed(f"its answer is not JSON: {error}") from None


def problem_of(document: Any, checks: Sequence[Check]) -> str:
    """Why the document is not as expected, with up to EXCERPT + MARGIN characters of it; empty where it is. Raises Failed."""
    return next((problem for one in checks if (problem := _problem(document, one))), "")


def same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON: 1 is 1.0, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def shown(value: Any) -> str:
    """A value, for a message."""
    return strict_json.dumps(value)[: EXCERPT + MARGIN]


def _problem(document: Any, check: Check) -> str:
    place = check["path"] or "the answer"
    try:
        value = look_up(document, check["path"])
    except LookupError:
        return "" if check.get("exists") is False else f"it has no {place}"
    if check.get("exists") is False:
        return f"{place} is there: {shown(value)}"
    if "equals" in check and not same(value, check["equals"]):
        return f"{place} is not {strict_json.dumps(check['equals'])[:EXCERPT]}, but {shown(value)}"
    if "matches" in check:
        text = value if isinstance(value, str) else strict_json.dumps(value)
        if not found(check["matches"], text):
            return f"{place} does not match {check['matches'][:EXCERPT]!r}: {shown(value)}"
    return ""
