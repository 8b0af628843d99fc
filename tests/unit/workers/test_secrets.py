"""Secrets in a worker: what may be one, when its value is looked for, and that nothing that leaves the worker has it."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

import pytest

from re_core.runtime import logs
from re_core.wire import strict_json
from re_core.wire.messages import ASKS, OUTPUT, Message
from re_workers import Context, Failed, Worker, step
from re_workers.catalog.files import Files
from re_workers.kubernetes.acts import Apply, Compare
from re_workers.kubernetes.kubectl import Kubectl
from re_workers.limits import items, public
from re_workers.outgoing import MAX_LINE
from re_workers.sdk import Change
from re_workers.secrets.providers import SecretFailed
from re_workers.secrets.resolver import Asking, Secrets
from re_workers.steps.command import Command
from tests.unit.workers.worker_harness import WorkerHarness

VALUE = "p4ss-w0rd/+of\"the'base"
REFERENCE = {"secret": "shop/prod/db"}


class Places:
    """Has what it is given, and notes what it is asked for."""

    label = "the test"

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.asked: list[str] = []

    def get(self, name: str) -> str | None:
        self.asked.append(name)
        return self.values.get(name)


class Vault(Worker):
    """Steps that take secrets."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    @step
    def Take(
        self,
        ctx: Context,
        one: str = "",
        many: Annotated[list[str], items(0, 3)] | None = None,
        env: dict[str, str] | None = None,
        any: Any = None,
        word: Annotated[str, public("do not")] = "",
    ) -> None:
        """Keeps what it got."""
        self.got.append((one, many, env, any, word))

    @step(quick=True)
    def Quick(self, ctx: Context, one: str) -> None:
        """Would run on the loop's thread."""
        self.got.append(one)

    @step
    def Say(self, ctx: Context, one: str, how: str) -> object:
        """Gives the secret away."""
        if how == "output":
            ctx.output(f"it is {one}!")
        elif how == "notice":
            ctx.notify("irc", ["#a"], f"slug {one}", f"it is {one}", "completed")
        elif how == "failure":
            raise Failed(f"no: {one}", {"its": [one, {one: 1}]})
        elif how == "crash":
            raise RuntimeError(f"no: {one}")
        elif how == "long":
            ctx.output("x" * (MAX_LINE - 5) + one)
        return {"it": one, "in": [f"a{one}b"], one: 1}

    @step
    def Number(self, ctx: Context, one: str) -> object:
        """Returns the secret as the number that it is."""
        return {"pin": int(one)}


def _rig(**values: str) -> tuple[WorkerHarness, Vault, Places]:
    places = Places({"shop/prod/db": VALUE, **{name.replace("_", "/"): value for name, value in values.items()}})
    vault = Vault()
    return WorkerHarness(vault, secrets=Secrets([places])), vault, places


def _granted(harness: WorkerHarness, subcommand: str, parameters: Mapping[str, Any]) -> list[Message]:
    """What the worker says after the grant."""
    harness.send(subcommand, parameters)
    harness.turn()
    (claim,) = harness.heard()
    assert claim.headers.get(ASKS) == "1"
    harness.answer(claim, "go")
    harness.turn()
    return harness.heard()


def _end(messages: Sequence[Message]) -> dict[str, Any]:
    document = strict_json.loads(messages[-1].body)
    assert isinstance(document, dict)
    return document


def test_a_step_gets_the_value_wherever_it_takes_a_string() -> None:
    harness, vault, places = _rig(shop_key="kkkk")
    other = {"secret": "shop/key"}
    said = _granted(
        harness, "Take", {"one": REFERENCE, "many": ["a", other], "env": {"A": REFERENCE}, "any": {"deep": [other]}}
    )
    assert _end(said)["status"] == "completed"
    assert vault.got == [(VALUE, ["a", "kkkk"], {"A": VALUE}, {"deep": ["kkkk"]}, "")]
    assert sorted(places.asked) == ["shop/key", "shop/prod/db"], "each is looked for once"


@pytest.mark.parametrize("subcommand", ["Take", "Quick"])
def test_no_value_is_looked_for_before_the_grant(subcommand: str) -> None:
    harness, vault, places = _rig()
    harness.send(subcommand, {"one": REFERENCE})
    harness.turn()
    (claim,) = harness.heard()
    assert (places.asked, vault.got) == ([], [])
    harness.answer(claim, "no-go")
    harness.turn()
    assert (places.asked, vault.got) == ([], [])


