"""`rectl cdpm nodes|show|subscriptions|releases|votes|received|trials`: the commands that only look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from re_client import lookup, watching
from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe, short_day
from re_core.api import pipelines as api

#: state of a node -> what stands behind it
_HINTS = {
    "waiting": ": its cdpm.yml was not read yet, or has another key; to read it now: rectl cdpm refresh {node}",
    "registering": ": the engine has not confirmed its document; store it again",
    "unreadable": ": its journal cannot be read; the log of the engine says why",
}

_NODES = ("id", "node", "state", "joined", "dependents", "release", "source")
_SUBSCRIPTIONS = ("role", "name", "state", "ref", "since", "detail")
_RELEASES = ("release", "state", "version", "stable", "unstable", "created", "deadline", "ref", "deployment")
_VOTES = ("name", "vote", "voted", "deployment", "url")
_RECEIVED = ("dependency", "release", "version", "ref", "received", "not built because")
_TRIALS = ("dependency", "release", "build", "vote", "asked", "deployment", "detail")


@click.command()
@click.option("--group", metavar="GROUP", help="Only nodes of this group.")
@json_option
@pass_session
def nodes(session: Session, group: str | None, as_json: bool) -> None:
    """List pipeline nodes, by group and name."""
    none = "No pipeline nodes. `rectl cdpm init GROUP/NAME --source URL --url URL` creates one."
    found = session.client.nodes.all(group)
    session.terminal.listing(as_json, found, _NODES, lambda one: [_node(one)], none, ("dependents", "joined"))


@click.command(short_help="Show one node with its keys.")
@click.argument("node")
@click.option("--document", is_flag=True, help="Print its document as YAML instead, as `rectl cdpm apply` takes it.")
@json_option
@pass_session
def show(session: Session, node: str, document: bool, as_json: bool) -> None:
    """Show one pipeline node: its state, its public keys, and the releases that are being made."""
    if document and as_json:
        raise click.UsageError("use --document or --json, not both")
    id = _find(session, node)["id"]
    if document:
        for line in session.client.nodes.text(id).splitlines():
            session.terminal.line(safe(line))
        return
    found = session.client.nodes.one(id)
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.lines([f"{name:<14}{safe(text)}".rstrip() for name, text in _whole(found)])


@click.command(short_help="List the subscriptions, in both directions.")
@click.argument("node")
@json_option
@pass_session
def subscriptions(session: Session, node: str, as_json: bool) -> None:
    """List the nodes that a node depends on, and those that subscribe to it: since when, and how far each one is."""
    found = session.client.nodes.subscriptions(_find(session, node)["id"])
    if as_json:
        session.terminal.json(found)
        return
    rows = [*map(_dependency, found["dependencies"]), *map(_dependent, found["dependents"])]
    none = "No dependencies, and no subscriptions of others. A node's cdpm.yml names both; the engine may not have read it yet."
    # whole lines: the end of one says what is wrong
    session.terminal.table(_SUBSCRIPTIONS, rows, none, cut=False)


@click.command(short_help="List the releases, with the numbers of votes.")
@click.argument("node")
@json_option
@pass_session
def releases(session: Session, node: str, as_json: bool) -> None:
    """List the newest 100 releases of a node, newest first, with the numbers of votes."""
    found = session.client.nodes.releases(_find(session, node)["id"])
    spare = ("ref", "deployment", "created")
    session.terminal.listing(as_json, found, _RELEASES, lambda one: [_release(one)], "No releases.", spare)


@click.command(short_help="Show who voted on a release, and who has not.")
@click.argument("node")
@click.argument("release", type=click.IntRange(1), required=False)
@json_option
@pass_session
def votes(session: Session, node: str, release: int | None, as_json: bool) -> None:
    """Show who voted what on a release, when, and from which deployment; who has not voted; the rule, and what followed.

    RELEASE is its number; the newest if omitted.
    """
    row = _find(session, node)
    n = release or row["release"]
    if n is None:
        raise BadInput(f"{_label(row)} has no releases")
    found = session.client.nodes.release(row["id"], n)
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.lines([safe(line) for line in _head(row, found)])
    none = "No vote counts: the node's cdpm.yml named no major dependent that was subscribed when the release was made."
    session.terminal.table(_VOTES, [*map(_vote, found["votes"]), *map(_missing, found["missing"])], none)
    session.terminal.lines([safe(line) for line in map(_reaction, found["reactions"])])


@click.command(short_help="List received releases, and why one is not built.")
@click.argument("node")
@json_option
@pass_session
def received(session: Session, node: str, as_json: bool) -> None:
    """List the newest 100 releases that dependencies sent, newest first, and why one is not built."""
    found = session.client.nodes.received(_find(session, node)["id"])
    none = "No release was received."
    session.terminal.listing(as_json, found, _RECEIVED, lambda one: [_received(one)], none, cut=False)


@click.command(short_help="List the builds of received releases.")
@click.argument("node")
@json_option
@pass_session
def trials(session: Session, node: str, as_json: bool) -> None:
    """List the builds of received releases, newest first, and the votes that they became."""
    found = session.client.nodes.trials(_find(session, node)["id"])
    none = "No release of a dependency was built."
    session.terminal.listing(as_json, found, _TRIALS, lambda one: [_trial(one)], none, cut=False)


def _find(session: Session, node: str) -> api.NodeRow:
    return lookup.node(session.client, node, session.terminal.note)


def _label(row: api.NodeRow) -> str:
    return f"{row['group']}/{row['name']}"


def _node(one: api.NodeRow) -> Sequence[object]:
    newest = f"{one['release']} {one['release_state']}" if one["release"] else ""
    joined = f"{one['joined']}/{one['dependencies']}"
    return one["id"], _label(one), one["state"], joined, one["dependents"], newest, one["source"]


def _whole(one: api.PipelineNode) -> Iterator[tuple[str, str]]:
    yield "node", f"{_label(one)}, {one['id']}"
    yield "state", one["state"] + _HINTS.get(one["state"], "").format(node=_label(one))
    yield "source", one["source"]
    yield "version", f"{one['version']} of its document"
    yield "created", day(one["created"])
    if one["removed"]:
        yield "removed", day(one["removed"])
    yield "dependencies", f"{one['dependencies']}, subscribed to {one['joined']}"
    yield "dependents", str(one["dependents"])
    yield "release", f"{one['release']} {one['release_state']}" if one["release"] else "none"
    for made in one["candidates"]:
        yield "candidate", f"{made['deployment']} {made['state']}, since {day(made['since'])}"
    for url in one["barred"]:
        yield "barred", url
    for key in one["keys"]:
        yield "key", f"{key['kid']}, made {day(key['created'])}"


def _dependency(one: api.DependencyLink) -> Sequence[object]:
    detail = [
        one["why"],
        f"builds {one['trial']}" if one["trial"] else "",
        _number(one["waiting"], "release waits", "releases wait"),
        _number(one["votes"], "vote not answered", "votes not answered"),
        f"last vote {one['stability'].removeprefix('vote_')}" if one["stability"] != "initial" else "",
    ]
    state = "left" if one["left"] else one["state"]
    return "dependency", one["name"], state, one["ref"] or "", _when(one["since"]), _joined(detail)


def _dependent(one: api.DependentLink) -> Sequence[object]:
    is_subscribed = one["subscription"] is not None
    delivered = f"release {one['delivered']} delivered" if one["delivered"] else "nothing delivered"
    connected = f"connected {_when(one['connected'])}" if one["connected"] else "never connected"
    detail = [
        "major" if one["major"] else "",
        *((delivered, f"{one['behind']} behind" if one["behind"] else "", connected) if is_subscribed else ()),
    ]
    state = "barred" if one["barred"] else "subscribed" if is_subscribed else "not subscribed"
    return "dependent", one["name"] or one["url"], state, one["ref"] or "", _when(one["since"]), _joined(detail)


def _release(one: api.ReleaseRow) -> Sequence[object]:
    stable = f"{one['stable']}/{one['majors']}"
    times = _when(one["created"]), _when(one["deadline"])
    deployment = one["deployment"] or "published"
    return one["release"], _state(one), one["version"], stable, one["unstable"], *times, one["ref"], deployment


def _state(one: api.ReleaseRow) -> str:
    return f"{one['state']}, undecided" if one["undecided"] else one["state"]


def _head(row: api.NodeRow, one: api.WholeRelease) -> Iterator[str]:
    version = f", version {one['version']}" if one["version"] else ""
    yield f"release {one['release']} of {_label(row)}{version}: {_state(one)}"
    made = f"by deployment {one['deployment']}" if one["deployment"] else "by an operator"
    yield f"made {day(one['created'])} {made}"
    rule = one["rule"]
    parts = (
        f"{rule['promote']} stable: promoted" if rule["promote"] is not None else "no votes promote it",
        f"{rule['demote']} unstable: demoted" if rule["demote"] is not None else "no votes demote it",
    )
    yield f"rule: {_joined(parts)}"
    if one["deadline"]:
        yield f"votes count until {day(one['deadline'])}"


def _vote(one: api.ReleaseVote) -> Sequence[object]:
    value = one["value"] if one["counts"] else f"{one['value']} (does not count)"
    return one["name"] or one["url"], value, _when(one["voted"]), one["deployment"], one["url"]


def _missing(one: api.Voter) -> Sequence[object]:
    return one["name"] or one["subscription"], "none", "", "", one["url"]


def _reaction(one: api.Reaction) -> str:
    why = f": {one['why']}" if one["why"] else ""
    return f"{one['verdict']}: deployment {one['deployment']} {one['status'] or one['state']}{why}"


def _received(one: api.ReceivedRelease) -> Sequence[object]:
    return one["dependency"], one["release"], one["version"], one["ref"], _when(one["received"]), one["skipped"]


def _trial(one: api.Trial) -> Sequence[object]:
    answered = f"answer to the vote: {one['answer']}" if one["answer"] else ""
    vote = one["vote"] or ""
    detail = _joined((one["why"], answered))
    build = one["status"] or one["state"]
    return one["dependency"], one["release"], build, vote, _when(one["asked"]), one["deployment"], detail


def _when(text: str | None) -> str:
    return short_day(text, watching.now())


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}" if count else ""


def _joined(parts: Sequence[str]) -> str:
    return ", ".join(part for part in parts if part)
