"""Whether all that was promised was kept: the client's list, the workers' ledger and the journals, laid side by side.

Must not know what was done to the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from re_client.api import Client
from re_core.deployment.records import Accepted, never_began
from re_core.ports import Store
from tests.chaos.judgement import Case, Judge
from tests.chaos.ledger import Ledger
from tests.chaos.load import Post


class Report(NamedTuple):
    """What the oracle found."""

    #: what was not kept
    problems: list[str]
    #: how deployments ended, and what is worth a look though it is allowed
    counts: Counter[str]


def ask(client: Client, store: Store, ledger: Ledger, judge: Judge, posts: Sequence[Post]) -> Report:
    """Judge every deployment that there is, and every one that there must be, after a load has come to its end."""
    problems = [f"post {post.number} was answered {post.wrong}" for post in posts if post.wrong]
    lines = ledger.by_deployment()
    journals = {id: store.entries(id) for id in _ids(store)}
    known = {post.number: post for post in posts}
    judge.counts.update("accepted" if post.accepted else "unanswered" for post in posts)
    problems += [
        f"{post.accepted}: it was accepted and is not there"
        for post in posts
        if post.accepted not in journals and post.accepted
    ]
    problems += [f"{id}: it ran and was never accepted" for id in lines if id not in journals]
    for id, entries in journals.items():
        if never_began(entries):
            problems += [f"{id}: it ran and is void" for _ in lines[id][:1]]
            continue
        accepted = entries[0].records[0]
        assert isinstance(accepted, Accepted)
        case = Case(
            known[int(accepted.dynamic["post"])],
            client.deployment(id),
            [(entry.number, entry.at) for entry in entries],
            [line["number"] for line in client.output(id)],
            lines[id],
        )
        problems += [f"{id}: {problem}" for problem in judge.judge(case)]
    return Report(problems, judge.counts)


def _ids(store: Store) -> list[str]:
    ids: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        page = store.journals(500, cursor)
        ids.update(page.ids)
        cursor = page.next
    return sorted(ids)
