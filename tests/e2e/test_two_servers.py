"""The how-to "release my app to two servers": its playbook, against two real SSH servers."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from re_client.api import Client
from re_core.api.answers import Deployment
from tests.architecture.tree import ROOT
from tests.e2e.deploying import PATIENCE, ended, printed, statuses
from tests.e2e.engine_process import running as engine_running
from tests.e2e.engine_process import wait_until
from tests.services.recipe import Place
from tests.services.sshd import SshHost, running

EXAMPLE = ROOT / "examples" / "two-servers.yaml"
HOSTS = ("web1.example.com", "web2.example.com")


class Site(NamedTuple):
    """An engine that has the playbook, and the servers that it releases to."""

    client: Client
    hosts: tuple[SshHost, ...]
    builds: Path
    playbook: str

    def build(self, version: str, text: str) -> None:
        """An archive with one page."""
        page = self.builds / "index.html"
        page.write_text(text)
        with tarfile.open(self.builds / f"site-{version}.tar.gz", "w:gz") as archive:
            archive.add(page, "index.html")

    def release(self, version: str) -> Deployment:
        started = self.client.deploy("web", self.playbook, {"version": version})
        return ended(self.client, started["id"])

    def pages(self) -> list[str]:
        """What each server shows; empty where it shows nothing."""
        found = []
        for host in self.hosts:
            link = host.data / "site" / "current"
            page = link.parent / link.readlink() / "index.html" if link.is_symlink() else link
            found.append(page.read_text() if page.exists() else "")
        return found


@pytest.fixture(scope="module")
def site(sshd: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two servers and one engine for all tests of this file."""
    builds = tmp_path_factory.mktemp("builds")
    with ExitStack() as stack:
        hosts = [stack.enter_context(running(sshd, tmp_path_factory.mktemp("host"), name)) for name in HOSTS]
        (builds / "ssh_config").write_text("".join(host.client_config.read_text() for host in hosts))
        engine = stack.enter_context(engine_running(tmp_path_factory.mktemp("engine")))
        client = stack.enter_context(engine.client())
        stored = client.apply_playbook(_book(builds))
        yield Site(client, tuple(hosts), builds, stored["id"])


def _book(builds: Path) -> bytes:
    """The example, with the paths of this test: each server says itself where its site is."""
    text = EXAMPLE.read_text()
    return text.replace("/srv/builds", str(builds)).replace("/srv/site", r"\$TEST_DATA/site").encode()


def test_a_version_reaches_both_servers_and_an_older_one_is_a_rollback(site: Site) -> None:
    site.build("1.0", "first\n")
    site.build("1.1", "second\n")
    for version, page in (("1.0", "first\n"), ("1.1", "second\n"), ("1.0", "first\n")):
        found = site.release(version)
        assert found["status"] == "completed", printed(site.client, found["id"])
        assert site.pages() == [page, page]


def test_a_version_that_is_no_plain_name_changes_nothing(site: Site) -> None:
    before = site.pages()
    for version in ("1.0; touch /tmp/owned", "../../etc", ".", "$(id)"):
        found = site.release(version)
        assert found["status"] == "failed"
        assert not {"completed", "started"} & set(statuses(found)[2:])
    assert site.pages() == before


def test_a_server_that_fails_keeps_the_next_one_on_its_version(site: Site) -> None:
    site.build("2.0", "kept\n")
    assert site.release("2.0")["status"] == "completed"
    # a directory in the way of the link that is switched: the first server cannot go on
    obstacle = site.hosts[0].data / "site" / "next"
    (obstacle / "x").mkdir(parents=True)
    site.build("2.1", "new\n")
    failed = site.release("2.1")
    assert failed["status"] == "failed"
    assert site.pages() == ["kept\n", "kept\n"]
    (obstacle / "x").rmdir()
    for entry in obstacle.iterdir():
        entry.unlink()
    obstacle.rmdir()
    site.client.retry(failed["id"], "the obstacle is gone", retries=failed["retries"])
    wait_until("the retry has ended", lambda: site.client.deployment(failed["id"])["status"] == "completed", PATIENCE)
    assert site.pages() == ["new\n", "new\n"]
