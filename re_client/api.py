"""The Python client: one method per route of the API, version 1. Must not know the command line.

    client = Client("http://127.0.0.1:8080", token)
    started = client.deploy("inception", "1234", {"cart": "bitmath"})
    for event in client.events(started["id"]): ...

Every method raises ClientError (re_client.errors): NotReachable, NotAuthorized, NotFound, Unavailable, ApiError.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote, urlencode

from re_client import events
from re_client.apps import Apps
from re_client.calls import YAML, Calls, given, new_key
from re_client.hosts import Hosts
from re_client.nodes import Nodes
from re_client.transport import Transport
from re_core.api import answers
from re_core.api import artifacts as documents
from re_core.api import notifications as notification_documents
from re_core.api import workers as worker_documents

#: lines of one page of output: as many as the engine gives
LINES = 10_000
#: characters of an annotation that an address has room for; the engine takes 8190 in all
MAX_QUERY = 6000


class Client(Calls):
    """One engine, as one token sees it."""

    def __init__(self, url: str, token: str = "", pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(Transport(url, token), pause)
        #: what concerns apps and zones
        self.apps = Apps(self._transport, pause)
        #: what concerns pipeline nodes
        self.nodes = Nodes(self._transport, pause)
        #: what concerns hosts
        self.hosts = Hosts(self._transport, pause)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where the engine is."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # -- playbooks ---------------------------------------------------------------------------------

    def playbooks(self, group: str | None = None) -> list[answers.PlaybookRow]:
        """Newest revisions of all playbooks that the token reaches."""
        found = self._pages("/api/v1/playbooks", given(group=group))
        return [cast(answers.PlaybookRow, row) for row in found]

    def playbook(self, id: str, revision: int | None = None) -> answers.Playbook:
        """One playbook, newest revision or that one."""
        return cast(answers.Playbook, self._get(_playbook(id, revision)))

    def playbook_text(self, id: str, revision: int | None = None) -> str:
        """Its document as YAML."""
        return self._transport.send("GET", _playbook(id, revision), headers={"accept": YAML}).text

    def create_playbook(self, source: bytes, form: str = YAML, key: str = "") -> answers.Playbook:
        """Store a new playbook. The key makes a repetition safe; one is made where none is given."""
        headers = {"content-type": form, "idempotency-key": key or new_key()}
        return cast(answers.Playbook, self._repeatable("POST", "/api/v1/playbooks", content=source, headers=headers))

    def apply_playbook(self, source: bytes, form: str = YAML) -> answers.Applied:
        """Create it, or store the next revision of the one that has its group and name; `done` says which. Safe to repeat."""
        found = self._repeatable("POST", "/api/v1/playbooks/apply", content=source, headers={"content-type": form})
        return cast(answers.Applied, found)

    def update_playbook(self, id: str, source: bytes, revision: int, form: str = YAML) -> answers.Playbook:
        """Store its next revision; ApiError (412) where `revision` is not the newest any more."""
        headers = {"content-type": form, "if-match": f'"{revision}"'}
        return cast(answers.Playbook, self._transport.json("PUT", _playbook(id), content=source, headers=headers))

    def delete_playbook(self, id: str, revision: int | None = None) -> None:
        """Delete it; with a revision only where that is the newest."""
        headers = {"if-match": f'"{revision}"'} if revision else {}
        self._transport.send("DELETE", _playbook(id), headers=headers)

    def validate(self, source: bytes, form: str = YAML) -> answers.Verdict:
        """All that is wrong with a playbook, at once; nothing is stored."""
        headers = {"content-type": form}
        found = self._repeatable("POST", "/api/v1/playbooks/validate", content=source, headers=headers)
        return cast(answers.Verdict, found)

    def plan(self, id: str, dynamic: Mapping[str, Any], look: bool = False) -> answers.Plan:
        """What a deployment with these values would run; nothing is run. `look`: and what each step would change."""
        body, params = {"dynamic": dict(dynamic)}, {"look": "true"} if look else {}
        return cast(answers.Plan, self._repeatable("POST", f"{_playbook(id)}/plan", json=body, params=params))

    # -- deployments -------------------------------------------------------------------------------

    def deploy(self, group: str, playbook_id: str, dynamic: Mapping[str, Any], key: str = "") -> answers.Created:
        """Start a deployment, once: it is sent again under the same key while the answer stays away."""
        body: dict[str, Any] = {"group": group, "playbook_id": playbook_id}
        if dynamic:
            body["dynamic"] = dict(dynamic)
        headers = {"idempotency-key": key or new_key()}
        return cast(answers.Created, self._repeatable("POST", "/api/v1/deployments", json=body, headers=headers))

    def deployments(self, limit: int | None = 20, **filters: str | Sequence[str] | None) -> list[answers.DeploymentRow]:
        """The newest, at most `limit` (None: all). Filters: group, playbook_id, status, user, since."""
        found = self._pages("/api/v1/deployments", given(**filters), limit)
        return [cast(answers.DeploymentRow, row) for row in found]

    def deployment(self, id: str) -> answers.Deployment:
        """One, whole."""
        return cast(answers.Deployment, self._get(_deployment(id)))

    def output(self, id: str, after: int = 0, step: int | None = None) -> Iterator[answers.Line]:
        """The lines that it has printed so far, with a number above `after`."""
        return chain.from_iterable(self.output_pages(id, after, step))

    def output_pages(self, id: str, after: int = 0, step: int | None = None) -> Iterator[list[answers.Line]]:
        """As `output`, page by page: a long output is read as fast as it can be where each page is used in one go."""
        following: int | None = after
        while following is not None:
            params = given(after=following, limit=LINES, step=step)
            page = self._get(f"{_deployment(id)}/output", params)
            yield page["lines"]
            following = page.get("next")

    def tail(self, id: str, count: int, step: int | None = None) -> list[answers.Line]:
        """The last lines that it has printed so far, at most `count`."""
        return cast(list[answers.Line], self._get(f"{_deployment(id)}/output", given(tail=count, step=step))["lines"])

    def results(self, id: str, step: int) -> list[answers.Result]:
        """What the attempts of a step said at their end, in order."""
        return [cast(answers.Result, one) for one in self._pages(f"{_deployment(id)}/steps/{step}/result", {})]

    def feed(self, after: str = "", **filters: str | Sequence[str] | None) -> Iterator[events.FeedItem]:
        """What happens to all deployments, from now on or behind the event `after` (`0`: all that is kept), without an end.

        Goes on by itself over lost connections. Filters: group, kind, type.
        """
        query = urlencode(given(**filters), doseq=True)
        path = f"/api/v1/events?{query}" if query else "/api/v1/events"
        return events.follow_feed(self._transport, path, after, self._pause)

    def events(self, id: str, last: str = "", output: bool = True) -> Iterator[events.Event]:
        """What happens from now on (`last`: from that event id on) until it ends; lost connections are made again.

        Without `output` only states come. A watcher that falls far behind what is printed gets a SkippedEvent.
        """
        path = f"{_deployment(id)}/events" + ("" if output else "?output=false")
        return events.follow(self._transport, path, last, self._pause)

    def cancel(self, id: str, reason: str = "") -> Any:
        """Ask for its end; ApiError (409) where it has ended."""
        return self._transport.json("POST", f"{_deployment(id)}/cancel", json=given(reason=reason or None))

    def retry(
        self, id: str, reason: str = "", lost: str | None = None, retries: int | None = None, key: str = ""
    ) -> Any:
        """Let a failed deployment go on, once: it is sent again under the same key while the answer stays away.

        `lost` says what became of lost steps: `happened` or `again`. `retries`, of the document that was looked at, guards
        against another retry meanwhile. ApiError (409) where it cannot go on.
        """
        body = given(reason=reason or None, lost=lost, retries=retries)
        headers = {"idempotency-key": key or new_key()}
        return self._repeatable("POST", f"{_deployment(id)}/retry", json=body, headers=headers)

    def resolve(self, id: str, step: int, resolution: str, attempt: int = 0, reason: str = "", key: str = "") -> Any:
        """Say what became of a lost step that it waits for: `happened`, `again` or `fail`. As `retry` otherwise.

        `attempt` is the one that was looked at: ApiError (409) where it was lost once more since.
        """
        body = given(step=step, resolution=resolution, attempt=attempt or None, reason=reason or None)
        headers = {"idempotency-key": key or new_key()}
        return self._repeatable("POST", f"{_deployment(id)}/resolve", json=body, headers=headers)

    # -- artifacts ---------------------------------------------------------------------------------

    def push_artifact(
        self, name: str, content: Iterable[bytes], annotation: Mapping[str, str], group: str | None, kind: str
    ) -> tuple[documents.Artifact, bool]:
        """Store a tar.gz that comes in pieces; the artifact, and whether it is new. A push that was cut off stored nothing.

        An annotation that is too long for an address follows in a request of its own.
        """
        is_long = len(urlencode(annotation)) > MAX_QUERY
        params = {**given(group=group), "kind": kind, **({} if is_long else annotation)}
        headers = {"content-type": "application/gzip"}
        response = self._transport.send("PUT", _artifact(name), params=params, content=content, headers=headers)
        made = cast(documents.Artifact, response.json())
        if is_long:
            made = self.annotate_artifact(name, annotation, made["group"])
        return made, response.status_code == 201

    def artifacts(
        self, group: str | None = None, prefix: str = "", limit: int | None = 100
    ) -> list[documents.ArtifactRow]:
        """The newest artifacts that the token sees; those whose names begin with `prefix`."""
        found = self._pages("/api/v1/artifacts", given(group=group, prefix=prefix or None), limit)
        return [cast(documents.ArtifactRow, row) for row in found]

    def artifact(self, name: str, group: str | None = None) -> documents.ArtifactWithFiles:
        """One, with the list of its files."""
        return cast(documents.ArtifactWithFiles, self._get(_artifact(name), given(group=group)))

    def artifact_content(self, name: str, group: str | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The pieces of a tar.gz of its files."""
        return self._transport.download(f"{_artifact(name)}/content", given(group=group))

    def annotate_artifact(
        self, name: str, annotation: Mapping[str, str], group: str | None = None
    ) -> documents.Artifact:
        """Set its annotation, once; safe to repeat."""
        path = f"{_artifact(name)}/annotation"
        return cast(documents.Artifact, self._repeatable("PUT", path, params=given(group=group), json=dict(annotation)))

    def delete_artifact(self, name: str, group: str | None = None) -> None:
        """ApiError (409) where something may need it."""
        self._transport.send("DELETE", _artifact(name), params=given(group=group))

    def prune_artifacts(
        self, group: str | None = None, older: int | None = None, dry_run: bool = False
    ) -> documents.PrunedArtifacts:
        """Delete what was not pushed or used for `older` seconds and nothing needs, in one group or in all."""
        body = given(group=group, older=older, dry_run=dry_run)
        return cast(documents.PrunedArtifacts, self._transport.json("POST", "/api/v1/artifacts/prune", json=body))

    # -- the rest ----------------------------------------------------------------------------------

    def dead_letters(self, limit: int | None = 100) -> list[answers.DeadLetter]:
        """The newest undeliverable messages."""
        return [cast(answers.DeadLetter, row) for row in self._pages("/api/v1/deadletters", {}, limit)]

    def dead_letter(self, id: str) -> answers.DeadLetter:
        """One, whole."""
        return cast(answers.DeadLetter, self._get(_dead_letter(id)))

    def replay_dead_letter(self, id: str) -> None:
        """Send it to its queue again."""
        self._transport.send("POST", f"{_dead_letter(id)}/replay")

    def drop_dead_letter(self, id: str) -> None:
        """Delete it."""
        self._transport.send("DELETE", _dead_letter(id))

    def notifications(
        self, limit: int | None = 100, group: str = "", deployment: str = "", outcome: str = "", transport: str = ""
    ) -> list[notification_documents.NotificationRow]:
        """The newest notifications that were sent or failed."""
        wanted = given(
            group=group or None, deployment=deployment or None, outcome=outcome or None, transport=transport or None
        )
        return [
            cast(notification_documents.NotificationRow, row)
            for row in self._pages("/api/v1/notifications", wanted, limit)
        ]

    def notify(self, transport: str, targets: Sequence[str], slug: str, message: str, phase: str) -> str:
        """Send a notification; its id. That it was delivered, the list of notifications says."""
        said = {"transport": transport, "slug": slug, "message": message, "phase": phase, "target": list(targets)}
        return str(self._repeatable("POST", "/api/v1/notifications", json=said)["id"])

    def notification_targets(
        self, group: str, playbook: str, environments: Sequence[str] = ()
    ) -> notification_documents.NotificationTargets:
        """Who would hear of a deployment of that playbook, with steps of these environments."""
        wanted = {"group": group, "playbook": playbook, "environment": list(environments)}
        return cast(notification_documents.NotificationTargets, self._get("/api/v1/notifications/targets", wanted))

    def groups(self) -> list[dict[str, Any]]:
        """Groups that own playbooks."""
        return self._pages("/api/v1/groups", {})

    def troubles(self) -> list[str]:
        """What keeps the engine from working just now, each as `part: why`; empty where it is ready."""
        checks = self._transport.look("/readyz").get("checks")
        found = checks.items() if isinstance(checks, dict) else ()
        return [f"{part}: {why}" for part, why in found if why != "ok"]

    def workers(self) -> list[dict[str, Any]]:
        """Workers that live, and the steps that they offer."""
        return self._pages("/api/v1/workers", {})

    def create_token(
        self, user: str, groups: Sequence[str] | None, admin: bool = False, notify: bool = False, expires: str = ""
    ) -> answers.NewToken:
        """A token for `user` that reaches these groups (None: all). The answer is the only place where its secret stands.

        `expires`: `90d`, `12h`, a time, or `never`; the engine's own choice, 90 days, where nothing is said.
        """
        body: dict[str, Any] = {"user": user, "groups": None if groups is None else list(groups), "admin": admin}
        body |= given(notify=notify or None, expires=expires or None)
        return cast(answers.NewToken, self._transport.json("POST", "/api/v1/tokens", json=body))

    def tokens(self) -> list[answers.Token]:
        """All tokens, without their secrets."""
        return [cast(answers.Token, row) for row in self._pages("/api/v1/tokens", {})]

    def revoke_token(self, id: str) -> None:
        """It opens nothing any more."""
        self._transport.send("DELETE", f"/api/v1/tokens/{quote(id, safe='')}")

    def enroll_runner(self, name: str, parallel: int | None = None) -> answers.NewRunner:
        """A forest runner of this name. The answer is the only place where the id stands with which it connects."""
        body = {"name": name, **given(parallel=parallel)}
        return cast(answers.NewRunner, self._transport.json("POST", "/api/v1/runners", json=body))

    def set_secret(self, name: str, value: str) -> answers.Secret:
        """Set or replace a secret of the engine's store."""
        return cast(answers.Secret, self._transport.json("PUT", _secret(name), json={"value": value}))

    def secrets(self) -> list[answers.Secret]:
        """All of the engine's store, without their values."""
        return [cast(answers.Secret, row) for row in self._pages("/api/v1/secrets", {})]

    def remove_secret(self, name: str) -> None:
        """Remove one."""
        self._transport.send("DELETE", _secret(name))

    def rotate_secrets(self) -> answers.Rotated:
        """Seal all again, with the first key of the engine's key file."""
        return cast(answers.Rotated, self._transport.json("POST", "/api/v1/secrets/rotate"))

    def add_worker_credential(
        self, name: str, public_key: str, commands: Sequence[str] = (), pool: str = "", environments: Sequence[str] = ()
    ) -> worker_documents.NewWorkerCredential:
        """Add the public half of a worker's key, and say for which steps it counts."""
        body: dict[str, Any] = {"name": name, "public_key": public_key}
        body |= given(commands=list(commands) or None, pool=pool or None, environments=list(environments) or None)
        made = self._transport.json("POST", "/api/v1/worker-credentials", json=body)
        return cast(worker_documents.NewWorkerCredential, made)

    def worker_credentials(self) -> list[worker_documents.WorkerCredential]:
        """All credentials of workers."""
        return [cast(worker_documents.WorkerCredential, row) for row in self._pages("/api/v1/worker-credentials", {})]

    def revoke_worker_credential(self, name: str) -> worker_documents.WorkerCredential:
        """Nothing is granted for it any more."""
        return cast(worker_documents.WorkerCredential, self._transport.json("POST", f"{_credential(name)}/revoke"))

    def remove_worker_credential(self, name: str) -> None:
        """Delete a revoked one."""
        self._transport.send("DELETE", _credential(name))

    def runners(self) -> list[answers.Runner]:
        """All forest runners, without their secrets."""
        return [cast(answers.Runner, row) for row in self._pages("/api/v1/runners", {})]

    def set_runner(self, name: str, parallel: int) -> answers.Runner:
        """Change how many releases it is given at once."""
        return cast(answers.Runner, self._transport.json("PUT", _runner(name), json={"parallel": parallel}))

    def revoke_runner(self, name: str) -> answers.Runner:
        """Gateways refuse it from now on."""
        return cast(answers.Runner, self._transport.json("POST", f"{_runner(name)}/revoke"))

    def forget_runner(self, name: str) -> None:
        """Delete a revoked one."""
        self._transport.send("DELETE", _runner(name))


def _playbook(id: str, revision: int | None = None) -> str:
    path = f"/api/v1/playbooks/{quote(id, safe='')}"
    return path if revision is None else f"{path}/revisions/{revision}"


def _deployment(id: str) -> str:
    return f"/api/v1/deployments/{quote(id, safe='')}"


def _secret(name: str) -> str:
    return f"/api/v1/secrets/{quote(name)}"


def _credential(name: str) -> str:
    return f"/api/v1/worker-credentials/{quote(name, safe='')}"


def _runner(name: str) -> str:
    return f"/api/v1/runners/{quote(name, safe='')}"


def _artifact(name: str) -> str:
    return f"/api/v1/artifacts/{quote(name, safe='')}"


def _dead_letter(id: str) -> str:
    return f"/api/v1/deadletters/{quote(id, safe='')}"
