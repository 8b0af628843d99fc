"""A server that answers kubectl as an API server of Kubernetes does, as far as these tests go. Must not know what they expect.

Discovery, OpenAPI, objects with generations and owners of fields, server-side apply with conflicts and dry runs, the patches of
`set image`, `scale` and `rollout`, selectors and watches. In place of the controllers stands `_reconcile`: a deployment is ready at once,
unless its image is of the registry `broken.example.com`: then its pods say what a kubelet says of an image that it cannot pull.
"""

from __future__ import annotations

import base64
import copy
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
import yaml

from tests.integration.kubernetes.discovery import RESOURCES, discovery, listed
from tests.integration.kubernetes.fields import Refused, applied, merge

_TOKEN = "token-of-the-tests"
_MOMENT = "2026-11-28T12:00:00Z"


class ApiServer:
    """What it keeps. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        #: path of an object -> the object
        self.objects: dict[str, dict[str, Any]] = {}
        #: methods and paths, without those that only read
        self.writes: list[str] = []
        self._version = 100
        self.put("/api/v1/namespaces/shop", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})

    def put(self, path: str, item: dict[str, Any]) -> dict[str, Any]:
        """Store it, and what the controllers make of it."""
        with self.changed:
            self._version += 1
            before, metadata = self.objects.get(path), item.setdefault("metadata", {})
            if before is None or before.get("spec") != item.get("spec"):
                metadata["generation"] = int((before or {}).get("metadata", {}).get("generation", 0)) + 1
            metadata |= {"resourceVersion": str(self._version)}
            metadata.setdefault("uid", f"uid-{path.rsplit('/', 1)[-1]}")
            metadata.setdefault("creationTimestamp", _MOMENT)
            self.objects[path] = item
            if item.get("kind") == "Deployment":
                self._reconcile(path, item)
            self.changed.notify_all()
            return item

    def _reconcile(self, path: str, deployment: dict[str, Any]) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        space = path.replace("/apis/apps/v1", "/api/v1").rsplit("/", 2)[0]
        revision = self._revision(path, deployment)
        metadata.setdefault("annotations", {})["deployment.kubernetes.io/revision"] = str(revision)
        wanted = spec.setdefault("replicas", 1)
        broken = [one for one in spec["template"]["spec"]["containers"] if "broken.example.com" in one.get("image", "")]
        ready = 0 if broken else wanted
        deployment["status"] = {
            "observedGeneration": metadata["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": wanted - ready,
            "conditions": [
                {
                    "type": "Available",
                    "status": "False" if broken else "True",
                    "reason": "MinimumReplicasUnavailable" if broken else "MinimumReplicasAvailable",
                    "message": "Deployment does not have minimum availability." if broken else "",
                }
            ],
        }
        pod, event = f"{space}/pods/{metadata['name']}-abc", f"{space}/events/{metadata['name']}-abc.1"
        self.objects.pop(pod, None)
        self.objects.pop(event, None)
        if broken:
            self.objects[pod] = _waiting_pod(metadata["name"], spec, broken[0])
            self.objects[event] = _event(f"{metadata['name']}-abc", broken[0]["image"])

    def _revision(self, path: str, deployment: dict[str, Any]) -> int:
        """A replica set for each template."""
        space, name = path.rsplit("/", 2)[0], deployment["metadata"]["name"]
        sets = {one: item for one, item in self.objects.items() if one.startswith(f"{space}/replicasets/{name}-")}
        newest = max(
            (int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for one in sets.values()),
            default=0,
        )
        template = deployment["spec"]["template"]
        for one in sets.values():
            if one["spec"]["template"] == template:
                found = one
                break
        else:
            labels = {**template["metadata"]["labels"], "pod-template-hash": str(len(sets) + 1)}
            owner = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": name,
                "uid": f"uid-{name}",
                "controller": True,
            }
            found = {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{name}-{len(sets) + 1}",
                    "namespace": "shop",
                    "uid": f"uid-rs-{len(sets) + 1}",
                    "labels": labels,
                    "ownerReferences": [owner],
                    "annotations": {"deployment.kubernetes.io/revision": "0"},
                },
                "spec": {"selector": {"matchLabels": labels}, "template": copy.deepcopy(template), "replicas": 0},
            }
            self.objects[f"{space}/replicasets/{name}-{len(sets) + 1}"] = found
        noted = found["metadata"]["annotations"]
        if (
            int(noted["deployment.kubernetes.io/revision"]) < newest
            or noted["deployment.kubernetes.io/revision"] == "0"
        ):
            noted["deployment.kubernetes.io/revision"] = str(newest + 1)
        return int(noted["deployment.kubernetes.io/revision"])


def _waiting_pod(name: str, spec: Any, container: Any) -> dict[str, Any]:
    said = f'Back-off pulling image "{container["image"]}": ErrImagePull: no such host'
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": said}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-abc",
            "namespace": "shop",
            "labels": dict(spec["template"]["metadata"]["labels"]),
        },
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
            "containerStatuses": [{"name": container["name"], "ready": False, "restartCount": 0, "state": waiting}],
        },
    }


def _event(pod: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod}.1", "namespace": "shop"},
        "type": "Warning",
        "reason": "Failed",
        "message": f'Failed to pull image "{image}": no such host',
        "involvedObject": {"kind": "Pod", "name": pod, "namespace": "shop"},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: ApiServer

    def log_message(self, *said: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._carried_out(self._get)

    def do_POST(self) -> None:
        self._carried_out(self._post)

    def do_PATCH(self) -> None:
        self._carried_out(self._patch)

    def do_DELETE(self) -> None:
        self._carried_out(self._delete)

    def _carried_out(self, method: Any) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.sent = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        self.place, self.query = parts.path.rstrip("/"), {key: value[0] for key, value in parse_qs(parts.query).items()}
        try:
            if self.headers.get("Authorization") != f"Bearer {_TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            if self.command != "GET" and "dryRun" not in self.query:
                self.api.writes.append(f"{self.command} {self.place}")
            with self.api.lock:
                answer = method()
        except Refused as refused:
            self._answer(refused.status, refused.code)
            return
        if answer is not None:
            self._answer(answer)
        elif self.query.get("watch") in ("1", "true"):
            self._watch()

    def _answer(self, body: Any, code: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _get(self) -> Any:
        if (found := discovery(self.place)) is not None:
            return found
        if self.place.endswith("/scale"):
            return _scale(self._required(self.place.removesuffix("/scale")))
        if self.place in self.api.objects:
            return self.api.objects[self.place]
        group, plural = listed(self.place)
        if plural is None:
            raise Refused(404, "NotFound", _absent(self.place))
        if self.query.get("watch") in ("1", "true"):
            return None
        kind = next(one for one in RESOURCES[group] if one[0] == plural)[1]
        return {
            "kind": f"{kind}List",
            "apiVersion": group,
            "metadata": {"resourceVersion": "100"},
            "items": self._chosen(),
        }

    def _chosen(self) -> list[Any]:
        group, plural = listed(self.place)
        root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        inside = self.place.removesuffix(f"/{plural}")
        found = []
        for path, item in self.api.objects.items():
            space, kind = path.rsplit("/", 2)[0], path.rsplit("/", 2)[1]
            if (
                kind == plural
                and (space == inside or (inside == root and space.startswith(root + "/")))
                and self._fits(item)
            ):
                found.append(item)
        return found

    def _fits(self, item: Any) -> bool:
        labels = item["metadata"].get("labels", {})
        for one in filter(None, self.query.get("labelSelector", "").split(",")):
            key, _, value = one.replace("==", "=").partition("=")
            if labels.get(key) != value:
                return False
        for one in filter(None, self.query.get("fieldSelector", "").split(",")):
            path, _, value = one.partition("=")
            there: Any = item
            for key in path.split("."):
                there = there.get(key, {}) if isinstance(there, dict) else {}
            if there != value:
                return False
        return True

    def _watch(self) -> None:
        """What is there, and what changes within the time that the client gives."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said: dict[str, str] = {}
        try:
            while not self.server.ends:  # type: ignore[attr-defined]
                with self.api.changed:
                    for item in self._chosen():
                        name, version = item["metadata"]["name"], item["metadata"].get("resourceVersion", "")
                        if said.get(name) != version:
                            line = (
                                json.dumps({"type": "MODIFIED" if name in said else "ADDED", "object": item}).encode()
                                + b"\n"
                            )
                            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                            said[name] = version
                    self.api.changed.wait(0.1)
        except OSError:
            self.close_connection = True

    def _post(self) -> Any:
        item = yaml.safe_load(self.sent)
        path = f"{self.place}/{item['metadata']['name']}"
        if "dryRun" in self.query:
            return item
        return self.api.put(path, item)

    def _patch(self) -> Any:
        kind = self.headers.get("Content-Type", "").partition(";")[0]
        if self.place.endswith("/scale"):
            item = copy.deepcopy(self._required(self.place.removesuffix("/scale")))
            item["spec"]["replicas"] = yaml.safe_load(self.sent)["spec"]["replicas"]
            return _scale(self.api.put(self.place.removesuffix("/scale"), item))
        if kind == "application/apply-patch+yaml":
            return self._apply()
        item = copy.deepcopy(self._required(self.place))
        patch = yaml.safe_load(self.sent)
        if kind == "application/json-patch+json":
            for one in patch:
                *way, last = one["path"].strip("/").split("/")
                there = item
                for key in way:
                    there = there[key.replace("~1", "/")]
                there[last] = one["value"]
        else:
            merge(item, patch)
        return item if "dryRun" in self.query else self.api.put(self.place, item)

    def _apply(self) -> Any:
        wanted = yaml.safe_load(self.sent)
        space = wanted["metadata"].get("namespace")
        if space and f"/api/v1/namespaces/{space}" not in self.api.objects:
            raise Refused(404, "NotFound", f'namespaces "{space}" not found')
        there = self.api.objects.get(self.place)
        item = applied(there, wanted, self.query["fieldManager"], self.query.get("force") == "true")
        if "dryRun" not in self.query:
            return self.api.put(self.place, item)
        if there is None:
            item["metadata"] |= {"uid": "dry", "creationTimestamp": _MOMENT}
        return item

    def _delete(self) -> Any:
        self._required(self.place)
        return self.api.objects.pop(self.place) if "dryRun" not in self.query else self.api.objects[self.place]

    def _required(self, path: str) -> dict[str, Any]:
        if path not in self.api.objects:
            raise Refused(404, "NotFound", _absent(path))
        return self.api.objects[path]


def _absent(path: str) -> str:
    plural, name = path.rsplit("/", 2)[1:]
    return f'{plural}{".apps" if "/apps/" in path else ""} "{name}" not found'


def _scale(item: Any) -> dict[str, Any]:
    count = item["spec"].get("replicas", 1)
    about = {key: item["metadata"][key] for key in ("name", "uid", "resourceVersion")} | {"namespace": "shop"}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": about,
        "spec": {"replicas": count},
        "status": {"replicas": count},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: watches shall end
    ends = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone."""


@contextmanager
def serving(directory: Path) -> Iterator[tuple[ApiServer, str]]:
    """One on loopback, and the contents of a kubeconfig for it: context `tests`, namespace `shop`."""
    api, authority = ApiServer(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    certificate = directory / "authority.pem"
    certificate.write_bytes(authority.cert_pem.bytes())
    try:
        yield api, _kubeconfig(server.server_address[1], authority.cert_pem.bytes())
    finally:
        server.ends = True
        server.shutdown()
        server.server_close()
        thread.join(10)


def _kubeconfig(port: int, authority: bytes) -> str:
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "deployer", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "deployer", "namespace": "shop"}}],
            "current-context": "tests",
        }
    )
