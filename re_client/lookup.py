"""From what the user typed to the engine's name of it: `@last`, a part of an id, GROUP/NAME. Must not know any command.

What stands for something else is never used silently: the caller's `note` gets the id that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar

from re_client.api import Client
from re_client.errors import BadInput, NotFound
from re_client.text import day, safe, suggestion
from re_core.api import answers, pipelines

#: characters from which on the beginning of an id may stand for it
SHORTEST = 4
#: newest deployments and dead letters among which a part of an id is looked for
RECENT = 100
#: what stands for the newest one
LAST = "@last"
#: matches of an ambiguous name that are printed
LISTED = 10

Note = Callable[[str], None]


class _Named(TypedDict):
    """What has a name in a group."""

    id: str
    group: str
    name: str


_Row = TypeVar("_Row", bound=_Named)


def playbook(client: Client, name: str, note: Note) -> answers.PlaybookRow:
    """The playbook that GROUP/NAME, an id, a part of one or @last names. Raises BadInput, with the ids where several match."""
    rows = client.playbooks()
    if name == LAST:
        newest = max(rows, key=lambda row: (row["updated"], row["id"]), default=None)
        return _newest(newest, "no playbook is stored", note)

    def shown(row: answers.PlaybookRow) -> str:
        return f"{row['id']}  {_label(row)}, revision {row['revision']}, {day(row['updated'])}"

    return _one("playbook", name, rows, note, shown, "`rectl playbook list` lists them")


def node(client: Client, name: str, note: Note) -> pipelines.NodeRow:
    """The pipeline node that GROUP/NAME, an id, a part of one or @last names. Raises BadInput, with the ids where several match."""
    group, slash, rest = name.partition("/")
    rows = (client.nodes.all(group, rest) if slash else []) or client.nodes.all()
    if name == LAST:
        # ids are in the order in which they were made
        newest = max(rows, key=lambda row: row["id"], default=None)
        return _newest(newest, "there are no pipeline nodes", note)

    def shown(row: pipelines.NodeRow) -> str:
        return f"{row['id']}  {_label(row)}"

    return _one("pipeline node", name, rows, note, shown, "`rectl cdpm nodes` lists them")


def _newest(row: _Row | None, none: str, note: Note) -> _Row:
    """Raises BadInput where there is none."""
    if row is None:
        raise BadInput(f"{LAST}: {none}")
    note(f"{LAST} is {safe(_label(row))}, {row['id']}")
    return row


def _one(what: str, name: str, rows: Sequence[_Row], note: Note, shown: Callable[[_Row], str], list: str) -> _Row:
    """The only one that the name means. Raises BadInput. `shown`: the line of one of several; `list`: what lists all."""
    found = _named(rows, name, note)
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(f"{what}s", name, [shown(row) for row in found], "use the id of one")
    raise _unknown(what, name, rows, list)


def deployment(client: Client, id: str, note: Note) -> answers.Deployment:
    """The deployment with this id, with the only recent id that begins or ends so, or the newest one (@last).

    Raises NotFound, BadInput.
    """
    if id == LAST:
        newest = client.deployments(1)
        if not newest:
            raise BadInput(f"{LAST}: there are no deployments")
        note(f"{LAST} is {newest[0]['id']} of {safe(newest[0]['group'])}/{safe(newest[0]['playbook'])}")
        return client.deployment(newest[0]["id"])
    try:
        return client.deployment(id)
    except NotFound as error:
        missing = error
    ids = [row["id"] for row in client.deployments(RECENT)]
    found = _only("deployments", id, ids, note)
    if found:
        return client.deployment(found)
    advice = suggestion(id, ids)
    raise BadInput(f"there is no deployment {id!r}{advice}") if advice else missing


def dead_letter(client: Client, id: str, note: Note) -> str:
    """The id of a dead letter, from the id, from the only recent one that begins or ends so, or from @last. Raises BadInput."""
    return _id("dead letters", id, [row["id"] for row in client.dead_letters(RECENT)], note)


def token(client: Client, id: str, note: Note) -> str:
    """The id of a token, from the id, or from the only one that begins or ends so. Raises BadInput.

    @last does not name a token: a revocation should never hit a token that another administrator has just made.
    """
    if id == LAST:
        raise BadInput(f"{LAST} does not name a token; `rectl token list` shows the ids")
    return _id("tokens", id, [row["id"] for row in client.tokens()], note)


def _id(what: str, id: str, ids: Sequence[str], note: Note) -> str:
    """`ids`: newest first. One that is not among them is left to the server to judge."""
    if id == LAST:
        if not ids:
            raise BadInput(f"{LAST}: there are no {what}")
        note(f"{LAST} is {ids[0]}")
        return ids[0]
    return id if id in ids else _only(what, id, ids, note) or id


def _only(what: str, part: str, ids: Sequence[str], note: Note) -> str:
    """The only id that begins or ends with `part`; empty where none does. Raises BadInput where several do."""
    found = [one for one in ids if one.startswith(part) or one.endswith(part)] if len(part) >= SHORTEST else []
    if len(found) > 1:
        raise _ambiguous(what, part, found, "type more characters of the id")
    if not found:
        return ""
    note(f"{part} is {found[0]}")
    return found[0]


def _ambiguous(what: str, name: str, lines: Sequence[str], advice: str) -> BadInput:
    shown = [f"  {line}" for line in lines[:LISTED]]
    if len(lines) > LISTED:
        shown.append(f"  … and {len(lines) - LISTED} more")
    return BadInput("\n".join([f"{len(lines)} {what} match {name!r}; {advice}:", *shown]))


def _named(rows: Sequence[_Row], name: str, note: Note) -> list[_Row]:
    """Those with this id, else this GROUP/NAME, else this part of the id, of which `note` gets the only one."""
    exact = [row for row in rows if row["id"] == name] or [row for row in rows if _label(row) == name]
    if exact or len(name) < SHORTEST:
        return exact
    found = [row for row in rows if row["id"].startswith(name) or row["id"].endswith(name)]
    if len(found) == 1:
        note(f"{name} is {safe(_label(found[0]))}, {found[0]['id']}")
    return found


def _unknown(what: str, name: str, rows: Sequence[_Row], advice: str) -> BadInput:
    labels = {_label(row) for row in rows}
    same_name = sorted(label for label in labels if label.partition("/")[2] == name)
    if same_name:
        return BadInput(f"there is no {what} {name!r}; did you mean {' or '.join(map(repr, same_name[:LISTED]))}?")
    return BadInput(f"there is no {what} {name!r}{suggestion(name, labels) or f'; {advice}'}")


def _label(row: _Named) -> str:
    return f"{row['group']}/{row['name']}"
