"""What waiting does not help against ends a process at once, with code 2 and a line that says what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.cluster.conftest import MakeCluster

#: the programs, with what each must be told
PROGRAMS = {"re-rest": (), "re-core": (), "re-worker": ("noop",), "re-forest": ()}

#: those that need the store
WITH_STORE = ("re-rest", "re-core", "re-forest")

#: a password that no server here has
SECRET = "not-this-one-7531"


def refused(cluster: Cluster, program: str, **environ: str) -> str:
    """What the program says that cannot run."""
    given = {name: value for name, value in {**cluster.environ("refused"), **environ}.items() if value}
    argv = [program, *PROGRAMS[program]]
    ran = subprocess.run(
        argv, env={"RE_HTTP": "127.0.0.1:0", "RE_FOREST_LISTEN": "127.0.0.1:0", **given}, capture_output=True, text=True
    )
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    assert SECRET not in ran.stderr
    assert ran.stdout == ""
    return ran.stderr


def _with_password(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"somebody:{SECRET}@{host}").geturl()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_password_of_the_broker_is_told(new_cluster: MakeCluster, amqp_url: str, program: str) -> None:
    said = refused(new_cluster(), program, RE_BUS_URL=_with_password(amqp_url))
    assert f"{program} cannot run: " in said
    assert "password" in said


@pytest.mark.parametrize("program", WITH_STORE)
def test_a_wrong_password_of_the_store_is_told(new_cluster: MakeCluster, mongo_url: str, program: str) -> None:
    said = refused(new_cluster(), program, RE_STORE_URL=_with_password(mongo_url))
    assert f"{program} cannot run: " in said
    assert "password" in said or "authenticat" in said.lower()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_bus_inside_of_one_process_is_refused(new_cluster: MakeCluster, program: str) -> None:
    said = refused(new_cluster(), program, RE_BUS_URL="")
    assert said.startswith(f"{program}: RE_BUS_URL is embedded:, ")
    assert "rectl up" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("program", WITH_STORE)
def test_a_store_that_nobody_named_is_refused(new_cluster: MakeCluster, program: str) -> None:
    said = refused(new_cluster(), program, RE_STORE_URL="")
    assert said.startswith(f"{program}: RE_STORE_URL is not set, ")
    assert said.count("\n") == 1


def test_an_address_that_is_taken_is_told(new_cluster: MakeCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(new_cluster(), "re-rest", RE_HTTP=address)
    assert f"RE_HTTP: cannot listen on {address}: Address already in use" in said


def test_the_address_of_runners_that_is_taken_is_named(new_cluster: MakeCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(new_cluster(), "re-forest", RE_FOREST_LISTEN=address)
    assert "RE_FOREST_LISTEN: " in said
    assert f"cannot listen on {address}" in said


def test_a_gateway_without_an_address_says_which_setting_is_missing(new_cluster: MakeCluster) -> None:
    cluster = new_cluster()
    ran = subprocess.run(["re-forest"], env=cluster.environ("refused"), capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("re-forest: RE_FOREST_LISTEN is not set")
    assert ran.stderr.count("\n") == 1


def test_a_gateway_without_grpc_says_what_to_install(new_cluster: MakeCluster) -> None:
    cluster = new_cluster()
    program = "import sys; sys.modules['grpc'] = None; from re_gateways.forest.__main__ import main; main()"
    environ = {**cluster.environ("refused"), "RE_FOREST_LISTEN": "127.0.0.1:0"}
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "re-forest: RE_FOREST_LISTEN needs gRPC, which is not installed: pip install 'release-engine[forest]', or unset it\n"
    )
