"""What the tests of the whole engine do with deployments, over the API. Must not know what a test is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil

from re_client.api import Client
from re_core.api.answers import Deployment
from tests.e2e.engine_process import wait_until

#: seconds for a deployment that takes one or two
PATIENCE = 60.0


def begin(client: Client, playbook: str, dynamic: Mapping[str, Any] | None = None) -> str:
    """Store the playbook, deploy it, and give the deployment's id."""
    stored = client.apply_playbook(playbook.encode())
    return client.deploy(stored["group"], stored["id"], dynamic or {})["id"]


def steps_book(*steps: str, hosts: str = "one") -> str:
    """A playbook whose one sequence has these steps, each in YAML's flow style."""
    lines = "".join(f"      - {step}\n" for step in steps)
    return f"group: tests\nname: book\nexecution:\n  - hosts: [{hosts}]\n    steps:\n{lines}"


def run_step(cmd: str, beside: str = "") -> str:
    """A step that runs a command line, and what stands beside its key."""
    text = cmd.replace("'", "''")
    return f"{{'command:Run': {{cmd: '{text}'}}{beside and ', '}{beside}}}"


def ended(client: Client, id: str) -> Deployment:
    """The deployment, once it has ended."""
    wait_until(f"{id} has ended", lambda: client.deployment(id)["ended"] is not None, PATIENCE)
    return client.deployment(id)


def await_line(client: Client, id: str, text: str) -> None:
    """Wait until the deployment has printed this line."""
    wait_until(f"{id} prints {text}", lambda: text in printed(client, id), PATIENCE)


def await_line_number(client: Client, id: str, number: int) -> None:
    """Wait until the deployment has printed so many lines."""

    def last() -> int:
        return max((line["number"] for line in client.tail(id, 1)), default=0)

    wait_until(f"{id} prints {number} lines", lambda: last() >= number, PATIENCE)


def await_redacted(client: Client, id: str, count: int) -> str:
    """What the deployment has printed, once so many secrets in it are redacted."""
    wait_until(f"{id} has {count} secrets redacted", lambda: _text(client, id).count("[redacted]") >= count, PATIENCE)
    return _text(client, id)


def _text(client: Client, id: str) -> str:
    return "\n".join(printed(client, id))


def printed(client: Client, id: str) -> list[str]:
    """The lines so far: they have a way of their own, and the last ones may come behind the end of the deployment."""
    return [line["text"] for line in client.output(id)]


def statuses(deployment: Deployment) -> list[str]:
    """Of its steps, in order."""
    return [step["status"] for step in deployment["steps"]]


def programs_of(id: str) -> list[psutil.Process]:
    """The living processes that steps of the deployment started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RE_ATTEMPT", "").startswith(f"{id}/") and process.is_running():
                found.append(process)
        except psutil.Error:
            continue
    return found


def living(pid: int) -> bool:
    """Whether this process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
