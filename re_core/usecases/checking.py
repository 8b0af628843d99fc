"""Is a playbook one that can be run: its form, and its steps as living workers know them. Must not store anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core import ports
from re_core.api import answers
from re_core.errors import BadDocument, BadDynamic, Problem, Problems
from re_core.json_pointer import pointer
from re_core.playbook import compiler, documents, json_schema, plain_secrets, schema_errors
from re_core.playbook.accepting import accepted_by, refusal
from re_core.playbook.compiler import EnginePolicy, Offers
from re_core.playbook.dynamic_values import demands, name_problems, unasked_values, value_problems
from re_core.playbook.host_rules import Resolved
from re_core.secret_names import PUBLIC, references, replaced
from re_core.usecases import workers
from re_core.usecases.describe import planned_document
from re_core.wording import did_you_mean, quoted

#: JSON pointer of what stands beside a step and is a number
_LIMIT = re.compile(r"/execution/[0-9]+/(?:preflight|steps)/[0-9]+/(?:timeout|retries)")


class Checked(NamedTuple):
    """What is wrong with a playbook, all of it at once."""

    document: Mapping[str, Any]
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read(data: bytes, form: documents.Form, offers: Offers, around: EnginePolicy) -> Checked:
    """Parse and check; `form` is `json` or `yaml`. Never raises for what is in `data`."""
    try:
        parsed = documents.parse(data, form)
    except BadDocument as error:
        return Checked({}, error.problems or (Problem("", str(error)),))
    return check(parsed.value, parsed.position, offers, around, parsed.doubts)


def check(
    value: Any,
    position: json_schema.Position | None,
    offers: Offers,
    around: EnginePolicy,
    doubts: Problems | None = None,
) -> Checked:
    """Check a document that is parsed already; `position` gives lines and columns of JSON pointers.

    `doubts`: what was read and may not be what was meant; a warning, but where only a number can be meant.
    """
    wrong = json_schema.look("playbook", value)
    document = value if isinstance(value, dict) else {}
    if any(problem.path == "/execution" for problem in wrong.shown):
        # too many steps, or no list of any: nothing to look at
        return Checked(document, _placed(wrong, position), _placed(_doubtful(doubts), position))
    of_plan = () if wrong.shown else _plan_errors(document, offers, around)
    warnings = _step_warnings(document, offers)
    doubtful = _doubtful(doubts)
    warnings.add(doubtful.shown, doubtful.more)
    if not wrong.shown:
        warnings.add(_host_warnings(document, around))
    if _add_step_errors(wrong, document, offers):
        warnings.add(
            [Problem("", "it is too long to be checked against the steps that workers offer; the workers check it")]
        )
    wrong.add(name_problems(document, offers))
    wrong.add(of_plan)
    return Checked(document, _placed(wrong, position), _placed(warnings, position))


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


def preview(
    document: Mapping[str, Any], supplied: Mapping[str, Any], offers: Offers, around: EnginePolicy
) -> answers.Plan:
    """What exactly would run, in order, without running it. Raises BadDocument, BadDynamic for a value that cannot be used."""
    compiled = compiler.compile_plan(document, around, offers)
    if wrong := value_problems(demands(compiled, offers), supplied):
        raise BadDynamic(wrong[0].message, wrong)
    required = compiler.required_dynamic(compiled)
    hosts = compiler.resolve_hosts(document, around)
    warnings = _step_warnings(document, offers)
    warnings.add(one for found in hosts.values() for one in found.warnings)
    plan: answers.Plan = {
        "stages": list(compiled.stages),
        "steps": [planned_document(number, step) for number, step in enumerate(compiled.steps)],
        "dynamic": {"required": list(required), "missing": [name for name in required if name not in supplied]},
        "warnings": [
            problem_document(problem) for problem in (*warnings.listed(), *unasked_values(document, supplied, around))
        ],
    }
    if meant := _meant(document, hosts):
        plan["hosts"] = meant
    return plan


def _meant(document: Mapping[str, Any], hosts: Mapping[int, Resolved]) -> list[answers.StageHosts]:
    """Of the stages whose lists say something else than the names of their hosts."""
    written = {number: document["execution"][number]["hosts"] for number in hosts}
    return [
        {"sequence": number, "patterns": list(written[number]), "names": list(one.names)}
        for number, one in hosts.items()
        if list(one.names) != written[number]
    ]


def problem_document(problem: Problem) -> answers.Fault:
    """A problem as JSON; line and column only where they are known."""
    document: answers.Fault = {"path": problem.path, "message": problem.message}
    if problem.line is not None:
        document["line"], document["column"] = problem.line, problem.column
    return document


def _plan_errors(document: Mapping[str, Any], offers: Offers, around: EnginePolicy) -> Sequence[Problem]:
    """What only shows when the settings' checks, triggers and actions are put in."""
    try:
        compiler.compile_document(document, around, offers)
    except BadDocument as error:
        return error.problems or (Problem("", str(error)),)
    return ()


