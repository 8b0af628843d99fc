"""Which way to a server is taken: the program on the PATH first, then an engine that answers, then the service root."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.services import ngircd
from tests.services.containers import InContainer
from tests.services.places import OnPath, cache_directory, choose
from tests.services.recipe import Recipe
from tests.services.unavailable import Unavailable

RECIPE = Recipe("pigeon", "RE_TEST_PIGEON_URL", "pigeond", ("pigeon-server",), "pigeon")


def _program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_a_program_on_the_path_is_run_as_it_is(bin_folder: Path, tmp_path: Path) -> None:
    _program(bin_folder, "pigeond", "exit 0")
    _program(bin_folder, "docker", "exit 0")
    place = choose(RECIPE, tmp_path)
    assert isinstance(place, OnPath)
    assert place.argv(RECIPE, ["pigeond", place.seen(tmp_path)], tmp_path) == ["pigeond", str(tmp_path)]


def test_an_engine_that_answers_gets_an_image_with_the_packages(bin_folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    _program(bin_folder, "docker", "exit 1")
    keep = f'[ "$1" = info ] && exit 0; read -r first; read -r second; echo "$second" > {image}'
    _program(bin_folder, "podman", keep)
    place = choose(RECIPE, tmp_path)
    assert isinstance(place, InContainer)
    assert "apt-get install" in image.read_text() and "pigeon-server" in image.read_text()
    command = place.argv(RECIPE, ["pigeond"], tmp_path)
    assert command[:2] == ["podman", "run"]
    assert f"--volume={tmp_path}:{place.seen(tmp_path)}" in command
    assert command[-1] == "pigeond"


def test_a_published_image_is_fetched_instead(bin_folder: Path, tmp_path: Path) -> None:
    _program(bin_folder, "docker", f'echo "$@" >> {tmp_path}/orders')
    recipe = RECIPE._replace(image="pigeon:8", image_user="bird")
    place = choose(recipe, tmp_path)
    command = place.argv(recipe, ["pigeond"], tmp_path)
    assert "--user=bird" in command
    assert command[-2:] == ["pigeon:8", "pigeond"]
    assert (tmp_path / "orders").read_text().splitlines()[-1] == "pull --quiet pigeon:8"


def test_an_engine_that_cannot_fetch_the_image_is_passed_over(bin_folder: Path, tmp_path: Path) -> None:
    _program(bin_folder, "docker", '[ "$1" = info ] && exit 0; echo "no network" >&2; exit 1')
    _program(bin_folder, "podman", "exit 0")
    command = choose(RECIPE, tmp_path).argv(RECIPE, ["pigeond"], tmp_path)
    assert command[0] == "podman"


def test_signals_reach_a_container_through_its_engine(bin_folder: Path, tmp_path: Path) -> None:
    """SIGSTOP to the client of an engine would freeze the client alone."""
    _program(bin_folder, "docker", f'echo "$@" >> {tmp_path}/orders')
    place = choose(RECIPE, tmp_path)
    process = subprocess.Popen(place.argv(RECIPE, ["pigeond"], tmp_path))
    process.wait()
    for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
        place.deliver(process, number)
    orders = (tmp_path / "orders").read_text().splitlines()
    name = next(word for word in orders[-4].split() if word.startswith("--name=")).removeprefix("--name=")
    assert orders[-3:] == [f"pause {name}", f"unpause {name}", f"kill --signal=SIGKILL {name}"]


def test_without_any_way_the_reason_says_what_to_install(bin_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"install pigeond .* or set RE_TEST_PIGEON_URL"):
        choose(RECIPE, tmp_path)


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory() == Path.home() / ".cache" / "release-engine-tests"
    monkeypatch.setenv("RE_TEST_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path


def test_a_url_names_the_irc_server() -> None:
    assert ngircd.named("irc://irc.test.example:7000") == ngircd.IrcServer("irc.test.example", 7000)
    assert ngircd.named("irc://irc.test.example").port == 6667
    with pytest.raises(ValueError, match="RE_TEST_IRC_URL"):
        ngircd.named("http://irc.test.example")


def test_a_test_sees_no_setting_and_no_file_of_its_user(tmp_path: Path) -> None:
    """The fixture that isolates tests is on without being asked for."""
    seen = subprocess.run(["/bin/sh", "-c", "echo $HOME; env"], capture_output=True, text=True).stdout
    assert "pytest" in seen.splitlines()[0]
    assert not [line for line in seen.splitlines() if line.startswith("RE_") and not line.startswith("RE_TEST_")]
