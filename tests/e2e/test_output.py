"""What steps print: shown while they run, in order, redacted, and never more than text."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from re_client.api import Client
from tests import plain_http
from tests.e2e.deploying import PATIENCE, await_line, await_line_number, begin, ended, printed, run_step, steps_book
from tests.e2e.engine_process import EngineProcess, running

SETTINGS = """
redact:
  - '(?<=password=)\\S+'
  - 'AKIA[A-Z0-9]+'
"""

#: what a page or a terminal would take for more than text
MARKUP = "<script>alert(1)</script> &amp; \x1b[31mred\x1b[0m \x07"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for all tests of this file."""
    with running(tmp_path_factory.mktemp("engine"), SETTINGS) as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[Client]:
    with engine.client() as client:
        yield client


def read(engine: EngineProcess, id: str, accept: str) -> httpx2.Response:
    """The output as this content type."""
    url, token = ((engine.data / name).read_text().strip() for name in ("url", "token"))
    headers = {"authorization": f"Bearer {token}", "accept": accept}
    return plain_http.get(f"{url}/api/v1/deployments/{id}/output", headers=headers)


def test_logs_follow_a_step_while_it_runs_and_end_with_it(
    engine: EngineProcess, client: Client, tmp_path: Path
) -> None:
    step = f"echo first; while ! test -e {tmp_path}/go; do sleep 0.02; done; echo second"
    id = begin(client, steps_book(run_step(step)))
    following = subprocess.Popen(
        ["rectl", "logs", "-f", id], env=engine.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "first\n"
    assert client.deployment(id)["steps"][0]["status"] == "started"
    (tmp_path / "go").touch()
    rest, said = following.communicate(timeout=PATIENCE)
    assert (following.returncode, rest, said) == (0, "second\n", "")


def test_lines_keep_their_order_and_are_numbered_without_gaps(client: Client) -> None:
    count = 'i=0; while test $i -lt 500; do i=$((i+1)); echo "$RE_HOST $i"; done'
    id = begin(client, steps_book(run_step(count), run_step(count), hosts="a, b"))
    ended(client, id)
    await_line(client, id, "b 500")
    lines = list(client.output(id))
    by_step = {step: [line["text"] for line in lines if line["step"] == step] for step in range(4)}
    for step, host in enumerate("aabb"):
        assert by_step[step] == [f"{host} {number}" for number in range(1, 501)]
    assert [line["number"] for line in lines] == list(range(1, 2001))


@pytest.mark.parametrize("options", [["--wait"], ["--watch"]], ids=["wait", "watch"])
def test_two_hundred_thousand_lines_keep_nobody_waiting(
    engine: EngineProcess, client: Client, options: list[str]
) -> None:
    stored = client.apply_playbook(steps_book(run_step("seq 1 200000")).encode())
    told = subprocess.run(
        ["rectl", "deploy", stored["id"], *options],
        env=engine.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    if options == ["--wait"]:
        assert len(told.stdout.splitlines()) == 1
    id = told.stderr.split()[1]
    await_line_number(client, id, 200_000)
    logs = subprocess.run(["rectl", "logs", id], env=engine.environ, capture_output=True, timeout=PATIENCE, check=True)
    assert logs.stdout.split() == [b"%d" % number for number in range(1, 200_001)]
    if options == ["--watch"]:
        again = subprocess.run(["rectl", "watch", id], env=engine.environ, capture_output=True, text=True, check=True)
        assert f"… 198 000 lines skipped; rectl logs {id} has them" in again.stdout.splitlines()


def test_secrets_are_redacted_wherever_output_is_read(engine: EngineProcess, client: Client) -> None:
    id = begin(client, steps_book(run_step("echo login password=$(printf hunt)er2 as AKIA123; echo done")))
    ended(client, id)
    await_line(client, id, "done")
    assert printed(client, id)[0] == "login password=[redacted] as [redacted]"
    for accept in ("application/json", "text/plain"):
        assert "hunter2" not in read(engine, id, accept).text


def test_secrets_are_redacted_in_what_a_failure_says_and_in_what_is_kept(engine: EngineProcess, client: Client) -> None:
    id = begin(client, steps_book(run_step("echo password=$(printf hunt)er2; exit 7")))
    document = ended(client, id)
    assert document["reason"].endswith("exit code 7: password=[redacted]")
    assert document["steps"][0]["data"] == {"code": 7, "output": ["password=[redacted]"]}
    for path in engine.data.glob("release-engine.db*"):
        assert b"hunter2" not in path.read_bytes(), f"{path.name} holds what nobody shall read"


def test_markup_and_escapes_come_as_data(engine: EngineProcess, client: Client, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(MARKUP + "\n")
    id = begin(client, steps_book(run_step(f"cat {tmp_path}/text")))
    ended(client, id)
    await_line(client, id, MARKUP)
    document = read(engine, id, "application/json")
    assert document.headers["content-type"] == "application/json"
    assert json.loads(document.text)["lines"][0]["text"] == MARKUP
    text = read(engine, id, "text/plain")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["x-content-type-options"] == "nosniff"
    assert text.text == MARKUP + "\n"


def test_escapes_do_not_reach_the_terminal(engine: EngineProcess, client: Client, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(MARKUP + "\n")
    id = begin(client, steps_book(run_step(f"cat {tmp_path}/text")))
    ended(client, id)
    await_line(client, id, MARKUP)
    shown = engine.run("logs", id)
    assert shown.returncode == 0
    assert "<script>alert(1)</script>" in shown.stdout
    assert not {"\x1b", "\x07"} & set(shown.stdout)
