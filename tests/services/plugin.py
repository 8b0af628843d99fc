"""The pytest side of the services: their fixtures, the marker, skip on a laptop and failure in CI.

What a run needs is prepared right after collection, outside of every test's timeout; a run that selects no test with
a service touches nothing. A costly server is started once per run and all xdist workers share it; a fixture that
starts with `own_` has a server that no other test sees.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from tests.architecture.tree import ROOT
from tests.services import mongodb as mongo
from tests.services import ngircd as irc
from tests.services import node
from tests.services import openbao as bao
from tests.services import rabbitmq as rabbit
from tests.services.broker import RabbitMQ
from tests.services.catalogue import KINDS, PROGRAMS, Services, recipe_of
from tests.services.documents import MongoDB
from tests.services.places import cache_directory
from tests.services.recipe import Place, Recipe
from tests.services.service_root import ServiceRoot
from tests.services.shared import Asked, Keeper, Shared, workplace
from tests.services.sshd import SshHost
from tests.services.throwaway import running as throw_away
from tests.services.unavailable import Unavailable

#: Opens the name of a fixture whose server no other test sees.
OWN = "own_"
#: Where xdist hands its workers the address of the keeper.
KEEPER = "release_engine_keeper"


S = TypeVar("S")
_SERVICES = pytest.StashKey[Services]()
_HERE = pytest.StashKey[Shared]()
_KEEPER = pytest.StashKey[Keeper]()


def pytest_configure(config: pytest.Config) -> None:
    # The cache directory is asked for now: later the tests have a home of their own.
    services = config.stash[_SERVICES] = Services(cache_directory())
    config.stash[_HERE] = Shared(services.start)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller of xdist, before a worker starts: tell it who keeps the servers."""
    stash = node.config.stash
    if _KEEPER not in stash:
        stash[_KEEPER] = Keeper(stash[_SERVICES].start)
    node.workerinput[KEEPER] = stash[_KEEPER].address


def pytest_unconfigure(config: pytest.Config) -> None:
    with ExitStack() as stack:
        stack.push(config.stash[_HERE])
        if _KEEPER in config.stash:
            stack.callback(config.stash[_KEEPER].stop)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses a service's fixture carries its marker, so that `-m "not service"` leaves it out."""
    for item in items:
        for name in (KINDS.keys() | PROGRAMS.keys()) & {fixture.removeprefix(OWN) for fixture in _fixtures(item)}:
            item.add_marker(pytest.mark.service(name))


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    services = session.config.stash[_SERVICES]
    for name in sorted({mark.args[0] for item in session.items for mark in item.iter_markers("service")}):
        own = any(OWN + name in _fixtures(item) for item in session.items)
        if os.environ.get(recipe_of(name).variable) and not own:
            continue
        try:
            services.place(recipe_of(name))
        except Unavailable:
            continue  # The fixture says it, for every test that needs the service.


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def tests_cache(pytestconfig: pytest.Config) -> Path:
    """The directory for what is costly to build and kept between runs."""
    return pytestconfig.stash[_SERVICES].cache


@pytest.fixture(scope="session")
def ngircd(pytestconfig: pytest.Config) -> irc.IrcServer:
    """A real IRC server: `host`, `port` (plain), and where it is our own `tls_port` with its `ca_file`."""
    found = _server(pytestconfig, irc.RECIPE.name)
    assert isinstance(found, irc.IrcServer)
    return found


@pytest.fixture(scope="session")
def rabbitmq(pytestconfig: pytest.Config) -> RabbitMQ:
    """A real RabbitMQ that others use too: take `with rabbitmq.vhost() as url` and stay in it."""
    found = _server(pytestconfig, rabbit.RECIPE.name)
    assert isinstance(found, RabbitMQ)
    return found


@pytest.fixture(scope="session")
def mongodb(pytestconfig: pytest.Config) -> Iterator[MongoDB]:
    """A server that speaks MongoDB's protocol and that others use too: take `with mongodb.database() as url`."""
    found = _server(pytestconfig, mongo.RECIPE.name)
    assert isinstance(found, MongoDB)
    yield found
    found.drop_emptied()


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host of the test's own, with nothing in it."""
    with rabbitmq.vhost() as url:
        yield url


@pytest.fixture
def mongo_url(mongodb: MongoDB) -> Iterator[str]:
    """A database of the test's own, with nothing in it."""
    with mongodb.database() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> str:
    """The URL of a real PostgreSQL that others use too, without the password: take a database of your own."""
    found = _server(pytestconfig, "postgresql")
    assert isinstance(found, str)
    return found


@pytest.fixture
def nginx(pytestconfig: pytest.Config) -> Place:
    """Where nginx runs: `with running(nginx, data, configuration, port)` of tests/services/nginx.py."""
    return _program(pytestconfig, "nginx")


@pytest.fixture(scope="session")
def sshd(pytestconfig: pytest.Config) -> Place:
    """Where an OpenSSH server runs: `with running(sshd, data, name)` of tests/services/sshd.py."""
    return _program(pytestconfig, "sshd")


