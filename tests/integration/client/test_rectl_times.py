"""`rectl` and local times: what is shown is what is taken."""

from __future__ import annotations

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine


def _list(*rows: object) -> Answer:
    return Answer({"items": list(rows), "next": None})


def test_since_takes_a_time_as_the_list_shows_it(engine: FakeEngine, rectl: Rectl, berlin: None) -> None:
    row = {
        "id": "01DEPLOYMENT",
        "group": "g",
        "playbook_id": "p1",
        "playbook": "n",
        "user": "ann",
        "created": "2026-11-22T12:00:00Z",
    }
    rest = {"status": "running", "ended": None, "done": 1, "total": 3, "step": "noop:Do", "reason": ""}
    engine.on("GET /api/v1/deployments", _list({**row, **rest}))
    shown = rectl("deployments").out
    assert "2026-11-22 13:00:00+01:00" in shown
    for told in ("2026-11-22 13:00:00+01:00", "2026-11-22 13:00:00", "2026-11-22 13:00"):
        assert rectl("deployments", "--since", told).code == 0
        assert engine.asked[-1].query["since"] == ["2026-11-22T12:00:00.000Z"]