def test_an_object_parameter_keeps_a_key_that_is_called_secret() -> None:
    harness, vault, places = _rig()
    harness.send("Take", {"env": {"secret": "plain/text"}})
    harness.turn()
    assert (vault.got[0][2], places.asked) == ({"secret": "plain/text"}, [])


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"one": {"secret": "db"}}, "GROUP/NAME"),
        ({"word": REFERENCE}, "do not"),
        ({"word": "psql -p {secret: shop/prod/db}"}, "do not"),
    ],
    ids=["no name of a secret", "of a command line", "written into a command line"],
)
def test_what_cannot_be_a_secret_is_refused_with_what_to_do(parameters: Mapping[str, Any], why: str) -> None:
    harness, vault, places = _rig()
    harness.send("Take", parameters)
    harness.turn()
    assert why in _end(harness.heard())["message"]
    assert (vault.got, places.asked) == ([], [])


def test_a_command_line_takes_no_secret_and_its_environment_does() -> None:
    harness = WorkerHarness(Command(), secrets=Secrets([Places({"shop/prod/db": VALUE})]))
    harness.send("Run", {"cmd": REFERENCE})
    harness.turn()
    assert "env: {NAME: {secret: …}}" in _end(harness.heard())["message"]
    said = _granted(harness, "Run", {"cmd": 'test "$DB" && printf "%s\\n" "$DB"', "env": {"DB": REFERENCE}})
    lines = [strict_json.loads(one.body)["message"] for one in said if one.key == OUTPUT]
    assert (lines, _end(said)["status"]) == (["[redacted]"], "completed")


@pytest.mark.parametrize(
    ("step", "parameters", "wanted"),
    [
        ("Copy", {"content": REFERENCE}, VALUE),
        ("Template", {"template": "key={{ key }}\n", "vars": {"key": REFERENCE}}, f"key={VALUE}\n"),
        ("Line", {"line": REFERENCE, "match": "^key="}, f"{VALUE}\nb\n"),
    ],
)
def test_no_difference_shows_what_a_secret_was_before(
    step: str, parameters: Mapping[str, Any], wanted: str, tmp_path: Path
) -> None:
    """Masks know the values of today."""
    file = tmp_path / "app.conf"
    file.write_text("key=value-of-yesterday\nb\n")
    harness = WorkerHarness(Files(), secrets=Secrets([Places({"shop/prod/db": VALUE})]))
    said = _granted(harness, step, {"path": str(file), **parameters})
    assert (_end(said)["status"], file.read_text()) == ("completed", wanted)
    assert not [one for one in said if b"yesterday" in one.body]
    assert [one for one in said if b"the difference is not shown" in one.body]


def test_the_digest_of_a_secret_is_in_no_message(tmp_path: Path) -> None:
    harness = WorkerHarness(Files(), secrets=Secrets([Places({"shop/prod/db": VALUE})]))
    said = _granted(harness, "Copy", {"path": str(tmp_path / "a"), "content": REFERENCE, "sha256": "0" * 64})
    assert "has another SHA-256 than 0000" in _end(said)["message"]
    assert not [one for one in said if hashlib.sha256(VALUE.encode()).hexdigest()[:12].encode() in one.body]


def test_a_caller_cannot_have_a_secret_by_a_dynamic_value() -> None:
    harness, vault, places = _rig()
    body = {
        "parameters": {"command": "vault", "subcommand": "Take", "dynamic": ["one"]},
        **{"group": "g", "dynamic": {"one": REFERENCE}, "notify": {}},
    }
    harness.send(body=json.dumps(body).encode())
    harness.turn()
    assert "only the playbook's author" in _end(harness.heard())["message"]
    assert (vault.got, places.asked) == ([], [])


def test_a_secret_that_is_nowhere_fails_the_step_and_says_where_it_was_looked_for() -> None:
    harness, vault, _ = _rig()
    message = _end(_granted(harness, "Take", {"one": {"secret": "shop/none"}}))["message"]
    assert "there is no secret shop/none (looked for in the test)" in message
    assert "rectl secret set shop/none" in message
    assert vault.got == []


@pytest.mark.parametrize("value", ["abc", "  a  ", "with\0nul"], ids=["short", "blank", "nul"])
def test_a_value_that_could_not_be_masked_or_handed_on_is_refused(value: str) -> None:
    harness, vault, _ = _rig(shop_bad=value)
    assert "shop/bad" in _end(_granted(harness, "Take", {"one": {"secret": "shop/bad"}}))["message"]
    assert vault.got == []


