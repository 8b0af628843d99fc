"""`rectl apps …`: apps, from creation to their end. Releases are in `apps_releases`, what runs in `apps_processes`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from re_client import watching
from re_client.commands import apps_config, apps_git, apps_processes, apps_releases
from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import day, duration, safe, since
from re_core.api import apps as api

_APPS = ("app", "group", "state", "release", "newest", "processes", "zones")
_ZONES = ("zone", "seen", "apps", "trouble")


@click.group(short_help="Apps: push code, and get a running release.")
def apps() -> None:
    """An app is pushed as code, built once, and runs as processes in zones: the hosts that have an agent.

    Every push, every change of its config and every rollback is a release: v1, v2, and so on. A release that fails changes nothing.
    """


for _command in (
    apps_releases.push,
    apps_releases.releases,
    apps_releases.rollback,
    apps_config.config,
    apps_processes.ps,
    apps_processes.routes,
    apps_processes.scale,
    apps_processes.restart,
    apps_processes.logs,
    apps_processes.run,
    apps_git.git_hook_,
):
    apps.add_command(_command)


@apps.command(short_help="Create an app.")
@click.argument("app")
@click.option("--group", metavar="GROUP", help="The group of the app.  [default: dploy]")
@click.option("--zones", default="", metavar="ZONE,…", help="Its zones, in order.  [default: all zones of the engine]")
@json_option
@pass_session
def create(session: Session, app: str, group: str | None, zones: str, as_json: bool) -> None:
    """Create an app. Its name is unique in the engine. Nothing runs before the first push.

    \b
    rectl apps create shop --zones eu,us
    """
    made = session.client.apps.create(app, group, _names(zones))
    if as_json:
        session.terminal.json(made)
        return
    name = safe(made["name"])
    session.terminal.line(f"{name} created in group {safe(made['group'])}, zones {safe(' '.join(made['zones']))}")
    session.terminal.note(
        f"to push it: rectl apps push {name} ARCHIVE, or rectl apps git-hook install REPOSITORY --app {name}"
    )


@apps.command("list")
@click.option("--group", metavar="GROUP", help="Only apps of this group.")
@json_option
@pass_session
def list_(session: Session, group: str | None, as_json: bool) -> None:
    """List apps, by name."""
    none = "No apps. `rectl apps create NAME` creates one."
    found = session.client.apps.all(group)
    session.terminal.listing(as_json, found, _APPS, lambda one: [_row(one)], none, ("group", "newest"))


@apps.command(short_help="Show an app.")
@click.argument("app")
@json_option
@pass_session
def info(session: Session, app: str, as_json: bool) -> None:
    """Show an app: what it runs, in which zones, with which variables, and the commands that people ran in it."""
    found = session.client.apps.one(app)
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.lines([f"{name:<11}{safe(text)}".rstrip() for name, text in _whole(found)])


@apps.command(short_help="Destroy an app.")
@click.argument("app")
@click.option("--confirm", default="", metavar="NAME", help="The name of the app once more: do not ask for it.")
@pass_session
def destroy(session: Session, app: str, confirm: str) -> None:
    """Destroy an app: its zones stop it. Its releases and its config cannot be brought back."""
    found = session.client.apps.one(app)
    name = found["name"]
    if not confirm and not _is_terminal():
        raise BadInput(f"to destroy {name}, name it once more: --confirm {name}")
    typed = confirm or click.prompt(
        f"Destroy {safe(name)}, which runs in {safe(' '.join(found['zones']))}? Type its name", err=True
    )
    if typed != name:
        raise BadInput(f"that is not the name of the app, {name}: nothing is destroyed")
    session.client.apps.destroy(name)
    session.terminal.note(
        f"{safe(name)} is destroyed: its zones stop it, today or when they are back, and its name is free when all have"
    )


@apps.command(short_help="List zones, set those of an app, or remove one.")
@click.argument("app", required=False)
@click.option("--set", "wanted", default="", metavar="ZONE,…", help="The zones of the app from now on.")
@click.option("--remove", "removed", default="", metavar="ZONE", help="Remove a zone that never comes back.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@pass_session
def zones(session: Session, app: str | None, wanted: str, removed: str, yes: bool, as_json: bool) -> None:
    """List the zones of the engine; with APP and --set, set the zones of an app; with --remove, remove a zone.

    Zones that are not named any more stop the app; those that come run what it runs. Both begin at once, or when the zone is back.

    --remove is for a host that is gone for good, and for administrators: first take it out of dploy_zones, and set other zones for
    the apps that have it. Apps that it had still to stop wait for it no more.
    """
    if removed and (wanted or app is not None):
        raise click.UsageError("--remove goes without an app and without --set: rectl apps zones --remove us")
    if wanted and app is None:
        raise click.UsageError("--set needs an app: rectl apps zones APP --set eu,us")
    if removed:
        session.confirm(
            f"Remove the zone {safe(removed)}? What still runs on its host goes on there, if it is not gone.", yes
        )
        session.client.apps.remove_zone(removed)
        session.terminal.note(f"the zone {safe(removed)} is removed")
        return
    if app is not None:
        made = session.client.apps.set_zones(app, _names(wanted)) if wanted else session.client.apps.one(app)
        if as_json:
            session.terminal.json(made)
        else:
            session.terminal.line(f"{safe(made['name'])} runs in {safe(' '.join(made['zones']))}")
        return
    none = "No zones: the engine knows no host that runs apps."
    session.terminal.listing(as_json, session.client.apps.zones(), _ZONES, lambda one: [_zone(one)], none, cut=False)


@apps.command(short_help="Let zones obey an engine that was restored.")
@click.argument("app")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def takeover(session: Session, app: str, yes: bool) -> None:
    """Let the zones of an app obey this engine, after it was restored from a backup; for administrators.

    Zones refuse orders that are older than the last ones they had: that is what keeps a second engine from taking them. So
    run this only where no other engine is left that has these zones.
    """
    session.confirm(f"Take over the zones of {safe(app)}? No other engine may have them.", yes)
    session.client.apps.takeover(app)
    session.terminal.note(f"the zones of {safe(app)} obey this engine")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty()


def _row(one: api.AppRow) -> Sequence[object]:
    newest = f"v{one['newest']} {one['newest_status']}" if one["newest"] else ""
    state = f"{one['state']}, {one['waiting']} wait" if one["waiting"] else one["state"]
    return one["name"], one["group"], state, _version(one["release"]), newest, _formation(one), " ".join(one["zones"])


def _version(release: int | None) -> str:
    return f"v{release}" if release else ""


def _formation(one: api.AppRow) -> str:
    return " ".join(f"{name}={count}" for name, count in sorted(one["formation"].items()))


def _whole(one: api.App) -> Iterator[tuple[str, str]]:
    yield "app", f"{one['name']} of group {one['group']}, {one['id']}"
    yield "state", one["state"]
    commit = f", commit {one['commit'][:7]}" if one["commit"] else ""
    yield "release", f"v{one['release']}{commit}" if one["release"] else "none: nothing was released yet"
    if one["releasing"]:
        waiting = f"; {one['waiting']} wait behind it" if one["waiting"] else ""
        yield "releasing", f"v{one['releasing']}{waiting}"
    if one["newest"] and one["newest"] != one["release"]:
        yield "newest", f"v{one['newest']} {one['newest_status']}"
    yield "zones", " ".join(one["zones"])
    if one["leaving"]:
        yield "leaving", f"{' '.join(one['leaving'])}: not stopped there yet"
    for name, command in sorted(one["processes"].items()):
        yield "process", f"{name}={one['formation'].get(name, 0)}: {command}"
    yield "config", " ".join(one["config"]) or "none"
    yield "created", day(one["created"])
    for run in one["runs"][:5]:
        code = "goes on" if run["ended"] is None else f"code {run['code']}" if run["code"] is not None else run["why"]
        yield "run", f"{run['run']} by {run['user']}, {day(run['started'])}, {code}: {run['command']}"


def _zone(one: api.ZoneRow) -> Sequence[object]:
    ago = since(one["seen"], None, watching.now())
    seen = "never" if ago is None else f"{duration(ago)} ago"
    return one["name"], seen, " ".join(one["apps"]), one["trouble"] or "-"
