"""What a zone removes: ended instances, and releases that nothing needs. Called on the app's thread, so it races with no start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from re_dploy.zone.disk import AppDisk, remove_tree
from re_dploy.zone.process import Process
from re_dploy.zone.releases import Unpacked
from re_dploy.zone.state import App

#: ended instances of one name, and of all names, that are kept for their logs
MAX_ENDED, MAX_ALL_ENDED = 3, 100

#: seconds after which an ended one is not kept, unless it is the newest of its name
KEPT = 3600.0

#: releases that are kept beside those in use
MAX_RELEASES = 5


def processes(there: dict[int, Process], now: float) -> None:
    """Forget ended instances that are not among the newest, with their directories. `now`: monotonic seconds."""
    counts: dict[str, int] = {}
    ended = 0
    for n in sorted(there, reverse=True):
        process = there[n]
        if process.exit is None:
            continue
        name = process.instance.name
        counts[name] = counts.get(name, 0) + 1
        ended += 1
        is_old = counts[name] > 1 and now - process.ended_at > KEPT
        if counts[name] > MAX_ENDED or ended > MAX_ALL_ENDED or is_old:
            process.close()
            directory(process.dir)
            del there[n]
        elif (tmp := process.dir / "tmp").exists():
            remove_tree(tmp)


def releases(
    disk: AppDisk, app: App, contents: Mapping[str, Unpacked], alive: Iterable[Process]
) -> dict[str, Unpacked]:
    """Remove releases, environments and lines that nothing needs; the releases that are left."""
    needed = {process.instance.release.name for process in alive if process.exit is None}
    if app.current is not None:
        needed.add(app.current.release.name)
    if app.order is not None:
        needed.add(app.order.release.name)
    newest = sorted(contents, key=lambda name: contents[name].contents.release.version)[-MAX_RELEASES:]
    kept = {name: one for name, one in contents.items() if name in needed or name in newest}
    for name in contents.keys() - kept.keys():
        directory(disk.releases / name)
    versions = {one.contents.release.version for one in kept.values()}
    disk.drop_env(frozenset(versions | ({app.order.release.version} if app.order else set())))
    disk.drop_lines(frozenset({*(one.id for one in app.past), *([app.order.id] if app.order else [])}))
    return kept


def directory(path: Path) -> None:
    """Remove one."""
    remove_tree(path)


def size(path: Path) -> int:
    """Bytes of the files below a directory."""
    found = 0
    for place, _, files in os.walk(path):
        for name in files:
            try:
                found += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - a walk of many files
            except OSError:
                continue
    return found
