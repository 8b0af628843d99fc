"""An app in a real sequencer: what is pushed is built, decided and run once, whatever dies when."""

from __future__ import annotations

import contextlib
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_core.apps.words import event_message
from re_core.errors import TransientError
from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import ViewFilter
from re_core.ports.standing import standing
from re_core.sequencer.apps import Apps
from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.apps import EU, ID, KEY, REGISTER, US, build, configure, payload
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import Death
from tests.integration.core_loop.scripted_workers import Held, ReplyProbe, ScriptedWorker

#: what people send; each asks again until it is answered
SAID: tuple[Any, ...] = (REGISTER, configure("", "c1"), build(1), configure("c1", "c2"), e.RunCommand("ls", "ann"))

#: the version that does not become ready
BAD = 2

_ALL = ViewFilter()


class Steps:
    """What the steps of center and builder say to the app; a step ends when all of it was answered."""

    def __init__(self, harness: ShopHarness, worker: ScriptedWorker) -> None:
        self._bus, self._worker = harness.bus, worker
        self._probe = ReplyProbe(harness.bus, f"re.center.{worker.name}")
        self._asked: set[str] = set()
        self._answers: dict[str, Any] = {}
        worker.may_end = self.may_end

    def may_end(self, attempt: str) -> bool:
        for one in self._probe.hear():
            self._answers[one.id.removesuffix("/answer")] = strict_json.loads(one.body)
        held = self._worker.running[attempt]
        arguments = m.parse_step(held.delivery.message.body).parameters
        if (held.subcommand, arguments.get("version")) == ("Deploy", BAD):
            self._worker.end(attempt, {"status": "failed", "message": "web.1 did not listen"})
            return False
        for place, event in enumerate(_said_by(held)):
            id = f"{attempt}/{place}"
            if id not in self._asked:
                self._asked.add(id)
                self._bus.publish([event_message(KEY, event._replace(reply_to=self._probe.name, request=id))])
            if id not in self._answers:
                return False
            if not self._answers[id]["accepted"]:
                self._worker.end(attempt, {"status": "failed", "message": self._answers[id]["detail"]})
                return False
        return True


def _said_by(held: Held) -> list[Any]:
    message = held.delivery.message
    arguments = m.parse_step(message.body).parameters
    job = m.parse_attempt(message.headers[m.ATTEMPT]).deployment
    version = arguments.get("version", 0)
    said: dict[str, list[Any]] = {
        "Prepare": [e.Prepared(version, job)],
        "Build": [e.Built(version, job, **payload(version))],
        "Deploy": [e.Ready(version, job, arguments["hosts"][0])],
        "Commit": [e.Commit(version, job), *(e.Switched(version, job, zone) for zone in (EU, US))],
        "Run": [e.Ran(arguments.get("run", 0), job, 0)],
    }
    return said[held.subcommand]


class ShopHarness(CoreHarness):
    """A core, and a worker that plays center and builder."""

    def __init__(self, directory: Path, shared: bool | None = None, **more: Any) -> None:
        super().__init__(directory, shared=shared, kinds=(Apps,), commands=("dploy",), **more)
        self.faults.more = ("rows", "views")

    def new_worker(self, name: str) -> ScriptedWorker:
        worker = super().new_worker(name)
        Steps(self, worker)
        return worker

    def say_to(self, *events: Any, key: str = KEY) -> None:
        for place, event in enumerate(events):
            asked = event._replace(reply_to=self.probe.name, request=f"{type(event).__name__} {place}")
            self.bus.publish([event_message(key, asked)._replace(expires=4_500)])

    def heard(self) -> dict[str, Any]:
        """Id of an answer -> what it says."""
        return {one.id.removesuffix("/answer"): strict_json.loads(one.body) for one in self.probe.hear()}

    def app(self, key: str = KEY) -> State:
        kind: Any = self.core._kinds.of(key)
        state: State = kind.load(self.store, key, self.clock.now(), [])
        return state

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for entry in self.store.entries(KEY) for one in entry.records if isinstance(one, kind)]


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """Builds harnesses, and closes them."""
    built: list[ShopHarness] = []

    def new(**more: Any) -> ShopHarness:
        place = tmp_path / f"shop{len(built)}"
        place.mkdir()
        built.append(ShopHarness(place, **more))
        return built[-1]

    yield new
    for one in built:
        one.store.close()


def _play(harness: ShopHarness) -> None:
    """Everything is asked for, one after the other."""
    for event in SAID:
        harness.say_to(event)
        harness.settle()
    for _ in range(3):
        harness.wait(61)


