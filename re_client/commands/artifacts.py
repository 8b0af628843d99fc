"""`rectl artifacts …`: immutable files that steps deploy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from re_client import packages, watching
from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import absolute, day, safe, size
from re_client.values import Age
from re_core.api.artifacts import Artifact, ArtifactRow, ArtifactWithFiles
from re_core.artifacts.annotation import FIELDS

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: characters of a digest that people see
_DIGEST = len("sha256:") + 12

_HELP = {
    "slug": "A short name.",
    "source_user": "Who made it.",
    "source_email": "That person's address.",
    "title": "A title.",
    "description": "A description; may have several lines.",
    "web": "Address of a page about it.",
    "version": "The version.",
    "commit": "The commit that it was made from.",
    "branch": "The branch of that commit.",
    "message": "The message of that commit; may have several lines.",
    "created": "When it was made: a time (local unless it has an offset).",
}

_group_option = click.option(
    "--group", metavar="GROUP", help="The group of the artifact, if the token may access several that have the name."
)


def annotation_options(command: _Command) -> _Command:
    """An option for each field of an annotation."""
    for field in reversed(list(FIELDS)):
        name = "--" + field.replace("_", "-")
        command = click.option(name, field, metavar="TEXT", default="", help=_HELP[field])(command)
    return command


@click.group(short_help="Push, list, show, pull, annotate and prune artifacts.")
def artifacts() -> None:
    """Push, list, show, pull, annotate and prune artifacts: named sets of files that never change."""


@artifacts.command(short_help="Store a directory or a tar.gz as an artifact.")
@click.argument("name")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--group", metavar="GROUP", help="The group of the artifact, if the token may push to several.")
@click.option(
    "--kind",
    type=click.Choice(["files", "archive"]),
    default="files",
    show_default=True,
    help="archive: keep a tar.gz as it is, without opening it.",
)
@annotation_options
@json_option
@pass_session
def push(
    session: Session, /, name: str, source: Path, group: str | None, kind: str, as_json: bool, **annotation: str
) -> None:
    """Store a directory, or a tar.gz, as an artifact. The directories in it are the categories of the files: deployment, spec, …

    A push can be repeated. Another content, or another annotation, under a name that exists is refused.
    """
    if kind == "archive" and source.is_dir():
        raise BadInput(f"{source} is a directory; --kind archive needs a tar.gz")
    made, new = session.client.push_artifact(name, packages.pieces_of(source), _said(annotation), group, kind)
    if as_json:
        session.terminal.json({**made, "new": new})
        return
    done = "stored" if new else "unchanged"
    session.terminal.line(
        f"{_label(made)} {done}: {_count(made['files'])}, {size(made['size'])}, {made['digest'][:_DIGEST]}"
    )


@artifacts.command("list")
@click.option("--group", metavar="GROUP", help="Only artifacts of this group.")
@click.option("--prefix", default="", metavar="TEXT", help="Only artifacts whose names begin with this.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), metavar="N", help="Show the newest N.")
@json_option
@pass_session
def list_(session: Session, group: str | None, prefix: str, limit: int, as_json: bool) -> None:
    """List artifacts, newest first."""
    session.terminal.listing(
        as_json,
        session.client.artifacts(group, prefix, limit),
        ("name", "files", "size", "digest", "pushed", "used", "user", "title"),
        lambda one: [_row(one)],
        "No artifacts. `rectl artifacts push NAME DIRECTORY` stores one.",
        spare=("user", "digest"),
    )


@artifacts.command(short_help="Show an artifact and its files.")
@click.argument("name")
@_group_option
@json_option
@pass_session
def show(session: Session, name: str, group: str | None, as_json: bool) -> None:
    """Show an artifact: its annotation, the deployments that used it last, its files."""
    found = session.client.artifact(name, group)
    if as_json:
        session.terminal.json(found)
        return
    lines = [(field, value) for field, value in _lines(found) if value]
    room = max(len(field) for field, _ in lines) + 2
    for field, value in lines:
        first, *others = value.splitlines() or [""]
        session.terminal.line(f"{field + ':':<{room}}{safe(first)}")
        for line in others:
            session.terminal.line(f"{'':<{room}}{safe(line)}")
    session.terminal.line()
    rows = [
        (safe(f"{one['category']}/{one['path']}"), size(one["size"]), one["digest"][:_DIGEST])
        for one in found["contents"]
    ]
    session.terminal.table(("file", "size", "digest"), rows, "No files.")


@artifacts.command(short_help="Read an artifact into a new directory or file.")
@click.argument("name")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@_group_option
@click.option("--archive", is_flag=True, help="Write a tar.gz instead of a directory.")
@pass_session
def pull(session: Session, name: str, target: Path | None, group: str | None, archive: bool) -> None:
    """Read an artifact into the new directory TARGET (by default its name), or into a new file NAME.tar.gz.

    An artifact of the kind archive is always written as a file. The engine compares all digests before it sends anything.
    """
    found = session.client.artifact(name, group)
    is_file = archive or found["kind"] == "archive"
    place = target or Path(f"{found['name']}.tar.gz" if is_file else found["name"])
    with session.client.artifact_content(name, found["group"]) as pieces:
        done = (packages.write_file if is_file else packages.unpack_into)(place, pieces)
    session.terminal.line(safe(done))


@artifacts.command(short_help="Annotate an artifact, once.")
@click.argument("name")
@_group_option
@annotation_options
@json_option
@pass_session
def annotate(session: Session, /, name: str, group: str | None, as_json: bool, **annotation: str) -> None:
    """Say what an artifact is, where it came without an annotation. It can be said once; an equal repetition is fine."""
    said = _said(annotation)
    if not said:
        raise click.UsageError("say at least one thing of the artifact, such as --title TEXT or --version TEXT")
    made = session.client.annotate_artifact(name, said, group)
    if as_json:
        session.terminal.json(made)
    else:
        session.terminal.note(f"{_label(made)} is annotated")


@artifacts.command(short_help="Delete artifacts that nothing needs.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_group_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, names: tuple[str, ...], group: str | None, yes: bool) -> None:
    """Delete artifacts. One that a deployment used lately, or that something names that may run, is refused."""
    session.confirm(f"Delete {safe(', '.join(names))} permanently?", yes)
    for name in names:
        session.client.delete_artifact(name, group)
        session.terminal.note(f"{safe(name)} is deleted")


@artifacts.command(short_help="Delete the artifacts that nothing has needed for long.")
@click.option("--group", metavar="GROUP", help="Only artifacts of this group; without it the token needs all groups.")
@click.option(
    "--older", type=Age(), metavar="AGE", help="The age since push and last use: 180d, …  [default: RE_ARTIFACT_KEEP]"
)
@click.option("--dry-run", is_flag=True, help="Only print which would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def prune(session: Session, group: str | None, older: int | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete artifacts that were not pushed or used for long, and that nothing needs that may run."""
    seconds = None if older is None else older // 1000
    if not dry_run:
        found = session.client.prune_artifacts(group, seconds, True)["items"]
        if found:
            session.confirm(f"Delete {_artifacts(len(found))}?", yes)
    done = session.client.prune_artifacts(group, seconds, dry_run)
    if as_json:
        session.terminal.json(done)
        return
    for one in done["items"]:
        session.terminal.line(_label(one))
    session.terminal.note(f"{_artifacts(len(done['items']))} {'would be deleted' if dry_run else 'deleted'}.")


