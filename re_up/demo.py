"""`make demo`: the engine, the example playbook and one deployment of it, live, in a directory of its own.

Runs the shipped commands as a user would. Must not know anything that they do not show.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: seconds until the engine must have said where it is
READY = 20.0

#: seconds that the engine gets to stop
STOP = 35.0

#: exit code after Ctrl-C
INTERRUPTED = 130

#: what to type next: the demo's engine and its data are removed
NEXT = """
The demo has ended; its engine and its directory are deleted. To run an engine that stays:

  . .venv/bin/activate
  rectl up                                         # in a terminal of its own
  rectl playbook apply examples/playbook.yaml      # in another one
  rectl deploy demo/release --set version=1.4.2 --set url=http://127.0.0.1:8080/healthz --watch

docs/tutorial.md continues from here; it takes ten minutes."""

PLAYBOOK = Path(__file__).parent.parent / "examples" / "playbook.yaml"


def main() -> int:
    """Exit code of the deployment: 0 if it completed."""
    with tempfile.TemporaryDirectory(prefix="release-engine-demo-") as name:
        directory = Path(name)
        environ = environment(name)
        engine = subprocess.Popen(["rectl", "up", "--quiet"], env=environ)
        try:
            url = await_url(engine, directory / "url")
            code = _deploy(environ, url)
        finally:
            stop(engine)
        if not code:
            say(NEXT)
        return code


def environment(data_dir: str) -> dict[str, str]:
    """Of an engine on a directory of its own, and of the commands that ask it."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("RE_")}
    environ |= {"RE_DATA_DIR": data_dir, "RE_HTTP": "127.0.0.1:0", "RE_LOG_LEVEL": "warning"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    return environ


def stop(engine: subprocess.Popen[bytes]) -> None:
    """End it, and wait for that."""
    engine.send_signal(signal.SIGTERM)
    try:
        engine.wait(STOP)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()


def await_url(engine: subprocess.Popen[bytes], path: Path) -> str:
    """Its address, as soon as it is ready; ends the demo where it is not."""
    began = time.monotonic()
    while time.monotonic() - began < READY:
        if path.exists():
            url = path.read_text().strip()
            say(f"The engine is ready at {url} after {time.monotonic() - began:.1f} s.")
            return url
        if engine.poll() is not None:
            sys.exit(f"the engine ended with code {engine.returncode}")
        time.sleep(0.02)
    sys.exit(f"the engine was not ready within {READY:g} s")


def _deploy(environ: dict[str, str], url: str) -> int:
    if _run(environ, "playbook", "apply", str(PLAYBOOK)):
        return 1
    values = ("--set", "version=1.4.2", "--set", f"url={url}/healthz")
    return _run(environ, "deploy", "demo/release", *values, "--watch")


def _run(environ: dict[str, str], *words: str) -> int:
    say("$ rectl " + " ".join(words))
    return subprocess.run(["rectl", *words], env=environ, check=False).returncode


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
