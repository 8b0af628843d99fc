"""Secrets of every place, said everywhere by steps of a cluster: no byte of its broker, its store and its logs has one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from bson import encode
from cryptography.fernet import Fernet

from re_client.api import Client
from tests.e2e.careless import OF_STEPS, VALUES, files_below, keep, sources
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, await_redacted, begin, ended
from tests.e2e.engine_process import wait_until
from tests.e2e.leaks import found_in
from tests.integration.notify.hooks import Hooks
from tests.integration.notify.mail_server import MailServer
from tests.services.broker import Message, RabbitMQ
from tests.services.documents import MongoDB
from tests.services.openbao import OpenBao
from tests.services.recipe import Place

pytestmark = [pytest.mark.long, *(pytest.mark.service(name) for name in ("openbao", "sops"))]

#: prints them, and fails with them
SCRIPT = r"""
printf 'it is %s\n' "$FILE" "$CREDENTIAL" "$VARIABLE" "$SOPS" "$VAULT" "$STORE"
printf '%s' "$VAULT" | base64 -w0; echo
echo "failed with $FILE and $STORE"; exit 3
"""
#: ways of ending, of the step `leaky:Say`
WAYS = ("data", "large", "raise", "fail")
#: the first bytes of a gzip stream, and what zlib takes for one
GZIP, ANY_GZIP = b"\x1f\x8b\x08", 31


def _settings(own: Path, mail: MailServer, hooks: Hooks, bao: OpenBao) -> str:
    failed = {"email": ["all@example.com"], "webhook": ["hook"], "apprise": ["chat"], "console": ["all"]}
    return yaml.safe_dump(
        {
            "secrets": sources(own, bao),
            "workers_dir": str(own / "workers"),
            "log_level": "debug",
            "email": {"host": "127.0.0.1", "port": mail.port, "sender": "re@example.com", "security": "none"},
            "webhook": {"targets": {"hook": {"url": f"{hooks.url}/hook", "secret": {"secret": "ops/hook"}}}},
            "apprise": {"targets": {"chat": {"url": {"secret": "ops/chat"}}}},
            "notify_templates": {"*": {"failed": {"slug": "{step}: {reason}", "message": "{reason}\n{lines}"}}},
            "PHASE_NOTIFICATION": {"failed": failed},
        }
    )


def _books() -> dict[str, str]:
    """A playbook for each way of ending."""
    values = {name.removeprefix("tests/"): {"secret": name} for name in OF_STEPS}
    env = {name.upper(): one for name, one in values.items()}
    steps: dict[str, dict[str, Any]] = {
        "program": {"command:Run": {"cmd": SCRIPT, "shell": "/bin/sh", "env": env}},
        **{how: {"leaky:Say": {"values": values, "how": how}} for how in WAYS},
    }
    return {
        name: yaml.safe_dump({"group": "tests", "name": name, "execution": [{"hosts": ["one"], "steps": [step]}]})
        for name, step in steps.items()
    }


def test_no_queue_and_no_collection_has_a_byte_of_a_secret(
    new_cluster: MakeCluster, rabbitmq: RabbitMQ, mongodb: MongoDB, openbao: OpenBao, sops: Place, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    key = Fernet.generate_key()
    seen: dict[str, bytes] = {}
    with MailServer() as mail, Hooks() as hooks:
        environ = keep(own, openbao, sops, f"json://user:{VALUES['ops/chat']}@127.0.0.1:{hooks.port}/chat")
        (own / "secret.key").write_bytes(key)
        (own / "secret.key").chmod(0o600)
        cluster = new_cluster(settings=_settings(own, mail, hooks, openbao))
        for member in cluster.members:
            path = environ["PATH"] + member.environ["PATH"]
            member.environ |= {**environ, "PATH": path, "RE_SECRET_KEY_FILE": str(own / "secret.key")}
        with rabbitmq.traced(cluster.bus_url) as traced:
            cluster.start()
            with cluster.client() as client:
                client.set_secret("tests/store", VALUES["tests/store"])
                seen |= _deployed(client)
                wait_until("every target has heard of it", lambda: _heard(client), PATIENCE)
                seen["notifications"] = str(list(client.notifications())).encode()
            for member in cluster.members:
                assert member.stop() == 0
            messages = traced()
        for queue in rabbitmq.queues(cluster.bus_url):
            messages += rabbitmq.drained(cluster.bus_url, queue)
        seen |= _notified(mail, hooks)
    seen |= {f"{name} of the store": data for name, data in _documents(mongodb, cluster.store_url)}
    seen |= {f"message {one.key} {number}": _bytes(one) for number, one in enumerate(messages)}
    seen |= {str(path): path.read_bytes() for path in files_below(cluster.directory)}
    _has_looked_everywhere(seen)
    searched = {**VALUES, "the engine's key": key.decode(), "the token of vault": openbao.token}
    leaks = [f"{name}: {what}" for name, data in seen.items() for what in found_in(data, searched)]
    assert leaks == [], "\n".join(leaks[:150])


def _has_looked_everywhere(seen: Mapping[str, bytes]) -> None:
    """Where something was cut out, and where there may be a value without that."""
    masked = [name for name, data in seen.items() if b"[redacted]" in data]
    places = ("journal", "views", "output", "artifact_pieces", "notified", "dead_letters")
    queues = ("re.reply", "output", "notify.email", "notify.webhook", "re.dead")
    wanted = [*(f"{one} of the store" for one in places), *(f"message deliver.{one}" for one in queues), "worker-0.log"]
    assert [one for one in wanted if not any(one in name for name in masked)] == []
    assert [
        one for one in ("core-0.log", "rest-0.log", "deliver.re.secrets") if not any(one in name for name in seen)
    ] == []


def _deployed(client: Client) -> dict[str, bytes]:
    """Runs them all; what people are shown of them."""
    shown = {}
    for name, book in _books().items():
        id = begin(client, book)
        found = ended(client, id)
        assert found["status"] == ("completed" if name in ("data", "large") else "failed"), found["reason"]
        shown[f"{name} as shown"] = await_redacted(client, id, 7).encode() + str(found).encode()
    return shown


def _heard(client: Client) -> bool:
    """Of every transport something, and the dead letter of the target that is none."""
    rows = list(client.notifications())
    refused = any(row["outcome"] == "failed" and "nowhere" in row["target"] for row in rows)
    return {"email", "webhook", "apprise"} <= {row["transport"] for row in rows if row["outcome"] == "sent"} and refused


def _notified(mail: MailServer, hooks: Hooks) -> dict[str, bytes]:
    """What the targets got."""
    parts = [part for one in mail.mails for part in one.message.walk() if not part.is_multipart()]
    texts = [bytes(part.get_payload(decode=True)) for part in parts]
    came = [one.body if "/chat" in one.path else one.body + repr(one.headers).encode() for one in hooks.requests]
    found = {"mail": b"".join([*(one.data for one in mail.mails), *texts]), "hooks": b"".join(came)}
    assert all(b"[redacted]" in data for data in found.values())
    return found


def _documents(mongodb: MongoDB, url: str) -> Iterator[tuple[str, bytes]]:
    """(collection, all its documents as the server has them, and what is packed in them)."""
    with mongodb.client() as client:
        database = client[urlsplit(url).path[1:]]
        for name in database.list_collection_names():
            documents = list(database[name].find())
            packed = [_unpacked(one) for document in documents for one in _binaries(document)]
            yield name, b"".join([*map(encode, documents), *packed])


def _bytes(message: Message) -> bytes:
    return message.properties + message.body + _unpacked(message.body)


def _binaries(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _binaries(one)


def _unpacked(data: bytes) -> bytes:
    """What a gzip stream in the data holds, which may be the first piece of one."""
    at = data.find(GZIP)
    return b"" if at < 0 else zlib.decompressobj(ANY_GZIP).decompress(data[at:])
