"""What must hold of the pipelines at the end of every seed, whatever happened. Must not know why it should.

It reads journals and what workers did, and asks nothing of the engine's machine but the fold of a pipeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from re_core.cdpm import records as r
from re_core.cdpm.checkpoint import to_document
from re_core.cdpm.state import State, begin, fold
from re_core.deployment.records import Ended, Entry, was_taken_back
from re_core.ports import EntryCodec
from re_core.sequencer.pipelines import Pipelines
from re_core.wire import strict_json
from tests.simulation.core import CoreProcess
from tests.simulation.oracle import Broken
from tests.simulation.pipelines import PipelineCluster, SimNode, short_journals

_CODEC = EntryCodec(Pipelines)


class Place(NamedTuple):
    """A record, and where it is."""

    record: Any
    entry: Entry


class Journals:
    """Of one seed: pipelines, as another core would read them, and how deployments stand."""

    def __init__(self, cluster: PipelineCluster) -> None:
        self.cluster = cluster
        journal = cluster.server.journal
        self.entries = {node.name: [_reread(one) for one in journal.get(node.key, ())] for node in cluster.nodes}
        #: deployments that began and were not taken back
        self.standing = {id: one for id, one in cluster.server.begun.items() if not was_taken_back(one)}

    def of(self, node: SimNode, *kinds: type[Any]) -> list[Place]:
        """Its records of these types, in order."""
        return [
            Place(one, entry) for entry in self.entries[node.name] for one in entry.records if isinstance(one, kinds)
        ]

    def status(self, deployment: str) -> str:
        """How it has ended; empty where it has not, or never began."""
        records = (one for entry in self.standing.get(deployment, ()) for one in entry.records)
        return next((str(one.status) for one in records if isinstance(one, Ended)), "")

    def deployments(self, playbook: str) -> list[str]:
        return [id for id, entries in self.standing.items() if _accepted(entries).playbook_id == playbook]


def check_pipelines(cluster: PipelineCluster) -> None:
    """All promises. Raises Broken with those that were not kept."""
    journals = Journals(cluster)
    problems = [problem for look in _LOOKS for problem in look(cluster, journals)]
    if problems:
        raise Broken("; ".join(problems))


# -- 1: own releases -----------------------------------------------------------------------------------


def _each_own_deployment_is_released_once(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node in cluster.nodes:
        released = [one.record for one in journals.of(node, r.Released)]
        if [one.n for one in released] != list(range(1, len(released) + 1)):
            yield f"the releases of {node.name} are numbered {[one.n for one in released]}"
        made = sorted(one.deployment for one in released if not one.deployment.startswith("publish/"))
        if made != (wanted := sorted(_to_release(cluster, journals, node))):
            yield f"{node.name} has released {made}, and completed {wanted}"
        times = [one.created_at for one in released]
        if times != sorted(set(times)):
            yield f"the releases of {node.name} were made at {times}"


def _to_release(cluster: PipelineCluster, journals: Journals, node: SimNode) -> list[str]:
    state = cluster.state(node.key)
    own = state.node.release.playbook
    since = state.release_since
    return [
        id
        for id in (journals.deployments(own) if own else ())
        if journals.status(id) == "completed" and journals.standing[id][0].at >= since
    ]


# -- 2: received ---------------------------------------------------------------------------------------


def _releases_are_received_once_and_in_order(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node, dependency in cluster.pairs:
        released = [(one.record.n, one.record.created_at) for one in journals.of(dependency, r.Released)]
        received = [(one.record.id, one.record.created_at) for one in journals.of(node, r.Received)]
        if [one for one in released if one in received] != received:
            yield f"{node.name} has received {received} of {dependency.name}, which has released {released}"
        wanted = _since_it_subscribed(cluster, journals, node, dependency)
        if missing := [one for one in wanted if one not in received]:
            yield f"{node.name} has never received {missing} of {dependency.name}, only {received}"


def _since_it_subscribed(
    cluster: PipelineCluster, journals: Journals, node: SimNode, dependency: SimNode
) -> list[tuple[int, str]]:
    """Releases that were made while the subscription stood that stands at the end."""
    known = cluster.state(node.key).dependencies.get(dependency.name)
    subscription = known.subscription if known is not None else ""
    made: list[tuple[int, str]] | None = None
    for one, _ in journals.of(dependency, r.PeerSubscribed, r.Released):
        if isinstance(one, r.PeerSubscribed):
            made = [] if one.subscription == subscription else made
        elif made is not None:
            made.append((one.n, one.created_at))
    return made or []


# -- 3: builds -----------------------------------------------------------------------------------------


def _each_release_is_built_once(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node in cluster.nodes:
        asked, passed = _trials(journals, node), [_key(one.record) for one in journals.of(node, r.Passed)]
        for received, _ in journals.of(node, r.Received):
            jobs = asked.pop(key := _key(received), [])
            begun = [one.job for one in jobs if one.job in journals.standing]
            own = any(one.startswith(f"{node.url}#") for one in received.document.get("chain", ()))
            if (own or received.skipped) and jobs:
                yield f"{node.name} builds {key}, which it skips: {received.skipped or 'it led to that itself'}"
            if own and not received.skipped:
                yield f"{node.name} does not skip {key}, to which it led itself"
            if len(begun) > 1:
                yield f"{node.name} has built {key} as {begun}"
            refused = {one.record.job for one in journals.of(node, r.JobRefused)} & {one.job for one in jobs}
            if not (begun or received.skipped or refused or key in passed or _has_ended(journals, node, jobs)):
                yield f"{node.name} has never built {key}: {jobs}"
        if asked:
            yield f"{node.name} builds what it has not received: {asked}"
    jobs_of_all = {one.record.job for node in cluster.nodes for one in journals.of(node, r.JobAsked)}
    for id, entries in journals.standing.items():
        if _accepted(entries).user.startswith("cdpm:") and id not in jobs_of_all:
            yield f"{id} was begun for a pipeline, and none has asked for it"


def _has_ended(journals: Journals, node: SimNode, jobs: Sequence[Any]) -> bool:
    """Its deployment was taken back or cancelled before it began, and the pipeline knows."""
    ended = {one.record.job for one in journals.of(node, r.JobEnded) if one.record.status == "vanished"}
    return bool(ended & {one.job for one in jobs})


def _trials(journals: Journals, node: SimNode) -> dict[Any, list[r.JobAsked]]:
    asked: dict[Any, list[r.JobAsked]] = {}
    for one, _ in journals.of(node, r.JobAsked):
        if one.purpose == "trial":
            asked.setdefault(_key(one), []).append(one)
    return asked


def _key(record: Any) -> tuple[str, Any, str]:
    return record.dependency, record.id, record.created_at


# -- 4: votes ------------------------------------------------------------------------------------------


def _votes_say_how_builds_ended(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node in cluster.nodes:
        asked = {one.job: one for one, _ in journals.of(node, r.JobAsked)}
        stable: dict[str, str] = {}
        wanted: list[tuple[Any, str, str]] = []
        joined: dict[str, bool] = {}
        for one, entry in journals.of(node, r.JobEnded, r.Joined, r.Left, r.NotJoined):
            if not isinstance(one, r.JobEnded):
                joined[one.dependency] = isinstance(one, r.Joined)
                continue
            if (stands := journals.status(one.job)) != one.status and one.status != "vanished":
                yield f"{node.name} says that {one.job} has {one.status}, it has {stands or 'not ended'}"
            job = asked[one.job]
            records: Sequence[Any] = entry.records
            voted = [other for other in records if isinstance(other, r.Voted) and other.deployment == one.job]
            if job.purpose != "trial" or not job.major or (not joined.get(job.dependency) and not voted):
                continue
            vote = _vote(stable.get(job.dependency, ""), one.status)
            if vote:
                stable[job.dependency] = vote
                wanted.append((_key(job), vote, one.job))
        found = [(_key(one), one.value, one.deployment) for one, _ in journals.of(node, r.Voted)]
        left = [one for one in wanted if one not in found]
        if found != [one for one in wanted if one in found] or (left and not journals.of(node, r.Left)):
            yield f"{node.name} has voted {found}, and its builds ended as {wanted}"
        if twice := [key for key, times in Counter(key for key, _, _ in found).items() if times > 1]:
            yield f"{node.name} has voted twice on {twice}"


def _vote(before: str, status: str) -> str:
    """By the table: a dependent that never found it stable does not find it unstable."""
    if status == "completed":
        return "stable"
    return "unstable" if status == "failed" and before else ""


def _votes_arrive_as_they_were_given(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node, dependency in cluster.pairs:
        given = {
            (one.id, one.created_at): (one.value, one.deployment)
            for one, _ in journals.of(node, r.Voted)
            if one.dependency == dependency.name
        }
        delivered = {(one.id, one.created_at) for one, _ in journals.of(node, r.VoteDelivered)}
        made = {one.n: one.created_at for one, _ in journals.of(dependency, r.Released)}
        counted: dict[Any, list[Any]] = {}
        for one, _ in _of_url(journals, dependency, node):
            counted.setdefault((one.release, made[one.release]), []).append((one.value, one.deployment))
        for key, votes in counted.items():
            if votes != [given.get(key)]:
                yield f"{dependency.name} has the votes {votes} of {node.name} on {key}, which has voted {given.get(key)}"
        if missing := [key for key in delivered if key not in counted]:
            yield f"{node.name} believes that its votes on {missing} have arrived"


def _of_url(journals: Journals, dependency: SimNode, node: SimNode) -> list[Place]:
    """Votes of that node."""
    ids = {one.subscription for one, _ in journals.of(dependency, r.PeerSubscribed) if one.url == node.url}
    return [one for one in journals.of(dependency, r.VoteCounted) if one.record.subscription in ids]


# -- 5: verdicts ---------------------------------------------------------------------------------------


class _Open:
    """A release, as its votes decide on it."""

    def __init__(self, released: r.Released) -> None:
        self.released = released
        self.votes: dict[str, str] = {}
        self.verdicts: list[str] = []


def _verdicts_follow_the_rules(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node in cluster.nodes:
        yield from _verdicts_of(node, cluster.state(node.key), journals)
        yield from _reactions_of(node, cluster.state(node.key), journals)


def _verdicts_of(node: SimNode, state: State, journals: Journals) -> Iterator[str]:
    releases: dict[int, _Open] = {}
    gone: set[str] = set()
    for entry in journals.entries[node.name]:
        for one in entry.records:
            if isinstance(one, r.Released):
                releases[one.n] = _Open(one)
            elif isinstance(one, r.PeerUnsubscribed):
                gone.add(one.subscription)
            elif isinstance(one, r.VoteCounted):
                if one.subscription not in releases[one.release].released.majors or one.subscription in gone:
                    yield f"{node.name} counts the vote of {one.subscription} on {one.release}, which had none"
                if one.counts:
                    releases[one.release].votes[one.subscription] = one.value
            elif isinstance(one, r.Promoted | r.Demoted | r.Undecided):
                yield from _is_right(node, state, releases[one.release], one, entry)
    for release in releases.values():
        if (
            _is_met(node.document.get("demote", {}).get("unstable"), release, "unstable")
            and "Demoted" not in release.verdicts
        ):
            yield f"{node.name} has not demoted {release.released.n}: {release.votes}"
        if _is_met(node.document.get("promote", {}).get("stable"), release, "stable") and not release.verdicts:
            yield f"{node.name} has not promoted {release.released.n}: {release.votes}"


def _is_right(node: SimNode, state: State, release: _Open, record: Any, entry: Entry) -> Iterator[str]:
    name, document = type(record).__name__, node.document
    if name in release.verdicts or (name != "Demoted" and release.verdicts):
        yield f"release {record.release} of {node.name} is {name} after {release.verdicts}"
    release.verdicts.append(name)
    if name == "Undecided":
        right = 0 < release.released.deadline <= entry.at
    else:
        part, word = ("promote", "stable") if name == "Promoted" else ("demote", "unstable")
        right = _is_met(document.get(part, {}).get(word), release, word)
    if not right:
        yield f"release {record.release} of {node.name} is {name} by the votes {release.votes}"


def _is_met(rule: Any, release: _Open, word: str) -> bool:
    votes, majors = sum(one == word for one in release.votes.values()), len(release.released.majors)
    needed = {"all of majors": majors or 1, "50% of majors": max(1, -(-majors // 2))}.get(str(rule))
    return rule is not None and votes >= (needed if needed is not None else int(str(rule).split()[0]))


def _reactions_of(node: SimNode, state: State, journals: Journals) -> Iterator[str]:
    """What follows a verdict is started once, unless something newer is out."""
    newest, wanted = 0, []
    playbooks: Mapping[str, Any] = node.document.get("on", {})
    for one, _ in journals.of(node, r.Released, r.Promoted, r.Demoted, r.Undecided):
        if isinstance(one, r.Released):
            newest = one.n
        elif one.release == newest and (name := type(one).__name__.lower()) in playbooks:
            wanted.append((name, one.release))
    asked: dict[tuple[str, int], list[str]] = {}
    for one, _ in journals.of(node, r.JobAsked):
        if one.purpose != "trial":
            asked.setdefault((one.purpose, int(one.id)), []).append(one.job)
    if list(asked) != wanted:
        yield f"the verdicts of {node.name} are {wanted}, and it has asked for {list(asked)}"
    for verdict, jobs in asked.items():
        if len(begun := [one for one in jobs if one in journals.standing]) != 1:
            yield f"{node.name} has begun {begun} for {verdict}"


# -- 6 and 7: nothing is awaited, and every reader reads the same --------------------------------------


def _nothing_is_awaited(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    yield from cluster.awaited()


def _every_reader_reads_the_same(cluster: PipelineCluster, journals: Journals) -> Iterator[str]:
    for node in cluster.nodes:
        entries = journals.entries[node.name]
        if [one.number for one in entries] != list(range(1, len(entries) + 1)):
            yield f"the journal of {node.name} has a hole"
        folds = [_shown(state) for state in _folds(node, entries)]
        if folds[-1] != _shown(cluster.state(node.key)):
            yield f"{node.name} is another after it was written and read"
        for process in cluster.processes:
            if isinstance(process, CoreProcess) and node.key in (known := process.sequencer._cache._known):
                state = known[node.key].state
                if folds[state.entry] != _shown(state):
                    yield f"{process.name} remembers {node.name} otherwise than its journal up to entry {state.entry}"
        yield from _from_checkpoints(node, entries, folds)


def _from_checkpoints(node: SimNode, entries: list[Entry], folds: Sequence[Any]) -> Iterator[str]:
    with short_journals():
        for count in range(len(entries), 0, -1 if len(entries) < 4 else -3):
            kind: Any = Pipelines(None, None)  # type: ignore[arg-type]
            if _shown(kind.load(_Journal(entries[:count]), node.key, 0, [])) != folds[count]:
                yield f"{node.name} is another at entry {count} when it is read from its checkpoint"


class _Journal:
    """See ports.Journal; of one pipeline, to be read."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    def entries(self, key: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        return [one for one in self._entries if one.number > after][:limit]


def _folds(node: SimNode, entries: Sequence[Entry]) -> Iterator[State]:
    """After each entry; the first is that of none."""
    state = begin(node.key)
    yield state
    for entry in entries:
        state = fold(state, entry.records, entry.number, entry.at)
        yield state


def _shown(state: State) -> str:
    """All of it, as a store would say it."""
    rest = {"entry": state.entry, "at": state.entry_at, "checkpointed": state.checkpointed}
    return strict_json.dumps({**to_document(state), **rest})


def _accepted(entries: Sequence[Entry]) -> Any:
    return entries[0].records[0]


def _reread(entry: Entry) -> Entry:
    document = strict_json.loads(strict_json.dumps(_CODEC.to_document(entry)))
    return _CODEC.from_document(entry.deployment, entry.number, document)


_LOOKS = (
    _each_own_deployment_is_released_once,
    _releases_are_received_once_and_in_order,
    _each_release_is_built_once,
    _votes_say_how_builds_ended,
    _votes_arrive_as_they_were_given,
    _verdicts_follow_the_rules,
    _nothing_is_awaited,
    _every_reader_reads_the_same,
)
