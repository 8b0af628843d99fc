"""The rows of hosts in the table of routes. Must not know how a route is served."""

from __future__ import annotations

from re_rest.rights import ANY_TOKEN, ENGINE_ADMIN, ENGINE_SEE, LIST
from re_rest.route import PAGE, READ, SEEN, SENT, Route

_HOSTS = "/api/v1/hosts"
_HOST = f"{_HOSTS}/{{name}}"

ROUTES = (
    Route(
        "get",
        _HOSTS,
        LIST,
        "Hosts of the inventory",
        {200: "Hosts"},
        (*READ, 409, 422),
        (*PAGE, "pattern"),
        "",
        "409: the inventory cannot be used. A token without access to all groups sees names, groups, tags, environments, pools and labels.",
    ),
    Route(
        "post",
        _HOSTS,
        ENGINE_ADMIN,
        "Describe hosts, beside the sources of the settings",
        {201: "SavedHosts", 200: "SavedHosts"},
        SENT,
        (),
        "HostsRequest",
        "All of it or nothing. 409: one of them is there, and `replace` is not given. 422: the inventory could not be used with it.",
    ),
    Route("get", _HOST, ANY_TOKEN, "A host of the inventory", {200: "Host"}, (*SEEN, 409)),
    Route("get", f"{_HOST}/stored", ENGINE_ADMIN, "What the API keeps of a host", {200: "StoredHost"}, SEEN),
    Route(
        "delete",
        _HOST,
        ENGINE_ADMIN,
        "Delete what the API keeps of a host, its trusted keys too",
        {204: ""},
        (*SEEN, 422),
        (),
        "",
        "422: other hosts need it.",
    ),
    Route(
        "post",
        f"{_HOSTS}/select",
        ANY_TOKEN,
        "The hosts that a playbook's list means now",
        {200: "Selection"},
        SENT,
        (),
        "SelectRequest",
    ),
    Route(
        "post",
        f"{_HOSTS}/check",
        ENGINE_SEE,
        "Whether the inventory can be used, and all that is wrong with it",
        {200: "InventoryCheck"},
        READ,
    ),
    Route(
        "post",
        f"{_HOSTS}/scan",
        ENGINE_ADMIN,
        "The public keys that a host shows",
        {200: "Scan"},
        (*SENT, 502),
        (),
        "ScanRequest",
        "ssh-keyscan asks for them, on the machine that answers this request. Nothing is stored. 502: the host does not answer.",
    ),
    Route(
        "post",
        f"{_HOSTS}/trust",
        ENGINE_ADMIN,
        "Trust public keys of a host",
        {200: "Host"},
        SENT,
        (),
        "TrustRequest",
        "Workers get them with each step. 409: another key of that type is trusted, and `replace` is not given.",
    ),
)
