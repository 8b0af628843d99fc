"""Events of apps as messages, and back."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps.names import app_id, app_key, app_of, is_reserved, release_playbook, run_playbook
from re_core.apps.words import answer_body, event_message, event_of
from re_core.errors import BadMessage
from re_core.wire import messages as m

KEY = app_key("01JAPP00000000000000000000")

_SAMPLES: dict[str, Any] = {
    "str": "text",
    "int": 7,
    "Mapping[str, int]": {"web": 2},
    "Mapping[str, str]": {"web": "run it"},
    "Sequence[str]": ["eu", "us"],
}


def _sample(kind: Any) -> Any:
    return kind(
        **{name: _SAMPLES[getattr(note, "__forward_arg__", note)] for name, note in kind.__annotations__.items()}
    )


@pytest.mark.parametrize("kind", e.NAMES)
def test_every_event_is_read_as_it_was_sent(kind: type[Any]) -> None:
    event = _sample(kind)
    assert event_of(event_message(KEY, event)) == event


def test_what_may_be_left_out_is_as_by_default() -> None:
    message = event_message(KEY, e.Build("artifact:web/shop", request="r-1"))
    assert event_of(message._replace(body=b'{"archive": "artifact:web/shop"}')) == e.Build(
        "artifact:web/shop", request="r-1"
    )


@pytest.mark.parametrize(
    ("event", "body", "why"),
    [
        ("build", b"{}", "it is missing"),
        ("build", b'{"archive": "a", "color": 1}', "unknown key 'color'"),
        ("build", b'{"archive": 1}', "expected str"),
        ("scale", b'{"formation": {"web": true}}', "expected Mapping"),
        ("scale", b'{"formation": {"web": "2"}}', "expected Mapping"),
        ("zones", b'{"zones": "eu"}', "expected Sequence"),
        ("paint", b"{}", "an app knows build, built"),
        (m.CREATED, b"{}", "which job is answered is unknown"),
    ],
)
def test_a_message_in_another_form_is_refused_with_the_place(event: str, body: bytes, why: str) -> None:
    message = event_message(KEY, e.Restart())._replace(body=body, headers={m.EVENT: event})
    with pytest.raises(BadMessage, match=why):
        event_of(message)


def test_an_answer_says_only_what_is_not_as_by_default() -> None:
    assert answer_body(e.Answer("q", "r", True)) == {"accepted": True}
    assert answer_body(e.Answer("q", "r", False, "too-many", "10 wait")) == {
        "accepted": False,
        "reason": "too-many",
        "detail": "10 wait",
    }
    assert answer_body(e.Answer("q", "r", True, version=8, broadcast_id="b"))["version"] == 8


def test_playbooks_of_an_app_are_told_from_others_by_their_ids() -> None:
    assert app_of(release_playbook("shop")) == ("shop", False)
    assert app_of(run_playbook("shop")) == ("shop", True)
    assert [app_of(id) for id in ("shop", "dploy/", "dploy/Shop", "dploy/shop/walk", "dploy/a/b/run")] == [None] * 5
    assert app_id(app_key("x")) == "x"


@pytest.mark.parametrize(
    ("variable", "verdict"),
    [("PORT", True), ("DPLOY_X", True), ("LD_PRELOAD", True), ("PORTS", False), ("port", False)],
)
def test_variables_that_the_engine_sets_are_reserved(variable: str, verdict: bool) -> None:
    assert is_reserved(variable) is verdict
