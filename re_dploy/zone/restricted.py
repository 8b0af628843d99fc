"""Starts shims out of reach of the zone's files and of other apps. Must not know what they run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from re_workers.steps import landlock
from re_workers.steps.confinement import start_restricted


class Restricted:
    """See supervise.Backend. Takes Landlock; without it, a program is started as any."""

    def __init__(
        self,
        hidden: Collection[Path],
        shown: Collection[Path],
        given: Collection[Path],
        fixed: Collection[Path] = (),
    ) -> None:
        """Of what lies in `hidden` places, a program can read what is `shown`, and do anything in `given`; it cannot change `fixed`.

        It can signal only what it has started, where the kernel keeps that, and read no environment of other programs.
        """
        self._hidden, self._shown, self._given, self._fixed = (
            frozenset(str(path.resolve()) for path in paths) for paths in (hidden, shown, given, fixed)
        )

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """See supervise.Backend."""
        if landlock.version() == 0:
            return subprocess.Popen(argv, **how)
        return start_restricted(argv, self._restrict, os.geteuid() == 0, **how)

    def ruleset(self) -> int:
        """The descriptor of a ruleset that restricts as this does. Raises OSError."""
        return landlock.ruleset(self._hidden, self._fixed, self._shown, self._given, alone=True)

    def _restrict(self) -> None:
        landlock.restrict(self._hidden, self._fixed, self._shown, self._given, alone=True)


def gaps(has_pool: bool, has_user: bool) -> list[str]:
    """What one app of this host can do to another one, to the zone or to the host, as texts for people; empty where all is kept apart.

    `has_pool`: each app has a user of its own. `has_user`: all have one that is not the agent's.
    """
    found = []
    if os.geteuid() == 0 and not has_pool and not has_user:
        found.append("apps run as root, who can change everything of this host: give `users`, one for each app")
    if landlock.version() == 0 and not has_pool:
        reach = "the files of others" if has_user else "the zone's keys and the files of others"
        found.append(f"this kernel has no Landlock (Linux 5.13 or newer): an app can read {reach}")
    elif not has_pool and not landlock.keeps_signals():
        found.append(
            "this kernel's Landlock keeps no signals (Linux 6.12 or newer): an app can end processes of another one"
        )
    manager = Path(f"/run/user/{os.geteuid()}/systemd/private")
    if os.geteuid() != 0 and manager.exists():
        found.append(f"{manager} exists: an app can make systemd start another program that is not kept from anything")
    return found
