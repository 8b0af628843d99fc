"""What center and builder use of the process that they are in. Must not know what for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from re_core.ports import UNOBSERVED, Bus, Clock, Observer, Store
from re_core.ports.peering import Seal


class Surroundings(NamedTuple):
    """All of it."""

    bus: Bus
    store: Store
    clock: Clock
    #: opens the configs of apps
    seal: Seal
    #: is called, by any thread, with the reason why the process cannot go on
    fatal: Callable[[Exception], None]
    observer: Observer = UNOBSERVED
    #: variables by which a later engine finds what builds have left running
    marks: Mapping[str, str] = MappingProxyType({})
