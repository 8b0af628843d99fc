"""The files of a new worker. Pure; must not know where they go. They run as they are: a test of ours runs them."""

from __future__ import annotations

import keyword
import re
from string import Template

from re_client.errors import BadInput

_WORD = re.compile(r"[a-z][a-z0-9_]{0,40}")

_WORKER = Template('''\
"""The steps $command:Hello and $command:Wait."""

from __future__ import annotations

from re_workers import Context, Failed, Worker, step


class $kind(Worker):
    """A playbook names its steps `$command:<method>`; parameters are checked before a method is called."""

    command = "$command"

    @step(idempotent=True)
    def Hello(self, ctx: Context, name: str, loud: bool = False) -> dict[str, str]:
        """Greet a person. The engine may run it again, so it is marked idempotent."""
        greeting = f"Hello {name}"
        ctx.output(greeting.upper() if loud else greeting)
        return {"greeting": greeting}

    @step
    def Wait(self, ctx: Context, seconds: float) -> None:
        """Wait; a cancelled deployment ends it at once."""
        if seconds < 0:
            raise Failed("seconds must not be negative")
        ctx.wait(seconds)
''')

_TEST = Template('''\
"""The steps of $command, without an engine. Run it with: pytest"""

from __future__ import annotations

from pathlib import Path

from re_workers.registry import load_directory
from re_workers.testing import run

# the way the engine loads it
(WORKER,) = [worker for worker in load_directory(Path(__file__).parents[1]) if worker.command == "$command"]


def test_hello_greets() -> None:
    result = run(WORKER, "$command:Hello", {"name": "Ann"})
    assert (result.status, result.output) == ("completed", ["Hello Ann"])


def test_a_misspelt_parameter_is_refused() -> None:
    assert run(WORKER, "$command:Hello", {"nmae": "Ann"}).status == "failed"


def test_wait_refuses_what_cannot_be() -> None:
    assert run(WORKER, "$command:Wait", {"seconds": -1}).status == "failed"
''')


def worker_files(name: str) -> dict[str, str]:
    """Path below the directory of workers -> text. Raises BadInput for a name that cannot be a command."""
    if not _WORD.fullmatch(name) or keyword.iskeyword(name):
        raise BadInput(f"{name!r} cannot be a worker's name: small letters, digits and _ only, a letter first")
    # not `Test…`: pytest would take the class for tests
    kind = "".join(part.capitalize() for part in name.split("_")) + "Worker"
    words = {"command": name, "kind": kind}
    return {
        f"{name}.py": _WORKER.substitute(words),
        # in a directory of their own, for the engine loads every file beside the worker
        f"tests/test_{name}.py": _TEST.substitute(words),
    }
