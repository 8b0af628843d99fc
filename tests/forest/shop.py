"""An artifact, a playbook that releases it, and what a runner makes of it. Must not know who runs the engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from re_client.api import Client

#: group of the playbook and the artifact, and the artifact's name
GROUP, ARTIFACT = "tests", "shop-1.4.2"

#: the one manifest, where the handler of flux looks for it
MANIFEST = "dev/dest1/forest/flux@1/10-cm.yaml"

#: what it says
TEXT = "kind: ConfigMap\n"


#: category, path and text of each file
_FILES = (("deployment", MANIFEST, TEXT), ("spec", "forest.cue", "project: shop\n"))


def push(client: Client) -> None:
    """Store the artifact."""
    files = {f"{category}/{path}": text for category, path, text in _FILES}
    client.push_artifact(ARTIFACT, [_archive(files)], {"title": "Shop 1.4.2"}, GROUP, "files")


def release(place: Path, mode: str = "deploy", type: str = "forest/flux@1", **metadata: str) -> dict[str, Any]:
    """A step that releases it into the directory `place` of the runner; `metadata`: see real_runner.py."""
    plain = {"cluster_name": "c1", "namespace": "ns1", "local_path": str(place)}
    arguments = {
        "type": type,
        "organisation": "acme",
        "project": "shop",
        "destination": {"name": "dest1", "environment": "dev", "metadata": {**plain, **metadata}},
        "artifact": ARTIFACT,
        "mode": mode,
    }
    return {"forest:Release": arguments}


def is_served(client: Client, type: str = "forest/flux@1") -> bool:
    """Whether the engine knows of a gateway with a runner of this type; until then it refuses such a step."""
    offers = [worker["offers"].get("forest:Release", {}) for worker in client.workers()]
    return any(type in offer.get("accepts", {}).get("type", ()) for offer in offers)


def book(*steps: dict[str, Any]) -> str:
    """A playbook with these steps, one after the other."""
    stage = {"hosts": ["dev"], "steps": list(steps)}
    return yaml.safe_dump({"group": GROUP, "name": "shop", "execution": [stage]})


def released(place: Path) -> Path:
    """Where the runner writes the manifest."""
    return place / "releases/dev/dest1/c1/ns1/acme-shop" / Path(MANIFEST).name


def _archive(files: Mapping[str, str]) -> bytes:
    """A tar.gz of them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()
