"""By what a worker shows who it is: read from its file, and put to all that the core asks it of. Must not know what is granted for it.

What is signed goes through the exchange, never straight to a queue: so a user of its own at the broker needs no right to write to any
queue by name, and cannot speak as a core does (docs/how-to/use-pools.md, Users of RabbitMQ).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from re_core.errors import BadMessage, BadSettings
from re_core.ports import Bus, Published
from re_core.wire.artifact_messages import ARTIFACTS, is_pieces_queue
from re_core.wire.messages import BINDINGS, SECRETS, Message, reply_queues
from re_core.wire.proof import ARTIFACTS as FOR_ARTIFACTS
from re_core.wire.proof import HEARTBEAT, REPLY, SigningKey
from re_core.wire.proof import SECRETS as FOR_SECRETS

#: name of the credential among those of systemd: LoadCredential=re-worker:/etc/…
SYSTEMD = "re-worker"

#: bytes of a file at most
_MOST = 1_000

#: key of a message -> what it is signed for
_PURPOSES: Mapping[str, str] = {
    **dict.fromkeys(reply_queues(), REPLY),
    **{key: HEARTBEAT for key in BINDINGS if key == "heartbeat"},
    SECRETS: FOR_SECRETS,
    ARTIFACTS: FOR_ARTIFACTS,
}


class SignedBus:
    """A bus to which one worker process publishes, with its proof on all that has to have one. Any thread."""

    def __init__(self, bus: Bus, key: SigningKey, worker: str) -> None:
        """`worker`: id of the process."""
        self._bus, self._key, self._worker = bus, key, worker
        self.declare, self.release, self.consumers = bus.declare, bus.release, bus.consumers
        self.forward, self.stop_forwarding = bus.forward, bus.stop_forwarding
        self.subscribe, self.listen, self.listened = bus.subscribe, bus.listen, bus.listened
        self.mail, self.ping, self.close = bus.mail, bus.ping, bus.close

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        """See ports.Bus."""
        return self._bus.publish([self._signed(message) for message in messages])

    def request(self, message: Message, timeout: float) -> Message | None:
        """See ports.Bus."""
        return self._bus.request(self._signed(message), timeout)

    def _signed(self, message: Message) -> Message:
        purpose = _PURPOSES.get(message.key)
        if purpose is None:
            # a piece shows by the id of its push whose it is; bytes of artifacts are not signed besides
            return message._replace(direct=False) if is_pieces_queue(message.key) else message
        return self._key.signed(message._replace(direct=False), purpose, self._worker)


def read(file: Path | None, environ: Mapping[str, str] = os.environ) -> SigningKey | None:
    """The credential of this process; None where there is none. Raises BadSettings."""
    if file is None:
        place = environ.get("CREDENTIALS_DIRECTORY", "")
        if not place or not (Path(place) / SYSTEMD).is_file():
            return None
        file = Path(place) / SYSTEMD
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(_MOST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"RE_WORKER_CREDENTIAL_FILE: {file} cannot be read: {error}") from None
    if mode & 0o077 and not _is_of_systemd(file, environ):
        raise BadSettings(f"RE_WORKER_CREDENTIAL_FILE: {file} can be read by other users: chmod 600 {file}")
    try:
        key = SigningKey.parse(text)
        _ = key.public
    except BadMessage as error:
        raise BadSettings(f"RE_WORKER_CREDENTIAL_FILE: {file}: {error}") from None
    except ImportError as error:
        raise BadSettings(
            f"RE_WORKER_CREDENTIAL_FILE: {error.name} is missing: pip install release-engine[secrets]"
        ) from None
    return key


def _is_of_systemd(file: Path, environ: Mapping[str, str]) -> bool:
    """Whether systemd looks after who can read it."""
    place = environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(place) and file.parent == Path(place)
