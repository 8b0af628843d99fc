"""Journals that a newer engine wrote: this one goes on no further, and what came for them stays on the queue."""

from __future__ import annotations

import pytest

from re_core.deployment.records import FORMAT
from re_core.errors import NewerFormat
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("$.v", f"has format {FORMAT + 1}, this engine reads {FORMAT}; upgrade this engine"),
        ("$.records[0].plan.rolling", "the plan has an unknown key 'rolling'; upgrade this engine"),
        ("$.records[0].mood", "a record 'accepted' with an unknown 'mood'; upgrade this engine"),
    ],
)
def test_a_deployment_that_a_newer_engine_wrote_is_left_to_newer_engines(
    harness: CoreHarness, path: str, words: str
) -> None:
    harness.save(simple("noop:Hang", "noop:B"), "hangs")
    harness.ask("d1", "hangs")
    harness.settle()
    harness.boot()  # a core that remembers nothing
    with harness.store._database.writing() as connection:
        update = "UPDATE journal SET body = json_set(body, ?, ?) WHERE deployment = 'd1' AND number = 1"
        connection.execute(update, [path, FORMAT + 1])
    harness.reply("d1/0/1", {"status": "completed"})
    with pytest.raises(NewerFormat, match=words):
        harness.core.turn(0)
    assert harness.dead() == []
    assert [one.message.id for one in harness.left()] == ["d1/0/1/word"]
