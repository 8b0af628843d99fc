"""Pipelines of three projects, each on an engine of its own: they release, build, vote, promote and demote over TLS."""

from __future__ import annotations

import ast
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e import independent_subscriber
from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import PATIENCE
from tests.e2e.engine_process import EngineProcess, wait_until
from tests.e2e.pipeline_cluster import cluster_engine
from tests.e2e.pipeline_network import Network, network
from tests.e2e.pipeline_projects import BAD, REF, Project, dependent, library
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB
from tests.services.recipe import Place

SUBSCRIBER = Path(independent_subscriber.__file__)

#: of the independent subscriber, all counted
LINES = 150

#: what a peer in Python may use beside its standard library
PLAIN = {"cryptography", "websockets", "yaml"}

#: seconds after the begin of a release in which an engine dies; until the votes are counted it takes about as long
LATEST = 0.5

#: seconds in which all is made up for after a death: what was lost on the way is looked at, or sent again, after a minute, and a
#: link whose connections keep breaking waits up to five
MADE_UP = 420.0


class Projects(NamedTuple):
    """A library, and two projects that build with it; only the votes of the first count."""

    fog: Project
    rails: Project
    sinatra: Project


@pytest.fixture
def web(nginx: Place) -> Iterator[Network]:
    with network(nginx, *Projects._fields) as made:
        yield made


@pytest.fixture
def projects(web: Network, new_engine: MakeEngine) -> Projects:
    """All subscribed to the library."""
    return _subscribed(web, new_engine)


def _subscribed(web: Network, new_engine: Callable[[], EngineProcess]) -> Projects:
    made = Projects(*(Project(name, web, new_engine()) for name in Projects._fields))
    for one in made:
        one.engine.spawn()
    for one in made:
        one.engine.await_ready()
        one.create(**(library() if one is made.fog else dependent(one.name)))
    list_dependents(made)
    for one in (made.rails, made.sinatra):
        one.commit({"fog": made.fog.source})
        one.refresh()
    for one in (made.rails, made.sinatra):
        one.await_joined()
    return made


def list_dependents(projects: Projects, **others: dict[str, Any]) -> None:
    """Commit the library's dependents, and let its engine know them: it refuses the subscriptions of all others."""
    fog, rails, sinatra = projects
    listed: dict[str, dict[str, Any]] = {
        "rails": {"url": rails.source},
        "sinatra": {"url": sinatra.source, "major": False},
    }
    fog.commit(dependents={**listed, **others})
    fog.refresh()


def test_the_independent_subscriber_is_short_and_has_nothing_of_the_engine() -> None:
    text = SUBSCRIBER.read_text()
    assert len(text.splitlines()) <= LINES
    used = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            used |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            used.add("." * node.level + (node.module or "").partition(".")[0])
    assert used - sys.stdlib_module_names == PLAIN


# -- votes -----------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_release_that_builds_is_promoted_and_one_that_breaks_its_dependents_is_rolled_back(
    projects: Projects,
) -> None:
    fog, rails, sinatra = projects
    fog.release("1.0")
    fog.await_line("followed", "1.0 promoted")
    fog.release("1.1-bad")
    fog.await_line("followed", "1.1-bad demoted")
    assert fog.wrote("followed") == ["1.0 promoted", "1.1-bad demoted"]
    for one in (rails, sinatra):
        one.await_built("1.0", "1.1-bad")
    # what a dependent whose votes do not count found out stays with its own team
    assert fog.stop().counted() == [("1.0", rails.source, "stable"), ("1.1-bad", rails.source, "unstable")]
    assert rails.stop().voted() == [("1.0", "stable"), ("1.1-bad", "unstable")]
    assert sinatra.stop().voted() == []


