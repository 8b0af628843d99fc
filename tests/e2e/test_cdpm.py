"""Pipelines of three projects, each on an engine of its own: they release, build, vote, promote and demote over TLS."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tests.e2e import independent_subscriber

SUBSCRIBER = Path(independent_subscriber.__file__)

#: of the independent subscriber, blank ones not counted
LINES = 150

#: what a peer in Python may use beside its standard library
PLAIN = {"cryptography", "websockets", "yaml"}


def test_the_independent_subscriber_is_short_and_has_nothing_of_the_engine() -> None:
    text = SUBSCRIBER.read_text()
    assert sum(1 for line in text.splitlines() if line.strip()) <= LINES
    used = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            used |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            used.add("." * node.level + (node.module or "").partition(".")[0])
    assert used - sys.stdlib_module_names == PLAIN