def _check(harness: ShopHarness) -> None:
    state = harness.app()
    assert [one.version for one in harness.of(r.Queued)] == [1, 2]
    assert harness.of(r.Committed) == [r.Committed(1, {"web": 1, "worker": 0})]
    assert [(one.version, one.stage) for one in harness.of(r.Failed)] == [(2, "deploy")]
    assert len(harness.of(r.Built)) == 1
    assert (state.current, state.active, state.pending, state.config.id) == (1, 0, (), "c1")
    assert {one.n for one in harness.of(r.RunAsked)} == {one.n for one in harness.of(r.RunEnded)} == {1}
    for job in state.jobs.values():
        assert standing(harness.store, job.id).status == job.result
    begun = [row.id for row in harness.store.views(_ALL, 50).rows]
    assert sorted(begun) == sorted(state.jobs), "a job has begun twice"
    assert harness.dead() == []


def test_the_next_version_begins_at_once_when_a_deployment_has_ended(shop: Any) -> None:
    harness = shop()
    harness.say_to(REGISTER, build(1), build(2), build(3))
    harness.settle()
    assert [str(one.status) for one in harness.app().versions.values()] == ["succeeded", "failed", "succeeded"]
    assert harness.app().active == 0, "it looks in a minute"
    assert harness.dead() == []


@pytest.mark.parametrize("shared", [None, True])
def test_what_is_pushed_runs_though_the_ends_of_its_deployments_are_told_to_none(
    shop: Any, monkeypatch: pytest.MonkeyPatch, shared: bool | None
) -> None:
    monkeypatch.setattr("re_core.sequencer.deployments.reports_of", lambda state, entry: [])
    harness = shop(shared=shared)
    _play(harness)
    _check(harness)
    state = harness.app()
    assert "web.1 did not listen" in state.versions[2].why
    accepted = harness.state(state.versions[1].job).accepted
    assert (accepted.group, accepted.playbook_id, accepted.revision) == ("web", "dploy/shop", 1)
    assert (accepted.user, accepted.source) == ("ann", "git")
    assert state.runs[1].code == 0


def _calls(shop: Any, shared: bool | None) -> int:
    harness = shop(shared=shared)
    before = harness.faults.total
    _play(harness)
    return int(harness.faults.total - before)


#: shared bus, rows in the transaction of the entry
MODES = pytest.mark.parametrize(
    ("shared", "transactional"),
    [(None, True), (True, True), (True, False)],
    ids=["one process", "many processes", "rows beside the journal"],
)


@MODES
@pytest.mark.parametrize(
    ("after", "death"),
    [(True, True), (False, False), (True, False)],
    ids=["the last call of a process", "a call that fails", "a call that fails after it was carried out"],
)
def test_whichever_call_fails_or_is_the_last_each_version_is_decided_once(
    shop: Any, monkeypatch: pytest.MonkeyPatch, shared: bool | None, transactional: bool, after: bool, death: bool
) -> None:
    """Every crash between two stages is among them: one before a call is one after the call before it. Of the calls that only
    fail each other one is tried before it did anything, and the rest after.
    """
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", transactional)
    calls = _calls(shop, shared)
    assert calls > 40
    for number in range(1, calls + 1) if death else range(1 + after, calls + 1, 2):
        harness = shop(shared=shared)
        harness.faults.fail(number, after, death)
        with contextlib.suppress(Death, TransientError):
            _play(harness)
        harness.faults.heal()
        if death:
            harness.restart()
        _play(harness)
        _check(harness)
        harness.store.close()


# -- what is asked of admission ------------------------------------------------------------------------

_RELEASE = {"app_id": ID, "version": 1, "zones": [EU], "build": True}


def test_no_one_but_an_app_can_start_the_playbook_of_an_app(shop: Any) -> None:
    harness = shop()
    harness.ask("d1", "dploy/shop", group="web", dynamic=_RELEASE)
    harness.ask("d2", "dploy/shop", group="web", dynamic=_RELEASE, headers={m.ASKER: "pipeline/x"})
    harness.ask("d3", "dploy/shop", group="web", dynamic={"app_id": ID}, headers={m.ASKER: KEY})
    harness.settle()
    assert harness.answers() == [(None, "unknown-playbook")] * 3
    assert [harness.store.entries(id) for id in ("d1", "d2", "d3")] == [[], [], []]


def test_a_group_that_may_use_few_commands_may_be_pushed_to(shop: Any) -> None:
    """The text of the playbook is the engine's, not that of an author of the group."""
    harness = shop(around=EnginePolicy(commands=CommandRules({"web": ("noop",)})))
    harness.say_to(REGISTER, build(1))
    harness.settle()
    harness.wait(61)
    assert harness.app().current == 1


