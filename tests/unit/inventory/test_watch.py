"""The snapshot that acceptance reads: it follows files and programs, and says what is wrong with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.playbook.host_rules import AsWritten
from re_core.runtime.inventory_sources import CommandSource, FileSource, Source, signature
from re_core.services import inventory_watch
from re_core.services.inventory_watch import InventoryWatch
from tests.integration.workers.waiting import until


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_watch, "LOOK", 0.02)
    monkeypatch.setattr(inventory_watch, "AGAIN", 0.01)


@pytest.fixture
def watches() -> Iterator[list[InventoryWatch]]:
    made: list[InventoryWatch] = []
    yield made
    for one in made:
        one.request_stop()
    for one in made:
        assert all(thread.join(10) for thread in one.threads)


def _started(watches: list[InventoryWatch], *sources: Source) -> InventoryWatch:
    fatal: list[Exception] = []
    watch = InventoryWatch(sources, None, False, fatal.append)
    watches.append(watch)
    watch.start()
    return watch


def _program(path: Path, text: str = "", stale: float = 3600) -> CommandSource:
    """One that prints what is in `path`, and fails where that is missing."""
    program = f"import sys; sys.stdout.write(open({str(path)!r}).read())"
    if text:
        path.write_text(text)
    return CommandSource((sys.executable, "-c", program), 30, 0.02, stale)


def _names(watch: InventoryWatch, *patterns: str) -> tuple[str, ...]:
    return watch.now().resolve(patterns or ["group:all"], "").names


def _refusal(watch: InventoryWatch) -> str:
    problems = watch.now().resolve(["web1"], "/hosts").problems
    return problems[0].message if problems else ""


def test_without_a_source_every_entry_is_a_name(watches: list[InventoryWatch]) -> None:
    watch = _started(watches)
    assert isinstance(watch.now(), AsWritten)
    assert (watch.threads, watch.degraded()) == ([], {})


def test_a_file_is_there_from_the_start_and_its_changes_are_noticed(
    tmp_path: Path, watches: list[InventoryWatch]
) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text("hosts: [web1]")
    watch = _started(watches, FileSource(file))
    first = watch.now()
    assert _names(watch) == ("web1",)
    file.write_text("hosts: [web1, web2]")
    until(lambda: _names(watch) == ("web1", "web2"))
    assert watch.now().version != first.version
    assert first.resolve(["group:all"], "").names == ("web1",)


def test_a_file_with_mistakes_counts_as_it_is_and_is_said_until_it_is_mended(
    tmp_path: Path, watches: list[InventoryWatch], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text("hosts: [web1]")
    watch = _started(watches, FileSource(file))
    file.write_text("hosts:\n  web1: {prt: 22}\n  web2: {usr: me}\n")
    until(lambda: bool(_refusal(watch)))
    assert f"{file}:2: unknown key 'prt'; did you mean 'port'? (and 1 more problem)" in _refusal(watch)
    assert "`rectl hosts check`" in _refusal(watch)
    assert watch.degraded()["inventory"].startswith(f"{file}:2: unknown key 'prt'")
    until(lambda: [record.levelname for record in caplog.records] == ["ERROR"])
    file.write_text("hosts: [web3]")
    until(lambda: _names(watch) == ("web3",))
    assert watch.degraded() == {}
    file.unlink()
    until(lambda: "No such file or directory" in _refusal(watch))


def test_one_host_in_two_sources_is_refused_with_both(tmp_path: Path, watches: list[InventoryWatch]) -> None:
    one, other = tmp_path / "one.yml", tmp_path / "other.toml"
    one.write_text("hosts: [web1]")
    other.write_text("[hosts.web1]\n")
    watch = _started(watches, FileSource(one), FileSource(other))
    assert f"{other}:1: the host 'web1' stands at {one}:1 too" in _refusal(watch)
    other.write_text("[hosts.web2]\n")
    until(lambda: _names(watch) == ("web1", "web2"))


def test_the_last_good_result_of_a_program_counts_while_it_fails_and_is_reported(
    tmp_path: Path, watches: list[InventoryWatch]
) -> None:
    said = tmp_path / "said"
    program = _program(said, json.dumps({"hosts": {"web1": {}}}))
    watch = _started(watches, program)
    assert _names(watch) == ("web1",)
    said.unlink()
    until(lambda: bool(watch.degraded()))
    assert "it ended with exit code 1" in watch.degraded()["inventory"]
    assert watch.degraded()["inventory"].endswith("its last good result is used")
    assert _names(watch) == ("web1",)
    said.write_text('{"hosts": {"web2": {"prt": 1}}}')
    until(lambda: "unknown key 'prt'" in watch.degraded().get("inventory", ""))
    assert _names(watch) == ("web1",)
    said.write_text('{"hosts": {"web2": {}}}')
    until(lambda: _names(watch) == ("web2",))
    assert watch.degraded() == {}


def test_a_program_that_fails_for_too_long_or_from_the_start_is_refused(
    tmp_path: Path, watches: list[InventoryWatch]
) -> None:
    said = tmp_path / "said"
    watch = _started(watches, _program(said, '{"hosts": {"web1": {}}}', stale=0.2))
    said.unlink()
    until(lambda: "it fails for longer than 0.2 s" in _refusal(watch))
    never = _started(watches, _program(tmp_path / "nothing"))
    assert "it ended with exit code 1" in _refusal(never)


def test_acceptance_does_not_wait_for_a_program(
    tmp_path: Path, watches: list[InventoryWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_watch, "FIRST", 0.05)
    gate = tmp_path / "gate"
    wait = f'import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint(\'{{"hosts": {{"web1": {{}}}}}}\')'
    watch = _started(watches, CommandSource((sys.executable, "-c", wait), 30))
    assert "it has not answered yet" in _refusal(watch)
    gate.touch()
    until(lambda: _names(watch) == ("web1",))


def test_what_did_not_change_is_not_put_together_again(
    tmp_path: Path, watches: list[InventoryWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text("hosts: [web1]")
    looks: list[object] = []

    def counted(source: FileSource) -> object:
        looks.append(source)
        return signature(source)

    monkeypatch.setattr(inventory_watch, "signature", counted)
    watch = _started(watches, FileSource(file))
    first = watch.snapshot().inventory
    until(lambda: len(looks) > 5)
    assert watch.snapshot().inventory is first
