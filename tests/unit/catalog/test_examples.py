"""The pages of steps: each step has an example, which fits it and is a step of a playbook as it stands there."""

from __future__ import annotations

import re
from typing import Any

import yaml

from re_core.playbook import compiler, documents, json_schema
from tools import step_pages

FAMILIES = step_pages.families()
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_step_has_an_example_that_fits_it() -> None:
    for family in FAMILIES:
        for name, one in family.kind.steps.items():
            examples = [given for entry in family.examples_of(one) for given in entry.values()]
            assert examples, f"{family.command}:{name} has no example"
            for given in examples:
                one.signature.bind(given, {})


def test_every_example_and_every_place_is_of_a_step_that_there_is() -> None:
    kinds = {family.command: family.kind for family in FAMILIES}
    for name in {**FAMILIES[0].examples, **FAMILIES[0].places}:
        command, _, subcommand = name.partition(":")
        assert command in kinds and (not subcommand or kinds[command].find(subcommand)), name


def test_every_block_of_a_page_is_a_stage_that_can_be_planned() -> None:
    pages = step_pages.pages()
    blocks = {name: BLOCK.findall(text) for name, text in pages.items() if name != "steps.md"}
    assert all(blocks.values()) and len(blocks) == len(FAMILIES)
    for found in blocks.values():
        steps = [entry for block in found for entry in yaml.safe_load(block)]
        playbook = {"group": "shop", "name": "example", "execution": [{"hosts": ["web1"], "steps": steps}]}
        document: Any = documents.parse(yaml.safe_dump(playbook).encode(), "yaml").value
        assert json_schema.problems("playbook", document) == []
        assert len(compiler.compile_plan(document, compiler.EnginePolicy(), {}).steps) == len(steps)


def test_what_is_offered_are_steps_and_no_helper_of_a_class() -> None:
    names = [name for family in FAMILIES for name in family.kind.steps]
    assert [name for name in names if not re.fullmatch(r"\*|[A-Z][A-Za-z0-9]*", name)] == []
