"""The documents of hosts: what is asked, and what is answered. Must not know how they are made or read."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from re_core.api.answers import Page
from re_core.api.fields import Expected, Flag, Rules, Time

_PATTERNS = (Rules(minItems=1, maxItems=10_000), Expected("a list of at least one entry"))


class HostKey(TypedDict):
    """A public key of a host."""

    type: Annotated[str, "`ssh-ed25519`, …"]
    fingerprint: Annotated[str, "`SHA256:…`, as ssh shows it"]
    key: Annotated[str, "type and key, as in known_hosts"]
    trusted: Annotated[bool, "whether the inventory has it"]


class Host(TypedDict):
    """A host of the inventory, with what its groups and the defaults say of it."""

    name: str
    place: Annotated[
        str, "where it is described: file and line, or the source; empty for a token without access to all groups"
    ]
    by_api: Annotated[bool, "whether the API describes it"]
    words: Annotated[
        dict[str, Any],
        "what differs from the defaults, by the words of docs/reference/inventory.md; only groups, tags, environment, pool and labels "
        "for a token without access to all groups",
    ]
    keys: Annotated[list[HostKey], "its public keys that the inventory has"]


class StoredHost(TypedDict):
    """What the API keeps of a host."""

    name: str
    words: Annotated[dict[str, Any] | None, "as they were given; null: another source describes the host"]
    keys: Annotated[list[HostKey], "keys that an administrator trusts"]
    user: Annotated[str, "the user of the last change"]
    changed: Time | None


class SavedHosts(TypedDict):
    """Hosts were stored."""

    names: Annotated[list[str], "the hosts, ranges expanded"]


class Selection(TypedDict):
    """What a list of hosts means now."""

    names: Annotated[list[str], "the hosts, in the order in which a stage would reach them"]
    unknown: Annotated[list[str], "of these, the names that the inventory lacks"]
    warnings: list[str]


class InventoryFault(TypedDict):
    """Something that is wrong with a source of the inventory."""

    source: Annotated[str, "a file, a command line, or `rectl hosts`"]
    line: Annotated[int | None, "null where the source has no lines"]
    path: Annotated[str, "the place in the document, as a JSON pointer"]
    message: str


class InventoryCheck(TypedDict):
    """Whether the inventory can be used."""

    usable: Annotated[bool, "if not, every deployment is refused"]
    hosts: Annotated[int, "number of hosts"]
    groups: Annotated[int, "number of groups"]
    digest: Annotated[str, "another one for every other inventory; empty: there is none, or it cannot be used"]
    degraded: Annotated[str, "what of it is old, and why; empty: nothing"]
    errors: list[InventoryFault]
    warnings: list[InventoryFault]
    more: Annotated[int, "errors that are not listed"]


class Scan(TypedDict):
    """The keys that a host shows."""

    address: str
    port: int
    keys: list[HostKey]
    trusted: Annotated[list[HostKey], "the keys that the inventory has"]


class HostsRequest(TypedDict):
    """What is said of hosts."""

    hosts: Annotated[
        dict[str, Any],
        Rules(minProperties=1),
        Expected("an object of hosts: name or range, and its words"),
        "name or range (`web[1:3]`) -> words, as in a file of the inventory",
    ]
    replace: NotRequired[Annotated[Flag, "whether hosts that are there are replaced"]]


class SelectRequest(TypedDict):
    """A list of hosts, as a playbook has it."""

    patterns: Annotated[list[str], *_PATTERNS]


class ScanRequest(TypedDict):
    """The host whose keys are asked for."""

    name: Annotated[str, Rules(minLength=1, maxLength=255), Expected("a name")]


class TrustRequest(ScanRequest):
    """Keys of a host to trust."""

    keys: Annotated[list[str], Rules(minItems=1, maxItems=20), Expected("a list of public keys"), "`ssh-ed25519 AAAA…`"]
    replace: NotRequired[Annotated[Flag, "whether they take the place of the trusted ones"]]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    **{kind.__name__: kind for kind in (Host, StoredHost, SavedHosts, Selection, InventoryCheck, Scan)},
    "Hosts": Page[Host],
}
REQUESTS: dict[str, Any] = {kind.__name__: kind for kind in (HostsRequest, SelectRequest, ScanRequest, TrustRequest)}
