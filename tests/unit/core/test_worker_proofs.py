"""What a signature of a worker's message shows, and what it does not: another name, another message, another purpose, another time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from re_core.deployment.senders import Protection
from re_core.rows import WorkerCredential
from re_core.usecases.worker_proofs import FRESH, MISSING, WorkerProofs
from re_core.wire.messages import ATTEMPT, WORKER, Message, reply_queue
from re_core.wire.proof import CREDENTIAL, HEARTBEAT, PROOF, REPLY, SECRETS, SigningKey

KEY = SigningKey.new("w1")
ME = "w1~01ARZ3NDEKTSV4RRFFQ69G5FAV"
CLAIM = Message(
    reply_queue("d1"), b'{"status":"started"}', "d1/0/1/started/t1", "d1", "re.control.w1", {ATTEMPT: "d1/0/1"}
)


@dataclass
class Rows:
    """A store that counts how often it is read, and time that stands still."""

    kept: list[WorkerCredential] = field(default_factory=list)
    reads: int = 0
    at: int = 1_000

    def credentials(self) -> list[WorkerCredential]:
        self.reads += 1
        return self.kept

    def now(self) -> int:
        return self.at


def _row(key: SigningKey = KEY, **more: object) -> WorkerCredential:
    return WorkerCredential(key.name, key.public, (), "dmz", ("prod",), 1, "ada")._replace(**more)  # type: ignore[arg-type]


@pytest.fixture
def rows() -> Rows:
    return Rows([_row(), _row(SigningKey.new("w2"))])


@pytest.fixture
def proofs(rows: Rows) -> WorkerProofs:
    return WorkerProofs(rows, rows, Protection(environments=frozenset({"prod"})))  # type: ignore[arg-type]


def test_what_a_worker_has_signed_is_its_own(proofs: WorkerProofs) -> None:
    sender = proofs.sender(KEY.signed(CLAIM, REPLY, ME), REPLY)
    assert (sender.credential, sender.fault) == (_row(), "")
    assert sender.protection == proofs.protection


def test_who_shows_nothing_has_no_credential_and_no_fault(proofs: WorkerProofs, rows: Rows) -> None:
    sender = proofs.sender(CLAIM._replace(headers={WORKER: "01ARZ3NDEKTSV4RRFFQ69G5FAV"}), REPLY)
    assert (sender.credential, sender.fault, rows.reads) == (None, "", 0)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"status":"completed"}'},
        {"id": "d1/0/1/started/t2"},
        {"correlation_id": "d2"},
        {"reply_to": "re.control.other"},
        {ATTEMPT: "d1/0/2"},
        {"re-environments": "lab"},
        {PROOF: ""},
        {PROOF: "AAAA"},
        {PROOF: "é"},
    ],
    ids=str,
)
def test_nothing_of_a_signed_message_can_be_changed(proofs: WorkerProofs, change: dict[str, object]) -> None:
    signed = KEY.signed(CLAIM, REPLY, ME)
    headers = {name: str(value) for name, value in change.items() if name.startswith("re-")}
    fields = {name: value for name, value in change.items() if name not in headers}
    forged = signed._replace(headers={**signed.headers, **headers}, **fields)  # type: ignore[arg-type]
    assert proofs.sender(forged, REPLY).fault == "the signature is not that of the credential w1"


def test_what_was_signed_for_one_purpose_shows_nothing_for_another(proofs: WorkerProofs) -> None:
    for purpose in (HEARTBEAT, SECRETS):
        assert proofs.sender(KEY.signed(CLAIM, REPLY, ME), purpose).fault


def test_what_others_add_on_the_way_costs_no_proof(proofs: WorkerProofs) -> None:
    signed = KEY.signed(CLAIM, REPLY, ME)
    seen = signed._replace(
        headers={**signed.headers, "x-first-death-queue": "q", "traceparent": "00"}, expires=5, direct=False
    )
    assert proofs.sender(seen, REPLY).name == "w1"


def test_a_question_for_secrets_is_the_same_wherever_it_is_answered(proofs: WorkerProofs) -> None:
    signed = KEY.signed(CLAIM, SECRETS, ME)
    assert proofs.sender(signed._replace(reply_to="re.answer.here.2"), SECRETS).name == "w1"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({WORKER: ME}, "has not signed what it says"),
        ({WORKER: "w2~01"}, "shows the credential w1, which is not its own"),
        ({WORKER: "01ARZ"}, "shows the credential w1, which is not its own"),
        ({WORKER: "w9~01", CREDENTIAL: "w9"}, "there is no credential w9"),
        ({WORKER: "w2~01", CREDENTIAL: "w2"}, "the signature is not that of the credential w2"),
    ],
)
def test_the_name_of_another_worker_is_no_help(proofs: WorkerProofs, headers: dict[str, str], why: str) -> None:
    signed = KEY.signed(CLAIM, REPLY, ME)
    kept = {} if headers == {WORKER: ME} else signed.headers
    assert why in proofs.sender(signed._replace(headers={**kept, **headers}), REPLY).fault


def test_rows_are_read_seldom_and_a_revocation_counts_after_two_seconds(proofs: WorkerProofs, rows: Rows) -> None:
    signed = KEY.signed(CLAIM, REPLY, ME)
    for _ in range(5):
        proofs.sender(signed, REPLY)
    assert rows.reads == 1
    rows.kept = [_row(revoked=7)]
    assert proofs.sender(signed, REPLY).credential == _row()
    rows.at += FRESH
    assert proofs.sender(signed, REPLY).credential == _row(revoked=7)


def test_a_name_that_was_missing_is_looked_for_again_a_moment_later(proofs: WorkerProofs, rows: Rows) -> None:
    new = SigningKey.new("w3")
    signed = new.signed(CLAIM, REPLY, "w3~01")
    assert proofs.sender(signed, REPLY).fault
    rows.kept = [_row(new)]
    assert proofs.sender(signed, REPLY).fault
    rows.at += MISSING
    assert proofs.sender(signed, REPLY).name == "w3"


def test_a_key_is_read_from_the_line_that_it_was_written_to() -> None:
    assert SigningKey.parse(KEY.line()) == KEY
