"""From settings to a gateway: what is missing is said, and what others could do at its address."""

from __future__ import annotations

import logging
import sys

import pytest

from re_core.errors import BadSettings
from re_core.runtime.settings import load
from re_gateways.forest.opening import announce, check_extra, options_of

_LISTEN = {"RE_FOREST_LISTEN": "127.0.0.1:7070"}


def test_the_settings_say_what_a_gateway_does() -> None:
    plain = options_of(load(_LISTEN))
    assert (plain.listen, plain.unknown, plain.most_sessions, plain.peers) == ("127.0.0.1:7070", False, 1000, ())
    more = {
        "RE_FOREST_UNKNOWN_RUNNERS": "accept",
        "RE_FOREST_MAX_RUNNERS": "5",
        "RE_FOREST_PEERS": "loopback, 10.0.0.0/8",
    }
    chosen = options_of(load({**_LISTEN, **more}))
    assert (chosen.unknown, chosen.most_sessions, chosen.peers) == (True, 5, ("loopback", "10.0.0.0/8"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "7070"),
        ("UNKNOWN_RUNNERS", "maybe"),
        ("PEERS", "nowhere"),
        ("MAX_RUNNERS", "0"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=f"environment RE_FOREST_{name}: expected "):
        load({f"RE_FOREST_{name}": value})


@pytest.mark.parametrize("missing", ["grpc", "google.protobuf", "google"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_extra()
    for name in [one for one in sys.modules if one == missing or one.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadSettings, match=r"pip install 'release-engine\[forest\]'"):
        check_extra()


@pytest.mark.parametrize(
    ("environ", "warnings"),
    [
        ({}, []),
        ({"RE_FOREST_LISTEN": "[::1]:0"}, []),
        ({"RE_FOREST_LISTEN": "localhost:0"}, []),
        ({"RE_FOREST_LISTEN": "0.0.0.0:0"}, ["plain_text"]),
        ({"RE_FOREST_LISTEN": "gateway.example.com:0"}, ["plain_text"]),
        ({"RE_FOREST_LISTEN": "0.0.0.0:0", "RE_FOREST_PEERS": "private"}, []),
        ({"RE_FOREST_UNKNOWN_RUNNERS": "accept"}, ["unknown_runners"]),
    ],
)
def test_an_address_that_others_could_use_is_warned_of(
    environ: dict[str, str], warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = load({**_LISTEN, **environ})
    where = announce(settings, 4711)
    assert where == settings.forest_listen.rpartition(":")[0] + ":4711"
    records = [(one.levelname, getattr(one, "action", "")) for one in caplog.records]
    assert records == [("INFO", "forest"), *(("WARNING", one) for one in warnings)]
    assert where in caplog.text
