"""What a zone remembers of apps that it has removed. Must not know processes.

Numbers alone: an order of an app that was destroyed stays a stale one however late it comes, and neither revisions of routes, nor
instances, nor places in logs are numbered from the start again, which a center would take for what it knows already.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from re_dploy.zone.disk import read_json, write
from re_dploy.zone.state import NONE, App, document, read

#: names that are remembered; the one that was removed first is forgotten first
MAX_GONE = 500

_log = logging.getLogger(__name__)


class Past(NamedTuple):
    """What is left of one app."""

    app: App
    #: generation of the log in which the zone says what it did with the app
    log: int = 0


class Gone:
    """A file of the zone's directory. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """A file that cannot be read is passed over, with an error in the log: all apps that are there go on."""
        self._path = path
        self._known: Mapping[str, Past] = NONE
        if not path.exists():
            return
        try:
            self._known = {name: Past(read(one["app"]), int(one["log"])) for name, one in read_json(path).items()}
        except (OSError, KeyError, TypeError, ValueError) as error:
            _log.error("%s cannot be read: %s", path, error, extra={"action": "zone_app_unreadable"})

    def add(self, app: App, log: int) -> None:
        """Remember an app that is about to be removed. Raises OSError."""
        others = {name: one for name, one in self._known.items() if name != app.app}
        known = dict(list({**others, app.app: Past(_numbers(app), log)}.items())[-MAX_GONE:])
        write(self._path, {name: _document(one) for name, one in known.items()})
        self._known = known

    def of(self, name: str) -> Past:
        """What an app of that name begins with."""
        return self._known.get(name, Past(App(name)))

    def names(self) -> list[str]:
        """Of all that are remembered."""
        return list(self._known)


def _numbers(app: App) -> App:
    return App(
        app.app,
        app.app_id,
        app.epoch,
        revision=app.revision,
        released=app.released,
        next=app.next,
        former=app.former,
    )


def _document(past: Past) -> dict[str, Any]:
    return {"app": document(past.app), "log": past.log}
