"""The live view: screen rows, redrawn in place by rich. Must not know where events come from.

rich is imported when a view begins: no other command needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from re_client import screen
from re_client.view import Watched

if TYPE_CHECKING:
    from rich.console import Console, Group

#: frames per second: times tick in tenths, and no user reads faster
FRAMES = 8


class LiveView:
    """Shows `watched` for as long as its `with` lasts; the last frame stays. `lock` guards what it draws."""

    def __init__(
        self, watched: Watched, out: TextIO, clock: Callable[[], datetime], colors: bool = True, unicode: bool = True
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self.lock = threading.Lock()
        self._watched = watched
        self._clock = clock
        self._unicode = unicode
        self._console = Console(
            file=out, no_color=not colors, highlight=False, markup=False, emoji=False, soft_wrap=False
        )
        # what overflows is cut by the screen itself; with this setting rich adds no ellipsis of its own
        self._live = Live(
            console=self._console,
            get_renderable=self.frame,
            refresh_per_second=FRAMES,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def frame(self) -> Group:
        """What is shown now."""
        columns, rows = self._console.size
        with self.lock:
            # one row stays free for the cursor, or the terminal would scroll with every frame
            drawn = screen.live(self._watched, self._clock(), columns, rows - 1, self._unicode)
        return renderable(drawn)


def renderable(rows: Sequence[screen.Row]) -> Group:
    """Rows as rich draws them, each on one line of the terminal."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text.assemble(*row, no_wrap=True, overflow="crop") for row in rows))


def draw(console: Console, rows: Sequence[screen.Row]) -> None:
    """Draw once, as a capture for the docs does."""
    console.print(renderable(rows))
