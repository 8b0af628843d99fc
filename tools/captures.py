"""Takes text captures of what a person sees in a terminal, into docs/captures: python tools/captures.py

Runs the shipped commands against a real `rectl up` in a directory of its own, each in a terminal of tmux, and keeps
what is on the screen. Ids, ports, dates and times of day are replaced, so that a new run differs little from the last
one; durations stay as they were. Must not know how the client draws anything.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CAPTURES = ROOT / "docs" / "captures"

#: columns and rows of the terminal; rows for what may scroll
COLUMNS, ROWS, MANY_ROWS = 120, 28, 200

#: where the user of the captures lives
HOME = "/home/ann"

#: seconds until something must be on the screen
PATIENCE = 30.0

#: seconds between two looks
LOOK = 0.05

#: what the shell in the terminal prints when the command has ended
ENDED = re.compile(r"^exit code: ([0-9]+)$", re.MULTILINE)

#: prints the id of the newest dead letter
_FIRST_LETTER = "rectl deadletters list | awk 'NR == 2 {print $1}'"

#: the commands whose output is the same on every machine but for what `_Likeness` replaces
SIMPLE = {
    "help": ("rectl --help",),
    "playbook-apply": ("rectl playbook apply examples/playbook.yaml examples/failing.yaml",),
    "playbook-validate": (
        "rectl playbook validate docs/captures/wrong.yaml",
        "rectl playbook validate docs/captures/misspelt.yaml",
    ),
    "playbook-plan": ("rectl playbook plan demo/release --set version=1.4.2",),
}
#: the same, after deployments have run
AFTERWARDS = {
    "deployments": ("rectl playbook list", "rectl deployments", "rectl deployments --status failed"),
    "deadletters": ("rectl deadletters list", f"rectl deadletters show $({_FIRST_LETTER})"),
    "workers": ("rectl workers",),
    "config": ("rectl config",),
    "mistakes": (
        "rectl deploi demo/release",
        "rectl deploy demo/relase",
        "rectl deploy demo/release",
        "RE_TOKEN=re_wrong rectl deployments",
        "RE_URL=http://127.0.0.1:9 rectl deployments",
    ),
}


class Likeness:
    """Replaces what differs between two runs; one replacement for one id."""

    def __init__(self, home: Path, url: str) -> None:
        self._home = str(home)
        self._plain = {url: "http://127.0.0.1:8080", str(ROOT): "/home/ann/release-engine"}
        self._ids: dict[str, str] = {}

    def of(self, text: str) -> str:
        for found, shown in self._plain.items():
            text = text.replace(found, shown)
        text = re.sub(rf"{re.escape(self._home)}(\S*)( *)", self._in_home, text)
        text = re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", self._id, text)
        text = re.sub(r"\b[0-9]{13}-[0-9a-f]{16}\b", "1795363200000-0123456789abcdef", text)
        text = re.sub(
            r"\b[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9:]{5}", "2026-11-22 12:00:00+00:00", text
        )
        text = re.sub(r"\b[0-9-]{10}T[0-9:.]{12}Z", "2026-11-22T12:00:00.000Z", text)
        text = re.sub(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z", "2026-11-22T12:00:00.000Z", text)
        return re.sub(r"\b[0-9]{2}:[0-9]{2}:[0-9]{2}\b", "12:00:00", text)

    def _in_home(self, found: re.Match[str]) -> str:
        """In a column of a table the next one stays where it was."""
        shorter = len(self._home) - len(HOME) if len(found[2]) > 1 else 0
        return f"{HOME}{found[1]}{found[2]}{' ' * shorter}"

    def _id(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"01M82000000000000000000{len(self._ids) + 1:03}")


class Terminal:
    """A tmux server of our own for each command: one that is on its way out takes no new session."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self._sockets = (str(home / f"tmux{number}") for number in itertools.count(1))
        self._socket = ""
        self._environ = environ

    @contextmanager
    def running(self, command: str, rows: int) -> Iterator[Callable[[], str]]:
        """A terminal in which the command runs; the function gives what is on its screen."""
        script = f"{command}; echo exit code: $?; exec sleep 600"
        self._socket = next(self._sockets)
        size = ["-x", str(COLUMNS), "-y", str(rows)]
        self._call("new-session", "-d", *size, "-c", str(ROOT), "sh", "-c", script)
        try:
            yield lambda: self._call("capture-pane", "-p").rstrip()
        finally:
            self._call("kill-server")

    def _call(self, *words: str) -> str:
        tmux = ["tmux", "-u", "-S", self._socket, "-f", os.devnull, *words]
        done = subprocess.run(tmux, env=self._environ, capture_output=True, text=True, check=True)
        return done.stdout


