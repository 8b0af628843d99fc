"""Which bad things belong together: the parts of the engine that can be tormented by themselves. Must not know when."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.chaos.campaign import Strike
from tests.chaos.cluster_under_test import ClusterUnderTest

#: part -> what is done to it
PARTS: Mapping[str, Callable[[ClusterUnderTest], list[Strike]]] = {
    "core": lambda rig: [rig.kill(rig.cluster.cores)],
    "core-frozen": lambda rig: [rig.freeze(rig.cluster.cores)],
    "worker": lambda rig: [rig.kill(rig.cluster.workers)],
    "worker-frozen": lambda rig: [rig.freeze(rig.cluster.workers)],
    "rest": lambda rig: [rig.kill(rig.cluster.rests), rig.freeze(rig.cluster.rests)],
    "queues": lambda rig: [rig.purge_queues, rig.delete_queues],
    "broker": lambda rig: [rig.kill_broker],
    "broker-ill": lambda rig: [rig.restart_broker, rig.freeze_broker, rig.alarm_broker, rig.cut_connections],
    "store": lambda rig: [rig.kill_store],
    "store-ill": lambda rig: [rig.restart_store, rig.freeze_store],
}


def processes(rig: ClusterUnderTest) -> list[Strike]:
    """What can happen to the processes of the cluster."""
    return [strike for part in list(PARTS)[:5] for strike in PARTS[part](rig)]


def servers(rig: ClusterUnderTest) -> list[Strike]:
    """What can happen to servers of one's own."""
    return [strike for part in list(PARTS)[6:] for strike in PARTS[part](rig)]


def everything(rig: ClusterUnderTest) -> list[Strike]:
    """All of it."""
    return [strike for make in PARTS.values() for strike in make(rig)]
