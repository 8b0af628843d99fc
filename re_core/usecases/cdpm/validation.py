"""A cdpm.yml before it is committed: what is wrong in it, and which peers this engine can neither read nor reach.

Must not store anything: what callers name here is no peer of any node.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

from re_core.api import pipelines as api
from re_core.cdpm.cdpm_file import CdpmFile
from re_core.errors import BadDocument, TransientError
from re_core.ports.peering import Dialer, Peering, PeerRefused, Sources, SourceUnavailable
from re_core.usecases.cdpm import files
from re_core.usecases.checking import problem_document

#: peers whose files are read for one request, and seconds in which that has to begin
MOST_READ, READING = 50, 20.0


def validate(text: str, peering: Peering | None) -> api.FileVerdict:
    """`peering`: what the files of peers are read with; None: they are not read."""
    try:
        file = files.parse(text.encode("utf-8", "surrogatepass"))
    except BadDocument as error:
        return {"valid": False, "errors": [problem_document(one) for one in error.problems], "peers": []}
    return {"valid": True, "errors": [], "peers": [] if peering is None else list(_peers(file, peering))}


def _peers(file: CdpmFile, peering: Peering) -> Iterator[api.PeerVerdict]:
    end = time.monotonic() + READING
    for place, (section, name, url) in enumerate(_named(file)):
        if place >= MOST_READ or time.monotonic() > end:
            ok, detail = False, f"not read: one request reads {MOST_READ} files, in {READING:g} s"
        else:
            # a dependency is connected to, and a dependent comes by itself
            ok, detail = _read(peering.sources, url, peering.dialer if section == "Dependencies" else None)
        yield {"section": section, "name": name, "url": url, "ok": ok, "detail": detail}


def _named(file: CdpmFile) -> Iterator[tuple[Literal["Dependencies", "Dependents"], str, str]]:
    for name, url in file.dependencies.items():
        yield "Dependencies", name, url
    for name, one in file.dependents.items():
        yield "Dependents", name, one.url


def _read(sources: Sources, url: str, dialer: Dialer | None) -> tuple[bool, str]:
    try:
        fetched = sources.fetch(url)
        if fetched is None:
            return False, "the source sends no file"
        found = files.parse(fetched.data)
    except PeerRefused as error:
        return False, f"{error.code}: {error}"
    except BadDocument as error:
        first = error.problems[0] if error.problems else None
        return False, f"line {first.line}: {error}" if first is not None and first.line else str(error)
    except TransientError as error:
        return False, str(error)
    try:
        away = ""
        if dialer is not None:
            dialer.check(found.url)
    except PeerRefused as error:
        return False, f"its file is good, but this engine does not connect to {found.url}: {error}"
    except SourceUnavailable as error:
        away = f", which cannot be reached from here just now: {error}"
    return True, f"key {found.key.kid}, {found.key.bits} bits; it answers at {found.url}{away}"
