"""What a step on a cluster does, as a value: it can say what it would change, and do it. Must not know parameters of playbooks."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

import yaml

from re_workers.catalog.diff import cut, versions
from re_workers.catalog.operations import NOT_SHOWN
from re_workers.context import Context
from re_workers.kubernetes.kubectl import Cluster, Kubectl, kubectl_of
from re_workers.kubernetes.rollout import await_rollouts, rolling
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Method, Worker, step
from re_workers.steps.confinement import Confinement

_Worker = TypeVar("_Worker", bound=Worker)
_Parameters = ParamSpec("_Parameters")

#: what the fields that are applied belong to
MANAGER = "release-engine"

#: kinds of which superfluous objects are removed
PRUNED = (
    "configmaps",
    "secrets",
    "services",
    "deployments",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "ingresses",
)

#: a file of `kubectl diff`, and a line of kubectl's own log
_FILE = re.compile(r"^(---|\+\+\+) \S*/(?:LIVE|MERGED)-\d+/(\S+).*")
_LOGGED = re.compile(r"[WIE]\d{4} \d\d:\d\d:\d\d\.")


class Act(Protocol):
    """One of them."""

    def foresee(self, kubectl: Kubectl) -> Change:
        """What it would change; only looks. Raises Failed."""
        ...

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> Any:
        """Do it; what the step returns. Raises Failed, Cancelled."""
        ...


def kubectl_step(
    returns: Any, **options: Any
) -> Callable[
    [Callable[Concatenate[_Worker, Context, _Parameters], Act]],
    Method[_Worker, Concatenate[Context, _Parameters], Any],
]:
    """Make a step, with its plan, of a method with the parameters of a Cluster that returns what is to be done.

    The worker has the attribute `confinement`.
    """

    def mark(make: Callable[..., Act]) -> Any:
        def opened(worker: Any, ctx: Context, given: Mapping[str, Any]) -> Any:
            cluster = Cluster(*(given.get(name, "") for name in Cluster._fields))
            confinement: Confinement = worker.confinement
            return kubectl_of(ctx, cluster, confinement)

        @functools.wraps(make)
        def carry_out(worker: Worker, ctx: Context, **given: Any) -> Any:
            with opened(worker, ctx, given) as kubectl:
                return make(worker, ctx, **given).carry_out(ctx, kubectl)

        @functools.wraps(make)
        def plan(worker: Worker, ctx: Context, **given: Any) -> Change:
            with opened(worker, ctx, given) as kubectl:
                return make(worker, ctx, **given).foresee(kubectl)

        carry_out.__annotations__ = {**make.__annotations__, "return": returns}
        marked: Any = step(**options)(carry_out)
        marked.plan(plan)
        return marked

    return mark


class Manifests(NamedTuple):
    """What is to be there."""

    #: YAML of one document or several, or the documents
    inline: str | Sequence[Mapping[str, Any]] | None = None
    #: files, directories or URLs
    files: Sequence[str] = ()
    #: a directory with a kustomization
    kustomize: str = ""

    def sources(self, kubectl: Kubectl) -> list[str]:
        """As kubectl is given them. Raises Failed where there are none, or two kinds."""
        kinds = [bool(self.inline), bool(self.files), bool(self.kustomize)]
        if kinds.count(True) != 1:
            raise Failed("give exactly one of manifests, files and kustomize")
        if self.kustomize:
            return [f"--kustomize={self.kustomize}"]
        if self.inline:
            return [f"--filename={kubectl.file('manifests.yaml', _text(self.inline))}"]
        return [f"--filename={one}" for one in self.files]


class Apply(NamedTuple):
    """The cluster is as the manifests say."""

    manifests: Manifests
    force: bool
    #: labels whose objects are removed that the manifests do not have; empty: none are
    prune: str
    wait: bool
    seconds: float

    def foresee(self, kubectl: Kubectl) -> Change:
        """As of every act."""
        return self._difference(kubectl, self.manifests.sources(kubectl))

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> dict[str, Any]:
        """As of every act."""
        sources = self.manifests.sources(kubectl)
        change = self._difference(kubectl, sources)
        diff = _quoted(ctx, change)
        ctx.output(diff.rstrip("\n") or (f"unchanged: {change.why}" if change.will == "no" else change.why))
        if change.will != "no":
            self._apply(kubectl, sources)
            for kind, namespace, name in superfluous(kubectl, sources, self.prune):
                kubectl.run("delete", f"{kind}/{name}", f"--namespace={namespace}", "--wait=false")
        if self.wait:
            await_rollouts(ctx, kubectl, rolling(kubectl, sources), self.seconds)
        return {"changed": change.will != "no"}

    def _difference(self, kubectl: Kubectl, sources: Sequence[str]) -> Change:
        ran = kubectl.run("diff", *self._options(), *sources, ok=range(256), quiet=True)
        if ran.code > 1 or (ran.code and ran.out.startswith("error:")):
            # one that needs another one of them, such as its namespace, cannot be tried before that is there
            return Change("unknown", why=f"kubectl cannot compare: {' '.join(ran.out.split())[-500:]}")
        gone = superfluous(kubectl, sources, self.prune)
        diff = compared(ran.out) + "".join(f"-{kind}/{name}\n" for kind, _, name in gone)
        if not diff:
            return Change("no", why="the cluster is as the manifests say")
        return Change("yes", cut(diff), "the cluster differs from the manifests")

    def _apply(self, kubectl: Kubectl, sources: Sequence[str]) -> None:
        ran = kubectl.run("apply", *self._options(), *sources, ok=range(256))
        if not ran.code:
            return
        said = " ".join(ran.out.split())[-800:]
        if "conflict" in ran.out:
            raise Failed(f"others own what is to be applied: {said}; force: true takes it over", {"kind": "conflict"})
        raise Failed(f"kubectl apply failed with exit code {ran.code}: {said}", {"kind": "kubectl", "code": ran.code})

    def _options(self) -> list[str]:
        found = ["--server-side", f"--field-manager={MANAGER}"]
        return found + (["--force-conflicts"] if self.force else [])


class Compare(NamedTuple):
    """What `Apply` would change, as the step's result."""

    apply: Apply

    def foresee(self, kubectl: Kubectl) -> Change:
        """As of every act."""
        return Change("no", why="it only looks")

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> dict[str, Any]:
        """As of every act."""
        change = self.apply.foresee(kubectl)
        if change.will == "unknown":
            raise Failed(change.why, {"kind": "kubectl"})
        diff = _quoted(ctx, change)
        ctx.output(diff.rstrip("\n") or f"unchanged: {change.why}")
        return {"changes": change.will == "yes", "diff": diff}


