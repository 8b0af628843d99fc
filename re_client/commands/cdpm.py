"""`rectl cdpm …`: pipeline nodes, and what operators do with them. What takes files is in `cdpm_files`, what looks in `cdpm_looking`."""

from __future__ import annotations

import click

from re_client import lookup, values
from re_client.commands import cdpm_files, cdpm_looking
from re_client.session import Session, json_option, pass_session
from re_client.text import safe
from re_core.api import pipelines as api


@click.group(short_help="Pipeline nodes: releases, subscriptions and votes.")
def cdpm() -> None:
    """Pipeline nodes subscribe to each other's releases, build and test them, and vote on them (CDPM).

    A NODE is GROUP/NAME, an id, a part of one, or @last.
    """


for _command in (
    cdpm_files.init,
    cdpm_files.validate,
    cdpm_files.apply,
    cdpm_looking.nodes,
    cdpm_looking.show,
    cdpm_looking.subscriptions,
    cdpm_looking.releases,
    cdpm_looking.votes,
    cdpm_looking.received,
    cdpm_looking.trials,
):
    cdpm.add_command(_command)


@cdpm.command(short_help="Subscribe again to a dependency that was left.")
@click.argument("node")
@click.argument("dependency")
@pass_session
def subscribe(session: Session, node: str, dependency: str) -> None:
    """Subscribe again to a dependency that was left.

    A node subscribes by itself to every dependency that its cdpm.yml names; DEPENDENCY is the name there.
    """
    found = _find(session, node)
    after = session.client.nodes.subscribe(found["id"], dependency)
    session.terminal.note(f"{_label(found)}: {safe(dependency)} is {_state(after, dependency)}")


@cdpm.command(short_help="Leave a dependency, though cdpm.yml names it.")
@click.argument("node")
@click.argument("dependency")
@pass_session
def unsubscribe(session: Session, node: str, dependency: str) -> None:
    """Leave a dependency, though cdpm.yml names it: its releases are no longer built.

    DEPENDENCY is the name in cdpm.yml. `rectl cdpm subscribe` takes it back.
    """
    found = _find(session, node)
    session.client.nodes.unsubscribe(found["id"], dependency)
    session.terminal.note(f"{_label(found)} has left {safe(dependency)}")


@cdpm.command(short_help="End and refuse the subscriptions of another node.")
@click.argument("node")
@click.argument("url")
@click.option("--lift", is_flag=True, help="Take that back: it may subscribe again.")
@pass_session
def bar(session: Session, node: str, url: str, lift: bool) -> None:
    """End all subscriptions of another node to NODE, and refuse its next ones. URL is the one of its cdpm.yml."""
    found = _find(session, node)
    session.client.nodes.bar(found["id"], url, not lift)
    session.terminal.note(f"{_label(found)}: {safe(url)} {'may subscribe again' if lift else 'is barred'}")


@cdpm.command(short_help="Publish a release that no deployment made.")
@click.argument("node")
@values.dynamic_options
@json_option
@pass_session
def publish(
    session: Session, node: str, texts: tuple[str, ...], documents: tuple[str, ...], file: str | None, as_json: bool
) -> None:
    """Publish a release that no deployment made; subscribers receive it and vote.

    The values are those that a deployment of the release playbook would have: version, ref, commit, and so on, all of them
    strings.

    \b
    rectl cdpm publish shop/nokogiri --set version=1.8.2 --set ref=master
    """
    found = _find(session, node)
    given = values.dynamic(texts, documents, file, session.terminal.note)
    made = session.client.nodes.publish(found["id"], given)
    if as_json:
        session.terminal.json(made)
        return
    session.terminal.line(f"release {made['release']} of {_label(found)} is published")
    session.terminal.note(f"to see its votes: rectl cdpm votes {_label(found)} {made['release']}")


@cdpm.command(short_help="Make the next key pair, and print its public key.")
@click.argument("node")
@click.option("--another", is_flag=True, help="Also if a new key already waits to be committed.")
@json_option
@pass_session
def rotate(session: Session, node: str, another: bool, as_json: bool) -> None:
    """Make the node's next key pair, and print the public key for its cdpm.yml.

    The node signs with the new key as soon as the engine has read it in the committed file; until then with the old one. If
    a new key already waits to be committed, rectl prints that one.
    """
    found = _find(session, node)
    key = session.client.nodes.rotate(found["id"], another)
    if as_json:
        session.terminal.json(key)
        return
    session.terminal.line(key["public_key"])
    session.terminal.note(
        f"Key {key['kid']}: write it as public-key into {safe(found['source'])} and commit that. Then:"
    )
    session.terminal.note(f"  rectl cdpm refresh {_label(found)}")


@cdpm.command(short_help="Let the engine read the node's cdpm.yml now.")
@click.argument("node")
@json_option
@pass_session
def refresh(session: Session, node: str, as_json: bool) -> None:
    """Let the engine read the node's cdpm.yml now; it does so every 10 minutes by itself."""
    found = _find(session, node)
    after = session.client.nodes.refresh(found["id"])
    if as_json:
        session.terminal.json(after)
        return
    counts = f"{_number(after['dependencies'], 'dependency', 'dependencies')}, subscriptions of others: {after['dependents']}"
    session.terminal.line(f"{_label(found)} is {after['state']}: {counts}")


@cdpm.command(short_help="Remove a node, with its subscriptions and keys.")
@click.argument("node")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def remove(session: Session, node: str, yes: bool) -> None:
    """Remove a node: its subscriptions end, and its keys are deleted. Deployments that it has started go on."""
    found = _find(session, node)
    session.confirm(f"Remove {_label(found)} ({found['id']}, version {found['version']})?", yes)
    session.client.nodes.remove(found["id"], found["version"])
    session.terminal.note(f"{_label(found)} is removed")


def _find(session: Session, node: str) -> api.NodeRow:
    return lookup.node(session.client, node, session.terminal.note)


def _label(found: api.NodeRow) -> str:
    return safe(f"{found['group']}/{found['name']}")


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _state(found: api.NodeSubscriptions, dependency: str) -> str:
    """How the node stands to it; the subscription itself is made a moment later."""
    states = [one["state"] for one in found["dependencies"] if one["name"] == dependency]
    return "subscribed to" if states and states[0] != "initial" else "to be subscribed to"
