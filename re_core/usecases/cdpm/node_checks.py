"""Is the document of a node one that can be carried out: its form, the playbooks that it names, what those need.

Must not store anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from re_core import ports
from re_core.cdpm.node_document import REACTION_INPUTS, TRIAL_INPUTS, parse_node, playbooks_of
from re_core.errors import BadDocument, Conflict, Problem
from re_core.playbook import compiler, documents, json_schema
from re_core.playbook.compiler import EnginePolicy, Offers
from re_core.rows import StoredPlaybook
from re_core.usecases import names


class Checked(NamedTuple):
    """A document with nothing wrong in it."""

    group: str
    name: str
    source: str
    document: Mapping[str, Any]
    #: `group/name` -> id
    playbooks: Mapping[str, str]


class Draft(NamedTuple):
    """A document of the right form."""

    group: str
    name: str
    parsed: documents.Document


def read(data: bytes, form: documents.Form) -> Draft:
    """Parse, and check the form. Raises BadDocument with all problems."""
    parsed = documents.parse(data, form)
    json_schema.check("cdpm-node", parsed.value, parsed.position)
    group, _, name = parsed.value["node"].partition("/")
    return Draft(group, name, parsed)


def check(draft: Draft, playbooks: ports.Playbooks, offers: Offers, around: EnginePolicy) -> Checked:
    """Check what it names. Raises BadDocument with all problems, each with its line and column where those are known."""
    document: Mapping[str, Any] = draft.parsed.value
    try:
        found = _found(document, draft.group, playbooks)
        parse_node(document, draft.group, {name: one.id for name, one in found.items()})
        if wrong := list(_unmet(document, found, offers, around)):
            raise BadDocument(wrong[0].message, wrong)
    except BadDocument as error:
        placed = [_placed(one, draft.parsed) for one in error.problems]
        raise BadDocument(str(error), placed) from None
    ids = {name: one.id for name, one in found.items()}
    return Checked(draft.group, draft.name, document["source"], document, ids)


def _found(document: Mapping[str, Any], group: str, playbooks: ports.Playbooks) -> dict[str, StoredPlaybook]:
    """`group/name` -> playbook, of those that are there. Of other groups none is looked for: the caller may not see them."""
    found: dict[str, StoredPlaybook] = {}
    for where, said in playbooks_of(document).items():
        owner, _, name = said.partition("/")
        if owner != group or said in found:
            continue
        try:
            head = names.named(playbooks, owner, name)
        except Conflict as error:
            raise BadDocument(str(error), [Problem(where, str(error))]) from None
        one = playbooks.playbook(head.id) if head is not None else None
        if one is not None:
            found[said] = one
    return found


def _unmet(
    document: Mapping[str, Any], found: Mapping[str, StoredPlaybook], offers: Offers, around: EnginePolicy
) -> Iterator[Problem]:
    """A playbook that needs a value which no release has would fail each time."""
    for where, said in playbooks_of(document).items():
        if where == "/release/playbook":  # people start it, and give it what it needs
            continue
        given = REACTION_INPUTS if where.startswith("/on/") else TRIAL_INPUTS
        try:
            plan = compiler.compile_plan(found[said].document, around, offers)
        except BadDocument as error:
            yield Problem(where, f"the playbook {said[:100]!r} cannot be started: {error}")
            continue
        if unmet := [name for name in compiler.required_dynamic(plan) if name not in given]:
            needs = ", ".join(unmet[:10])
            yield Problem(
                where,
                f"the playbook {said[:100]!r} needs {needs}, which it is not given; it is given {', '.join(given)}",
            )


def _placed(problem: Problem, parsed: documents.Document) -> Problem:
    line, column = parsed.position(problem.path) or (None, None)
    return problem._replace(line=line, column=column)
