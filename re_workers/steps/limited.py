"""Expressions and templates of a playbook's author, within a time and a memory. Must not know what they are for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from re_workers.outcomes import Failed
from re_workers.steps import limited_child

#: seconds of the processor that one may take, and seconds in all on a machine that is busy
SECONDS, LONGEST = 10, 60
#: bytes of memory, Python's own included
MEMORY = 512 * 1024 * 1024
#: characters of what a template makes
MOST_RENDERED = 1024 * 1024


def found(pattern: str, text: str) -> bool:
    """Whether the expression (Python's) is found in the text. Raises Failed where it is none, or takes too long."""
    what = f"the expression {pattern[:100]!r}"
    answer = _done({"task": "match", "pattern": pattern, "text": text}, what)
    if "problem" in answer:
        raise Failed(f"{what} cannot be used: {answer['problem']}")
    return bool(answer["found"])


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """What a template of Jinja makes of the values.

    Raises Failed with the line where it is wrong, where a value is not there, and where it makes or takes too much.
    """
    task = {"task": "render", "template": template, "values": values, "most": MOST_RENDERED}
    answer = _done(task, "the template")
    if "problem" in answer:
        raise Failed(str(answer["problem"]))
    return str(answer["text"])


def _done(task: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    argv = [sys.executable, "-I", "-S", "-B", limited_child.__file__, f"{SECONDS}", f"{MEMORY}"]
    if task["task"] == "render":
        argv += _packages()
    text = json.dumps(task, default=dict).encode()
    try:
        # nothing of it is in the command line or the environment: both may be read by others, and a value may be a secret
        ran = subprocess.run(
            argv, input=text, capture_output=True, timeout=LONGEST, env={"PATH": os.defpath}, cwd="/", check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{what} takes longer than {LONGEST} s") from None
    if ran.returncode < 0:
        raise Failed(f"{what} takes longer than {SECONDS} s of the processor, or more memory than it may")
    if ran.returncode:
        raise Failed(f"{what} takes more memory than it may" if b"MemoryError" in ran.stderr else f"{what} failed")
    answer: Mapping[str, Any] = json.loads(ran.stdout)
    return answer


def _packages() -> list[str]:
    import jinja2
    import markupsafe

    return sorted({str(Path(one.__path__[0]).parent) for one in (jinja2, markupsafe)})
