"""The examples of docs/reference/steps.md: each fits its step."""

from __future__ import annotations

from pathlib import Path

import yaml

from re_workers.catalog.families import workers
from re_workers.registry import built_in

EXAMPLES = yaml.safe_load((Path(__file__).parents[3] / "docs" / "reference" / "step-examples.yaml").read_text())
WORKERS = {worker.command: worker for worker in [*built_in(), *workers()]}


def test_every_example_fits_its_step() -> None:
    for name, examples in EXAMPLES.items():
        command, _, subcommand = name.partition(":")
        step = WORKERS[command].find(subcommand)
        assert step is not None, name
        for example in examples:
            step.signature.bind(example, {})


def test_every_family_has_an_example() -> None:
    families = {worker.command for worker in workers()}
    assert families - {name.partition(":")[0] for name in EXAMPLES} == set()
