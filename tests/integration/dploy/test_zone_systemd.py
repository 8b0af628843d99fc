"""Instances in scopes: with a program in the place of systemd-run, which is not on every machine that runs tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_dploy.zone import health
from tests.integration.dploy.zone_harness import Zone, config, get, marked, until
from tests.integration.dploy.zone_process import ZoneProcess


def test_a_zone_that_is_to_use_systemd_where_it_does_not_run_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "cargo").mkdir()
    general = {"zone": "eu", "directory": str(tmp_path / "zone"), "backend": "systemd"}
    zone = ZoneProcess(tmp_path, general)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PATH", "/nothing")
            zone.start()
            assert zone.process is not None
            assert zone.process.wait() != 0
        assert "general.backend is systemd, which does not run here" in (tmp_path / "agent.log").read_text()
    finally:
        zone.close()


def test_an_instance_runs_in_the_scope_that_is_made_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # systemd-run --scope becomes what it is given, once the scope is there; this one makes none
    (tool := tmp_path / "bin" / "systemd-run").parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\nfor word; do shift; echo "$word" >> {tmp_path}/words; [ "$word" = -- ] && break; done\nexec "$@"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setattr("re_dploy.zone.systemd.BOOTED", tmp_path)
    monkeypatch.setattr("os.defpath", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setattr(health, "SETTLE", 0.1)
    zone = Zone(config(tmp_path, in_scopes=True))
    try:
        _runs_in_a_scope(zone, tmp_path / "words")
    finally:
        zone.stop()
        assert marked(zone.agent.id) == {}


def _runs_in_a_scope(zone: Zone, said: Path) -> None:
    assert zone.deploy(1).state == "done"
    assert get(zone.app().addresses[0]) == "v1 web.1 "
    words = said.read_text().split()
    assert f"--unit=dploy-eu-{zone.agent.id[:8]}-shop-web.1-1.scope" in words
    assert "--property=TasksMax=512" in words
    zone.again()
    until(lambda: [row.state for row in zone.app().ps] == ["up"], "the next agent takes it up")
