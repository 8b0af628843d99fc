"""Is a playbook one that can be run: its form, and its steps as living workers know them. Must not store anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from re_core import documents, plan, ports, schema, schema_words
from re_core.errors import BadDocument, Problem
from re_core.plan import Around, Offers
from re_core.usecases import workers
from re_core.usecases.describe import planned_document


class Checked(NamedTuple):
    """What is wrong with a playbook, all of it at once."""

    document: Mapping[str, Any]
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read(data: bytes, form: documents.Form, offers: Offers, around: Around) -> Checked:
    """Parse and check; `form` is `json` or `yaml`. Never raises for what is in `data`."""
    try:
        parsed = documents.parse(data, form)
    except BadDocument as error:
        return Checked({}, error.problems or (Problem("", str(error)),))
    return check(parsed.value, parsed.position, offers, around)


def check(value: Any, position: schema.Position | None, offers: Offers, around: Around) -> Checked:
    """Check a document that is parsed already; `position` tells lines and columns of JSON pointers."""
    wrong = schema.problems("playbook", value)
    document = value if isinstance(value, dict) else {}
    if wrong:
        return Checked(document, tuple(_placed(wrong, position)))
    wrong = list(_step_errors(document, offers))
    try:
        plan.compile_document(document, around, offers)
    except BadDocument as error:
        wrong += error.problems or (Problem("", str(error)),)
    warnings = list(_step_warnings(document, offers))
    return Checked(document, tuple(_placed(wrong, position)), tuple(_placed(warnings, position)))


def require(checked: Checked) -> Checked:
    """The same, if nothing is wrong. Raises BadDocument with every error."""
    if checked.errors:
        count = len(checked.errors)
        raise BadDocument(
            checked.errors[0].message if count == 1 else f"the playbook has {count} errors", checked.errors
        )
    return checked


def offers_now(registry: ports.Registry, clock: ports.Clock) -> Offers:
    """`command:Subcommand` -> what the living workers offer."""
    return workers.offers(workers.living(registry, clock))


def preview(document: Mapping[str, Any], supplied: Mapping[str, Any], offers: Offers, around: Around) -> dict[str, Any]:
    """What exactly would run, in order, without running it. Raises BadDocument."""
    compiled = plan.compile_plan(document, around, offers)
    missing = [problem.path.removeprefix("/dynamic/") for problem in plan.missing_dynamic(compiled, supplied)]
    return {
        "steps": [planned_document(number, step) for number, step in enumerate(compiled.steps)],
        "dynamic": {"required": list(plan.required_dynamic(compiled)), "missing": missing},
        "warnings": [problem_document(problem) for problem in _step_warnings(document, offers)],
    }


def problem_document(problem: Problem) -> dict[str, Any]:
    """A problem as JSON; line and column only where they are known."""
    document: dict[str, Any] = {"path": problem.path, "message": problem.message}
    if problem.line is not None:
        document.update(line=problem.line, column=problem.column)
    return document


def _step_errors(document: Mapping[str, Any], offers: Offers) -> Iterator[Problem]:
    for path, name, arguments in plan.step_entries(document):
        offer = plan.offer_of(name, offers)
        command = name.partition(":")[0]
        if offer is not None:
            at = path + schema_words.pointer([name])
            found = schema.parameters_problems(offer.get("parameters") or {}, arguments, at)
            # a step without arguments may be a bare string, and nothing is inside of that
            yield from found if arguments else (problem._replace(path=path) for problem in found)
        elif command in {known.partition(":")[0] for known in offers}:
            yield Problem(path, _unknown_subcommand(name, offers))


def _unknown_subcommand(name: str, offers: Offers) -> str:
    command, _, subcommand = name.partition(":")
    known = [offer.partition(":")[2] for offer in offers if offer.startswith(command + ":")]
    hint = schema_words.suggestion(subcommand, known)
    return f"the command {command!r} has no step {schema_words.quoted(subcommand)}; {hint}"


def _step_warnings(document: Mapping[str, Any], offers: Offers) -> Iterator[Problem]:
    """A worker of 2014 never registers, so a command that nobody offers is no error (contract, section 7)."""
    commands = {name.partition(":")[0] for name in offers}
    for path, name, _ in plan.step_entries(document):
        command = name.partition(":")[0]
        if command not in commands:
            yield Problem(path, f"no living worker has registered the command {command!r}")


def _placed(problems: list[Problem], position: schema.Position | None) -> Iterator[Problem]:
    for problem in problems:
        found = position(problem.path) if position is not None and problem.line is None else None
        yield problem._replace(line=found[0], column=found[1]) if found else problem
