"""A node as a dependency: who may subscribe, what is released, and what votes bring about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import machine, messages, publishing
from re_core.cdpm import records as r
from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.state import (
    MOST_HANDLED,
    MOST_MESSAGES,
    MOST_OF_SENDER,
    MOST_RELEASES,
    MOST_SUBSCRIPTIONS,
    behind,
    member,
)
from re_core.cdpm.values import ReleaseStatus
from re_core.deployment.machine import Verdict
from tests.pipelines import (
    DOCUMENT,
    FILE,
    MAJOR,
    MINOR,
    OWN,
    REGISTER,
    START,
    UPSTREAM,
    Run,
    configured,
    release,
    subscribe,
    subscribed,
)

DAY = 86_400


def _answer(run: Run, event: Any) -> e.Answer:
    """What the caller gets."""
    effects = run.send(event._replace(reply_to="q", request="r1")).effects
    [answer] = [one for one in effects if isinstance(one, e.Answer)]
    return answer


def _out(*events: Any) -> Run:
    """A node with one release that is out, a major dependent and another one."""
    run = Run(*events, subscribe(MAJOR), subscribe(MINOR))
    run.own("completed")
    return run


# -- subscribers -----------------------------------------------------------------------------------


def test_a_subscribe_is_answered_with_an_id_which_stays_the_same() -> None:
    run = Run()
    first = _answer(run, subscribe())
    again = _answer(run, subscribe(jti="another"))
    assert first.accepted
    assert first.subscriptions == again.subscriptions == tuple(run.state.subscriptions)
    assert len(run.records(r.PeerSubscribed)) == 1
    assert member(run.state, first.subscriptions[0], MAJOR) is not None
    assert member(run.state, first.subscriptions[0], MINOR) is None


def test_a_subscription_that_ended_never_comes_back_under_its_id() -> None:
    run = Run(subscribe())
    [first] = run.state.subscriptions
    ends = e.UnsubscribeAsked(MAJOR, first, "u", run.now)
    run.send(ends)
    run.send(subscribe(jti="later"))
    [second] = run.state.subscriptions
    assert first != second
    again = run.send(ends)
    assert again.verdict is Verdict.REPEATED, "a replayed unsubscribe ends nothing"
    assert list(run.state.subscriptions) == [second]


def test_two_refs_are_two_subscriptions_in_the_order_in_which_they_were_asked_for() -> None:
    refs = [{"ref_type": "stable", "ref": "v1"}, {"ref_type": "branch", "ref": "main"}]
    run = Run(configured(2, refs=refs))
    answer = _answer(run, subscribe()._replace(refs=refs[::-1]))
    assert [run.state.subscriptions[one].ref for one in answer.subscriptions] == ["main", "v1"]


@pytest.mark.parametrize(
    ("before", "event", "code"),
    [
        ([], subscribe("https://stranger.example/"), "not-listed"),
        ([], subscribe(ref="v9"), "unknown-ref"),
        ([], subscribe()._replace(refs=[]), "bad-message"),
        ([e.Bar(MAJOR)], subscribe(), "barred"),
        ([], e.UnsubscribeAsked(MAJOR, "x", "u", 1), "not-subscribed"),
    ],
)
def test_who_may_not_subscribe_is_refused_with_a_code(before: list[Any], event: Any, code: str) -> None:
    run = Run(*before)
    count = len(run.entries)
    answer = _answer(run, event)
    assert (answer.accepted, answer.reason) == (False, code)
    assert answer.detail
    assert len(run.entries) == count


def test_a_node_without_a_document_takes_no_subscriptions() -> None:
    assert _answer(Run(beginning=[e.Register("inception", "own", OWN)]), subscribe()).reason == "not-ready"


def test_a_subscribe_that_is_replayed_after_it_was_ended_is_refused() -> None:
    run = Run(subscribe(jti="j1"))
    run.send(e.UnsubscribeAsked(MAJOR, next(iter(run.state.subscriptions)), "u", 1))
    assert _answer(run, subscribe(jti="j1")).reason == "replayed"


def test_any_peer_may_subscribe_where_the_document_says_so() -> None:
    run = Run(configured(2, subscribers="any"))
    assert _answer(run, subscribe("https://stranger.example/")).accepted


def test_a_barred_peer_loses_its_subscriptions_until_that_is_taken_back() -> None:
    run = Run(subscribe(), subscribe(MINOR), e.Bar(MAJOR))
    assert [one.url for one in run.state.subscriptions.values()] == [MINOR]
    assert run.send(e.Bar(MAJOR)).verdict is Verdict.REPEATED
    run.send(e.Bar(MAJOR, barred=False))
    assert _answer(run, subscribe(jti="x")).accepted


def test_there_is_room_for_so_many_subscriptions_and_messages() -> None:
    listed = {f"https://p{n}.example/": f"p{n}" for n in range(MOST_SUBSCRIPTIONS)}
    run = Run(configured(2, subscribers="any"), e.FileRead("d2", {}, listed))
    for n in range(MOST_SUBSCRIPTIONS):
        run.send(subscribe(f"https://p{n}.example/", jti=f"m{n}"))
    assert len(run.state.subscriptions) == MOST_SUBSCRIPTIONS
    assert _answer(run, subscribe()).reason == "too-many"
    assert _answer(run, subscribe("https://p7.example/", jti="m")).accepted
    run = _out()
    run.state.messages = {str(n): run.now for n in range(MOST_MESSAGES)}
    assert run.vote("stable").reason.startswith("too-many")


# -- candidates ------------------------------------------------------------------------------------


def test_a_deployment_of_the_release_playbook_moves_on_as_its_stages_do() -> None:
    run = Run()
    statuses = []
    facts: list[dict[str, Any]] = [{}, {"built": True}, {"built": True, "tested": True}]
    for fact in facts:
        run.own("running", **fact)
        statuses.append(run.state.candidates["d1"].status)
    assert statuses == [ReleaseStatus.BUILDING, ReleaseStatus.TESTING, ReleaseStatus.DEPLOYING]
    run.own("completed")
    assert run.state.candidates == {}
    assert run.state.releases[1].deployment == "d1"


def test_one_fact_at_the_end_says_all_of_it_in_one_entry() -> None:
    run = Run()
    run.own("completed")
    kinds = [type(one) for one in run.entries[-1].records]
    assert kinds == [r.CheckedIn, r.Built, r.Tested, r.Released]
    assert run.own("completed").verdict is Verdict.REPEATED
    assert run.own("failed", entry=1).verdict is Verdict.REPEATED


def test_a_candidate_that_failed_and_was_retried_is_one_again() -> None:
    run = Run()
    run.own("failed", entry=5)
    assert run.own("failed", entry=5).verdict is Verdict.REPEATED
    run.own("running", entry=6)
    run.own("failed", entry=4)
    assert list(run.state.candidates) == ["d1"]
    run.own("completed", entry=9)
    assert list(run.state.releases) == [1]


def test_what_its_deployment_does_later_changes_nothing_of_a_release() -> None:
    run = _out()
    run.own("running", entry=7)
    run.own("running", entry=7)
    assert [(one.entry, one.status) for one in run.records(r.Noted)] == [(7, "running")]
    assert list(run.state.releases) == [1]


@pytest.mark.parametrize(
    "fact",
    [
        e.Fact("d1", 2, "completed", "another", 2**60),
        e.Fact("d1", 2, "completed", "", 2**60),
        e.Fact("d1", 2, "completed", "release", 1),
        e.Fact("d1", 2, "void", "release", 2**60),
    ],
)
def test_a_deployment_of_another_playbook_or_from_before_the_node_is_no_candidate(fact: e.Fact) -> None:
    run = Run()
    assert run.send(fact).records == ()


@pytest.mark.parametrize("status", ["failed", "cancelled", "missing", "void"])
def test_a_candidate_that_ends_otherwise_is_no_release(status: str) -> None:
    run = Run()
    run.own("running")
    run.own(status)
    said = status if status in ("failed", "cancelled") else "vanished"
    assert [one.status for one in run.records(r.CandidateFailed)] == [said]
    assert (run.state.candidates, run.state.releases) == ({}, {})


def test_an_operator_publishes_a_release_once() -> None:
    run = Run()
    published = e.Publish({"version": "3.0"}, "pat", "q", "r1")
    run.send(published)
    run.send(published)
    [one] = run.records(r.Released)
    assert (one.document["new_version"], one.deployment) == ("3.0", "publish/r1")


def test_the_message_of_a_release_has_the_fields_of_the_protocol() -> None:
    document = {
        **DOCUMENT["release"],
        "project": {"id": 32, "name": "Fog", "repo_url": "https://x.example/", "maintainers": [{"name": "Pat"}]},
    }
    run = Run(configured(2, release=document))
    run.own("completed", values={"commit_title": "A title", "cdpm_chain": f"{UPSTREAM}#4"})
    said = run.records(r.Released)[0].document
    assert list(said)[:8] == ["message_type", "event", "state", "new_version", "artifacts", "id", "ref", "created_at"]
    assert (said["id"], said["new_version"], said["ref"]) == (1, "2.0", "v1")
    assert said["artifacts"] == ["https://repo.example/2.0.gem"]
    assert said["project_details"]["dependents"] == ["major", "minor"]
    assert said["deployable"]["commit"]["short_id"] == "abcdef12"
    assert (said["url"], said["chain"]) == (OWN, [f"{UPSTREAM}#4"])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x00", "\x1b[0m", "\x85", "\u2028", "\t"])
def test_values_of_several_lines_make_a_message_that_peers_take(end: str) -> None:
    text = f" one{end}two{end}"
    names = ("version", "ref", "commit", "commit_title", "commit_author_name", "commit_created_at", "commit_message")
    run = Run()
    run.own("completed", values=dict.fromkeys(names, text))
    said = run.records(r.Released)[0].document
    parsed = messages.parse(json.dumps(said).encode())
    assert isinstance(parsed, messages.NewRelease)
    assert parsed.new_version.split()[0] == "one"
    assert said["deployable"]["commit"]["message"] == text


def test_a_build_that_is_a_release_too_carries_the_chain_on() -> None:
    """So a cycle of nodes ends: the first one finds itself in the chain."""
    run = Run(
        configured(2, trials={"playbook": "inception/release"}), subscribed(), release(1, chain=["https://a.example#9"])
    )
    run.fact("completed", playbook_id="release", accepted_at=run.now, values=run.job.dynamic)
    assert run.records(r.Voted)[0].value == "stable"
    assert run.records(r.Released)[0].document["chain"] == ["https://a.example#9", f"{UPSTREAM}#1"]


def test_old_releases_and_deployments_are_forgotten_in_the_order_of_their_age() -> None:
    run = Run()
    for n in range(MOST_RELEASES + 3):
        run.own("completed", deployment=f"d{n}")
    assert list(run.state.releases) == list(range(4, MOST_RELEASES + 4))
    for n in range(MOST_HANDLED):
        run.own("failed", deployment=f"f{n}")
    assert len(run.state.handled) == MOST_HANDLED


# -- votes -----------------------------------------------------------------------------------------


def test_a_vote_the_verdict_and_what_follows_from_it_are_one_entry() -> None:
    run = _out()
    run.vote("stable")
    assert [type(one) for one in run.entries[-1].records] == [r.VoteCounted, r.Promoted, r.JobAsked]
    assert (run.job.purpose, run.job.playbook_id) == ("promoted", "next")
    dynamic = run.job.dynamic
    assert (dynamic["verdict"], dynamic["votes"]) == ("promoted", "1 stable, 0 unstable of 1")
    assert (dynamic["release_version"], dynamic["release_id"]) == ("2.0", "1")
    assert run.vote("stable").verdict is Verdict.REPEATED


def test_an_unstable_vote_demotes_what_was_promoted_and_nothing_promotes_it_again() -> None:
    run = _out()
    run.vote("stable")
    run.vote("unstable")
    assert run.state.releases[1].status is ReleaseStatus.DEMOTED
    assert run.job.playbook_id == "back"
    assert run.vote("stable").reason.startswith("changed-vote")
    assert [type(one) for one in run.records(r.Demoted)] == [r.Demoted]


@pytest.mark.parametrize(
    ("vote", "code"),
    [
        (lambda run: run.vote("stable", MINOR), "not-major"),
        (lambda run: run.vote("sideways"), "bad-message"),
        (lambda run: run.send(_cast(run)._replace(release=9)), "unknown-release"),
        (lambda run: run.send(_cast(run)._replace(created_at="2020-01-01T00:00:00Z")), "unknown-release"),
        (lambda run: run.send(_cast(run)._replace(url=MINOR)), "not-subscribed"),
        (lambda run: run.send(_cast(run)._replace(subscription="x")), "not-subscribed"),
        (lambda run: (run.vote("stable", jti="j9"), run.send(_cast(run)._replace(value="unstable")))[1], "replayed"),
    ],
)
def test_a_vote_of_who_has_none_is_refused(vote: Any, code: str) -> None:
    run = _out()
    decision = vote(run)
    assert (decision.verdict, decision.records) == (Verdict.REFUSED, ())
    assert decision.reason.partition(":")[0] == code


def _cast(run: Run) -> e.VoteReceived:
    [id] = [one.id for one in run.state.subscriptions.values() if one.url == MAJOR]
    return e.VoteReceived(MAJOR, id, 1, run.state.releases[1].created_at, "stable", "x", "j9", 1)


def test_who_is_designated_after_a_release_has_no_vote_on_it() -> None:
    run = _out()
    run.send(FILE._replace(digest="d2", majors=[MAJOR, MINOR]))
    assert run.vote("stable", MINOR).reason.startswith("not-major")
    run.own("completed", deployment="d2")
    assert run.vote("stable", MINOR).verdict is Verdict.APPLIED


def test_who_unsubscribed_has_no_vote_any_more() -> None:
    run = _out()
    vote = _cast(run)
    run.send(e.UnsubscribeAsked(MAJOR, vote.subscription, "u", 1))
    assert run.send(vote).reason.startswith("not-subscribed")


def test_votes_after_the_deadline_are_recorded_and_count_no_more() -> None:
    run = _out()
    assert machine.due(run.state, run.now) == run.now + 60_000
    run.wait(DAY)
    assert run.records(r.Undecided) == [r.Undecided(1)]
    assert run.job.playbook_id == "ask"
    run.wait(DAY)
    assert len(run.records(r.Undecided)) == 1
    run.vote("unstable")
    assert [one.counts for one in run.records(r.VoteCounted)] == [False]
    assert run.records(r.Demoted) == []


def test_a_late_verdict_on_what_was_superseded_starts_nothing_unless_the_document_says_so() -> None:
    for document, jobs in (({}, 0), ({"on_superseded": "run"}, 1)):
        run = _out(configured(2, **document))
        run.own("completed", deployment="d2")
        run.vote("unstable", n=1)
        assert run.records(r.Demoted) == [r.Demoted(1)]
        assert len(run.records(r.JobAsked)) == jobs


def test_a_share_of_the_majors_is_a_share_of_those_that_were_there() -> None:
    run = Run(configured(2, promote={"stable": "all of majors"}), FILE._replace(digest="d2", majors=[MAJOR, MINOR]))
    run.send(subscribe(MAJOR), subscribe(MINOR))
    run.own("completed")
    run.vote("stable", MAJOR)
    assert run.records(r.Promoted) == []
    run.vote("stable", MINOR)
    assert run.records(r.Promoted) == [r.Promoted(1)]


def test_all_of_no_majors_promote_nothing() -> None:
    run = Run(configured(2, promote={"stable": "all of majors", "within": "1h"}))
    run.own("completed")
    run.wait(3_601)
    assert (run.records(r.Promoted), run.records(r.Undecided)) == ([], [r.Undecided(1)])


# -- what is sent ----------------------------------------------------------------------------------


def test_a_subscriber_gets_what_follows_the_release_that_it_named() -> None:
    run = Run()
    run.own("completed", deployment="d0")
    run.send(subscribe())
    [id] = run.state.subscriptions
    for n in (1, 2, 3):
        run.own("completed", deployment=f"d{n}")
    made = {n: one.created_at for n, one in run.state.releases.items()}
    assert [one.n for one in behind(run.state, id, None)] == [2, 3, 4], "what came since it subscribed"
    assert [one.n for one in behind(run.state, id, ReleaseKey(3, made[3]))] == [4]
    assert [one.n for one in behind(run.state, id, ReleaseKey(1, made[1]))] == [2, 3, 4]
    assert [one.n for one in behind(run.state, id, ReleaseKey(9, made[2]))] == [3, 4], "a number that is not known here"
    assert [one.n for one in behind(run.state, id, ReleaseKey("x", "no time"))] == [1, 2, 3, 4]
    assert behind(run.state, "x", None) == ()
    last = behind(run.state, id, None)[-1]
    records: list[Any] = [record for one in run.entries if one.number == last.entry for record in one.records]
    assert [one.document["id"] for one in records if isinstance(one, r.Released)] == [4]


def test_a_subscriber_gets_what_came_after_it_by_the_journal_whatever_the_clocks_say() -> None:
    run = Run()
    run.wait(1_000)
    run.send(subscribe())
    [first] = run.state.subscriptions
    run.now -= 300_000
    run.own("completed", deployment="d1")
    run.send(subscribe(MINOR))
    [second] = [one for one in run.state.subscriptions if one != first]
    run.now -= 300_000
    run.own("completed", deployment="d2")
    assert [one.n for one in behind(run.state, first, None)] == [1, 2]
    assert [one.n for one in behind(run.state, second, None)] == [2]


def test_a_release_is_made_after_the_one_before_whatever_the_clock_says() -> None:
    run = Run()
    run.wait(1_000)
    run.send(*(e.Fact(id, 2, "completed", "release", run.now) for id in ("d1", "d2")))
    run.now -= 300_000
    run.own("completed", deployment="d3")
    made = [one.created_at for one in run.state.releases.values()]
    assert made == sorted(set(made))
    assert [one.document["created_at"] for one in run.records(r.Released)] == made


def test_a_subscriber_gets_only_releases_with_its_ref() -> None:
    run = Run(subscribe())
    [id] = run.state.subscriptions
    run.own("completed", values={"ref": "v2"})
    assert behind(run.state, id, None) == []


def test_a_dependent_that_the_file_names_no_more_is_sent_nothing_more() -> None:
    run = Run(subscribe(MAJOR), subscribe(MINOR), e.FileRead("d2", {}, {MAJOR: "major"}, [MAJOR]))
    assert [one.url for one in run.state.subscriptions.values()] == [MAJOR]
    [ended] = run.records(r.PeerUnsubscribed)
    assert "cdpm.yml" in ended.why


def test_subscriptions_of_strangers_end_where_a_node_takes_only_listed_dependents_from_now_on() -> None:
    run = Run(beginning=[REGISTER, configured(1, subscribers="any"), FILE])
    run.send(subscribe("https://stranger.example/cdpm.yml"), subscribe(MINOR))
    assert len(run.state.subscriptions) == 2
    run.send(e.FileRead("d2", {}, {MINOR: "minor"}, []))
    assert len(run.state.subscriptions) == 2
    run.send(configured(2))
    assert [one.url for one in run.state.subscriptions.values()] == [MINOR]


def test_a_peer_with_two_subscriptions_to_one_ref_has_one_vote() -> None:
    refs = [{"ref_type": "stable", "ref": "v1"}, {"ref_type": "tag", "ref": "v1"}]
    run = Run(beginning=[REGISTER, configured(1, refs=refs), FILE])
    run.send(e.SubscribeAsked(MAJOR, "a peer", refs, "j", START))
    run.send(e.Publish({"version": "1.0"}, "", "p1"))
    assert len(run.state.subscriptions) == 2
    assert len(run.state.releases[1].majors) == 1


def test_a_dependent_that_comes_and_goes_all_the_time_leaves_room_for_the_others() -> None:
    run = Run()
    for number in range(MOST_OF_SENDER):
        run.send(subscribe(MINOR, f"in {number}"))
        [id] = run.state.subscriptions
        run.send(e.UnsubscribeAsked(MINOR, id, f"out {number}", START))
    run.send(subscribe(MINOR, "one more"))
    assert run.decision.reason.startswith("too-many")
    run.send(subscribe(MAJOR))
    assert len(run.state.subscriptions) == 1


def test_strangers_take_no_more_than_half_of_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MOST_SUBSCRIPTIONS", 4)
    run = Run(beginning=[REGISTER, configured(1, subscribers="any"), FILE])
    for number in range(3):
        run.send(subscribe(f"https://stranger{number}.example/cdpm.yml"))
    assert run.decision.reason.startswith("too-many")
    run.send(subscribe(MAJOR), subscribe(MINOR))
    assert len(run.state.subscriptions) == 4
