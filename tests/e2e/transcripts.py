"""Follows a page as its reader does: writes its files, runs its commands against a real engine, and compares what they print.

A file is a block of YAML whose first line is `# NAME`; a command is a line `$ …` of a block `console`, with its output below it. Must not
know what a page is about.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

#: the space between two columns, as re.escape has it
_BLANKS = re.compile(r"(?:\\ ){2,}")

_BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _pattern(expected: str) -> re.Pattern[str]:
    """`…` on a line of its own stands for any lines, within a line for anything; columns may be wider or narrower."""
    lines = []
    for line in expected.splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            inside = ".*".join(_BLANKS.sub(" +", re.escape(part.strip())) for part in line.split("…"))
            lines.append(rf"\s*{inside}\s*?\n")
    return re.compile("".join(lines))


def follow(text: str, environ: Mapping[str, str], directory: Path, places: Mapping[str, str]) -> int:
    """How many commands were run. `places`: addresses and directories of the page -> those of the test."""
    commands = 0
    for kind, block in _BLOCK.findall(text):
        for page, here in places.items():
            block = block.replace(page, here)
        if kind == "yaml":
            name = block.splitlines()[0].removeprefix("# ")
            (directory / name).write_text(block)
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            if command.split("; ")[-1].startswith("curl") and shutil.which("curl") is None:
                continue
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env=environ,
                cwd=directory,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            seen = done.stdout + ("" if not done.stdout or done.stdout.endswith("\n") else "\n")
            assert _pattern(expected).fullmatch(seen), f"$ {command}\n{done.stdout}"
            commands += 1
    return commands
