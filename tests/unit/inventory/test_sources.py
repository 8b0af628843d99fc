"""Texts of an inventory: from files, directories and programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil
import pytest

from re_core.inventory.findings import BadInventory
from re_core.inventory.reading import read_inventory
from re_core.inventory.sources import MOST_BYTES
from re_core.runtime.inventory_sources import CommandSource, DirectorySource, FileSource, Source, read_sources
from tests.integration.workers.waiting import until


def _runs(pid: int) -> bool:
    """A zombie whose parent was killed stays for as long as init lets it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _python(program: str, timeout: float = 30.0) -> CommandSource:
    return CommandSource((sys.executable, "-c", program), timeout)


def _problem(*sources: Source) -> str:
    with pytest.raises(BadInventory) as refusal:
        read_sources(sources)
    return "\n".join(map(str, refusal.value.findings))


def test_files_directories_and_programs_are_one_inventory(tmp_path: Path) -> None:
    (tmp_path / "main.toml").write_text('[hosts.web1]\ngroups = ["web"]\n')
    directory = tmp_path / "hosts"
    (directory / "below").mkdir(parents=True)
    (directory / "b.yml").write_text("\ufeffhosts: [b1]")
    (directory / "a.json").write_text('{"hosts": ["a1"]}')
    for ignored in (".hidden.yml", "a.json~", "README.md", "below/c.yml"):
        (directory / ignored).write_text("{")
    program = _python(f"print('''{json.dumps({'_meta': {'hostvars': {}}, 'cloud': ['c1']})}''')")
    texts = read_sources([FileSource(tmp_path / "main.toml"), DirectorySource(directory), program])
    assert list(read_inventory(texts).hosts) == ["web1", "a1", "b1", "c1"]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("hosts.ini", b"", "expected a name that ends with .yml, .yaml, .json, .toml"),
        ("hosts.yml", b"hosts:\n- caf\xe9", "hosts.yml:2: not UTF-8"),
        ("missing.yml", None, "missing.yml: cannot be read: No such file or directory"),
        ("big.yml", b"#" * (MOST_BYTES + 1), f"at most {MOST_BYTES}"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, found: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert found in _problem(FileSource(tmp_path / name))


def test_a_directory_that_is_not_there_is_named_beside_other_problems(tmp_path: Path) -> None:
    found = _problem(DirectorySource(tmp_path / "none"), FileSource(tmp_path / "x.yml"))
    assert f"{tmp_path}/none: cannot be read" in found
    assert f"{tmp_path}/x.yml: cannot be read" in found


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("import sys; print('{}'); sys.exit('no credentials')", "it ended with exit code 1: no credentials"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with exit code -9"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "not UTF-8"),
        (f"import sys; sys.stdout.write('x' * {MOST_BYTES + 1})", f"it prints more than {MOST_BYTES} bytes"),
        ("import sys; sys.stderr.write('e' * 1_000_000 + 'the end'); sys.exit(3)", "ethe end"),
    ],
)
def test_a_program_that_fails_is_named_with_what_it_said(program: str, found: str) -> None:
    problem = _problem(_python(program))
    assert found in problem
    assert len(problem) < 5_000


def test_a_program_that_does_not_exist_is_named() -> None:
    assert "/no/such/program --list: cannot be started" in _problem(CommandSource(("/no/such/program", "--list")))


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "os.close(1); os.close(2)\n"
        "time.sleep(600)"
    )
    assert "it did not end within 2 s" in _problem(_python(program, timeout=2))
    started = [int(one) for one in pids.read_text().split()]
    until(lambda: not any(map(_runs, started)))


def test_a_program_that_leaves_a_child_behind_is_not_waited_for() -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        'print(\'{"hosts": ["a"]}\')'
    )
    assert [one.text.strip() for one in read_sources([_python(program)])] == ['{"hosts": ["a"]}']
