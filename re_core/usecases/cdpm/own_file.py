"""A pipeline reads its own cdpm.yml: who its peers are is what stands there. Must not know when it is read."""

from __future__ import annotations

import hashlib

from re_core.cdpm import events as e
from re_core.cdpm.cdpm_file import CdpmFile
from re_core.cdpm.ids import pipeline_key
from re_core.errors import Refused
from re_core.ports import Bus
from re_core.usecases.cdpm.asking import ask
from re_core.usecases.cdpm.peers import Peers
from re_core.wire import strict_json


def read_own_file(bus: Bus, peers: Peers, pipeline: str, source: str, timeout: float, again: bool = False) -> CdpmFile:
    """Read the file at `source`, and let the pipeline know. `again`: from its source, however lately it was read.

    Raises Conflict where the key in it is none of the pipeline's, so that it is not ready; PeerRefused for a file that is not
    allowed or not valid, SourceUnavailable; Refused where the pipeline does not take it; BusUnavailable, NoAnswer.
    """
    file = peers.read_again(source) if again else peers.file_of(source)
    peers.own_key(pipeline, source)
    said = ask(bus, pipeline_key(pipeline), file_read(file), timeout)
    if not said.accepted:
        raise Refused(said.detail or said.reason)
    return file


def file_read(file: CdpmFile) -> e.FileRead:
    """The event that the file was read."""
    dependents = {one.url: name for name, one in file.dependents.items()}
    majors = [one.url for one in file.dependents.values() if one.major]
    read = file.key.kid, file.url, dict(file.dependencies), dependents, majors
    digest = hashlib.sha256(strict_json.dumps(read).encode()).hexdigest()
    return e.FileRead(digest, dict(file.dependencies), dependents, majors)
