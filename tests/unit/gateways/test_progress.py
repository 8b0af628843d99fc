"""A release in the memory of its gateway: what of its log is shown."""

from __future__ import annotations

import re

from re_core.rows import Release
from re_core.wire.redaction import Redaction
from re_gateways.forest.progress import CUT, MAX_LOG, MAX_TAIL, MISSING, Order, ReleaseProgress

ORDER = Order("forest/flux@1", "acme", "shop", {"name": "dest1", "environment": "dev"}, "shop-1", "deploy")


def test_the_end_of_a_log_is_cut_behind_what_is_redacted() -> None:
    progress = ReleaseProgress(Release("d1/0/1", 1, "me", "running", b"", 0), ORDER, lambda: 0.0)
    progress.line("x token=" + "s" * (MAX_TAIL - 10) + " end")
    tail = progress.tail(Redaction([re.compile(r"token=\S+")]).text)
    assert tail == "x [redacted] end"


def test_a_log_says_what_is_missing_in_it() -> None:
    progress = ReleaseProgress(Release("d1/0/1", 1, "me", "running", b"", 0), ORDER, lambda: 0.0)
    progress.line("a")
    progress.line("b")
    assert progress.log() == "a\nb"
    progress.partial = True
    assert progress.log() == f"{MISSING}\na\nb"
    for _ in range(2):
        progress.line("c" * MAX_LOG)
    assert progress.log() == "\n".join([MISSING, "a", "b", "c" * MAX_LOG, CUT])
