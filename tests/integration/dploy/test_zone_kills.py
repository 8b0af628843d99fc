"""An agent that is killed at each point of a release, and started again: nothing is lost, nothing is left, what serves serves on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_dploy.wire import Control, Order
from tests.integration.dploy.zone_harness import cargo, end_all, free_ports, get, marked, order, until
from tests.integration.dploy.zone_process import ZoneProcess

#: listens at once, with little to import
SMALL = """
import os, socket
one = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    peer, _ = one.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + os.environ["RELEASE_VERSION"].encode())
    peer.close()
"""


class Killed:
    """A zone whose agent dies, a center that goes on asking, and a client that finds what serves."""

    def __init__(self, directory: Path) -> None:
        (data := directory / "data").mkdir()
        (root := directory / "cargo").mkdir()
        self.ran = data / "ran"
        self.root = root
        first, last = free_ports(200)
        general = {
            "zone": "eu",
            "directory": str(directory / "zone"),
            "cargo_root": str(root),
            "ports": f"{first}-{last}",
            "min_free": 0,
            "grace": 2,
        }
        self.agent = ZoneProcess(directory, general)
        self.zone = directory / "zone"

    def order(self, version: int) -> Order:
        processes = {"web": "python3 -S web.py", "release": f"echo {version} >> {self.ran}"}
        uri, _ = cargo(self.root, version, {"web.py": SMALL}, processes)
        return order(uri, version, release_phase=True, hold=True, env={"app": {"SECRET": "canary-of-the-config"}})

    def serves(self, *versions: int) -> bool:
        """What a client gets by the newest table; one that failed a request fails the test."""
        report = self.agent.report()
        if report is None or "shop" not in report.apps or not report.apps["shop"].addresses:
            return False
        answer = get(report.apps["shop"].addresses[0])
        assert answer in {f"v{version}" for version in versions}, answer
        return True

    def state(self, id: str) -> str:
        report = self.agent.report(id)
        found = report.order(id) if report is not None else None
        return found.state if found is not None else "unknown"

    def deploy(self, wanted: Order) -> None:
        """As the steps Deploy and Commit do: order, wait until it is ready, switch, wait until it is done."""
        version = wanted.version
        assert self.agent.order(wanted).state in ("accepted", "known", "unheard")

        def goes_on() -> bool:
            state = self.state(wanted.order)
            assert state not in ("failed", "aborted", "lapsed")
            if state == "ready":
                self.agent.control(switch(wanted))
            if version > 1:
                self.serves(version - 1, version)
            return state == "done" or self.agent.is_dead()

        until(goes_on, f"v{version} is done, or its agent dies")

    def leftovers(self) -> list[str]:
        """What must not be there once a release is done."""
        found = [str(path) for path in self.zone.rglob(".tmp-*")]
        found += [str(path) for path in (self.zone / "incoming").iterdir()]
        found += [str(path) for path in self.zone.rglob("*") if b"canary-of-the-config" in content(path)]
        return found


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a directory, or removed meanwhile
        return b""


def switch(wanted: Order) -> Control:
    return Control("switch", "shop", wanted.order, wanted.epoch + 1)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    made = Killed(tmp_path)
    yield made
    made.agent.close()
    path = made.zone / "zone.json"
    if path.exists():
        end_all(json.loads(path.read_bytes())["id"])


@pytest.mark.parametrize(
    "every",
    [pytest.param(8, marks=pytest.mark.long), pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_an_agent_that_is_killed_at_any_point_of_a_release_goes_on_with_it_when_it_is_started_again(
    killed: Killed, every: int
) -> None:
    killed.agent.start()
    killed.deploy(killed.order(1))
    killed.agent.stop()
    seed = os.environ.get("RE_TEST_SEED", str(os.getpid()))
    print(f"RE_TEST_SEED={seed}")
    version, points = 1, int(seed) % every - every + 1
    while True:
        version += 1
        points += every
        killed.agent.start(kill_at=max(points, 1))
        wanted = killed.order(version)
        killed.deploy(wanted)
        if not killed.agent.is_dead():
            break
        killed.agent.start()
        killed.deploy(wanted)
        check(killed, version)
        assert killed.agent.stop() == 0
    check(killed, version)
    assert points > 20
    assert killed.ran.read_text().split() == [str(number + 1) for number in range(version)]


def check(killed: Killed, version: int) -> None:
    id = json.loads((killed.zone / "zone.json").read_bytes())["id"]
    instance = until(lambda: only(set(marked(id).values())), "one instance is left")
    assert instance.startswith("shop/web.1-")
    assert killed.serves(version)
    until(lambda: not killed.leftovers(), f"nothing else is left: {killed.leftovers()}")


def only(found: set[str]) -> str:
    return next(iter(found)) if len(found) == 1 else ""
