"""The list of deployments on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, cast

from re_client.commands.deployments import show
from re_client.terminal import Terminal
from re_core.api.answers import DeploymentRow

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)


class _Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _row(**more: Any) -> DeploymentRow:
    found: dict[str, Any] = {
        "id": "01M82000000000000000000006",
        "status": "completed",
        "group": "inception",
        "playbook": "A playbook with quite a long name",
        "revision": 3,
        "dynamic": {"version": "1.4.2"},
        "user": "ann",
        "created": "2026-11-21T12:00:00Z",
        "ended": "2026-11-21T12:00:05Z",
        "done": 3,
        "total": 3,
        "step": "",
        "reason": "",
    }
    return cast(DeploymentRow, found | more)


def _shown(columns: int, *rows: DeploymentRow) -> list[str]:
    out = _Tty()
    show(Terminal(out, io.StringIO(), {"COLUMNS": str(columns), "TERM": "dumb"}), rows, NOW)
    return out.getvalue().splitlines()


def test_eighty_columns_keep_who_asked_and_when() -> None:
    head, first, second = _shown(
        80, _row(), _row(status="failed", reason="noop:Do failed", created="2026-11-22T12:30:00Z")
    )
    assert head.split()[:5] == ["ID", "STATUS", "CREATED", "USER", "PLAYBOOK"]
    created = datetime(2026, 11, 21, 12, tzinfo=UTC).astimezone()
    assert first.split()[1:5] == ["completed", *created.strftime("%m-%d %H:%M").split(), "ann"]
    assert second.split()[3] == "ann"
    assert max(map(len, (head, first, second))) <= 80


def test_a_wide_terminal_has_all_columns() -> None:
    head, first = _shown(180, _row())
    assert head.split()[-5:] == ["REV", "VALUES", "TIME", "STEPS", "DETAIL"]
    assert "  3    version=1.4.2  " in first
    assert "2026-11-21" in first
