"""Which right each route asks for, one line each; a test walks every route with every role and holds this table to what it finds."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from re_core.usecases.authorization import Verb


class Over(Enum):
    """What the right is over."""

    #: the group of what the address or the body names
    GROUP = "the group"
    #: what belongs to no group
    ENGINE = "the engine"
    #: nothing is refused; a list has what the caller sees
    LIST = "a list"
    #: any token will do
    TOKEN = "any token"  # it is no password


class Right(NamedTuple):
    """What a caller needs. `denied`: the status for one that has it not."""

    verb: Verb
    over: Over = Over.GROUP
    denied: int = 403


_SEE, _OUTPUT = Right(Verb.SEE), Right(Verb.OUTPUT)
_LIST, _TOKEN = Right(Verb.SEE, Over.LIST), Right(Verb.SEE, Over.TOKEN)
_AUTHOR, _DEPLOY, _OPERATE = Right(Verb.AUTHOR), Right(Verb.DEPLOY), Right(Verb.OPERATE)
_RESOLVE = Right(Verb.RESOLVE)
_LETTERS, _TOKENS = Right(Verb.OPERATE, Over.ENGINE), Right(Verb.ADMIN, Over.ENGINE)

_V0, _V1 = "/api/v0", "/api/v1"
_ONE, _BOOK, _LETTER = f"{_V1}/deployments/{{id}}", f"{_V1}/playbooks/{{id}}", f"{_V1}/deadletters/{{id}}"
_V0_ONE = f"{_V0}/{{group}}/playbook/{{id}}/"

#: method and path, as `routes` has them -> what the route asks for; routes that need no token are not in it
RIGHTS: dict[tuple[str, str], Right] = {
    ("get", f"{_V1}/deployments"): _LIST,
    ("post", f"{_V1}/deployments"): _DEPLOY,
    ("get", _ONE): _SEE,
    ("get", f"{_ONE}/journal"): _SEE,
    ("get", f"{_ONE}/output"): _OUTPUT,
    ("get", f"{_ONE}/steps/{{step}}/result"): _OUTPUT,
    ("get", f"{_ONE}/events"): _OUTPUT,
    ("post", f"{_ONE}/cancel"): _OPERATE,
    ("post", f"{_ONE}/retry"): _OPERATE,
    ("post", f"{_ONE}/resolve"): _RESOLVE,
    ("post", f"{_ONE}/decide"): _RESOLVE,
    ("get", f"{_V1}/playbooks"): _LIST,
    ("post", f"{_V1}/playbooks"): _AUTHOR,
    ("post", f"{_V1}/playbooks/apply"): _AUTHOR,
    ("post", f"{_V1}/playbooks/validate"): _TOKEN,
    ("get", _BOOK): _SEE,
    ("put", _BOOK): _AUTHOR,
    ("delete", _BOOK): _AUTHOR,
    ("get", f"{_BOOK}/revisions"): Right(Verb.SEE, denied=404),
    ("get", f"{_BOOK}/revisions/{{revision}}"): _SEE,
    ("post", f"{_BOOK}/plan"): _SEE,
    ("get", f"{_V1}/events"): _LIST,
    ("get", f"{_V1}/groups"): _LIST,
    ("get", f"{_V1}/workers"): _LIST,
    ("get", f"{_V1}/deadletters"): _LETTERS,
    ("get", _LETTER): _LETTERS,
    ("delete", _LETTER): _LETTERS,
    ("post", f"{_LETTER}/replay"): _LETTERS,
    ("post", f"{_V1}/notifications"): Right(Verb.NOTIFY, Over.ENGINE),
    ("get", f"{_V1}/tokens"): _TOKENS,
    ("post", f"{_V1}/tokens"): _TOKENS,
    ("delete", f"{_V1}/tokens/{{id}}"): _TOKENS,
    ("get", "/metrics"): Right(Verb.SEE, Over.ENGINE),
    ("get", f"{_V0}/groups/"): _LIST,
    ("get", f"{_V0}/playbooks/"): _LIST,
    ("get", f"{_V0}/{{group}}/playbook/"): _SEE,
    ("put", f"{_V0}/{{group}}/playbook/"): _AUTHOR,
    ("get", _V0_ONE): _SEE,
    ("post", _V0_ONE): _AUTHOR,
    ("delete", _V0_ONE): _AUTHOR,
    ("put", f"{_V0_ONE}deployment/"): _DEPLOY,
    ("get", f"{_V0}/deployment/status/{{id}}/"): _SEE,
}
