"""Which runners may register. Asks the store who is enrolled; must not know streams.

`runner_id` is all that an unmodified runner can say of itself: `build-1.<secret>`, where the secret is what follows the last dot.
Only the name is kept, shown and logged. The name of an enrolled runner, revoked or not, always needs its secret, and an id with a
dot is never that of an unknown runner: else a secret could become a name that is shown.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

from ulid import ULID

from re_core.ports import Runners
from re_core.usecases.runners import has_secret, split_id

#: what a runner may be called
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

#: refusals that one peer may get within WINDOW seconds; more are answered without a look at the store
MOST_REFUSALS, WINDOW = 30, 60.0

#: peers that are remembered, and ids that were admitted lately and are looked up whatever their peer did
MOST_PEERS, MOST_KNOWN = 10_000, 10_000

_K = TypeVar("_K")
_V = TypeVar("_V")


class Admitted(NamedTuple):
    """A runner that may work."""

    name: str
    #: releases that it gets at once
    parallel: int
    #: `created` of its enrolment; 0 of an unknown runner
    since: int


class Refused(NamedTuple):
    """A runner that may not, and why, for the runner and the log."""

    #: its name as far as it may be shown; empty where that is not known
    name: str
    why: str
    #: it comes too often to be looked at
    often: bool = False


class Admission:
    """Thread-safe."""

    def __init__(self, store: Runners, unknown: bool, time: Callable[[], float]) -> None:
        """`unknown`: runners that are not enrolled may register. `time`: seconds of a steady clock."""
        self._store, self._unknown, self._time = store, unknown, time
        self._lock = threading.Lock()
        #: address -> begin of its window, refusals in it
        self._refusals: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def admit(self, runner_id: str, peer: str) -> Admitted | Refused:
        """Judge the id of a registration that came from that peer (`ipv4:10.0.0.1:1000`). Raises StoreUnavailable."""
        mark, address = hashlib.sha256(runner_id.encode()).digest(), without_port(peer)
        with self._lock:
            often = self._count(address) >= MOST_REFUSALS and mark not in self._known
        if often:
            return Refused("", f"more than {MOST_REFUSALS} registrations of this address were refused", True)
        found = self._judge(runner_id)
        with self._lock:
            if isinstance(found, Admitted):
                _remember(self._known, mark, None, MOST_KNOWN)
            else:
                self._known.pop(mark, None)
                self._note_refusal(address)
        return found

    def refuse(self, peer: str, why: str) -> Refused:
        """Refuse a registration whose id needs no look."""
        address = without_port(peer)
        with self._lock:
            often = self._count(address) >= MOST_REFUSALS
            if not often:
                self._note_refusal(address)
        return Refused("", why, often)

    def _note_refusal(self, address: str) -> None:
        begin, count = self._refusals.get(address, (self._time(), 0))
        _remember(self._refusals, address, (begin, count + 1), MOST_PEERS)

    def _count(self, address: str) -> int:
        begin, count = self._refusals.get(address, (0.0, 0))
        if count and self._time() - begin >= WINDOW:
            del self._refusals[address]
            return 0
        return count

    def _judge(self, runner_id: str) -> Admitted | Refused:
        if not runner_id:
            made = f"runner-{str(ULID()).lower()}"
            return Admitted(made, 1, 0) if self._unknown else Refused("", "a runner needs an id; enrol it")
        if "." not in runner_id:
            return self._without_secret(runner_id)
        name, secret = split_id(runner_id)
        if not NAME.fullmatch(name):
            return Refused("", "the id is not <name>.<secret>")
        runner = self._store.runner(name)
        if not has_secret(runner, secret) or runner is None:
            # of an id that is not well formed, what is before the last dot may hold the secret
            return Refused(name if runner else "", "no enrolled runner has this name and secret")
        if runner.revoked is not None:
            return Refused(name, "the runner was revoked")
        return Admitted(name, max(1, runner.parallel), runner.created)

    def _without_secret(self, name: str) -> Admitted | Refused:
        if not NAME.fullmatch(name):
            return Refused("", "the id is not a name: letters, digits, _ and -, at most 64")
        if self._store.runner(name) is not None:
            return Refused(name, "the id of an enrolled runner ends in a dot and its secret")
        if not self._unknown:
            return Refused(name, "the runner is not enrolled")
        return Admitted(name, 1, 0)


def without_port(peer: str) -> str:
    """The peer without its port: `ipv4:10.0.0.1`, `ipv6:%5B::1%5D`, `unix:`."""
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer


def shown(peer: str) -> str:
    """Address and port of a peer, for people."""
    return unquote(peer.partition(":")[2]) if peer.startswith(("ipv4:", "ipv6:")) else peer


def _remember(kept: OrderedDict[_K, _V], key: _K, value: _V, most: int) -> None:
    """The newest ones only."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
