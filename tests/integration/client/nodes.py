"""Documents of pipeline nodes, as the engine answers with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from re_core.cdpm import public_key
from tests.integration.client.engine import Answer

ID, OTHER = "01M8GASBK2BJV2GNVRMXTSD1BH", "01M8GASZ1379VM2FK0B0HFQS0R"
NODES = "/api/v1/cdpm/nodes"
SOURCE = "https://git.example/shop/raw/cdpm.yml"
TIME = "2025-01-02T03:04:05.000Z"

#: public halves of RSA keys that were made for these tests
KEYS = Path(__file__).with_name("public_keys.txt").read_text().split()


def node_row(id: str = ID, name: str = "lib", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "group": "shop",
        "name": name,
        "source": SOURCE,
        "version": 3,
        "state": "ready",
        "dependencies": 2,
        "joined": 1,
        "dependents": 4,
        "release": 42,
        "release_state": "deployed",
        **changes,
    }


def node_key(text: str) -> dict[str, str]:
    return {"kid": public_key.read(text).kid, "public_key": text, "created": TIME}


def whole_node(**changes: Any) -> dict[str, Any]:
    return {
        **node_row(),
        "created": TIME,
        "removed": None,
        "document": {"node": "shop/lib", "source": SOURCE},
        "keys": [node_key(KEYS[0])],
        "candidates": [],
        "barred": [],
        **changes,
    }


def page(*rows: dict[str, Any]) -> Answer:
    return Answer({"items": list(rows), "next": None})
