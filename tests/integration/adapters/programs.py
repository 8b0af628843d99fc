"""Programs that tests run as processes of their own: one that is killed, one without rights, one on a full disk."""

from __future__ import annotations

import os
import sys

from re_core.adapters.sqlite import SqliteStore
from re_core.deployment.records import Completed, Entry
from re_core.errors import ReleaseEngineError
from re_core.ports import Append, Appended, Store

#: user and group id of nobody, whom permission bits bind
NOBODY = 65534

#: deployments that a batch appends to
DEPLOYMENTS = 10


def batch(round: int, size: int = 100) -> list[Append]:
    """Entry `round` of every deployment."""
    records = (Completed(0, 1, "x" * size),)
    return [Append(Entry(f"d-{number}", round, 5, "writer", records)) for number in range(DEPLOYMENTS)]


def append_for_ever(store: Store) -> None:
    """Says the number of each batch once it is stored."""
    round = 0
    while True:
        round += 1
        assert store.append(batch(round)) == [Appended.STORED] * DEPLOYMENTS
        print(round, flush=True)


def fill(store: Store) -> None:
    """Appends until it is refused; says how many batches were stored, and why not more."""
    round = 0
    try:
        while True:
            round += 1
            store.append(batch(round, 5000))
    except ReleaseEngineError as error:
        print(round - 1, error.reason, error, flush=True)


def main(what: str, path: str) -> None:
    """`write`, `fill`, or `open` as somebody whom permission bits bind."""
    try:
        if what == "open" and os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        store = SqliteStore(path)
    except ReleaseEngineError as error:
        print(error.reason, error, flush=True)
        return
    if what == "write":
        append_for_ever(store)
    elif what == "fill":
        fill(store)
    else:
        print("opened")
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
