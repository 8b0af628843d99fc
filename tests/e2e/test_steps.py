"""What steps and what stands around them do in a running engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_client.api import Client
from re_client.errors import ClientError
from tests.e2e.deploying import PATIENCE, await_line, begin, ended, printed, programs_of, run_step, statuses, steps_book
from tests.e2e.engine_process import EngineProcess, running, wait_until

SETTINGS = """
PRE_DEPLOY_CHECK:
  - NAME: nobody forbids it
    COMMAND: command
    SUBCOMMAND: Run
    PARAMETERS: {cmd: 'test ! -e %(place)s/forbidden'}
    EXPECTATION: {status: completed}
POST_DEPLOY_ACTION:
  - NAME: sweep
    COMMAND: command
    SUBCOMMAND: Run
    PARAMETERS: {cmd: 'echo "$RE_ATTEMPT" >> %(place)s/swept'}
TRIGGERS:
  - DESCRIPTION: look before you leap
    WHEN: {NEXT_COMMAND: noop, NEXT_SUBCOMMAND: Leap}
    COMMAND: noop
    SUBCOMMAND: Look
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for all tests of this file."""
    place = tmp_path_factory.mktemp("engine")
    with running(place, SETTINGS % {"place": place}) as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[Client]:
    with engine.client() as client:
        yield client


@pytest.fixture
def place(engine: EngineProcess) -> Path:
    """A directory that the settings' steps know."""
    return engine.directory


def swept(place: Path) -> set[str]:
    """The deployments after which the action has run."""
    return {line.split("/")[0] for line in (place / "swept").read_text().splitlines()}


def kinds(client: Client, id: str) -> list[tuple[str, str, str]]:
    return [(step["kind"], step["name"], step["status"]) for step in client.deployment(id)["steps"]]


def test_a_check_comes_first_and_an_action_last(client: Client, place: Path) -> None:
    id = begin(client, steps_book("noop:Do"))
    assert ended(client, id)["status"] == "completed"
    assert kinds(client, id) == [
        ("check", "command:Run", "completed"),
        ("step", "noop:Do", "completed"),
        ("action", "command:Run", "completed"),
    ]
    assert id in swept(place)


def test_a_check_that_does_not_hold_stops_a_deployment_before_its_first_step(client: Client, place: Path) -> None:
    (place / "forbidden").touch()
    try:
        id = begin(client, steps_book(run_step(f"touch {place}/begun")))
        found = ended(client, id)
    finally:
        (place / "forbidden").unlink()
    assert found["status"] == "failed"
    assert "nobody forbids it" in found["reason"]
    assert statuses(found)[1:] == ["skipped", "completed"]
    assert not (place / "begun").exists()
    assert id in swept(place)


def test_a_trigger_puts_its_step_before_the_one_that_it_waits_for(client: Client) -> None:
    id = begin(client, steps_book("noop:Do", "noop:Leap"))
    ended(client, id)
    names = [step["name"] for step in client.deployment(id)["steps"]]
    assert names == ["command:Run", "noop:Do", "noop:Look", "noop:Leap", "command:Run"]


def test_a_cancel_ends_the_step_with_all_its_children_and_the_action_still_runs(client: Client, place: Path) -> None:
    children = "sleep 300 & (setsid sh -c 'sleep 300 & sleep 300') & echo begun; wait"
    id = begin(client, steps_book(run_step(children), "noop:Do"))
    await_line(client, id, "begun")
    wait_until("all of its programs run", lambda: len(programs_of(id)) >= 4, PATIENCE)
    client.cancel(id, "enough")
    found = ended(client, id)
    assert found["status"] == "cancelled"
    assert found["reason"].endswith("enough")
    assert statuses(found) == ["completed", "cancelled", "skipped", "completed"]
    wait_until("its programs are gone", lambda: not programs_of(id), PATIENCE)
    assert id in swept(place)


def test_a_step_over_its_time_is_ended_and_timed_out(client: Client) -> None:
    id = begin(client, steps_book(run_step("sleep 300", "timeout: 0.5"), "noop:Do"))
    found = ended(client, id)
    assert found["status"] == "failed"
    assert statuses(found)[1:3] == ["timed_out", "skipped"]
    assert "timed out" in found["reason"]
    wait_until("its programs are gone", lambda: not programs_of(id), PATIENCE)


