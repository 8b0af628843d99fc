"""Rounds of kills of what releases an app in two zones, and of what runs it there. Must not know what the engine consists of.

The oracle stands outside: what the engine has accepted, clients of both zones, a listener of broadcasts, and the list of processes.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Collection, Sequence

from tests.e2e.dploy_rig import APP, ENOUGH, Rig
from tests.e2e.engine_process import wait_until

#: seconds after a release was accepted in which something dies; a release takes about as long
LATEST = 8.0
#: the same where a release shall be under way: building one takes longer
SOON = 1.0

#: what people ask for meanwhile, and how often
ACTS = {"push": 4, "broken": 1, "configure": 2, "rollback": 1, "scale": 1, "restart": 1}


class Rounds:
    """Of one seed."""

    def __init__(self, rig: Rig, unsure: Collection[str] = ()) -> None:
        """`unsure`: parts of the engine whose death a release may fail of."""
        seed = random.randrange(2**32)
        self._unsure = unsure
        self._rig, self._seed, self.dice = rig, seed, random.Random(seed)
        self._statuses: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self._under_way = 0

    def few(self, victims: Sequence[Sequence[str]]) -> list[str]:
        """One of each kind, in any order."""
        return [self.dice.choice(among) for among in self.dice.sample(victims, len(victims))]

    def many(self, victims: Sequence[Sequence[str]], count: int) -> list[str]:
        """All of them again and again, in any order."""
        each = [one for among in victims for one in among]
        return [one for _ in range(count) for one in self.dice.sample(each, len(each))][:count]

    def play(self, victims: list[str]) -> None:
        """Kill these one after another, and look at the end of each round and at what is left of all."""
        print(f"seed {self._seed}")
        self._rig.start()
        self._rig.succeed(self._rig.push("first"))
        self._rig.await_running()
        self._rig.await_tables()
        self._rig.traffic.poll()
        for number, victim in enumerate(victims):
            self._round(number, victim, surely=not self._under_way and number == len(victims) - 1)
        self._end()
        assert self._under_way > 0, "nothing was being released at any death: the test has tested nothing"
        print(f"{dict(self._deaths)}, {self._under_way} releases under way, {dict(self._statuses)}")
        print(f"{self._rig.traffic.answered()} requests answered")

    def _round(self, number: int, victim: str, surely: bool) -> None:
        """`surely`: something is being released when it dies, since the dice have not had that happen so far."""
        rig, where = self._rig, f"seed {self._seed}, round {number}"
        act = "push" if surely or victim == "program" else self.dice.choices(list(ACTS), list(ACTS.values()))[0]
        asked = self._act(act, number)
        if victim == "program":
            wait_until("a program builds", lambda: bool(self._rig.building()) or self._is_built(asked), ENOUGH)
        moment = self.dice.uniform(0, SOON if surely or victim == "program" else LATEST)
        time.sleep(moment)  # the moment of death is the random input of this test, not a wait for something
        with rig.client() as client:
            self._under_way += any(client.apps.release(APP, one)["ended"] is None for one in asked)
        died = rig.kill(victim)
        self._deaths[died] += 1
        where = f"{where}: {act} {asked}, {died} killed after {moment:.3f} s"
        print(where)
        statuses = [rig.await_end(one) for one in asked]
        self._statuses.update(statuses)
        print(f"  {self._how(asked)}")
        rig.await_running()
        rig.await_served()
        rig.check_failures(where)
        if act == "broken":
            assert statuses == ["failed"], where
        elif died not in ("program", "all", *self._unsure):
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

    def _is_built(self, asked: list[int]) -> bool:
        with self._rig.client() as client:
            return all(client.apps.release(APP, one)["status"] not in ("pending", "building") for one in asked)

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
