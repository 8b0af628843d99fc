"""What a zone does when its host, its disk, a port or a program lets it down."""

from __future__ import annotations

import errno
import json
import os
import pwd
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from re_core.errors import BadSettings, OperatorError
from re_core.runtime.settings import load
from re_dploy.local_zone import apps_of
from re_dploy.wire import Ask, Control, Stop
from re_dploy.zone import command, disk, health, log_reader, worker
from re_dploy.zone import config as zone_config
from re_dploy.zone.agent import Agent
from re_dploy.zone.supervise import User
from re_workers.steps import landlock
from re_workers.steps.confinement import apart
from re_workers.worker_selection import confinement
from tests.integration.dploy.zone_harness import (
    ENOUGH,
    SERVER,
    NewZone,
    Zone,
    cargo,
    end_all,
    free_ports,
    get,
    marked,
    order,
    until,
)
from tests.integration.dploy.zone_process import ZoneProcess


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SETTLE", 0.1)
    monkeypatch.setattr(health, "ALIVE", 0.1)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """Which other users can enter, unlike those that pytest makes."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def instance(zone: Zone, name: str) -> Path:
    return zone.config.directory / "apps" / "shop" / "ps" / name


def test_a_zone_whose_host_was_started_again_runs_what_ran_before_without_the_center(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    zone.agent.stop()
    shim = json.loads((instance(zone, "web.1-1") / "shim.json").read_bytes())
    for pid in (shim["pid"], *marked(zone.agent.id)):
        os.kill(pid, signal.SIGKILL)
    (instance(zone, "web.1-1") / "shim.json").write_text(json.dumps({**shim, "boot": "the boot before"}))
    until(lambda: not marked(zone.agent.id), "the host is down")
    zone.agent = Agent(zone.config)
    zone.agent.start()
    address = until(lambda: zone.app().revision > 1 and zone.app().addresses, "it serves again")[0]
    assert get(address) == "v1 web.1 "


def test_a_release_command_that_was_interrupted_fails_its_order_and_is_never_run_again(new_zone: NewZone) -> None:
    zone = new_zone()
    uri, _ = cargo(zone.root, 1, processes={"web": "python3 web.py", "release": "echo began; sleep 600"})
    zone.agent.order(order(uri, 1, release_phase=True))
    directory = instance(zone, "release.1-1")
    until(lambda: directory.exists() and "began" in log_reader.tail(directory, 9), "it runs")
    os.kill(json.loads((directory / "shim.json").read_bytes())["pid"], signal.SIGKILL)
    why = zone.reaches("d1/eu/1", "failed").why
    assert why == "the release command was interrupted; whether it finished is unknown"
    zone.agent.order(order(uri, 1, epoch=12, n=2, release_phase=True))
    assert zone.reaches("d1/eu/2", "failed").why == "the release command ran before, and did not succeed"


def test_a_port_that_a_stranger_takes_at_the_last_moment_is_exchanged_for_another(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = new_zone()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", zone.config.ports[0]))
        stranger.listen()
        monkeypatch.setattr(health, "_is_free", lambda port: True)
        assert zone.deploy(1).state == "done"
        assert zone.app().addresses == (f"127.0.0.1:{zone.config.ports[0] + 1}",)


def test_a_disk_that_fills_up_while_a_release_starts_fails_the_release_and_nothing_else(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = new_zone()
    zone.deploy(1)
    real = disk.AppDisk.begin

    def begin(self: disk.AppDisk, wanted: Any) -> Path:
        if wanted.release.version == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, wanted)

    monkeypatch.setattr(disk.AppDisk, "begin", begin)
    assert "No space left" in zone.deploy(2).why
    assert get(zone.app().addresses[0]) == "v1 web.1 "


def test_a_process_that_fills_its_tmpdir_is_ended_and_started_again_with_an_empty_one(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_TMP", 1024 * 1024)
    monkeypatch.setattr(worker, "TMP_LOOK", 0.1)
    zone = new_zone()
    program = "import os; p = os.environ['TMPDIR'] + '/x'; open(p, 'wb').write(b'x' * (4 << 20))\n"
    zone.deploy(1, files={"web.py": program + SERVER})
    says = until(
        lambda: [
            line.text
            for piece in zone.agent.report(Ask()).logs
            for line in piece.lines
            if piece.log == "shop/dploy.0" and "TMPDIR" in line.text
        ],
        "it is ended",
    )
    assert says[0].endswith("1048576 are allowed: it is ended")
    until(lambda: instance(zone, "web.1-2").exists(), "it is started again")


def test_what_a_process_prints_is_bounded_on_the_disk_and_in_a_report(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1, files={"web.py": "for n in range(3000): print('x' * 2000)\n" + SERVER})
    logs = until(lambda: [one for one in zone.agent.report(Ask()).logs if one.log == "shop/web.1-1"], "it prints")
    assert 0 < len(logs[0].lines) <= 50
    assert sum((instance(zone, "web.1-1") / name).stat().st_size for name in ("log", "log.1")) < 3 * 1024 * 1024


def test_only_the_newest_releases_and_their_environments_stay_on_the_disk(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_dploy.zone.prune.MAX_RELEASES", 2)
    zone = new_zone()
    for version in range(1, 5):
        zone.deploy(version, processes={"worker": "sleep 600"}, formation={"worker": 1}, env={"app": {"A": "b"}})
    app = zone.config.directory / "apps" / "shop"
    until(
        lambda: sorted(path.name.split("-")[0] for path in (app / "releases").iterdir()) == ["3", "4"], "two are left"
    )
    assert sorted(path.name for path in (app / "env").iterdir()) == ["3.sealed", "4.sealed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_each_app_has_a_user_of_its_own_that_writes_in_its_tmpdir_alone(open_place: Path, new_zone: NewZone) -> None:
    entry = pwd.getpwnam("nobody")
    zone = new_zone(open_place, users=(User(entry.pw_uid, entry.pw_gid),))
    command = "id -u; touch $TMPDIR/mine && echo wrote; touch ./mine || echo kept; sleep 600"
    zone.deploy(1, processes={"worker": command}, formation={"worker": 1})
    lines = until(lambda: "kept" in (found := log_reader.tail(instance(zone, "worker.1-1"), 9)) and found, "it prints")
    assert [line for line in lines if "denied" not in line] == [str(entry.pw_uid), "wrote", "kept"]
    uri, _ = cargo(zone.root, 1, app="other", processes={"worker": "sleep 600"})
    zone.agent.order(order(uri, 1)._replace(app="other", order="d7/eu/1", formation={"worker": 1}))
    report = until(lambda: (found := zone.of("d7/eu/1")) and found.state == "failed" and found, "it fails")
    assert "`users` are all taken" in report.why


@pytest.mark.skipif(landlock.version() == 0, reason="needs Landlock")
def test_an_app_that_runs_as_the_agents_user_cannot_change_the_agents_code(
    tmp_path: Path, new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place := tmp_path / "code").mkdir()
    (place / "agent.py").write_text("original\n")
    monkeypatch.setattr("re_dploy.zone.launching.code", lambda: [place])
    zone = new_zone()
    program = f"cat {place}/agent.py; echo mine > {place}/agent.py; echo mine > {place}/new.py; echo tried; sleep 600"
    zone.deploy(1, processes={"worker": program}, formation={"worker": 1})
    lines = until(lambda: "tried" in (found := log_reader.tail(instance(zone, "worker.1-1"), 9)) and found, "it tries")
    assert "original" in lines
    assert {path.name: path.read_text() for path in place.iterdir()} == {"agent.py": "original\n"}


def test_the_zone_of_an_engine_hides_all_that_is_hidden_from_programs_of_steps(tmp_path: Path) -> None:
    names = ("logs", "own/secret.key", "keys", "further", "db/re.db")
    logs, secret, keys, further, database = (tmp_path / name for name in names)
    settings = load(
        {
            "RE_DATA_DIR": str(tmp_path / "data"),
            "RE_DEPLOYMENT_LOG_DIR": str(logs),
            "RE_SECRET_KEY_FILE": str(secret),
            "RE_DPLOY_KEYS_DIR": str(keys),
            "RE_STORE_URL": f"sqlite:///{database}",
        }
    )
    settings = replace(settings, step_hidden=(further,))
    places = (tmp_path / "data", logs, secret, keys, further, database)
    assert set(map(str, places)) <= set(apps_of(settings, None)["hidden"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_apps_of_an_engine_that_root_started_run_as_the_user_of_steps_where_that_user_can_reach_them(
    tmp_path: Path, open_place: Path, new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_workers.steps.confinement.APART", open_place)
    settings = load({"RE_DATA_DIR": str(tmp_path / "data")})
    confined = confinement(settings)
    general = {"zone": "eu", **apps_of(settings, confined.user)}
    assert confined.user is not None
    read = zone_config.read(general)
    assert read.directory == apart(settings.data_dir) / "zone"
    zone = new_zone(tmp_path, user=read.user, directory=read.directory, python=read.python)
    program = "id -u; touch $TMPDIR/mine && python3 -c 'print(6 * 7)'; sleep 600"
    zone.deploy(1, processes={"worker": program}, formation={"worker": 1})
    lines = until(lambda: len(found := log_reader.tail(instance(zone, "worker.1-1"), 9)) > 1 and found, "it prints")
    assert lines[:2] == [str(confined.user.id), "42"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_apps_with_a_user_of_their_own_start_under_a_umask_that_closes_all(open_place: Path, new_zone: NewZone) -> None:
    entry = pwd.getpwnam("nobody")
    before = os.umask(0o077)
    try:
        zone = new_zone(open_place, users=(User(entry.pw_uid, entry.pw_gid),), directory=open_place / "var" / "zone")
        command = "id -u; touch $TMPDIR/mine && cat file; sleep 600"
        zone.deploy(1, files={"file": "content\n"}, processes={"worker": command}, formation={"worker": 1})
        lines = until(lambda: len(found := log_reader.tail(instance(zone, "worker.1-1"), 9)) > 1 and found, "it prints")
        assert lines[:2] == [str(entry.pw_uid), "content"]
    finally:
        os.umask(before)


def test_an_app_whose_file_cannot_be_read_is_left_alone_and_the_other_apps_go_on(
    new_zone: NewZone, caplog: pytest.LogCaptureFixture
) -> None:
    zone = new_zone()
    zone.deploy(1)
    uri, _ = cargo(zone.root, 1, app="other", processes={"worker": "sleep 600"})
    other = order(uri, 1)._replace(app="other", order="d7/eu/1", formation={"worker": 1})
    zone.agent.order(other)
    zone.reaches("d7/eu/1", "done")
    zone.agent.stop()
    file = zone.config.directory / "apps" / "other" / "app.json"
    kept = file.read_bytes()
    file.write_bytes(kept[:40])
    zone.agent = Agent(zone.config, wait=ENOUGH)
    zone.agent.start()
    assert get(zone.app().addresses[0]) == "v1 web.1 "
    assert "other is not supervised" in caplog.text
    assert "app.json cannot be read" in zone.agent.order(other).why
    assert "app.json cannot be read" in zone.agent.control(Control("scale", "other", formation={"worker": 2})).why
    assert "app.json cannot be read" in zone.agent.stop_apps(Stop(("other",))).refused["other"]
    assert file.read_bytes() == kept[:40]
    file.write_bytes(kept)
    assert zone.agent.order(other).state == "known"
    assert len(zone.agent.report(Ask(only="other")).apps["other"].ps) == 1


def test_modes_that_an_app_gives_to_hidden_places_are_taken_back(
    tmp_path: Path, new_zone: NewZone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("re_dploy.zone.agent.SWEEP", 0.1)
    (hidden := tmp_path / "engine").mkdir(mode=0o700)
    (hidden / "token").touch(mode=0o600)
    zone = new_zone(hidden=(hidden,))
    own = zone.config.directory / "secret.key"
    program = f"chmod 755 {hidden}; chmod 644 {hidden}/token {own}; echo changed; sleep 600"
    zone.deploy(1, processes={"worker": program}, formation={"worker": 1})
    until(lambda: "changed" in log_reader.tail(instance(zone, "worker.1-1"), 9), "it changes them")
    places = (hidden, hidden / "token", own)
    until(lambda: [one.stat().st_mode & 0o777 for one in places] == [0o700, 0o600, 0o600], "they are as before")
    assert f"other users had got rights to {own}" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_agent_whose_apps_would_run_as_root_says_so(new_zone: NewZone, caplog: pytest.LogCaptureFixture) -> None:
    new_zone()
    assert "apps run as root" in caplog.text
    with pytest.raises(OperatorError, match="isolation is required, and apps run as root"):
        new_zone(is_required=True)


def test_an_app_reads_neither_the_configuration_nor_the_keys_of_its_zone(tmp_path: Path) -> None:
    (secrets := tmp_path / "etc").mkdir()
    (tmp_path / "cargo").mkdir()
    key = secrets / "eu.key_secret"
    key.write_text("key-of-the-zone")
    first, last = free_ports(40)
    general = {
        "zone": "eu",
        "directory": str(tmp_path / "zone"),
        "cargo_root": str(tmp_path / "cargo"),
        "ports": f"{first}-{last}",
        "min_free": 0,
        "center": {"uri": "ipc:///nowhere", "x-keys": {"secret_key_file": str(key)}},
    }
    zone = ZoneProcess(tmp_path, general)
    zone.start()
    try:
        until(lambda: zone.report() is not None, "it answers")
        program = f"cat {key} {tmp_path}/zone.yml {tmp_path}/zone/secret.key; echo $?; sleep 600"
        uri, _ = cargo(tmp_path / "cargo", 1, processes={"worker": program})
        zone.order(order(uri, 1, formation={"worker": 1}))
        place = tmp_path / "zone" / "apps" / "shop" / "ps" / "worker.1-1"
        lines = until(lambda: "1" in (found := log_reader.tail(place, 9)) and found, "it looked")
        assert sum("denied" in line for line in lines) == 3
        assert "key-of-the-zone" not in lines
    finally:
        zone.close()
        end_all(json.loads((tmp_path / "zone" / "zone.json").read_bytes())["id"])


def test_a_configuration_without_its_sections_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "zone.yml").write_text("servers: {}\n")
    with pytest.raises(BadSettings, match="expected the sections general and servers"):
        command.load(path)
