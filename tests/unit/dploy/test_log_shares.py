"""Lines of logs in the reports of a zone: each log has its turn, whatever the others print."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from re_dploy.wire import Ask
from re_dploy.wire.names import MAX_LINES
from re_dploy.zone import agent_log, reporting
from re_dploy.zone.agent_log import AgentLog

APPS = [f"app{n:02}" for n in range(12)]


def _worker(directory: Path, lines: int) -> Any:
    """As much of an app's worker as its log needs."""
    directory.mkdir()
    log = AgentLog(directory)
    for n in range(lines):
        log.say("web.1", f"line {n}")
    log.close()
    return SimpleNamespace(lock=threading.Lock(), disk=SimpleNamespace(dir=directory), processes={})


def test_no_log_starves_behind_those_that_print_much(tmp_path: Path) -> None:
    workers = {name: _worker(tmp_path / name, 400) for name in APPS}
    served: Counter[str] = Counter()
    behind: dict[str, tuple[int, int]] = {}
    last = ""
    for _ in range(2 * len(APPS) * reporting.SHARE // MAX_LINES):
        pieces = list(reporting._logs(workers, Ask(logs=behind, served=last), reporting._Room()))
        served.update({piece.log: len(piece.lines) for piece in pieces})
        behind |= {piece.log: (piece.gen, piece.offset) for piece in pieces}
        last = pieces[-1].log
    assert served == {f"{name}/{agent_log.NAME}": 2 * reporting.SHARE for name in APPS}
