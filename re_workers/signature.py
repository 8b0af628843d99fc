"""A step's parameters, read off its method: what a playbook may say, and the same as JSON Schema. Pure.

Must not know how a step is run. A signature is read once, when the class is made; a wrong one is the author's
mistake and raises TypeError there and then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

from re_core.errors import BadDocument, Problem
from re_core.secret_names import references
from re_core.wire import strict_json
from re_core.wording import did_you_mean
from re_workers.kinds import Kind, Mismatch, kind_of
from re_workers.results import Returned, returned_of

#: keys of a step message's `parameters` that are the message's own; a step reads them from its context
RESERVED = frozenset({"command", "subcommand", "hosts", "dynamic"})

#: closeness from which a name is suggested, of 1
LIKENESS = 0.6

_ANYTHING = kind_of(Any)
_NO_SECRET = "only the playbook's author may say which secret a step gets"


class Parameter(NamedTuple):
    """One argument that a playbook may give."""

    name: str
    kind: Kind
    required: bool
    default: Any


class Signature(NamedTuple):
    """All arguments of one step."""

    parameters: Mapping[str, Parameter]
    #: takes any others too (the method has `**names`)
    open: bool
    #: what it returns, where its author says so
    returned: Returned | None = None

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments as the playbook's author writes them."""
        properties = {name: _property(parameter) for name, parameter in self.parameters.items()}
        required = [name for name, parameter in self.parameters.items() if parameter.required]
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": self.open}
        return {**schema, "required": required} if required else schema

    def bind(self, given: Mapping[str, Any], supplied: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments for the call.

        `given` is a message's `parameters`; `supplied` the values that stand for absent ones (the dynamic values
        that the playbook names). Raises BadDocument with a problem for each parameter that does not fit.
        """
        arguments: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, value in given.items():
            if name in RESERVED:
                continue
            if name in self.parameters:
                self._read(name, value, arguments, problems)
            elif self.open:
                arguments[name] = _ANYTHING.read(value, "")
            else:
                problems.append(Problem(f"/{name}", f"unknown parameter {name[:80]!r}{hint(name, self.parameters)}"))
        for name, parameter in self.parameters.items():
            if name in given:
                continue
            if name in supplied:
                if next(references(supplied[name]), None) is not None:
                    problems.append(Problem(f"/{name}", f"the dynamic value {name!r} refers to a secret: {_NO_SECRET}"))
                    continue
                self._read(name, supplied[name], arguments, problems)
            elif parameter.required:
                problems.append(Problem(f"/{name}", f"the parameter {name!r} is missing: {parameter.kind.words}"))
        if problems:
            raise BadDocument("; ".join(problem.message for problem in problems), problems)
        return arguments

    def _read(self, name: str, value: Any, arguments: dict[str, Any], problems: list[Problem]) -> None:
        try:
            arguments[name] = self.parameters[name].kind.read(value, "")
        except Mismatch as mismatch:
            where = f"{name}{mismatch.path}"
            problems.append(Problem(f"/{where}", f"the parameter {where!r} is wrong: {mismatch.message}"))


def hint(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """What to say beside an unknown name: what it may have meant, or what there is."""
    near = did_you_mean(name, known, cutoff=LIKENESS)
    if near:
        return f" ({near})"
    return f" (there {'are' if len(known) > 1 else 'is'} {', '.join(known)})" if known else " (there are none)"


def read_signature(method: Callable[..., Any], where: str) -> Signature:
    """The signature of a step's method, without `self` and the context. Raises TypeError, naming `where`."""
    try:
        hints = get_type_hints(method, include_extras=True)
    except NameError as error:
        raise TypeError(f"{where}: {error}; parameter types must be importable at the top of the module") from None
    names = list(inspect.signature(method).parameters.values())
    if len(names) < 2 or names[1].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        raise TypeError(f"{where}: a step takes self, the context, and then its parameters")
    parameters, takes_others = {}, False
    for one in names[2:]:
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            takes_others = True
        else:
            parameters[one.name] = _parameter(one, hints, where)
    return Signature(parameters, takes_others, returned_of(hints.get("return")))


def _parameter(one: inspect.Parameter, hints: Mapping[str, Any], where: str) -> Parameter:
    if one.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        raise TypeError(f"{where}: parameters are passed by name; {one.name!r} cannot be")
    if one.name in RESERVED:
        raise TypeError(f"{where}: {one.name!r} is a key of the step message; use the context")
    if one.name not in hints:
        raise TypeError(f"{where}: the parameter {one.name!r} has no type")
    try:
        kind = kind_of(hints[one.name])
    except TypeError as error:
        raise TypeError(f"{where}: the parameter {one.name!r}: {error}") from None
    required = one.default is inspect.Parameter.empty
    return Parameter(one.name, kind, required, None if required else one.default)


def _property(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.kind.schema)
    if not parameter.required:
        try:
            schema["default"] = strict_json.loads(strict_json.dumps(parameter.default))
        except (TypeError, ValueError):
            return schema  # a default that JSON cannot express is not shown
    return schema