def _said(annotation: Mapping[str, str]) -> dict[str, str]:
    """What was given; a time as the engine reads it."""
    said = {field: value for field, value in annotation.items() if value}
    if "created" in said:
        said["created"] = absolute(said["created"], watching.now())
    return said


def _lines(found: ArtifactWithFiles) -> Iterator[tuple[str, str]]:
    """Name and value of what there is to say."""
    yield "artifact", _label(found)
    yield "digest", found["digest"]
    yield (
        "content",
        f"{_count(found['files'])}, {size(found['size'])}" + ("" if found["kind"] == "files" else " (not opened)"),
    )
    yield "pushed", f"{day(found['created'])} by {found['user']}"
    for use in found["uses"]:
        yield "used", f"{day(use['at'])} by {use['deployment']}"
    said: Mapping[str, Any] = found["annotation"] or {}
    for field in FIELDS:
        value = str(said.get(field, ""))
        yield field.replace("_", " "), day(value) if field == "created" else value


def _row(one: ArtifactRow) -> tuple[str, ...]:
    digest = one["digest"][:_DIGEST]
    used, title = one.get("used"), one.get("title", "")
    return (
        _label(one),
        str(one["files"]),
        size(one["size"]),
        digest,
        day(one["created"]),
        day(used) if used else "never",
        safe(one["user"]),
        safe(title),
    )


def _label(one: ArtifactRow | Artifact) -> str:
    return safe(f"{one['group']}/{one['name']}")


def _count(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


def _artifacts(count: int) -> str:
    return f"{count} artifact{'' if count == 1 else 's'}"
