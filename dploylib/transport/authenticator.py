"""Says which clients a CURVE socket may talk with: the ZAP handler of a context (RFC 27 of ZeroMQ). Must not know how keys are kept.

Everything that it does not understand, and every client that it does not know, is refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import zmq
from zmq.utils import z85

from dploylib.throttle import Throttle

_ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_FRAMES = 7

_LOG = logging.getLogger(__name__)


class Authenticator:
    """A thread that answers the context's questions about clients."""

    def __init__(self, context: zmq.Context[Any]) -> None:
        """Begin to answer. Raises zmq.ZMQError if the context has one already."""
        self._admitted: dict[bytes, frozenset[bytes] | None] = {}
        self._complaints = Throttle(_LOG)
        self._questions = context.socket(zmq.REP)
        try:
            self._questions.linger = 0
            self._questions.bind(_ENDPOINT)
            self._end, ended = _pair(context, f"inproc://dploylib.authenticator.{id(self)}")
        except BaseException:
            self._questions.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(ended,), name="dploylib-authenticator", daemon=True)
        self._thread.start()

    def admit(self, domain: str, keys: Iterable[str] | None) -> None:
        """Only clients with these public keys (Z85) may use sockets of the domain; None: with any key."""
        self._admitted[domain.encode()] = None if keys is None else frozenset(z85.decode(key) for key in keys)

    def close(self) -> None:
        """End the thread, and close its sockets."""
        # a thread that has ended already, with its context, takes nothing any more
        with suppress(zmq.ZMQError):
            self._end.send(b"", zmq.NOBLOCK)
        self._thread.join()
        self._end.close(0)

    def _run(self, ended: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(self._questions, zmq.POLLIN)
        poller.register(ended, zmq.POLLIN)
        try:
            while True:
                ready = dict(poller.poll())
                if ended in ready:
                    return
                self._questions.send_multipart(self._answer(self._questions.recv_multipart()))
        except zmq.ContextTerminated:
            return
        finally:
            self._questions.close(0)
            ended.close(0)

    def _answer(self, question: list[bytes]) -> list[bytes]:
        request = question[1] if len(question) > 1 else b""
        refusal = self._refusal(question)
        if refusal is None:
            return [_VERSION, request, b"200", b"OK", z85.encode(question[6]), b""]
        self._complaints.warning("CURVE: refused a client: %s", refusal)
        return [_VERSION, request, b"400", b"not admitted", b"", b""]

    def _refusal(self, question: list[bytes]) -> str | None:
        """Why the client may not connect; None: it may."""
        if len(question) != _FRAMES or question[0] != _VERSION or question[5] != b"CURVE":
            return "it does not speak CURVE"
        domain, address, key = question[2], question[3].decode("ascii", "replace"), question[6]
        if domain not in self._admitted:
            return f"{address}: the domain {domain.decode('utf-8', 'replace')!r} of its socket admits no client"
        admitted = self._admitted[domain]
        if admitted is None or key in admitted:
            return None
        return f"{address}: its public key {z85.encode(key).decode()} is not among those of {domain.decode()!r}"


def _pair(context: zmq.Context[Any], uri: str) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    one = context.socket(zmq.PAIR)
    other = context.socket(zmq.PAIR)
    one.bind(uri)
    other.connect(uri)
    return one, other
