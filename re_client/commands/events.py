"""`rectl events`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from re_client.errors import DONE, INTERRUPTED
from re_client.events import FeedEvent, FeedItem, GapEvent, ResetEvent
from re_client.session import Session, json_option, pass_session
from re_client.terminal import Terminal
from re_client.text import day, safe
from re_core.apps import feed as apps
from re_core.apps import names
from re_core.cdpm import feed as pipelines
from re_core.cdpm import ids


@click.command(short_help="Print the events of deployments, pipeline nodes and apps as they happen.")
@click.option("--group", metavar="GROUP", help="Only events of this group.")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", help="Only events of this type, such as ended; repeatable."
)
@click.option(
    "--after", default="", metavar="ID", help="Start after this event; 0: start with the oldest event that is kept."
)
@json_option
@pass_session
def events(session: Session, group: str | None, types: tuple[str, ...], after: str, as_json: bool) -> int:
    """Print the events of all deployments, pipeline nodes and apps that the token may see, from now on, until Ctrl-C.

    Each event is one line that ends with the id of the event; with --json it is one CloudEvents document. After a lost connection rectl
    continues after the last event that it printed.
    """
    wanted = [one if "." in one else f"release-engine.{_kind(one)}.{one}" for one in types]
    try:
        for event in session.client.feed(after, group=group, type=wanted or None):
            _print_event(session.terminal, event, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _print_event(terminal: Terminal, event: FeedItem, as_json: bool) -> None:
    if isinstance(event, GapEvent):
        terminal.note(f"connection lost, reconnecting: {safe(event.why)}")
    elif isinstance(event, ResetEvent):
        terminal.note(f"the events between {safe(event.last)} and {safe(event.now)} are no longer kept")
    elif as_json:
        terminal.line(json.dumps({**event.document, "place": event.id}))
    else:
        terminal.line(_line(event))


def _kind(what: str) -> str:
    if what in apps.WHATS:
        return names.KIND
    return ids.KIND if what in pipelines.WHATS else "deployment"


def _line(event: FeedEvent) -> str:
    """`2026-11-27 20:04:05 web/release 01KB… step 3 service:Restart on web01 ended: completed (52224.1)`."""
    document = event.document
    data: Mapping[str, Any] = document.get("data") or {}
    if "node" in data:
        return f"{day(str(document.get('time', '')))} {safe(_of_pipeline(document, data))} ({event.id})"
    if "app" in data:
        return f"{day(str(document.get('time', '')))} {safe(_of_app(document, data))} ({event.id})"
    name = f"{data.get('group', '')}/{data.get('playbook', '')}"
    what = str(document.get("type", "")).rpartition(".")[2].replace("_", " ")
    step = f" step {data['step']} {data.get('name', '')}" if "step" in data else ""
    if data.get("host"):
        step += f" on {data['host']}"
    what = what.removeprefix("step ") if step else what
    result = data.get("status") or data.get("resolution") or ""
    result = f": {result}" if result and result != what else ""
    by = f" by {data['user']}" if data.get("user") else ""
    text = f"{name} {data.get('deployment', '')}{step} {what}{result}{by} ({event.id})"
    return f"{day(str(document.get('time', '')))} {safe(text)}"


def _of_pipeline(document: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """`web/nokogiri vote counted, release 42: stable`."""
    what = str(document.get("type", "")).rpartition(".")[2].replace("_", " ")
    number = data.get("release", data.get("id"))
    of = f" of {data['dependency']}" if data.get("dependency") else ""
    about = [f"release {number}{of}"] if number is not None else [str(data["dependency"])] if of else []
    about += [str(data[name]) for name in ("name", "deployment") if data.get(name) and what != "released"]
    about += [f"not built: {data['skipped']}"] if data.get("skipped") else []
    result = data.get("value") or data.get("status") or ""
    text = ", ".join([f"{data.get('group', '')}/{data['node']} {what}", *about])
    return f"{text}: {result}" if result else text


def _of_app(document: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """`web/shop v8 queued, build of 3f2c9a1, by ann`."""
    what = str(document.get("type", "")).rpartition(".")[2].replace("_", " ")
    version = f" v{data['version']}" if data.get("version") else ""
    commit = f" of {str(data['commit'])[:7]}" if data.get("commit") else ""
    of = f" to v{data['of']}" if data.get("of") else commit
    about = [f"{data['made_by']}{of}"] if data.get("made_by") else []
    about += [f"stage {data['stage']}"] if data.get("stage") else []
    formation = data.get("formation")
    about += [" ".join(f"{name}={count}" for name, count in formation.items())] if isinstance(formation, dict) else []
    about += [f"run {data['run']}: code {data.get('code')}"] if "run" in data else []
    about += [f"by {data['who']}"] if data.get("who") else []
    return ", ".join([f"{data.get('group', '')}/{data.get('name', '')}{version} {what}", *about])
