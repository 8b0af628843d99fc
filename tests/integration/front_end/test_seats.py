"""Live viewers hold threads: there are never so many that nobody else is answered."""

from __future__ import annotations

import pytest

from re_rest import events
from re_rest.streams import Streams
from tests.integration.front_end.front_end_harness import FrontEndHarness

ROUTE = "/api/v1/deployments/dep1/events"


@pytest.fixture
def streams(harness: FrontEndHarness) -> Streams:
    """Those of a harness with one deployment, which is over."""
    harness.finish(harness.deployment())
    found = harness.app.extensions[events.EXTENSION]
    assert isinstance(found, Streams)
    return found


def test_a_viewer_too_many_is_asked_to_come_again(harness: FrontEndHarness, streams: Streams) -> None:
    for _ in range(harness.services.viewers):
        streams.sit()

    response = harness.call("GET", ROUTE)

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert f"{harness.services.viewers} live viewers" in response.json["detail"]
    assert harness.call("GET", "/healthz").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_viewer_who_is_gone_leaves_the_seat_to_the_next(
    harness: FrontEndHarness, streams: Streams, method: str
) -> None:
    for _ in range(harness.services.viewers - 1):
        streams.sit()

    assert [harness.call(method, ROUTE).status_code for _ in range(3)] == [200, 200, 200]


def test_who_may_not_watch_takes_no_seat(harness: FrontEndHarness, streams: Streams) -> None:
    for _ in range(harness.services.viewers - 1):
        streams.sit()

    assert harness.call("GET", ROUTE, token=harness.theirs).status_code == 403
    assert harness.call("GET", ROUTE, headers={"Last-Event-ID": "x"}).status_code == 400
    assert harness.call("GET", ROUTE).status_code == 200
