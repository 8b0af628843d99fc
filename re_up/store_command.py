"""`rectl store …`: looks after the store of this machine's settings, without the engine. Must not know any store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from re_client.commands.token import WantedToken, token_options
from re_client.errors import DONE, NOT_COMPLETED, BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import absolute, safe
from re_client.values import Age
from re_core.ports import Store
from re_core.runtime.settings import Settings
from re_core.usecases import access, artifact_pruning, inspection, maintenance

#: findings that are printed; a store that lost much would have one for every deployment
_PRINTED = 200


@click.group(short_help="Check, prune and repair the store.")
def store() -> None:
    """Check, prune and repair the store that the settings of this machine name.

    These commands open the store themselves and need no running engine; a running engine may continue.
    """


@store.command()
@json_option
@pass_session
def check(session: Session, as_json: bool) -> int:
    """Check the store for damage.

    Checks the server or the file, its layout and indexes, reads every journal, and compares it with the list of
    deployments; reads every artifact, and compares it with its digests. Prints each problem with the
    remedy; the exit code is 1 if there is a problem.
    """
    with _opened(session.settings) as opened:
        survey = opened.survey()
        findings = [inspection.Finding("store", "", problem) for problem in survey.problems]
        findings += inspection.check(opened, _now())
        findings += artifact_pruning.damage(opened)
    if as_json:
        found = [one._asdict() for one in findings]
        session.terminal.json({**survey._asdict(), "counts": dict(survey.counts), "problems": found})
        return NOT_COMPLETED if findings else DONE
    session.terminal.line(f"{survey.kind}, layout {survey.layout}")
    session.terminal.table(("what", "number"), sorted(survey.counts.items()), "The store is empty.")
    for one in findings[:_PRINTED]:
        session.terminal.line(safe(f"{one.what}: {one.deployment + ': ' if one.deployment else ''}{one.message}"))
    if len(findings) > _PRINTED:
        session.terminal.line(f"and {len(findings) - _PRINTED} more; --json prints all of them")
    session.terminal.note(f"{len(findings)} problem(s) found." if findings else "No problems found.")
    return NOT_COMPLETED if findings else DONE


@store.command("rebuild-views")
@json_option
@pass_session
def rebuild_views(session: Session, as_json: bool) -> int:
    """Rebuild the list of deployments from the journals.

    The exit code is 1 if a journal cannot be read; the row of that deployment stays unchanged.
    """
    with _opened(session.settings) as opened:
        rebuilt = inspection.rebuild_views(opened, _now())
    if as_json:
        session.terminal.json({**rebuilt._asdict(), "unreadable": list(rebuilt.unreadable)})
    else:
        session.terminal.line(f"{rebuilt.written} rows written, {rebuilt.dropped} without a journal dropped.")
        for id in rebuilt.unreadable:
            session.terminal.line(safe(f"{id}: its journal cannot be read; rectl store check prints why"))
    return NOT_COMPLETED if rebuilt.unreadable else DONE


@store.command()
@click.option("--older", type=Age(), required=True, metavar="AGE", help="The age after their end: 90d, 12h, …")
@click.option("--dry-run", is_flag=True, help="Only print how many would be deleted.")
@json_option
@pass_session
def prune(session: Session, older: int, dry_run: bool, as_json: bool) -> None:
    """Delete old deployments and dead letters.

    Deletes ended deployments with their journal, output and idempotency keys, dead letters, and keys of other requests. Never deletes
    a deployment that has not ended. If it is interrupted, the next prune continues. With RE_PRUNE_OLDER the core prunes every day.
    """
    before = _now() - older
    day = datetime.fromtimestamp(before / 1000, UTC)
    with _opened(session.settings) as opened:
        pruned = maintenance.would_prune(opened, before) if dry_run else _prune(opened, before)
    if as_json:
        session.terminal.json({**pruned._asdict(), "before": f"{day:%Y-%m-%dT%H:%M:%SZ}", "dry_run": dry_run})
    else:
        done = "would be deleted" if dry_run else "deleted"
        session.terminal.line(f"{pruned.deployments} deployments and {pruned.dead_letters} dead letters {done}.")
        if rest := pruned.keys + pruned.voids + pruned.tokens + pruned.releases:
            session.terminal.line(
                f"{rest} other idempotency keys, ids without a deployment, expired tokens and releases {done}."
            )
        if pruned.pipelines:
            session.terminal.line(f"{pruned.pipelines} removed pipelines {done}.")
        if pruned.apps:
            session.terminal.line(f"{pruned.apps} destroyed apps {done}.")


@store.command(short_help="Create a token without the engine.")
@token_options
@json_option
@pass_session
def token(session: Session, wanted: WantedToken, as_json: bool) -> None:
    """Create a token without the engine: the first token of a cluster, or a new one when all are lost.

    Needs access to the store. rectl prints the token once; it cannot be shown again.
    """
    from re_core import connections

    with _opened(session.settings) as opened:
        minted = access.mint(
            opened,
            connections.system_clock(),
            wanted.user,
            wanted.groups or None,
            wanted.admin,
            notify=wanted.notify,
            expires=absolute(wanted.expires, datetime.now(UTC)),
        )
    if as_json:
        session.terminal.json({**access.token_document(minted.token), "token": minted.secret})
        return
    session.terminal.line(minted.secret)
    session.terminal.note(f"a token of {wanted.user}; save it: it cannot be shown again")


def _prune(opened: Store, before: int) -> maintenance.Pruned:
    pruned = maintenance.Pruned()
    while any(some := maintenance.prune_some(opened, before)):
        pruned = pruned.plus(some)
    return pruned


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    """The store; one that is not there is not made. Raises BadInput, StoreRefused, StoreUnavailable."""
    from re_core import bootstrap

    path = settings.store_url.removeprefix("sqlite:///")
    if path != settings.store_url and not Path(path).exists():
        raise BadInput(f"there is no store at {path}; RE_STORE_URL and RE_DATA_DIR set its place")
    opened = bootstrap.open_store(settings)
    try:
        yield opened
    finally:
        opened.close()


def _now() -> int:
    return int(time.time() * 1000)
