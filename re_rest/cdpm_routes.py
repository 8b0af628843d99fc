"""The rows of pipeline nodes in the table of routes. Must not know how a route is served."""

from __future__ import annotations

from re_rest.rights import AUTHOR, DEPLOY, LIST, OPERATE, SEE
from re_rest.route import PAGE, READ, SEEN, SENT, Route

_NODES = "/api/v1/cdpm/nodes"
_NODE = f"{_NODES}/{{id}}"

ROUTES = (
    Route("get", _NODES, LIST, "Pipeline nodes, by group and name", {200: "Nodes"}, READ, (*PAGE, "group", "name")),
    Route(
        "post",
        _NODES,
        AUTHOR,
        "Store a pipeline node, and make its key pair",
        {201: "PipelineNode"},
        (*SENT, 504),
        ("key", "form"),
        "cdpm-node",
        "The private key never leaves the engine; the public one belongs into the node's cdpm.yml.",
        also=DEPLOY,
    ),
    Route("get", _NODE, SEE, "A pipeline node", {200: "PipelineNode"}, SEEN, ("form",)),
    Route(
        "put",
        _NODE,
        AUTHOR,
        "Replace the document of a pipeline node",
        {200: "PipelineNode"},
        (*SENT, 412, 504),
        ("form", "if-match"),
        "cdpm-node",
        "An equal document keeps its version, and goes to the engine again. `node` and `source` never change.",
        also=DEPLOY,
    ),
    Route(
        "delete",
        _NODE,
        OPERATE,
        "Remove a pipeline node",
        {204: ""},
        (*SEEN, 409, 412, 504),
        ("if-match",),
        "",
        "Deployments that it has started go on. Its name and its source are free at once.",
    ),
    Route(
        "post",
        f"{_NODE}/rotate",
        OPERATE,
        "The next key pair of a pipeline node",
        {201: "NodeKey"},
        SENT,
        (),
        "?RotateRequest",
        "The node signs with it as soon as its public half stands in the node's cdpm.yml. A new key that waits for that already is the "
        "answer, unless `another` is wanted. Keys older than the one in the file are deleted.",
    ),
)
