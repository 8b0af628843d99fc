"""kubectl, with what it needs to reach one cluster as one user. Must not know what steps want of the cluster.

It runs on the worker's machine as all programs of steps do. A kubeconfig that the step gives is in a file that only the user of programs
of steps can read, and that goes with the step; so does what kubectl caches of the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from re_workers.context import Context
from re_workers.outcomes import Failed
from re_workers.steps.confinement import Confinement
from re_workers.steps.tools import Ran, Tool, give, scratch

#: seconds that one request may take which does not wait for anything
REQUEST = 60

#: what a variable of the machine must not change
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "KUBECTL_EXTERNAL_DIFF": "diff -u -N", "KUBECTL_INTERACTIVE_DELETE": "false"}


class Cluster(NamedTuple):
    """Which one, and as whom; empty: what kubectl of the user of programs says."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""


class Kubectl:
    """For one step."""

    def __init__(self, ctx: Context, tool: Tool, options: Sequence[str], place: Path, confinement: Confinement) -> None:
        self._ctx, self._tool, self._options = ctx, tool, options
        self._place, self._confinement = place, confinement

    def run(self, *words: str, ok: Collection[int] = (0,), quiet: bool = False, limited: bool = True) -> Ran:
        """Run it. `limited`: each request ends in time; not for what watches. Raises Failed, Cancelled."""
        limit = [f"--request-timeout={REQUEST}s"] if limited else []
        return self._tool.run(self._ctx, *words, *self._options, *limit, ok=ok, quiet=quiet)

    def json(self, *words: str) -> Any:
        """What it says as JSON. Raises Failed, Cancelled."""
        said = self.run(*words, "--output=json", quiet=True).out
        begin = said.find("{\n") if not said.startswith("{") else 0  # warnings of the server come first
        if not said.strip():
            return None
        try:
            return json.loads(said[begin:])
        except ValueError:
            raise Failed(f"kubectl {words[0]} did not answer with JSON: {said[:200]}") from None

    def found(self, *words: str) -> Any:
        """As `json`; None where kubectl fails: for what only explains."""
        try:
            return self.json(*words)
        except Failed:
            return None

    def file(self, name: str, content: str) -> str:
        """A file for it; its path."""
        return _written(self._place / name, content, self._confinement)


@contextmanager
def kubectl_of(ctx: Context, cluster: Cluster, confinement: Confinement) -> Iterator[Kubectl]:
    """For as long as a step needs it."""
    with scratch(confinement) as place:
        options = [f"--cache-dir={place}/cache"]
        options += [f"--context={cluster.context}"] if cluster.context else []
        options += [f"--namespace={cluster.namespace}"] if cluster.namespace else []
        variables = dict(_ENVIRONMENT)
        if cluster.kubeconfig:
            variables["KUBECONFIG"] = _written(place / "kubeconfig", cluster.kubeconfig, confinement)
        yield Kubectl(ctx, Tool("kubectl", confinement, variables), options, place, confinement)


def _written(path: Path, content: str, confinement: Confinement) -> str:
    path.touch(0o600)
    path.write_text(content, encoding="utf-8")
    return str(give(path, confinement))


def named(resource: Mapping[str, Any]) -> str:
    """`deployment/web`."""
    return f"{str(resource.get('kind', '')).lower()}/{(resource.get('metadata') or {}).get('name', '')}"
