"""A comment cites a page of docs/, by its path and a heading of it, and no page outside of the repository."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, shown, sources

#: a citation of a page, `docs/<page>.md` or `docs/decisions/0001`, and what follows a comma behind it
_CITED = re.compile(r"\b(docs/(?:decisions/\d{4}(?![\w-])|[\w/-]+\.md))(?:, ([A-Z][^\n]*))?")

#: how comments would cite pages that the repository does not have
_OUTSIDE = re.compile(
    r"\bcontract,? sections?\b|(?<!RFC \d{4}, )\bsections? \d|[(]design[,)]|\bdesign, [A-Z]"
    r"|\b(?:house|design)[.]md\b|(?<!cloudevents/)\bspec/",
    re.IGNORECASE,
)

#: folders whose texts are searched, beside the files at the root; `tests/golden/*.jsonl` are old journals
_FOLDERS = ("docs", "examples", "packaging", "schemas", "tools")
_KINDS = (".md", ".json", ".yml", ".yaml", ".cfg", ".toml", ".py")


@cache
def _texts() -> dict[str, str]:
    """Every text file of the repository that people write, but for this one, by its path."""
    others = [path for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in _KINDS]
    root = [path for path in ROOT.iterdir() if path.suffix in _KINDS or path.name in ("Makefile", "Dockerfile")]
    return {shown(path): path.read_text("utf-8") for path in {*sources(), *others, *root} - {Path(__file__)}}


@cache
def _headings(page: Path) -> tuple[str, ...]:
    return tuple(re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE))


def _wrong(text: str) -> list[str]:
    """The citations of a text that lead nowhere."""
    wrong = []
    for name, follows in _CITED.findall(text):
        pages = list(ROOT.glob(name if name.endswith(".md") else f"{name}-*.md"))
        if not pages or (follows and not any(re.match(rf"{re.escape(one)}\b", follows) for one in _headings(pages[0]))):
            wrong.append(f"{name}, {follows}" if follows else name)
    return wrong


def test_every_cited_page_exists_and_has_the_cited_heading() -> None:
    assert sum(len(_CITED.findall(text)) for text in _texts().values()) > 40
    cited = {
        path: wrong
        for path, text in _texts().items()
        if path.endswith((".py", ".yml", ".yaml")) and (wrong := _wrong(text))
    }
    assert cited == {}


def test_no_file_cites_a_page_outside_of_the_repository() -> None:
    assert {path: found for path, text in _texts().items() if (found := _OUTSIDE.findall(text))} == {}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("(docs/wire-format.md, Step)", True),
        ("docs/wire-format.md, Step: all four keys", True),
        ("docs/decisions/0002", True),
        ("docs/wire-format.md, and another", True),
        ("docs/wire-format.md, Stepp", False),
        ("docs/no-such-page.md", False),
        ("docs/decisions/9999", False),
    ],
)
def test_the_check_of_citations_finds_what_leads_nowhere(text: str, verdict: bool) -> None:
    assert (_wrong(f"{text} ") == []) is verdict


@pytest.mark.parametrize("text", ["(contract, section 4)", "(design, The heart)", "Section 5.", "see house.md"])
def test_the_check_finds_citations_of_pages_elsewhere(text: str) -> None:
    assert _OUTSIDE.search(text)
    assert not _OUTSIDE.search("RFC 5321, section 4.5.3")


def test_citations_are_looked_for_in_every_kind_of_file() -> None:
    assert {Path(path).suffix for path in _texts()} >= {".py", ".md", ".json", ".yaml", ".cfg"}
    assert shown(ROOT / "README.md") in _texts()
