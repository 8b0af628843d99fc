"""A store and a bus of which one call fails: before it did anything, or after it did all of it. Must not know who calls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import Bus, Store


class Death(BaseException):
    """The process ends here: nobody in it catches this."""


#: calls that the core makes of each
STORE = ("append", "entries", "write_views", "claim", "claim_all", "playbook", "has_playbooks", "workers")
#: calls that the small consumers make of it
WRITTEN_DOWN = ("register", "forget_workers", "store_letter", "add_output", "stored_output", "last_line")
BUS = ("publish",)
SUBSCRIPTION = ("ack", "reject")


class Faults:
    """Counts the calls by name, and makes one of them fail."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        #: in order, every call
        self.total = 0
        #: names of further calls of the store, which only some make
        self.more: tuple[str, ...] = ()
        #: asked before and after every call, with its name and number; raises what shall be raised
        self.before: Callable[[str, int], None] = _nothing
        self.after: Callable[[str, int], None] = _nothing

    def fail(self, number: int, after: bool, death: bool = False) -> None:
        """Let the call with this number fail, counted from now on over all names."""
        wanted = self.total + number

        def check(name: str, call: int) -> None:
            if call == wanted:
                raise Death if death else _error(name)

        self.before, self.after = (_nothing, check) if after else (check, _nothing)

    def heal(self) -> None:
        self.before = self.after = _nothing

    def store(self, real: Store) -> Store:
        return cast(Store, _Faulty(real, self, STORE + WRITTEN_DOWN + self.more))

    def bus(self, real: Bus) -> Bus:
        return cast(Bus, _FaultyBus(real, self, BUS))


def _nothing(name: str, call: int) -> None:
    """No fault."""


def _error(name: str) -> Exception:
    return BusUnavailable() if name in BUS + SUBSCRIPTION else StoreUnavailable()


class _Faulty:
    """Everything of the real one, with faults around some calls."""

    def __init__(self, real: Any, faults: Faults, names: tuple[str, ...]) -> None:
        self._real, self._faults, self._names = real, faults, names

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        return self._guarded(name, value) if name in self._names else value

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        faults = self._faults

        def call(*arguments: Any, **more: Any) -> Any:
            faults.total += 1
            faults.calls[name] += 1
            number = faults.total
            faults.before(name, number)
            result = function(*arguments, **more)
            faults.after(name, number)
            return result

        return call


class _FaultyBus(_Faulty):
    """Its subscriptions are as bad as it is."""

    def subscribe(self, queues: Any, prefetch: int, ranks: Any = None) -> Any:
        return _Faulty(self._real.subscribe(queues, prefetch, ranks), self._faults, SUBSCRIPTION)
