"""The message `new release` of a node, its keys in the order of the protocol. Pure; must not know when it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.cdpm.inputs import filled, own_chain
from re_core.cdpm.reading import NO_LINE
from re_core.cdpm.state import State

#: characters of a text that a deployment's values bring into a message
_MOST = 500


def release_document(
    state: State, n: int, created_at: str, deployment: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Of release `n`, which a deployment with these dynamic values made. At most some 30 KiB as JSON."""
    own = state.node.release
    project = own.project
    ref = _text(values, "ref") or (state.node.refs[0][1] if state.node.refs else "")
    return {
        "message_type": "new_release",
        "event": "new release",
        "state": "DEPLOYED",
        "new_version": _text(values, own.version),
        "artifacts": [_line(filled(one, values)) for one in own.artifacts[:20]],
        "id": n,
        "ref": ref,
        "created_at": created_at,
        "project_details": {
            "id": project.get("id", state.name),
            "name": project.get("name", state.name),
            "repo_url": project.get("repo_url", ""),
            "maintainers": list(project.get("maintainers", ()))[:20],
            "dependents": sorted(set(state.dependents.values()))[:100],
        },
        "deployable": {
            "id": deployment,
            "status": "success",
            "ref": ref,
            "created_at": created_at,
            "commit": {
                "id": _text(values, "commit"),
                "short_id": _text(values, "commit")[:8],
                "title": _text(values, "commit_title"),
                "author_name": _text(values, "commit_author_name"),
                "author_email": _text(values, "commit_author_email"),
                "created_at": _text(values, "commit_created_at"),
                "message": _value(values, "commit_message")[:_MOST],
            },
        },
        "url": state.source,
        "chain": own_chain(values),
    }


def _text(values: Mapping[str, Any], name: str) -> str:
    return _line(_value(values, name))


def _value(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name, "")
    return value if isinstance(value, str) else ""


def _line(text: str) -> str:
    """On one line, without control characters: peers refuse anything else (reading.py)."""
    return " ".join(NO_LINE.sub(" ", text).split())[:_MOST]
