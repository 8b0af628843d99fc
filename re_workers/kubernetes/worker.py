"""`kubernetes:*`: objects and rollouts of a cluster, by kubectl on the worker's machine. Must not know the bus."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypedDict

from re_workers.context import Context
from re_workers.kubernetes.acts import Act, Apply, Compare, Manifests, Roll, Rollout, Scale, SetImage, kubectl_step
from re_workers.limits import Limit, above, at_least, at_most, fits, items
from re_workers.sdk import Worker
from re_workers.steps.confinement import Confinement


def _form(pattern: str, form: str) -> Limit:
    known = re.compile(pattern)

    def problem(value: str) -> str:
        return "" if not value or known.fullmatch(value) else f"expected {form}, found {value[:80]!r}"

    return Limit({"pattern": f"^(?:{pattern})?$"}, problem)


_Name = Annotated[str, _form(r"[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,252}", "a name")]
_Resource = Annotated[str, _form(r"[a-z][a-z0-9.]{0,100}/[a-z0-9][a-z0-9.-]{0,252}", "kind/name, as deployment/web")]
_Kubeconfig = Annotated[str, "contents of a kubeconfig; empty: that of the worker's user"]
_Selector = Annotated[str, _form(r"[A-Za-z0-9][A-Za-z0-9_.,=!()/ -]{0,999}", "labels, as app=web")]
_Seconds = Annotated[float, above(0), at_most(24 * 3600)]
_Documents = (
    Annotated[str, "YAML", fits("re-script")] | Annotated[list[dict[str, Any]], "objects", items(1, 1000)] | None
)
_Files = Annotated[list[Annotated[str, fits("re-path")]] | None, "on the worker's machine", items(0, 1000)]
_Kustomize = Annotated[str, "directory of a kustomization", fits("re-path")]


class Changed(TypedDict):
    """What most of them return."""

    changed: bool


class Compared(TypedDict):
    """What would change."""

    changes: bool
    diff: str


class Kubernetes(Worker):
    """Applies manifests, and rolls out."""

    command: ClassVar[str] = "kubernetes"
    slots: ClassVar[int | None] = 8

    def __init__(self, confinement: Confinement | None = None) -> None:
        """`confinement` starts kubectl, and the programs that a kubeconfig names."""
        self.confinement = confinement or Confinement()

    @kubectl_step(Changed, idempotent=True, timeout=3600)
    def Apply(
        self,
        ctx: Context,
        manifests: _Documents = None,
        files: _Files = None,
        kustomize: _Kustomize = "",
        force: Annotated[bool, "take fields over from other managers"] = False,
        prune: Annotated[_Selector, "remove objects with these labels that the manifests do not have"] = "",
        wait: Annotated[bool, "until what rolls out has"] = True,
        seconds: _Seconds = 300,
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Has the cluster be as the manifests say, by server-side apply."""
        return Apply(Manifests(manifests, files or (), kustomize), force, prune, wait, seconds)

    @kubectl_step(Compared, idempotent=True)
    def Diff(
        self,
        ctx: Context,
        manifests: _Documents = None,
        files: _Files = None,
        kustomize: _Kustomize = "",
        force: bool = False,
        prune: _Selector = "",
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Returns what `kubernetes:Apply` would change."""
        return Compare(Apply(Manifests(manifests, files or (), kustomize), force, prune, False, 0))

    @kubectl_step(None, idempotent=True, timeout=24 * 3600)
    def RolloutStatus(
        self,
        ctx: Context,
        resource: _Resource,
        seconds: _Seconds = 300,
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Waits until a rollout has come to its end; where it does not, it fails with the reason that its pods give."""
        return Rollout([resource], seconds)

    @kubectl_step(Changed, idempotent=True, timeout=3600)
    def SetImage(
        self,
        ctx: Context,
        resource: _Resource,
        images: Annotated[dict[_Name, _Name], "by name of the container"],
        wait: bool = True,
        seconds: _Seconds = 300,
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Has the containers of a workload be of these images."""
        return SetImage(resource, images, wait, seconds)

    @kubectl_step(Changed, idempotent=True, timeout=3600)
    def Scale(
        self,
        ctx: Context,
        resource: _Resource,
        replicas: Annotated[int, at_least(0), at_most(100_000)],
        wait: bool = True,
        seconds: _Seconds = 300,
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Has a workload be of so many pods."""
        return Scale(resource, replicas, wait, seconds)

    @kubectl_step(Changed, timeout=3600)
    def Restart(
        self,
        ctx: Context,
        resource: _Resource,
        wait: bool = True,
        seconds: _Seconds = 300,
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Makes the pods of a workload again, one after the other."""
        return Roll(resource, "restart", [], wait, seconds)

    @kubectl_step(Changed, timeout=3600)
    def Rollback(
        self,
        ctx: Context,
        resource: _Resource,
        revision: Annotated[int, "0: the one before", at_least(0), at_most(1_000_000)] = 0,
        wait: bool = True,
        seconds: _Seconds = 300,
        namespace: _Name = "",
        context: _Name = "",
        kubeconfig: _Kubeconfig = "",
    ) -> Act:
        """Has a workload be as in an earlier revision."""
        return Roll(resource, "undo", [f"--to-revision={revision}"], wait, seconds)
