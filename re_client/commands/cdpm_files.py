"""`rectl cdpm init|validate|apply`: the commands that take and make files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from re_client import values
from re_client.calls import JSON, YAML
from re_client.errors import BAD_INPUT, DONE, ApiError, BadInput, problem_line
from re_client.node_file import NodeFile
from re_client.session import Session, json_option, pass_session
from re_client.text import safe
from re_core.api import pipelines as api
from re_core.errors import BadDocument, Problem

_TYPES = {"json": JSON, "yaml": YAML}

#: where the key stands in the file
_KEY = "/Pipeline-node/public-key"


@click.command(short_help="Create a node, and write its cdpm.yml.")
@click.argument("node", metavar="GROUP/NAME")
@click.option("--source", default="", metavar="URL", help="Where peers read the file; required for a new node.")
@click.option("--url", required=True, metavar="URL", help="Where peers reach this engine, such as https://re.example.")
@click.option(
    "--dependency", "dependencies", multiple=True, metavar="NAME=URL", help="A node to subscribe to; repeatable."
)
@click.option(
    "--dependent", "dependents", multiple=True, metavar="NAME=URL", help="A node whose votes count; repeatable."
)
@click.option("--file", default="cdpm.yml", show_default=True, metavar="FILE", help="The file to write.")
@json_option
@pass_session
def init(
    session: Session,
    node: str,
    source: str,
    url: str,
    dependencies: tuple[str, ...],
    dependents: tuple[str, ...],
    file: str,
    as_json: bool,
) -> None:
    """Create a pipeline node with its key pair, and write its cdpm.yml. For a node that exists, only write the file.

    The private key stays in the engine. rectl never overwrites a file.

    \b
    rectl cdpm init shop/nokogiri --url https://re.example \\
        --source https://github.com/shop/nokogiri/blob/master/cdpm.yml
    """
    if Path(file).exists():
        raise BadInput(f"{file} exists, and rectl does not overwrite it; for another key: rectl cdpm rotate {node}")
    known = _known(session, node)
    source = _source(node, source, known)
    wanted = NodeFile(node, source, url, _peers("--dependency", dependencies), _peers("--dependent", dependents))
    _check(wanted)
    made = known or _create(session, node, source)
    # the newest: an older one is replaced as soon as the file is committed
    key = made["keys"][-1]
    _write(file, wanted.text(key["public_key"]))
    if as_json:
        session.terminal.json({"file": file, "done": "written" if known else "created", **made})
        return
    session.terminal.line(f"{file}: node {safe(node)}, {made['id']}, key {key['kid']}")
    for line in _what_to_commit(file, node, source):
        session.terminal.note(line)


@click.command(short_help="Check a cdpm.yml.")
@click.argument("file", metavar="[FILE]", default="cdpm.yml")
@click.option("--remote", is_flag=True, help="The engine also reads the file of each peer, and says what it refuses.")
@json_option
@pass_session
def validate(session: Session, file: str, remote: bool, as_json: bool) -> int:
    """Check a cdpm.yml, by default the one in this directory, and print all errors. Nothing is stored.

    Only --remote needs an engine. The exit code is 2 if the file has an error, or a peer's file would be refused.
    """
    source = values.read(file)
    found = _verdict(session, source, remote)
    valid = found["valid"] and all(peer["ok"] for peer in found["peers"])
    if as_json:
        session.terminal.json(found)
        return DONE if valid else BAD_INPUT
    for fault in found["errors"]:
        place = ":".join(str(one) for one in (file, fault.get("line"), fault.get("column")) if one is not None)
        text = ": ".join(part for part in (fault.get("path", ""), fault["message"]) if part)
        session.terminal.note(f"{place}: {safe(text)}")
    if found["valid"]:
        session.terminal.line(f"{file}: valid")
    for peer in found["peers"]:
        verdict = "ok" if peer["ok"] else "refused"
        session.terminal.line(f"{safe(peer['section'])}/{safe(peer['name'])}: {verdict}: {safe(peer['detail'])}")
    return DONE if valid else BAD_INPUT


@click.command(short_help="Store the documents of nodes from files.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@json_option
@pass_session
def apply(session: Session, files: tuple[str, ...], as_json: bool) -> None:
    """Store the documents of pipeline nodes from files: the playbooks that they start, and the rules by which votes decide.

    A node with a new group and name is created, with its key pair; a known one gets a new version. A document that has not
    changed keeps its version.
    """
    sources = [(source, _node_of(source)) for source in map(values.read, files)]
    results = []
    for source, node in sources:
        done, stored = _store(session, source, node)
        results.append({"file": source.name, "done": done, **stored})
        if not as_json:
            session.terminal.line(f"{safe(node)} {done}: {stored['id']}, version {stored['version']}")
            if done == "created":
                session.terminal.note(f"  to write its cdpm.yml:  rectl cdpm init {safe(node)} --url https://HOST")
    if as_json:
        session.terminal.json(results)


def _known(session: Session, node: str) -> api.PipelineNode | None:
    """The node with this name. Raises BadInput."""
    group, slash, name = node.partition("/")
    if not (group and slash and name):
        raise BadInput(f"{node!r} is no name of a pipeline node; expected GROUP/NAME")
    rows = session.client.nodes.all(group, name)
    return session.client.nodes.one(rows[0]["id"]) if rows else None


def _source(node: str, source: str, known: api.PipelineNode | None) -> str:
    """Raises BadInput."""
    if known is None:
        if not source:
            raise BadInput(f"{node} is a new node: --source URL says where its peers will read the file")
        return source
    if source not in ("", known["source"]):
        raise BadInput(f"the node {node} exists, and its source is {known['source']}, which never changes")
    return known["source"]


def _create(session: Session, node: str, source: str) -> api.PipelineNode:
    """Lines and columns would be those of a document that no person has written. Raises BadInput."""
    try:
        return session.client.nodes.create(json.dumps({"node": node, "source": source}).encode(), JSON)
    except ApiError as error:
        if not error.problems:
            raise
        lines = [problem_line(one._replace(line=None, column=None)) for one in error.problems]
        raise BadInput("\n".join(lines)) from error


def _peers(option: str, items: Sequence[str]) -> dict[str, str]:
    """Name -> URL. Raises BadInput."""
    found: dict[str, str] = {}
    for item in items:
        name, equals, url = item.partition("=")
        if not (name and equals and url):
            raise BadInput(f"{option} {item!r}: expected NAME=URL")
        if name in found:
            raise BadInput(f"{option} {item!r}: {name} is set twice")
        found[name] = url
    return found


def _check(wanted: NodeFile) -> None:
    """What is wrong with it but for the key, which the engine is yet to make. Raises BadInput."""
    own = wanted.source
    if own in (*wanted.dependencies.values(), *wanted.dependents.values()):
        raise BadInput(f"{own} is the file of {wanted.node} itself: a node has no business with its own releases")
    problems = [one for one in _problems(wanted.text("").encode()) if one.path != _KEY]
    if problems:
        lines = [problem_line(one._replace(line=None, column=None)) for one in problems]
        raise BadInput("\n".join(["the file would not be valid:", *(f"  {line}" for line in lines)]))


def _write(file: str, text: str) -> None:
    """The whole file or none, so that the command can be run again. Raises BadInput."""
    path = Path(file)
    try:
        with path.open("x", encoding="utf-8") as stream:
            try:
                stream.write(text)
                stream.flush()
            except OSError:
                path.unlink()
                raise
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; the node exists now, so run the command again") from None


def _what_to_commit(file: str, node: str, source: str) -> list[str]:
    return [
        f"Commit {file}, so that peers read it at {safe(source)}.",
        "The engine reads it there every 10 minutes. To let it read the file now:",
        f"  rectl cdpm refresh {safe(node)}",
        "The private key stays in the engine. To say which playbooks the node starts: rectl cdpm apply FILE",
    ]


def _problems(data: bytes) -> Sequence[Problem]:
    """Of a cdpm.yml; empty where it is valid."""
    # imported late: most commands read no file
    from re_core.usecases.cdpm import files

    try:
        files.parse(data)
    except BadDocument as error:
        return error.problems or (Problem("", str(error)),)
    return ()


def _verdict(session: Session, source: values.Source, remote: bool) -> api.FileVerdict:
    """A file with errors needs no engine to say so."""
    from re_core.usecases.cdpm.validation import validate as check

    text = source.data.decode(errors="surrogateescape")
    found = check(text, None)
    return session.client.nodes.validate(text, remote=True) if remote and found["valid"] else found


def _node_of(source: values.Source) -> str:
    """Raises BadInput."""
    node = values.parsed(source).get("node")
    if not isinstance(node, str) or not all(node.partition("/")):
        raise BadInput(f"{source.name}: /node: expected group/name")
    return node


def _store(session: Session, source: values.Source, node: str) -> tuple[str, api.PipelineNode]:
    """What was done, and the node. Raises BadInput."""
    nodes, form = session.client.nodes, _TYPES[source.form]
    known = _known(session, node)
    try:
        if known is None:
            return "created", nodes.create(source.data, form)
        stored = nodes.replace(known["id"], source.data, known["version"], form)
    except ApiError as error:
        if not error.problems:
            raise
        raise BadInput("\n".join(f"{source.name}:{problem_line(one)}" for one in error.problems)) from error
    return "updated" if stored["version"] != known["version"] else "unchanged", stored
