"""`container:Deploy`, and what moves images, on a real engine with a real registry."""

from __future__ import annotations

import re
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from re_core.runtime.addresses import rule
from re_workers.containers.worker import Containers
from re_workers.testing import run
from tests.integration.containers.conftest import Act
from tests.integration.containers.rig import Attempt
from tests.integration.workers.waiting import until
from tests.services.podman import BOX, PASSWORD, USER, Engine

Foresee = Callable[..., tuple[str, str]]

SERVES = ["sh", "-c", "trap 'exit 0' TERM; echo up; while true; do sleep 0.1; done"]


def test_a_deployment_is_made_once_and_its_secrets_are_in_no_difference(
    act: Act, foresee: Foresee, engine: Engine
) -> None:
    web = {"name": "web", "image": BOX, "cmd": SERVES, "env": {"KEY": "hunter2-first"}, "steady": 0, "grace": 1}
    assert foresee("Deploy", **web)[0] == "yes"
    first = act("Deploy", **web)
    assert first.data["changed"] and '+cmd: ["sh", "-c"' in "\n".join(first.output)
    assert foresee("Deploy", **web) == ("no", "")
    again = act("Deploy", **web)
    assert again.data == {**first.data, "changed": False} and again.output == ["unchanged: web runs as specified"]

    rotated = {**web, "env": {"KEY": "hunter2-second"}}
    will, diff = foresee("Deploy", **rotated)
    assert will == "yes" and "-env KEY: as before\n+env KEY: changed\n" in diff
    second = act("Deploy", **rotated)
    assert second.data["changed"] and second.data["id"] != first.data["id"]
    said = "\n".join([diff, *first.output, *second.output, str(act("Inspect", name="web", lines=5).data)])
    assert "hunter2" not in said
    label = engine.podman("inspect", "--format", "{{json .Config.Labels}}", "web")
    assert "hunter2" not in label and not re.search("[0-9a-f]{12}", label), "no digest either"

    act("Stop", name="web", grace=1)
    assert foresee("Deploy", **rotated)[0] == "yes"
    started = act("Deploy", **rotated)
    assert (started.data["changed"], started.data["id"]) == (True, second.data["id"])
    for step, changes in (("Stop", [True, False]), ("Start", [True, False]), ("Remove", [True, False])):
        assert [act(step, name="web").data["changed"] for _ in changes] == changes, step
        assert foresee(step, name="web")[0] == "no" if step != "Start" else True
    assert act("Inspect", name="web").data["exists"] is False


def test_the_one_before_serves_on_where_the_new_one_is_not_well(act: Act, engine: Engine) -> None:
    shop = {"name": "shop", "image": BOX, "cmd": SERVES, "network": "host", "steady": 0, "grace": 1, "healthy_in": 20}
    good = act("Deploy", **shop)
    ends = act(
        "Deploy", fails=True, **{**shop, "cmd": ["sh", "-c", "echo no database; exit 7"], "restart": "no", "steady": 30}
    )
    assert "shop.next has ended with exit code 7: no database; the shop of before runs on" in str(ends.message)
    assert ends.data["rolled_back"] is True
    sick = act("Deploy", fails=True, **{**shop, "health": {"cmd": "echo sick; exit 1", "retries": 1, "interval": 1}})
    assert "shop.next is not healthy: its check says sick" in str(sick.message)
    there = act("Inspect", name="shop").data
    assert (there["id"], there["status"]) == (good.data["id"], "running")
    assert act("WaitHealthy", name="shop", steady=0).data == {"status": "running"}

    well = act("Deploy", **{**shop, "health": {"cmd": ["true"], "interval": 1}})
    assert well.data["changed"] and "shop.next is healthy" in well.output
    assert act("WaitHealthy", name="shop").data == {"status": "healthy"}
    assert "shop.next" not in engine.podman("ps", "--all", "--format", "{{.Names}}")
    act("Remove", name="shop", grace=0)


def test_what_a_dead_worker_left_is_put_in_order(act: Act, engine: Engine, address: Mapping[str, str]) -> None:
    app = {"name": "app", "image": BOX, "cmd": SERVES, "steady": 0, "grace": 1}
    first = act("Deploy", **app)
    engine.podman("create", "--name", "app.next", BOX, "true")
    assert "[removing app.next, which a deployment left that did not end]" in act("Deploy", **app).output
    engine.podman("rename", "app", "app.next")
    adopted = act("Deploy", **app)
    assert (adopted.data["changed"], adopted.data["id"]) == (False, first.data["id"])

    # cancelled while the new one is awaited: the one before serves on
    slow = {**app, "cmd": [*SERVES[:2], "echo slow; " + SERVES[2]], "steady": 600, "healthy_in": 600, **address}
    deploying = Attempt(Containers(), "container:Deploy", slow)
    until(lambda: "app.next" in engine.podman("ps", "--format", "{{.Names}}"))
    deploying.context.cancel("stop")
    assert deploying.outcome().message == "stop"
    assert "app.next" not in engine.podman("ps", "--all", "--format", "{{.Names}}")
    act("Remove", name="app", grace=0)