class Rollout(NamedTuple):
    """It has come to its end."""

    resources: Sequence[str]
    seconds: float

    def foresee(self, kubectl: Kubectl) -> Change:
        """As of every act."""
        return Change("no", why="it only looks")

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> None:
        """As of every act."""
        await_rollouts(ctx, kubectl, self.resources, self.seconds)


class SetImage(NamedTuple):
    """Containers of a workload have these images."""

    resource: str
    images: Mapping[str, str]
    wait: bool
    seconds: float

    def foresee(self, kubectl: Kubectl) -> Change:
        """As of every act."""
        now = self._now(kubectl)
        changes = {name: (now[name], image) for name, image in self.images.items() if now[name] != image}
        if not changes:
            return Change("no", why=f"{self.resource} has these images")
        return Change("yes", versions(changes), f"{len(changes)} of {len(now)} containers have others")

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> dict[str, Any]:
        """As of every act."""
        change = self.foresee(kubectl)
        ctx.output(change.diff.rstrip("\n") or f"unchanged: {change.why}")
        if change.will == "yes":
            pairs = [f"{name}={image}" for name, image in self.images.items()]
            kubectl.run("set", "image", self.resource, *pairs, f"--field-manager={MANAGER}")
        if self.wait:
            await_rollouts(ctx, kubectl, [self.resource], self.seconds)
        return {"changed": change.will == "yes"}

    def _now(self, kubectl: Kubectl) -> dict[str, str]:
        template = ((kubectl.json("get", self.resource).get("spec") or {}).get("template") or {}).get("spec") or {}
        listed = [*(template.get("initContainers") or ()), *(template.get("containers") or ())]
        now = {str(one.get("name")): str(one.get("image", "")) for one in listed}
        if absent := sorted(set(self.images) - set(now)):
            raise Failed(f"{self.resource} has no container {absent[0]!r}; it has {', '.join(now) or 'none'}")
        return now


