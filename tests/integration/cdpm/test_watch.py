"""What a core does for its nodes beside links: facts on deployments, stages of candidates, time, files of its own. A real core each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from re_core.cdpm import asking
from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.values import ReleaseStatus
from re_core.ports import ViewFilter
from re_core.services import cdpm_files, cdpm_watch
from re_core.services.cdpm_watch import Watcher
from re_core.usecases.cdpm import key_book
from tests.integration.cdpm.node import GROUP, Node

MAJOR = "https://major.example/cdpm.yml"

ON = {"promoted": f"{GROUP}/next", "demoted": f"{GROUP}/back", "undecided": f"{GROUP}/ask"}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.close()


def _begin(node: Node, monkeypatch: pytest.MonkeyPatch, **document: Any) -> None:
    node.start(monkeypatch)
    node.register({}, [MAJOR], **document)


def _publish(node: Node, gates: bool = True) -> str:
    """A person releases; the deployment's id."""
    for gate in ("built", "tested") if gates else ():
        node.trying.open.add(gate)
    return node.deploy("release", version="2.0")


def _subscription(node: Node) -> str:
    """Of a major dependent."""
    node.wait(lambda: node.state().majors == (MAJOR,))
    refs = [{"ref_type": "stable", "ref": "v1"}]
    return node.tell(e.SubscribeAsked(MAJOR, "major", refs, "j0", node.clock.now())).subscriptions[0]


def _started(node: Node, playbook: str) -> list[tuple[str, str]]:
    """User and status of its deployments."""
    rows = node.store.views(ViewFilter(playbook_id=playbook), 10).rows
    return [(row.user, row.status.value) for row in rows]


def _vote(node: Node, subscription: str, value: str) -> None:
    [one] = node.state().releases.values()
    said = e.VoteReceived(MAJOR, subscription, one.n, one.created_at, value, "d", f"j {value}", node.clock.now())
    node.tell(said)


