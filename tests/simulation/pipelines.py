"""A cluster with pipelines: a library, two dependents of which one is major, in some seeds a cycle. Must not know what must hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from re_core.cdpm import events as e
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State, awaited_votes, begin, behind, fold
from re_core.cdpm.values import CLOSED, DependentStatus
from re_core.deployment import checkpoints as multiples
from re_core.ports import checkpoints
from re_core.rows import PipelineRow, StoredPlaybook
from re_core.sequencer.pipelines import Pipelines
from tests.simulation.clock import START
from tests.simulation.faults import Bias
from tests.simulation.peering import WIRE, WIRE_LASTING, Wire
from tests.simulation.pipeline_peers import FrontProcess, LinkProcess, Pair, PeerProcess
from tests.simulation.process import Process
from tests.simulation.simulated_cluster import SimulatedCluster

#: entries from one checkpoint to the next, and of one page, so that the few entries of a seed have some
EVERY, PAGE = 7, 3

#: milliseconds after which what is due must have been looked at: clocks differ, and sweepers pause
SLACK = 8_000

#: milliseconds between two turns of who stands for the operators
LOOK = 2_000

#: rules by which votes promote
RULES = ("1", "1 of majors", "all of majors", "50% of majors")


class SimNode:
    """One pipeline."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.name, self.document = name, document

    @property
    def key(self) -> str:
        return pipeline_key(self.name.upper())

    @property
    def url(self) -> str:
        return f"https://{self.name}.example/cdpm.yml"


@contextmanager
def short_journals() -> Iterator[None]:
    """A checkpoint every few entries."""
    with (
        patch.object(multiples, "EVERY", EVERY),
        patch.object(checkpoints, "EVERY", EVERY),
        patch.object(checkpoints, "PAGE", PAGE),
    ):
        yield


