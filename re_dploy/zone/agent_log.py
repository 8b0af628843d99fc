"""What the agent says about an app's processes: a log like theirs, in the app's directory. Must not know processes."""

from __future__ import annotations

import os
from pathlib import Path

from re_dploy.zone import log_reader
from re_dploy.zone.shim import Log
from re_dploy.zone.supervise import LOG_SIZE

#: what this log is called beside those of the instances
NAME = "dploy.0"


class AgentLog:
    """Lines begin with the name of the process that they are about."""

    def __init__(self, directory: Path, after: int = 0) -> None:
        """`after`: the last generation of a log of this app that was removed. Raises OSError."""
        after = max(after, log_reader.newest(directory))
        first, second = (
            os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in ("log", "log.1")
        )
        self._files = first, second
        self._log = Log(self._files, LOG_SIZE, 0, [], after)

    def say(self, about: str, text: str) -> None:
        """Add a line; line feeds become blanks."""
        self._log.say(f"{about} {' '.join(text.split())}")

    @property
    def generation(self) -> int:
        """The one that is written."""
        return self._log.generation

    def close(self) -> None:
        """No line can be added any more."""
        for file in self._files:
            os.close(file)
