"""Which values of a step's parameters live workers accept just now. Pure; must not know how they say so.

An offer may name values: `"accepts": {"type": ["forest/flux@1"]}`. A worker that offers the step without that accepts any value. What is
accepted changes while workers run, so it is no part of what a plan is compiled from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from re_core.wording import quoted

#: of an offer
ACCEPTS = "accepts"

#: step's name -> parameter -> the values that are accepted; a parameter that is not there takes any
Accepted = Mapping[str, Mapping[str, frozenset[str]]]

#: values that a refusal lists
MOST_LISTED = 10


def accepted_by(workers: Iterable[Mapping[str, Mapping[str, Any]]]) -> Accepted:
    """What the workers with these offers accept, all together."""
    found: dict[str, Mapping[str, frozenset[str]]] = {}
    for offers in workers:
        for name, offer in offers.items():
            mine = {parameter: frozenset(values) for parameter, values in (offer.get(ACCEPTS) or {}).items()}
            theirs = found.get(name)
            found[name] = mine if theirs is None else _either(mine, theirs)
    return {name: values for name, values in found.items() if values}


def refusal(name: str, parameters: Mapping[str, Any], dynamic: Mapping[str, Any], accepted: Accepted) -> str:
    """Why no live worker takes the step now, or an empty text. `dynamic`: the deployment's values, as far as they are known."""
    command = name.partition(":")[0]
    restricted = accepted.get(name) or accepted.get(f"{command}:*") or {}
    wanted = parameters.get("dynamic")
    for parameter, values in restricted.items():
        source = dynamic if isinstance(wanted, list) and parameter in wanted else parameters
        value = source.get(parameter)
        if value is not None and not (isinstance(value, str) and value in values):
            return f"no connected worker accepts {parameter} {quoted(str(value))} now{_listed(values, parameter)}"
    return ""


def _either(mine: Mapping[str, frozenset[str]], theirs: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    return {parameter: values | theirs[parameter] for parameter, values in mine.items() if parameter in theirs}


def _listed(values: frozenset[str], parameter: str) -> str:
    if not values:
        return f", nor any other {parameter}"
    shown = [quoted(value) for value in sorted(values)[:MOST_LISTED]]
    more = f" and {len(values) - MOST_LISTED} more" if len(values) > MOST_LISTED else ""
    return f"; accepted {'is' if len(values) == 1 else 'are'} {', '.join(shown)}{more}"
