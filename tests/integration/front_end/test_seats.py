"""Live viewers hold threads: there are never so many that nobody else is answered."""

from __future__ import annotations

import pytest

from re_rest import events
from re_rest.streams import Streams
from tests.integration.front_end.house import House

ROUTE = "/api/v1/deployments/dep1/events"


@pytest.fixture
def streams(house: House) -> Streams:
    """Those of a house with one deployment, which is over."""
    house.finish(house.deployment())
    found = house.app.extensions[events.EXTENSION]
    assert isinstance(found, Streams)
    return found


def test_a_viewer_too_many_is_asked_to_come_again(house: House, streams: Streams) -> None:
    for _ in range(house.services.viewers):
        streams.sit()

    response = house.call("GET", ROUTE)

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert f"{house.services.viewers} live viewers" in response.json["detail"]
    assert house.call("GET", "/healthz").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_viewer_who_is_gone_leaves_the_seat_to_the_next(house: House, streams: Streams, method: str) -> None:
    for _ in range(house.services.viewers - 1):
        streams.sit()

    assert [house.call(method, ROUTE).status_code for _ in range(3)] == [200, 200, 200]


def test_who_may_not_watch_takes_no_seat(house: House, streams: Streams) -> None:
    for _ in range(house.services.viewers - 1):
        streams.sit()

    assert house.call("GET", ROUTE, token=house.theirs).status_code == 403
    assert house.call("GET", ROUTE, headers={"Last-Event-ID": "x"}).status_code == 400
    assert house.call("GET", ROUTE).status_code == 200
