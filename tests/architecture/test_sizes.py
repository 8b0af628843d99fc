"""Files and functions stay small enough to be read at one sitting."""

from __future__ import annotations

import ast
from statistics import median

from tests.architecture.tree import modules, parsed, shown, sources

#: Lines of any Python file.
LONGEST_FILE = 500
#: Lines of the shipped file in the middle.
MEDIAN_FILE = 150
#: Lines of a function without its signature and docstring.
LONGEST_BODY = 50


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_the_file_in_the_middle_is_shorter_than_150_lines() -> None:
    """Package markers of a docstring alone are left out: they would pull the middle down."""
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules()]
    assert median([length for length in lengths if length > 1]) < MEDIAN_FILE


def test_no_function_body_is_longer_than_50_lines() -> None:
    long = [
        f"{shown(path)}:{node.lineno} {node.name}: {_length(node)}"
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > LONGEST_BODY
    ]
    assert long == []