class PipelineCluster(SimulatedCluster):
    """See SimulatedCluster. The releases that are made say in their version who does not get along with them."""

    kinds = (Pipelines,)
    option = "--pipelines "
    settle = 15 * 60_000
    lets_sleep = True

    def __init__(self, seed: int, loud: bool = False, bias: Bias | None = None) -> None:
        super().__init__(seed, loud, bias)
        dice = self.random
        self.faults.add(WIRE, WIRE_LASTING)
        #: the library and its major dependent depend on each other
        self.cycle = dice.random() < 0.25
        self.wire = Wire(self)
        #: nothing looks at deployments for the pipelines any more: each has to look by itself
        self.watchers_gone = False
        self.nodes = [SimNode(name, _document(dice, name, self.cycle)) for name in ("lib", "app", "tool")]
        self.files: dict[str, e.FileRead] = {}
        self._write_files(1, majors=("app",))
        lib, app, tool = self.nodes
        self.pairs = [Pair(app, lib), Pair(tool, lib), *([Pair(lib, app)] if self.cycle else [])]
        self.server.playbooks = {one.id: one for node in self.nodes for one in _playbooks(dice, node.name)}
        self.server.pipelines = [
            PipelineRow(one.key.partition("/")[2], "inception", one.name, one.url, 1, {}) for one in self.nodes
        ]
        self._states: dict[str, State] = {}
        self._next_look = 0
        self.front: FrontProcess
        self.operators = Operators(self)
        self.start(self.operators)
        for role in ("front", "links"):
            self._begin(role)

    # -- what is known of the pipelines ------------------------------------------------------------

    def state(self, key: str) -> State:
        """As the journal has it."""
        entries = self.server.journal.get(key, [])
        state = self._states.setdefault(key, begin(key))
        for entry in entries[state.entry :]:
            state = fold(state, entry.records, entry.number, entry.at)
        return state

    def run(self) -> None:
        """See SimulatedCluster."""
        with short_journals():
            super().run()

    def quiet(self) -> bool:
        """See SimulatedCluster. Looked for now and then only, since it takes a while."""
        if self.time.now < self._next_look:
            return False
        self._next_look = self.time.now + LOOK // 2
        return not self.operators.commands and super().quiet() and not any(self.awaited())

    def awaited(self) -> Iterator[str]:
        """What is to follow still."""
        for node in self.nodes:
            state = self.state(node.key)
            yield from (f"{node.name} awaits job {job.id}" for job in state.jobs.values() if job.status not in CLOSED)
            yield from (f"{node.name} awaits candidate {one}" for one in state.candidates)
            for known in state.dependencies.values():
                if known.pending:
                    yield f"{node.name} awaits the build of {known.pending}"
                if awaited_votes(state, known.name):
                    yield f"{node.name} awaits answers to {known.votes}"
            yield from self._unreleased(state)
            row, now = self.server.rows.get(node.key), self.time.now + self.time.shift
            if row is None or (row.due is not None and row.due < now - SLACK):
                yield f"the row of {node.name} is due: {row}"
        for node, dependency in self.pairs:
            mine, offered = self.state(node.key).dependencies.get(dependency.name), self.state(dependency.key)
            if mine is None:
                yield f"{node.name} does not know its dependency"
            elif mine.away:
                continue
            elif mine.status is DependentStatus.INITIAL or mine.subscription not in offered.subscriptions:
                yield f"{node.name} is not subscribed to {dependency.name}"
            else:
                last = mine.seen[-1] if mine.seen else None
                yield from (f"{node.name} awaits {one}" for one in behind(offered, mine.subscription, last))

    def _unreleased(self, state: State) -> Iterator[str]:
        """Deployments of the release playbook of which the pipeline has not heard."""
        own = state.node.release.playbook
        for id in self.server.begun if own else ():
            row = self.server.rows[id]
            if row.playbook_id == own and row.created >= state.release_since and id not in state.handled:
                yield f"{state.name} has not heard of {id}"

    # -- processes ---------------------------------------------------------------------------------

    def ended(self, process: Process) -> None:
        """See SimulatedCluster."""
        if not process.name.startswith("second."):
            super().ended(process)

    def _begin(self, role: str) -> None:
        if role not in ("front", "links", "second"):
            super()._begin(role)
            return
        life = self._lives[role] = self._lives.get(role, 0) + 1
        made = FrontProcess if role == "front" else LinkProcess
        process = made(self, f"{role}.{life}")
        if isinstance(process, FrontProcess):
            self.front = process
        self.start(process)

    # -- what happens ------------------------------------------------------------------------------

    def _plan_requests(self, begin: int, end: int) -> None:
        dice = self.random
        for number in range(dice.choice((1, 2, 2, 3, 4))):
            self.at(dice.randint(begin, end), partial(self._release, number, "lib"))
        if dice.random() < 0.3:
            self.at(dice.randint(begin, end), partial(self._release, 10, "app"))
        if dice.random() < 0.3:
            at = dice.randint(begin, end)
            self.at(at, partial(self._write_files, 2, ("app", "tool")))
        if dice.random() < 0.2:
            self.at(dice.randint(begin, end), partial(self.operators.say, 0, e.Publish({"version": "9.9"})))
        if dice.random() < 0.3:
            self._plan_departure(begin, end)

    def _plan_departure(self, begin: int, end: int) -> None:
        """A dependent leaves, and in some seeds comes again."""
        dice, place = self.random, self.random.choice((1, 2))
        at = dice.randint(begin, end)
        self.at(at, partial(self.operators.say, place, e.Leave("lib")))
        if dice.random() < 0.5:
            self.at(at + dice.choice((100, 5_000, 30_000)), partial(self.operators.say, place, e.Join("lib")))

    def _happenings(self) -> dict[str, Callable[[], None]]:
        return super()._happenings() | {
            "peers away": self.wire.part,
            "watchers gone": self._lose_watchers,
            "two hold the links": self._hold_twice,
        }

    def _lose_watchers(self) -> None:
        """For good: nothing that is promised needs them, they only make it faster."""
        self.watchers_gone = True

    def _hold_twice(self) -> None:
        """Another process believes for a while that the links are its own."""
        if any(one.name.startswith("second.") for one in self.processes):
            return
        self._begin("second")
        self.after(self.faults.lasting("two hold the links"), self._hold_once)

    def _hold_once(self) -> None:
        for one in [one for one in self.processes if one.name.startswith("second.")]:
            self.kill(one)

    def _release(self, number: int, name: str) -> None:
        """An operator deploys the release playbook; before the pipeline is known that is no release."""
        [node] = [one for one in self.nodes if one.name == name]
        if not self.state(node.key).configured:
            self.after(1_000, partial(self._release, number, name))
            return
        dice = self.random
        broken = [one for one in ("app", "tool", "lib") if dice.random() < 0.3]
        version = "-".join([f"1.{number}", *broken])
        values = {"version": version, "release_version": version, "ref": "v1"}
        self.client.post(f"{name}{number}", f"{name}-release", values)

    def _write_files(self, number: int, majors: Sequence[str]) -> None:
        """The cdpm.yml of all nodes."""
        urls = {node.name: node.url for node in self.nodes}
        self.files["lib"] = e.FileRead(
            f"lib{number}",
            {"app": urls["app"]} if self.cycle else {},
            {urls["app"]: "app", urls["tool"]: "tool"},
            [urls[one] for one in majors],
        )
        self.files["app"] = e.FileRead(f"app{number}", {"lib": urls["lib"]}, {urls["lib"]: "lib"}, [urls["lib"]])
        self.files["tool"] = e.FileRead(f"tool{number}", {"lib": urls["lib"]}, {}, [])