@pytest.fixture(scope="session")
def prometheus(pytestconfig: pytest.Config) -> Place:
    """Where Prometheus runs: `with running(prometheus, data, targets) as url` of tests/services/prometheus.py."""
    return _program(pytestconfig, "prometheus")


@pytest.fixture(scope="session")
def nagios(pytestconfig: pytest.Config) -> Place:
    """Nagios is on the host `throwaway`; a test names this fixture before that one."""
    return _program(pytestconfig, "nagios")


@pytest.fixture(scope="session")
def puppet(pytestconfig: pytest.Config) -> Place:
    """Puppet is on the host `throwaway`; a test names this fixture before that one."""
    return _program(pytestconfig, "puppet")


@pytest.fixture(scope="session")
def throwaway(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """A Debian host behind sshd, of this process, which tests may change: users, packages, files."""
    services, directory = pytestconfig.stash[_SERVICES], tmp_path_factory.mktemp("throwaway")
    with ExitStack() as stack:
        try:
            place = services.place(PROGRAMS["throwaway"])
            host = stack.enter_context(throw_away(place, directory, "web1", services.cache))
        except Unavailable as reason:
            _give_up(reason)
        yield host


@pytest.fixture(scope="session")
def systemd_host(pytestconfig: pytest.Config) -> Path:
    """The tree of hosts that systemd runs: `with running(systemd_host, directory, name)` of tests/services/systemd_host.py."""
    services = pytestconfig.stash[_SERVICES]
    try:
        services.place(PROGRAMS["systemd_host"])
        return ServiceRoot(services.cache).tree
    except Unavailable as reason:
        _give_up(reason)


@pytest.fixture(scope="session")
def worker_in_node(tests_cache: Path) -> Path:
    """The directory of examples/worker-node with the packages that it needs: `node worker.js`."""
    try:
        return node.installed(ROOT / "examples" / "worker-node", tests_cache)
    except Unavailable as reason:
        _give_up(reason)


@pytest.fixture(scope="session")
def podman(pytestconfig: pytest.Config) -> Place:
    """Where podman runs: `with running(podman, data)` of tests/services/podman.py."""
    try:
        return pytestconfig.stash[_SERVICES].place(PROGRAMS["podman"])
    except Unavailable as reason:
        _give_up(reason)


@pytest.fixture
def own_rabbitmq(pytestconfig: pytest.Config) -> Iterator[rabbit.RabbitServer]:
    """A RabbitMQ for this test alone, to be killed, frozen, alarmed and started again."""
    with _own(pytestconfig, rabbit.RECIPE, rabbit.rabbitmq_server) as server:
        yield server


@pytest.fixture(scope="session")
def sops(pytestconfig: pytest.Config) -> Place:
    """Where sops runs: `encrypt(sops, key, plain, file)` of tests/services/sops.py."""
    return _program(pytestconfig, "sops")


@pytest.fixture(scope="session")
def openbao(pytestconfig: pytest.Config) -> Iterator[bao.OpenBao]:
    """A real OpenBao for the tests of this process, which may seal it and open it again."""
    with _own(pytestconfig, bao.RECIPE, bao.running) as server:
        yield server


@pytest.fixture
def own_mongodb(pytestconfig: pytest.Config) -> Iterator[mongo.MongoServer]:
    """A MongoDB server for this test alone, to be killed, frozen and started again."""
    with _own(pytestconfig, mongo.RECIPE, mongo.mongodb_server) as server:
        yield server


def _program(config: pytest.Config, name: str) -> Place:
    """Where a program runs that tests start themselves; skips or fails the test where it cannot be had."""
    try:
        return config.stash[_SERVICES].place(PROGRAMS[name])
    except Unavailable as reason:
        _give_up(reason)


def _server(config: pytest.Config, name: str) -> object:
    """What tells where the shared server is; skips or fails the test where it cannot be had."""
    kind = KINDS[name]
    url = os.environ.get(kind.recipe.variable)
    address = getattr(config, "workerinput", {}).get(KEEPER)
    try:
        if url:
            return kind.named(url)
        if not (kind.shared and address):
            return config.stash[_HERE].get(name)
        # What this process could not prepare is not tried again by the keeper.
        config.stash[_SERVICES].place(kind.recipe)
        return Asked(address).get(name)
    except Unavailable as reason:
        _give_up(reason)


@contextmanager
def _own(
    config: pytest.Config, recipe: Recipe, start: Callable[[Place, Path], AbstractContextManager[S]]
) -> Iterator[S]:
    with ExitStack() as stack:
        data = stack.enter_context(workplace(recipe.name))
        try:
            server = stack.enter_context(start(config.stash[_SERVICES].place(recipe), data))
        except Unavailable as reason:
            _give_up(reason)
        yield server


def _give_up(reason: Unavailable) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"a service is missing in CI: {reason}", pytrace=False)
    pytest.skip(str(reason))
