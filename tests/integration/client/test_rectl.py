"""rectl as a whole, and its commands beside deploying."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from re_client import commands
from re_client.commands import deadletters
from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, problem
from tests.unit.client.documents import AT, playbook

BOOK = "group: inception\nname: Simple playbook\nexecution: []\n"
VALID = Answer({"valid": True, "errors": [], "warnings": []})


def _list(*rows: object) -> Answer:
    return Answer({"items": list(rows), "next": None})


# -- the whole -------------------------------------------------------------------------------------


def test_help_names_every_command(rectl: Rectl) -> None:
    told = rectl("--help").out
    assert all(f"\n  {name} " in told for name in [*commands.COMMANDS, "up"])


@pytest.mark.parametrize("name", sorted(commands.COMMANDS))
def test_every_command_explains_itself(rectl: Rectl, name: str) -> None:
    ran = rectl(name, "--help")
    assert ran.code == 0
    assert f"Usage: rectl {name} " in ran.out


def test_the_version_is_the_packages(rectl: Rectl) -> None:
    assert rectl("--version").out.startswith("rectl ")


@pytest.mark.parametrize(
    "arguments", [["statu"], ["status"], ["status", "--nope", "x"], ["deployments", "--limit", "x"]]
)
def test_wrong_usage_exits_2(rectl: Rectl, arguments: list[str]) -> None:
    ran = rectl(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err


def test_a_misspelt_command_gets_a_suggestion(rectl: Rectl) -> None:
    assert "there is no command 'deplyo'; did you mean 'deploy'?\n" in rectl("deplyo").err


def test_a_command_of_a_broken_package_breaks_no_other(rectl: Rectl, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoints([EntryPoint("extra", "no_such_module:command", commands.ENTRY_POINTS)])
    monkeypatch.setattr(commands, "entry_points", lambda **wanted: broken.select(**wanted))
    assert "extra" in rectl("--help").out
    ran = rectl("extra", "--any", "thing")
    assert ran.code == 2
    assert "no_such_module:command cannot be loaded" in ran.err


def test_nobody_there_exits_3(rectl: Rectl) -> None:
    ran = rectl("groups", RE_URL="http://127.0.0.1:1")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("rectl: no release engine answers at http://127.0.0.1:1 (Connection refused); ")


@pytest.mark.parametrize("status", [401, 403, 503])
def test_not_let_in_exits_3_and_says_what_to_do(engine: FakeEngine, rectl: Rectl, status: int) -> None:
    engine.on("GET /api/v1/groups", problem(status, "No."))
    ran = rectl("groups")
    assert ran.code == 3
    assert ran.err.startswith("rectl: No; " if status != 503 else "rectl: No.")
    assert ("token" in ran.err) == (status != 503)


def test_a_wrong_setting_exits_2(rectl: Rectl) -> None:
    ran = rectl("groups", RE_HTPP="x")
    assert (ran.code, ran.err) == (2, "rectl: environment RE_HTPP: no such setting; did you mean 'RE_HTTP'?\n")


def test_a_message_of_the_engine_cannot_move_the_cursor(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/groups", problem(400, "\x1b[2Jbad\nsecond\x07"))
    assert rectl("groups").err == "rectl: bad\nsecond\ufffd\n"


def test_a_reader_that_goes_away_ends_the_command_without_a_word(engine: FakeEngine) -> None:
    engine.on("GET /api/v1/groups", _list(*({"name": f"g{n}", "count": n} for n in range(20000))))
    script = f"{sys.executable} -m re_client groups | head -1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", script],
        env={"RE_URL": engine.url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout.split(), ran.stderr) == (130, ["GROUP", "PLAYBOOKS"], "")


def test_showing_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from re_client.__main__ import run; run(['status', '--help']);"
        "print([name for name in ('httpx2', 'rich', 'yaml', 'jsonschema', 'flask', 're_workers', 're_up') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


# -- playbooks -------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A playbook file."""
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    return path


@pytest.mark.parametrize(("status", "done"), [(201, "created"), (200, "updated"), (200, "unchanged")])
def test_apply_is_one_request_whose_answer_says_what_was_done(
    engine: FakeEngine, rectl: Rectl, book: Path, status: int, done: str
) -> None:
    engine.on("POST /api/v1/playbooks/validate", VALID)
    engine.on("POST /api/v1/playbooks/apply", Answer({**playbook("p1", revision=4), "done": done}, status))
    ran = rectl("playbook", "apply", str(book))
    assert (ran.code, ran.out) == (0, f"inception/Simple playbook {done}: p1, revision 4\n")
    [asked] = engine.requests("POST /api/v1/playbooks/apply")
    assert asked.body == BOOK.encode()
    (told,) = json.loads(rectl("playbook", "apply", str(book), "--json").out)
    assert (told["done"], told["id"], told["file"]) == (done, "p1", str(book))


