"""Following one release of an app to its end, line by line, and the exit code for that. Must not know which command asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from re_client.api import Client
from re_client.errors import DONE, INTERRUPTED, NOT_COMPLETED
from re_client.events import GapEvent
from re_client.terminal import Terminal
from re_client.text import safe

#: what stands before a line of the platform, of a program, and of the last line where the release failed
PLATFORM, PROGRAM, FAILED = "-----> ", "       ", " !     "

#: lines of programs that are shown after a failure where they were not shown before
_LAST = 20

Print = Callable[[str], None]


def follow(client: Client, app: str, id: str, terminal: Terminal, programs: bool = True) -> int:
    """Until the release ends; the exit code: 0 it runs, 1 it failed, 130 interrupted, which leaves the release alone.

    Without `programs`, what these print is shown only after a failure.
    """
    try:
        return follow_into(client, app, id, terminal.line, terminal.note, programs)
    except KeyboardInterrupt:
        terminal.note(f"\nStopped watching; the release continues.\n  see how it is:  rectl apps releases {safe(app)}")
        return INTERRUPTED


def follow_into(client: Client, app: str, id: str, line: Print, note: Print, programs: bool = True) -> int:
    """As `follow`; lines go to `line`, and what is none of the release's to `note`."""
    held: deque[str] = deque(maxlen=0 if programs else _LAST)
    last = ""
    for event in client.apps.broadcast(app, id):
        if isinstance(event, GapEvent):
            note(f"connection lost, reconnecting: {safe(event.why)}")
            continue
        kind, text = _said(event.document)
        if kind == "completed":
            if text != last:  # the release has said so before it ended
                line(f"{PLATFORM}{text}")
            return DONE
        last = text
        if kind == "error":
            for one in (*held, f"{FAILED}{text}"):
                line(one)
            return NOT_COMPLETED
        if kind == "info":
            line(f"{PLATFORM}{text}")
        elif programs:
            line(_indented(text))
        else:
            held.append(_indented(text))
    return _as_stored(client, app, id, line)


def documents(client: Client, app: str, id: str, line: Print) -> int:
    """As `follow`, each message as one JSON document."""
    import json

    code = NOT_COMPLETED
    for event in client.apps.broadcast(app, id):
        if not isinstance(event, GapEvent):
            line(json.dumps(event.document))
            code = DONE if _said(event.document)[0] == "completed" else NOT_COMPLETED
    return code


def _as_stored(client: Client, app: str, id: str, line: Print) -> int:
    """The stream's end is not final: the list of releases is."""
    found: Iterator[Any] = (one for one in client.apps.releases(app) if one["broadcast_id"] == id)
    one = next(found, None)
    if one is not None and one["status"] == "succeeded":
        line(f"{PLATFORM}v{one['release']} succeeded")
        return DONE
    line(f"{FAILED}{'the release is gone' if one is None else safe(one['why'] or one['status'])}")
    return NOT_COMPLETED


def _indented(text: str) -> str:
    """A builder has indented its lines already."""
    return text if text.startswith(PROGRAM) else f"{PROGRAM}{text}"


def _said(document: dict[str, Any]) -> tuple[str, str]:
    """What kind of message it is, and its text."""
    body = document.get("body")
    said = body if isinstance(body, dict) else {}
    return str(said.get("type", "")), safe(said.get("data", ""))
