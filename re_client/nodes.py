"""The part of the Python client that concerns pipeline nodes: one method per route of `/api/v1/cdpm`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from re_client.calls import YAML, Calls, given, new_key
from re_core.api import pipelines as api

_NODES = "/api/v1/cdpm/nodes"


class Nodes(Calls):
    """`Client.nodes`. Every method raises ClientError."""

    def all(self, group: str | None = None, name: str | None = None) -> list[api.NodeRow]:
        """All nodes that the token reaches, by group and name."""
        return [cast(api.NodeRow, row) for row in self._pages(_NODES, given(group=group, name=name))]

    def one(self, id: str) -> api.PipelineNode:
        """A node, with its document and its public keys."""
        return cast(api.PipelineNode, self._get(_node(id)))

    def text(self, id: str) -> str:
        """Its document as YAML."""
        return self._transport.send("GET", _node(id), headers={"accept": YAML}).text

    def create(self, source: bytes, form: str = YAML, key: str = "") -> api.PipelineNode:
        """Store a new node; the engine makes its key pair. The key makes a repetition safe; one is made where none is given."""
        headers = {"content-type": form, "idempotency-key": key or new_key()}
        return cast(api.PipelineNode, self._repeatable("POST", _NODES, content=source, headers=headers))

    def replace(self, id: str, source: bytes, version: int | None = None, form: str = YAML) -> api.PipelineNode:
        """Store its next document; ApiError (412) where `version` is not the newest any more."""
        headers = {"content-type": form, **_condition(version)}
        return cast(api.PipelineNode, self._transport.json("PUT", _node(id), content=source, headers=headers))

    def remove(self, id: str, version: int | None = None) -> None:
        """End the node; deployments that it has started go on."""
        self._transport.send("DELETE", _node(id), headers=_condition(version))

    def rotate(self, id: str, another: bool = False) -> api.NodeKey:
        """The public key that its cdpm.yml shall have next."""
        return cast(api.NodeKey, self._transport.json("POST", f"{_node(id)}/rotate", json={"another": another}))

    def refresh(self, id: str) -> api.PipelineNode:
        """Let the engine read the node's cdpm.yml now."""
        return cast(api.PipelineNode, self._repeatable("POST", f"{_node(id)}/refresh"))

    def subscriptions(self, id: str) -> api.NodeSubscriptions:
        """Of both directions."""
        return cast(api.NodeSubscriptions, self._get(f"{_node(id)}/subscriptions"))

    def subscribe(self, id: str, dependency: str) -> api.NodeSubscriptions:
        """Subscribe again to a dependency that an operator has left. Safe to repeat."""
        return self._subscriptions(id, "subscribe", {"dependency": dependency})

    def unsubscribe(self, id: str, dependency: str) -> api.NodeSubscriptions:
        """Leave a dependency, though cdpm.yml names it. Safe to repeat."""
        return self._subscriptions(id, "unsubscribe", {"dependency": dependency})

    def bar(self, id: str, url: str, barred: bool = True) -> api.NodeSubscriptions:
        """End all subscriptions of the node with this cdpm.yml, and refuse its next ones; or take that back. Safe to repeat."""
        return self._subscriptions(id, "bar", {"url": url, "barred": barred})

    def releases(self, id: str) -> list[api.ReleaseRow]:
        """The newest 100, newest first."""
        return [cast(api.ReleaseRow, row) for row in self._pages(f"{_node(id)}/releases", {})]

    def release(self, id: str, n: int) -> api.WholeRelease:
        """One, with its votes."""
        return cast(api.WholeRelease, self._get(f"{_node(id)}/releases/{n}"))

    def publish(self, id: str, dynamic: Mapping[str, Any], key: str = "") -> api.WholeRelease:
        """Publish a release that no deployment made, once: it is sent again under the same key while the answer stays away."""
        headers = {"idempotency-key": key or new_key()}
        body = {"dynamic": dict(dynamic)}
        found = self._repeatable("POST", f"{_node(id)}/publish", json=body, headers=headers)
        return cast(api.WholeRelease, found)

    def trials(self, id: str) -> list[api.Trial]:
        """Builds of received releases, newest first, and the votes that they became."""
        return [cast(api.Trial, row) for row in self._pages(f"{_node(id)}/trials", {})]

    def received(self, id: str) -> list[api.ReceivedRelease]:
        """The newest 100 releases of its dependencies, newest first, and why one is not built."""
        return [cast(api.ReceivedRelease, row) for row in self._pages(f"{_node(id)}/received", {})]

    def validate(self, text: str, remote: bool = False) -> api.FileVerdict:
        """All that is wrong with a cdpm.yml; with `remote`, also which peers' files the engine cannot read. Nothing is stored."""
        body = {"text": text, "remote": remote}
        return cast(api.FileVerdict, self._repeatable("POST", "/api/v1/cdpm/validate", json=body))

    def _subscriptions(self, id: str, verb: str, body: Mapping[str, Any]) -> api.NodeSubscriptions:
        return cast(api.NodeSubscriptions, self._repeatable("POST", f"{_node(id)}/{verb}", json=body))


def _node(id: str) -> str:
    return f"{_NODES}/{quote(id, safe='')}"


def _condition(version: int | None) -> dict[str, str]:
    return {} if version is None else {"if-match": f'"{version}"'}
