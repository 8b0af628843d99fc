"""The how-to "release a Flask app to two hosts", typed as its reader does: two hosts that systemd runs, and a PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
import yaml

from tests import plain_http
from tests.architecture.tree import ROOT
from tests.e2e.engine_process import running as engine_running
from tests.e2e.transcripts import follow
from tests.services.postgresql import PASSWORD
from tests.services.systemd_host import SystemdHost, running

PAGE = ROOT / "docs" / "how-to" / "release-to-two-servers.md"
APP = ROOT / "examples" / "flask-app"
HOSTS = ("web1.example.com", "web2.example.com")
#: where a part of the page begins that the test looks at more closely
CHANGE, ILL, BACK, REST = "Now a change", "## A version that is ill", "## Go back", "## What to change"
#: commits are by a person
ANN = {f"GIT_{who}_{what}": "ann@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Visitor:
    """Asks hosts for a page again and again, on a thread of its own."""

    def __init__(self, *hosts: SystemdHost) -> None:
        self._hosts, self._over = hosts, threading.Event()
        self._thread = threading.Thread(target=self._visit)
        #: host -> the versions that it has shown, in their order
        self.seen: dict[str, list[str]] = {host.name: [] for host in hosts}
        self.failures: list[str] = []

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """While the block lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def _visit(self) -> None:
        while not self._over.wait(0.02):
            for host in self._hosts:
                self._ask(host)

    def _ask(self, host: SystemdHost) -> None:
        try:
            page = plain_http.get(f"http://{host.address}:8000/", timeout=30)
            page.raise_for_status()
        except httpx2.HTTPError as error:
            self.failures.append(f"{host.name}: {error!r}")
            return
        version, seen = page.text.split(",")[0].removeprefix("Shop "), self.seen[host.name]
        if not seen or seen[-1] != version:
            seen.append(version)


def test_the_playbooks_are_short_and_have_no_shell_but_the_apps_own_commands() -> None:
    texts = {name: (APP / f"{name}.yaml").read_text() for name in ("release", "back")}
    assert sum(len(text.splitlines()) for text in texts.values()) <= 60
    stages = [stage for text in texts.values() for stage in yaml.safe_load(text)["execution"]]
    run = [step["command:Run"]["cmd"] for stage in stages for step in stage["steps"] if "command:Run" in step]
    assert [command.split()[0] for command in run] == ["./build", "flask"]


def test_the_inventory_of_the_page_is_that_of_the_example() -> None:
    assert (APP / "hosts.yaml").read_text() in PAGE.read_text()


@pytest.fixture
def hosts(systemd_host: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SystemdHost]]:
    with ExitStack() as stack:
        found = [stack.enter_context(running(systemd_host, tmp_path_factory.mktemp("host"), name)) for name in HOSTS]
        for host in found:
            # both have the network of this machine, so each listens on its own address of it
            place = host.ssh.data / "address.conf"
            place.write_text(f"[Socket]\nListenStream=\nListenStream={host.address}:8000\n")
            inside = "/etc/systemd/system/shop.socket.d"
            host.run(f"sudo mkdir {inside} && sudo cp {host.ssh.seen}/address.conf {inside}")
        yield found


@pytest.mark.long
def test_following_the_page_releases_a_version_meets_an_ill_one_and_goes_back(
    hosts: list[SystemdHost], postgresql: str, tmp_path: Path
) -> None:
    rows: dict[str, object] = {host.name: {**host.row(), "groups": ["web"]} for host in hosts}
    (tmp_path / "inventory.json").write_text(json.dumps({"hosts": {**rows, "build": {"runner": "local"}}}))
    for name in ("src", "builds"):
        (tmp_path / name).mkdir()
    url = postgresql.replace("+psycopg:", "+psycopg2:").replace("@", f":{quote(PASSWORD)}@")
    places = {
        "/srv/src": f"{tmp_path}/src",
        "/srv/builds": f"{tmp_path}/builds",
        "postgresql+psycopg2://shop:PASSWORD@db.example.com/shop": url,
        "timeout: 20": "timeout: 3",
        "20 s": "3 s",
    }
    _copied(tmp_path / "examples" / "flask-app", places)
    page = PAGE.read_text().partition(REST)[0]
    first, _, rest = page.partition(CHANGE)
    change, _, rest = rest.partition(ILL)
    ill, _, back = rest.partition(BACK)
    with engine_running(tmp_path, "inventory: [inventory.json]\n") as engine:
        environ = {**engine.environ, **ANN}

        def typed(text: str, *visited: SystemdHost) -> Visitor:
            visitor = Visitor(*visited)
            with visitor.visiting():
                assert follow(text, environ, tmp_path, places)
            assert visitor.failures == []
            return visitor

        typed(first)
        assert typed(change, *hosts).seen == {name: ["1.0", "1.1"] for name in HOSTS}
        assert typed(ill, hosts[1]).seen == {HOSTS[1]: ["1.1"]}
        assert typed(back, hosts[1]).seen == {HOSTS[1]: ["1.1"]}
        last = Visitor(*hosts)
        for host in hosts:
            last._ask(host)
        assert (last.seen, last.failures) == ({name: ["1.1"] for name in HOSTS}, [])


def _copied(target: Path, places: dict[str, str]) -> None:
    """The example, with the places of this test in its playbooks."""
    target.mkdir(parents=True)
    for file in APP.iterdir():
        text = file.read_text()
        if file.name in ("setup.yaml", "release.yaml", "back.yaml"):
            for there, here in places.items():
                text = text.replace(there, here)
        (target / file.name).write_text(text)
        (target / file.name).chmod(file.stat().st_mode)
