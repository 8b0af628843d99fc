"""What a server is called, and what a place where it may run must offer. Must not know any place or any server."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.services.service_root import ServiceRoot


class Recipe(NamedTuple):
    """What a server is called wherever it may be found."""

    #: The service's name: that of its fixture and of its marker.
    name: str
    #: Environment variable with the URL of a server to use as it is; empty where no other server would do.
    variable: str
    #: Program to look for on the PATH; empty where only a tree will do, which a test may change.
    program: str
    #: Debian packages that bring it, for a container and for the service root.
    packages: tuple[str, ...]
    #: User that runs it in a container or in the service root.
    user: str
    #: The signal that ends it in good order.
    ends_by: signal.Signals = signal.SIGTERM
    #: What the service root needs besides the packages.
    build: Callable[[ServiceRoot], None] | None = None
    #: A published image for containers, where Debian has no package of the program.
    image: str = ""
    #: The user that runs the program of that image.
    image_user: str = ""
    #: A package of PyPI with its version, and where in it the program is; empty where it has none.
    wheel: tuple[str, str] = ("", "")


class Place(Protocol):
    """Where a server's program is, and how to start it there."""

    def prepare(self, recipe: Recipe) -> None:
        """Have the program there. May take minutes the first time. Raises Unavailable."""
        ...

    def seen(self, data: Path) -> str:
        """The data directory as the server sees it."""
        ...

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """The command line that runs `command` there; ends with the process that it starts."""
        ...

    def deliver(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to the server that a process started by `argv` is, or stands for."""
        ...