def test_a_step_over_its_time_is_repeated_only_when_its_program_is_gone(client: Client, place: Path) -> None:
    """It takes a second to end when it is asked to, and prints then."""
    look = f"test -f {place}/pid && kill -0 $(cat {place}/pid) && echo two at once; echo $$ > {place}/pid"
    line = f"trap 'sleep 1; echo has ended; exit 1' TERM; {look}; sleep 300 & wait"
    id = begin(client, steps_book(run_step(line, "timeout: 0.5, retries: 1")))
    found = ended(client, id)
    assert (statuses(found)[1], found["steps"][1]["attempt"]) == ("timed_out", 2)
    wait_until("both have ended", lambda: printed(client, id).count("has ended") == 2, PATIENCE)
    assert "two at once" not in printed(client, id)


def test_an_exclusive_playbook_is_free_only_when_the_program_of_a_step_over_its_time_is_gone(
    client: Client, place: Path
) -> None:
    look = f"test -f {place}/pid && kill -0 $(cat {place}/pid) && echo two at once; echo $$ > {place}/pid"
    line = f"trap 'sleep 1; echo has ended; exit 1' TERM; {look}; sleep 300 & wait"
    playbook = client.apply_playbook((steps_book(run_step(line, "timeout: 0.5")) + "exclusive: true\n").encode())
    ids: list[str] = []

    def accepted() -> bool:
        try:
            ids.append(client.deploy(playbook["group"], playbook["id"], {})["id"])
        except ClientError as error:
            assert ids[0] in str(error)  # it says which one holds the playbook
            return False
        return True

    for _ in range(2):
        wait_until("it is accepted", accepted, PATIENCE)
    for id in ids:
        assert statuses(ended(client, id))[1] == "timed_out"
        await_line(client, id, "has ended")
        assert "two at once" not in printed(client, id)


def test_a_failed_step_with_retries_is_repeated_until_it_succeeds(client: Client, place: Path) -> None:
    third_time = f"echo try >> {place}/tries; test $(wc -l < {place}/tries) = 3"
    found = ended(client, begin(client, steps_book(run_step(third_time, "retries: 5"))))
    assert found["status"] == "completed"
    assert found["steps"][1]["attempt"] == 3


def test_a_step_that_never_succeeds_has_its_retries_and_no_more(client: Client, place: Path) -> None:
    never = f"echo try >> {place}/vain; exit 4"
    found = ended(client, begin(client, steps_book(run_step(never, "retries: 2"))))
    assert found["status"] == "failed"
    assert (place / "vain").read_text() == "try\n" * 3
    assert "exit code 4" in found["reason"]
    assert found["steps"][1]["data"] == {"code": 4, "output": []}


def test_dynamic_values_are_in_a_commands_environment(client: Client) -> None:
    step = "{'command:Run': {cmd: 'echo \"$RE_DYNAMIC_VERSION $RE_DYNAMIC_CART_ID\"', dynamic: [version, cart-id]}}"
    id = begin(client, steps_book(step), {"version": "1.4 $(rm -rf /)", "cart-id": {"n": 7}})
    assert ended(client, id)["status"] == "completed"
    await_line(client, id, '1.4 $(rm -rf /) {"n":7}')


def test_a_step_may_use_the_client_of_the_engine_that_runs_it(engine: EngineProcess, client: Client) -> None:
    """Variables that are the step's own are no settings."""
    id = begin(
        client, steps_book(run_step(f"RE_DATA_DIR={engine.data} rectl deployments --limit 1 --json")), {"version": "1"}
    )
    found = ended(client, id)
    assert found["status"] == "completed", (found["reason"], printed(client, id))
    wait_until("it has printed", lambda: bool(printed(client, id)), PATIENCE)
    assert json.loads("\n".join(printed(client, id)))[0]["id"] == id


def test_a_step_that_prints_past_its_quota_goes_on(client: Client, place: Path) -> None:
    line = f"yes | head -n 300000; echo done > {place}/went-on; echo last; exit 3"
    book = steps_book(run_step(line)) + "output_quota: 4096\n"
    found = ended(client, begin(client, book))
    assert (place / "went-on").read_text() == "done\n"
    cut = "[the output quota of 4096 bytes is used up; further output of this step is dropped]"
    await_line(client, found["id"], cut)
    assert printed(client, found["id"]) == ["y"] * (4096 // 2) + [cut]
    assert found["steps"][1]["message"] == "exit code 3: last"
