"""Calls that have not said anything yet. A client that opens calls and stays silent must keep no other's from being served.

The longest silent one ends when there are too many, never the newest: an honest call says what it wants at once. Calls on the
connection of a registered runner are no strangers. On the thread of the event loop; must not know which method is called.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import grpc

from re_gateways.forest.admission import without_port

#: silent calls of one address, and of all
MOST_OF_ADDRESS, MOST = 200, 1000


class Strangers:
    """The silent calls of a gateway."""

    def __init__(self, knows: Callable[[str], bool]) -> None:
        """`knows`: whether a registered runner has that connection."""
        self._knows = knows
        #: what ends a call -> its address, the longest silent first
        self._silent: OrderedDict[asyncio.Future[None], str] = OrderedDict()
        self._of_address: Counter[str] = Counter()

    async def first(self, context: Any, seconds: float | None = None) -> Any:
        """The first message of a call; EOF where none came, also not within `seconds` from a stranger.

        Aborts the call with RESOURCE_EXHAUSTED where it was silent for the longest time of too many.
        """
        peer = context.peer()
        if self._knows(peer):
            return await context.read()
        too_many = self._enter(without_port(peer))
        reading = asyncio.ensure_future(context.read())
        try:
            await asyncio.wait({reading, too_many}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
        finally:
            self._leave(too_many)
            reading.cancel()
        if too_many.done():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls that say nothing")
        return grpc.aio.EOF

    def _enter(self, address: str) -> asyncio.Future[None]:
        """What is done when this one has to end."""
        if self._of_address[address] >= MOST_OF_ADDRESS:
            self._end(next(one for one, of in self._silent.items() if of == address))
        elif len(self._silent) >= MOST:
            self._end(next(iter(self._silent)))
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._silent[mine] = address
        self._of_address[address] += 1
        return mine

    def _end(self, silent: asyncio.Future[None]) -> None:
        self._leave(silent)
        silent.set_result(None)

    def _leave(self, one: asyncio.Future[None]) -> None:
        address = self._silent.pop(one, None)
        if address is None:
            return
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
