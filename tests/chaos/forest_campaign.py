"""Chaos for releases of forest runners. Must not know pytest."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos import forest_under_test
from tests.chaos.campaign import Campaign
from tests.chaos.forest_judgement import ForestJudge


class ForestCampaign(Campaign):
    """A ForestUnderTest under fire."""

    draw = staticmethod(forest_under_test.draw)

    def judge(self, ends: Sequence[str]) -> ForestJudge:
        return ForestJudge(ends, self.rig.falls)
