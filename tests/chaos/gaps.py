"""For how long deployments stand still when one of two cores falls. Measured by hand: a loaded machine is slow for everybody.

Must not know what makes a core fall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_client.calls import JSON
from tests.chaos import playbooks_under_test
from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.chaos.ledger import largest_gap
from tests.e2e.engine_process import wait_until

#: deployments under way, and steps of each; half of them are the fallen core's
DEPLOYMENTS, STEPS = 30, 100

#: one of their steps, which takes a twentieth of a second
STEP: Mapping[str, Any] = {"ledger:Once": {"seconds": 0.05}}

#: lines of each deployment before the core falls
BEFORE = 20

#: seconds for all of it
PATIENCE = 300.0

#: what becomes of a core
FALLS: Mapping[str, Callable[[ClusterUnderTest], None]] = {
    "nothing": lambda rig: None,
    "kill": lambda rig: rig.cluster.cores[0].kill(),
    "freeze": lambda rig: rig.cluster.cores[0].freeze(),
}


class Gaps(NamedTuple):
    """Seconds of the longest pause: between any two lines, and between two lines of one deployment."""

    overall: float
    deployment: float


def measure(rig: ClusterUnderTest, fall: Callable[[ClusterUnderTest], None]) -> Gaps:
    """Let one of two cores fall and never come back, while deployments run to their end."""
    with rig.cluster.client() as client:
        text = playbooks_under_test.book("long", [dict(STEP)] * STEPS).text
        book = client.apply_playbook(text.encode(), JSON)["id"]
        for _ in range(DEPLOYMENTS):
            client.deploy("chaos", book, {})
    begun = DEPLOYMENTS * BEFORE
    wait_until("all of them are under way", lambda: rig.ledger.count() >= begun, PATIENCE)
    fall(rig)
    whole = DEPLOYMENTS * STEPS * 2
    wait_until("all steps were carried out", lambda: rig.ledger.count() >= whole, PATIENCE)
    each = rig.ledger.by_deployment().values()
    return Gaps(largest_gap(rig.ledger.lines()), max(largest_gap(lines) for lines in each))
