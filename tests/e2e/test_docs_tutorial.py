"""The tutorial, as somebody follows it: its files written, its commands run against a real engine, its output seen."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.e2e.engine_process import EngineProcess

TUTORIAL = ROOT / "docs" / "tutorial.md"

#: where the engine of the tutorial listens
ADDRESS = "http://127.0.0.1:8080"

_BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _pattern(expected: str) -> re.Pattern[str]:
    """`…` on a line of its own stands for any lines, within a line for anything."""
    lines = []
    for line in expected.splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            inside = ".*".join(re.escape(part.strip()) for part in line.split("…"))
            lines.append(rf"\s*{inside}\s*?\n")
    return re.compile("".join(lines))


def _follow(text: str, engine: EngineProcess, directory: Path, url: str) -> int:
    commands = 0
    for kind, block in _BLOCK.findall(text):
        if kind == "yaml":
            name = block.splitlines()[0].removeprefix("# ")
            (directory / name).write_text(block)
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.replace(ADDRESS, url).partition("\n")
            if command.split("; ")[-1].startswith("curl") and shutil.which("curl") is None:
                continue
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env=engine.environ,
                cwd=directory,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            seen = done.stdout + ("" if done.stdout.endswith("\n") else "\n")
            assert _pattern(expected).fullmatch(seen), f"$ {command}\n{done.stdout}"
            commands += 1
    return commands


def test_following_the_tutorial_shows_what_it_says(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path)
    engine.start()
    try:
        url = (engine.data / "url").read_text().strip()
        assert _follow(TUTORIAL.read_text(), engine, tmp_path, url) >= 9
    finally:
        assert engine.stop() == 0
