"""From what a person typed to what the engine calls it: playbooks by GROUP/NAME, deployments by a part of their id.

Must not know any command.
"""

from __future__ import annotations

from re_client import shapes
from re_client.api import Client
from re_client.errors import BadInput, NotFound
from re_client.text import day, suggestion

#: characters from which on the beginning of an id may stand for it
SHORTEST = 4
#: newest deployments among which a part of an id is looked for
RECENT = 100


def playbook(client: Client, name: str) -> shapes.PlaybookRow:
    """The playbook that GROUP/NAME or an id names. Raises BadInput, with the ids where several match."""
    rows = client.playbooks()
    found = [row for row in rows if row["id"] == name] or [row for row in rows if _label(row) == name]
    if not found and len(name) >= SHORTEST:
        found = [row for row in rows if row["id"].startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = "\n".join(
            f"  {row['id']}  {_label(row)}, revision {row['revision']}, {day(row['updated'])}" for row in found
        )
        raise BadInput(f"{len(found)} playbooks match {name!r}; name one by its id:\n{ids}")
    advice = suggestion(name, {_label(row) for row in rows}) or "; `rectl playbook list` shows those that there are"
    raise BadInput(f"there is no playbook {name!r}{advice}")


def deployment(client: Client, id: str) -> shapes.Deployment:
    """The deployment with this id, or with the only recent id that begins or ends so. Raises NotFound, BadInput."""
    try:
        return client.deployment(id)
    except NotFound as error:
        missing = error
    ids = [row["id"] for row in client.deployments(RECENT)]
    found = [one for one in ids if one.startswith(id) or one.endswith(id)] if len(id) >= SHORTEST else []
    if len(found) == 1:
        return client.deployment(found[0])
    if found:
        raise BadInput(f"{len(found)} deployments match {id!r}:\n" + "\n".join(f"  {one}" for one in found))
    advice = suggestion(id, ids)
    raise BadInput(f"there is no deployment {id!r}{advice}") if advice else missing


def _label(row: shapes.PlaybookRow) -> str:
    return f"{row['group']}/{row['name']}"
