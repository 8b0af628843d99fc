"""Journals that a newer engine wrote: this one goes on no further, and what came for them stays on the queue."""

from __future__ import annotations

import pytest

from re_core.deployment.records import FORMAT
from re_core.errors import NewerFormat
from tests.factories import simple
from tests.integration.core_loop.house import House


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("$.v", f"has format {FORMAT + 1}, this engine reads {FORMAT}; upgrade this engine"),
        ("$.records[0].plan.rolling", "the plan has an unknown key 'rolling'; upgrade this engine"),
        ("$.records[0].mood", "a record 'accepted' with an unknown 'mood'; upgrade this engine"),
    ],
)
def test_a_deployment_that_a_newer_engine_wrote_is_left_to_newer_engines(house: House, path: str, words: str) -> None:
    house.save(simple("noop:Hang", "noop:B"), "hangs")
    house.ask("d1", "hangs")
    house.settle()
    house.boot()  # a core that remembers nothing
    with house.store._database.writing() as connection:
        update = "UPDATE journal SET body = json_set(body, ?, ?) WHERE deployment = 'd1' AND number = 1"
        connection.execute(update, [path, FORMAT + 1])
    house.reply("d1/0/1", {"status": "completed"})
    with pytest.raises(NewerFormat, match=words):
        house.core.turn(0)
    assert house.dead() == []
    assert [one.message.id for one in house.left()] == ["d1/0/1/word"]
