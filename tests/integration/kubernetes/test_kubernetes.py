"""`kubernetes:*` by the real kubectl, against a server that answers as an API server does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from re_workers.kubernetes.worker import Kubernetes
from re_workers.steps.confinement import Confinement
from re_workers.testing import Result, plan, run
from tests.integration.kubernetes.api_server import ApiServer, serving
from tests.integration.kubernetes.kubectl import have_kubectl

Act = Callable[..., Result]

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"


@pytest.fixture
def cluster(tmp_path: Path, kubectl: None) -> Iterator[tuple[ApiServer, str]]:
    """A server, and a kubeconfig for it."""
    with serving(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def kubectl() -> None:
    """It is there."""
    have_kubectl()


@pytest.fixture
def worker() -> Kubernetes:
    """One whose kubectl is this machine's."""
    return Kubernetes(Confinement(isolation="off"))


@pytest.fixture
def act(worker: Kubernetes, cluster: tuple[ApiServer, str]) -> Act:
    """Runs a step on the cluster, and fails where it does."""

    def perform(step: str, fails: bool = False, **parameters: Any) -> Result:
        result = run(worker, f"kubernetes:{step}", {"kubeconfig": cluster[1], **parameters})
        assert (result.status == "failed") == fails, (result.message, result.output)
        assert "token-of-the-tests" not in f"{result}"
        return result

    return perform


