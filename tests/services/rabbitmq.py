"""A real RabbitMQ with its management API and an epmd of its own. Must not know what the tests say over it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.broker import RabbitMQ, vhost_of
from tests.services.places import OnPath
from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Group, Server, free_ports
from tests.services.unavailable import Unavailable

RECIPE = Recipe(
    name="rabbitmq",
    variable="RE_TEST_AMQP_URL",
    program="rabbitmq-server",
    packages=("rabbitmq-server",),
    user="rabbitmq",
)
#: The programs themselves: what packages put on the PATH changes the user, and stays between us and the broker.
PACKAGED = Path("/usr/lib/rabbitmq/bin")
#: Part of the memory that a broker may use before it blocks publishers.
WATERMARK = 0.6
#: Seconds that a command to the broker may take.
COMMAND_TIMEOUT = 60

_CONFIGURATION = """
management.tcp.ip = {host}
management.tcp.port = {port}
# Milliseconds between two looks at the queues.
collect_statistics_interval = 1000
log.file = false
log.console = true
log.console.level = warning
"""


class RabbitServer(RabbitMQ, Group):
    """A broker that a test may kill, freeze and start again with the data that it had."""

    def __init__(self, url: str, api: str, servers: list[Server], command: list[str]) -> None:
        RabbitMQ.__init__(self, url, api)
        Group.__init__(self, servers)
        self._command = command

    def settle(self) -> None:
        """Have the broker write down now which quorum queues there are.

        It does so seconds after they were declared; killed before that, it forgets what was confirmed in them.
        """
        self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def raise_alarm(self) -> None:
        """Block every connection that publishes, as a broker does that has no memory left."""
        self.control("set_vm_memory_high_watermark", "0")

    def clear_alarm(self) -> None:
        """Let the blocked connections go on."""
        self.control("set_vm_memory_high_watermark", str(WATERMARK))

    def close_connections(self, url: str) -> None:
        """Close all connections to the virtual host of that URL from the broker's side."""
        self.control("close_all_connections", "--vhost", vhost_of(url), "a test wants it")

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` prints. Raises Unavailable when it fails."""
        asked = [*self._command, "--quiet", *words]
        done = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
        if done.returncode:
            raise Unavailable(f"rabbitmqctl {' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout


@contextmanager
def rabbitmq_server(place: Place, data: Path) -> Iterator[RabbitServer]:
    """A broker of our own on free ports, its files in `data`, gone when the block ends. Raises Unavailable."""
    port, api_port, names_port, distribution_port = free_ports(4)
    settings = _environment(place.seen(data), port, names_port, distribution_port)
    _write(data / "enabled_plugins", "[rabbitmq_management].\n")
    _write(data / "rabbitmq.conf", _CONFIGURATION.format(host=LOOPBACK, port=api_port))

    def argv(*command: str) -> list[str]:
        return place.argv(RECIPE, ["env", *settings, *command], data)

    epmd = argv("epmd", "-port", str(names_port), "-address", LOOPBACK)
    node = Server(argv(_program(place, "rabbitmq-server")), [port, api_port], data / "log", signaller=place.deliver)
    with Server(epmd, [names_port], data / "epmd.log", signaller=place.deliver), node:
        url, api = f"amqp://guest:guest@{LOOPBACK}:{port}", f"http://{LOOPBACK}:{api_port}"
        yield RabbitServer(url, api, [node], argv(_program(place, "rabbitmqctl")))


@contextmanager
def running(place: Place, data: Path) -> Iterator[RabbitMQ]:
    """A broker as all tests may share it: what is given goes to any process, and can neither stop nor start it."""
    with rabbitmq_server(place, data) as server:
        yield RabbitMQ(server.url, server.api)


def _environment(seen: str, port: int, names_port: int, distribution_port: int) -> list[str]:
    host = "{" + LOOPBACK.replace(".", ",") + "}"
    settings = {
        "HOME": seen,
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": names_port,
        "RABBITMQ_CONFIG_FILE": f"{seen}/rabbitmq.conf",
        "RABBITMQ_CONF_ENV_FILE": f"{seen}/none",
        "RABBITMQ_DIST_PORT": distribution_port,
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{seen}/enabled_plugins",
        "RABBITMQ_LOG_BASE": f"{seen}/logs",
        "RABBITMQ_MNESIA_BASE": f"{seen}/nodes",
        "RABBITMQ_NODENAME": "tests@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {host}",
        # The script becomes the broker, as systemd wants it: a signal to its pid reaches nobody else.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
    return [f"{name}={value}" for name, value in settings.items()]


def _program(place: Place, name: str) -> str:
    if isinstance(place, OnPath) and not PACKAGED.is_dir():
        return name
    return str(PACKAGED / name)


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    # Another user reads it inside a container or the service root.
    file.chmod(0o644)
