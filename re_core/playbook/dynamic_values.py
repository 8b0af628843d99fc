"""Whether a deployment's dynamic values can be what its steps make of them: parameters, variables of programs.

Must not know who supplies them. What workers publish is data from the bus; untrusted_schema.py restricts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from re_core.deployment.plan import Plan
from re_core.errors import Problem, Problems
from re_core.json_pointer import escape
from re_core.playbook import json_schema
from re_core.playbook.compiler import EnginePolicy, Offers, asked_values, offer_of, step_entries
from re_core.playbook.formats import ENVIRONMENT, PASSES, twin_words, twins, variable_problems
from re_core.wire.redaction import is_secret
from re_core.wording import did_you_mean, quoted

#: commands of the engine whose steps read a value only where they ask for it by name; any other may read all of them
BY_NAME = frozenset(
    {
        "ansible",
        "app",
        "archive",
        "artifact",
        "container",
        "cron",
        "file",
        "fileops",
        "git",
        "group",
        "host",
        "httprequest",
        "kubernetes",
        "nagios",
        "noop",
        "package",
        "prometheus",
        "puppet",
        "service",
        "sleep",
        "sql",
        "ticket",
        "user",
        "wait",
    }
)
#: pairs of names that are compared for one request: a caller may send, and a playbook ask for, very many
_PAIRS = 2000

#: subschemas, keywords and their items that are looked at for the values of one deployment: a tenth of a second. The core judges
#: values between all that it carries on, and a request may have a megabyte of them; what is beyond that is the worker's to check
LOOKS = 20_000


class Typed(NamedTuple):
    """A value that stands for a step's parameter."""

    name: str
    step: str
    #: what the step's worker says of the parameter
    schema: Mapping[str, Any]


class Demands(NamedTuple):
    """What the steps of a plan ask of the values."""

    #: each is a variable of some step's programs
    environment: bool = False
    typed: tuple[Typed, ...] = ()


def demands(plan: Plan, offers: Offers) -> Demands:
    """Of these steps, as the workers of now publish them."""
    specs = {id(step.spec): step.spec for step in plan.steps}.values()
    environment = False
    typed: dict[tuple[str, str], Typed] = {}
    for spec in specs:
        published = _published(spec.name, offers)
        environment = environment or published.get(PASSES) == ENVIRONMENT
        properties = published.get("properties")
        if not isinstance(properties, Mapping):
            continue
        named = spec.parameters.get("dynamic")
        for name in named if isinstance(named, list) else ():
            if isinstance(name, str) and name in properties and name not in spec.parameters:
                typed[spec.name, name] = Typed(name, spec.name, properties[name])
    return Demands(environment, tuple(typed.values()))


def value_problems(wanted: Demands, dynamic: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the values, below `/dynamic`, each problem with the value's name."""
    checking, found = json_schema.Published(LOOKS), Problems()
    for name, step, published in wanted.typed:
        if name in dynamic:
            at, asked = f"{step} {name}", {"properties": {name: published}}
            wrong = checking.problems(at, asked, {name: dynamic[name]}, "/dynamic", found.room)
            found.add((_of_value(name, step, one) for one in wrong.shown), wrong.more)
    if wanted.environment:
        found.add(variable_problems(dynamic))
    return found.listed()


def _of_value(name: str, step: str, wrong: Problem) -> Problem:
    """What is wrong repeats the beginning of the value, in answers and in logs; not of one that is a secret."""
    why = "; its name says that it is a secret, so it is not shown" if is_secret(name) else f": {wrong.message}"
    return wrong._replace(message=f"the value {name!r:.80} does not fit {step}{why}")


def unasked_values(document: Mapping[str, Any], dynamic: Mapping[str, Any], around: EnginePolicy) -> list[Problem]:
    """A warning for each value that no step asks for and whose name is near to one that a step asks for.

    Every step gets all values and may read them without asking, so a value like no other is reported only where no step can.
    """
    asked = asked_values(document, around)
    others = [name for name in dynamic if name not in asked]
    found = Problems()
    compared = max(1, _PAIRS // max(1, len(asked)))
    names = (step for _, step, _ in step_entries(document))
    settled = all(name.partition(":")[0] in BY_NAME for name in names) and not _surrounded(around)
    for number, name in enumerate(others if settled else islice(others, compared)):
        near = did_you_mean(name, asked) if number < compared else ""
        if near or settled:
            message = f"no step uses the value {quoted(name)}" + (f"; {near}" if near else "")
            found.add([Problem(f"/dynamic/{escape(name[:200])}", message)])
    return found.listed()


def _surrounded(around: EnginePolicy) -> bool:
    """Whether a step of the settings may read all values."""
    configured = (*around.checks, *around.triggers, *around.actions)
    return any(one.get("COMMAND") not in BY_NAME for one in configured)


def name_problems(document: Mapping[str, Any], offers: Offers) -> Iterator[Problem]:
    """Names that a playbook asks for, and of which two would be one variable."""
    places: dict[str, str] = {}
    environment = False
    for path, step, arguments in step_entries(document):
        environment = environment or _published(step, offers).get(PASSES) == ENVIRONMENT
        named = arguments.get("dynamic")
        for number, name in enumerate(named if isinstance(named, list) else ()):
            if isinstance(name, str):
                places.setdefault(name, f"{path}/{escape(step)}/dynamic/{number}")
    if environment:
        yield from (Problem(places[name], twin_words(name, other)) for name, other in twins(places))


def _published(step: str, offers: Offers) -> Mapping[str, Any]:
    offer = offer_of(step, offers)
    published = offer.get("parameters") if offer is not None else None
    return published if isinstance(published, Mapping) else {}
