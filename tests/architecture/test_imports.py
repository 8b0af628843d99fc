"""Imports point down, and an import does nothing but define."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.architecture.tree import ROOT, dotted, lines_of, modules

#: The room of re_core below which everything is pure: no I/O, no clock, no randomness, no environment.
LAST_IMPURE = "runtime"

#: Imports every module named on the command line; says what else that did.
_PROBE = """
import importlib, json, os, sys, threading
import psutil

opened = []

def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event in {"socket.bind", "socket.connect", "subprocess.Popen", "os.fork", "os.putenv"}:
        opened.append(f"{event} {args[0]!r}")

environment = dict(os.environ)
sys.dont_write_bytecode = True
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
children = [child.name() for child in psutil.Process().children()]
changed = sorted(set(environment.items()) ^ set(os.environ.items()))
print(json.dumps({"opened": opened, "threads": threads, "children": children, "changed": changed}))
"""


def test_every_import_points_down() -> None:
    """The contracts of setup.cfg, as `make layers` checks them."""
    lint = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-logo",
        "--no-cache",
    ]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_of_the_core_that_should_be_pure_is_held_to_it() -> None:
    """A new module below the pure line must be named in the contract that forbids I/O too."""
    layers = lines_of("importlinter:contract:core", "layers")
    below = layers[1 + next(at for at, layer in enumerate(layers) if LAST_IMPURE in layer) :]
    names = {f"re_core.{name}" for layer in below for name in re.findall(r"\w+", layer)}
    pure = lines_of("importlinter:contract:pure", "source_modules")
    assert names == {name for name in pure if name.startswith("re_core.")}


def test_importing_all_modules_starts_opens_and_changes_nothing() -> None:
    names = [dotted(path) for path in modules()]
    probe = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROBE, *names], cwd=ROOT, capture_output=True, text=True
    )
    assert probe.returncode == 0, probe.stderr
    assert json.loads(probe.stdout) == {"opened": [], "threads": [], "children": [], "changed": []}
