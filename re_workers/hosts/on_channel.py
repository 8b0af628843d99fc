"""A host, by a channel to its shell: runs, files and facts over it. Must not know what kind of channel it is."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from re_workers.hosts import agent
from re_workers.hosts.channels import Channel
from re_workers.hosts.port import (
    AS_IT_WAS,
    Claim,
    Ended,
    Facts,
    Got,
    HostError,
    Put,
    Run,
    RunKey,
    Say,
    Standing,
    Stored,
)
from re_workers.hosts.probe import probe
from re_workers.hosts.runs import HostRuns
from re_workers.hosts.session import SHELL_TIMEOUT
from re_workers.hosts.surroundings import Surroundings
from re_workers.hosts.transfer import Transfer

_log = logging.getLogger(__name__)


class OnChannel:
    """A HostRunner."""

    def __init__(
        self,
        host: str,
        identity: str,
        surroundings: Surroundings,
        channel: Channel,
        control: Channel,
        records: str = "",
        shell_timeout: float = SHELL_TIMEOUT,
        place: str = "",
        confined: Sequence[str] = (),
        boot: str = agent.BOOT,
        files: Channel | None = None,
    ) -> None:
        """`identity` tells this host and user from others. `files`: another way, for files alone. The rest as of HostRuns."""
        self.host = host
        self._identity, self._surroundings, self._control = identity, surroundings, control
        self._records, self._patience, self._boot = records, shell_timeout, boot
        self._runs = HostRuns(
            channel,
            records,
            boot,
            shell_timeout,
            control=control,
            place=place,
            confined=confined,
            notice=lambda report: surroundings.notice(host, identity, report),
        )
        self._transfer = Transfer(files or channel, shell_timeout)

    def run(
        self,
        run: Run,
        say: Say,
        stop: threading.Event,
        leave: threading.Event | None = None,
        claim: Claim = Claim(),  # noqa: B008  # it is immutable
    ) -> Ended:
        """As of HostRunner. Now and then it also removes old records there."""
        self._surroundings.sweeper.note(self._identity, self, run.key.attempt)
        ended = self._runs.run(run, say, stop, leave, claim)
        if not stop.is_set() and self._surroundings.is_due(self._identity):
            self._tidy()
        return ended

    def _tidy(self) -> None:
        try:
            if count := self._runs.tidy():
                _log.info("%s: removed %s old records of runs", self.host, count, extra={"action": "host_records"})
        except HostError as error:  # the run has ended, whatever this comes to
            _log.warning("%s: old records of runs stay: %s", self.host, error, extra={"action": "host_records"})

    def look(self, key: RunKey) -> Standing:
        """As of HostRunner."""
        return self._runs.look(key)

    def end(self, key: RunKey) -> Standing:
        """As of HostRunner."""
        return self._runs.end(key)

    def sweep(self, keys: Iterable[RunKey]) -> int:
        """As of HostRunner."""
        return self._runs.sweep(keys)

    def put(self, source: BinaryIO, target: str, how: Put = AS_IT_WAS, stop: threading.Event | None = None) -> Stored:
        """As of HostRunner."""
        return self._transfer.put(source, target, how, stop)

    def get(self, path: str, sink: BinaryIO, most: int, stop: threading.Event | None = None) -> Got:
        """As of HostRunner."""
        return self._transfer.get(path, sink, most, stop)

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """As of HostRunner."""
        return self._control.dial(path, stop)

    def facts(self) -> Facts:
        """As of HostRunner."""
        return self._surroundings.facts(self._identity, self._probe)

    def _probe(self) -> Facts:
        return probe(self._control, self._records, self._boot, self._patience)
