"""Pipelines in tests: the events of a small node, and machines that are sent some. Must not know how they are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm import machine
from re_core.cdpm.checkpoint import to_document
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State, begin, fold
from re_core.deployment.events import TimerFired
from re_core.deployment.machine import Verdict
from re_core.deployment.records import Entry
from re_core.ports import EntryCodec
from re_core.sequencer.pipelines import Pipelines

KEY = pipeline_key("01M8NODE")
OWN, UPSTREAM, MAJOR, MINOR = (f"https://{one}.example/cdpm.yml" for one in ("own", "upstream", "major", "minor"))
DEP = "Nokogiri"
START = 1_700_000_000_000
#: when the n-th release of the dependency was made
MADE = "2023-11-14T22:{n:02d}:20.000Z"

DOCUMENT: Mapping[str, Any] = {
    "node": "inception/own",
    "source": OWN,
    "refs": [{"ref_type": "stable", "ref": "v1"}],
    "trials": {"playbook": "inception/try"},
    "release": {"playbook": "inception/release", "artifacts": ["https://repo.example/{version}.gem"]},
    "promote": {"stable": "1 of majors", "within": "24h"},
    "demote": {"unstable": 1},
    "on": {"promoted": "inception/next", "demoted": "inception/back", "undecided": "inception/ask"},
}
PLAYBOOKS = {f"inception/{one}": one for one in ("try", "release", "next", "back", "ask")}

REGISTER = e.Register("inception", "own", OWN)
CONFIGURE = e.Configure(1, DOCUMENT, PLAYBOOKS)
FILE = e.FileRead("d1", {DEP: UPSTREAM}, {MAJOR: "major", MINOR: "minor"}, [MAJOR])
BEGINNING: Sequence[e.Event] = (REGISTER, CONFIGURE, FILE)


def configured(version: int, **changes: Any) -> e.Configure:
    """The document with other parts."""
    return e.Configure(version, {**DOCUMENT, **changes}, PLAYBOOKS)


def subscribed(id: str = "s1") -> e.Subscribed:
    return e.Subscribed(DEP, id)


def release(n: int, major: bool = True, **document: Any) -> e.ReleaseReceived:
    """The n-th release of the dependency, 0 < n < 60."""
    said = {"new_version": f"1.{n}", "ref": "v1", "url": UPSTREAM, "chain": [], **document}
    return e.ReleaseReceived(DEP, n, MADE.format(n=n), said, major)


def subscribe(url: str = MAJOR, jti: str = "", ref: str = "v1") -> e.SubscribeAsked:
    return e.SubscribeAsked(url, "a peer", [{"ref_type": "stable", "ref": ref}], jti or f"sub {url}", START)


class Run:
    """One pipeline, entry by entry; each event is an entry of its own unless they are sent together."""

    def __init__(self, *events: e.Event, beginning: Sequence[e.Event] = BEGINNING) -> None:
        self.now = START
        self.state = begin(KEY)
        self.entries: list[Entry] = []
        self.decision = machine.Decision(Verdict.REPEATED)
        for event in (*beginning, *events):
            self.send(event)

    def send(self, *events: e.Event) -> machine.Decision:
        """All in one entry, a second after the last one; what the last event led to."""
        self.now += 1_000
        records: list[Any] = []
        for event in events:
            self.decision = machine.advance(self.state, event, self.now)
            records.extend(self.decision.records)
        if records:
            number = self.state.entry + 1
            self.entries.append(Entry(KEY, number, self.now, "w", tuple(records), Pipelines.kind))
            self.state.entry, self.state.entry_at = number, self.now
        return self.decision

    def wait(self, seconds: float) -> machine.Decision:
        """Time passes, and a timer comes."""
        self.now += int(seconds * 1_000) - 1_000
        return self.send(TimerFired())

    def records(self, kind: type[Any]) -> list[Any]:
        return [one for entry in self.entries for one in entry.records if isinstance(one, kind)]

    @property
    def dep(self) -> Any:
        return self.state.dependencies[DEP]

    @property
    def job(self) -> Any:
        """The job that was asked for last."""
        return max(self.state.jobs.values(), key=lambda job: job.asked)

    def answer(self, accepted: bool = True, **more: Any) -> machine.Decision:
        """The engine answers to that job."""
        return self.send(e.Created(self.job.id, accepted, **more))

    def fact(self, status: str, deployment: str = "", entry: int = 2, **more: Any) -> machine.Decision:
        """Of that job's deployment, or of another."""
        return self.send(e.Fact(deployment or self.job.id, entry, status, **more))

    def own(self, status: str, deployment: str = "d1", entry: int = 2, **more: Any) -> machine.Decision:
        """A deployment of the release playbook."""
        values = {"version": "2.0", "commit": "abcdef12", **more.pop("values", {})}
        return self.send(e.Fact(deployment, entry, status, "release", self.now, values=values, **more))

    def vote(self, value: str, url: str = MAJOR, n: int = 0, jti: str = "") -> machine.Decision:
        """Of the dependent, on the newest release."""
        one = self.state.releases[n or self.state.last]
        [id] = [one.id for one in self.state.subscriptions.values() if one.url == url] or ["none"]
        said = e.VoteReceived(url, id, one.n, one.created_at, value, "01D", jti or f"{value} {one.n}", self.now)
        return self.send(said)

    def folded(self) -> State:
        """What a core that reads the journal makes of it: every entry as it is stored."""
        return refolded(self.entries)


def reread(entry: Entry) -> Entry:
    """As a store gives it back."""
    codec = EntryCodec(Pipelines)
    document = json.loads(json.dumps(codec.to_document(entry)))
    return codec.from_document(entry.deployment, entry.number, document)


def refolded(entries: Sequence[Entry]) -> State:
    """The fold of the entries, each as a store gives it back."""
    state = begin(KEY)
    for entry in map(reread, entries):
        state = fold(state, entry.records, entry.number, entry.at)
    return state


def shown(state: State) -> Any:
    """All of it, so that two states can be compared as a store would say them."""
    rest = {"entry": state.entry, "at": state.entry_at, "checkpointed": state.checkpointed}
    return json.loads(json.dumps({**to_document(state), **rest}))
