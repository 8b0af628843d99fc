"""A host over one channel, for what shares nothing with other hosts: runs with records, and files."""

from __future__ import annotations

import threading
from typing import BinaryIO

from re_workers.hosts.channels import Channel
from re_workers.hosts.port import AS_IT_WAS, Got, Put, Stored
from re_workers.hosts.runs import HostRuns
from re_workers.hosts.transfer import Transfer


class DirectRunner(HostRuns):
    """See host_handle.Runner. No connection is kept, and no old record is removed."""

    def __init__(self, channel: Channel, records: str = "") -> None:
        """`records`: their directory; empty: in the user's home."""
        super().__init__(channel, records)
        self._transfer = Transfer(channel)

    def put(self, source: BinaryIO, target: str, how: Put = AS_IT_WAS, stop: threading.Event | None = None) -> Stored:
        """As of HostRunner."""
        return self._transfer.put(source, target, how, stop)

    def get(self, path: str, sink: BinaryIO, most: int, stop: threading.Event | None = None) -> Got:
        """As of HostRunner."""
        return self._transfer.get(path, sink, most, stop)