class Scale(NamedTuple):
    """A workload has so many pods."""

    resource: str
    replicas: int
    wait: bool
    seconds: float

    def foresee(self, kubectl: Kubectl) -> Change:
        """As of every act."""
        now = (kubectl.json("get", self.resource).get("spec") or {}).get("replicas")
        if now == self.replicas:
            return Change("no", why=f"{self.resource} has {now} replicas")
        return Change("yes", f"-replicas: {now}\n+replicas: {self.replicas}\n", f"it has {now} replicas")

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> dict[str, Any]:
        """As of every act."""
        change = self.foresee(kubectl)
        ctx.output(change.diff.rstrip("\n") or f"unchanged: {change.why}")
        if change.will == "yes":
            kubectl.run("scale", self.resource, f"--replicas={self.replicas}")
        if self.wait:
            await_rollouts(ctx, kubectl, [self.resource], self.seconds)
        return {"changed": change.will == "yes"}


class Roll(NamedTuple):
    """A workload's pods are made again, or those of an earlier revision."""

    resource: str
    verb: str
    more: Sequence[str]
    wait: bool
    seconds: float

    def foresee(self, kubectl: Kubectl) -> Change:
        """As of every act."""
        kubectl.json("get", self.resource)
        return Change("yes", why=f"rollout {self.verb} makes new pods")

    def carry_out(self, ctx: Context, kubectl: Kubectl) -> dict[str, Any]:
        """As of every act."""
        ran = kubectl.run("rollout", self.verb, self.resource, *self.more)
        if self.wait:
            await_rollouts(ctx, kubectl, [self.resource], self.seconds)
        return {"changed": "skipped rollback" not in ran.out}


def superfluous(kubectl: Kubectl, sources: Sequence[str], selector: str) -> list[tuple[str, str, str]]:
    """Kind, namespace and name of what has these labels, was applied by an engine of releases, and is in no manifest.

    kubectl itself does not prune what was applied by the server.
    """
    if not selector:
        return []
    wanted = {_identity(one) for one in _items(kubectl.json("get", *sources, "--ignore-not-found"))}
    there = kubectl.json("get", ",".join(PRUNED), f"--selector={selector}", "--show-managed-fields")
    return [_identity(one) for one in _items(there) if _identity(one) not in wanted and _is_ours(one)]


def _items(said: Any) -> Sequence[Any]:
    """Of a list, of one object, or of nothing."""
    if not said:
        return []
    return list(said.get("items", [said]))


def _identity(item: Any) -> tuple[str, str, str]:
    metadata = item.get("metadata") or {}
    return str(item.get("kind", "")).lower(), str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _is_ours(item: Any) -> bool:
    metadata = item.get("metadata") or {}
    managers = {one.get("manager") for one in metadata.get("managedFields") or () if one.get("operation") == "Apply"}
    return MANAGER in managers and not metadata.get("ownerReferences")


def compared(said: str) -> str:
    """What `kubectl diff` prints, without its temporary files and their times. Pure."""
    lines = [line for line in said.splitlines() if not line.startswith("diff ") and not _LOGGED.match(line)]
    return "".join(_FILE.sub(r"\1 \2", line) + "\n" for line in lines)


def _quoted(ctx: Context, change: Change) -> str:
    """Its difference, as far as it may be shown: the cluster may have what a secret in the manifests was before."""
    return f"{NOT_SHOWN}\n" if change.diff and "manifests" in ctx.secret_parameters else change.diff


def _text(inline: str | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(inline, str):
        return inline
    return yaml.safe_dump_all([dict(one) for one in inline], sort_keys=False, allow_unicode=True)
