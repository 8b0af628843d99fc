"""`service:*` and `wait:ForHttp` on a host that a real systemd runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.catalog.conftest import Host
from tests.integration.hosts.farm import Farm
from tests.services.systemd_host import SystemdHost, running

#: a service that says why it ends, and one that answers every request alike
_UNIT = "[Service]\nExecStart=/bin/sh -c '{script}'\n[Install]\nWantedBy=multi-user.target\n"
_WELL, _ILL = "exec sleep 600", 'echo "no configuration in /etc/shop"; exit 3'
_SERVER = """import http.server as h
class Handler(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/well" else 503)
        self.end_headers()
        self.wfile.write(b"the database\\nis away")
h.HTTPServer(("ADDRESS", 8000), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def booted(systemd_host: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, SystemdHost]]:
    with (
        running(systemd_host, tmp_path_factory.mktemp("booted"), "web1") as found,
        closing(Farm(tmp_path_factory.mktemp("worker"))) as farm,
    ):
        yield Host(found.ssh, farm.runner({"web1": found.row()})), found


def _unit(host: Host, script: str, name: str = "shop") -> None:
    content = _UNIT.format(script=script)
    host.act("file:Copy", {"path": f"/etc/systemd/system/{name}.service", "content": content})


def test_services_start_stop_and_begin_with_the_host(booted: tuple[Host, SystemdHost]) -> None:
    host, _ = booted
    refused = host.act("service:Start", {"service": "shop"}, fails=True)
    assert "systemd has no service 'shop' there" in str(refused.message)
    _unit(host, _WELL)
    for verb, state in (
        ("Start", "active/running/success"),
        ("Enable", "active"),
        ("Stop", "inactive"),
        ("Disable", "inactive"),
    ):
        assert host.foresee(f"service:{verb}", {"service": "shop"}).will == "yes"
        assert host.act(f"service:{verb}", {"service": "shop"}).data == {"changed": True}
        assert host.act(f"service:{verb}", {"service": "shop"}).data == {"changed": False}
        found = host.act("service:Status", {"service": "shop"}).data
        assert found["state"].startswith(state)
        assert found["enabled"] == (verb in ("Enable", "Stop"))


def test_a_changed_unit_is_read_before_it_counts_and_what_falls_over_says_why(booted: tuple[Host, SystemdHost]) -> None:
    host, _ = booted
    _unit(host, _WELL, "fickle")
    host.act("service:Start", {"service": "fickle", "wait": 5})
    _unit(host, _ILL, "fickle")
    failed = host.act("service:Restart", {"service": "fickle", "wait": 5}, fails=True)
    assert "localhost: read the changed unit files" in failed.output
    assert failed.output[-1].endswith("no configuration in /etc/shop")
    host.sh("sed -i '/Service/aType=notify' /etc/systemd/system/fickle.service")
    failed = host.act("service:Restart", {"service": "fickle", "wait": 5}, fails=True)
    assert str(failed.message).endswith("no configuration in /etc/shop")


def test_a_host_is_asked_for_a_page_of_its_own(booted: tuple[Host, SystemdHost]) -> None:
    host, found = booted
    host.act("file:Copy", {"path": "/srv/server.py", "content": _SERVER.replace("ADDRESS", found.address)})
    _unit(host, "exec python3 /srv/server.py", "pages")
    host.act("service:Start", {"service": "pages"})
    where = (found.address,)
    host.act("wait:ForHttp", {"port": 8000, "path": "/well", "contains": "database"}, hosts=where)
    ill = host.act("wait:ForHttp", {"port": 8000, "timeout": 0}, fails=True, hosts=where)
    assert f"http://{found.address}:8000/ answered 503: the database is away" in str(ill.message)
    for wrong in ({}, {"port": 1, "url": "http://web1/"}, {"port": 1, "path": "well"}):
        assert "expected" in str(host.act("wait:ForHttp", wrong, fails=True).message)
