"""What of a secret stands in data: for the tests that look for it wherever the engine writes. Must not know where the data came from."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping

from re_core.wire.secret_forms import forms

#: characters of a piece of a value, and how far two pieces are apart
PIECE, STRIDE = 12, 6


def found_in(data: bytes, values: Mapping[str, str]) -> list[str]:
    """Each secret of which any form or a piece stands in the data, and what stood there."""
    return [
        f"{name} as {one[:40]!r}" for name, value in values.items() for one in _texts(value) if one.encode() in data
    ]


def _texts(value: str) -> set[str]:
    pieces = {value[at : at + PIECE] for at in range(0, len(value) - PIECE + 1, STRIDE)}
    texts = {*forms(value), *pieces, base64.b64encode(value.encode()).decode()}
    # what stands in any key file, and pieces of one letter, give nothing away
    texts = {one for one in texts if "TEST KEY" not in one or len(one) > 30}
    return {one for one in texts if len(one) >= 8 and len(set(one)) > 1}


def seen_by_another_user() -> bytes:
    """All processes with their arguments and, where that user may read it, their environment; and every log of the machine that is open."""
    look = ["ps", "axeww", "-o", "pid,args"]
    if os.geteuid() == 0:
        look = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *look]
    return subprocess.run(look, capture_output=True, check=True, timeout=60).stdout


def arguments() -> bytes:
    """Of all processes, as everyone may list them."""
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, check=True, timeout=60).stdout
