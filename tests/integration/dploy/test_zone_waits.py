"""What a zone says of what it waits for, and what it does not hold against a release, by real agents and programs."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from re_dploy.wire import Ask, Control
from re_dploy.zone import health, process, router
from re_dploy.zone.restarts import Restarts
from re_dploy.zone.state import Slot
from tests.integration.dploy.zone_harness import SERVER, NewZone, Zone, cargo, get, order, until

#: bytes of a message that a center takes
LONGEST = 1024 * 1024


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SETTLE", 0.1)
    monkeypatch.setattr(health, "ALIVE", 0.1)


def test_lines_of_control_characters_make_no_report_too_long_and_all_of_them_come(new_zone: NewZone) -> None:
    zone = new_zone()
    program = "for n in range(30): print('\\x01' * 16000, flush=True)\nprint('all', flush=True)\n"
    zone.deploy(1, files={"web.py": program + SERVER})
    places: dict[str, tuple[int, int]] = {}
    texts: list[str] = []

    def follow() -> bool:
        report = zone.agent.report(Ask(logs=places))
        assert len(report.emit()) < LONGEST
        for piece in report.logs:
            places[piece.log] = piece.gen, piece.offset
            texts.extend(line.text for line in piece.lines if piece.log == "shop/web.1-1")
        return "all" in texts

    until(follow, "all of it was reported")
    assert texts[:30] == ["\x01" * 16000] * 30


def test_a_command_that_prints_more_than_a_report_has_is_over_once_all_of_it_was_read(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    zone.agent.control(Control("run", "shop", "d9/eu/run", n=1, command="seq 900"))
    until(lambda: any(row.name == "run.1" and row.state == "stopped" for row in zone.app().ps), "it has ended")
    lines: list[str] = []
    while (found := zone.of("d9/eu/run", len(lines))) and found.state == "running":
        assert found.lines, "it is over and says nothing more"
        lines += found.lines
    assert found is not None
    assert [*lines, *found.lines] == [str(n) for n in range(1, 901)]
    assert found.code == 0


def test_a_reload_program_that_fails_is_named_where_a_release_waits_for_it(
    new_zone: NewZone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(router, "LONGEST_PAUSE", 0.1)
    gate = tmp_path / "gate"
    zone = new_zone(reload=("/bin/sh", "-c", f"test -e {gate} || {{ echo no such proxy; exit 1; }}"))
    zone.deploy(1)
    for version in (2, 3, 4):
        zone.agent.order(order(cargo(zone.root, version)[0], version))
        until(partial(_serves, zone, version), "it has switched")
    zone.agent.order(order(cargo(zone.root, 5)[0], 5))
    waiting = until(lambda: (found := zone.of("d5/eu/1")) and found.why and found, "it waits")
    assert waiting.state == "unpacked"
    assert "until the proxy reads the new addresses" in waiting.why
    assert waiting.why.endswith("/bin/sh ended with 1: no such proxy")
    assert waiting.lines == (waiting.why,)
    assert (zone.app().order or pytest.fail()).why == waiting.why
    gate.touch()
    assert zone.reaches("d5/eu/1", "done").why == ""


def _serves(zone: Zone, version: int) -> bool:
    return zone.app().version == version


def test_crashes_of_a_release_that_fails_are_no_restarts_of_what_serves(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    failed = zone.deploy(2, files={"web.py": "raise SystemExit(3)"})
    assert failed.state == "failed"
    (row,) = [row for row in zone.app().ps if row.state == "up"]
    assert (row.name, row.version, row.restarts) == ("web.1", 1, 0)


def test_the_next_agent_says_since_when_processes_are_up(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    an_hour_ago = int(time.time()) - 3600
    os.utime(zone.config.directory / "apps" / "shop" / "ps" / "web.1-1" / "up", (an_hour_ago, an_hour_ago))
    zone.again()
    until(lambda: zone.app().ps and zone.app().ps[0].state == "up", "it is taken up")
    assert zone.app().ps[0].since == an_hour_ago * 1000


def test_what_started_while_no_agent_looked_has_its_time_from_the_first_look_on(
    new_zone: NewZone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    zone = new_zone()
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)\n"
    zone.agent.order(order(cargo(zone.root, 1, files={"web.py": wait + SERVER})[0], 1))
    until(lambda: [row.state for row in zone.app().ps] == ["starting"], "it starts")
    zone.agent.stop()
    monkeypatch.setattr(process, "age_of", lambda pid: 3600.0)
    zone.begin()
    until(lambda: zone.state("d1/eu/1") == "starting" and zone.app().ps, "it is taken up")
    gate.touch()
    assert zone.reaches("d1/eu/1", "done", "failed").state == "done"


def test_a_release_mends_an_app_whose_environment_cannot_be_opened_any_more(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = new_zone()
    zone.deploy(1, env={"app": {"GREETING": "servus"}})
    zone.agent.stop(end_apps=True, grace=0.5)
    (zone.config.directory / "secret.key").unlink()
    failed: list[Slot] = []
    tried = Restarts.failed

    def note(restarts: Restarts, slot: Slot, now: float) -> None:
        failed.append(slot)
        tried(restarts, slot, now)

    monkeypatch.setattr(Restarts, "failed", note)
    zone.begin()
    until(lambda: failed, "its process cannot be started")
    assert zone.deploy(2, env={"app": {"GREETING": "again"}}).state == "done"
    assert get(zone.app().addresses[0]) == "v2 web.1 again"