def test_a_value_beyond_a_limit_is_refused_without_being_shown() -> None:
    harness, _, _ = _rig()
    said = _granted(harness, "Take", {"one": REFERENCE, "many": [REFERENCE, "a", "b"]})
    assert _end(said)["status"] == "completed"

    class Short(Worker):
        @step
        def Run(self, ctx: Context, word: Annotated[str, _at_most_three()]) -> None:
            raise AssertionError("it began")

    harness = WorkerHarness(Short(), secrets=Secrets([Places({"shop/prod/db": VALUE})]))
    message = _end(_granted(harness, "Run", {"word": REFERENCE}))["message"]
    assert message == "the value of a secret does not fit the parameter word"


def _at_most_three() -> Any:
    from re_workers.limits import Limit

    return Limit({}, lambda value: "" if len(value) <= 3 else f"too long: {value[:10]}")


@pytest.mark.parametrize("how", ["output", "notice", "failure", "crash", "long", "result"])
def test_nothing_that_leaves_the_worker_has_the_value(how: str) -> None:
    harness, _, _ = _rig()
    said = _granted(harness, "Say", {"one": REFERENCE, "how": how})
    assert said
    for message in said:
        text = json.dumps(strict_json.loads(message.body), ensure_ascii=False)
        assert VALUE not in text
        assert json.dumps(VALUE)[1:-1] not in text
        assert VALUE[:8] not in text
    assert any(b"[redacted]" in message.body for message in said)


def test_a_secret_that_is_a_number_is_masked_in_a_result() -> None:
    harness, _, _ = _rig(shop_pin="48151623")
    end = _end(_granted(harness, "Number", {"one": {"secret": "shop/pin"}}))
    assert end["data"] == {"pin": "[redacted]"}


def test_no_log_line_has_the_value_while_the_step_runs() -> None:
    harness, _, _ = _rig()
    written = StringIO()
    logs.setup("test", "json", stream=written)
    try:
        _granted(harness, "Say", {"one": REFERENCE, "how": "crash"})
    finally:
        for handler in list(logging.getLogger().handlers):
            if getattr(handler, "release_engine", False):
                logging.getLogger().removeHandler(handler)
    assert "RuntimeError" in written.getvalue()
    assert "[redacted]" in written.getvalue()
    assert VALUE[:8] not in written.getvalue()


def test_nothing_that_a_steps_code_prints_has_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    class Prints(Worker):
        @step
        def Run(self, ctx: Context, one: str) -> None:
            print("it is", one, file=sys.stdout)
            sys.stderr.writelines([f"it is {one}\n", "x\n"])

    harness = WorkerHarness(Prints(), secrets=Secrets([Places({"shop/prod/db": VALUE})]))
    _granted(harness, "Run", {"one": REFERENCE})
    printed = capsys.readouterr()
    assert printed.out == "it is [redacted]\n"
    assert printed.err == "it is [redacted]\nx\n"
    print(VALUE)
    assert capsys.readouterr().out == f"{VALUE}\n", "afterwards the streams are as they were"


def test_a_worker_that_is_bound_to_one_environment_gives_no_secret_of_another() -> None:
    places = Places({"shop/prod/db": VALUE})
    bound = Secrets([places], environments=["staging"])
    with pytest.raises(SecretFailed, match="bound to staging"):
        bound.resolve(["shop/prod/db"], Asking("D/0/1", "t", "shop"))
    assert places.asked == []


def test_a_provider_that_crashes_fails_the_step_and_its_words_are_not_sent() -> None:
    class Broken(Places):
        def get(self, name: str) -> str | None:
            raise RuntimeError(f"cannot send {VALUE}")

    harness = WorkerHarness(Vault(), secrets=Secrets([Broken({})]))
    message = _end(_granted(harness, "Take", {"one": REFERENCE}))["message"]
    assert message == "its secrets could not be had: RuntimeError"


def test_a_masked_value_is_found_in_every_encoding_of_the_output() -> None:
    harness, _, _ = _rig()
    for encoded in (base64.b64encode(VALUE.encode()).decode(), VALUE.encode().hex()):
        said = _granted(harness, "Say", {"one": REFERENCE, "how": "output"})
        assert all(encoded.encode() not in one.body for one in said)


@pytest.mark.parametrize("secret", ["manifests", "cluster"])
def test_the_difference_of_a_cluster_is_shown_unless_its_manifests_have_a_secret(secret: str) -> None:
    said: list[str] = []
    knows = SimpleNamespace(foresee=lambda kubectl: Change("yes", "-password: of-yesterday\n", "it differs"))
    ctx = SimpleNamespace(output=said.append, secret_parameters=frozenset({secret}))
    data = Compare(cast(Apply, knows)).carry_out(cast(Context, ctx), cast(Kubectl, None))
    assert data["changes"] is True
    assert ("of-yesterday" in f"{said}{data}") == (secret == "cluster")
