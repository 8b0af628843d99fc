"""`rectl playbook apply|validate`: the commands that take files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress

import click

from re_client import values
from re_client.api import Client
from re_client.calls import JSON, YAML
from re_client.errors import BAD_INPUT, DONE, ApiError, BadInput, ClientError
from re_client.session import Session, json_option, pass_session
from re_client.text import safe
from re_core.api import answers

_TYPES = {"json": JSON, "yaml": YAML}


@click.command(short_help="Store playbooks from files.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--id", metavar="ID", help="The playbook to replace, if several have this group and name.")
@json_option
@pass_session
def apply(session: Session, files: tuple[str, ...], id: str | None, as_json: bool) -> int:
    """Store playbooks from files. A playbook with a new group and name is created; a known one gets a new revision.

    All files are checked first; if one has an error, none is stored. A playbook that has not changed keeps its revision.
    """
    if id and len(files) > 1:
        raise click.UsageError("--id needs exactly one file")
    sources = [values.read(name) for name in files]
    if not _check(session, sources):
        return BAD_INPUT
    results = []
    for source in sources:
        done, stored = _store(session.client, source, id)
        results.append({"file": source.name, "done": done, **stored})
        if not as_json:
            label = safe(f"{stored['group']}/{stored['name']}")
            session.terminal.line(f"{label} {done}: {stored['id']}, revision {stored['revision']}")
            session.terminal.note(f"  to deploy it:  {_deploy_command(session.client, stored)}")
    if as_json:
        session.terminal.json([{key: one[key] for key in one if key != "document"} for one in results])
    return DONE


@click.command(short_help="Check playbooks without storing them.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@json_option
@pass_session
def validate(session: Session, files: tuple[str, ...], as_json: bool) -> int:
    """Check playbooks against the steps that workers offer, and print all errors. Nothing is stored."""
    sources = [values.read(name) for name in files]
    if as_json:
        found = {source.name: session.client.validate(source.data, _TYPES[source.form]) for source in sources}
        session.terminal.json(found)
        return DONE if all(one["valid"] for one in found.values()) else BAD_INPUT
    if not _check(session, sources):
        return BAD_INPUT
    for source in sources:
        session.terminal.line(f"{source.name}: valid")
    return DONE


def _check(session: Session, sources: Sequence[values.Source]) -> bool:
    """Whether all are valid; errors and warnings go to standard error, as `file:line:column: …`."""
    valid = True
    for source in sources:
        found = session.client.validate(source.data, _TYPES[source.form])
        valid = valid and found["valid"]
        for word, findings in (("", found["errors"]), ("warning: ", found["warnings"])):
            for finding in findings:
                session.terminal.note(f"{_place(source, finding)}: {word}{safe(_text(finding))}")
    return valid


def _place(source: values.Source, finding: answers.Fault) -> str:
    numbers = [finding.get("line"), finding.get("column")]
    return ":".join([source.name, *(str(number) for number in numbers if number is not None)])


def _text(finding: answers.Fault) -> str:
    return ": ".join(part for part in (finding.get("path", ""), finding["message"]) if part)


def _deploy_command(client: Client, stored: answers.Revision) -> str:
    """What starts a deployment of it, with a place for every value that it needs."""
    needed: list[str] = []
    with suppress(ClientError):  # it is stored, whatever becomes of this advice
        needed = client.plan(stored["id"], {})["dynamic"]["required"]
    values = [f"--set {shlex.quote(safe(name))}=…" for name in needed]
    return " ".join(["rectl deploy", shlex.quote(safe(f"{stored['group']}/{stored['name']}")), *values, "--watch"])


def _store(client: Client, source: values.Source, id: str | None) -> tuple[str, answers.Revision]:
    type = _TYPES[source.form]
    if not id:
        try:
            applied = client.apply_playbook(source.data, type)
        except ApiError as error:
            if error.status != 409:
                raise
            raise BadInput(f"{source.name}: {error}; --id says which one to replace") from error
        return applied["done"], applied
    stored = client.playbook(id)
    if stored["document"] == values.parsed(source):
        return "unchanged", stored
    return "updated", client.update_playbook(id, source.data, stored["revision"], type)
