"""`rectl playbook list|show|delete|plan`; what takes files is in `playbook_files`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from re_client import foreseen, lookup, values, words
from re_client.commands.playbook_files import apply, validate
from re_client.errors import BAD_INPUT, DONE
from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe
from re_core.api.answers import Plan, PlannedStep, PlaybookRow

#: hosts of a stage that are listed above the table, which has them all
MOST_NAMES = 20


@click.group()
def playbook() -> None:
    """Store, show and check playbooks."""


playbook.add_command(apply)
playbook.add_command(validate)


@playbook.command("list")
@click.option("--group", metavar="GROUP", help="Only playbooks of this group.")
@json_option
@pass_session
def list_(session: Session, group: str | None, as_json: bool) -> None:
    """List playbooks, newest first."""
    head = ("id", "playbook", "revision", "updated", "by")
    none = "No playbooks. To store one: rectl playbook apply FILE"
    session.terminal.listing(as_json, session.client.playbooks(group), head, _rows, none, spare=("by",))


def _rows(one: PlaybookRow) -> list[tuple[object, ...]]:
    return [(one["id"], f"{one['group']}/{one['name']}", one["revision"], day(one["updated"]), one["user"])]


@playbook.command(short_help="Print a playbook as YAML.")
@click.argument("playbook", metavar="GROUP/NAME")
@click.option("--revision", type=click.IntRange(1), metavar="N", help="The revision to print; the newest if omitted.")
@json_option
@pass_session
def show(session: Session, playbook: str, revision: int | None, as_json: bool) -> None:
    """Print a playbook as YAML; with --json, also its id, revision, times and author."""
    id = lookup.playbook(session.client, playbook, session.terminal.note)["id"]
    if as_json:
        session.terminal.json(session.client.playbook(id, revision))
        return
    for line in session.client.playbook_text(id, revision).splitlines():
        session.terminal.line(safe(line))


@playbook.command()
@click.argument("playbook", metavar="GROUP/NAME")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def delete(session: Session, playbook: str, yes: bool) -> None:
    """Delete a playbook; its running deployments continue."""
    found = lookup.playbook(session.client, playbook, session.terminal.note)
    label = safe(f"{found['group']}/{found['name']}")
    session.confirm(f"Delete {label} ({found['id']}, revision {found['revision']})?", yes)
    session.client.delete_playbook(found["id"], found["revision"])
    session.terminal.note(f"{label} is deleted")


@playbook.command(short_help="Show the steps that a deployment would run.")
@click.argument("playbook", metavar="GROUP/NAME")
@values.dynamic_options
@click.option("--look", is_flag=True, help="Have workers look at the hosts, and show what each step would change.")
@json_option
@pass_session
def plan(
    session: Session,
    playbook: str,
    texts: tuple[str, ...],
    documents: tuple[str, ...],
    file: str | None,
    look: bool,
    as_json: bool,
) -> int:
    """Show the steps that a deployment would run, in order, without running them.

    With --look each step's worker says what it would change now, before any other step has run: it looks at the host, and
    changes nothing. That needs the right to deploy. Dynamic values must be complete.

    The exit code is 2 if dynamic values are missing.
    """
    dynamic = values.dynamic(texts, documents, file, session.terminal.note)
    id = lookup.playbook(session.client, playbook, session.terminal.note)["id"]
    found = session.client.plan(id, dynamic, look)
    missing = found["dynamic"]["missing"]
    if as_json:
        session.terminal.json(found)
    else:
        _show_plan(session, found)
        if look:
            session.terminal.rows(foreseen.rows(found))
        if missing:
            session.terminal.error("dynamic values are missing: " + ", ".join(f"--set {name}=…" for name in missing))
    return BAD_INPUT if missing else DONE


def _show_plan(session: Session, plan: Plan) -> None:
    arguments = _arguments(plan["steps"])
    rows = [
        (
            step["number"],
            step["kind"],
            words.name(step),
            step["host"] or "-",
            f"{step['timeout']:g} s",
            "yes" if step["idempotent"] or step["retries"] else "no",
            arguments[step["number"]],
        )
        for step in plan["steps"]
    ]
    for number, stage in enumerate(plan.get("stages", [])):
        if stage:
            session.terminal.note(f"stage {number + 1}: {safe(stage)}")
    for meant in plan.get("hosts", []):
        names = f"{', '.join(meant['names'][:MOST_NAMES])}{', …' if len(meant['names']) > MOST_NAMES else ''}"
        patterns = ", ".join(meant["patterns"])
        session.terminal.note(f"hosts of stage {meant['sequence'] + 1}: {safe(patterns)}: {safe(names)}")
    head = ("no", "kind", "step", "host", "timeout", "repeatable", "args")
    session.terminal.table(head, rows, "No steps.", spare=("repeatable", "kind", "timeout"))
    for warning in plan["warnings"]:
        session.terminal.note(f"warning: {safe(warning['message'])}")


def _arguments(steps: Sequence[PlannedStep]) -> dict[int, str]:
    """Number of a step -> its arguments, or the number of the first step that has the same: a stage repeats its steps per host."""
    first: dict[tuple[str, str], int] = {}
    shown: dict[int, str] = {}
    for step in steps:
        text = json.dumps(step["parameters"]) if step["parameters"] else ""
        earlier = first.setdefault((words.name(step), text), step["number"])
        shown[step["number"]] = text if not text or earlier == step["number"] else f"as step {earlier}"
    return shown
