"""Which runner a host has: those that come with the engine, and those of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from re_workers.hosts import runners
from re_workers.hosts.port import BadHost
from re_workers.hosts.surroundings import Surroundings
from re_workers.steps.confinement import Confinement


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    with closing(Surroundings(tmp_path, Confinement(isolation="off"), "unit")) as found:
        yield found


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with a module of runners."""
    about = tmp_path / "site" / "re_telnet-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: re-telnet\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[re_host_runners]\ntelnet = re_telnet_runner:runner\n")
    monkeypatch.delitem(sys.modules, "re_telnet_runner", raising=False)
    monkeypatch.syspath_prepend(str(about.parent))
    runners.installed.cache_clear()
    yield about.parent / "re_telnet_runner.py"
    runners.installed.cache_clear()


def test_an_installed_package_adds_a_runner(package: Path, surroundings: Surroundings) -> None:
    package.write_text("def runner(facts, surroundings, user):\n    return facts.name, dict(facts.row), user\n")
    rows = {"web1": {"runner": "telnet", "port": 23}}
    found: object = runners.open_runner("web1", rows, surroundings, "root")
    assert found == ("web1", rows["web1"], "root")


def test_a_runner_that_cannot_be_loaded_says_why(package: Path, surroundings: Surroundings) -> None:
    package.write_text("import no_such_module\n")
    with pytest.raises(BadHost, match=r"re_telnet_runner:runner cannot be loaded: ModuleNotFoundError"):
        runners.open_runner("web1", {"web1": {"runner": "telnet"}}, surroundings)


def test_a_runner_that_is_not_there_is_said_with_those_that_are(surroundings: Surroundings) -> None:
    with pytest.raises(BadHost, match="has no runner 'telnet' for hosts; it has local, ssh"):
        runners.open_runner("web1", {"web1": {"runner": "telnet"}}, surroundings)
