"""What must hold at the end of every seed, whatever happened. Must not know why it should."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from re_core.deployment.feed import has_events
from re_core.deployment.progress import IDEMPOTENT_ATTEMPTS
from re_core.deployment.records import (
    DEPLOYMENT,
    Entry,
    Failed,
    Lost,
    Moved,
    Orphaned,
    Started,
    TimedOut,
    entry_from_document,
    entry_to_document,
    was_taken_back,
)
from re_core.deployment.state import State, fold
from re_core.deployment.summary import view_of
from re_core.model import DeploymentStatus, StepStatus
from re_core.sequencer.work import WRITER_GRACE
from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.factories import slots_of
from tests.simulation.client import PATIENCE
from tests.simulation.core import CoreProcess
from tests.simulation.playbooks import should_complete
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.simulation.world import SILENT

#: milliseconds after which a worker's death must have been noticed, whatever lasts meanwhile
MISSED = 170_000


class Broken(AssertionError):
    """A promise was not kept."""


def check(cluster: SimulatedCluster) -> None:
    """All promises. Raises Broken with those that were not kept."""
    problems = [problem for look in _LOOKS for problem in look(cluster)]
    if problems:
        raise Broken("; ".join(problems))


def _states(cluster: SimulatedCluster) -> list[State]:
    """Read once for all promises: by now the journals grow no more."""
    if cluster.final is None:
        cluster.final = [fold(_reread(entries)) for entries in cluster.server.begun.values()]
    return cluster.final


def _reread(entries: list[Entry]) -> list[Entry]:
    """As another core would read them from a store."""
    documents = [strict_json.loads(strict_json.dumps(entry_to_document(one))) for one in entries]
    return [
        entry_from_document(one.deployment, one.number, document)
        for one, document in zip(entries, documents, strict=True)
    ]


# -- the journal and what is derived from it ---------------------------------------------------------


def _everything_ends(cluster: SimulatedCluster) -> Iterator[str]:
    for id in cluster.server.unfinished:
        yield f"{id} never ended"


def _journals_are_whole(cluster: SimulatedCluster) -> Iterator[str]:
    for id, entries in cluster.server.begun.items():
        if [one.number for one in entries] != list(range(1, len(entries) + 1)):
            yield f"the journal of {id} has a hole: {[one.number for one in entries]}"
        kinds = Counter(type(record).__name__ for one in entries for record in one.records)
        if kinds["Accepted"] != 1 or kinds["Ended"] > 1:
            yield f"{id} began or ended twice: {kinds}"


def _rows_say_what_journals_say(cluster: SimulatedCluster) -> Iterator[str]:
    for state in _states(cluster):
        row = cluster.server.rows.get(state.deployment)
        # whether what it causes was published is the cores' own affair
        if state.ended is not None and (row is None or row._replace(published=0) != view_of(state, None)):
            yield f"the row of {state.deployment} is {row}, its journal says {view_of(state, None)}"
    for id in cluster.server.listed.keys() - cluster.server.begun.keys():
        yield f"{id} has a row, and is no deployment"


def _memories_are_the_journal(cluster: SimulatedCluster) -> Iterator[str]:
    """What a core remembers is what the journal said up to some entry."""
    for process in cluster.processes:
        if isinstance(process, CoreProcess):
            for id, known in process.sequencer._cache._known.items():
                if known.kind.kind != DEPLOYMENT:
                    continue
                there = fold(_reread(cluster.server.journal[id][: known.state.entry]))
                if slots_of(there) != slots_of(known.state):
                    yield f"{process.name} remembers {id} otherwise than the journal up to entry {known.state.entry}"


def _the_feed_has_each_entry_once_and_in_order(cluster: SimulatedCluster) -> Iterator[str]:
    fed: dict[str, list[str]] = defaultdict(list)
    for key in cluster.server.feed:
        fed[key.rpartition(":")[0]].append(key)
    for id, entries in cluster.server.journal.items():
        told = [one.id for one in entries if _is_fed(cluster, one)]
        if fed.pop(id, []) != told:
            yield f"the feed has {[key for key in cluster.server.feed if key.startswith(id)]} of {id}, its journal {told}"
    if fed:
        yield f"the feed tells of {sorted(fed)}, which have no journal"


def _is_fed(cluster: SimulatedCluster, entry: Entry) -> bool:
    if entry.kind == DEPLOYMENT:
        return has_events(entry)
    [kind] = [one for one in cluster.kinds if one.kind == entry.kind]
    return not kind.fed.isdisjoint(map(type, entry.records))


# -- what callers were told --------------------------------------------------------------------------


def _answers_are_true(cluster: SimulatedCluster) -> Iterator[str]:
    journal = cluster.server.begun
    for post in cluster.client.posts.values():
        for heard in post.heard:
            if heard is not None and heard not in journal:
                yield f"{post.id} was told that {heard} exists, and it does not"
            if heard is None and post.id in journal and not was_taken_back(journal[post.id]):
                yield f"{post.id} was told no ({post.why}), and it exists"
        if len(post.heard) > 1:
            yield f"{post.id} was told {post.heard}"


def _one_key_is_one_deployment(cluster: SimulatedCluster) -> Iterator[str]:
    posts = cluster.client.posts
    standing = [id for id, entries in cluster.server.begun.items() if not was_taken_back(entries)]
    started = Counter(posts[id].key for id in standing if id in posts)
    for key, times in started.items():
        if times > 1:
            yield f"{key} started {times} deployments"


def _nothing_starts_behind_a_back(cluster: SimulatedCluster) -> Iterator[str]:
    if cluster.faults.happened["clock jumps"]:
        return  # a core measures by its clock how long it held a request
    for id, accepted in cluster.ledger.accepted.items():
        if id not in cluster.client.posts:
            continue  # an aggregate asked for it, and waits for as long as it takes
        key = cluster.client.posts[id].key
        late = accepted - max(
            one.sent for one in cluster.client.posts.values() if one.key == key and one.at <= accepted
        )
        begun = [step for (deployment, step), begins in cluster.ledger.begun.items() if deployment == id and begins]
        if cluster.ledger.was_cut_off(id, WRITER_GRACE * 1000):
            continue  # other cores wait for no longer, and cannot tell it from one that has died (docs/decisions/0015)
        # a core that was frozen does not see how long a request has been with it (docs/decisions/0025)
        if begun and late > PATIENCE + (PATIENCE + SILENT[1] if cluster.cores_frozen else 0):
            yield f"{id} was accepted {late} ms after it was asked for, and began {begun}"


def _cancelled_ones_do_not_complete(cluster: SimulatedCluster) -> Iterator[str]:
    for state in _states(cluster):
        if state.deployment in cluster.client.cancelled and state.status is DeploymentStatus.COMPLETED:
            yield f"{state.deployment} was cancelled, and completed"


def _harmless_faults_fail_nothing(cluster: SimulatedCluster) -> Iterator[str]:
    """Cores that die or freeze, errors, lost connections: as long as the workers and their messages live, all goes well."""
    if not cluster.faults.spares_workers:
        return
    for state in _states(cluster):
        if (
            state.status is DeploymentStatus.FAILED
            and should_complete(state)
            and "no worker offers" not in state.reason
        ):
            yield f"{state.deployment} failed though nothing harmed it: {state.reason}"


# -- what was done -----------------------------------------------------------------------------------


def _steps_begin_as_often_as_they_may(cluster: SimulatedCluster) -> Iterator[str]:
    happened = cluster.faults.happened
    if happened["clock jumps"] and happened["host booted, records gone"]:
        return  # a host that lost a record tells by the age of the claim, which cores measure by their clocks
    for state in _states(cluster):
        for number, planned in enumerate(state.plan.steps):
            where = f"step {number} of {state.deployment}"
            begun = cluster.ledger.begun[state.deployment, number]
            if not planned.spec.repeatable:
                if len(begun) > 1:
                    yield f"{where} may not be repeated and began {len(begun)} times: {begun}"
                if begun and not begun[0].allowed:
                    yield f"{where} began without a grant: {begun}"
            most = max(planned.spec.retries + 1, IDEMPOTENT_ATTEMPTS if planned.spec.idempotent else 1)
            # one copy may have begun when the holder of another one says that it will not: that attempt is late then
            late = {attempt for number_, attempt, _ in state.late if number_ == number}
            if len({one.attempt for one in begun if m.parse_attempt(one.attempt).attempt not in late}) > most:
                yield f"{where} may be tried {most} times, and was: {begun}"


def _what_is_over_does_not_go_on(cluster: SimulatedCluster) -> Iterator[str]:
    """What follows a step (its repetition, the end of its deployment, what people hear) follows the end of its work."""
    for attempt in cluster.ledger.outlived:
        yield f"{attempt} was called timed out while its worker went on with it"


def _steps_of_the_dead_are_lost_in_time(cluster: SimulatedCluster) -> Iterator[str]:
    """Long before their timeout is over, which would end them too."""
    happened = cluster.faults.happened
    if happened["clock jumps"] or happened["queues deleted"] or happened["queues purged"]:
        return  # a worker that has left in order has said all, and said bye; its words may have gone with a queue
    for id, entries in cluster.server.begun.items():
        for at, record in ((entry.at, record) for entry in entries for record in entry.records):
            if isinstance(record, TimedOut | Lost) and not _was_offered(entries, record):
                died = cluster.ledger.died.get(_claimant(entries, record))
                if died is not None and at - died > MISSED:
                    yield f"step {record.step} of {id} was lost {at - died} ms after its worker had died"


def _was_offered(entries: list[Entry], about: TimedOut | Lost) -> bool:
    """Whether other workers were asked to go on with it, and so had their time."""
    offers = (one for entry in entries for one in entry.records if isinstance(one, Orphaned))
    return any((one.step, one.attempt) == (about.step, about.attempt) for one in offers)


def _claimant(entries: list[Entry], about: TimedOut | Lost) -> str:
    """Who had the claim of that attempt at last."""
    claims = [one for entry in entries for one in entry.records if isinstance(one, Started | Moved)]
    return next((one.worker for one in reversed(claims) if (one.step, one.attempt) == (about.step, about.attempt)), "")


def _runs_go_on_where_their_claim_is(cluster: SimulatedCluster) -> Iterator[str]:
    for one in cluster.ledger.resumed:
        if not one.allowed:
            yield f"{one.worker} went on with {one.attempt}, whose claim had not moved there ({one.moves} moves)"


def _silence_of_one_is_no_loss_of_another(cluster: SimulatedCluster) -> Iterator[str]:
    """A step is lost with the process that has its claim, not with one that had it."""
    for id, entries in cluster.server.begun.items():
        for record in (record for entry in entries for record in entry.records):
            if isinstance(record, Lost) and record.message.startswith("lost contact with worker"):
                claimant = _claimant(entries, record)
                if not re.search(rf"worker {re.escape(claimant)}[ ;,]", record.message):
                    yield f"step {record.step} of {id} is lost, and {claimant} has it: {record.message}"


def _completed_steps_were_done(cluster: SimulatedCluster) -> Iterator[str]:
    for state in _states(cluster):
        for number, planned in enumerate(state.plan.steps):
            step = state.step(number)
            done = cluster.ledger.completed[f"{state.deployment}/{number}/{step.attempt}"]
            if step.status is StepStatus.COMPLETED and (done < 1 or (done > 1 and not planned.spec.repeatable)):
                yield f"step {number} of {state.deployment} completed, and was done {done} times"
            elif state.status is DeploymentStatus.COMPLETED and step.status is not StepStatus.COMPLETED:
                yield f"{state.deployment} completed, and step {number} is {step.status}"


def _what_is_unknown_is_not_judged(cluster: SimulatedCluster) -> Iterator[str]:
    """An attempt of which its worker does not know how it ended did not fail, as far as anybody knows."""
    for id, entries in cluster.server.begun.items():
        for record in (record for entry in entries for record in entry.records):
            if isinstance(record, Failed) and f"{id}/{record.step}/{record.attempt}" in cluster.ledger.lost:
                yield f"step {record.step} of {id} was lost by its worker, and failed: {record.message}"


def _people_are_told(cluster: SimulatedCluster) -> Iterator[str]:
    happened = cluster.faults.happened
    if cluster.cores_lost and (happened["queues deleted"] or happened["queues purged"]):
        return  # a core died before it told, and nobody has the message any more that would have had another one tell
    for state in _states(cluster):
        if was_taken_back(cluster.server.journal[state.deployment]):
            continue  # its caller was answered no, or nothing
        if _is_forgotten(cluster, state) and len(cluster.server.journal[state.deployment]) == 1:
            continue
        for id in _promised(cluster, state):
            if cluster.ledger.told[id] < 1:
                yield f"nobody heard {id}"
    if not sum(cluster.faults.happened.values()):
        for id, times in cluster.ledger.told.items():
            if times > 1:
                yield f"people heard {id} {times} times though nothing happened"


def _promised(cluster: SimulatedCluster, state: State) -> Iterator[str]:
    """Ids of the notifications that this journal owes to people."""
    if state.plan.notify:
        if not _is_forgotten(cluster, state):
            yield f"{state.deployment}/started/console"
        if state.ended is not None:
            end = "completed" if state.status is DeploymentStatus.COMPLETED else "failed"
            yield f"{state.deployment}/{end}/console"
    claimed = _first_claims(cluster.server.journal[state.deployment])
    for number, step in state.steps.items():
        if not state.plan.steps[number].spec.notify:
            continue
        about = f"{state.deployment}/{number}/{step.attempt}"
        # what an attempt that was repeated led to, a core that comes after another one does not know
        if claimed.get(number) == 1 and (step.attempt == 1 or not cluster.cores_lost):
            yield f"{state.deployment}/{number}/1/started/console"
        if step.status is StepStatus.COMPLETED:
            yield f"{about}/completed/console"
        elif step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.LOST):
            yield f"{about}/failed/console"


def _is_forgotten(cluster: SimulatedCluster, state: State) -> bool:
    """Nobody knows that its start is not told: its core was frozen until nobody waited any more, or died until the request had expired."""
    requests = cluster.broker.find("re.job.create")
    expired = cluster.cores_lost and requests is not None and state.deployment in requests.expired
    post = cluster.client.posts.get(state.deployment)
    frozen = cluster.cores_frozen and post is not None and not post.heard
    taken_back = state.cancel is not None and not state.cancel.user
    return bool(expired or frozen or taken_back)


def _first_claims(entries: list[Entry]) -> dict[int, int]:
    """Step -> the first of its attempts that was claimed."""
    claims: dict[int, int] = {}
    for entry in entries:
        for record in entry.records:
            if isinstance(record, Started):
                claims.setdefault(record.step, record.attempt)
    return claims


# -- what is left ------------------------------------------------------------------------------------


def _nothing_is_left(cluster: SimulatedCluster) -> Iterator[str]:
    if left := cluster.left():
        yield f"left in queues or hands: {left}"
    for name in cluster.unsent():
        yield f"{name} has something to say still"
    for letter in cluster.server.letters.values():
        yield f"a dead letter from {letter.queue}: {letter.reason}: {letter.detail}"


def _output_is_numbered(cluster: SimulatedCluster) -> Iterator[str]:
    for id in cluster.server.journal:
        chunks = sorted((one.first, len(one.lines)) for one in cluster.server.chunks.values() if one.deployment == id)
        numbers = [number for first, lines in chunks for number in range(first, first + lines)]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"the output of {id} is numbered {numbers}"


_LOOKS = (
    _everything_ends,
    _journals_are_whole,
    _rows_say_what_journals_say,
    _memories_are_the_journal,
    _the_feed_has_each_entry_once_and_in_order,
    _answers_are_true,
    _nothing_starts_behind_a_back,
    _one_key_is_one_deployment,
    _cancelled_ones_do_not_complete,
    _harmless_faults_fail_nothing,
    _steps_begin_as_often_as_they_may,
    _what_is_over_does_not_go_on,
    _steps_of_the_dead_are_lost_in_time,
    _runs_go_on_where_their_claim_is,
    _silence_of_one_is_no_loss_of_another,
    _completed_steps_were_done,
    _what_is_unknown_is_not_judged,
    _people_are_told,
    _nothing_is_left,
    _output_is_numbered,
)
