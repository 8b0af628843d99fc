"""docker-compose.yml, as far as it can be judged without a container engine: the specification's schema, and our rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from re_core.runtime.settings import load
from tests.architecture.tree import ROOT

FILE = ROOT / "docker-compose.yml"

#: runs to its end, and is not watched
ONCE = "mongodb-init"

_REQUIRED = re.compile(r"\$\{(\w+):\?([^}]*)\}")
_DEFAULTED = re.compile(r"\$\{(\w+):-([^}]*)\}")
_SECRET_NAME = re.compile(r"PASS|SECRET|KEY|TOKEN")


def services() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(FILE.read_text())
    found: dict[str, dict[str, Any]] = document["services"]
    return found


def filled(value: Any) -> Any:
    """As compose reads it with every required variable set to a password."""
    text = _REQUIRED.sub("0123456789abcdef", json.dumps(value))
    return json.loads(_DEFAULTED.sub(r"\2", text).replace("$$", "$"))


def test_it_is_what_the_specification_allows() -> None:
    compose = PyCompose.from_json(json.dumps(filled(yaml.safe_load(FILE.read_text()))))
    compose.validate()
    assert set(compose.service_names()) == set(services())


def test_the_check_of_the_specification_finds_mistakes() -> None:
    with pytest.raises(ValueError, match="helthcheck"):
        PyCompose.from_json('{"services": {"a": {"image": "b", "helthcheck": {}}}}')


@pytest.mark.parametrize("name", services())
def test_every_service_restarts_and_is_watched(name: str) -> None:
    service = services()[name]
    assert service["restart"] == ("on-failure" if name == ONCE else "unless-stopped")
    assert bool(service["healthcheck"].get("test")) is (name != ONCE)


@pytest.mark.parametrize("name", services())
def test_every_image_names_its_version(name: str) -> None:
    assert re.fullmatch(r"[\w/-]+:\d[\w.-]*", services()[name]["image"])


def test_no_password_is_written_down_and_none_has_a_default() -> None:
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if _SECRET_NAME.search(variable):
                assert _REQUIRED.fullmatch(value), f"{name}: {variable}"
            user = re.search(r"://[^/@]*@", value)
            assert user is None or _REQUIRED.search(user[0]), f"{name}: {variable}"
    assert not any(_SECRET_NAME.search(name) for name, _ in _DEFAULTED.findall(FILE.read_text()))


def test_the_page_shows_how_to_make_exactly_the_passwords_that_are_needed() -> None:
    page = (ROOT / "docs" / "how-to" / "run-a-cluster.md").read_text()
    loop = re.search(r"for name in ([\w ]+); do", page)
    assert loop
    assert set(loop[1].split()) == {name for name, _ in _REQUIRED.findall(FILE.read_text())}


def test_whoever_is_ours_runs_without_rights_and_two_of_each() -> None:
    for name in ("re-rest", "re-core", "re-worker"):
        service = services()[name]
        assert service["deploy"]["replicas"] == 2
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True


@pytest.mark.parametrize("name", ["re-rest", "re-core", "re-worker", "re-notifier", "re-forest"])
def test_the_settings_of_our_processes_can_be_loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = filled(services()[name]["environment"])
    assert environ["RE_CONFIG"] == "/etc/release-engine/settings.yaml"
    loaded = load({**environ, "RE_CONFIG": str(ROOT / "packaging" / "compose" / "settings.yaml")})
    assert loaded.bus_url == "amqp://re:0123456789abcdef@rabbitmq:5672/re"
    if name in ("re-rest", "re-core", "re-forest"):
        assert loaded.store_url == "mongodb://re:0123456789abcdef@mongodb:27017/re?replicaSet=rs0"
    assert "command" in services()[name]


def test_forest_runners_of_other_machines_do_not_reach_the_gateway() -> None:
    """What they say is plain text: TLS comes before it, and its port is published to this machine alone."""
    service = filled(services()["re-forest"])
    [port] = service["ports"]
    assert port.startswith("127.0.0.1:")
    loaded = load({**service["environment"], "RE_CONFIG": str(ROOT / "packaging" / "compose" / "settings.yaml")})
    assert port.endswith(loaded.forest_listen.rpartition(":")[2])
    assert loaded.forest_unknown_runners == "refuse"
    assert loaded.forest_peers == ("loopback", "private")


def test_processes_get_more_time_to_end_than_they_take() -> None:
    for name in ("re-rest", "re-core", "re-worker", "re-notifier", "re-forest"):
        grace = services()[name]["stop_grace_period"]
        assert int(grace.removesuffix("s")) >= load({}).stop_timeout * 2


@pytest.mark.parametrize("age", [0, 300])
def test_the_check_of_the_ready_file_tells_a_fresh_one_from_an_old_one(age: int, tmp_path: Path) -> None:
    [kind, script] = filled(services()["re-core"]["healthcheck"]["test"])
    assert kind == "CMD-SHELL"
    file = tmp_path / "ready"
    script = script.replace("/tmp/ready", str(file))
    assert subprocess.run(["sh", "-c", script], capture_output=True).returncode != 0
    subprocess.run(["touch", "-d", f"{age} seconds ago", file], check=True)
    assert (subprocess.run(["sh", "-c", script], capture_output=True).returncode == 0) is (age == 0)
