"""Where a worker belongs, as both stores keep it: one text. Must not know either."""

from __future__ import annotations

import json

from re_core.errors import BadMessage
from re_core.rows import WorkerPlace
from re_core.wire import strict_json
from re_core.wire.places import read_place


def place_text(place: WorkerPlace) -> str:
    """JSON with what is said only."""
    said = {name: value for name, value in place._asdict().items() if value}
    return strict_json.dumps({name: dict(value) if name == "labels" else value for name, value in said.items()})


def place_of(text: str) -> WorkerPlace:
    """What the text says. Raises ValueError for what is none of ours."""
    try:
        return read_place(json.loads(text))
    except BadMessage as error:
        raise ValueError(str(error)) from None
