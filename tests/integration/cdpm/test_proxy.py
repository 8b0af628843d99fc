"""Dependents behind the proxy of docker-compose.yml: a real nginx with its configuration."""

from __future__ import annotations

import socket

import pytest

from re_core.adapters.peering.channel import connect
from re_core.cdpm import messages as cdpm
from re_core.ports.peering import ChannelClosed
from tests import plain_http
from tests.e2e.cluster.test_proxy import proxy
from tests.integration.cdpm.conftest import Served
from tests.integration.cdpm.serving import LONG
from tests.services.recipe import Place


def test_a_dependent_subscribes_gets_releases_and_votes_through_the_proxy(nginx: Place, served: Served) -> None:
    host, port = served.front.listener.getsockname()
    rails = served.rails
    with proxy(nginx, f"http://{host}:{port}") as url:
        body = cdpm.emit(rails.wanting())
        signature = served.world.peering.signatures.detach(rails.sign(body))
        headers = {"Content-Type": "application/json", "CDPM-Signature": signature}
        answer = plain_http.post(f"{url}/subscribe", content=body, headers=headers, timeout=LONG)
        assert answer.status_code == 200
        [subscription] = served.node.state.subscriptions
        address = url.removeprefix("http://").split(":")
        channel = connect(
            socket.create_connection((address[0], int(address[1]))), f"ws{url.removeprefix('http')}/cdpm", LONG
        )
        channel.send(rails.sign(cdpm.Open(subscription)))
        served.node.release("1.0")
        release = rails.take_release(channel)
        assert rails.vote(channel, subscription, release).status_code == "200"
        rails.post(served.front, rails.unsubscribing(subscription))
        with pytest.raises(ChannelClosed) as closed:
            channel.take(LONG)
        assert closed.value.code == 4001
        assert plain_http.get(f"{url}/cdpm", timeout=LONG).status_code == 400
