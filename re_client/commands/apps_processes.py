"""`rectl apps ps|routes|scale|restart|logs|run`."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence

import click

from re_client import watching
from re_client.commands.apps_group import ago
from re_client.errors import DONE, INTERRUPTED, NOT_COMPLETED, NotFound
from re_client.events import GapEvent, OutputEvent
from re_client.session import Session, json_option, pass_session
from re_client.text import duration, safe, since
from re_core.api import apps as api

#: seconds between two looks at whether a command has begun
_PAUSE = 0.2

_PS = ("zone", "process", "state", "since", "port", "restarts", "version", "exit")


@click.command(short_help="Show the processes of an app.")
@click.argument("app")
@json_option
@pass_session
def ps(session: Session, app: str, as_json: bool) -> None:
    """Show the processes of an app in all its zones, as these reported them last."""
    found = session.client.apps.ps(app)
    if as_json:
        session.terminal.json(found)
        return
    none = f"No processes. `rectl apps releases {safe(app)}` shows what was released."
    session.terminal.table(_PS, [_row(one) for one in found["items"]], none, ("exit", "restarts"))
    session.terminal.lines([safe(line) for line in map(_trouble, found["zones"]) if line])


@click.command(short_help="Show where the web processes listen.")
@click.argument("app")
@json_option
@pass_session
def routes(session: Session, app: str, as_json: bool) -> None:
    """Show the addresses of an app's web processes, zone by zone: the table for one's own proxy."""
    found = session.client.apps.routes(app)
    if as_json:
        session.terminal.json(found)
        return
    rows = [(one["zone"], one["revision"], " ".join(one["addresses"]) or "-") for one in found["zones"]]
    session.terminal.table(("zone", "revision", "addresses"), rows, "No zones.", cut=False)


@click.command(short_help="Set counts of processes.")
@click.argument("app")
@click.argument("counts", nargs=-1, metavar="TYPE=COUNT…")
@json_option
@pass_session
def scale(session: Session, app: str, counts: tuple[str, ...], as_json: bool) -> None:
    """Set how many processes of a type each zone runs; without counts, show them. It is no release.

    Each zone follows by itself: at once, when it is back, or when the release that it gets ready is over.

    \b
    rectl apps scale shop web=2 worker=1
    """
    wanted = dict(map(_count, counts))
    after = session.client.apps.scale(app, wanted)["formation"] if wanted else session.client.apps.one(app)["formation"]
    if as_json:
        session.terminal.json(after)
        return
    shown = " ".join(f"{name}={count}" for name, count in sorted(after.items())) or "nothing"
    verb = "is to run" if wanted else "runs"
    session.terminal.line(f"{safe(app)} {verb} {safe(shown)} in each zone")


@click.command(short_help="Replace all processes by new ones.")
@click.argument("app")
@pass_session
def restart(session: Session, app: str) -> None:
    """Replace all processes of an app by new ones. The new ones start beside the old ones, so no request is lost.

    Each zone follows by itself: at once, when it is back, or when the release that it gets ready is over.
    """
    session.client.apps.restart(app)
    session.terminal.note(f"{safe(app)} restarts; to see it: rectl apps ps {safe(app)}")


@click.command(short_help="Print the log of an app.")
@click.argument("app")
@click.option(
    "-n",
    "--lines",
    default=100,
    show_default=True,
    type=click.IntRange(0, 1500),
    metavar="N",
    help="The newest N lines.",
)
@click.option("-t", "--tail", is_flag=True, help="Continue with new lines, until Ctrl-C.")
@click.option("--ps", "process", default="", metavar="PROCESS", help="Only this process (web.1) or type (web).")
@click.option("--source", type=click.Choice(["app", "dploy"]), help="Only lines of the app, or of its zones.")
@json_option
@pass_session
def logs(session: Session, app: str, lines: int, tail: bool, process: str, source: str | None, as_json: bool) -> int:
    """Print the log of an app: what its processes print, and what its zones say of them.

    With --json: one object per line.
    """
    client, last = session.client.apps, ""
    found = client.logs(app, max(lines, 1), process, source or "")
    last = found[-1]["id"] if found else ""
    session.terminal.lines([_log_line(one, as_json) for one in found[-lines:] if lines])
    if not tail:
        return DONE
    try:
        for event in client.follow(app, last, process, source or ""):
            if isinstance(event, GapEvent):
                session.terminal.note(f"connection lost, reconnecting: {safe(event.why)}")
            else:
                session.terminal.line(_log_line(event.line, as_json))
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


@click.command(
    short_help="Run a command in the environment of an app.", context_settings={"ignore_unknown_options": True}
)
@click.argument("app")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND…")
@pass_session
def run(session: Session, app: str, command: tuple[str, ...]) -> int:
    """Run a command once, in the first zone, with the code and the config of the current release; for an hour at most.

    Prints its output, and exits with its code. One COMMAND goes to the shell as it is. The engine keeps it as it is typed: write no
    secrets into it.

    \b
    rectl apps run shop -- python manage.py migrate
    rectl apps run shop 'env | sort'
    """
    text = command[0] if len(command) == 1 else shlex.join(command)
    started = session.client.apps.run(app, text)
    try:
        for event in session.client.events(started["deployment"]) if _begins(session, app, started) else ():
            if isinstance(event, OutputEvent):
                session.terminal.line(safe(event.line["text"]))
    except KeyboardInterrupt:
        session.terminal.note(
            f"\nStopped watching; the command continues.\n  end it:  rectl cancel {started['deployment']}"
        )
        return INTERRUPTED
    return _code(session, app, started)


def _begins(session: Session, app: str, started: api.RunStarted) -> bool:
    """Wait until the command's deployment is there, which is asked for a moment later; False where it never will be."""
    while True:
        try:
            session.client.deployment(started["deployment"])
            return True
        except NotFound:
            runs = [one for one in session.client.apps.one(app)["runs"] if one["run"] == started["run"]]
            if not runs or runs[0]["ended"] is not None:
                return False
        time.sleep(_PAUSE)


def _code(session: Session, app: str, started: api.RunStarted) -> int:
    runs = [one for one in session.client.apps.one(app)["runs"] if one["run"] == started["run"]]
    if runs and runs[0]["code"] is not None:
        return runs[0]["code"]
    why = runs[0]["why"] if runs else ""
    session.terminal.note(f"how the command ended is not known{f': {safe(why)}' if why else ''}")
    session.terminal.note(f"  its deployment:  rectl status {started['deployment']}")
    return NOT_COMPLETED


def _count(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isascii() or not count.isdigit() or len(count) > 3:
        raise click.UsageError(f"expected TYPE=COUNT, such as web=2, found {text[:40]!r}")
    return name, int(count)


def _row(one: api.AppProcess) -> Sequence[object]:
    up = since(one["since"], None, watching.now())
    version = f"v{one['release']}" if one["release"] else ""
    exit = one["exit"] or "-"
    return one["zone"], one["process"], one["state"], duration(up), one["port"] or "", one["restarts"], version, exit


def _trouble(one: api.AppZone) -> str:
    if not one["trouble"]:
        return ""
    seen = f"last seen {ago(one['seen'])}" if one["seen"] else "never seen"
    return f"{one['zone']}: {one['trouble']} ({seen})"


def _log_line(one: api.AppLogLine, as_json: bool) -> str:
    if as_json:
        return json.dumps(one)
    return f"{one['at']} {safe(one['zone'])} {one['source']}[{safe(one['process'])}]: {safe(one['text'])}"
