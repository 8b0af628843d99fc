"""A playbook is compiled once for many deployments, as long as its plan is kept."""

from __future__ import annotations

import pytest

from re_core.admission.compiled_plans import MOST_BYTES
from re_core.playbook.compiler import compile_document
from tests.factories import simple
from tests.integration.core_loop.conftest import Build


def test_plans_are_kept_until_there_are_too_many(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    real = compile_document

    def counting(document: object, *arguments: object) -> object:
        compiled.append(document)
        return real(document, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("re_core.admission.acceptance.compile_document", counting)
    monkeypatch.setattr("re_core.admission.compiled_plans.Plans.__init__.__defaults__", (2, MOST_BYTES))
    harness = build()
    for number, playbook in enumerate(["a", "a", "b", "c", "a"]):
        if playbook not in {one.id for one in harness.store.playbooks()}:
            harness.save(simple("noop:A"), playbook)
        harness.ask(f"d{number}", playbook)
        harness.settle()
    assert len(compiled) == 4  # a, b, c, and a again
    assert all(id for id, _ in harness.answers())
