"""Rollouts: wait for one, and say why one does not come to its end. Must not know what has begun it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from re_workers.context import Context
from re_workers.kubernetes.kubectl import Kubectl, named
from re_workers.outcomes import Failed

#: kinds that roll out, as kubectl prints them
KINDS = ("deployment.apps/", "statefulset.apps/", "daemonset.apps/")

#: pods and events that an explanation has at most, and characters of one
MOST_PODS, MOST_EVENTS, MOST_SAID = 5, 5, 300


def await_rollouts(ctx: Context, kubectl: Kubectl, resources: Sequence[str], seconds: float) -> None:
    """Wait for each of them in turn. Raises Failed with the reason, Cancelled."""
    for resource in resources:
        words = ["rollout", "status", resource, f"--timeout={max(1, round(seconds))}s"]
        ran = kubectl.run(*words, ok=range(256), limited=False)
        if ran.code:
            raise _failure(ctx, kubectl, resource, seconds, ran.out.splitlines()[-1:])


def rolling(kubectl: Kubectl, sources: Sequence[str]) -> list[str]:
    """Those of some manifests that roll out."""
    said = kubectl.run("get", *sources, "--output=name", quiet=True).out
    return [line for line in said.splitlines() if line.startswith(KINDS)]


def _failure(ctx: Context, kubectl: Kubectl, resource: str, seconds: float, said: Sequence[str]) -> Failed:
    there = kubectl.found("get", resource)
    if there is None:
        return Failed(f"{resource}: {' '.join(said) or 'kubectl says nothing'}", {"kind": "rollout", "reasons": []})
    reasons = [*_conditions(there), *_of_pods(kubectl, there)]
    for reason in reasons:
        ctx.output(f"{named(there)}: {reason}")
    pods = [one for one in reasons if one.startswith("pod ")]
    shown = (pods or reasons or list(said) or ["no reason is known"])[0]
    status = there.get("status") or {}
    wanted = (there.get("spec") or {}).get("replicas", status.get("desiredNumberScheduled", "?"))
    ready = status.get("readyReplicas", status.get("numberReady", 0))
    words = f"{named(there)} did not roll out in {seconds:g} s, {ready} of {wanted} are ready: {shown}"
    return Failed(words, {"kind": "rollout", "reasons": reasons})


def _conditions(resource: Any) -> Iterator[str]:
    for one in (resource.get("status") or {}).get("conditions") or ():
        bad = one.get("status") == "False" or one.get("type") == "ReplicaFailure"
        if bad and one.get("message"):
            yield f"{one.get('reason', one.get('type'))}: {_short(one['message'])}"


def _of_pods(kubectl: Kubectl, resource: Any) -> Iterator[str]:
    labels = ((resource.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    if not labels:
        return
    where = (resource.get("metadata") or {}).get("namespace", "")
    place = [f"--namespace={where}"] if where else []
    found = kubectl.found(
        "get", "pods", f"--selector={','.join(f'{key}={value}' for key, value in labels.items())}", *place
    )
    bad = [pod for pod in (found or {}).get("items") or () if not _is_ready(pod)]
    for pod in bad[:MOST_PODS]:
        name = (pod.get("metadata") or {}).get("name", "")
        states = list(_states(pod))
        for state in states:
            yield f"pod {name}: {state}"
        for event in _events(kubectl, name, place):
            yield f"pod {name}: {event}"


def _is_ready(pod: Any) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _states(pod: Any) -> Iterator[str]:
    status = pod.get("status") or {}
    for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state = one.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated") or (one.get("lastState") or {}).get("terminated")
        words = (
            [f"{waiting.get('reason', 'waiting')}: {_short(waiting.get('message', ''))}".rstrip(": ")]
            if waiting
            else []
        )
        if ended and ended.get("exitCode"):
            words.append(f"its program has ended with exit code {ended['exitCode']} ({ended.get('reason', 'Error')})")
        if one.get("restartCount"):
            words.append(f"started again {one['restartCount']} times")
        if not (waiting or ended) and not one.get("ready"):
            words.append("it runs and is not ready")
        if words:
            yield f"{one.get('name', '')}: {', '.join(words)}"
    for one in status.get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            yield f"{one.get('reason', 'Unschedulable')}: {_short(one.get('message', ''))}"


def _events(kubectl: Kubectl, pod: str, place: Sequence[str]) -> list[str]:
    chosen = f"--field-selector=involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"
    found = kubectl.found("get", "events", chosen, *place)
    events = [f"{one.get('reason', '')}: {_short(one.get('message', ''))}" for one in (found or {}).get("items") or ()]
    return list(dict.fromkeys(events))[-MOST_EVENTS:]


def _short(text: Any) -> str:
    return " ".join(str(text).split())[:MOST_SAID]
