"""The messages of dploy have the keys of the founding document, all of them required; what was added is optional."""

from __future__ import annotations

from typing import Any

import pytest
import re_schemas

from dploylib.clients.special import BROADCAST_TYPES, BroadcastMessage
from re_core.playbook import json_schema

#: message -> its keys in the founding document, and the optional ones that were added
KEYS = {
    "dploy-build-request": ("broadcast_id app archive_uri commit update_message release_version", ""),
    "dploy-broadcast-message": ("type body", "seq ts source"),
    "dploy-app-build-request": ("app_release archive_uri", ""),
    "dploy-app-release": ("version app commit env processes", "format"),
    "dploy-zone-deploy-order": ("app cargo_uri", ""),
    "dploy-zone-stop-deploy": ("apps", ""),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_message_has_the_keys_of_the_founding_document(name: str) -> None:
    schema, (required, optional) = re_schemas.load(name), KEYS[name]
    assert schema["required"] == required.split()
    assert sorted(schema["properties"]) == sorted([*required.split(), *optional.split()])
    assert schema.get("additionalProperties", True) is True


def test_every_message_of_the_founding_document_has_a_schema() -> None:
    assert sorted([*KEYS, "dploy-env-vars"]) == [name for name in re_schemas.names() if name.startswith("dploy-")]


def test_the_data_of_a_broadcast_is_optional() -> None:
    body = re_schemas.load("dploy-broadcast-message")["properties"]["body"]
    assert (body["required"], sorted(body["properties"])) == (["type"], ["data", "type"])


def _without_description(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("description", "$schema", "$id", "title")}


def test_a_release_and_its_variables_are_the_same_wherever_they_stand() -> None:
    release = _without_description(re_schemas.load("dploy-app-release"))
    nested = re_schemas.load("dploy-app-build-request")["$defs"]["app-release"]
    assert _without_description(nested) == release
    assert _without_description(release["properties"]["env"]) == _without_description(re_schemas.load("dploy-env-vars"))


@pytest.mark.parametrize("type", BROADCAST_TYPES)
@pytest.mark.parametrize("body_type", ["line", "raw", "info", "error", "completed", "other"])
def test_the_library_and_the_schema_know_the_same_broadcasts(type: str, body_type: str) -> None:
    problems = json_schema.problems("dploy-broadcast-message", {"type": type, "body": {"type": body_type}})
    assert (problems == []) is (body_type in BROADCAST_TYPES[type])
    if not problems:
        message = BroadcastMessage(type, body_type, "words").serialize()
        assert json_schema.problems("dploy-broadcast-message", message) == []
