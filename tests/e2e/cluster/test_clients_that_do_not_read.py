"""`re-rest` before clients that do not read: everybody else is answered."""

from __future__ import annotations

import pytest

from tests import plain_http
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE
from tests.e2e.not_reading import BIG, not_reading

pytestmark = [pytest.mark.service("rabbitmq"), pytest.mark.service("mongodb")]


def test_a_file_that_is_not_read_keeps_nobody_from_an_answer(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(environ={"RE_HTTP_WORKERS": "1", "RE_HTTP_THREADS": "8"})
    cluster.start()
    with not_reading(cluster.url(), BIG):
        assert plain_http.get(f"{cluster.url()}/healthz", timeout=PATIENCE).status_code == 200
