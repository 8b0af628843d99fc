"""A cdpm.yml as bytes: everything that is wrong with it at once, with line and column. Must not know where it comes from."""

from __future__ import annotations

from re_core.cdpm import cdpm_file
from re_core.cdpm.cdpm_file import MAX_FILE, CdpmFile
from re_core.cdpm.json_hints import TYPOGRAPHIC
from re_core.errors import BadDocument, Problem
from re_core.playbook import documents, json_schema

#: keys that stand at the left margin where the indentation of a file was lost
_INDENTED = ("public-key", "url")

_QUOTES = 'the quotation marks are typographic, which are part of the text: write " or none'

_INDENT = "it belongs under Pipeline-node, or under a name in Dependencies or Dependents: indent it"


def parse(data: bytes) -> CdpmFile:
    """The file. Raises BadDocument with all problems."""
    try:
        return _parsed(data)
    except BadDocument as error:
        problems = [_unquoted(one, data) for one in error.problems]
        first = problems[0].message.removeprefix(error.problems[0].message) if problems else ""
        raise BadDocument(f"{error}{first}", problems) from None


def _parsed(data: bytes) -> CdpmFile:
    if len(data) > MAX_FILE:
        raise _whole(f"{len(data)} bytes; a cdpm.yml has at most {MAX_FILE}")
    if data.lstrip()[:1] == b"<":
        raise _whole("this is a web page, not the file: name the URL of the raw file")
    try:
        document = documents.parse(data, "yaml")
    except BadDocument as error:
        raise BadDocument("", list(map(_hinted, error.problems)) or [Problem("", str(error))]) from None
    if document.value is None:
        raise _whole("the file is empty; expected Pipeline-node with public-key and url")
    json_schema.check("cdpm-file", document.value, document.position)
    try:
        return cdpm_file.read(document.value)
    except BadDocument as error:
        raise BadDocument(str(error), [_placed(one, document) for one in error.problems]) from None


def _placed(problem: Problem, document: documents.Document) -> Problem:
    line, column = document.position(problem.path) or (None, None)
    return problem._replace(line=line, column=column)


def _unquoted(problem: Problem, data: bytes) -> Problem:
    """With a word on quotation marks of a word processor in the line that it names."""
    lines = data.decode("utf-8", "replace").split("\n")
    line = lines[problem.line - 1] if problem.line is not None and problem.line <= len(lines) else ""
    if any(mark in line for mark in TYPOGRAPHIC):
        return problem._replace(message=f"{problem.message}; {_QUOTES}")
    return problem


def _hinted(problem: Problem) -> Problem:
    """A key that is there twice at the left margin has lost its indentation."""
    key = problem.path.removeprefix("/") or problem.message.partition("'")[2].partition("'")[0]
    if "occurs twice" in problem.message and key in _INDENTED:
        return problem._replace(message=f"{problem.message}; {_INDENT}")
    return problem


def _whole(message: str) -> BadDocument:
    return BadDocument(message, (Problem("", message),))
