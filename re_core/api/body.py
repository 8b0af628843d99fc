"""The check of a request's body against its description. Must not know any body.

All that is wrong is reported at once, each problem with its JSON pointer, what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from re_core.api.fields import Elsewhere, Was
from re_core.api.schema import Components, expected, fields
from re_core.errors import BadDocument, Problem, Problems
from re_core.json_pointer import pointer
from re_core.playbook import json_schema
from re_core.playbook.schema_errors import describe_value, suggestion
from re_core.wording import quoted


class Body(dict[str, Any]):
    """A body that was checked, under the keys of today."""

    def __init__(self, document: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
        super().__init__(document)
        #: the same as it was sent, perhaps under old keys: what an Idempotency-Key is compared by
        self.sent = sent


class _Key(NamedTuple):
    #: the key of today
    name: str
    words: str
    fits: Callable[[Any], bool]
    required: bool
    #: the key of the last version; empty where it was the same
    was: str

    @property
    def names(self) -> frozenset[str]:
        """Under which it may be there."""
        return frozenset({self.name, self.was} - {""})


def check(document: Any, kind: Any) -> Body:
    """The document, if it has what the description asks for and nothing else. Raises BadDocument with every problem."""
    if not isinstance(document, dict):
        raise BadDocument("expected an object", (Problem("", "expected an object"),))
    known = _keys(kind)
    wrong = Problems(problem for key in known for problem in _misfits(document, key))
    wrong.add(_missing(key) for key in known if key.required and not key.names & document.keys())
    names = frozenset().union(*(key.names for key in known))
    for name in document:
        if name not in names:
            hint = suggestion(name, [key.name for key in known]) if wrong.room else ""
            wrong.add([Problem(pointer([name]), f"unknown key {quoted(name)}; {hint}")])
    if wrong.shown:
        raise BadDocument("", wrong.listed())
    today: dict[str, str] = {key.was: key.name for key in known if key.was}
    return Body({today.get(str(name), str(name)): value for name, value in document.items()}, document)


def _misfits(document: Mapping[str, Any], key: _Key) -> Iterator[Problem]:
    """What is wrong with the value of a key, be it there under its old name."""
    there = [name for name in (key.name, key.was) if name in key.names & document.keys()]
    for name in there:
        if not key.fits(document[name]):
            yield Problem(pointer([name]), f"expected {key.words}, found {describe_value(document[name])}")
    if len(there) > 1:
        message = f"{quoted(key.was)} is the old name of {quoted(key.name)}: use only one of them"
        yield Problem(pointer([key.was]), message)


def _missing(key: _Key) -> Problem:
    wanted = f"; expected {key.words}" if key.words else ""
    return Problem(pointer([key.name]), f"the key {quoted(key.name)} is missing{wanted}")


@cache
def _keys(kind: Any) -> tuple[_Key, ...]:
    properties = Components().document(kind)["properties"]
    return tuple(
        _Key(
            one.key,
            expected(one),
            _anything if one.find(Elsewhere) else json_schema.fits(properties[one.key]),
            one.required,
            was.key if (was := one.find(Was)) else "",
        )
        for one in fields(kind)
    )


def _anything(value: Any) -> bool:
    return True