class Operators(PeerProcess):
    """Those who set the pipelines up, and what reads the nodes' own files."""

    mortal = False

    def __init__(self, cluster: PipelineCluster) -> None:
        super().__init__(cluster, "operators")
        self._reader = self.new_reader()
        #: what is not answered yet: key, event
        self.commands: list[tuple[str, Any]] = []
        playbooks = {f"inception/{id}": id for id in cluster.server.playbooks}
        for place, node in enumerate(cluster.nodes):
            self.say(place, e.Register("inception", node.name, node.url))
            self.say(place, e.Configure(1, node.document, playbooks))
        self.add("commands", self._turn, LOOK)

    def say(self, place: int, event: Any) -> None:
        """Until it is answered, under one id."""
        self.commands.append((self.cluster.nodes[place].key, event._replace(request=self.new_id())))

    def _turn(self) -> None:
        while self.commands:
            key, event = self.commands[0]
            if not self._reader.state(key).digest and isinstance(event, e.Publish | e.Leave | e.Join):
                self.commands.append(self.commands.pop(0))
                break
            self.ask(key, event)
            self.commands.pop(0)
        for node in self.cluster.nodes:
            state, file = self._reader.state(node.key), self.cluster.files[node.name]
            if state.configured and state.digest != file.digest:
                self.ask(node.key, file)


# -- what is drawn ---------------------------------------------------------------------------------------


def _document(dice: random.Random, name: str, cycle: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "refs": [{"ref_type": "stable", "ref": "v1"}],
        "trials": {"playbook": f"inception/{name}-try", "builds": dice.choice(("newest", "all"))},
    }
    if name != "tool":
        made["release"] = {"playbook": f"inception/{name}-release"}
        made["promote"] = {"stable": dice.choice(RULES), **dice.choice(({}, {"within": "30s"}, {"within": "24h"}))}
        made["demote"] = {"unstable": 1}
        made["on"] = {"promoted": f"inception/{name}-next", "demoted": f"inception/{name}-back"}
        if "within" in made["promote"]:
            made["on"]["undecided"] = f"inception/{name}-ask"
    if cycle and name == "app":
        # what it releases is what its build of the library made
        made["trials"]["playbook"] = made["release"]["playbook"]
        made["release"]["version"] = "release_version"
    return made


def _playbooks(dice: random.Random, name: str) -> Iterator[StoredPlaybook]:
    takes = dice.choice((0, 0, 2_000, 9_000))
    tried = {"job:Try": {"who": name, "takes": takes, "dynamic": ["release_version"]}}
    quick: dict[str, Any] = {"job:Quick": {}}
    exclusive = dice.random() < 0.2
    for what in ("release", "try", "next", "back", "ask"):
        document = {
            "group": "inception",
            "name": f"{name}-{what}",
            "execution": [{"hosts": ["a"], "steps": [tried if what in ("try", "release") else quick]}],
            **({"exclusive": True} if exclusive and what == "try" else {}),
        }
        yield StoredPlaybook(f"{name}-{what}", "inception", f"{name}-{what}", 1, document, START, START, "pat")
