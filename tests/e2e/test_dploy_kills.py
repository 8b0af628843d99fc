"""kill -9 at any moment, of agents of zones, of programs that build, and of the engine: no request of a client fails.

In `rectl up` core, center and builder are one process, and die together. The oracle stands outside: what the engine has accepted,
clients of both zones, a listener of broadcasts, and the list of processes.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.dploy_rig import APP, ENOUGH, Rig
from tests.e2e.engine_process import wait_until

#: seconds after a release was accepted in which something dies; a release takes about as long
LATEST = 8.0

#: what dies: agents, a program of a build, the engine under its supervisor, both, all of these; and what dies in each run of the tests
AGENTS = {"eu": ["eu"], "us": ["us"], "both": ["eu", "us"], "all": ["eu", "us"]}
VICTIMS = (*AGENTS, "build", "core", "engine")
FEW = (("eu", "us", "both"), ("build",), ("core", "engine"), ("all",))

#: what people ask for meanwhile, and how often
ACTS = {"push": 4, "broken": 1, "configure": 2, "rollback": 1, "scale": 1, "restart": 1}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_kills_at_random_moments_lose_no_request_and_no_release(rig: Rig) -> None:
    """A few rounds, each with another victim."""
    rounds = _Rounds(rig, random.randrange(2**32))
    rounds.play([rounds.dice.choice(among) for among in rounds.dice.sample(FEW, len(FEW))])


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_lose_no_request_and_no_release(rig: Rig) -> None:
    """The same, for long."""
    rounds = _Rounds(rig, random.randrange(2**32))
    rounds.play([victim for _ in range(8) for victim in rounds.dice.sample(VICTIMS, len(VICTIMS))][:50])


class _Rounds:
    """Of one seed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._rig, self._seed, self.dice = rig, seed, random.Random(seed)
        self._statuses: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self._under_way = 0

    def play(self, victims: list[str]) -> None:
        """Kill these one after another, and look at the end of each round and at what is left of all."""
        print(f"seed {self._seed}")
        self._rig.start()
        self._rig.succeed(self._rig.push("first"))
        self._rig.await_running()
        self._rig.traffic.poll()
        for number, victim in enumerate(victims):
            self._round(number, victim)
        self._end()
        assert self._under_way > 0, "nothing was being released at any death: the test has tested nothing"
        print(f"{dict(self._deaths)}, {self._under_way} releases under way, {dict(self._statuses)}")
        print(f"{self._rig.traffic.answered()} requests answered")

    def _round(self, number: int, victim: str) -> None:
        rig, where = self._rig, f"seed {self._seed}, round {number}"
        act = "push" if victim == "build" else self.dice.choices(list(ACTS), list(ACTS.values()))[0]
        asked = self._act(act, number)
        if victim == "build":
            wait_until("a program builds", lambda: bool(self._rig.building()) or self._is_built(asked), ENOUGH)
        moment = self.dice.uniform(0, 1.0 if victim == "build" else LATEST)
        time.sleep(moment)  # the moment of death is the random input of this test, not a wait for something
        with rig.client() as client:
            self._under_way += any(client.apps.release(APP, one)["ended"] is None for one in asked)
        died = self._kill(victim)
        self._deaths[died] += 1
        where = f"{where}: {act} {asked}, {died} killed after {moment:.3f} s"
        print(where)
        statuses = [rig.await_end(one) for one in asked]
        self._statuses.update(statuses)
        print(f"  {self._how(asked)}")
        rig.await_running()
        rig.await_served()
        assert rig.traffic.failures() == [], where
        if act == "broken":
            assert statuses == ["failed"], where
        elif died in ("eu", "us", "both", "nothing"):
            # an agent that comes back goes on with its order
            assert set(statuses) <= {"succeeded"}, f"{where}: {self._how(asked)}"

    def _act(self, act: str, number: int) -> list[int]:
        """The releases that the engine has accepted for it."""
        rig = self._rig
        if act == "push":
            return [rig.push(f"edition-{number}")]
        if act == "broken":
            return [rig.push(f"broken-{number}", "exec python3 -c 'raise SystemExit(3)'")]
        with rig.client() as client:
            if act == "configure":
                return [rig.take(client.apps.configure(APP, {"GREETING": f"round-{number}"}))]
            if act == "rollback":
                good = [one for one in client.apps.releases(APP) if one["status"] == "succeeded" and not one["current"]]
                return [rig.take(client.apps.rollback(APP, self.dice.choice(good)["release"]))] if good else []
            if act == "scale":
                client.apps.scale(APP, {"web": self.dice.randint(1, 3)})
            else:
                client.apps.restart(APP)
        return []

    def _kill(self, victim: str) -> str:
        """What was killed, and runs again."""
        rig = self._rig
        if victim == "build":
            found = rig.building()
            return self._killed(self.dice.choice(found)) if found else "nothing"
        for name in AGENTS.get(victim, ()):
            rig.zones[name].kill()
        if victim in ("engine", "all"):
            rig.engine.kill_everything()
        elif victim == "core":
            rig.engine.kill_worker()
        for name in AGENTS.get(victim, ()):
            rig.zones[name].start()
        if victim in ("engine", "all"):
            rig.engine.start()
        elif victim == "core":
            rig.engine.await_ready()
        return victim

    def _is_built(self, asked: list[int]) -> bool:
        with self._rig.client() as client:
            return all(client.apps.release(APP, one)["status"] not in ("pending", "building") for one in asked)

    def _killed(self, process: psutil.Process) -> str:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return "nothing"
        return "build"

    def _end(self) -> None:
        rig = self._rig
        with rig.client() as client:
            rows = {one["release"]: one for one in client.apps.releases(APP)}
            count = client.apps.one(APP)["formation"]["web"]
        assert set(rig.accepted) <= set(rows)
        assert sorted(rows) == list(range(1, max(rows) + 1))
        assert {one["status"] for one in rows.values()} <= {"succeeded", "failed"}
        rig.await_instances(count)
        rig.traffic.rest()
        rig.check_answers()
        rig.check_ends()
        rig.destroy()
        wait_until("no program of a build is left", lambda: not rig.building(), ENOUGH)

    def _how(self, asked: list[int]) -> list[str]:
        """They ended."""
        with self._rig.client() as client:
            found = [client.apps.release(APP, one) for one in asked]
        return [" ".join((f"v{one['release']}", one["status"], one["stage"], one["why"])).rstrip() for one in found]
