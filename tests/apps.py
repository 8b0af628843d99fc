"""Apps in tests: the events of a small shop, and machines that are sent some. Must not know how they are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.apps import events as e
from re_core.apps import machine
from re_core.apps.checkpoint import to_document
from re_core.apps.names import app_key
from re_core.apps.state import State, begin, fold
from re_core.deployment.events import TimerFired
from re_core.deployment.machine import Verdict
from re_core.deployment.records import Entry
from re_core.jobs.words import Created
from re_core.ports import EntryCodec
from re_core.sequencer.apps import Apps

ID = "01M8APP0000000000000000000"
KEY = app_key(ID)
START = 1_700_000_000_000
EU, US = "eu", "us"

REGISTER = e.Register("web", "shop", [EU, US], "ann")


def build(n: int = 1, **more: Any) -> e.Build:
    """The n-th push."""
    return e.Build(f"artifact:web/source-{n}", f"{n:040x}", f"push-{n}", user="ann", source="git", **more)


def configure(base: str, config: str, *names: str, **more: Any) -> e.Configure:
    return e.Configure(base, config, names or ("GREETING",), broadcast_id=f"set-{config}", user="ann", **more)


def payload(n: int, **more: Any) -> dict[str, Any]:
    """What a builder says of the n-th payload."""
    processes = {"web": "gunicorn app:app", "worker": "python work.py"}
    said = {"artifact": f"a-{n}", "digest": f"{n:064x}", "size": 1_000, "crc": n, "length": 3_000}
    return {**said, "processes": processes, "python": "3.13", "release": "python migrate.py", **more}


class Shop:
    """One app, entry by entry; each event is an entry of its own unless they are sent together."""

    def __init__(self, *events: e.Event, beginning: Sequence[e.Event] = (REGISTER,)) -> None:
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
            self.entries.append(Entry(KEY, number, self.now, "w", tuple(records), Apps.kind))
            self.state.entry, self.state.entry_at = number, self.now
        return self.decision

    def wait(self, seconds: float) -> machine.Decision:
        """Time passes, and a timer comes."""
        self.now += int(seconds * 1_000) - 1_000
        return self.send(TimerFired())

    def refused(self, event: e.Event) -> str:
        """The code with which the event is refused; empty where it is not."""
        return self.send(event).reason.partition(":")[0]

    def answer(self, event: Any) -> e.Answer:
        """What its caller hears."""
        effects = self.send(event._replace(reply_to="probe", request=event.request or "r")).effects
        [answer] = [one for one in effects if isinstance(one, e.Answer)]
        return answer

    def records(self, kind: type[Any]) -> list[Any]:
        return [one for entry in self.entries for one in entry.records if isinstance(one, kind)]

    @property
    def last(self) -> Any:
        """The newest version."""
        return self.state.versions[self.state.last]

    @property
    def job(self) -> Any:
        """The release job that goes on."""
        return self.state.jobs[self.state.versions[self.state.active].job]

    # -- what a release does -----------------------------------------------------------------------

    def created(self, accepted: bool = True, **more: Any) -> machine.Decision:
        return self.send(Created(self.job.id, accepted, **more))

    def fact(self, status: str, reason: str = "", job: str = "") -> machine.Decision:
        return self.send(e.Fact(job or self.job.id, status, reason))

    def step(self, kind: Any, *more: Any, **named: Any) -> machine.Decision:
        """A step of the job that goes on says something of its version."""
        return self.send(kind(self.job.version, self.job.id, *more, **named))

    def prepare(self) -> None:
        self.created()
        self.step(e.Prepared)

    def ready(self) -> None:
        """Up to the moment before the decision."""
        self.prepare()
        active = self.state.versions[self.state.active]
        if active.payload is None:
            self.step(e.Built, **payload(active.number))
        for zone in active.zones:
            self.step(e.Ready, zone)

    def release(self) -> None:
        """The version whose turn it is succeeds."""
        self.ready()
        self.step(e.Commit)
        for zone in self.job.zones:
            self.step(e.Switched, zone)
        self.fact("completed")

    def push(self, n: int) -> None:
        """A push that becomes the current version."""
        self.send(build(n))
        self.release()

    # -- the journal -------------------------------------------------------------------------------

    def folded(self) -> State:
        """What a core that reads the journal makes of it: every entry as it is stored."""
        return refolded(self.entries)


def reread(entry: Entry) -> Entry:
    """As a store gives it back."""
    codec = EntryCodec(Apps)
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
