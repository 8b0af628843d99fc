"""What a route can ask of its caller; `routes` says which route asks for what."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from re_core.usecases.authorization import Verb


class Over(Enum):
    """The scope of a right."""

    #: the group of the playbook or deployment that the address or the body names
    GROUP = "the group"
    #: what belongs to no group
    ENGINE = "the engine"
    #: every token is allowed; the list contains what its caller may see
    LIST = "a list"
    #: every token is allowed
    TOKEN = "any token"  # it is no password


class Right(NamedTuple):
    """What a caller needs. `denied`: the status of the answer to a caller without it."""

    verb: Verb
    over: Over = Over.GROUP
    denied: int = 403


SEE, OUTPUT = Right(Verb.SEE), Right(Verb.OUTPUT)
AUTHOR, DEPLOY = Right(Verb.AUTHOR), Right(Verb.DEPLOY)
OPERATE, RESOLVE = Right(Verb.OPERATE), Right(Verb.RESOLVE)
LIST, ANY_TOKEN = Right(Verb.SEE, Over.LIST), Right(Verb.SEE, Over.TOKEN)
ENGINE_OPERATE, ENGINE_ADMIN = Right(Verb.OPERATE, Over.ENGINE), Right(Verb.ADMIN, Over.ENGINE)
ENGINE_SEE = Right(Verb.SEE, Over.ENGINE)
ENGINE_SECRET = Right(Verb.SECRET, Over.ENGINE)
