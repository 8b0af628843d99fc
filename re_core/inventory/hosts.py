"""One host of the inventory, and the bounds of what may be said of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from re_core.inventory.findings import Place

#: hosts and groups of all sources together
MOST_HOSTS, MOST_GROUPS = 20_000, 2_000
#: of one host
MOST_OF_GROUPS, MOST_TAGS, MOST_LABELS, MOST_KEYS = 50, 50, 50, 20
#: bytes of JSON that the variables of one host may have
MOST_VARS = 64 * 1024
#: groups above a group, and hosts through which one is reached
MOST_DEPTH, MOST_JUMPS = 10, 3
#: characters of a name
MOST_NAME = 255

#: as in the schema of playbooks, less what only patterns have: `!` at its beginning, `,`
NAME = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ufeff!,-][^\s\x00-\x1f\x7f-\x9f\ufeff,]{0,254}")
#: of groups, tags, environments, labels
WORD = re.compile(r"[\w.@/+-]{1,100}")
#: names of queues end with it
POOL = re.compile(r"[a-z][a-z0-9-]{0,30}")


#: policy: one of the keys that the inventory has, and no other
PINNED = "pinned"


class Become(NamedTuple):
    """As which user programs run, beside the one who logs in."""

    user: str = "root"
    #: name of a secret; empty: sudo asks for no password
    password: str = ""


class Host(NamedTuple):
    """One host, with all that its groups and the defaults say of it."""

    name: str
    place: Place
    #: empty: the name, or what the user's ssh_config says of it. The same holds for port, user and identity
    address: str = ""
    port: int | None = None
    user: str = ""
    #: path of a private key
    identity: str = ""
    #: name of the host through which it is reached
    jump: str = ""
    #: how it is reached: `ssh`, `local`, or the name of an installed runner
    runner: str = "ssh"
    #: `strict`, `trust-first` (a key that was never seen is stored), `pinned` (one of `host_keys`)
    host_key: str = "strict"
    host_keys: tuple[str, ...] = ()
    become: Become | None = None
    #: directory of the records of runs, on the host; empty: in the user's home
    records: str = ""
    #: seconds
    connect_timeout: float = 10.0
    shell_timeout: float = 20.0
    environment: str = ""
    #: workers that reach it; empty: those without a pool
    pool: str = ""
    #: what a worker must have
    labels: tuple[str, ...] = ()
    #: in which it is, those above its own too, sorted
    groups: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    vars: Mapping[str, Any] = {}

    def facts(self) -> dict[str, Any]:
        """All that differs from what is so without a word, as JSON: for the plan, which keeps it."""
        found = {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)}
        del found["place"]
        if self.become is not None:
            found["become"] = self.become._asdict()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
