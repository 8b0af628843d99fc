"""What a runner fetches: files, annotation and project of a release, as messages. Must not know tokens, streams or rows.

All of it is checked before a runner hears of the release: a runner drops its work silently over a message that is too
large, an unsafe name or one that occurs twice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from re_core.artifacts.content import FILES
from re_core.artifacts.texts import below, problems_of_texts
from re_core.errors import BadDocument
from re_core.ports import Artifacts
from re_core.usecases.artifacts import Loaded, load
from re_core.usecases.times import rfc3339
from re_gateways.forest import runner_pb2 as pb

#: the categories that runners know
DEPLOYMENT, SPEC = "deployment", "spec"

#: artifacts that are kept in memory, and bytes of them
MOST_ARTIFACTS, MOST_BYTES = 16, 128 * 1024 * 1024

#: problems of files that are named
_NAMED = 5


class Contents(NamedTuple):
    """What belongs to one release."""

    deployment: list[pb.ReleaseFile]
    spec: list[pb.ReleaseFile]
    annotation: pb.ReleaseAnnotationResponse


class ReleaseContents:
    """Makes them from artifacts, the last of which it keeps. Thread-safe."""

    def __init__(self, store: Artifacts) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._loaded: OrderedDict[tuple[str, str, str], tuple[Loaded, int]] = OrderedDict()

    def check(self, group: str, name: str, environment: str) -> str:
        """Id of the artifact of that group, of which everything can be sent to a runner of that environment.

        Raises NotFound, BadDocument with what cannot be sent, DamagedArtifact, StoreUnavailable.
        """
        loaded = load(self._store, group, name)
        if loaded.artifact.kind != FILES:
            raise BadDocument(f"the artifact {name!r} is one archive that the engine does not open: push it as files")
        files = _chosen(loaded, environment)
        problems = [one for category, found in files.items() for one in problems_of_texts(category, found.items())]
        if problems:
            words = "; ".join(f"{one.path.lstrip('/')}: {one.message}" for one in problems[:_NAMED])
            more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            raise BadDocument(f"the artifact {name!r} cannot be sent to a runner: {words}{more}", problems)
        deployment = loaded.files.get(DEPLOYMENT, {})
        if deployment and not files[DEPLOYMENT]:
            there = ", ".join(sorted({path.partition("/")[0][:80] for path in deployment})[:20])
            raise BadDocument(
                f"the artifact {name!r} has no deployment files for the environment {environment!r:.80}; it has {there}"
            )
        self._keep((group, name, loaded.artifact.id), loaded)
        return loaded.artifact.id

    def get(self, group: str, name: str, id: str, environment: str) -> Contents:
        """The same artifact again. Raises NotFound where it was deleted, or replaced by another of that name; and as `check`."""
        loaded = self._find(group, name, id)
        files = _chosen(loaded, environment)
        return Contents(_messages(files[DEPLOYMENT]), _messages(files[SPEC]), _annotation(loaded))

    def _find(self, group: str, name: str, id: str) -> Loaded:
        key = (group, name, id)
        with self._lock:
            kept = self._loaded.get(key)
            if kept is not None:
                self._loaded.move_to_end(key)
                return kept[0]
        loaded = load(self._store, group, name)
        if id and loaded.artifact.id != id:
            raise BadDocument(f"the artifact {name!r} was deleted and pushed again since the step began")
        self._keep((group, name, loaded.artifact.id), loaded)
        return loaded

    def _keep(self, key: tuple[str, str, str], loaded: Loaded) -> None:
        with self._lock:
            self._loaded[key] = loaded, loaded.artifact.size
            self._loaded.move_to_end(key)
            while len(self._loaded) > MOST_ARTIFACTS or sum(size for _, size in self._loaded.values()) > MOST_BYTES:
                self._loaded.popitem(last=False)


def _chosen(loaded: Loaded, environment: str) -> dict[str, Mapping[str, bytes]]:
    """The files that a runner of that environment gets: by category, with their whole paths."""
    return {
        DEPLOYMENT: below(loaded.files.get(DEPLOYMENT, {}), environment),
        SPEC: loaded.files.get(SPEC, {}),
    }


def _messages(files: Mapping[str, bytes]) -> list[pb.ReleaseFile]:
    return [pb.ReleaseFile(file_name=path, file_content=data.decode()) for path, data in files.items()]


def _annotation(loaded: Loaded) -> pb.ReleaseAnnotationResponse:
    said: Mapping[str, Any] = loaded.artifact.annotation
    return pb.ReleaseAnnotationResponse(
        slug=said.get("slug") or loaded.artifact.name,
        source_username=said.get("source_user", ""),
        source_email=said.get("source_email", ""),
        context_title=said.get("title", ""),
        context_description=said.get("description", ""),
        context_web=said.get("web", ""),
        reference_version=said.get("version", ""),
        reference_commit_sha=said.get("commit", ""),
        reference_commit_branch=said.get("branch", ""),
        reference_commit_message=said.get("message", ""),
        created_at=said.get("created") or rfc3339(loaded.artifact.created),
    )