@pytest.mark.long
def test_a_dependent_does_not_vote_unstable_before_it_was_stable(projects: Projects) -> None:
    fog, rails, _ = projects
    fog.release("0.9-bad")
    rails.await_built("0.9-bad")
    fog.release("1.0")
    fog.await_line("followed", "1.0 promoted")
    assert fog.stop().counted() == [("1.0", rails.source, "stable")]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_votes_count_after_both_sides_have_changed_their_keys(projects: Projects) -> None:
    fog, rails, _ = projects
    fog.release("1.0")
    fog.await_line("followed", "1.0 promoted")
    for one in (fog, rails):
        old = one.node()["keys"]
        new = one.rotate()
        assert [key["public_key"] for key in one.node()["keys"]] == [*(key["public_key"] for key in old), new]
        one.commit()
        one.refresh()
    fog.release("1.1")
    fog.await_line("followed", "1.1 promoted")
    assert fog.stop().counted() == [("1.0", rails.source, "stable"), ("1.1", rails.source, "stable")]


@pytest.mark.long
def test_a_dependent_that_was_away_gets_what_was_released_once_and_in_order(projects: Projects) -> None:
    fog, rails, _ = projects
    fog.release("1.0")
    fog.await_line("followed", "1.0 promoted")
    assert rails.engine.stop() == 0
    fog.release("1.1")
    fog.release("1.2")
    rails.engine.start()
    fog.await_line("followed", "1.2 promoted")
    rails.await_built("1.0", "1.1", "1.2")
    assert rails.stop().voted() == [("1.0", "stable"), ("1.1", "stable"), ("1.2", "stable")]
    assert fog.stop().counted() == [(version, rails.source, "stable") for version in ("1.0", "1.1", "1.2")]


# -- a peer of another make ------------------------------------------------------------------------


class Subscriber:
    """The independent subscriber as a process, and what it says."""

    def __init__(self, directory: Path, web: Network, name: str) -> None:
        self._directory, self._web, self._name = directory, web, name
        self._said = directory / f"{name}.jsonl"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.PKCS8
        self._key = directory / f"{name}.pem"
        self._key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        public = serialization.PublicFormat.SubjectPublicKeyInfo
        text = key.public_key().public_bytes(serialization.Encoding.PEM, public).decode()
        # it has no open port: what stands there is never asked
        node = {"public-key": text, "url": "https://nowhere.example"}
        web.publish(name, yaml.safe_dump({"Pipeline-node": node}))
        self.source = web.source(name)

    @contextmanager
    def running(self, dependency: str, vote: str | None) -> Iterator[None]:
        """Subscribed to that node while the block lasts."""
        options = {"name": self._name, "me": self.source, "dependency": dependency, "key": str(self._key)}
        files = {"ca": str(self._web.authority), "state": str(self._directory / f"{self._name}.json")}
        words = [sys.executable, str(SUBSCRIBER), json.dumps({**options, **files, **REF, "vote": vote})]
        direct = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        with self._said.open("ab") as said, subprocess.Popen(words, stdout=said, stderr=said, env=direct) as process:
            try:
                yield
            finally:
                process.kill()

    def said(self, word: str) -> list[Any]:
        """What it said under this word, in order."""
        lines = [json.loads(line) for line in self._said.read_text().splitlines()]
        return [line[word] for line in lines if word in line]

    def await_said(self, word: str, count: int = 1) -> list[Any]:
        """The same, once it has said it so often."""
        wait_until(f"{self._name} says {word}", lambda: len(self.said(word)) >= count, PATIENCE)
        return self.said(word)


@pytest.mark.long
def test_a_subscriber_of_another_make_receives_releases_and_its_vote_counts(
    projects: Projects, web: Network, tmp_path: Path
) -> None:
    fog, rails, _ = projects
    other = Subscriber(tmp_path, web, "merb")
    list_dependents(projects, merb={"url": other.source})
    with other.running(fog.source, "stable"):
        other.await_said("connected")
        fog.release("1.0")
        fog.await_line("followed", "1.0 promoted")  # which takes both
        [received], [answer] = other.await_said("release"), other.await_said("answer")
    assert (received["id"], received["new_version"]) == (1, "1.0")
    assert received["artifacts"] == ["https://repo.example/1.0.gem"]
    assert (answer["status_code"], answer["status_msg"]) == ("200", "OK")
    votes = [("1.0", rails.source, "stable"), ("1.0", other.source, "stable")]
    assert sorted(fog.stop().counted()) == sorted(votes)
    assert other.said("ended") == []


