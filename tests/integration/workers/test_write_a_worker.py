"""The page that teaches writing a worker: its lines are run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from re_workers.registry import built_in, load_directory

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "write-a-worker.md"
STEPS = ROOT / "docs" / "reference" / "steps"

#: lines of Python that a first worker may take
SHORT = 20


def _files() -> dict[str, str]:
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(blocks)


def test_the_worker_and_its_test_run_as_they_stand_on_the_page(tmp_path: Path) -> None:
    files = _files()
    assert sorted(files) == ["greet.py", "test_greet.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(pytest, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed" in result.stdout


def test_the_engine_finds_the_worker_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text(_files()["greet.py"])
    [worker] = load_directory(tmp_path)
    assert set(worker.offers()) == {"greet:Hello", "greet:Parcel"}


def test_the_worker_of_the_page_is_short() -> None:
    assert len(_files()["greet.py"].splitlines()) <= SHORT


def test_the_playbook_of_the_page_fits_its_worker(tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text(_files()["greet.py"])
    [worker] = load_directory(tmp_path)
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    for entry in yaml.safe_load(found[1])["steps"]:
        name = next(key for key in entry if ":" in key)
        step = worker.find(name.partition(":")[2])
        assert step is not None
        step.signature.bind(entry[name], {})


def test_every_built_in_step_is_on_the_page_or_on_that_of_all_steps() -> None:
    page = PAGE.read_text(encoding="utf-8")
    generated = "\n".join(one.read_text(encoding="utf-8") for one in STEPS.glob("*.md"))
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^##? |\Z)", generated, re.DOTALL | re.MULTILINE))
    offers = {name: offer for worker in built_in() for name, offer in worker.offers().items()}
    missing = [name for name in offers if not name.endswith("*") and f"`{name}`" not in page and name not in sections]
    assert missing == []
    for name, offer in offers.items():
        command = name.partition(":")[0]
        rows = "".join(line for line in page.splitlines() if f"`{command}:" in line)
        said = sections.get(name, "") + rows
        assert [one for one in offer["parameters"]["properties"] if f"`{one}`" not in said] == [], name