def test_a_deployment_of_the_release_playbook_becomes_a_release(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    _begin(node, monkeypatch)
    id = _publish(node)
    node.wait(lambda: node.records(r.Released))
    assert [(one.deployment, one.document["new_version"]) for one in node.records(r.Released)] == [(id, "2.0")]
    assert [one.deployment for one in node.records(r.CheckedIn)] == [id]


def test_a_deployment_of_it_that_fails_becomes_none(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    _begin(node, monkeypatch)
    node.trying.bad.add("2.0")
    id = _publish(node)
    node.wait(lambda: node.records(r.CandidateFailed))
    assert [(one.deployment, one.status) for one in node.records(r.CandidateFailed)] == [(id, "failed")]
    assert node.records(r.Released) == []


def test_stages_of_the_release_playbook_move_the_candidate(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdpm_watch, "STAGES", 0.05)
    _begin(node, monkeypatch, release={"playbook": f"{GROUP}/release", "built": 1, "tested": 2})
    id = _publish(node, gates=False)
    for gate, before, after in (
        ("built", ReleaseStatus.BUILDING, ReleaseStatus.TESTING),
        ("tested", ReleaseStatus.TESTING, ReleaseStatus.DEPLOYING),
    ):
        node.wait(lambda: id in node.state().candidates)
        assert node.state().candidates[id].status is before
        node.trying.hold.clear()  # the last stage
        node.trying.open.add(gate)
        node.wait(lambda after=after: node.state().candidates[id].status is after)  # type: ignore[misc]
    assert node.records(r.Released) == []
    node.trying.hold.set()
    node.wait(lambda: node.records(r.Released))
    assert [type(one) for one in node.records(r.CheckedIn, r.Built, r.Tested, r.Released)] == [
        r.CheckedIn,
        r.Built,
        r.Tested,
        r.Released,
    ]


def test_without_a_single_hint_all_of_it_comes_by_the_clock(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watcher, "_on_message", lambda *_: None)
    for module in (asking, __import__("re_core.cdpm.machine", fromlist=["machine"])):
        monkeypatch.setattr(module, "LOOK_AFTER", 200)
    _begin(node, monkeypatch)
    id = _publish(node)
    node.wait(lambda: node.records(r.Released))
    assert [one.deployment for one in node.records(r.Released)] == [id]


@pytest.mark.parametrize(
    ("value", "verdict", "playbook"), [("stable", r.Promoted, "next"), ("unstable", r.Demoted, "back")]
)
def test_a_vote_starts_what_follows_the_verdict(
    node: Node, monkeypatch: pytest.MonkeyPatch, value: str, verdict: type[Any], playbook: str
) -> None:
    _begin(node, monkeypatch, promote={"stable": 1}, demote={"unstable": 1}, on=ON)
    subscription = _subscription(node)
    _publish(node)
    node.wait(lambda: node.records(r.Released))
    _vote(node, subscription, value)
    node.wait(lambda: _started(node, playbook) == [(f"cdpm:{GROUP}/app", "completed")])
    assert node.records(r.Promoted, r.Demoted, r.Undecided) == [verdict(1)]
    node.wait(lambda: [one.status for one in node.records(r.JobEnded)] == ["completed"])


def test_a_release_whose_time_is_over_is_undecided_and_that_starts_its_playbook(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(node, monkeypatch, promote={"stable": 1, "within": "1s"}, on=ON)
    subscription = _subscription(node)
    _publish(node)
    node.wait(lambda: _started(node, "ask") == [(f"cdpm:{GROUP}/app", "completed")])
    assert node.records(r.Undecided) == [r.Undecided(1)]
    _vote(node, subscription, "stable")
    assert [one.counts for one in node.records(r.VoteCounted)] == [False]
    assert (node.records(r.Promoted), _started(node, "next")) == ([], [])


def test_what_a_node_awaited_when_its_engine_ended_comes_after_its_start(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(node, monkeypatch)
    id = _publish(node, gates=False)
    node.wait(lambda: id in node.state().candidates)
    node.stop()
    for gate in ("built", "tested"):
        node.trying.open.add(gate)
    node.start(monkeypatch)
    node.wait(lambda: node.records(r.Released))
    assert [one.deployment for one in node.records(r.Released)] == [id]


# -- the own file ------------------------------------------------------------------------------------


def test_the_own_file_is_read_at_the_start_and_again_from_time_to_time(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdpm_files, "AGAIN", 0.1)
    monkeypatch.setattr(key_book, "FRESH", 50)
    _begin(node, monkeypatch)
    node.wait(lambda: len(node.records(r.FileKnown)) == 1)
    dependents = {"major": {"url": MAJOR}, "minor": {"url": f"{MAJOR}2", "major": False}}
    node.write({"Lib": "https://lib.example/cdpm.yml"}, Dependents=dependents)
    node.wait(lambda: len(node.records(r.FileKnown)) == 2)
    state = node.state()
    assert (state.dependents, state.majors) == ({MAJOR: "major", f"{MAJOR}2": "minor"}, (MAJOR,))
    assert [one.url for one in state.dependencies.values()] == ["https://lib.example/cdpm.yml"]


def test_a_node_whose_file_has_the_key_of_another_is_not_ready_and_takes_nothing_from_it(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdpm_files, "RETRY", 0.1)
    monkeypatch.setattr(key_book, "FRESH", 50)
    own, node.kid = node.kid, node.rotate()
    node.write({})
    node.store.drop_key("01M8NODE000000000000000000", node.kid)
    node.start(monkeypatch)
    write, node.write = node.write, lambda *_, **__: None  # type: ignore[method-assign]
    node.register({})
    node.wait(lambda: "is none of this pipeline's" in "".join(node.core.unready().values()))
    assert node.records(r.FileKnown) == []
    node.kid = own
    write({})
    node.wait(lambda: node.records(r.FileKnown) and not node.core.unready())


def test_a_node_that_is_removed_is_left_alone(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdpm_files, "AGAIN", 0.05)
    _begin(node, monkeypatch)
    node.wait(lambda: node.records(r.FileKnown))
    node.tell(e.Remove("ann"))
    entries = node.state().entry
    (node.files / "app.yml").unlink()
    _publish(node)
    node.wait(lambda: _started(node, "release") == [("ann", "completed")])
    node.wait(
        lambda: node.core.unready() == {}
    )  # a look that was under way when it was removed says so, until the next
    assert node.state().entry == entries
