"""What a worker and the core say about secrets (docs/wire-format.md, Secrets). Pure; must not know who may have one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.errors import BadMessage
from re_core.secret_names import MOST_REFERENCES, is_name
from re_core.wire import strict_json

#: characters of an id, a token and the name of a credential
_MOST_TEXT = 1000

#: keys of a request
_KEYS = ("attempt", "token", "worker", "names", "key")


class SecretRequest(NamedTuple):
    """A worker asks for the secrets of an attempt that was granted to it."""

    attempt: str
    #: of its claim
    token: str
    worker: str
    names: tuple[str, ...]
    #: for which the answer is closed
    key: bytes

    @property
    def about(self) -> bytes:
        """What the answer is bound to."""
        return strict_json.dumps([self.attempt, self.token, self.worker, list(self.names), _text(self.key)]).encode()

    def body(self) -> bytes:
        """As it travels."""
        document: dict[str, Any] = {**self._asdict(), "key": _text(self.key)}
        return strict_json.dumps(document).encode()


def parse_request(body: bytes) -> SecretRequest:
    """Raises BadMessage."""
    document = strict_json.loads(body)
    if not isinstance(document, dict) or set(document) - set(_KEYS):
        raise BadMessage(f"expected an object of {', '.join(_KEYS)}")
    texts = {key: document.get(key, "") for key in ("attempt", "token", "worker")}
    for key, value in texts.items():
        if not isinstance(value, str) or len(value) > _MOST_TEXT:
            raise BadMessage("expected a string", f"/{key}")
    names = document.get("names")
    if not isinstance(names, list) or not all(isinstance(one, str) and is_name(one) for one in names):
        raise BadMessage("expected a list of names of secrets", "/names")
    if not 1 <= len(names) <= MOST_REFERENCES:
        raise BadMessage(f"expected 1 to {MOST_REFERENCES} names, found {len(names)}", "/names")
    return SecretRequest(names=tuple(names), key=_bytes(document.get("key"), "key"), **texts)


def answer(sealed: bytes) -> bytes:
    """The body of the answer that has the values."""
    return strict_json.dumps({"sealed": _text(sealed)}).encode()


def refusal(why: str) -> bytes:
    """The body of an answer that has none."""
    return strict_json.dumps({"problem": why}).encode()


def parse_answer(body: bytes) -> tuple[bytes, str]:
    """(sealed values, why there are none). Raises BadMessage."""
    document = strict_json.loads(body)
    problem = document.get("problem") if isinstance(document, dict) else None
    if isinstance(problem, str) and problem:
        return b"", problem
    if not isinstance(document, dict):
        raise BadMessage("expected an object")
    return _bytes(document.get("sealed"), "sealed"), ""


def values(plain: bytes, names: Sequence[str]) -> Mapping[str, str]:
    """What the box has of these names. Raises BadMessage."""
    document = strict_json.loads(plain)
    if not isinstance(document, dict) or not all(isinstance(one, str) for one in document.values()):
        raise BadMessage("expected an object of strings")
    return {name: document[name] for name in names if name in document}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(value: object, key: str) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except binascii.Error:
        raise BadMessage("expected base64", f"/{key}") from None
