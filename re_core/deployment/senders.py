"""Which worker has sent a message, as far as that was shown, and what that lets it do with a step. Pure; must not know signatures.

A claim asks for a step; every later word of an attempt is a report. A claim of a protected step needs a credential that counts
for its command, its pool and its environment. A report needs the credential that has claimed the attempt; also one that was revoked since,
because what was granted before did happen (docs/decisions/0040).
"""

from __future__ import annotations

from typing import NamedTuple

from re_core.deployment.plan import StepSpec
from re_core.rows import WorkerCredential


class Protection(NamedTuple):
    """Which steps are given to workers alone that have shown who they are."""

    everything: bool = False
    environments: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()

    def of(self, pool: str, environment: str) -> str:
        """What is protected of such a step, for people; empty: nothing is."""
        if environment in self.environments:
            return f"the environment {environment} is protected"
        if pool in self.pools:
            return f"the pool {pool} is protected"
        return "worker_credentials is required" if self.everything else ""


class Sender(NamedTuple):
    """Who sent a worker's message. As it is made here, nothing was shown, and nothing is protected."""

    #: the one that has signed the message; None: none has, or what was shown does not count
    credential: WorkerCredential | None = None
    #: why what was shown does not count; empty: nothing is wrong with it
    fault: str = ""
    protection: Protection = Protection()

    @property
    def name(self) -> str:
        """Of its credential; empty where nothing was shown."""
        return "" if self.credential is None else self.credential.name


#: of everything that one process does by itself, and of tests
OPEN = Sender()


def claim_refusal(sender: Sender, spec: StepSpec) -> str:
    """Why this step is not granted to the sender; empty where who it is does not forbid it."""
    if sender.fault:
        return sender.fault
    protected = sender.protection.of(spec.pool, spec.environment)
    if sender.credential is None:
        return f"the worker has shown no credential, and {protected} (rectl worker add)" if protected else ""
    if sender.credential.revoked is not None:
        return f"the credential {sender.name} is revoked"
    return _not_covered(sender.credential, sender.protection, spec)


def report_refusal(sender: Sender, spec: StepSpec, claimant: str) -> str:
    """Why what the sender says of an attempt does not count; empty where it does. `claimant`: the credential of its claim, or ""."""
    if sender.fault:
        return sender.fault
    if claimant and sender.name == claimant:
        return ""
    if claimant and not (sender.credential is not None and spec.repeatable):
        return f"the step was granted to the credential {claimant}, which has not signed this"
    return claim_refusal(sender, spec)


def place_refusal(credential: WorkerCredential, pool: str, environments: tuple[str, ...]) -> str:
    """Why a worker of that place does not have what its credential is for; empty where it has."""
    if credential.revoked is not None:
        return f"the credential {credential.name} is revoked"
    if pool != credential.pool:
        mine, its = (f"the pool {one}" if one else "no pool" for one in (pool, credential.pool))
        return f"the worker is of {mine}, and its credential {credential.name} is for {its}"
    if more := sorted(set(environments) - set(credential.environments)):
        return f"the worker says it is bound to {', '.join(more)}, and its credential {credential.name} is not for that"
    return ""


def _not_covered(credential: WorkerCredential, protection: Protection, spec: StepSpec) -> str:
    what = f"the credential {credential.name} is not for"
    if credential.commands and spec.command not in credential.commands:
        return f"{what} {spec.command}"
    if spec.pool != credential.pool:
        return f"{what} steps of {f'the pool {spec.pool}' if spec.pool else 'no pool'}"
    if credential.environments and spec.environment not in credential.environments:
        return f"{what} steps of {f'the environment {spec.environment}' if spec.environment else 'no environment'}"
    if not credential.environments and spec.environment in protection.environments:
        return f"{what} the environment {spec.environment}, which is protected"
    return ""
