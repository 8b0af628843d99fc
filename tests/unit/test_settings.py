"""Settings: where a value comes from, which ones are refused, and what people are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_core.errors import BadSettings
from re_core.runtime import settings


def _file(directory: Path, text: str) -> dict[str, str]:
    """An environment whose settings file holds `text`."""
    path = directory / "re.yaml"
    path.write_text(text)
    return {"RE_CONFIG": str(path), "RE_DATA_DIR": str(directory)}


def _refusal(environ: dict[str, str]) -> str:
    with pytest.raises(BadSettings) as caught:
        settings.load(environ)
    return str(caught.value)


def test_nothing_set_means_the_documented_defaults() -> None:
    found = settings.load({})
    assert (found.bus_url, found.exchange, found.http, found.http_threads) == ("embedded:", "re", "127.0.0.1:8080", 64)
    assert (found.request_timeout, found.step_timeout, found.queue_timeout) == (10, 3600, 3600)
    assert found.data_dir.name == "release-engine"
    assert set(found.origins) == set()


def test_the_store_and_the_workers_live_in_the_data_directory() -> None:
    found = settings.load({"RE_DATA_DIR": "/srv/re"})
    assert found.store_url == "sqlite:////srv/re/release-engine.db"
    assert found.workers_dir == Path("/srv/re/workers")
    assert found.secret_key_file == Path("/srv/re/secret.key")
    assert found.dploy_keys_dir == Path("/srv/re/dploy/keys")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = _file(tmp_path, "exchange: from-file\nstep_timeout: 60\n")
    found = settings.load({**environ, "RE_EXCHANGE": "from-env"})
    assert (found.exchange, found.step_timeout) == ("from-env", 60)
    assert found.origins["exchange"] == "environment RE_EXCHANGE"
    assert found.origins["step_timeout"] == f"{tmp_path}/re.yaml:2"


def test_a_relative_path_in_the_file_starts_beside_the_file(tmp_path: Path) -> None:
    found = settings.load(_file(tmp_path, "workers_dir: mine\ndeployment_log_dir: logs\n"))
    assert (found.workers_dir, found.deployment_log_dir) == (tmp_path / "mine", tmp_path / "logs")


def test_sections_and_lists_are_taken_as_they_are(tmp_path: Path) -> None:
    found = settings.load(_file(tmp_path, "redact: ['key=\\S+']\nlegacy_workers: [worker.old]\nemail: {host: mail}\n"))
    assert [pattern.pattern for pattern in found.redact] == [r"key=\S+"]
    assert found.legacy_workers == ("worker.old",)
    assert found.email == {"host": "mail"}


def test_the_four_of_the_contract_keep_their_spelling(tmp_path: Path) -> None:
    text = """
PRE_DEPLOY_CHECK:
  - {NAME: calm, COMMAND: nagios, SUBCOMMAND: Calm, PARAMETERS: {}, EXPECTATION: {status: completed}}
POST_DEPLOY_ACTION:
  - {NAME: tell, COMMAND: noop, SUBCOMMAND: Do, PARAMETERS: {}}
TRIGGERS:
  - {DESCRIPTION: pause, WHEN: {NEXT_COMMAND: bigip}, COMMAND: sleep, SUBCOMMAND: Seconds, PARAMETERS: {seconds: 1}}
