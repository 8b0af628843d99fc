"""What builds of apps cannot reach, and what root does not do for them, by the real kernel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from re_dploy.build import BuildFailed, BuildStopped
from re_dploy.build.builder import remove
from re_dploy.build.sandbox import SHARED
from re_workers.steps import landlock
from re_workers.steps.confinement import APART, Confinement
from tests.integration.dploy.build_bench import PROCFILE, Bench, Heard, script
from tests.unit.dploy.archives import member


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_two_builds_that_meet_reach_nothing_of_each_other(bench: Bench) -> None:
    before = bench.directory / "work-of-another" / "source"
    before.mkdir(parents=True)
    (before / "web.py").write_text("its code")
    for path in (before.parent, before, before / "web.py"):
        path.chmod(0o777)
    later = bench.directory / "work-of-a-later-one"
    bench.lines = Heard(lambda text: later.mkdir() if text == "begun" else None)
    text = f"echo begun; until [ -d {later} ]; do sleep 0.1; done; cat {before}/web.py; echo mine > {before}/web.py"
    bench.build(member("Procfile", PROCFILE), script(f"{text}; echo x > {before}/new; echo x > {later}/new; exit 0"))
    assert (before / "web.py").read_text() == "its code" and "its code" not in bench.lines
    assert [one.name for one in before.iterdir()] == ["web.py"] and list(later.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 or not landlock.version(), reason="takes root, and a kernel with Landlock")
def test_a_step_that_runs_as_the_user_of_builds_reaches_none(tmp_path: Path) -> None:
    assert APART in (Confinement([tmp_path]).hidden or ())
    assert APART not in (Confinement([tmp_path], user="root").hidden or ())


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_the_user_of_a_build_enters_it_once_all_is_given_to_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    own, by_descriptor = os.chown, os.fchown

    def chown(path: Any, *args: Any, **how: Any) -> None:
        modes.append(_mode(bench))
        own(path, *args, **how)

    def fchown(place: int, *args: Any) -> None:
        modes.append(_mode(bench))
        by_descriptor(place, *args)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "fchown", fchown)
    bench.build(member("Procfile", PROCFILE), member("below/web.py"))
    assert len(modes) >= 6 and set(modes) == {0o700}
    assert _mode(bench) == 0o711


def _mode(bench: Bench) -> int:
    return (bench.directory / "work-1").stat().st_mode & 0o777


def test_removing_a_build_follows_no_link_that_comes_into_the_place_of_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, work = tmp_path / "other", tmp_path / "work"
    other.mkdir(mode=0o755)
    (work / "source" / "below").mkdir(parents=True)
    own = os.fwalk

    def swapping(top: Any) -> Iterator[Any]:
        for found in own(top):
            if found[1] == ["below"]:
                (work / "source" / "below").rmdir()
                (work / "source" / "below").symlink_to(other)
            yield found

    monkeypatch.setattr(os, "fwalk", swapping)
    remove(work)
    assert not work.exists() and other.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_a_build_writes_to_its_own_directories_alone(bench: Bench) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as code:
        bench.sandbox = bench.sandbox._replace(user=None, fixed=frozenset({Path(code)}))
        places = [Path(code), *(place for place in SHARED if place.is_dir())]
        text = "".join(f"echo x > {place}/test-$$ && echo {place} && rm {place}/test-$$; " for place in places)
        bench.build(member("Procfile", PROCFILE), script(f"{text} mktemp > made; exit 0"))
    assert not set(map(str, places)) & set(bench.lines)
    assert any("ermission denied" in line for line in bench.lines)


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_a_build_that_runs_as_the_builders_own_user_cannot_change_the_engines_code(tmp_path: Path) -> None:
    (code := tmp_path / "code").mkdir()
    (code / "engine.py").write_text("original")
    me = "root" if os.geteuid() == 0 else ""
    text = f"cat {code}/engine.py; echo; echo mine > {code}/engine.py; echo mine > {code}/new.py; exit 0"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        bench = Bench(Path(directory), Confinement([tmp_path / "secret"], [code], me))
        bench.build(member("Procfile", PROCFILE), script(text))
        assert "original" in bench.lines
    assert {path.name: path.read_text() for path in code.iterdir()} == {"engine.py": "original"}


@pytest.mark.skipif(not landlock.keeps_signals(), reason="this kernel's Landlock keeps no signals")
def test_a_build_that_kills_its_shim_leaves_no_process_behind(bench: Bench, tmp_path: Path) -> None:
    bench.sandbox = bench.sandbox._replace(user=None)
    left = "setsid env -i sh -c 'echo $$ > left; exec sleep 600' & until [ -s left ]; do sleep 0.1; done"
    with pytest.raises(BuildFailed, match="ended with"):
        bench.build(member("Procfile", PROCFILE), script(f"{left}; echo left $(cat left); sleep 0.5; kill -9 $PPID"))
    pid = int(next(line.removeprefix("left ") for line in bench.lines if line.startswith("left ")))
    assert not _lives(pid)


@pytest.mark.skipif(not landlock.keeps_signals(), reason="this kernel's Landlock keeps no signals")
def test_a_build_as_the_builders_user_ends_when_it_shall_and_cannot_end_its_keeper(bench: Bench) -> None:
    bench.sandbox = bench.sandbox._replace(user=None)
    keeper = "$(cut -d' ' -f4 /proc/$PPID/stat)"
    said = bench.lines = Heard(lambda text: bench.stop.set() if text == "begun" else None)
    with pytest.raises(BuildStopped):
        text = f"kill -9 {keeper} || echo kept; echo begun; sleep 60"
        bench.build(member("Procfile", PROCFILE), script(text))
    assert "kept" in said and bench.living() == []


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # who reaps it may come later
    except psutil.NoSuchProcess:
        return False
