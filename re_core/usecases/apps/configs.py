"""The config of an app: variables that people set, kept in sealed rows. Must not know HTTP.

A value stands in a sealed row, in the memory of who opens one, and nowhere else: no event, record, key or message of an error has
one. Rows never change: a change makes another one, and names it in the app's journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.api import apps as api
from re_core.apps import events as e
from re_core.apps.configuring import MOST_VARIABLES
from re_core.apps.names import VARIABLE, is_reserved
from re_core.apps.state import State
from re_core.errors import BadDocument, Conflict, Problem, Problems
from re_core.json_pointer import pointer
from re_core.ports.apps import MOST_CONFIGS
from re_core.rows import AppRow, ConfigRow
from re_core.usecases.apps.apps import Desk, refusal
from re_core.usecases.apps.asking import Said
from re_core.usecases.apps.broadcasts import claim
from re_core.usecases.apps.sealing import close_values, values_of
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import new_id

#: bytes of all names and values of one app
MOST_BYTES = 64 * 1024

#: tries to change what others change at the same time
_TRIES = 10

#: names that a note lists
_NOTED = 5


class Change(NamedTuple):
    """What is set, and what is removed."""

    set: Mapping[str, str]
    unset: Sequence[str] = ()
    #: the caller's own; a repetition is answered as the first
    broadcast_id: str = ""


def names(desk: Desk, principal: Principal, found: AppRow) -> list[str]:
    """Of its variables. Raises NotAllowed."""
    require(principal, Verb.SEE, found.group)
    return list(desk.state(found).config.names)


def values(desk: Desk, principal: Principal, found: AppRow) -> dict[str, str]:
    """Its variables, for who may push code to it: that code can read them in any case. Raises NotAllowed, BadSettings."""
    require_secrets(principal, found.group)
    return _head(desk, found, desk.state(found))


def change(desk: Desk, principal: Principal, found: AppRow, wanted: Change, source: str = "") -> Said:
    """Set and remove variables; where something runs, that is a release. What is so already changes nothing (version 0).

    Raises NotAllowed, BadDocument with all problems, Conflict, also where another app has the broadcast id, BadSettings, BusUnavailable,
    NoAnswer.
    """
    require_secrets(principal, found.group)
    check(wanted)
    for _ in range(_TRIES):
        state = desk.state(found)
        if (known := _made_by(state, wanted.broadcast_id)) is not None:
            return known
        before = _head(desk, found, state)
        after = {**{name: text for name, text in before.items() if name not in wanted.unset}, **wanted.set}
        if after == before:
            return Said(True)
        _check_size(after)
        if wanted.broadcast_id:
            claim(desk.store, wanted.broadcast_id, found.id)
        event = e.Configure(
            state.config.id,
            _store(desk, found, after),
            sorted(after),
            _note(wanted, before),
            wanted.broadcast_id,
            principal.subject,
            source,
        )
        said = desk.ask(found, event)
        if said.accepted:
            return said
        if said.reason != "conflict":
            raise refusal(said)
    raise Conflict(f"other requests keep changing the config of {found.name}; try again")


def require_secrets(principal: Principal, group: str) -> None:
    """What who pushes code may, who can read the environment of that code. Raises NotAllowed."""
    require(principal, Verb.AUTHOR, group)
    require(principal, Verb.DEPLOY, group)


def check(wanted: Change) -> None:
    """Raises BadDocument with all problems, which name no value."""
    wrong = Problems()
    for name, text in wanted.set.items():
        place = pointer(["set", name])
        if not VARIABLE.fullmatch(name):
            message = "a variable has letters, digits and `_`, and begins with no digit"
            wrong.add([Problem(place, f"{name[:80]!r}: {message}")])
        elif is_reserved(name):
            wrong.add([Problem(place, f"{name} is set by the engine itself")])
        elif not isinstance(text, str):
            wrong.add([Problem(place, "expected a text; numbers and the like in quotes")])
        elif "\0" in text or _unencodable(text):
            wrong.add([Problem(place, f"{name} has a NUL, or a character that has no UTF-8")])
    both = [name for name in wanted.unset if name in wanted.set]
    wrong.add(Problem("/unset", f"{name[:80]!r} is set and removed at once") for name in both)
    if not wanted.set and not wanted.unset:
        wrong.add([Problem("", "nothing is set, and nothing removed")])
    if wrong.shown:
        raise BadDocument("", wrong.listed())


def config_document(names: Sequence[str], values: Mapping[str, str] | None = None) -> api.AppConfig:
    """For people; values only where they were asked for."""
    document: api.AppConfig = {"names": list(names)}
    if values is not None:
        document["values"] = dict(values)
    return document


def _head(desk: Desk, found: AppRow, state: State) -> dict[str, str]:
    """The newest config. Raises NotFound where its row is gone, BadSettings where its key is."""
    if not state.config.id:
        return {}
    return values_of(desk.store, desk.sealing(), found.id, state.config.id)


def _store(desk: Desk, found: AppRow, variables: Mapping[str, str]) -> str:
    """The id of a new row. One that no event names is swept a day later."""
    id = new_id()
    sealed = close_values(desk.sealing(), found.id, id, variables)
    if not desk.store.add_config(ConfigRow(id, found.id, sealed, desk.clock.now())):
        text = f"the config of {found.name} was changed {MOST_CONFIGS} times, and none of these can be forgotten yet; try again in a day"
        raise Conflict(text)
    return id


def _made_by(state: State, broadcast_id: str) -> Said | None:
    """The answer to a request whose answer was lost."""
    made = (one for one in state.versions.values() if broadcast_id and one.broadcast_id == broadcast_id)
    known = next(made, None)
    return None if known is None else Said(True, version=known.number, broadcast_id=known.broadcast_id)


def _check_size(variables: Mapping[str, str]) -> None:
    """Raises BadDocument."""
    if len(variables) > MOST_VARIABLES:
        raise BadDocument(f"an app has at most {MOST_VARIABLES} variables; that would be {len(variables)}")
    size = sum(len(name.encode()) + len(text.encode()) for name, text in variables.items())
    if size > MOST_BYTES:
        raise BadDocument(f"the variables of an app have at most {MOST_BYTES} bytes; that would be {size}")


def _note(wanted: Change, before: Mapping[str, Any]) -> str:
    """`Config add GREETING, change TOKEN, remove OLD`."""
    added = [name for name in sorted(wanted.set) if name not in before]
    changed = [name for name in sorted(wanted.set) if name in before and before[name] != wanted.set[name]]
    removed = [name for name in sorted(wanted.unset) if name in before]
    parts = [("add", added), ("change", changed), ("remove", removed)]
    return "Config " + ", ".join(f"{verb} {_some(found)}" for verb, found in parts if found)


def _some(found: Sequence[str]) -> str:
    more = f" and {len(found) - _NOTED} more" if len(found) > _NOTED else ""
    # a note has a bound, and so have names: five of the longest do not fit
    return ", ".join(name[:24] for name in found[:_NOTED]) + more


def _unencodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