"""
    found = settings.load(_file(tmp_path, text))
    assert [check["NAME"] for check in found.pre_deploy_check] == ["calm"]
    assert [action["NAME"] for action in found.post_deploy_action] == ["tell"]
    assert [trigger["DESCRIPTION"] for trigger in found.triggers] == ["pause"]


def test_a_wrong_check_is_told_with_its_line_and_place(tmp_path: Path) -> None:
    told = _refusal(_file(tmp_path, "exchange: re\nPRE_DEPLOY_CHECK:\n  - NAME: calm\n    COMMAND: 3\n"))
    assert f"{tmp_path}/re.yaml:4: /PRE_DEPLOY_CHECK/0/COMMAND: " in told


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "notify_routes: [{grup: a, to: {irc: [x]}}]",
            "/notify_routes/0/grup: unknown key 'grup'; did you mean 'group'?",
        ),
        (
            "notify_routes: [{outcome: cancelled, to: {irc: [x]}}]",
            "/notify_routes/0/outcome: expected started, completed or",
        ),
        (
            "notify_routes: [{daily: 7, to: {irc: [x]}}]",
            "/notify_routes/0/daily: expected a time of the day in quotation",
        ),
        (
            "notify_templates: {irc: {fail: {}}}",
            "/notify_templates/irc/fail: unknown key 'fail'; did you mean 'failed'?",
        ),
        (
            "notify_templates: {irc: {failed: {slug: 3}}}",
            "/notify_templates/irc/failed/slug: expected a string, found 3",
        ),
    ],
)
def test_wrong_sections_of_notifications_are_told_with_their_line_and_place(
    tmp_path: Path, line: str, why: str
) -> None:
    assert f"{tmp_path}/re.yaml:2: {why}" in _refusal(_file(tmp_path, f"exchange: re\n{line}\n"))


def test_no_checks_at_all_is_an_empty_list(tmp_path: Path) -> None:
    assert settings.load(_file(tmp_path, "PRE_DEPLOY_CHECK: []\n")).pre_deploy_check == ()


def test_an_unknown_variable_is_refused_with_a_suggestion() -> None:
    assert _refusal({"RE_DATADIR": "/x"}) == "environment RE_DATADIR: no such setting; did you mean 'RE_DATA_DIR'?"


def test_an_unknown_key_is_refused_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    told = _refusal(_file(tmp_path, "exchange: re\nstep_timeut: 3\ntriggers: []\n"))
    assert told.splitlines() == [
        f"{tmp_path}/re.yaml:2: no such setting: step_timeut; did you mean 'step_timeout'?",
        f"{tmp_path}/re.yaml:3: no such setting: triggers; did you mean 'TRIGGERS'?",
    ]


def test_variables_of_the_tests_and_of_others_are_left_alone() -> None:
    assert settings.load({"RE_TEST_AMQP_URL": "amqp://x", "REAL": "1", "HOME": "/"}).exchange == "re"


def test_a_program_that_a_step_runs_may_be_rectl() -> None:
    assert (
        settings.load({"RE_HOST": "foo", "RE_ATTEMPT": "01D/0/1", "RE_ENGINE": "e", "RE_DYNAMIC_X": "1"}).exchange
        == "re"
    )


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert settings.load({"RE_EXCHANGE": "", "RE_CONFIG": "", "RE_NONSENSE": ""}).exchange == "re"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    environ = _file(tmp_path, "http_threads: many\n")
    told = _refusal({**environ, "RE_HTTP": "8080", "RE_LOG_LEVEL": "loud"})
    assert [line.rpartition("/")[2].split(":")[0] for line in told.splitlines()] == [
        "re.yaml",
        "environment RE_HTTP",
        "environment RE_LOG_LEVEL",
    ]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("RE_HTTP", "localhost", "expected host:port, found 'localhost'"),
        ("RE_HTTP", "::1:80", "expected host:port"),
        ("RE_HTTP", "a:65536", "expected host:port"),
        ("RE_HTTP", ":80", "expected host:port"),
        ("RE_HTTP_THREADS", "0", "a whole number from 1 to 4096, found '0'"),
        ("RE_HTTP_THREADS", "1.5", "a whole number"),
        ("RE_STEP_TIMEOUT", "nan", "a number of seconds above 0, found 'nan'"),
        ("RE_STEP_TIMEOUT", "-1", "above 0"),
        ("RE_STEP_TIMEOUT", "1e999", "above 0"),
        ("RE_STEP_TIMEOUT", "soon", "above 0"),
        ("RE_BUS_URL", "redis://x", "a URL that begins with embedded: or amqp: or amqps:, found 'redis://x'"),
        ("RE_STORE_URL", "file.db", "a URL that begins with sqlite:"),
        ("RE_LOG_FORMAT", "xml", "one of auto, text, json, short, found 'xml'"),
        ("RE_REDACT", "a", "can only be set in the file that RE_CONFIG names"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(name: str, text: str, why: str) -> None:
    told = _refusal({name: text})
    assert told.startswith(f"environment {name}: ")
    assert why in told


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http_threads: true", "http_threads: expected a whole number from 1 to 4096, found a boolean"),
        ("step_timeout: true", "step_timeout: expected a number of seconds above 0"),
        ("exchange: 3", "exchange: expected a string, found a number"),
        ("exchange:", "exchange: expected a string, found nothing"),
        ("redact: ['(']", "redact: '(' is not a regular expression"),
        ("redact: x", "redact: expected a list of strings, found a string"),
        ("group_commands: [a]", "group_commands: expected a section"),
        ("group_commands: {web: {a: b}}", "group_commands: expected a list of strings, found a section"),
        ("group_commands: {web: [noop, 'rm -rf']}", "web: expected a command, command:Subcommand or *, found 'rm -rf'"),
        ("group_hosts: {web: ['group:']}", "web: 'group:': expected group:NAME"),
        ("inventory: 3", "inventory: expected a section, `name: value`, found a number"),
        ("inventory: hosts.ini", "hosts.ini: expected a file whose name ends with .yml, .yaml, .json, .toml"),
        ("inventory: [{file: a.yml, directory: b}]", "an object with one of `file`, `directory` and `command`"),
        ("inventory: [{file: a.yml, every: 3}]", "a source has no key 'every'; there are file"),
        ("inventory: [{command: [x], evry: 3}]", "a source has no key 'evry'; did you mean 'every'?"),
        ("inventory: [{command: x}]", "expected a list of strings, found a string"),
        ("inventory: [{command: []}]", "a command is a list of strings, the program first"),
        ("inventory: [{command: [x], every: 0}]", "expected a number of seconds above 0, found 0"),
        ("email: [a]", "email: expected a section, `name: value`, found a list"),
        ("- a", "expected settings, `name: value`, found a list"),
        ("a: 1\na: 2", "twice"),
        ("a: [", ""),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path: Path, text: str, why: str) -> None:
    told = _refusal(_file(tmp_path, text + "\n"))
    assert told.startswith(f"{tmp_path}/re.yaml:")
    assert why in told


def test_sources_of_the_inventory_are_paths_and_programs(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    text = "inventory: [a.yml, more, {file: b.toml}, {command: [./list, --all], every: 5}, {command: [list]}]\n"
    found = settings.load(_file(tmp_path, text))
    limits = {"timeout": 30.0, "every": 60.0, "stale": 3600.0}
    assert found.inventory == (
        {"file": tmp_path / "a.yml"},
        {"directory": tmp_path / "more"},
        {"file": tmp_path / "b.toml"},
        {"command": (str(tmp_path / "list"), "--all"), **limits, "every": 5},
        {"command": ("list",), **limits},
    )
    assert settings.load({"RE_INVENTORY": str(tmp_path / "a.yml")}).inventory == ({"file": tmp_path / "a.yml"},)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert _refusal({"RE_CONFIG": str(path)}) == (
        f"{path}: cannot be read: No such file or directory (RE_CONFIG names it)"
    )


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert settings.load(_file(tmp_path, "# nothing yet\n")).exchange == "re"


def test_secrets_are_masked_wherever_they_stand(tmp_path: Path) -> None:
    environ = _file(
        tmp_path,
        "email: {host: m, login: {user: u, password: hunter2, access-key: hunter2}}\nirc: {servers: [{sasl_password: hunter2}]}\n",
    )
    environ |= {"RE_BUS_URL": "amqp://u:hun/t@er2@host/v", "RE_TOKEN": "hunter2"}
    environ |= {"RE_STORE_URL": "mongodb://u:hunter2@host/re"}
    shown = settings.load(environ).shown()
    assert "hunter2" not in str(shown)
    assert "t@er2" not in str(shown)
    assert shown["store_url"] == ("mongodb://u:***@host/re", "environment RE_STORE_URL")
    assert shown["email"][0] == {"host": "m", "login": {"user": "u", "password": "***", "access-key": "***"}}


def test_what_is_shown_names_every_setting_as_the_file_does() -> None:
    shown = settings.load({}).shown()
    assert {"bus_url", "token", "redact", "TRIGGERS", "PRE_DEPLOY_CHECK"} <= set(shown)
    assert shown["bus_url"] == ("embedded:", "default")
    assert shown["token"] == ("", "default")


def test_a_wrong_url_is_told_without_its_password() -> None:
    assert "hunter2" not in _refusal({"RE_BUS_URL": "amqpx://u:hunter2@host"})


def test_an_address_of_ipv6_is_taken_apart() -> None:
    assert settings.load({"RE_HTTP": "[::1]:0"}).http_address == ("::1", 0)


def test_a_setting_is_read_under_its_old_name_in_the_environment_and_in_the_file(tmp_path: Path) -> None:
    environ = _file(tmp_path, "unoffered_steps: wait\n")
    found = settings.load({**environ, "RE_WORKER_PATIENCE": "60"})
    assert (found.queue_timeout, found.missing_worker) == (60, "wait")
    assert found.origins["queue_timeout"] == "environment RE_WORKER_PATIENCE"
    assert found.origins["missing_worker"] == f"{tmp_path}/re.yaml:1"


def test_a_setting_is_shown_under_its_new_name_only() -> None:
    shown = settings.load({"RE_WORKER_PATIENCE": "60"}).shown()
    assert shown["queue_timeout"] == (60, "environment RE_WORKER_PATIENCE")
    assert "worker_patience" not in shown


def test_an_old_name_is_named_in_the_log_with_the_new_one(caplog: pytest.LogCaptureFixture) -> None:
    settings.load({"RE_WORKER_PATIENCE": "60", "RE_MISSING_WORKER": "wait"}).warn_of_old_names()
    text = "environment RE_WORKER_PATIENCE: worker_patience is the old name of queue_timeout; only this release reads it: rename it"
    assert [record.getMessage() for record in caplog.records] == [text]


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"RE_WORKER_PATIENCE": "60", "RE_QUEUE_TIMEOUT": "60"}, ""),
        ({"RE_WORKER_PATIENCE": "60"}, "queue_timeout: 60"),
        ({"RE_QUEUE_TIMEOUT": "60"}, "worker_patience: 60"),
        ({}, "worker_patience: 60\nqueue_timeout: 60"),
        ({"RE_WORKER_PATIENCE": "60", "RE_QUEUE_TIMEOUT": "soon"}, ""),
    ],
)
def test_a_setting_under_both_of_its_names_is_refused(tmp_path: Path, environ: dict[str, str], text: str) -> None:
    refusal = _refusal({**_file(tmp_path, text), **environ})
    assert "is set here, and under its other name at" in refusal
    assert "keep queue_timeout: worker_patience is its old name" in refusal


def test_a_wrong_value_under_an_old_name_is_named_by_the_name_that_stands_there(tmp_path: Path) -> None:
    assert _refusal(_file(tmp_path, "worker_patience: soon")).startswith(
        f"{tmp_path}/re.yaml:1: worker_patience: expected"
    )


def test_an_old_name_is_never_suggested(tmp_path: Path) -> None:
    refusal = _refusal({"RE_UNOFFERED_STEP": "wait", "RE_WORKER_PATIENC": "60"})
    assert "UNOFFERED_STEPS" not in refusal
    assert "WORKER_PATIENCE" not in refusal


@pytest.mark.parametrize(("text", "on"), [("1", True), ("yes", True), ("ON", True), ("0", False), ("false", False)])
def test_a_switch_is_on_or_off(text: str, on: bool) -> None:
    assert settings.load({"RE_CDPM": text}).cdpm is on


@pytest.mark.parametrize("text", ["2", "maybe", "[]", "null"])
def test_a_switch_is_nothing_else(tmp_path: Path, text: str) -> None:
    assert "cdpm: expected true or false, found" in _refusal(_file(tmp_path, f"cdpm: {text}\n"))


def test_sources_of_pipelines_are_kinds_of_urls_and_directories() -> None:
    found = settings.load({"RE_CDPM_SOURCES": "https,file:/srv/cdpm/ git+https"})
    assert found.cdpm_sources == ("https", "file:/srv/cdpm/", "git+https")
    assert settings.load({}).cdpm_sources == ("https",)
    assert "expected https, http, git+https, file:/directory/" in _refusal({"RE_CDPM_SOURCES": "ssh"})
