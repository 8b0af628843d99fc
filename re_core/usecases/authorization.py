"""Who may do what, in which group: one question, asked by the use cases (docs/decisions/0018). Pure.

A front door only authenticates: it turns what a caller shows into a Principal. Rights are only ever granted: what no binding
allows is denied, and so is a role that this version does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from re_core.errors import NotAllowed


class Verb(StrEnum):
    """What can be done; each verb is a right of its own."""

    #: look at playbooks, deployments, journals, workers
    SEE = "see"
    #: read what steps printed and returned
    OUTPUT = "output"
    #: store, replace and delete playbooks
    AUTHOR = "author"
    #: start deployments
    DEPLOY = "deploy"
    #: pass a gate that asks for approval
    APPROVE = "approve"
    #: cancel and retry deployments; look after dead letters
    OPERATE = "operate"
    #: resolve steps whose outcome is unknown
    RESOLVE = "resolve"
    #: act against a rule, such as a freeze
    OVERRIDE = "override"
    #: write secrets
    SECRET = "secret"
    #: change environments
    ENVIRONMENT = "environment"
    #: send notifications
    NOTIFY = "notify"
    #: make, list and revoke tokens
    ADMIN = "admin"


#: role -> its verbs
ROLES: Mapping[str, frozenset[Verb]] = {
    "viewer": frozenset({Verb.SEE, Verb.OUTPUT}),
    "author": frozenset({Verb.SEE, Verb.OUTPUT, Verb.AUTHOR}),
    "operator": frozenset({Verb.SEE, Verb.OUTPUT, Verb.DEPLOY, Verb.OPERATE, Verb.RESOLVE}),
    #: a token that reaches a group
    "member": frozenset({Verb.SEE, Verb.OUTPUT, Verb.AUTHOR, Verb.DEPLOY, Verb.OPERATE, Verb.RESOLVE}),
    #: a token made with `notify`
    "notifier": frozenset({Verb.NOTIFY}),
    "admin": frozenset(Verb),
}


class Binding(NamedTuple):
    """A role, and where it counts."""

    role: str
    #: None: in every group, and over what belongs to no group
    group: str | None = None
    #: None: in every environment
    environment: str | None = None


class Principal(NamedTuple):
    """The caller, and what it is allowed."""

    #: the user's name, as journals have it
    subject: str
    bindings: tuple[Binding, ...] = ()


class Allowed(NamedTuple):
    """It may; by this binding."""

    binding: Binding


class Denied(NamedTuple):
    """It may not: no binding gives this right there."""

    missing: Verb
    #: None: over what belongs to no group
    group: str | None
    environment: str | None = None

    def __str__(self) -> str:
        where = "for the whole engine" if self.group is None else f"in group `{self.group[:100]}`"
        if self.environment is not None:
            where += f", environment `{self.environment[:100]}`"
        return f"this token has no right `{self.missing}` {where}; an administrator can create a token that has it"


def can(principal: Principal, verb: Verb, group: str | None, environment: str | None = None) -> Allowed | Denied:
    """Whether it may do that in the group, or (None) to what belongs to no group."""
    for binding in principal.bindings:
        here = binding.group is None or binding.group == group
        if here and binding.environment in (None, environment) and verb in ROLES.get(binding.role, ()):
            return Allowed(binding)
    return Denied(verb, group, environment)


def require(principal: Principal, verb: Verb, group: str | None, environment: str | None = None) -> None:
    """Raises NotAllowed, which names the right that is missing."""
    answer = can(principal, verb, group, environment)
    if isinstance(answer, Denied):
        raise NotAllowed(str(answer))


def groups_of(principal: Principal, verb: Verb, wanted: str | None = None) -> tuple[str, ...] | None:
    """The groups of a list: `wanted` alone, else all in which it has the right; None is every group.

    Raises NotAllowed where it has no right in the wanted one.
    """
    if wanted is not None:
        require(principal, verb, wanted)
        return (wanted,)
    able = [binding.group for binding in principal.bindings if verb in ROLES.get(binding.role, ())]
    if None in able:
        return None
    return tuple(dict.fromkeys(group for group in able if group is not None))
