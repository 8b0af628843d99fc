"""A real agent, real shims and real programs: releases come and go, and what serves goes on serving."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from re_dploy.wire import Ask, Control, Order, Stop
from re_dploy.zone import health, machine
from tests.integration.dploy.zone_harness import (
    APP,
    SERVER,
    NewZone,
    cargo,
    get,
    marked,
    order,
    until,
)

#: listens, and ends after a second
CRASHES = """
import os, socket, time
one = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
time.sleep(1)
print("broken pipe of dreams")
raise SystemExit(7)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is up as soon as it listens; the one test that is about the difference takes this back."""
    monkeypatch.setattr(health, "SETTLE", 0.1)
    monkeypatch.setattr(health, "ALIVE", 0.1)


def test_a_release_serves_beside_the_old_one_until_its_table_was_acknowledged_and_then_alone(new_zone: NewZone) -> None:
    zone = new_zone()
    assert zone.deploy(1, env={"app": {"GREETING": "hi"}}).state == "done"
    (first,) = zone.app().addresses
    assert get(first) == "v1 web.1 hi"

    zone.acknowledges = False
    uri, _ = cargo(zone.root, 2)
    zone.agent.order(order(uri, 2, hold=True))
    zone.reaches("d2/eu/1", "ready")
    assert zone.app().addresses == (first,)
    assert zone.app().version == 1
    assert zone.agent.control(Control("switch", "shop", "d2/eu/1", epoch=21)).state == "accepted"
    zone.reaches("d2/eu/1", "draining")
    (second,) = zone.app().addresses
    assert (get(first), get(second)) == ("v1 web.1 hi", "v2 web.1 ")
    zone.agent.report(Ask(routes={"shop": 99}, id="of-the-directory-before"))
    zone.acknowledges = True
    zone.reaches("d2/eu/1", "done")
    until(lambda: zone.app().app and get(first) == "", "the old one ends")
    assert get(second) == "v2 web.1 "
    assert zone.app().version == 2
    assert json.loads((zone.config.directory / "router" / "routes.json").read_bytes())["shop"]["addresses"] == [second]
    assert (zone.config.directory / "apps" / "shop" / "current").resolve().name.startswith("2-")


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (CRASHES, "ended (code 7)"),
        ("raise SystemExit('no such module')", "ended (code 1)"),
    ],
)
def test_a_release_that_crashes_fails_with_its_last_lines_and_the_old_one_goes_on(
    new_zone: NewZone, program: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = new_zone()
    zone.deploy(1)
    monkeypatch.setattr(health, "SETTLE", 3.0)
    (address,) = zone.app().addresses
    report = zone.deploy(2, files={"web.py": program})
    assert report.state == "failed"
    assert why in report.why
    assert "dreams" in report.why or "no such module" in report.why
    assert zone.app().addresses == (address,)
    assert get(address) == "v1 web.1 "
    assert set(marked(zone.agent.id).values()) == {"shop/web.1-1"}


def test_a_release_that_never_listens_fails_though_a_stranger_listens_on_its_port(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = new_zone()
    zone.deploy(1)
    monkeypatch.setattr(machine, "UP_WITHIN", 2.0)
    files = {"web.py": "import os, time; print('on', os.environ['PORT'], flush=True); time.sleep(600)"}
    uri, _ = cargo(zone.root, 2, files)
    zone.agent.order(order(uri, 2))
    port = until(lambda: [row.port for row in zone.app().ps if row.version == 2], "it starts")[0]
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        report = zone.reaches("d2/eu/1", "failed")
    assert f"web.1 did not listen on port {port} within 2 s" in report.why
    assert zone.app().version == 1


def test_the_release_command_runs_once_for_a_version_and_its_lines_are_the_orders(new_zone: NewZone) -> None:
    zone = new_zone()
    files = {"web.py": SERVER, "release.sh": "echo migrating; echo once >> $COUNT"}
    (data := zone.config.directory.parent / "data").mkdir()
    count = data / "count"
    env = {"app": {"COUNT": str(count)}}
    uri, _ = cargo(zone.root, 1, files, {"web": "python3 web.py", "release": "sh release.sh"})
    held = order(uri, 1, hold=True, release_phase=True, env=env)
    zone.agent.order(held)
    assert "migrating" in zone.reaches(held.order, "ready").lines
    zone.agent.control(Control("abort", "shop", held.order, epoch=11))
    again = order(uri, 1, epoch=12, n=2, release_phase=True, env=env)
    zone.agent.order(again)
    zone.reaches(again.order, "done")
    assert count.read_text() == "once\n"


def test_a_release_command_that_fails_fails_the_order_before_anything_is_started(new_zone: NewZone) -> None:
    zone = new_zone()
    report = zone.deploy(1, processes={"web": "python3 web.py", "release": "echo no table; exit 4"}, release_phase=True)
    assert (report.state, report.why) == ("failed", "the release command failed (code 4)")
    assert "no table" in report.lines
    assert [row.name for row in zone.app().ps] == ["release.1"]


def test_scaling_adds_and_removes_processes_and_a_restart_replaces_them(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1, formation={"web": 1, "worker": 1}, processes={"web": "python3 web.py", "worker": "sleep 600"})
    (old,) = zone.app().addresses
    zone.agent.control(Control("scale", "shop", epoch=11, formation={"web": 2, "worker": 0}))
    until(lambda: len(zone.app().addresses) == 2, "there are two")
    until(
        lambda: zone.app().app and set(marked(zone.agent.id).values()) == {"shop/web.1-1", "shop/web.2-4"}, "no worker"
    )
    assert old in zone.app().addresses
    zone.agent.control(Control("restart", "shop", epoch=12, generation=1))
    until(lambda: zone.app().generation == 1 and len(zone.app().addresses) == 2, "they are new")
    assert old not in zone.app().addresses
    until(lambda: zone.app().app and get(old) == "", "the old ones end")


def test_a_process_that_ends_is_started_again_and_its_address_leaves_the_routes_meanwhile(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1, formation={"web": 2})
    first, second = zone.app().addresses
    (victim,) = [pid for pid, name in marked(zone.agent.id).items() if name == "shop/web.1-1" and is_python(pid)]
    os.kill(victim, 9)
    until(lambda: zone.app().addresses == (second,), "the dead one leaves the routes")
    until(lambda: len(zone.app().addresses) == 2, "it is started again")
    assert first not in zone.app().addresses
    row = next(row for row in zone.app().ps if row.name == "web.1")
    assert (row.state, row.restarts) == ("up", 1)


def is_python(pid: int) -> bool:
    return b"web.py" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def test_processes_outlive_their_agent_and_the_next_one_goes_on_with_them(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    (address,) = zone.app().addresses
    before = marked(zone.agent.id)
    zone.again()
    assert marked(zone.agent.id) == before
    assert zone.app().addresses == (address,)
    assert zone.deploy(2).state == "done"
    until(lambda: get(address) == "", "the adopted one ends")


def test_a_held_release_is_adopted_and_can_be_switched_by_the_next_agent(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    assert zone.deploy(2, hold=True).state == "ready"
    zone.again()
    assert zone.state("d2/eu/1") == "ready"
    zone.agent.control(Control("switch", "shop", "d2/eu/1", epoch=21))
    zone.reaches("d2/eu/1", "done")
    assert get(zone.app().addresses[0]) == "v2 web.1 "


def test_a_stop_ends_all_of_an_app_and_its_environment_leaves_the_disk(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1, env={"app": {"GREETING": "hello"}})
    assert zone.agent.stop_apps(Stop(("shop", "other"))).refused.keys() == {"shop"}
    answer = zone.agent.stop_apps(Stop(("shop", "other"), {"shop": 11}, {"shop": APP}))
    assert answer.apps == {"shop": "stopping", "other": "unknown"}
    until(lambda: not marked(zone.agent.id), "all has ended")
    assert zone.app().state == "stopped"
    assert zone.app().addresses == ()
    assert list((zone.config.directory / "apps" / "shop" / "env").iterdir()) == []


def test_a_command_of_a_person_runs_once_with_the_apps_environment_and_gives_its_code(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1, env={"app": {"GREETING": "servus"}})
    run = Control("run", "shop", "d9/eu/run", epoch=11, n=1, command="echo $GREETING $PS; exit 5")
    assert zone.agent.control(run).state == "accepted"
    assert zone.agent.control(run).state == "known"
    report = zone.reaches("d9/eu/run", "done", "failed")
    assert (report.lines, report.code) == (("[redacted] run.1",) if len("servus") >= 8 else ("servus run.1",), 5)


def test_a_command_of_a_person_can_be_signalled_and_ended(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    command = "trap 'echo hup' HUP; echo ready; while :; do sleep 0.1; done"
    zone.agent.control(Control("run", "shop", "d9/eu/run", n=1, command=command))
    until(lambda: "ready" in (zone.of("d9/eu/run") or pytest.fail()).lines, "it is ready")
    assert zone.agent.control(Control("signal", "shop", n=1, signal="HUP")).state == "accepted"
    until(lambda: "hup" in (zone.of("d9/eu/run") or pytest.fail()).lines, "the signal arrives")
    assert zone.agent.control(Control("signal", "shop", n=2, signal="HUP")).code == "unknown-run"
    zone.agent.control(Control("stop-run", "shop", n=1))
    assert zone.reaches("d9/eu/run", "done").code == 128 + 15


def test_logs_are_fetched_from_a_place_on_and_say_what_the_zone_did(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1, files={"web.py": "print('booted', flush=True)\n" + SERVER})
    get(zone.app().addresses[0])
    logs = until(
        lambda: {
            piece.log: [line.text for line in piece.lines]
            for piece in zone.agent.report(Ask()).logs
            if any("asked" in line.text for line in piece.lines) or piece.log == "shop/dploy.0"
        },
        "lines are there",
    )
    assert "web.1 State changed from starting to up" in logs["shop/dploy.0"]
    pieces = until(lambda: [one for one in zone.agent.report(Ask()).logs if one.log == "shop/web.1-1"], "it printed")
    places = {one.log: (one.gen, one.offset) for one in pieces}
    assert pieces[0].lines[0].text == "booted"
    assert [one.log for one in zone.agent.report(Ask(logs=places)).logs if one.log == "shop/web.1-1"] == []


def test_a_plain_order_of_two_keys_deploys_by_itself(new_zone: NewZone) -> None:
    zone = new_zone()
    uri, _ = cargo(zone.root, 3, env={"app": {"GREETING": "of the cargo"}})
    assert zone.agent.order(Order("shop", uri)).state == "accepted"
    assert zone.agent.order(Order("shop", uri)).state == "known"
    until(lambda: zone.app().version == 3, "it serves")
    assert get(zone.app().addresses[0]) == "v3 web.1 of the cargo"


def test_cargo_that_is_another_one_or_another_apps_or_for_another_python_is_refused(new_zone: NewZone) -> None:
    zone = new_zone()
    uri, digest = cargo(zone.root, 1)
    zone.agent.order(order(uri.replace(digest, "0" * 64), 1))
    assert "the cargo is another one" in zone.reaches("d1/eu/1", "failed").why
    uri, _ = cargo(zone.root, 2, app="other")
    zone.agent.order(order(uri, 2))
    assert zone.reaches("d2/eu/1", "failed").why == "the cargo is v2 of other"
    uri, _ = cargo(zone.root, 3, python="2.7")
    zone.agent.order(order(uri, 3))
    here = "{}.{}".format(*sys.version_info[:2])
    assert zone.reaches("d3/eu/1", "failed").why == f"it was built for Python 2.7, and this zone has {here}"
    uri, _ = cargo(zone.root, 4)
    zone.agent.order(order(uri.replace("/shop-", "/../cargo/shop-"), 4))
    assert "cannot be read" in zone.reaches("d4/eu/1", "failed").why
    assert list((zone.config.directory / "incoming").iterdir()) == []


def test_a_full_disk_refuses_an_order_before_anything_is_fetched(new_zone: NewZone) -> None:
    zone = new_zone(min_free=2**60)
    uri, _ = cargo(zone.root, 1)
    assert zone.agent.order(order(uri, 1)).code == "disk-full"


def test_the_reload_hook_is_run_after_the_table_was_written_and_old_processes_wait_for_it(
    new_zone: NewZone, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    zone = new_zone(reload=("/bin/sh", "-c", f"test -e {gate}"))
    zone.deploy(1)
    (first,) = zone.app().addresses
    uri, _ = cargo(zone.root, 2)
    zone.agent.order(order(uri, 2))
    until(lambda: zone.app().version == 2, "it has switched")
    until(lambda: "shop" in (zone.config.directory / "router" / "nginx.conf").read_text(), "the table is written")
    assert get(first) == "v1 web.1 "
    gate.touch()
    zone.reaches("d2/eu/1", "done")
    until(lambda: get(first) == "", "the old one ends")


def test_the_environment_of_an_app_is_in_no_file_of_the_zone_that_can_be_read(new_zone: NewZone) -> None:
    zone = new_zone()
    canary = "canary-4f1d6a"
    zone.deploy(
        1,
        env={"app": {"TOKEN": canary}},
        files={"web.py": "import os; print(os.environ['TOKEN'], flush=True)\n" + SERVER},
    )
    until(
        lambda: any("[redacted]" in line.text for one in zone.agent.report(Ask()).logs for line in one.lines),
        "it prints",
    )
    for path in zone.config.directory.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert canary.encode() not in place.read_bytes(), place
        except OSError:
            continue