def test_apply_says_how_the_playbook_is_deployed_with_the_values_that_it_needs(
    engine: FakeEngine, rectl: Rectl, book: Path
) -> None:
    engine.on("POST /api/v1/playbooks/validate", VALID)
    engine.on("POST /api/v1/playbooks/apply", Answer({**playbook("p1"), "done": "created"}, 201))
    assert rectl("playbook", "apply", str(book)).err == (
        "  to deploy it:  rectl deploy 'inception/Simple playbook' --watch\n"
    )
    needs = {"required": ["version", "the url"], "missing": ["version", "the url"]}
    engine.on("POST /api/v1/playbooks/p1/plan", Answer({"steps": [], "dynamic": needs, "warnings": []}))
    assert rectl("playbook", "apply", str(book)).err == (
        "  to deploy it:  rectl deploy 'inception/Simple playbook' --set version=… --set 'the url'=… --watch\n"
    )
    assert rectl("playbook", "apply", str(book), "--json").err == ""


def test_apply_stores_nothing_where_one_file_is_wrong(
    engine: FakeEngine, rectl: Rectl, book: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    errors = [{"path": "/group", "message": "is missing", "line": 1, "column": 1}, {"path": "", "message": "no"}]
    warnings = [{"path": "/execution/0", "message": "nobody offers \x1bcfrob", "line": 2, "column": 3}]
    engine.on(
        "POST /api/v1/playbooks/validate", VALID, Answer({"valid": False, "errors": errors, "warnings": warnings})
    )
    ran = rectl("playbook", "apply", str(book), str(other))
    assert ran.code == 2
    assert ran.err.splitlines() == [
        f"{other}:1:1: /group: is missing",
        f"{other}: no",
        f"{other}:2:3: warning: /execution/0: nobody offers frob",
    ]
    assert [one.headers["content-type"] for one in engine.asked] == ["application/yaml", "application/json"]


def test_apply_asks_which_one_where_several_have_the_name(engine: FakeEngine, rectl: Rectl, book: Path) -> None:
    engine.on("POST /api/v1/playbooks/validate", VALID)
    engine.on("POST /api/v1/playbooks/apply", Answer({"detail": "2 playbooks are named so: p1, p2"}, 409))
    ran = rectl("playbook", "apply", str(book))
    assert ran.code == 2
    assert "p1, p2" in ran.err and "--id says which" in ran.err


def test_apply_with_an_id_takes_that_one(engine: FakeEngine, rectl: Rectl, book: Path) -> None:
    engine.on("POST /api/v1/playbooks/validate", VALID)
    engine.on("GET /api/v1/playbooks/p2", Answer({**playbook("p2", revision=7), "document": {}}))
    engine.on("PUT /api/v1/playbooks/p2", Answer(playbook("p2", revision=8)))
    assert rectl("playbook", "apply", str(book), "--id", "p2").code == 0
    assert rectl("playbook", "apply", str(book), str(book), "--id", "p2").code == 2


def test_validate_tells_every_file(engine: FakeEngine, rectl: Rectl, book: Path) -> None:
    engine.on("POST /api/v1/playbooks/validate", VALID)
    assert rectl("playbook", "validate", str(book)).out == f"{book}: valid\n"
    assert json.loads(rectl("playbook", "validate", str(book), "--json").out)[str(book)]["valid"]
    engine.on("POST /api/v1/playbooks/validate", Answer({"valid": False, "errors": [], "warnings": []}))
    assert rectl("playbook", "validate", str(book)).code == 2
    assert rectl("playbook", "validate", str(book), "--json").code == 2


def test_playbooks_are_listed(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/playbooks", _list(playbook(revision=12)))
    ran = rectl("playbook", "list", "--group", "inception")
    assert ran.out.splitlines()[1].split()[:4] == ["p1", "inception/Simple", "playbook", "12"]
    assert json.loads(rectl("playbook", "list", "--json").out) == [playbook(revision=12)]


def test_show_prints_the_yaml(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/playbooks", _list(playbook()))
    engine.on("GET /api/v1/playbooks/p1", Answer(BOOK.encode(), headers={"content-type": "application/yaml"}))
    assert rectl("playbook", "show", "p1").out == BOOK
    assert engine.asked[-1].headers["accept"] == "application/yaml"
    engine.on("GET /api/v1/playbooks/p1/revisions/2", Answer({**playbook(revision=2), "document": {}}))
    assert json.loads(rectl("playbook", "show", "p1", "--revision", "2", "--json").out)["revision"] == 2


def test_delete_asks_a_person_and_a_script_must_say_yes(
    engine: FakeEngine, rectl: Rectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.on("GET /api/v1/playbooks", _list(playbook(revision=5)))
    engine.on("DELETE /api/v1/playbooks/p1", Answer(None, 204))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    ran = rectl("playbook", "delete", "p1")
    assert ran.code == 2
    assert "use --yes" in ran.err
    assert not engine.requests("DELETE /api/v1/playbooks/p1")
    assert rectl("playbook", "delete", "p1", "--yes").code == 0
    assert engine.asked[-1].headers["if-match"] == '"5"'


#: a step of a plan
PLANNED = {
    "number": 0,
    "name": "noop:Do",
    "kind": "step",
    "host": "a",
    "sequence": 0,
    "label": "",
    "timeout": 60.0,
    "parameters": {"x": 1},
    "idempotent": False,
    "retries": 2,
}


def test_a_plan_is_shown_in_order_and_missing_values_exit_2(engine: FakeEngine, rectl: Rectl) -> None:
    plan = {
        "steps": [PLANNED],
        "dynamic": {"required": ["cart"], "missing": ["cart"]},
        "warnings": [{"path": "", "message": "odd"}],
    }
    engine.on("GET /api/v1/playbooks", _list(playbook()))
    engine.on("POST /api/v1/playbooks/p1/plan", Answer(plan))
    ran = rectl("playbook", "plan", "p1", "--set", "y=1")
    assert ran.code == 2
    assert ran.out.splitlines()[1].split() == ["0", "step", "noop:Do", "a", "60", "s", "yes", '{"x":', "1}"]
    assert ran.err == "warning: odd\nrectl: dynamic values are missing: --set cart=…\n"
    assert engine.asked[-1].document == {"dynamic": {"y": "1"}}


def test_a_plan_shows_arguments_once_and_refers_to_that_step_where_they_are_the_same(
    engine: FakeEngine, rectl: Rectl
) -> None:
    other = {"name": "noop:Other"}
    changes: list[dict[str, Any]] = [{}, {"parameters": {}}, {"host": "b"}, other, {"parameters": {"x": 2}}, {}, other]
    steps = [{**PLANNED, "number": number, **change} for number, change in enumerate(changes)]
    plan = {"steps": steps, "dynamic": {"required": [], "missing": []}, "warnings": []}
    engine.on("GET /api/v1/playbooks", _list(playbook()))
    engine.on("POST /api/v1/playbooks/p1/plan", Answer(plan))
    rows = rectl("playbook", "plan", "p1").out.splitlines()[1:]
    assert [row.partition("yes")[2].strip() for row in rows] == [
        '{"x": 1}',
        "",
        "as step 0",
        '{"x": 1}',
        '{"x": 2}',
        "as step 0",
        "as step 3",
    ]


# -- the rest --------------------------------------------------------------------------------------


def test_dead_letters_are_listed_shown_replayed_and_dropped(
    engine: FakeEngine, rectl: Rectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = {
        "id": "d1",
        "queue": "re.job.create",
        "reason": "bad-message",
        "detail": "not JSON",
        "by": "core",
        "at": AT.format(1),
        "size": 8,
    }
    properties = {"message_id": "m1", "reply_to": "", "headers": {"re-step": "3"}}
    whole = {**letter, "properties": properties, "text": "{\x1b[2J\nsecond", "body": "ewpzZWNvbmQ="}
    engine.on("GET /api/v1/deadletters", _list(letter))
    engine.on("GET /api/v1/deadletters/d1", Answer(whole), Answer({**whole, "text": None}))
    engine.on("POST /api/v1/deadletters/d1/replay", Answer(None, 202))
    engine.on("DELETE /api/v1/deadletters/d1", Answer(None, 204))
    assert "bad-message  not JSON" in rectl("deadletters", "list").out
    monkeypatch.setattr(deadletters, "day", lambda told: (told or "")[:10])
    assert rectl("deadletters", "show", "d1").out.splitlines() == [
        "id:             d1",
        "queue:          re.job.create",
        "reason:         bad-message",
        "detail:         not JSON",
        "by:             core",
        "at:             2026-11-22",
        "message id:     m1",
        "header re-step: 3",
        "size:           8 bytes",
        "text:           {",
        "                second",
    ]
    assert rectl("deadletters", "show", "d1").out.splitlines()[-1] == "base64:         ewpzZWNvbmQ="
    assert rectl("deadletters", "replay", "d1").err == "d1 was sent to its queue again\n"
    assert rectl("deadletters", "drop", "d1", "--yes").err == "d1 is deleted\n"


def test_workers_and_groups_are_listed(engine: FakeEngine, rectl: Rectl) -> None:
    worker = {
        "id": "w1",
        "slots": 4,
        "offers": {"noop:*": {}, "command:Run": {}},
        "running": ["a"],
        "busy": 1,
        "seen": AT.format(1),
    }
    engine.on("GET /api/v1/workers", _list(worker))
    engine.on("GET /api/v1/groups", _list({"name": "inception", "count": 3}))
    assert rectl("workers").out.splitlines()[1].split()[:2] == ["w1", "1/4"]
    assert rectl("workers").out.endswith("command:Run, noop:*\n")
    assert rectl("groups").out.splitlines()[1].split() == ["inception", "3"]
    assert json.loads(rectl("groups", "--json").out) == [{"name": "inception", "count": 3}]


def test_a_token_is_made_only_for_groups_that_are_named(engine: FakeEngine, rectl: Rectl) -> None:
    row = {"id": "t1", "user": "ann", "groups": ["a", "b"], "admin": False, "created": AT.format(1)}
    engine.on("POST /api/v1/tokens", Answer({**row, "token": "s3cret"}, 201))
    assert rectl("token", "create", "--user", "ann").code == 2
    assert rectl("token", "create", "--user", "ann", "--group", "a", "--all-groups").code == 2
    assert rectl("token", "create", "--user", "ann", "--group", "a", "--group", "b").out == "s3cret\n"
    assert engine.asked[-1].document == {"user": "ann", "groups": ["a", "b"], "admin": False}
    assert rectl("token", "create", "--user", "ann", "--group", "a", "--admin").code == 2
    for administrator in (["--admin"], ["--all-groups", "--admin"]):
        rectl("token", "create", "--user", "ann", *administrator)
        assert engine.asked[-1].document == {"user": "ann", "groups": None, "admin": True}
    rectl("token", "create", "--user", "ci", "--group", "a", "--notify", "--expires", "never")
    more = {"notify": True, "expires": "never"}
    assert engine.asked[-1].document == {"user": "ci", "groups": ["a"], "admin": False, **more}


def test_tokens_are_listed_with_their_end_and_their_last_use(engine: FakeEngine, rectl: Rectl) -> None:
    row = {"id": "t1", "user": "ann", "groups": ["a"], "admin": False, "created": AT.format(1)}
    more = {"notify": True, "expires": AT.format(3), "used": AT.format(2)}
    engine.on("GET /api/v1/tokens", _list({**row, **more}, {**row, "id": "t2", "expires": None, "used": None}))
    head, first, second = rectl("token", "list").out.splitlines()
    assert head.split() == ["ID", "USER", "GROUPS", "ADMIN", "NOTIFY", "CREATED", "EXPIRES", "USED"]
    assert first.split()[3] == "yes"
    assert first.split()[-1].endswith("02+00:00")
    assert second.split()[-1] == "never"


def test_tokens_are_listed_and_revoked(engine: FakeEngine, rectl: Rectl) -> None:
    row = {"id": "t1", "user": "ann", "groups": None, "admin": True, "created": AT.format(1)}
    engine.on("GET /api/v1/tokens", _list(row))
    engine.on("DELETE /api/v1/tokens/t1", Answer(None, 204))
    assert rectl("token", "list").out.splitlines()[1].split()[:4] == ["t1", "ann", "all", "yes"]
    assert rectl("token", "revoke", "t1").err == "t1 is revoked\n"


def test_config_needs_no_engine_and_hides_secrets(rectl: Rectl) -> None:
    ran = rectl("config", RE_BUS_URL="amqp://u:hunter2@h/v", RE_URL="")
    assert ran.code == 0
    assert "t0ken" not in ran.out
    assert "hunter2" not in ran.out
    told = json.loads(rectl("config", "--json").out)
    assert told["token"] == {"value": "***", "origin": "environment RE_TOKEN"}
    assert told["http_threads"] == {"value": 64, "origin": "default"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(rectl: Rectl, shell: str) -> None:
    assert "_RECTL_COMPLETE" in rectl("completion", shell).out


def test_a_new_worker_passes_its_own_tests(rectl: Rectl, tmp_path: Path) -> None:
    ran = rectl("worker", "new", "frob_nicate", "--dir", str(tmp_path))
    assert ran.out.split() == [str(tmp_path / "frob_nicate.py"), str(tmp_path / "tests/test_frob_nicate.py")]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        # an author's test needs none of the plug-ins that ours load
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in tested.stdout


def test_a_new_worker_goes_where_the_engine_looks_and_overwrites_nothing(rectl: Rectl, tmp_path: Path) -> None:
    assert rectl("worker", "new", "frob").code == 0
    written = tmp_path / "data" / "workers" / "frob.py"
    before = written.read_text()
    ran = rectl("worker", "new", "frob")
    assert ran.code == 2
    assert "exists already" in ran.err
    assert written.read_text() == before


@pytest.mark.parametrize("name", ["Frob", "1st", "a-b", "../x", "class", ""])
def test_a_worker_needs_a_name_that_a_command_can_have(rectl: Rectl, name: str) -> None:
    assert rectl("worker", "new", name).code == 2
