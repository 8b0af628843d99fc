"""Writes what in docs/reference is made from the code: python tools/reference.py

`rectl.md` and `programs.md` are the help of every command, `documents.md` the documents of HTTP, `files.md` all files of code;
`steps.md` and `steps/` all steps; in `settings.md`, `rest.md` and `rights.md` the tables between two marks. A test holds the files
to what this makes. Must not know what any command or setting is for: their help and comments say it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

import click

import re_core.__main__ as core
import re_dploy.__main__ as dploy
import re_gateways.forest.__main__ as forest
import re_rest.__main__ as rest
import re_workers.__main__ as workers
from re_client.__main__ import cli
from re_core import errors
from re_core.api import answers, apps, artifacts, hosts, notifications, pipelines, requests, version0
from re_core.api import workers as credentials
from re_core.api.fields import Deprecated, Elsewhere, Expected, Rules, Was
from re_core.api.schema import Field, fields, summary
from re_core.runtime import settings
from re_core.usecases.authorization import ROLES, Verb
from re_core.wording import one_of
from re_rest import routes
from re_rest.errors import status_of
from re_rest.rights import Over
from tools import step_pages

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"

#: the packages of the page of all files
PACKAGES = (
    "dploylib",
    "re_client",
    "re_core",
    "re_dploy",
    "re_gateways",
    "re_rest",
    "re_up",
    "re_workers",
    "schemas/re_schemas",
)

#: settings of which the page itself tells more
TOLD_BELOW = (
    "email",
    "irc",
    "notify_routes",
    "notify_templates",
    "pre_deploy_check",
    "post_deploy_action",
    "phase_notification",
    "triggers",
)

#: columns of the help
COLUMNS = 100

#: what stands in `settings.md` for a default that depends on the machine
FILLED_IN = {
    "data_dir": "the platform's user data directory, `release-engine` in it",
    "store_url": "`sqlite:///<data_dir>/release-engine.db`",
    "workers_dir": "`<data_dir>/workers`",
    "secret_key_file": "`<data_dir>/secret.key`",
    "dploy_keys_dir": "`<data_dir>/dploy/keys`",
}

_WORDS: Mapping[Any, str] = {
    str: "string",
    int: "whole number",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    Any: "any JSON",
}

_COMMENT = re.compile(r"    #: (.*)\n    (\w+): ")


def rectl() -> str:
    """The page of all commands."""
    head = (
        "# rectl\n\n"
        "The help of every command, as `--help` prints it. `tools/reference.py` generates this page.\n\n"
        "Data goes to standard output, everything else to standard error. Colours and live views are off if the\n"
        "output is not a terminal, if `NO_COLOR` is set or if `TERM` is `dumb`. "
        "[Exit codes](exit-codes.md) are the same\nfor all commands.\n"
    )
    return head + "".join(_pages(cli, "rectl", None))


def files() -> str:
    """The page of all files of code."""
    head = (
        "# Every file of code\n\n"
        "For developers: each file, and its subject as the first lines of the file say it. The\n"
        "[architecture](../architecture.md) has the way from a question to a file. `tools/reference.py` generates this page.\n"
    )
    return head + "".join(_files())


def _files() -> Iterator[str]:
    root, directory = REFERENCE.parent.parent, None
    for path in sorted((one for name in PACKAGES for one in (root / name).rglob("*.py")), key=_by_directory):
        subject = _subject(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
        if path.name == "__init__.py":
            continue
        if path.parent != directory:
            directory = path.parent
            yield f"\n## `{directory.relative_to(root)}/`\n\n| file | subject |\n| --- | --- |\n"
        yield f"| `{path.name}` | {subject} |\n"


def _by_directory(path: Path) -> tuple[str, str]:
    return str(path.parent), path.name


def _subject(docstring: str) -> str:
    """The first paragraph, without what the module must not know, as a cell of a table."""
    words = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r" (?:Pure; must|Must) not ", words)[0].rstrip(";").replace("|", "\\|")


def programs() -> str:
    """The page of the programs that are processes of their own."""
    head = (
        "# re-rest, re-core, re-worker, re-forest, re-dploy\n\n"
        "The help of the programs of a [cluster](../how-to/run-a-cluster.md), as `--help` prints it.\n"
        "`tools/reference.py` generates this page.\n"
    )
    known = {
        "re-rest": rest.command,
        "re-core": core.command,
        "re-worker": workers.command,
        "re-forest": forest.command,
        "re-dploy": dploy.command,
    }
    return head + "".join(page for name, command in known.items() for page in _pages(command, name, None))


def settings_table() -> str:
    """A row per setting: in the environment, in the file, default, meaning."""
    told = {name: text for text, name in _COMMENT.findall(inspect.getsource(settings.Settings))}
    rows = ["| variable | in the file | default | meaning |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(settings.Settings):
        if field.metadata:
            rows.append(_setting(field, "see below" if field.name in TOLD_BELOW else _escaped(told[field.name])))
    return "\n".join(rows)


def old_settings_table() -> str:
    """A row per setting that has an old name."""
    rows = ["| old name | old variable | new name |", "| --- | --- | --- |"]
    for field in dataclasses.fields(settings.Settings):
        old = field.metadata.get("old_name")
        if old:
            variable = f"`{settings.PREFIX}{old.upper()}`" if field.metadata["scalar"] else "only in the file"
            rows.append(f"| `{old}` | {variable} | `{field.name}` |")
    return "\n".join(rows)


def routes_table() -> str:
    """A row per route."""
    rows = ["| route | | answers | problems |", "| --- | --- | --- | --- |"]
    for route in (*routes.V1, *routes.OPEN, *routes.V0):
        answers = ", ".join(str(status) for status in route.answers)
        fails = ", ".join(str(status) for status in sorted(route.fails))
        rows.append(f"| `{route.method.upper()} {route.path}` | {route.summary} | {answers} | {fails} |")
    return "\n".join(rows)


def problems_table() -> str:
    """A row per kind of problem that has a class of its own."""
    rows = ["| type | status | title |", "| --- | --- | --- |"]
    for kind in dict.fromkeys(_kinds(errors.ReleaseEngineError)):
        title = " ".join((kind.__doc__ or "").split()).rstrip(".")
        rows.append(f"| `urn:release-engine:{kind.reason}` | {status_of(kind.__new__(kind))} | {title} |")
    return "\n".join(rows)


def documents() -> str:
    """The page of all documents of HTTP."""
    head = (
        "# Documents\n\n"
        "The documents of the [REST API](rest.md), key by key. `tools/reference.py` generates this page from the same descriptions\n"
        "(`re_core/api`) as `/openapi.json`, the check of requests and the types of the Python client.\n\n"
        "Times are RFC 3339 in UTC, or null before the event; durations are seconds. A key marked *optional* may be missing.\n"
        "An answer has no other keys, unless its description says so; a request with another key is refused.\n"
        "Playbooks, requests for a deployment by id and messages on the bus have JSON Schemas: `GET /api/v1/schemas`.\n"
    )
    parts = {
        "Answers": {
            **answers.COMPONENTS,
            **notifications.COMPONENTS,
            **artifacts.COMPONENTS,
            **pipelines.COMPONENTS,
            **apps.COMPONENTS,
            **hosts.COMPONENTS,
            **credentials.COMPONENTS,
        },
        "Requests": {
            **requests.COMPONENTS,
            **artifacts.REQUESTS,
            **pipelines.REQUESTS,
            **apps.REQUESTS,
            **hosts.REQUESTS,
            **credentials.REQUESTS,
        },
        "Version 0": version0.COMPONENTS,
    }
    shown: set[str] = set()
    return head + "".join(
        f"\n## {title}\n" + "".join(_documents({**known, **_within(known.values())}, shown))
        for title, known in parts.items()
    )


def _within(kinds: Iterable[Any]) -> dict[str, Any]:
    """The documents that these consist of."""
    found: dict[str, Any] = {}
    for kind in kinds:
        if is_typeddict(kind):
            found[kind.__name__] = kind
        if is_typeddict(get_origin(kind) or kind):
            found.update(_within(one.kind for one in fields(kind)))
        else:
            found.update(_within(get_args(kind)))
    return found


def _documents(known: Mapping[str, Any], shown: set[str]) -> Iterator[str]:
    for name, kind in known.items():
        if name not in shown and is_typeddict(get_origin(kind) or kind):
            shown.add(name)
            rows = "\n".join(row for one in fields(kind) for row in _rows(one))
            yield f"\n### {name}\n\n{summary(kind)}\n\n| key | type | |\n| --- | --- | --- |\n{rows}\n"


def _rows(one: Field) -> Iterator[str]:
    kind = _type(one.kind, one.said) + ("" if one.required else ", *optional*")
    gone = one.find(Deprecated)
    yield f"| `{one.key}` | {kind} | {f'deprecated: use `{gone.instead}`' if gone else one.text} |"
    if was := one.find(Was):
        yield f"| `{was.key}` | {kind} | deprecated: the old name of `{one.key}` |"


def _type(kind: Any, said: Sequence[Any] = ()) -> str:
    """A type in words."""
    for one in said:
        if isinstance(one, Elsewhere):
            return f"as in the JSON Schema `{one.schema}`"
        if isinstance(one, Expected):
            return one.words
        if isinstance(one, Rules) and "enum" in one.keywords:
            return one_of(f"`{word}`" for word in one.keywords["enum"])
        if isinstance(one, Rules) and one.keywords.get("format") == "date-time":
            return "time"
    origin, given = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(kind.__origin__, kind.__metadata__)
    if origin is list:
        return f"list of {_type(given[0])}"
    if origin is Literal:
        return one_of(f"`{word}`" for word in given)
    if origin in (Union, UnionType):
        return one_of(_type(one) for one in given)
    return (
        f"[{kind.__name__}](#{kind.__name__.lower()})" if is_typeddict(kind) else _WORDS.get(origin or kind, "object")
    )


def roles_table() -> str:
    """A row per verb, a column per role."""
    rows = ["| right | " + " | ".join(f"`{role}`" for role in ROLES) + " |", "| --- " * (len(ROLES) + 1) + "|"]
    rows += [
        f"| `{verb}` | " + " | ".join("yes" if verb in verbs else "" for verbs in ROLES.values()) + " |"
        for verb in Verb
    ]
    return "\n".join(rows)


def rights_table() -> str:
    """A row per route that needs a token: the right, what it is over, and the roles that have it."""
    rows = ["| route | right | over | roles |", "| --- | --- | --- | --- |"]
    for route in (*routes.V1, *routes.V0):
        if (right := route.right) is None:
            continue
        every = right.over in (Over.LIST, Over.TOKEN)
        wanted = {right.verb, *([route.also.verb] if route.also is not None else [])}
        roles = "every token" if every else ", ".join(f"`{role}`" for role in ROLES if wanted <= ROLES[role])
        verbs = f"`{right.verb}`" + (f" and `{route.also.verb}`" if route.also is not None else "")
        rows.append(f"| `{route.method.upper()} {route.path}` | {verbs} | {right.over.value} | {roles} |")
    return "\n".join(rows)


#: page and mark -> what stands there
TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("settings.md", "settings"): settings_table,
    ("settings.md", "old settings"): old_settings_table,
    ("rest.md", "routes"): routes_table,
    ("rest.md", "problems"): problems_table,
    ("rights.md", "roles"): roles_table,
    ("rights.md", "rights"): rights_table,
}


def pages() -> dict[str, str]:
    """Name of a page -> its text as it should be."""
    found = {"rectl.md": rectl(), "programs.md": programs(), "documents.md": documents(), "files.md": files()}
    found |= step_pages.pages()
    for (page, mark), make in TABLES.items():
        text = found.get(page) or (REFERENCE / page).read_text()
        begin, end = f"<!-- {mark}: made by tools/reference.py -->\n", f"<!-- end of {mark} -->\n"
        if begin not in text or end not in text:
            raise SystemExit(f"{page} has no place for {mark}")
        before, rest = text.split(begin)
        found[page] = f"{before}{begin}{make()}\n{end}{rest.split(end)[1]}"
    return found


def stale(made: Collection[str]) -> list[Path]:
    """Pages in directories of which every page is made, and that are not among these."""
    whole = {Path(name).parent for name in made if "/" in name}
    there = (page for directory in whole for page in (REFERENCE / directory).glob("*.md"))
    return sorted(page for page in there if str(page.relative_to(REFERENCE)) not in made)


def _pages(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=COLUMNS, **command.context_settings
    )
    yield f"\n## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found is not None:
                yield from _pages(found, sub, context)


def _setting(field: dataclasses.Field[object], told: str) -> str:
    name = field.name.upper() if field.metadata["capitals"] else field.name
    variable = f"`{settings.PREFIX}{field.name.upper()}`" if field.metadata["scalar"] else "only in the file"
    default = FILLED_IN.get(field.name) or _default(field.default)
    return f"| {variable} | `{name}` | {default} | {told} |"


def _escaped(text: str) -> str:
    """Outside of code, Markdown would take <…> for HTML."""
    return re.sub(r"<data dir>(\S*?)(,|;| |$)", r"`<data_dir>\1`\2", text)


def _default(value: object) -> str:
    if value in ("", None, ()) or value is dataclasses.MISSING:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _kinds(base: type[errors.ReleaseEngineError]) -> Iterator[type[errors.ReleaseEngineError]]:
    """Those of the core: the client's own errors never leave the client."""
    for kind in base.__subclasses__():
        if kind.__module__ == base.__module__:
            if "reason" in vars(kind):
                yield kind
            yield from _kinds(kind)


def main() -> int:
    """Write the pages, and remove those of commands that are no more."""
    made = pages()
    for page in stale(made):
        page.unlink()
    for name, text in made.items():
        (REFERENCE / name).parent.mkdir(exist_ok=True)
        (REFERENCE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
