"""A release in the memory of its gateway: what of its log is shown."""

from __future__ import annotations

import re

from re_core.rows import Release
from re_core.wire.redaction import Redaction
from re_gateways.forest.progress import MAX_TAIL, Order, ReleaseProgress

ORDER = Order("forest/flux@1", "acme", "shop", {"name": "dest1", "environment": "dev"}, "shop-1", "deploy")


def test_the_end_of_a_log_is_cut_behind_what_is_redacted() -> None:
    progress = ReleaseProgress(Release("d1/0/1", 1, "me", "running", b"", 0), ORDER, lambda: 0.0)
    progress.line("x token=" + "s" * (MAX_TAIL - 10) + " end")
    tail = progress.tail(Redaction([re.compile(r"token=\S+")]).text)
    assert tail == "x [redacted] end"