def deployment(image: str = "shop:1", name: str = "web", **spec: Any) -> dict[str, Any]:
    """A manifest."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {**labels, "release": "shop"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod, **spec},
    }


def foreseen(worker: Kubernetes, kubeconfig: str, step: str, **parameters: Any) -> tuple[str, str]:
    """Whether a step would change anything, and the difference."""
    change = plan(worker, f"kubernetes:{step}", {"kubeconfig": kubeconfig, **parameters})
    return change.will, change.diff


def test_manifests_are_applied_once_and_what_is_superfluous_goes(
    act: Act, worker: Kubernetes, cluster: tuple[ApiServer, str], tmp_path: Path
) -> None:
    api, kubeconfig = cluster
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "labels": {"release": "shop"}}}
    first = act("Apply", manifests=[deployment(), settings], prune="release=shop")
    assert first.data == {"changed": True} and 'deployment "web" successfully rolled out' in first.output
    again = act("Apply", manifests=[deployment(), settings], prune="release=shop")
    assert again.data == {"changed": False}
    assert again.output[0] == "unchanged: the cluster is as the manifests say"

    api.put(
        "/api/v1/namespaces/shop/configmaps/foreign",
        {**settings, "metadata": {"name": "foreign", "labels": {"release": "shop"}}},
    )
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "web.json").write_text(str(deployment("shop:2")).replace("'", '"'))
    files = {"files": [str(tmp_path / "manifests")], "prune": "release=shop"}
    will, diff = foreseen(worker, kubeconfig, "Apply", **files)
    assert will == "yes" and "+++ apps.v1.Deployment.shop.web\n" in diff
    assert "-      - image: shop:1\n+      - image: shop:2\n" in diff and diff.endswith("-configmap/old\n")
    assert act("Diff", **files).data == {"changes": True, "diff": diff}
    writes = len(api.writes)
    act("Apply", **files)
    assert api.writes[writes:] == [f"PATCH {WEB}", "DELETE /api/v1/namespaces/shop/configmaps/old"]
    assert "/api/v1/namespaces/shop/configmaps/foreign" in api.objects
    assert foreseen(worker, kubeconfig, "Apply", **files) == ("no", "")

    (tmp_path / "manifests" / "kustomization.yaml").write_text("resources: [web.json]\nnamePrefix: my-\n")
    act("Apply", kustomize=str(tmp_path / "manifests"), wait=False)
    assert WEB.replace("web", "my-web") in api.objects
    act("Apply", fails=True, manifests=[deployment()], kustomize="/x")


def test_fields_of_others_are_taken_over_only_where_that_is_asked_for(act: Act, cluster: tuple[ApiServer, str]) -> None:
    api, _ = cluster
    act("Apply", manifests=[deployment()], wait=False)
    for entry in api.objects[WEB]["metadata"]["managedFields"]:
        entry["manager"] = "autoscaler"
    refused = act("Apply", fails=True, manifests=[deployment(replicas=5)])
    assert refused.data == {"kind": "conflict"} and "force: true takes it over" in str(refused.message)
    assert 'conflict with "autoscaler"' in str(refused.message) and api.objects[WEB]["spec"]["replicas"] == 2
    act("Apply", manifests=[deployment(replicas=5)], force=True)
    assert api.objects[WEB]["spec"]["replicas"] == 5

    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}
    inside = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "new"}}
    both = act("Apply", manifests=[space, inside])
    assert both.data == {"changed": True} and "kubectl cannot compare" in both.output[0]
    assert "/api/v1/namespaces/new/configmaps/settings" in api.objects


def test_a_rollout_that_fails_says_what_its_pods_say(
    act: Act, worker: Kubernetes, cluster: tuple[ApiServer, str]
) -> None:
    api, kubeconfig = cluster
    act("Apply", manifests=[deployment()])
    bad = act("SetImage", fails=True, resource="deployment/web", images={"app": "broken.example.com/shop:3"}, seconds=1)
    assert str(bad.message).startswith(
        "deployment/web did not roll out in 1 s, 0 of 2 are ready: pod web-abc: app: ImagePullBackOff: Back-off pulling image"
    )
    assert any("Failed to pull image" in reason for reason in bad.data["reasons"])
    assert act("RolloutStatus", fails=True, resource="deployment/web", seconds=1).data["kind"] == "rollout"
    assert foreseen(worker, kubeconfig, "Rollback", resource="deployment/web")[0] == "yes"
    act("Rollback", resource="deployment/web")
    image = api.objects[WEB]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "shop:1"
    act("RolloutStatus", resource="deployment/web", namespace="shop", context="tests")

    set_image = {"resource": "deployment/web", "images": {"app": "shop:2"}}
    assert foreseen(worker, kubeconfig, "SetImage", **set_image) == ("yes", "-app shop:1\n+app shop:2\n")
    assert [act("SetImage", **set_image).data["changed"] for _ in range(2)] == [True, False]
    scale = {"resource": "deployment/web", "replicas": 3}
    assert foreseen(worker, kubeconfig, "Scale", **scale) == ("yes", "-replicas: 2\n+replicas: 3\n")
    assert [act("Scale", **scale).data["changed"] for _ in range(2)] == [True, False]
    generation = api.objects[WEB]["metadata"]["generation"]
    act("Restart", resource="deployment/web")
    assert api.objects[WEB]["metadata"]["generation"] == generation + 1
    absent = act("SetImage", fails=True, resource="deployment/web", images={"none": "shop:2"})
    assert absent.message == "deployment/web has no container 'none'; it has app"


def test_what_cannot_be_says_why_and_nothing_of_the_kubeconfig_stays(
    act: Act, worker: Kubernetes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert 'deployments.apps "none" not found' in str(
        act("RolloutStatus", fails=True, resource="deployment/none").message
    )
    assert "kind/name, as deployment/web" in str(act("RolloutStatus", fails=True, resource="--all").message)
    assert "context was not found for specified context: wrong" in str(
        act("Scale", fails=True, resource="deployment/web", replicas=1, context="wrong").message
    )
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    act("RolloutStatus", fails=True, resource="deployment/none")
    assert not list(tmp_path.glob("re-held-*"))
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = run(worker, "kubernetes:RolloutStatus", {"resource": "deployment/web"})
    assert (missing.message, missing.data) == ("kubectl is not installed on the worker's machine", {"kind": "tool"})
