"""What shows that a worker's message is of the worker that has a credential: a signature (docs/decisions/0040).

Ed25519 over all that a receiver acts on: id, address of the answer, headers of the engine, body, and what the message is for. Pure; must
not know who may do what. Needs the extra `secrets`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from re_core.errors import BadMessage
from re_core.wire import strict_json
from re_core.wire.messages import WORKER, Message

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: headers: the name of the credential, and the signature in base64
CREDENTIAL, PROOF = "re-credential", "re-proof"

#: code on a `no-go` where the worker has not shown that it may have the step, and would not be given the next one either
UNPROVEN = "unproven"

#: values of the header `re-event` with which a worker speaks on a reply queue; empty: a claim or an outcome
WORKER_EVENTS = frozenset({"", "declined", "lost", "released"})

#: what a message is for: one that was signed for one purpose proves nothing for another
REPLY, HEARTBEAT, SECRETS, ARTIFACTS = "reply", "heartbeat", "secrets", "artifacts"

#: stands in the id of a worker process between the name of its credential and what is new at each start
MARK = "~"

#: the name of a credential, for people
A_NAME = "a name of 1 to 40 small letters, digits and -, beginning with a letter or digit"

#: begins the line of a credential's file
_FORM = "re-worker-credential"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
#: headers that are the engine's begin so; others may be added on the way
_OURS = "re-"
_KEY_BYTES = 32


class SigningKey(NamedTuple):
    """The private half of a credential, which its worker has and no other."""

    name: str
    seed: bytes

    @classmethod
    def new(cls, name: str) -> SigningKey:
        """A new one. Raises ImportError without the extra."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """From the line of a file. Raises BadMessage, which repeats nothing of a key."""
        form, _, rest = text.strip().partition(":")
        name, _, seed = rest.partition(":")
        if form != _FORM or not is_name(name):
            raise BadMessage(f"expected one line, {_FORM}:NAME:KEY, as `rectl worker add` writes it")
        return cls(name, key_bytes(seed))

    def line(self) -> str:
        """For its file."""
        return f"{_FORM}:{self.name}:{base64.b64encode(self.seed).decode()}\n"

    @property
    def public(self) -> str:
        """The public half, in base64: what the engine stores."""
        return base64.b64encode(self._private().public_key().public_bytes_raw()).decode()

    def signed(self, message: Message, purpose: str, worker: str) -> Message:
        """The message with its proof. `worker`: id of the process, which begins with the name of the credential."""
        message = message._replace(headers={**message.headers, WORKER: worker, CREDENTIAL: self.name})
        proof = base64.b64encode(self._private().sign(_said(message, purpose))).decode()
        return message._replace(headers={**message.headers, PROOF: proof})

    def _private(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed)


def is_name(text: str) -> bool:
    """Whether it may be the name of a credential."""
    return _NAME.fullmatch(text) is not None


def credential_of(worker: str) -> str:
    """The credential of which the id of a worker process says that it has it; empty: it says of none."""
    name, mark, _ = worker.partition(MARK)
    return name if mark else ""


def key_bytes(text: str) -> bytes:
    """A key of either half, from base64. Raises BadMessage."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != _KEY_BYTES:
        raise BadMessage(f"expected a key of {_KEY_BYTES} bytes in base64")
    return found


def is_proven(message: Message, purpose: str, public: str) -> bool:
    """Whether the private half of that key has signed this message for that purpose. Raises ImportError without the extra."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        proof = base64.b64decode(message.headers.get(PROOF, ""), validate=True)
        Ed25519PublicKey.from_public_bytes(key_bytes(public)).verify(proof, _said(message, purpose))
    except (binascii.Error, BadMessage, InvalidSignature, ValueError):
        return False
    return True


def _said(message: Message, purpose: str) -> bytes:
    headers = sorted((name, text) for name, text in message.headers.items() if name.startswith(_OURS) and name != PROOF)
    digest = hashlib.sha256(message.body).hexdigest()
    # The bus fills in where a question is answered, each time that it sends one. The answer with secrets is closed for a key of the body;
    # that with an artifact goes astray only if a reader of the core's own queue sends the question once more.
    reply_to = "" if purpose in (SECRETS, ARTIFACTS) else message.reply_to
    said = ["re-proof/1", purpose, message.id, message.correlation_id, reply_to, headers, digest]
    # what UTF-8 cannot carry does not arrive either
    return strict_json.dumps(said).encode("utf-8", "replace")
