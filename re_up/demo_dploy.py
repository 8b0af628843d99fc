"""`make demo-dploy`: an app of three files, pushed, scaled, configured and rolled back, in a directory of its own.

Runs the shipped commands as a user would. Must not know anything that they do not show.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from re_up import demo
from re_workers.steps.confinement import apart

#: the three files
APP = Path(__file__).parent.parent / "examples" / "shop"

#: seconds until what was asked for must be so
PATIENCE = 60.0

#: what to type next: the demo's engine and its data are removed
NEXT = """
The demo has ended; its engine, its app and its directory are deleted. To run an engine that stays:

  . .venv/bin/activate
  RE_DPLOY=1 rectl up                                          # in a terminal of its own
  rectl apps create shop                                       # in another one
  tar czf - -C examples/shop . | rectl apps push shop -

docs/tutorial-dploy.md continues from here, with git push."""


class Demo:
    """One engine, and the commands that are shown."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def show(self, *words: str) -> None:
        """Run a command of rectl, and show both."""
        demo.say("\n$ rectl apps " + " ".join(word if " " not in word else f"'{word}'" for word in words))
        code = self._run(*words).returncode
        if code:
            sys.exit(f"the command ended with {code}")

    def know(self, *words: str) -> Any:
        """What a command knows, as JSON."""
        done = self._run(*words, "--json", stdout=subprocess.PIPE)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ask_the_app(self) -> None:
        """What a proxy would be answered: only processes that serve are in the table."""
        _await("address", lambda: bool(self.addresses()))
        url = f"http://{self.addresses()[0]}/"
        with urllib.request.urlopen(url, timeout=10) as answer:
            demo.say(f"\n$ curl {url}\n{answer.read().decode().rstrip()}")

    def addresses(self) -> list[str]:
        """Of processes that serve."""
        table = self.know("routes", "shop")
        return [str(address) for address in table["addresses"]] if table else []

    def processes(self) -> list[dict[str, Any]]:
        """Those that are up."""
        found = self.know("ps", "shop")
        return [one for one in found["items"] if one["state"] == "up"] if found else []

    def _run(self, *words: str, stdout: int | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["rectl", "apps", *words], env=self._environ, check=False, stdout=stdout)


def main() -> int:
    """Exit code: 0 if all of it was shown."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="release-engine-demo-") as name:
        environ = {**demo.environment(name), "RE_DPLOY": "1"}
        engine = subprocess.Popen(["rectl", "up", "--quiet"], env=environ)
        try:
            demo.await_url(engine, Path(name) / "url")
            _play(Demo(environ), Path(name))
        finally:
            demo.stop(engine)
            shutil.rmtree(apart(Path(name)), ignore_errors=True)
    demo.say(f"\nAll of this took {time.monotonic() - began:.0f} s.")
    demo.say(NEXT)
    return 0


def _play(shown: Demo, directory: Path) -> None:
    archive = directory / "shop.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(APP.iterdir()):
            if file.is_file():
                tar.add(file, file.name)
    _await("a zone", lambda: bool(shown.know("zones")))
    shown.show("create", "shop")
    shown.show("push", "shop", str(archive))
    shown.ask_the_app()
    shown.show("scale", "shop", "web=2")
    _await("two processes", lambda: len(shown.processes()) == 2)
    shown.show("ps", "shop")
    shown.show("config", "set", "shop", "GREETING=good evening")
    _await_switch(shown, "v2")
    shown.ask_the_app()
    shown.show("rollback", "shop")
    _await_switch(shown, "v3")
    shown.ask_the_app()
    shown.show("releases", "shop")
    shown.show("logs", "shop", "--ps", "web.1", "--source", "dploy")


def _await_switch(shown: Demo, version: str) -> None:
    """The table, and what a zone is known to run, follow a release by some seconds."""

    def is_so() -> bool:
        ports = {one["port"] for one in shown.processes() if f"v{one['release']}" == version}
        return bool(ports) and {int(one.rpartition(":")[2]) for one in shown.addresses()} == ports

    _await(f"table of {version}", is_so)


def _await(what: str, is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            sys.exit(f"there was no {what} within {PATIENCE:g} s")
        time.sleep(0.2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(demo.INTERRUPTED)
