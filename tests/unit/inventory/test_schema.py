"""The schema of inventories, for editors and other programs, says what the reader of the engine says."""

from __future__ import annotations

import pytest
import re_schemas
from re_schemas import Example

from re_core.inventory import fields, hosts
from re_core.inventory.documents import SECTIONS, DocumentReader
from re_core.inventory.sources import SourceDocument

SCHEMA = re_schemas.load("inventory")


@pytest.mark.parametrize("example", re_schemas.examples("inventory"), ids=lambda one: one.name)
def test_the_reader_takes_and_refuses_what_the_schema_does(example: Example) -> None:
    read = DocumentReader(SourceDocument("inventory.json", example.document, lambda path: 1)).read()
    assert bool(read.problems) == (example.path is not None), read.problems


def test_the_schema_has_the_words_and_the_forms_of_the_reader() -> None:
    words = {name: SCHEMA["$defs"][name]["properties"] for name in ("words", "host", "group")}
    assert set(SCHEMA["properties"]) == set(SECTIONS)
    assert set(words["words"]) == set(fields.FIELDS)
    assert set(words["host"]) == {*fields.FIELDS, *fields.OF_HOST}
    assert set(words["group"]) == {*fields.FIELDS, "hosts", "children"}

    def form(pattern: str) -> str:
        return f"^{pattern}$(?!\\n)"

    assert SCHEMA["$defs"]["word"]["pattern"] == form(hosts.WORD.pattern)
    assert words["host"]["address"]["pattern"] == form(hosts.NAME.pattern)
    assert words["words"]["pool"]["pattern"] == form(hosts.POOL.pattern)
    assert words["words"]["tags"]["anyOf"][1]["maxProperties"] == hosts.MOST_TAGS
