"""The last resort for servers, whatever this machine offers besides: a Debian tree that root builds."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.services.ngircd import RECIPE, running
from tests.services.places import InServiceRoot
from tests.services.service_root import ServiceRoot

#: Seconds for a first build: a tree and its packages are fetched.
BUILD_TIMEOUT = 900


@pytest.mark.slow
@pytest.mark.timeout(BUILD_TIMEOUT)
def test_a_server_runs_in_the_service_root_and_leaves_no_mount(tests_cache: Path, tmp_path: Path) -> None:
    """Everything that was mounted for the server is gone with it."""
    refusal = ServiceRoot.refusal()
    if refusal:
        pytest.skip(refusal)
    place = InServiceRoot(ServiceRoot(tests_cache))
    place.prepare(RECIPE)
    with running(place, tmp_path) as server:
        socket.create_connection((server.host, server.port), timeout=20).close()
    assert str(tests_cache) not in Path("/proc/self/mounts").read_text()
