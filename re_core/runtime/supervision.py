"""What a process reports to its supervisor: systemd's notifications, and a file that is fresh while the process is ready.

Must not know what the process does.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from re_core.errors import OperatorError

#: names systemd's socket, and the interval of its watchdog (microseconds)
NOTIFY_SOCKET, WATCHDOG_USEC = "NOTIFY_SOCKET", "WATCHDOG_USEC"

_log = logging.getLogger(__name__)


class SupervisorNotifier:
    """Reports the state of a process to its supervisor. Without a supervisor and a file it does nothing."""

    def __init__(self, environ: Mapping[str, str], ready_file: Path | None = None) -> None:
        """Removes a file that an earlier process left. Raises OperatorError where it cannot."""
        self._address = environ.get(NOTIFY_SOCKET, "")
        interval = environ.get(WATCHDOG_USEC, "")
        #: seconds between two signs of life that systemd waits for; None where it waits for none
        self.watchdog = int(interval) / 1e6 if interval.isascii() and interval.isdigit() and int(interval) else None
        self._file = ready_file
        self._is_ready = False
        if ready_file is not None and not ready_file.parent.is_dir():
            raise OperatorError(f"--ready-file: there is no directory {ready_file.parent}")
        self._forget()

    def ready(self) -> None:
        """It can do its work now. To be repeated while that is so: the file's time is that of the last call."""
        if not self._is_ready:
            self._notify("READY=1\nSTATUS=ready")
        self._is_ready = True
        if self._file is not None:
            try:
                self._file.touch(mode=0o644)
            except OSError as error:
                _log.warning("%s cannot be written: %s", self._file, error, extra={"action": "ready_file"})

    def waits(self, why: str) -> None:
        """It cannot, and for what it waits."""
        self._is_ready = False
        self._forget()
        self._notify(f"STATUS=waits: {' '.join(why.split())}")

    def lives(self) -> None:
        """The sign of life that the watchdog waits for."""
        if self.watchdog is not None:
            self._notify("WATCHDOG=1")

    def stops(self) -> None:
        """It is ending."""
        self._is_ready = False
        self._forget()
        self._notify("STOPPING=1\nSTATUS=stopping")

    def _forget(self) -> None:
        if self._file is None:
            return
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            raise OperatorError(f"--ready-file: {self._file} cannot be removed: {error.strerror}") from error

    def _notify(self, text: str) -> None:
        """A datagram to systemd. A failure to send it must not end the process."""
        if not self._address:
            return
        # an address that begins with @ is an abstract one, which the kernel knows by a NUL
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.connect(address)
                line.sendall(text.encode())
        except OSError as error:
            _log.debug("cannot notify the supervisor: %s", error, extra={"action": "notify_failed", "pid": os.getpid()})
