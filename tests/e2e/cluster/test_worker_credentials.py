"""Processes on a real broker, a real host, and a protected environment: who has shown its credential works there, and no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
from cryptography.fernet import Fernet
from pika.exceptions import ChannelClosedByBroker

from re_client.api import Client
from re_core.wire import messages as m
from re_core.wire.proof import SigningKey
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, printed
from tests.e2e.engine_process import wait_until
from tests.services.broker import RabbitMQ
from tests.services.recipe import Place
from tests.services.sshd import running
from tests.unit.artifacts.archives import tgz

VALUE = "correct horse battery"
BOOK = f"""group: tests
name: release
execution:
  - hosts: [web1]
    steps:
      - command:Run:
          cmd: 'test "$DB" = "{VALUE}" && echo "$RE_HOST is at ${{SSH_CONNECTION##* }}"'
          env: {{DB: {{secret: tests/prod/db}}}}
"""
FILES = """group: tests
name: files
execution:
  - hosts: [web1]
    steps:
      - file:Copy: {{artifact: shop-1, member: web/app, path: '{place}/app', mode: "0644"}}
      - artifact:Push: {{artifact: shop-2, path: '{place}/app.tgz'}}
"""
PLACE = ("--pool", "dmz", "--environment", "prod")
COMMANDS = ("command", "file", "artifact")


def _worker(client: Client, name: str) -> dict[str, Any]:
    return next((one for one in client.workers() if one["credential"] == name and one["offers"]), {})


def _completes(client: Client) -> bool:
    """A core looks for new workers once a second, and a step of which it knows no worker fails at once."""
    return ended(client, begin(client, BOOK))["status"] == "completed"


@contextmanager
def _channel(url: str) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def _refused(url: str, do: Callable[[Any], object]) -> str:
    with _channel(url) as channel, pytest.raises(ChannelClosedByBroker) as refusal:
        channel.confirm_delivery()
        do(channel)
    return str(refusal.value.reply_text)


def _cannot_do_what_is_not_its_own(url: str, deployment: str) -> None:
    """As the worker's user at the broker."""
    for do in (
        lambda channel: channel.basic_publish("", m.reply_queue(deployment), b"{}"),
        lambda channel: channel.basic_publish("", "re.job.create", b"{}"),
        lambda channel: channel.basic_publish("re", "job.create", b"{}"),
        lambda channel: channel.basic_publish("re", "worker.command", b"{}"),
        lambda channel: channel.basic_get("worker.command.lab"),
        lambda channel: channel.basic_get(m.reply_queue(deployment)),
        lambda channel: channel.queue_declare("re.control.w2~01.command"),
        lambda channel: channel.queue_bind("worker.command.dmz", "re", "job.create"),
    ):
        assert "refused" in _refused(url, do)


def _says_it_is_an_operator(url: str, deployment: str) -> None:
    headers = {m.EVENT: "cancel"}
    properties = pika.BasicProperties(message_id="x", correlation_id=deployment, headers=headers, delivery_mode=2)
    with _channel(url) as channel:
        channel.confirm_delivery()
        channel.basic_publish("re", m.reply_queue(deployment), b'{"user": "boss"}', properties)


@pytest.mark.long
@pytest.mark.service("sshd")
def test_only_a_proven_worker_runs_steps_of_a_protected_environment(
    new_cluster: MakeCluster, tmp_path: Path, sshd: Place, rabbitmq: RabbitMQ
) -> None:
    secret_key, credential, hosts = tmp_path / "secret.key", tmp_path / "w1.credential", tmp_path / "hosts.yml"
    secret_key.write_bytes(Fernet.generate_key())
    key = SigningKey.new("w1")
    credential.write_text(key.line())
    for file in (secret_key, credential):
        file.chmod(0o600)
    settings = f"inventory: ['{hosts}']\nprotected_environments: [prod]\nsecret_key_file: '{secret_key}'\n"
    with ExitStack() as stack:
        (tmp_path / "web1").mkdir()
        host = stack.enter_context(running(sshd, tmp_path / "web1", "web1"))
        row = host.row(pool="dmz", environment="prod", records=f"{host.seen}/records")
        hosts.write_text(json.dumps({"hosts": {"web1": row}}))
        cluster = new_cluster(settings=settings, workers=[(*PLACE, "command")])
        cluster.start()
        client = stack.enter_context(cluster.client())
        client.set_secret("tests/prod/db", VALUE)
        unproven = ended(client, begin(client, BOOK))
        why = "no worker of the pool dmz for the environment prod that has shown its credential offers command:Run"
        assert why in unproven["reason"]

        made = client.add_worker_credential("w1", key.public, COMMANDS, "dmz", ("prod",))
        url = stack.enter_context(
            rabbitmq.user(cluster.bus_url, "w1", {key: str(text) for key, text in made["rabbitmq"].items()})
        )
        proven = cluster.add_worker(*COMMANDS, options=(*PLACE, "--credential", str(credential), "--label", "rack=r3"))
        proven.environ["RE_BUS_URL"] = url
        proven.spawn()
        proven.await_ready()
        wait_until("the worker has shown its credential", lambda: bool(_worker(client, "w1")), PATIENCE)
        shown = _worker(client, "w1")
        assert (shown["pool"], shown["environments"], shown["labels"]) == ("dmz", ["prod"], {"rack": "r3"})
        assert (shown["id"].partition("~")[0], shown["fault"]) == ("w1", "")
        wait_until("the core knows the worker", lambda: _completes(client), PATIENCE)
        last = ""
        for _ in range(4):  # the other worker takes some of them from the queue, and gives them back
            last = begin(client, BOOK)
            done = ended(client, last)
            assert (done["status"], done["steps"][0]["worker"]) == ("completed", shown["id"])
            wait_until("its line", lambda: printed(client, last) == [f"web1 is at {host.port}"], PATIENCE)  # noqa: B023
        log = cluster.workers[0].text
        assert "the core gives this worker no steps of worker.command.dmz" in log

        _brings_and_stores_artifacts(client, tmp_path / "web1", host.seen)
        _cannot_do_what_is_not_its_own(url, last)
        _says_it_is_an_operator(url, last)
        wait_until("it is a dead letter", lambda: _letters(client) == ["only workers' words are heard"], PATIENCE)

        client.revoke_worker_credential("w1")
        wait_until("the revocation is noticed", lambda: bool(_worker(client, "w1")["fault"]), PATIENCE)
        assert why in ended(client, begin(client, BOOK))["reason"]


def _brings_and_stores_artifacts(client: Client, place: Path, seen: str) -> None:
    """`place`: a directory of the host, as this machine names it; `seen`: as the host does."""
    content = os.urandom(3_000_000)
    client.push_artifact("shop-1", [tgz({"web/app": content})], {}, "tests", "files")
    (place / "app.tgz").write_bytes(tgz({"web/app": content[::-1]}))
    done = ended(client, begin(client, FILES.format(place=seen)))
    assert done["status"] == "completed", done["reason"]
    assert (place / "app").read_bytes() == content
    assert client.artifact("shop-2", "tests")["size"] > 0


def _letters(client: Client) -> list[str]:
    return [one["detail"].rpartition(", where ")[2] for one in client.dead_letters()]
