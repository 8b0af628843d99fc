"""The token of the engine's operator: made once, where the local `rectl` finds it. Must not know HTTP."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from re_core.ports import Clock, Tokens
from re_core.usecases.access import NEVER, digest_of, mint


def ensure_token(path: Path, tokens: Tokens, clock: Clock) -> bool:
    """Make sure that `path` holds a token with all rights that the store knows. True where it had to be made.

    A file that was lost gets a new token; the old one stays valid until it is revoked. It never expires: a user who can read the
    file can open the store beside it, and could make another.
    """
    if path.exists() and tokens.token(digest_of(path.read_text().strip())) is not None:
        return False
    secret = mint(tokens, clock, _user(), None, admin=True, expires=NEVER).secret
    write_private(path, secret + "\n")
    return True


def write_private(path: Path, text: str) -> None:
    """Replace the file, for its owner alone, whole or not at all."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
