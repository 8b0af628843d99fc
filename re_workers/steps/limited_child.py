"""Carries out what a playbook's author wrote and what may never end: an expression, a template. A program (limited.py starts it).

It is a process of its own, since nothing ends an expression or a loop of a template in a thread: the kernel ends this process where it
takes more time or memory than it may. Only the standard library is imported here; Jinja comes from the directories that are named.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any


def match(task: dict[str, Any]) -> dict[str, Any]:
    """Whether the expression is found in the text."""
    try:
        return {"found": re.search(task["pattern"], task["text"]) is not None}
    except (re.error, OverflowError, RecursionError) as error:
        return {"problem": str(error)}


def render(task: dict[str, Any]) -> dict[str, Any]:
    """What the template makes of the values; `most`: characters."""
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    pieces: list[str] = []
    size = 0
    try:
        for piece in environment.from_string(task["template"]).generate(**task["values"]):
            size += len(piece)
            if size > task["most"]:
                return {"problem": f"the template makes more than {task['most']} characters"}
            pieces.append(piece)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        return {"problem": f"the template cannot be used{f', line {line}' if line else ''}: {error}"}
    except MemoryError:
        return {"problem": "the template takes more memory than it may"}
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        return {"problem": f"the template failed: {type(error).__name__}: {error}"}
    return {"text": "".join(pieces)}


def main() -> None:
    """Arguments: seconds of the processor, bytes of memory, directories of packages. The task is its input."""
    seconds, memory, *packages = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    sys.path.extend(packages)
    task = json.load(sys.stdin)
    json.dump({"match": match, "render": render}[task["task"]](task), sys.stdout)


if __name__ == "__main__":
    main()
