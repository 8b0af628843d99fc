"""Documents of pipeline nodes: what is said of them is true, and what is wrong in them is found where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from re_core.cdpm.node_document import REACTION_INPUTS, playbooks_of
from re_core.errors import BadDocument
from re_core.playbook.compiler import EnginePolicy
from re_core.rows import PlaybookHead, StoredPlaybook
from re_core.usecases.cdpm import node_checks
from re_core.usecases.cdpm.node_checks import Checked

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "pipeline-node.md"
EXAMPLE = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]


class _Playbooks:
    """Those of a test, by `group/name`; the id of one is its name."""

    def __init__(self, *names: str, wants: str = "") -> None:
        steps: list[Any] = [{"noop:A": {"dynamic": [wants]}} if wants else "noop:A"]
        self._documents = {
            name: {
                "group": name.split("/")[0],
                "name": name.split("/")[1],
                "execution": [{"hosts": ["a"], "steps": steps}],
            }
            for name in names
        }

    def playbook_heads(self, group: str | None = None, name: str | None = None) -> list[PlaybookHead]:
        found = [one for one in self._documents if one == f"{group}/{name}"]
        return [PlaybookHead(one, str(group), str(name), 1, 0, 0, "") for one in found]

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        group, name = id.split("/")
        return StoredPlaybook(id, group, name, 1, self._documents[id], 0, 0, "")


def _check(text: str, playbooks: Any) -> Checked:
    return node_checks.check(node_checks.read(text.encode(), "yaml"), playbooks, {}, EnginePolicy())


def _problems(text: str, playbooks: Any) -> list[tuple[str, int | None]]:
    with pytest.raises(BadDocument) as refused:
        _check(text, playbooks)
    return [(one.path, one.line) for one in refused.value.problems]


def _line(of: str) -> int:
    return next(number for number, line in enumerate(EXAMPLE.splitlines(), 1) if of in line)


def test_the_example_of_the_page_is_a_document_that_can_be_carried_out() -> None:
    named = set(playbooks_of(node_checks.read(EXAMPLE.encode(), "yaml").parsed.value).values())
    checked = _check(EXAMPLE, _Playbooks(*named))
    assert (checked.group, checked.name) == ("shop", "nokogiri")
    assert checked.playbooks == {name: name for name in named}
    assert len(named) == 6


def test_the_page_has_every_key_of_the_format_and_every_value_that_playbooks_are_given() -> None:
    text = PAGE.read_text(encoding="utf-8")
    document = node_checks.read(EXAMPLE.encode(), "yaml").parsed.value
    keys = {*document, "subscribers", "on_superseded", *REACTION_INPUTS}
    assert [key for key in keys if not re.search(rf"`{key}[`.]", text)] == []


def test_each_playbook_that_is_missing_is_a_problem_of_its_own_line() -> None:
    found = dict(_problems(EXAMPLE, _Playbooks("shop/try", "shop/release", "shop/tell", "shop/rollback")))
    assert found == {
        "/trials/for/Loofah-master": _line("shop/try-loofah"),
        "/on/promoted": _line("shop/deploy-next"),
    }


def test_a_playbook_that_needs_more_than_it_is_given_is_a_problem_but_for_the_release_playbook() -> None:
    named = playbooks_of(node_checks.read(EXAMPLE.encode(), "yaml").parsed.value)
    found = dict(_problems(EXAMPLE, _Playbooks(*named.values(), wants="host")))
    assert set(found) == set(named) - {"/release/playbook"}


@pytest.mark.parametrize("value", ["verdict", "votes"])
def test_only_playbooks_that_follow_a_verdict_are_given_the_verdict(value: str) -> None:
    named = playbooks_of(node_checks.read(EXAMPLE.encode(), "yaml").parsed.value)
    found = dict(_problems(EXAMPLE, _Playbooks(*named.values(), wants=value)))
    assert set(found) == {"/trials/playbook", "/trials/for/Loofah-master"}


def test_a_playbook_of_another_group_is_not_looked_for() -> None:
    class Closed(_Playbooks):
        def playbook_heads(self, group: str | None = None, name: str | None = None) -> list[PlaybookHead]:
            raise AssertionError("what other groups have is not the caller's to know")

    text = "node: shop/own\nsource: https://own.example/cdpm.yml\ntrials: {playbook: other/try}\n"
    assert _problems(text, Closed()) == [("/trials/playbook", 3)]


def test_a_name_that_several_playbooks_have_is_a_problem_with_their_ids() -> None:
    class Twice(_Playbooks):
        def playbook_heads(self, group: str | None = None, name: str | None = None) -> list[PlaybookHead]:
            return [PlaybookHead(id, "shop", "try", 1, 0, 0, "") for id in ("p1", "p2")]

    text = "node: shop/own\nsource: https://own.example/cdpm.yml\ntrials: {playbook: shop/try}\n"
    with pytest.raises(BadDocument, match="p1, p2") as refused:
        _check(text, Twice())
    assert refused.value.problems[0].line == 3
