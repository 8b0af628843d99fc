"""Which built files of an app are kept. Pure; must not know where they are, nor when others are deleted.

A version that is not kept for itself comes back by no rollback any more, so what is outside stays outside: newer ones only push
out more.
"""

from __future__ import annotations

from re_core.apps.state import State
from re_core.apps.values import Status, Version

#: payloads of the newest versions that have succeeded, which stay for rollbacks
MOST_PAYLOADS = 10


def kept_payloads(state: State) -> set[str]:
    """Digests of those that something may still come of: what runs, is released, waits, or may come back."""
    needed = {state.current, state.active, *state.pending}
    needed |= {state.versions[one].of for one in needed if one in state.versions}
    kept = {digest_of(state.versions[one]) for one in needed if one in state.versions}
    newest: dict[str, None] = {}
    for version in reversed(state.versions.values()):
        if version.status is Status.SUCCEEDED and version.payload is not None:
            newest[version.payload.digest] = None
        if len(newest) == MOST_PAYLOADS:
            break
    return (kept | newest.keys()) - {""}


def digest_of(version: Version) -> str:
    """Of its payload; empty where it has none."""
    return "" if version.payload is None else version.payload.digest
