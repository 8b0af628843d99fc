"""The documentation says what is: links lead somewhere, commands exist, examples are valid, generated pages are fresh."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from re_client.__main__ import cli
from re_core.playbook import compiler, documents, json_schema
from re_core.runtime import settings
from re_workers.notify.settings import EmailSettings, IrcSettings
from tests.architecture.tree import ROOT, shown
from tools import captures, reference

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
PLAYBOOKS = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.name != "settings.yaml")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _rectl_lines(page: Path) -> Iterator[str]:
    """Every command line in a block of shell that begins with rectl."""
    for kind, text in _BLOCK.findall(page.read_text()):
        if kind in ("sh", "console"):
            for line in text.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").strip()
                if command.startswith("rectl "):
                    yield command


def _wrong_word(command: str) -> str:
    """The first command or option of this line that rectl does not have; empty where it has all."""
    words = shlex.split(command, comments=True)[1:]
    found: click.Command = cli
    context = click.Context(found)
    while isinstance(found, click.Group) and words:
        word = words.pop(0)
        inner = found.get_command(context, word)
        if inner is None:
            return word
        found = inner
    known = {option for parameter in found.params for option in parameter.opts}
    return next((word for word in words if word.startswith("-") and word not in known), "")


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_rectl_command_of_a_page_exists_with_its_options(page: Path) -> None:
    wrong = {line: word for line in _rectl_lines(page) if (word := _wrong_word(line))}
    assert wrong == {}


def test_the_check_of_commands_finds_what_is_wrong() -> None:
    """A check that finds nothing anywhere would pass for ever."""
    assert _wrong_word("rectl playbok list") == "playbok"
    assert _wrong_word("rectl deploy a/b --wach") == "--wach"
    assert _wrong_word("rectl deploy a/b --watch") == ""
    assert sum(1 for page in PAGES for _ in _rectl_lines(page)) > 20


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Name of a page below docs/reference -> its text, of those that are made."""
    return reference.pages()


def test_reference_pages_are_what_the_code_says(made: dict[str, str]) -> None:
    """If not: python tools/reference.py"""
    there = {name: (reference.REFERENCE / name).read_text() for name in made}
    assert [name for name, text in made.items() if there[name] != text] == []


def test_the_page_of_a_command_that_is_no_more_is_removed(made: dict[str, str]) -> None:
    assert reference.stale(made) == []
    assert [page.name for page in reference.stale(made.keys() - {"steps/file.md"})] == ["file.md"]


def test_every_page_is_in_the_index_or_in_that_of_the_steps() -> None:
    indexes = [ROOT / "docs" / "README.md", ROOT / "docs" / "reference" / "steps.md"]
    linked = {
        (one.parent / link.partition("#")[0]).resolve() for one in indexes for link in _LINK.findall(one.read_text())
    }
    pages = set((ROOT / "docs").rglob("*.md")) - {indexes[0]}
    assert {shown(page) for page in pages - linked} == set()


def _playbooks(page: Path) -> Iterator[dict[str, Any]]:
    """Of every block of YAML that is a playbook, its stages or its steps: the whole."""
    for kind, text in _BLOCK.findall(page.read_text()):
        found = yaml.safe_load(text) if kind == "yaml" else None
        if isinstance(found, dict) and found.keys() & {"execution", "steps"}:
            whole = found if "execution" in found else {"execution": [{"hosts": ["web1"], **found}]}
            yield {"group": "web", "name": "example", **whole}


def test_every_playbook_of_a_page_is_one() -> None:
    found = [(shown(page), json_schema.problems("playbook", book)) for page in PAGES for book in _playbooks(page)]
    assert [(page, problems) for page, problems in found if problems] == []
    assert len(found) > 20


def test_every_capture_is_listed_and_every_listed_capture_is_there() -> None:
    listed = {link for link in _LINK.findall((captures.CAPTURES / "README.md").read_text()) if link.endswith(".txt")}
    assert listed == {path.name for path in captures.CAPTURES.glob("*.txt")}


@pytest.mark.parametrize("path", PLAYBOOKS, ids=shown)
def test_an_example_is_a_playbook_that_can_be_planned(path: Path) -> None:
    document = documents.parse(path.read_bytes(), "yaml").value
    assert json_schema.problems("playbook", document) == []
    assert compiler.compile_plan(document, compiler.EnginePolicy(), {}).steps


def test_the_example_of_settings_can_be_loaded() -> None:
    loaded = settings.load({settings.CONFIG: str(ROOT / "examples" / "settings.yaml")})
    assert EmailSettings.from_mapping(loaded.email).host == "mail.example.com"
    assert IrcSettings.from_mapping(loaded.irc).nick == "releases"
    assert loaded.pre_deploy_check and loaded.post_deploy_action and loaded.triggers and loaded.phase_notification
