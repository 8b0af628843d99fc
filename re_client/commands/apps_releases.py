"""`rectl apps push|releases|rollback`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from re_client.commands.apps_group import ListingGroup, ago, follow, no_wait_option
from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe, size
from re_core.api import apps as api

_RELEASES = ("v", "status", "commit", "note", "by", "when", "why")

#: bytes that are read at a time
_PIECE = 256 * 1024


class Number(click.ParamType[int]):
    """A release: v3 or 3."""

    name = "release"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"v?([1-9][0-9]{0,8})", str(value))
        if found is None:
            self.fail(f"expected a release, such as v3, found {value!r}", param, ctx)
        return int(found[1])


@click.command(short_help="Push an app: build a tar.gz and release it.")
@click.argument("app")
@click.argument("archive", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--commit", default="", metavar="SHA", help="The commit of the archive.")
@click.option(
    "--note", default="", metavar="TEXT", help="What people see of the release.  [default: Deploy and the commit]"
)
@no_wait_option
@json_option
@pass_session
def push(session: Session, app: str, archive: Path, commit: str, note: str, no_wait: bool, as_json: bool) -> int:
    """Push an app: ARCHIVE is a tar.gz with a Procfile; - reads it from standard input.

    Prints what the build prints, until the release runs in every zone. If it fails, what ran before goes on.

    \b
    git archive --format=tar.gz HEAD | rectl apps push shop - --commit $(git rev-parse HEAD)
    """
    asked = session.client.apps.push(app, pieces_of(archive), commit, note)
    return follow(session, app, asked, no_wait, as_json)


releases = ListingGroup(
    "releases",
    short_help="List the releases of an app; info and retry: one of them.",
    help=(
        "List the newest 100 releases of an app, newest first; the star marks what runs.\n\n"
        "\b\nrectl apps releases shop\nrectl apps releases info shop v3\nrectl apps releases retry shop v3"
    ),
)


@releases.command("list", hidden=True)
@click.argument("app")
@json_option
@pass_session
def list_(session: Session, app: str, as_json: bool) -> None:
    """List the newest 100 releases of an app, newest first."""
    none = f"No releases. `rectl apps push {safe(app)} ARCHIVE` makes one."
    found = session.client.apps.releases(app)
    session.terminal.listing(as_json, found, _RELEASES, lambda one: [_row(one)], none, ("by",), cut=False)


@releases.command("info", short_help="Show one release.")
@click.argument("app")
@click.argument("release", type=Number(), required=False)
@json_option
@pass_session
def info(session: Session, app: str, release: int | None, as_json: bool) -> None:
    """Show one release: what it was made of, how far it is, and why it failed. RELEASE: the newest if omitted."""
    found = session.client.apps.release(app, release or _newest(session, app))
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.lines([f"{name:<12}{safe(text)}".rstrip() for name, text in _whole(found)])


@releases.command("retry", short_help="Release once more what failed.")
@click.argument("app")
@click.argument("release", type=Number(), required=False)
@no_wait_option
@json_option
@pass_session
def retry(session: Session, app: str, release: int | None, no_wait: bool, as_json: bool) -> int:
    """Release once more what failed, under a new number: the same archive, or the same rollback. RELEASE: the newest if omitted."""
    asked = session.client.apps.retry(app, release or _newest(session, app))
    return follow(session, app, asked, no_wait, as_json)


@click.command(short_help="Bring an earlier release back.")
@click.argument("app")
@click.argument("release", type=Number(), required=False)
@no_wait_option
@json_option
@pass_session
def rollback(session: Session, app: str, release: int | None, no_wait: bool, as_json: bool) -> int:
    """Bring an earlier release back, with its code and its config, as a new release. Nothing is built.

    RELEASE: if omitted, the last one before the current that succeeded and differs from it.
    """
    asked = session.client.apps.rollback(app, release)
    return follow(session, app, asked, no_wait, as_json, programs=False)


def pieces_of(archive: Path) -> Iterable[bytes]:
    """The bytes of a file, or of standard input. Raises BadInput."""
    if str(archive) == "-":
        if sys.stdin.isatty():
            raise BadInput("standard input is a terminal; pipe a tar.gz into it")
        return _read(sys.stdin.buffer)
    try:
        if archive.is_dir():
            raise BadInput(
                f"{archive} is a directory; push a tar.gz of it: tar czf - -C {archive} . | rectl apps push … -"
            )
        return _read(archive.open("rb"))
    except OSError as error:
        raise BadInput(f"{archive}: {error.strerror}") from None


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


def _newest(session: Session, app: str) -> int:
    found = session.client.apps.one(app)["newest"]
    if found is None:
        raise BadInput(f"{app} has no releases")
    return found


def _row(one: api.AppReleaseRow) -> Sequence[object]:
    number = f"v{one['release']}{'*' if one['current'] else ''}"
    return number, one["status"], one["commit"][:7], one["note"], one["user"], ago(one["created"]), one["why"]


def _whole(one: api.AppRelease) -> Iterator[tuple[str, str]]:
    yield "release", f"v{one['release']} {one['status']}{', runs now' if one['current'] else ''}"
    if one["why"]:
        yield "why", f"{one['why']} (stage {one['stage']})" if one["stage"] else one["why"]
    of = f" of v{one['of']}" if one["of"] else ""
    yield "made by", f"{one['kind']}{of}, {one['user']}, {day(one['created'])}"
    yield "note", one["note"]
    yield "commit", one["commit"] or "not known"
    if one["ended"]:
        yield "decided", day(one["ended"])
    yield "zones", " ".join(f"{zone} ({_zone(one, zone)})" for zone in one["zones"]) or "none before its turn"
    for name, command in sorted(one["processes"].items()):
        yield "process", f"{name}: {command}"
    if (payload := one["payload"]) is not None:
        python = f", Python {payload['python']}" if payload["python"] else ""
        yield "payload", f"{size(payload['size'])}, sha256 {payload['digest'][:12]}{python}"
    yield "config", " ".join(one["config"]) or "none"
    if one["deployment"]:
        yield "deployment", f"{one['deployment']}; its lines: rectl logs {one['deployment']}"


def _zone(one: api.AppRelease, zone: str) -> str:
    return "switched" if zone in one["switched"] else "ready" if zone in one["ready"] else "not ready"
