"""The file by which a worker shows who it is: where it is found, who may read it, and what is signed with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.errors import BadSettings
from re_core.wire.messages import SECRETS, Message
from re_core.wire.proof import HEARTBEAT, PROOF, REPLY, SigningKey, is_proven
from re_core.wire.proof import SECRETS as FOR_SECRETS
from re_workers.credential import SignedBus, read

KEY = SigningKey.new("w1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good one."""
    made = tmp_path / "w1.credential"
    made.write_text(KEY.line())
    made.chmod(0o600)
    return made


def test_it_is_read_from_the_file_of_the_settings_or_from_systemd(file: Path) -> None:
    assert read(file, {}) == KEY
    assert read(None, {}) is None
    assert read(None, {"CREDENTIALS_DIRECTORY": str(file.parent)}) is None
    (file.parent / "re-worker").write_text(KEY.line())
    (file.parent / "re-worker").chmod(0o440)  # as systemd gives it to the service's group
    assert read(None, {"CREDENTIALS_DIRECTORY": str(file.parent)}) == KEY


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    file.chmod(0o640)
    with pytest.raises(BadSettings, match=r"can be read by other users: chmod 600"):
        read(file, {})


@pytest.mark.parametrize(
    "text", ["", "re-worker-credential:W1:AAAA", "x:w1:" + "A" * 43 + "=", "re-worker-credential:w1:c2hvcnQ="]
)
def test_what_is_no_credential_is_refused_without_a_word_of_the_key(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(BadSettings) as refusal:
        read(file, {})
    assert str(file) in str(refusal.value)
    assert "c2hvcnQ" not in str(refusal.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        read(tmp_path / "none", {})


@pytest.mark.parametrize(
    ("key", "queue", "purpose"),
    [("re.reply.3", "re.reply.3", REPLY), ("heartbeat", "re.heartbeat", HEARTBEAT), (SECRETS, SECRETS, FOR_SECRETS)],
)
def test_what_a_core_acts_on_is_signed_and_goes_through_the_exchange(key: str, queue: str, purpose: str) -> None:
    bus = EmbeddedBus()
    subscription = bus.subscribe([queue], 1)
    SignedBus(bus, KEY, "w1~01").publish([Message(key, b"{}", "id", direct=key != "heartbeat")])
    (delivery,) = subscription.take(1, 0)
    assert not delivery.message.direct
    assert is_proven(delivery.message, purpose, KEY.public)


def test_what_others_read_is_not_signed() -> None:
    bus = EmbeddedBus()
    subscription = bus.subscribe(["output"], 1)
    SignedBus(bus, KEY, "w1~01").publish([Message("output", b"{}", "id")])
    (delivery,) = subscription.take(1, 0)
    assert PROOF not in delivery.message.headers
