"""Threads for one kind of messages, and how many of each key may wait for them. Must not know what messages are."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

#: messages of a kind, and of one key, that wait or are at work
MOST_WAITING, MOST_OF_A_KEY = 100, 40

_log = logging.getLogger(__name__)


class Gate:
    """Of one kind of messages. Thread-safe."""

    def __init__(self, kind: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, f"dploy.{kind}")
        self._lock = threading.Lock()
        #: key -> those of it that wait, or are at work
        self._waiting: Counter[str] = Counter()

    def take(self, peer: str, work: Callable[[], object]) -> bool:
        """Do it soon; False where too many wait, of this key or of all."""
        with self._lock:
            # without CURVE all are one
            if self._waiting.total() >= MOST_WAITING or (peer and self._waiting[peer] >= MOST_OF_A_KEY):
                return False
            self._waiting[peer] += 1
        try:
            self._pool.submit(self._do, peer, work)
        except RuntimeError:  # it stops
            self._over(peer)
        return True

    def _do(self, peer: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # the executor would keep it to itself
            _log.exception("a message to the center failed", extra={"action": "door_error"})
        finally:
            self._over(peer)

    def _over(self, peer: str) -> None:
        with self._lock:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer]

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)
