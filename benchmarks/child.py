"""Runs a measurement in a process of its own, so that memory and caches are its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def call(module: str, **arguments: Any) -> dict[str, Any]:
    """What `python -m <module> <arguments as JSON>` prints, as JSON."""
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer
