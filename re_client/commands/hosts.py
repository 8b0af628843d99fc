"""`rectl hosts …`: the hosts that the engine knows, and what lists of hosts mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from re_client import values
from re_client.commands.hosts_trust import trust
from re_client.errors import BAD_INPUT, DONE, ApiError, BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import safe
from re_core.api.hosts import Host, InventoryFault

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: options of `add` and `set` that are one word each
_WORDS = {
    "address": "Host name or address; the name of the host if omitted.",
    "user": "User that logs in.",
    "identity": "Path of a private key, on the worker.",
    "jump": "Host of the inventory through which it is reached.",
    "environment": "Environment, for `environment:NAME`.",
    "runner": "ssh, local, or an installed runner.",
    "host-key": "strict, trust-first or pinned.",
    "become": "User as whom programs run, by sudo.",
    "records": "Directory on the host for the records of runs.",
    "pool": "Workers that reach it.",
}


@click.group(short_help="Show and describe hosts, and what patterns mean.")
def hosts() -> None:
    """Show and describe hosts, and what patterns mean.

    The engine knows the hosts of the setting `inventory`, and those that `rectl hosts add` describes.
    """


hosts.add_command(trust)


def _words(command: _Command) -> _Command:
    """The options that say something of a host, each as a parameter of its name."""
    for name, help in reversed(_WORDS.items()):
        command = click.option(f"--{name}", metavar=name.upper(), help=help)(command)
    for option in (
        click.option("--var", "variables", metavar="NAME=JSON", multiple=True, help="A variable; repeatable."),
        click.option("--tag", "tags", metavar="NAME[=VALUE]", multiple=True, help="A tag; repeatable."),
        click.option("--group", "groups", metavar="GROUP", multiple=True, help="A group that it is in; repeatable."),
        click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help="Port of its sshd."),
    ):
        command = option(command)
    return command


@hosts.command("list")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@json_option
@pass_session
def list_(session: Session, patterns: tuple[str, ...], as_json: bool) -> None:
    """List hosts: all, or those that the patterns mean."""
    none = (
        "The inventory has none of these hosts; `rectl hosts list` shows all."
        if patterns
        else "No hosts. The setting `inventory` names files of hosts; `rectl hosts add NAME` describes one."
    )
    head = ("name", "address", "groups", "tags", "environment", "place")
    found = session.client.hosts.all(patterns)
    session.terminal.listing(as_json, found, head, lambda one: [_row(one)], none, ("place", "tags"))


@hosts.command()
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a host: what is said of it, by its groups and the defaults too, and its keys."""
    found = session.client.hosts.one(name)
    if as_json:
        session.terminal.json(found)
        return
    place = f"  ({safe(found['place'])})" if found["place"] else ""
    session.terminal.line(f"{safe(found['name'])}{place}")
    for word, value in found["words"].items():
        session.terminal.line(f"  {word}: {safe(value if isinstance(value, str) else json.dumps(value))}")
    for key in found["keys"]:
        session.terminal.line(f"  key: {safe(key['type'])} {safe(key['fingerprint'])}")


@hosts.command()
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
@json_option
@pass_session
def select(session: Session, patterns: tuple[str, ...], as_json: bool) -> None:
    """Print the hosts that a playbook's list means, one a line: rectl hosts select 'group:web' '!web9'."""
    found = session.client.hosts.select(patterns)
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.lines([safe(name) for name in found["names"]])
    for warning in found["warnings"]:
        session.terminal.note(f"warning: {safe(warning)}")


@hosts.command()
@json_option
@pass_session
def check(session: Session, as_json: bool) -> int:
    """Show all that is wrong with the inventory, with file and line.

    The exit code is 2 if it cannot be used: every deployment is refused then.
    """
    found = session.client.hosts.check()
    if as_json:
        session.terminal.json(found)
    else:
        for word, faults in (("", found["errors"]), ("warning: ", found["warnings"])):
            for fault in faults:
                session.terminal.note(f"{_place(fault)}: {word}{safe(fault['message'])}")
        if found["more"]:
            session.terminal.note(f"{found['more']} more problems are not listed")
        if found["degraded"]:
            session.terminal.note(f"warning: {safe(found['degraded'])}")
        if found["usable"]:
            session.terminal.line(f"{found['hosts']} hosts in {found['groups']} groups")
    return DONE if found["usable"] else BAD_INPUT


@hosts.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--file", metavar="FILE", help="Add the hosts of a file, as under `hosts` of an inventory; - reads standard input."
)
@_words
@pass_session
def add(session: Session, /, names: tuple[str, ...], file: str | None, **options: Any) -> None:
    """Describe hosts that the engine does not know yet; for administrators. A name may be a range: web[01:20].

    A host that a file of the setting `inventory` describes is changed there.
    """
    said = _said(options)
    if bool(names) == bool(file) or (file and said):
        raise BadInput("expected names of hosts, or --file alone")
    described = _of_file(file, session.terminal.note) if file else dict.fromkeys(names, said)
    added = session.client.hosts.save(described)
    session.terminal.note(f"added {_listed(added)}")


@hosts.command("set")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--unset", "unset", metavar="WORD", multiple=True, help="A word that nothing is said of any more; repeatable."
)
@_words
@pass_session
def set_(session: Session, /, names: tuple[str, ...], unset: tuple[str, ...], **options: Any) -> None:
    """Change what is said of hosts that were added; for administrators.

    Words that are not given stay; groups, tags and variables are replaced as a whole.
    """
    said = _said(options)
    if not said and not unset:
        raise BadInput("nothing to set; see `rectl hosts set --help`")
    described = {name: _changed(session, name, said, unset) for name in names}
    session.terminal.note(f"changed {_listed(session.client.hosts.save(described, replace=True))}")


@hosts.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_session
def remove(session: Session, names: tuple[str, ...]) -> None:
    """Remove hosts that were added, with their trusted keys; for administrators. Deployments that run keep them."""
    for name in names:
        session.client.hosts.remove(name)
        place = _place_left(session, name)
        # what was kept of a host that a file describes are its trusted keys
        left = f"the trusted keys of {safe(name)} are removed; the host stands at {safe(place)}"
        session.terminal.note(left if place else f"{safe(name)} is removed")


def _place_left(session: Session, name: str) -> str:
    """Where the host is described still; empty where it is not."""
    try:
        return session.client.hosts.one(name)["place"]
    except ApiError:
        return ""


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """The words of the options that are given."""
    found = {name: value for name, value in options.items() if value not in (None, ())}
    if "groups" in found:
        found["groups"] = list(found["groups"])
    if "tags" in found:
        found["tags"] = {name: value if equals else True for name, equals, value in _parted(found["tags"])}
    if "variables" in found:
        found["vars"] = {name: _json(name, value) for name, _, value in _parted(found.pop("variables"))}
    return found


def _parted(items: Sequence[str]) -> list[tuple[str, str, str]]:
    return [item.partition("=") for item in items]


def _json(name: str, text: str) -> Any:
    """A value as JSON; text that is none is a string."""
    try:
        return json.loads(text)
    except ValueError:
        if text.startswith(("{", "[", '"')):
            raise BadInput(f"--var {name}: expected JSON, found {text[:60]!r}") from None
        return text


def _of_file(name: str, note: Callable[[str], None]) -> dict[str, Any]:
    document: Any = values.parsed(values.read(name), note)
    if set(document) != {"hosts"} or not isinstance(document["hosts"], dict):
        raise BadInput(
            f"{name}: expected `hosts` with hosts, and nothing else; the setting `inventory` reads whole files"
        )
    found: dict[str, Any] = document["hosts"]
    return found


def _changed(session: Session, name: str, said: Mapping[str, Any], unset: Sequence[str]) -> dict[str, Any]:
    try:
        stored = session.client.hosts.stored(name)["words"]
    except ApiError as error:
        if error.status != 404:
            raise
        stored = None
    if stored is None:
        place = session.client.hosts.one(name)["place"]
        raise BadInput(f"{name} was not added by `rectl hosts add`: change it at {place}")
    return {word: value for word, value in {**stored, **said}.items() if word not in unset}


def _row(one: Host) -> tuple[str, ...]:
    words = one["words"]
    port = f":{words['port']}" if "port" in words else ""
    tags = ", ".join(f"{name}={value}" for name, value in words.get("tags", {}).items())
    address = f"{words.get('address', '')}{port}" or "-"
    return one["name"], address, ", ".join(words.get("groups", ())), tags, words.get("environment", ""), one["place"]


def _place(fault: InventoryFault) -> str:
    return f"{fault['source']}:{fault['line']}" if fault["line"] else f"{fault['source']} {fault['path']}".strip()


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(map(safe, names[:5]))}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
