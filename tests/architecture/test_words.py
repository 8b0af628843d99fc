"""Docstrings and comments name their subject: the worker, the core, the caller, the operator (docs/glossary.md)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import modules, parsed, shown

#: words that never name a subject, or that hide what is done; the user `nobody` of a machine stands in backticks
FORBIDDEN = re.compile(
    r"(?<!`)\b(nobody|somebody|anybody|everybody|whoever|whomever|told|anew|put right|wish|wishes|lest|in hand|hands)\b(?!`)",
    re.IGNORECASE,
)


def _docstrings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            statement = node.body[0]
            for offset, line in enumerate((ast.get_docstring(node, clean=False) or "").splitlines()):
                yield statement.lineno + offset, line


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize("path", modules(), ids=shown)
def test_no_docstring_or_comment_hides_its_subject(path: Path) -> None:
    found = [f"{number}: {line.strip()}" for number, line in (*_docstrings(path), *_comments(path))]
    assert [line for line in found if FORBIDDEN.search(line)] == []


@pytest.mark.parametrize("text", ["Nobody waits.", "# what it was told", "#: work in hand", "It is put right anew."])
def test_a_forbidden_word_is_found(text: str) -> None:
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize("text", ["as the user `nobody`", "written by hand", "it tolerates more", "handed over"])
def test_what_only_looks_like_one_is_not(text: str) -> None:
    assert not FORBIDDEN.search(text)
