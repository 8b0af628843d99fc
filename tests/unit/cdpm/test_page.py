"""The page of the protocol says what the code does: its messages are read, and its program signs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from re_core.adapters.peering import jws
from re_core.adapters.peering.jws import JoseSignatures, new_key
from re_core.cdpm import cdpm_file, messages, public_key
from re_core.cdpm.messages import emit, parse
from re_core.ports.peering import REFUSALS
from re_core.runtime.settings import Settings

_PAGE = Path("docs/cdpm.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


@pytest.mark.parametrize("block", _blocks("json"), ids=range(len(_blocks("json"))))
def test_a_message_of_the_page_is_read_and_written_as_it_stands_there(block: str) -> None:
    assert emit(parse(block.encode())).decode() == json.dumps(json.loads(block), separators=(",", ":"))


def test_the_page_has_every_message() -> None:
    shown = {type(parse(block.encode())) for block in _blocks("json")}
    assert shown == set(messages._WRITERS)


def test_the_program_of_the_page_signs_what_is_verified() -> None:
    (program,) = _blocks("python")
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - it is our own page
    pair = new_key()
    compact = names["sign"](load_der_private_key(pair.private, None), b'{"a":1}', "me", "you")
    unverified = JoseSignatures().read(compact)
    JoseSignatures().verify(unverified, pair.public)
    assert (unverified.payload, unverified.claims.iss, unverified.claims.aud) == (b'{"a":1}', "me", "you")


def test_the_page_names_every_refusal() -> None:
    assert [code for code in REFUSALS if f"`{code}`" not in _PAGE and code != "unknown-node"] == []


def test_the_page_has_the_bounds_of_the_code() -> None:
    for said in (
        f"{messages.MAX_PAYLOAD // 1024} KiB of payload, {jws.MAX_HEADER // 1024} KiB of header, {jws.MAX_COMPACT // 1024} KiB in all",
        f"RSA, {public_key.LEAST_BITS} to {public_key.MOST_BITS} bits, exponent {public_key.LEAST_EXPONENT} or more",
        f"at most {cdpm_file.MAX_FILE // 1024} KiB of YAML",
        f"1 to {messages.MAX_SUBSCRIPTIONS} subscriptions",
        f"{cdpm_file.MAX_PEERS} at most",
        f"now − {Settings().cdpm_window} s ≤ `iat`",  # noqa: RUF001
        "but `crit`, `jwk`, `jku`, `x5c`, `x5u`, `b64`, `zip` and `enc`",
    ):
        assert said in " ".join(_PAGE.split()), said
    assert set(jws._FORBIDDEN) == {"crit", "jwk", "jku", "x5c", "x5u", "b64", "zip", "enc"}