def _host_warnings(document: Mapping[str, Any], around: EnginePolicy) -> list[Problem]:
    return [one for found in compiler.resolve_hosts(document, around).values() for one in found.warnings]


def _add_step_errors(wrong: Problems, document: Mapping[str, Any], offers: Offers) -> bool:
    """Adds what the workers would not take; True where that was too much to be looked at in full."""
    published = json_schema.Published()
    subcommands = _subcommands(offers)
    for path, name, arguments in compiler.step_entries(document):
        offer = compiler.offer_of(name, offers)
        command, _, subcommand = name.partition(":")
        if offer is not None:
            at = path + pointer([name])
            wrong.add(_misplaced(offer.get("parameters"), arguments, at))
            wrong.add(plain_secrets.refused_in(offer.get("parameters"), arguments, at))
            given, secret = _without_references(arguments)
            found = published.problems(name, offer.get("parameters") or {}, given, at, wrong.room)
            found.shown = [one for one in found.shown if one.path.removeprefix(at) not in secret]
            # a step without arguments may be a bare string, and nothing is inside of that
            wrong.add(found.shown if arguments else (one._replace(path=path) for one in found.shown), found.more)
        elif command in subcommands:
            message = _unknown_subcommand(name, subcommand, subcommands[command]) if wrong.room else ""
            wrong.add([Problem(path, message)])
    return published.spent


def _without_references(arguments: Mapping[str, Any]) -> tuple[Mapping[str, Any], set[str]]:
    """The arguments with a string where they refer to a secret, and the pointers of these: what the value is, its worker checks."""
    found = {path: "secret" for path, _ in references(arguments) if path}
    return replaced(arguments, found), {pointer(path) for path in found}


def _misplaced(schema: object, arguments: Mapping[str, Any], at: str) -> list[Problem]:
    """References where the worker says that every user of its machine could read the value."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return []
    problems = []
    for path, name in references(arguments):
        about = properties.get(path[0]) if path else None
        if len(path) == 1 and isinstance(about, Mapping) and isinstance(advice := about.get(PUBLIC), str):
            problems.append(Problem(at + pointer(path), f"the secret {name} must not stand here; {advice[:300]}"))
    return problems


def _doubtful(doubts: Problems | None) -> Problems:
    """Without the limits of steps: those are numbers, whatever digits they lose."""
    if doubts is None:
        return Problems()
    return Problems((one for one in doubts.shown if not _LIMIT.fullmatch(one.path)), doubts.more)


def _subcommands(offers: Offers) -> dict[str, list[str]]:
    """Command -> its subcommands that are offered."""
    known: dict[str, list[str]] = {}
    for name in offers:
        command, _, subcommand = name.partition(":")
        known.setdefault(command, []).append(subcommand)
    return known


def _unknown_subcommand(name: str, subcommand: str, known: list[str]) -> str:
    return f"there is no step {quoted(name)}; {schema_errors.suggestion(subcommand, known)}"


def _step_warnings(document: Mapping[str, Any], offers: Offers) -> Problems:
    """A worker of 2014 never registers, so a command that no worker offers is no error (docs/wire-format.md, Peers of 2014).

    Nor is an argument that the message overwrites: playbooks of 2014 have some, and they ran.
    """
    found = Problems()
    commands = {name.partition(":")[0] for name in offers}
    accepted = accepted_by([offers])
    for path, name, arguments in compiler.step_entries(document):
        for key in sorted(compiler.OVERWRITTEN & arguments.keys()):
            message = f"the argument {quoted(key)} has no effect: the worker receives the {key} of the step itself"
            found.add([Problem(path + pointer([name, key]), message)])
        command = name.partition(":")[0]
        if command not in commands:
            found.add([Problem(path, _unknown_command(command, commands) if found.room else "")])
        elif accepted and (why := refusal(name, arguments, {}, accepted)):
            found.add([Problem(path, why)])
    found.add(plain_secrets.found_in(compiler.step_entries(document)))
    return found


def _unknown_command(command: str, commands: set[str]) -> str:
    near = did_you_mean(command, commands)
    message = f"no running worker offers the command {quoted(command)}"
    return f"{message}; {near}" if near else message


def _placed(problems: Problems, position: json_schema.Position | None) -> tuple[Problem, ...]:
    """In the order in which they stand in the document; the count of the others at the end."""
    placed = []
    for problem in problems.shown:
        found = position(problem.path) if position is not None and problem.line is None else None
        placed.append(problem._replace(line=found[0], column=found[1]) if found else problem)
    in_order = sorted(placed, key=lambda one: (one.line or 0, one.column or 0))
    return tuple(Problems(in_order, problems.more).listed())
