"""What hunts for broken seeds: a broken one stops no other, and all of them are listed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.simulation import __main__ as command
from tests.simulation import many, planted
from tests.simulation.faults import Death
from tests.simulation.play import play
from tests.simulation.simulated_cluster import SimulatedCluster

ROOT = Path(__file__).parents[2]
SEEDS = range(3_000, 3_040)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that a planted mistake breaks, some of SEEDS."""
    planted.begins_without_a_grant(monkeypatch)
    found = [seed for seed in SEEDS if _violation(seed)]
    assert 1 < len(found) < len(SEEDS)
    return found


def _violation(seed: int) -> str:
    try:
        play(seed)
    except AssertionError as error:
        return str(error)
    return ""


def _ask(seeds: Sequence[int] = SEEDS) -> int:
    return command.main(["--first", str(seeds[0]), "--seeds", str(len(seeds))])


def test_the_command_goes_on_after_a_broken_seed_and_lists_all_of_them(
    broken: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ask() == 1
    head, *listed = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{len(SEEDS)} seeds from {SEEDS[0]} on, {len(broken)} broken;")
    assert [int(re.match(r"seed (\d+): Broken: ", line)[1]) for line in listed] == broken  # type: ignore[index]
    for seed, line in zip(broken, listed, strict=True):
        assert line.removesuffix("…") in _violation(seed)


def test_a_command_that_is_interrupted_lists_what_it_has_found(
    broken: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seed: int) -> Counter[str]:
        if seed == broken[1]:
            raise KeyboardInterrupt
        return play(seed)

    monkeypatch.setattr(many, "play", interrupted)
    assert _ask() == 130
    told = capsys.readouterr().out
    assert f"seed {broken[0]}: " in told
    assert f"interrupted: {SEEDS[-1] + 1 - broken[1]} of {len(SEEDS)} seeds were not played" in told


def test_the_death_of_a_process_that_escapes_from_a_seed_breaks_that_seed_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(cluster: SimulatedCluster) -> None:
        raise Death

    monkeypatch.setattr(SimulatedCluster, "run", run)
    played = many.Played()
    played.play(SEEDS[0])
    assert played.lines() == [f"seed {SEEDS[0]}: Death: "]


def test_several_processes_play_what_one_does() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--first", "3000", "--seeds", "50", "--workers", "2"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'schemas'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    alone = many.Played()
    for seed in range(3000, 3050):
        alone.play(seed)
    assert (ran.returncode, ran.stderr) == (0, "")
    head, happened = ran.stdout.split("; ")
    assert head == "50 seeds from 3000 on, 0 broken"
    assert ast.literal_eval(happened) == dict(alone.happened)


@pytest.mark.parametrize("words", [("--seeds", "0"), ("--seeds", "-1"), ("--workers", "x"), ("--seeds", "1.5")])
def test_a_number_that_is_none_is_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(words)
    assert f"{words[0]}: {words[1]!r} is not a whole number from 1 on" in capsys.readouterr().err


def test_a_machine_without_time_still_plays_one_seed() -> None:
    assert many.play_within(0, SEEDS).seeds == 1


def test_a_line_of_a_list_is_short() -> None:
    assert many.first_line("seed 7: Broken: this; that\ntold by") == "Broken: this; that"
    assert many.first_line("x" * 10_000) == "x" * (many.WIDTH - 1) + "…"
