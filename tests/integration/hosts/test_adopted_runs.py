"""Runs that another worker may have begun, and attempts before this one: on this machine, with real shells and processes."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.port import (
    ENDED,
    NONE,
    RUNS,
    Claim,
    HostLost,
    Left,
    NotBegun,
    Opened,
    Run,
    RunKey,
    Unreachable,
)
from re_workers.hosts.runs import HostRuns
from tests.integration.hosts.rig import Beside, Heard, carrying, key
from tests.integration.workers.waiting import until

STOP = threading.Event()


def _just_claimed() -> Claim:
    return Claim(resumed=True, at=time.monotonic())


class Away(LocalChannel):
    """This machine, which cannot be reached for a while."""

    def __init__(self) -> None:
        super().__init__("web1")
        self.away = True
        self.tried = 0

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """As of every channel."""
        self.tried += 1
        if self.away:
            raise Unreachable("web1 cannot be reached")
        return super().open(command, stop)


# -- leaving -----------------------------------------------------------------------------------------


def test_a_worker_that_leaves_leaves_the_run_and_another_hears_its_end(local: HostRuns, tmp_path: Path) -> None:
    run = Run(key(), f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo second; exit 5")
    heard, leave = Heard(), threading.Event()
    left: list[Exception] = []

    def follow() -> None:
        try:
            local.run(run, heard, threading.Event(), leave)
        except Left as end:
            left.append(end)

    thread = threading.Thread(target=follow)
    thread.start()
    heard.until(b"first\n")
    leave.set()
    thread.join(20)
    assert len(left) == 1
    assert local.look(key()).state == RUNS
    (tmp_path / "go").touch()
    again = Heard()
    ended = local.run(run, again, STOP, None, _just_claimed())
    assert (ended.code, ended.attached, again.output) == (5, True, b"first\nsecond\n")


def test_a_run_that_shall_stop_is_ended_though_its_worker_leaves(local: HostRuns) -> None:
    leave = threading.Event()
    leave.set()
    run = Beside(local, Run(key(), "echo ready; sleep 600"))
    run.heard.until(b"ready\n")
    run.stop.set()
    assert local.run(Run(key(), "echo ready; sleep 600"), Heard(), run.stop, leave, _just_claimed()).code == 143
    assert run.end().code == 143


def test_a_worker_that_leaves_at_once_begins_nothing(local: HostRuns) -> None:
    leave = threading.Event()
    leave.set()
    with pytest.raises(Left):
        local.run(Run(key(), "true"), Heard(), STOP, leave)
    assert local.look(key()).state == NONE


# -- what another worker may have begun --------------------------------------------------------------


def test_what_it_never_began_begins_now(local: HostRuns) -> None:
    heard = Heard()
    assert local.run(Run(key(), "echo now"), heard, STOP, None, _just_claimed()).code == 0
    assert heard.output == b"now\n"


@pytest.mark.parametrize("age", [None, 10**9])
def test_without_a_record_nothing_begins_where_the_host_may_have_been_booted_since(
    local: HostRuns, age: int | None
) -> None:
    at = None if age is None else time.monotonic() - age
    with pytest.raises(HostLost, match="no record of the run, and was booted after its step began"):
        local.run(Run(key(), "true"), Heard(), STOP, None, Claim(True, at))
    assert local.look(key()).state == NONE


def test_a_host_that_is_away_is_tried_again_where_the_run_may_have_begun(records: Path) -> None:
    channel = Away()
    runs = HostRuns(channel, str(records))
    with pytest.raises(Unreachable):
        runs.run(Run(key(), "true"), Heard(), STOP)
    before, codes = channel.tried, list[int]()
    claim = _just_claimed()
    thread = threading.Thread(
        target=lambda: codes.append(runs.run(Run(key(), "exit 3"), Heard(), STOP, None, claim).code)
    )
    thread.start()
    until(lambda: channel.tried >= before + 3)
    channel.away = False
    thread.join(30)
    assert codes == [3]


def test_what_shall_stop_is_ended_by_a_worker_that_has_never_seen_it(local: HostRuns) -> None:
    mark = f"adopted-{os.getpid()}-{random.random()}"
    run = Run(key(), "echo ready; sleep 600 & sleep 600", {"MARK": mark})
    first = Beside(local, run)
    first.heard.until(b"ready\n")
    stop, heard = threading.Event(), Heard()
    stop.set()
    ended = local.run(run, heard, stop, None, _just_claimed())
    assert (ended.code, heard.output) == (143, b"ready\n")
    assert carrying("MARK", mark) == []
    assert first.end().code == 143


def test_what_shall_stop_and_was_never_begun_never_begins(local: HostRuns) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(NotBegun, match="was to stop before it began"):
        local.run(Run(key(), "true"), Heard(), stop, None, _just_claimed())
    assert local.look(key()).state == NONE


# -- earlier attempts --------------------------------------------------------------------------------


def test_what_an_earlier_attempt_left_running_is_ended_before_the_next_begins(shell: HostRuns) -> None:
    mark = f"earlier-{os.getpid()}-{random.random()}"
    first = Beside(shell, Run(key("d/0/1"), "echo ready; sleep 600 & sleep 600", {"MARK": mark}))
    first.heard.until(b"ready\n")
    heard = Heard()
    left = "grep -lsF MARK=$MARK /proc/[0-9]*/environ | grep -v self | wc -l"
    claim = Claim(earlier=("d/0/1",))
    ended = shell.run(Run(key("d/0/2"), f"MARK={mark}; {left}"), heard, STOP, None, claim)
    assert (ended.code, heard.output.strip()) == (0, b"0")
    assert first.end().code == 143


def test_an_earlier_attempt_begins_nothing_more_on_the_host(shell: HostRuns, tmp_path: Path) -> None:
    assert shell.run(Run(key("d/0/1"), "exit 4"), Heard(), STOP).code == 4
    assert shell.supersede(key("d/0/2"), ["d/0/1"]) == 0
    with pytest.raises(NotBegun, match="a later attempt of the step has begun there"):
        shell.run(Run(key("d/0/1", 1), f"touch {tmp_path}/happened"), Heard(), STOP)
    assert not (tmp_path / "happened").exists()
    assert shell.run(Run(key("d/0/1"), "exit 4"), Heard(), STOP).code == 4, "its record still answers"
    assert shell.run(Run(key("d/0/2"), "exit 2"), Heard(), STOP).code == 2
    assert shell.run(Run(RunKey("d/0/1", "web2"), "exit 6"), Heard(), STOP).code == 6


def test_that_a_later_attempt_has_begun_is_swept_with_the_records(local: HostRuns, records: Path) -> None:
    local.run(Run(key("d/0/1"), "true"), Heard(), STOP)
    local.supersede(key("d/0/2"), ["d/0/1"])
    assert len(list(records.iterdir())) == 2
    assert local.sweep([key("d/0/1")]) == 1
    (mark,) = records.iterdir()
    assert mark.name.endswith(".over")


def test_nothing_of_other_steps_is_superseded(local: HostRuns) -> None:
    other = Beside(local, Run(key("d/0/11"), "echo ready; sleep 600"))
    other.heard.until(b"ready\n")
    assert local.supersede(key("d/0/2"), ["d/0/1"]) == 0
    assert local.look(key("d/0/11")).state == RUNS
    other.stop.set()
    other.end()
    assert local.look(key("d/0/11")).state == ENDED


def test_a_host_that_cannot_be_reached_supersedes_nothing(records: Path) -> None:
    with pytest.raises(Unreachable):
        HostRuns(Away(), str(records)).supersede(key("d/0/2"), ["d/0/1"])


def test_the_first_attempt_supersedes_none_and_asks_nothing_of_the_host(records: Path) -> None:
    channel = Away()
    assert HostRuns(channel, str(records)).supersede(key(), []) == 0
    assert channel.tried == 0
