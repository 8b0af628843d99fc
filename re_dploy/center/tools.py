"""What the steps and the reconciler work with. Must not know what they do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from re_core.apps import events as e
from re_core.apps.state import State
from re_core.usecases.apps.asking import Said
from re_dploy.center.calls import Zone
from re_dploy.center.orders import Orders

#: seconds that a zone may be silent before a release gives up on it, unless the setting says otherwise
ZONE_WAIT = 120.0


class Reader(Protocol):
    """Apps as their journals say."""

    def fresh(self, id: str) -> State:
        """The app with that id, now. Raises StoreUnavailable, StoreRefused."""
        ...


class Tools(NamedTuple):
    """They are shared by all steps."""

    reader: Reader
    #: tells an app an event. Raises NoAnswer, BusUnavailable
    tell: Callable[[str, e.Request], Said]
    zones: Mapping[str, Zone]
    orders: Orders
    #: (app, version) -> nothing; raises NotFound and others where what the version is made of is not there
    check: Callable[[State, int, str], None]
    #: seconds of a steady clock
    time: Callable[[], float]
    zone_wait: float = ZONE_WAIT
    #: deployment -> the lines that are in its output already
    said: Callable[[str], Iterable[str]] = lambda deployment: ()


class Talk(Protocol):
    """What a step says, and how it hears that it shall stop (re_workers.Context)."""

    @property
    def deployment(self) -> str:
        """The deployment's id."""
        ...

    def output(self, text: str) -> None:
        """Lines for the deployment's log."""
        ...

    def check(self) -> None:
        """Raises Cancelled."""
        ...
