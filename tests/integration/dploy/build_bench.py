"""A builder's disk, and builds on it, in real sandboxes. Must not know a test."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from re_dploy.build import Built, Limits, build
from re_dploy.build.building import App
from re_dploy.build.python import find
from re_dploy.build.sandbox import Sandbox
from re_dploy.cargo import compose, head, unpack
from re_dploy.zone.supervise import User
from re_workers.steps.confinement import Confinement
from tests.unit.dploy.archives import member, tgz, tree

COMMIT = "3f" * 20
PROCFILE = b"web: python web.py\nrelease: python migrate.py\n"

#: names the test in the environment of all that its builds start
MARK = "DPLOY_TEST_BUILD"


def script(text: str) -> Any:
    """A member that is the app's build."""
    return member("bin/build", b"#!/bin/sh\n" + text.encode(), mode=0o755)


class Bench:
    """A builder's disk, and builds on it."""

    def __init__(self, directory: Path, confinement: Confinement) -> None:
        self.mark = os.fspath(directory)
        self.directory = directory
        self.directory.chmod(0o711)
        user = confinement.user
        self.python = find() if user is None else find(user.may_enter)
        of_user = None if user is None else User(user.id, user.group, user.groups)
        self.sandbox = Sandbox(of_user, confinement.hidden, confinement.environment(), confinement.fixed)
        self.lines: list[str] = []
        self.stop = threading.Event()
        self._count = 0

    def build(self, *members: Any, limits: Limits | None = None, commit: str = "") -> Built:
        self._count += 1
        archive = self.directory / f"{self._count}.tar.gz"
        archive.write_bytes(tgz(*members))
        work = self.directory / f"work-{self._count}"
        work.mkdir(mode=0o700)
        app = App("shop", commit or COMMIT, {MARK: self.mark})
        limits = limits or Limits(free=0)
        return build(archive, work, app, self.sandbox, self.python, limits, self.lines.append, self.stop)

    def files(self, built: Built) -> dict[str, Any]:
        """What a zone finds of it."""
        place = self.directory / f"zone-{self._count}"
        place.mkdir()
        handle = os.open(place, os.O_RDONLY)
        try:
            payload = [built.path.read_bytes()]
            unpack(compose(head({}), payload, built.packed.crc, built.packed.length), handle)
        finally:
            os.close(handle)
        return tree(place / "app")

    def living(self) -> list[int]:
        """Processes that carry the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


class Heard(list[str]):
    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__()
        self._hear = hear

    def append(self, text: str) -> None:
        super().append(text)
        self._hear(text)