def test_images_move_with_the_accounts_of_registries(act: Act, foresee: Foresee, engine: Engine) -> None:
    name = f"{engine.registry}/team/box:2"
    auth = {"username": USER, "password": PASSWORD}
    refused = act("Push", fails=True, image=BOX, target=name, auth={**auth, "password": "wrong"})
    assert refused.message is not None and "wrong" not in refused.message
    pushed = act("Push", image=BOX, target=name, auth=auth)
    assert pushed.data["digest"] == "" or pushed.data["digest"].startswith("sha256:")
    engine.podman("rmi", name)
    assert foresee("Pull", image=name)[0] == "yes"
    act("Pull", fails=True, image=name)
    assert act("Pull", image=name, auth=auth).data["changed"] is True
    assert act("Pull", image=name, auth=auth).data["changed"] is False
    assert foresee("Pull", image=name)[0] == "unknown"
    absent = act("Pull", fails=True, image=f"{engine.registry}/team/none:1", auth=auth)
    assert absent.message is not None and PASSWORD not in absent.message

    engine.podman("create", "--name", "ended", name, "true")
    engine.podman("start", "ended")
    engine.podman("wait", "ended")
    assert foresee("Prune", containers=True, images="none") == ("yes", "-container ended\n")
    assert act("Prune", containers=True, images="none").data["removed"] == ["container ended"]
    assert act("Prune", containers=True, images="none").data["changed"] is False
    assert foresee("Prune", images="unused", older=1) == ("no", "")


def test_an_engine_is_reached_over_tcp_with_certificates_and_not_without(engine: Engine, tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    mine, theirs = authority.issue_cert("worker"), authority.issue_cert("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    tls = {
        "ca": authority.cert_pem.bytes().decode(),
        "cert": mine.cert_chain_pems[0].bytes().decode(),
        "key": mine.private_key_pem.bytes().decode(),
    }
    with closing(Relay(context, engine.socket)) as relay:
        how = {"name": "none", "engine": f"tcp://127.0.0.1:{relay.port}"}
        for name in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"):
            denied = {**how, "engine": f"tcp://{name}:{relay.port}"}
            held = run(Containers(rule(["loopback"])), "container:Inspect", {**denied, "tls": tls})
            assert held.data == {"kind": "denied"}, held
            assert "denied by httprequest_denied (loopback)" in str(held.message)
        assert len(relay._threads) == 1, "nothing went there"
        assert run(Containers(), "container:Inspect", {**how, "tls": tls}).data["exists"] is False
        for wrong in ({**tls, "ca": other.cert_pem.bytes().decode()}, {"ca": tls["ca"]}):
            refused = run(Containers(), "container:Inspect", {**how, "tls": wrong})
            assert (refused.status, refused.data) == ("failed", {"kind": "unreachable"})
    broken = run(Containers(), "container:Inspect", {**how, "tls": {"ca": "no certificate"}})
    assert (broken.status, broken.data) == ("failed", {"kind": "tls"})


def test_the_default_denies_where_clouds_keep_credentials_and_the_worker_s_own_engine_is_its_operator_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = run(Containers(), "container:Inspect", {"name": "web", "engine": "tcp://169.254.169.254:80"})
    assert (named.status, named.data) == ("failed", {"kind": "denied"})
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free.getsockname()[1]}")
        own = run(Containers(rule(["loopback"])), "container:Inspect", {"name": "web"})
        assert own.data == {"kind": "unreachable"}
    port = run(Containers(), "container:Inspect", {"name": "web", "engine": "tcp://127.0.0.1:99999"})
    assert "the engine is tcp://host:port: Port out of range" in str(port.message)


def test_what_cannot_be_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Containers()
    none = run(worker, "container:Inspect", {"name": "web", "engine": f"unix://{tmp_path}/none.sock"})
    assert f"cannot connect to {tmp_path}/none.sock: No such file or directory" in str(none.message)
    ssh = run(worker, "container:Inspect", {"name": "web", "engine": "ssh://web1"})
    assert "name the host in the step's hosts, and its engine is reached over ssh" in str(ssh.message)
    wrong = run(worker, "container:Run", {"image": BOX, "mounts": ["relative/path:/x"]})
    assert "expected source:/target" in str(wrong.message)
    monkeypatch.setitem(sys.modules, "docker", None)
    extra = run(worker, "container:Inspect", {"name": "web"})
    assert "pip install 'release-engine[container]'" in str(extra.message)


class Relay:
    """TLS before a unix socket. A client without a certificate of the authority is refused."""

    def __init__(self, context: ssl.SSLContext, target: Path) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context, self._target = context, target
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """No more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._relay, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: Any) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            try:
                secured = self._context.wrap_socket(client, server_side=True)
            except OSError:
                return
            with secured:
                engine.connect(str(self._target))
                ends = {secured: engine, engine: secured}
                while True:
                    for one in select.select(list(ends), [], [])[0]:
                        try:
                            data = one.recv(65536)
                        except OSError:
                            return
                        if not data:
                            return
                        ends[one].sendall(data)
