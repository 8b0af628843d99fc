"""Never too fast, never without end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from re_workers.notify.irc_token_bucket import TokenBucket


def test_a_burst_goes_at_once_and_then_one_line_every_interval() -> None:
    pace = TokenBucket(burst=4, interval=2.0)
    now, sent = 100.0, []
    for _ in range(6):
        now += pace.wait(now)
        pace.spend(now)
        sent.append(now)

    assert sent == [100.0, 100.0, 100.0, 100.0, 102.0, 104.0]


def test_silence_earns_no_more_than_a_burst() -> None:
    pace = TokenBucket(burst=2, interval=2.0)
    pace.spend(0.0)
    for _ in range(2):
        assert pace.wait(1000.0) == 0.0
        pace.spend(1000.0)

    assert pace.wait(1000.0) == 2.0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_window_ever_holds_more_lines_than_burst_and_interval_allow(pauses: list[float]) -> None:
    pace = TokenBucket(burst=4, interval=2.0)
    now, sent = 0.0, []
    for pause in pauses:
        now += pause
        now += pace.wait(now)
        assert pace.wait(now) == 0.0, "whoever has waited as told may speak"
        pace.spend(now)
        sent.append(now)

    for first, start in enumerate(sent):
        for last, end in enumerate(sent[first:], start=1):
            assert last <= 4 + (end - start) / 2.0 + 1e-3