@pytest.mark.long
def test_a_subscriber_of_another_make_that_was_away_catches_up(
    projects: Projects, web: Network, tmp_path: Path
) -> None:
    fog, rails, _ = projects
    other = Subscriber(tmp_path, web, "merb")
    list_dependents(projects, merb={"url": other.source, "major": False})
    with other.running(fog.source, None):
        other.await_said("connected")
        fog.release("1.0")
        other.await_said("release")
    for version in ("1.1", "1.2"):
        fog.release(version)
    with other.running(fog.source, "unstable"):
        received = other.await_said("release", 3)
        answers = other.await_said("answer", 2)
    assert [one["new_version"] for one in received] == ["1.0", "1.1", "1.2"]
    # its votes do not count: it is no major dependent
    assert [one["status_code"] for one in answers] == ["403", "403"]
    fog.await_line("followed", "1.2 promoted")
    assert {url for _, url, _ in fog.stop().counted()} == {rails.source}


# -- clusters --------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.service("rabbitmq")
@pytest.mark.service("mongodb")
@pytest.mark.timeout(300)
def test_engines_of_several_processes_release_build_vote_and_promote(
    web: Network, tmp_path: Path, rabbitmq: RabbitMQ, mongodb: MongoDB
) -> None:
    """Each a front end, a core and a worker of its own, on a broker and a store that are servers."""
    with ExitStack() as stack:
        names = iter(Projects._fields)
        projects = _subscribed(
            web, lambda: stack.enter_context(cluster_engine(tmp_path / next(names), rabbitmq, mongodb))
        )
        fog, rails, sinatra = projects
        for version, verdict in (("1.0", "promoted"), ("1.1-bad", "demoted")):
            fog.release(version)
            fog.await_line("followed", f"{version} {verdict}")
        for one in (rails, sinatra):
            one.await_built("1.0", "1.1-bad")
        assert fog.stop().counted() == [("1.0", rails.source, "stable"), ("1.1-bad", rails.source, "unstable")]


# -- kill -9 ---------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kill_at_random_moments_leaves_one_vote_for_each_release_and_dependent(projects: Projects) -> None:
    """A few rounds."""
    _rounds(projects, 3, seed=random.randrange(2**32))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_kills_leave_one_vote_for_each_release_and_dependent(projects: Projects) -> None:
    """The same, for long."""
    _rounds(projects, 100, seed=random.randrange(2**32))


def _rounds(projects: Projects, rounds: int, seed: int) -> None:
    dice = random.Random(seed)
    print(f"seed {seed}")
    fog = projects.fog
    fog.release("1.0")
    fog.await_line("followed", "1.0 promoted")
    verdicts = {"1.0": "promoted"}
    for number in range(rounds):
        version = f"1.{number + 1}" + dice.choice(("", f"-{BAD}"))
        verdicts[version] = "demoted" if version.endswith(BAD) else "promoted"
        fog.begin(version)
        victim, moment = dice.choice(projects), dice.uniform(0, LATEST)
        time.sleep(moment)  # the moment of death is the random input of this test, not a wait for something
        victim.engine.kill_everything()
        victim.engine.start()
        print(f"round {number}: {victim.name} killed {moment:.3f} s after the begin of {version}")
        fog.await_line("followed", f"{version} {verdicts[version]}", MADE_UP)
    _check(projects, verdicts)


def _check(projects: Projects, verdicts: dict[str, str]) -> None:
    """Each release was built once by each dependent, has one vote of the one that has votes, and was followed once."""
    fog, rails, sinatra = projects
    for one in (rails, sinatra):
        one.await_built(*verdicts)
    # a step that is idempotent may have run again, of one deployment
    assert list(dict.fromkeys(fog.wrote("followed"))) == [f"{version} {state}" for version, state in verdicts.items()]
    votes = [(version, "stable" if state == "promoted" else "unstable") for version, state in verdicts.items()]
    assert fog.stop().counted() == [(version, rails.source, value) for version, value in votes]
    assert rails.stop().voted() == votes
    assert sinatra.stop().voted() == []