def test_what_the_settings_put_around_every_deployment_is_around_a_release_too(shop: Any) -> None:
    check: dict[str, Any] = {
        "NAME": "calm",
        "COMMAND": "dploy",
        "SUBCOMMAND": "Hang",
        "PARAMETERS": {},
        "EXPECTATION": None,
    }
    harness = shop(around=EnginePolicy(checks=[check]))
    harness.say_to(REGISTER, build(1))
    harness.settle()
    [job] = harness.app().jobs
    assert [one.spec.name for one in harness.state(job).plan.steps][:2] == ["dploy:Hang", "dploy:Prepare"]


def test_an_app_that_begins_once_more_is_released_in_its_own_zones(shop: Any) -> None:
    """Its first version has the number that the first of the one before had."""
    harness, again = shop(), app_key("01M8APP0000000000000000001")
    harness.say_to(REGISTER, build(1))
    harness.settle()
    harness.say_to(REGISTER._replace(zones=["mars"]), build(1), key=again)
    harness.settle()
    hosts = [
        {one.host for one in harness.state(job).plan.steps if one.spec.name == "dploy:Deploy"}
        for key in (KEY, again)
        for job in harness.app(key).jobs
    ]
    assert hosts == [{EU, US}, {"mars"}]


def test_a_release_of_an_app_is_not_retried(shop: Any) -> None:
    harness = shop()
    _play(harness)
    job = harness.app().versions[2].job
    assert harness.state(job).status == "failed"
    harness.probe.hear()
    harness.retry(job)
    harness.settle()
    [answer] = harness.probe.hear()
    assert "a release of an app is not retried: rectl apps releases retry shop" in str(answer)
    assert harness.state(job).retries == 0


# -- messages ------------------------------------------------------------------------------------------


def test_every_caller_is_answered(shop: Any) -> None:
    harness = shop()
    harness.say_to(REGISTER, build(1), e.Rollback(7), e.Restart())
    harness.say_to(e.Destroy(), key=app_key("none"))
    harness.settle()
    said = harness.heard()
    assert said["Register 0"] == {"accepted": True}
    assert said["Build 1"] == {"accepted": True, "version": 1, "broadcast_id": "push-1"}
    assert said["Rollback 2"]["detail"] == "release 7 of shop not found"
    assert (said["Restart 3"]["reason"], said["Destroy 0"]["reason"]) == ("nothing-runs", "unknown-app")


def test_a_message_that_an_app_cannot_read_is_a_dead_letter(shop: Any) -> None:
    harness = shop()
    for place, (event, body) in enumerate((("build", {}), ("scale", {"formation": {"web": "2"}}), ("nonsense", {}))):
        harness.say(KEY, event, body, id=f"x{place}")
    harness.settle()
    assert len(harness.dead()) == 3
    assert harness.store.entries(KEY) == []


def test_listeners_hear_of_every_entry_and_of_what_happened(shop: Any) -> None:
    harness = shop()
    heard: Queue[Any] = Queue()
    stop = harness.bus.listen(heard.put)
    harness.say_to(REGISTER, build(1))
    harness.settle()
    wanted = {"event.app.registered", "event.app.queued", "event.app.committed", m.JOURNAL_GREW}
    while wanted:
        message = heard.get(timeout=10)
        if message is not None and message.correlation_id == KEY:
            wanted.discard(message.key)
    stop()


def test_a_job_is_asked_for_under_its_own_id_and_does_not_expire(shop: Any) -> None:
    harness = shop()
    harness.say_to(REGISTER, build(1))
    harness.core.turn(0)
    [asked] = harness.of(r.JobAsked)
    kind: Any = harness.core._kinds.of(KEY)
    [message] = kind.encode(harness.app(), [e.AskDeployment(asked.job)] * 2, None)
    assert (message.key, message.id, message.headers[m.ASKER]) == ("job.create", asked.job, KEY)
    assert message.expires is None, "what is late is taken back, and its id never begins anything again"
    [row] = harness.store.rows([KEY])
    assert row.due is not None
    assert row.due <= harness.clock.now() + 10_000


def test_a_push_that_was_written_down_is_released_though_its_message_never_comes_again(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core dies right after the append, on a store that writes rows beside the journal, and the message has expired."""
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", False)
    harness = shop(shared=True)
    harness.say_to(REGISTER)
    harness.settle()
    harness.say_to(build(1))

    def die(name: str, call: int) -> None:
        if name == "append":
            raise Death

    harness.faults.after = die
    with pytest.raises(Death):
        harness.core.turn(0)
    harness.faults.heal()
    harness.boot()
    assert len(harness.of(r.JobAsked)) == 1
    for _ in range(5):
        harness.wait(61)
    assert harness.app().current == 1
