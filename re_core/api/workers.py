"""The documents of credentials of workers. Pure; must not know who sends them."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from re_core.api.answers import Page
from re_core.api.fields import Expected, Rules, Time


class WorkerCredential(TypedDict):
    """By what a worker shows who it is, and for which steps that counts."""

    name: str
    public_key: Annotated[str, "the public half of its key (Ed25519), in base64"]
    commands: Annotated[list[str], "the commands whose steps it may have; empty: every one"]
    pool: Annotated[str | None, "the pool whose steps it may have; null: those that name none"]
    environments: Annotated[
        list[str], "the environments whose steps and secrets it may have; empty: it is bound to none"
    ]
    created: Time
    user: Annotated[str, "the user that added it"]
    revoked: Annotated[Time | None, "since when nothing is granted for it; null: it is not revoked"]


class BrokerRights(TypedDict):
    """What the worker's own user at RabbitMQ needs: regular expressions, as `rabbitmqctl` wants them."""

    configure: str
    write: str
    read: str
    exchange: Annotated[str, "name of the topic exchange"]
    topic_write: Annotated[str, "keys that it publishes with"]
    topic_read: Annotated[str, "keys that it binds its queues to"]


class NewWorkerCredential(WorkerCredential):
    """A credential that was just added."""

    rabbitmq: BrokerRights


class WorkerCredentialRequest(TypedDict):
    """A credential of a worker to add."""

    name: Annotated[
        str,
        Rules(pattern="^[a-z0-9][a-z0-9-]{0,39}$", format="re-line"),
        Expected("1 to 40 small letters, digits and -, beginning with a letter or digit"),
    ]
    public_key: Annotated[
        str, Rules(maxLength=100), Expected("a string"), "the public half of its key (Ed25519, 32 bytes), in base64"
    ]
    commands: NotRequired[
        Annotated[
            list[
                Annotated[
                    str, Rules(pattern="^[A-Za-z0-9_]{1,200}$", format="re-line"), Expected("the name of a command")
                ]
            ],
            Rules(maxItems=50),
            Expected("a list of names"),
            "the commands whose steps it may have; every one if omitted or empty",
        ]
    ]
    pool: NotRequired[
        Annotated[
            str | None, Expected("the name of a pool, or null"), "the pool whose steps it may have; null: those of none"
        ]
    ]
    environments: NotRequired[
        Annotated[
            list[Annotated[str, Rules(maxLength=64), Expected("the name of an environment")]],
            Rules(maxItems=50),
            Expected("a list of names"),
            "the environments whose steps and secrets it may have; it is bound to none if omitted or empty",
        ]
    ]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    "NewWorkerCredential": NewWorkerCredential,
    "WorkerCredentials": Page[WorkerCredential],
    "WorkerCredential": WorkerCredential,
}
REQUESTS: dict[str, Any] = {"WorkerCredentialRequest": WorkerCredentialRequest}
