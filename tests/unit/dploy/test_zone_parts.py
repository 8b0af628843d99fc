"""Parts of a zone that need no process: environments, restarts, the proxy's table, ports, sealed files, cargo from a directory."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from re_core.errors import BadSettings, OperatorError
from re_dploy.wire import CargoAsk, Order, OrderReport, Report, cargo_mimetype
from re_dploy.wire.names import MAX_LINE
from re_dploy.zone import fetching, reporting
from re_dploy.zone.disk import AppDisk, Seal, read_json, write
from re_dploy.zone.environment import Surroundings, environment, secrets
from re_dploy.zone.fetching import Fetcher, FetchFailed
from re_dploy.zone.health import Ports
from re_dploy.zone.restarts import Restarts
from re_dploy.zone.router import caddy, nginx
from re_dploy.zone.state import App, Instance, Release, opened

WHERE = Surroundings("shop", "z1", "/r/app", "/p/tmp", "/opt/python3.13/bin/python3", "c0ffee")


def instance(**more: Any) -> Instance:
    return Instance(7, "web", 2, Release(8, "a" * 64), **more)


def test_the_environment_of_the_app_wins_over_the_zone_s_and_what_names_the_process_wins_over_all() -> None:
    env = {"build": {"PATH": "/mine", "A": "1"}, "app": {"PS": "liar", "A": "0", "TOKEN": "two\nlines"}}
    found, lines = environment(env, instance(port=5003), WHERE)
    assert found["PATH"] == "/mine"
    assert (found["PS"], found["PORT"], found["RELEASE_VERSION"], found["SOURCE_VERSION"]) == (
        "web.2",
        "5003",
        "v8",
        "c0ffee",
    )
    assert (found["A"], found["TOKEN"], found["HOME"]) == ("1", "two\nlines", "/p/tmp")
    assert found["DPLOY_INSTANCE"] == "z1/shop/web.2-7"
    assert lines == ["A of build replaces that of app"]
    assert "PORT" not in environment({}, instance(), WHERE)[0]
    assert environment({}, instance(), WHERE)[0]["PATH"].split(":")[:3] == [
        "/r/app/.dploy/python/bin",
        "/r/app/bin",
        "/opt/python3.13/bin",
    ]


def test_values_of_eight_characters_and_each_of_their_lines_are_kept_out_of_logs() -> None:
    assert secrets({"app": {"A": "short", "B": "12345678", "C": "begin-of-key\n--\nend-of-key"}}) == (
        "12345678",
        "begin-of-key",
        "begin-of-key\n--\nend-of-key",
        "end-of-key",
    )


def process(age: float, **more: Any) -> Any:
    return SimpleNamespace(instance=instance(), age=age, asked=False, **more)


def test_a_process_is_started_again_after_pauses_that_double_until_it_ran_for_a_minute() -> None:
    restarts, pauses = Restarts(), []
    for _ in range(11):
        restarts.ended(process(2.0), 100.0)
        pauses.append(restarts.due["web", 2] - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    restarts.ended(process(61.0), 100.0)
    assert restarts.due["web", 2] == 101.0
    assert restarts.count(("web", 2)) == 12
    restarts.reset()
    assert (restarts.due, restarts.count(("web", 2))) == ({}, 0)


def test_a_report_is_bounded_as_it_travels_whatever_processes_print() -> None:
    app = App("shop", "id", 7).filed()
    why = "\x01" * 2000
    failed = opened(Order("shop", f"file:/x#sha256={DIGEST}", "d1/eu/1"), "d1/eu/1")._replace(state="failed", why=why)
    workers: dict[str, Any] = {
        f"app-{n:03}": SimpleNamespace(lock=nullcontext(), app=app._replace(order=failed), processes={})
        for n in range(64)
    }
    page = dict(reporting._page(workers, sorted(workers)))
    assert 10 < len(page) < 64
    assert len(Report("eu", "id", apps=page).emit()) < 600 * 1024
    room = reporting._Room()
    taken = list(takewhile(room.take, ["\x01" * MAX_LINE] * 20))
    assert len(Report("eu", "id", orders=(OrderReport("d1/eu/1", "failed", "", tuple(taken)),)).emit()) < 300 * 1024
    assert not room.take("short"), "a later line passes one that had no room"


def test_the_proxy_s_table_names_addresses_and_an_app_without_one_answers_by_itself() -> None:
    table = {"shop": (9, ("10.0.0.5:5003", "10.0.0.5:5004")), "idle": (1, ())}
    assert caddy(table) == (
        '# revision 1\n(idle) {\n\trespond "idle does not run here" 503\n}\n\n'
        "# revision 9\n(shop) {\n\treverse_proxy 10.0.0.5:5003 10.0.0.5:5004 {\n\t\tlb_try_duration 2s\n\t}\n}\n"
    )
    assert nginx(table) == (
        "# revision 1\nupstream idle {\n\tserver 127.0.0.1:9 down;\n}\n\n"
        "# revision 9\nupstream shop {\n\tserver 10.0.0.5:5003;\n\tserver 10.0.0.5:5004;\n}\n"
    )


def test_ports_are_given_in_turn_so_that_a_stopped_app_s_is_another_one_s_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_dploy.zone.health._is_free", lambda port: port != 5002)
    ports = Ports(5000, 5004, given=5003)
    assert [ports.next(()) for _ in range(5)] == [5004, 5000, 5001, 5003, 5004]
    assert ports.next({5000, 5001}) == 5003
    with pytest.raises(OperatorError, match="all ports of 5000-5004 are in use"):
        ports.next(range(5000, 5005))
    assert Ports(5000, 5004).next(()) == 5000


@pytest.mark.parametrize("range_", [(80, 90), (5000, 4999), (5000, 70_000)])
def test_a_range_of_ports_that_is_none_is_refused(range_: tuple[int, int]) -> None:
    with pytest.raises(BadSettings, match="expected a range within 1024-65535"):
        Ports(*range_)


def test_a_range_of_ports_that_the_kernel_gives_away_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_dploy.zone.health._ephemeral", lambda: (5500, 6000))
    for first, last in ((5000, 5500), (6000, 6100), (5600, 5700), (5000, 7000)):
        with pytest.raises(BadSettings, match="overlaps 5500-6000"):
            Ports(first, last)
    assert Ports(5000, 5499).next(()) >= 5000


def test_an_environment_is_sealed_for_one_version_of_one_app_and_opens_for_no_other(tmp_path: Path) -> None:
    seal = Seal(tmp_path / "secret.key")
    assert (tmp_path / "secret.key").stat().st_mode & 0o77 == 0
    (tmp_path / "shop").mkdir()
    disk = AppDisk(tmp_path / "shop", "shop", seal, "z1/shop")
    disk.save_env(8, {"app": {"TOKEN": "canary"}})
    assert disk.env(8) == {"app": {"TOKEN": "canary"}}
    assert disk.env(9) == {}
    (tmp_path / "shop" / "env" / "8.sealed").rename(tmp_path / "shop" / "env" / "9.sealed")
    with pytest.raises(OperatorError, match="belongs elsewhere"):
        disk.env(9)
    (tmp_path / "secret.key").unlink()
    with pytest.raises(OperatorError, match="was replaced"):
        AppDisk(tmp_path / "shop", "shop", Seal(tmp_path / "secret.key"), "z1/shop").env(9)


def test_the_lines_of_an_order_are_numbered_and_bounded_and_know_the_place_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    disk = AppDisk(tmp_path / "shop", "shop", Seal(tmp_path / "secret.key"), "z1/shop")
    disk.say("d1/eu/1", "x" * 10_000)
    for place in ((1, 30), (1, 50)):
        disk.say("d1/eu/1", "of the release command", place)
    disk.say("d1/eu/1", "end")
    lines, after = disk.lines("d1/eu/1", 1, 2)
    assert (lines, after) == (["of the release command"] * 2, 3)
    assert disk.lines("d1/eu/1", after, 9) == (["end"], 4)
    assert disk.place("d1/eu/1") == (1, 50)
    assert len(disk.lines("d1/eu/1", 0, 1)[0][0]) == 4096
    disk.drop_lines(frozenset())
    assert disk.lines("d1/eu/1", 0, 9) == ([], 0)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "x", {"a": 1})
    write(tmp_path / "x", {"a": 2})
    assert read_json(tmp_path / "x") == {"a": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


class Answers:
    """A center that gives what it has, with silences between."""

    def __init__(self, *answers: tuple[bytes, str] | None) -> None:
        self.answers = list(answers)
        self.asked: list[CargoAsk] = []

    def piece(self, ask: CargoAsk) -> tuple[bytes, str] | None:
        self.asked.append(ask)
        return self.answers.pop(0)

    def close(self) -> None:
        pass


DATA = b"cargo" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()


def fetch(tmp_path: Path, uri: str, *answers: tuple[bytes, str] | None, free: int = 2**40) -> Answers:
    center = Answers(*answers)
    (incoming := tmp_path / "incoming").mkdir()
    fetcher = Fetcher(incoming, tmp_path / "root", lambda: center, lambda: free)
    fetcher.fetch(f"{uri}#sha256={DIGEST}", lambda: True)
    assert fetcher.path(DIGEST).read_bytes() == DATA
    return center


def test_cargo_comes_piece_by_piece_and_a_silence_costs_one_question(tmp_path: Path) -> None:
    size = cargo_mimetype(len(DATA))
    center = fetch(tmp_path, "dploy:/shop/8", (DATA[:200], size), None, (DATA[200:], size))
    assert [ask.offset for ask in center.asked] == [0, 200, 200]
    assert {(ask.app, ask.version) for ask in center.asked} == {("shop", 8)}


@pytest.mark.parametrize(
    ("uri", "answers", "free", "why"),
    [
        ("dploy:/shop/8", [(b"other" * 100, cargo_mimetype(500))], 2**40, "the cargo is another one"),
        ("dploy:/shop/8", [(b"", cargo_mimetype(500))], 2**40, "has 0 of 500 bytes"),
        (
            "dploy:/shop/8",
            [(b"x", cargo_mimetype(500)), (b"x", cargo_mimetype(600))],
            2**40,
            "says that the cargo has 600",
        ),
        ("dploy:/shop/8", [(b"x", cargo_mimetype(2**40))], 2**50, "says that the cargo has"),
        ("dploy:/shop/8", [(b"x", "text/plain")], 2**40, "answered no cargo"),
        ("dploy:/shop/8", [(b"x", cargo_mimetype(500))], 600, "the disk is full"),
        ("dploy:/shop/eight", [], 2**40, "names no version"),
        ("dploy:/shop/8/9", [], 2**40, "names no version"),
        ("ftp://example.com/x", [], 2**40, "is no address that a zone gets cargo from"),
        ("https://example.com/x", [], 2**40, "example.com is none of the `cargo_hosts`"),
        ("file:///etc/passwd", [], 2**40, "is not below"),
    ],
)
def test_cargo_that_is_not_what_was_ordered_leaves_nothing_on_the_disk(
    tmp_path: Path, uri: str, answers: list[tuple[bytes, str]], free: int, why: str
) -> None:
    with pytest.raises(FetchFailed, match=why):
        fetch(tmp_path, uri, *answers, free=free)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_center_that_stays_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SILENCE", -1.0)
    with pytest.raises(FetchFailed, match="was silent"):
        fetch(tmp_path, "dploy:/shop/8", None)


def test_a_file_of_cargo_is_reached_through_no_link(tmp_path: Path) -> None:
    (root := tmp_path / "root").mkdir()
    (root / "real").mkdir()
    (root / "real" / "cargo").write_bytes(DATA)
    (root / "link").symlink_to("real")
    (root / "real" / "linked").symlink_to("cargo")
    for name in ("link/cargo", "real/linked", "../root/real/cargo", "real", "nothing"):
        (place := tmp_path / name.replace("/", "-")).mkdir()
        (place / "incoming").mkdir()
        fetcher = Fetcher(place / "incoming", root, None, lambda: 2**40)
        with pytest.raises((FetchFailed, OSError)):
            fetcher.fetch(f"file://{root}/{name}#sha256={DIGEST}", lambda: True)
    fetch(tmp_path, f"file://{root}/real/cargo")


def test_a_fetch_that_is_not_wanted_any_more_ends_without_a_file(tmp_path: Path) -> None:
    center = Answers((DATA[:10], cargo_mimetype(len(DATA))))
    (tmp_path / "incoming").mkdir()
    fetcher = Fetcher(tmp_path / "incoming", None, lambda: center, lambda: 2**40)
    wanted = iter([True, False, False, False])
    fetcher.fetch(f"dploy:/shop/8#sha256={DIGEST}", lambda: next(wanted))
    assert list((tmp_path / "incoming").iterdir()) == []