def shown(terminal: Terminal, command: str, rows: int = MANY_ROWS) -> str:
    """The command behind a prompt, and what it left on the screen with its exit code where that is not 0."""
    with terminal.running(command, rows) as screen:
        return f"$ {command}\n{_end(screen, command)}"


def main() -> int:
    """Take all captures. Exit code 2 where tmux is missing."""
    if shutil.which("tmux") is None:
        print("tools/captures.py draws in tmux, which is not installed here", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve()
        environ = _environ(home)
        engine = subprocess.Popen(["rectl", "up"], env=environ, stderr=(home / "log").open("wb"))
        try:
            data = home / ".local" / "share" / "release-engine"
            url = _await(lambda: (data / "url").read_text().strip() if (data / "url").exists() else "", "rectl up")
            _take(Terminal(home, environ), Likeness(home, url), url, environ, home / "log")
        finally:
            engine.send_signal(signal.SIGTERM)
            engine.wait(PATIENCE)
    return 0


def _take(terminal: Terminal, likeness: Likeness, url: str, environ: dict[str, str], log: Path) -> None:
    def keep(name: str, *texts: str) -> None:
        (CAPTURES / f"{name}.txt").write_text(likeness.of("\n".join(texts)))

    def keep_all(group: dict[str, tuple[str, ...]]) -> None:
        for name, commands in group.items():
            keep(name, *(shown(terminal, command) for command in commands))

    ready = _await(lambda: text if (text := log.read_text()).endswith("Ctrl-C\n") else "", "the last line of rectl up")
    keep("up", f"$ rectl up\n{ready}")
    keep_all(SIMPLE)
    release = f"rectl deploy demo/release --set version=1.4.2 --set url={url}/healthz --watch"
    keep("deploy-watch", *_watched(terminal, release))
    keep("deploy-in-a-pipe", _piped(release, environ))
    failing = shown(terminal, "rectl deploy demo/failing --watch", ROWS)
    keep("deploy-failing", failing)
    newest = _output("rectl deployments --limit 1 --json", environ)
    number = str(re.findall(r'"id": "([0-9A-Z]{26})"', newest)[0])
    keep("status", shown(terminal, f"rectl status {number}"), shown(terminal, f"rectl logs {number} --times"))
    keep("retry", *_retried(terminal, environ))
    _output(f"curl -s -o /dev/null {_notification(url, environ)}", environ)
    _await(lambda: _output("rectl deadletters list", environ), "a dead letter")
    keep_all(AFTERWARDS)


def _watched(terminal: Terminal, command: str) -> Iterator[str]:
    """The live view when the second host's program has printed something, and at its end."""
    with terminal.running(command, ROWS) as screen:
        halfway = _await(lambda: found if "web02.example.com: unpack" in (found := screen()) else "", command)
        yield f"$ {command}\n{halfway}\n"
        yield f"… and when it has ended:\n\n{_end(screen, command)}"


def _retried(terminal: Terminal, environ: dict[str, str]) -> Iterator[str]:
    """A deployment whose step fails in its first attempt, and that goes on."""
    _output("rectl playbook apply docs/captures/disk-full.yaml", environ)
    number = _output("rectl deploy demo/disk-full", environ).split()[0]
    _output(f"rectl watch {number}", environ)
    yield shown(terminal, f"rectl status {number}")
    yield shown(terminal, f"rectl retry {number} --reason 'made room' --watch", ROWS)


def _end(screen: Callable[[], str], command: str) -> str:
    text = _await(lambda: found if ENDED.search(found := screen()) else "", command)
    return f"{text.removesuffix('exit code: 0').rstrip()}\n"


def _piped(command: str, environ: dict[str, str]) -> str:
    return f"$ {command} | cat\n{_output(command, environ)}"


def _notification(url: str, environ: dict[str, str]) -> str:
    """A notification over a transport that no settings file configures: it ends as a dead letter."""
    token = (Path(environ["HOME"]) / ".local/share/release-engine/token").read_text().strip()
    body = '{"transport": "email", "slug": "Hello", "message": "Hello Ann", "phase": "completed", "target": ["ann@example.com"]}'
    headers = [f"Authorization: Bearer {token}", "Content-Type: application/json"]
    return shlex.join([*(word for line in headers for word in ("-H", line)), "-d", body, f"{url}/api/v1/notifications"])


def _output(command: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        shlex.split(command), env=environ, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return "" if done.stdout.startswith("No ") else done.stdout


def _environ(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RE_", "XDG_", "TMUX"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {
        **kept,
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "LOGNAME": "ann",
        "PATH": path,
        "RE_HTTP": "127.0.0.1:0",
        "TERM": "screen",
        "TZ": "UTC",
    }


def _await(look: Callable[[], str], what: str) -> str:
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"not within {PATIENCE:g} s: {what}")
        time.sleep(LOOK)
    return found


if __name__ == "__main__":
    sys.exit(main())
