"""What an API server says of itself: versions, groups, resources, OpenAPI. Must not know objects."""

from __future__ import annotations

from typing import Any

#: group and version -> plural, kind, whether it is in a namespace
RESOURCES: dict[str, list[tuple[str, str, bool]]] = {
    "v1": [
        ("namespaces", "Namespace", False),
        ("configmaps", "ConfigMap", True),
        ("endpoints", "Endpoints", True),
        ("events", "Event", True),
        ("persistentvolumeclaims", "PersistentVolumeClaim", True),
        ("persistentvolumes", "PersistentVolume", False),
        ("pods", "Pod", True),
        ("replicationcontrollers", "ReplicationController", True),
        ("secrets", "Secret", True),
        ("services", "Service", True),
    ],
    "apps/v1": [
        ("daemonsets", "DaemonSet", True),
        ("deployments", "Deployment", True),
        ("replicasets", "ReplicaSet", True),
        ("statefulsets", "StatefulSet", True),
    ],
    "batch/v1": [("cronjobs", "CronJob", True), ("jobs", "Job", True)],
    "networking.k8s.io/v1": [("ingresses", "Ingress", True)],
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def listed(path: str) -> tuple[str, str | None]:
    """Group and plural of a path of a list."""
    parts = path.strip("/").split("/")
    group = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
    plural = parts[-1]
    known = {one[0] for one in RESOURCES.get(group, ())}
    return group, plural if plural in known else None


def discovery(path: str) -> Any:
    if path == "/version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.4", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = []
        for group in RESOURCES:
            if "/" in group:
                version = {"groupVersion": group, "version": group.partition("/")[2]}
                groups.append({"name": group.partition("/")[0], "versions": [version], "preferredVersion": version})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/openapi/v3":
        paths = {_root(group): {"serverRelativeURL": f"/openapi/v3/{_root(group)}?hash=1"} for group in RESOURCES}
        return {"paths": paths}
    for group, resources in RESOURCES.items():
        if path == f"/openapi/v3/{_root(group)}":
            return _openapi(group, resources)
        if path == f"/{_root(group)}":
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": group,
                "resources": _resources(resources),
            }
    return None


def _root(group: str) -> str:
    return f"apis/{group}" if "/" in group else f"api/{group}"


def _resources(resources: list[tuple[str, str, bool]]) -> list[dict[str, Any]]:
    found = []
    for plural, kind, namespaced in resources:
        one = {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": VERBS}
        found.append(one)
        if kind in ("Deployment", "StatefulSet"):
            scale = {
                "name": f"{plural}/scale",
                "singularName": "",
                "namespaced": True,
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            }
            found.append({**scale, "group": "autoscaling", "version": "v1"})
    return found


def _openapi(group: str, resources: list[tuple[str, str, bool]]) -> dict[str, Any]:
    """That patches know dry runs and the validation of fields: what kubectl looks for before it sends one."""
    name, _, version = group.rpartition("/")
    paths = {}
    for plural, kind, namespaced in resources:
        place = "/namespaces/{namespace}" if namespaced else ""
        parameters = [
            {"name": one, "in": "query", "schema": {"type": "string"}}
            for one in ("dryRun", "fieldManager", "fieldValidation", "force")
        ]
        meaning = {"group": name, "kind": kind, "version": version}
        patch = {
            "parameters": parameters,
            "responses": {},
            "x-kubernetes-group-version-kind": meaning,
            "x-kubernetes-action": "patch",
        }
        paths[f"/{_root(group)}{place}/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.32.4"}, "paths": paths}
