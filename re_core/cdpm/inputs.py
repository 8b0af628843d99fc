"""What of a release a playbook is given as dynamic values. Pure; must not know the state.

A worker exports every dynamic value to programs, so only what fits a narrow pattern passes; titles, messages and names of
authors never do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: releases that may have led to one, and characters of all addresses of its artifacts
MOST_CHAIN, MOST_ARTIFACTS = 16, 4_000

_VERSION = re.compile(r"[A-Za-z0-9._+~-]{1,64}")
#: what git takes as a name, without what a shell or git reads otherwise
_REF = re.compile(r"(?!-)(?!.*\.\.)[A-Za-z0-9._/+-]{1,200}")
_COMMIT = re.compile(r"[0-9a-fA-F]{6,64}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+/-]{0,99}")
#: without a user, a space or a quote
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&()*+,;=:@%/?#-]*)?")
_CHAINED = re.compile(r"[!-~]{1,600}")
_MOST_URL = 500


class Unfit(Exception):
    """Something of the release does not fit its pattern; the text says what."""


def chain_of(document: Mapping[str, Any]) -> list[str]:
    """`<url>#<id>` of each release that led to this one. Raises Unfit."""
    chain = document.get("chain", [])
    if not isinstance(chain, list | tuple) or not all(
        isinstance(one, str) and _CHAINED.fullmatch(one) for one in chain
    ):
        raise Unfit("its chain is not a list of addresses")
    return list(chain)


def inputs_of(document: Mapping[str, Any], url: str, id: int | str, dependency: str) -> dict[str, Any]:
    """The dynamic values for the release `id` of the node at `url`. Raises Unfit."""
    values = {"release_url": url, "release_dependency": dependency}
    for name, find in _FINDERS.items():
        values[name] = find(document)
    values["release_id"] = _fitting(str(id), _ID, "id")
    return {**values, "cdpm_chain": " ".join([*chain_of(document), f"{url}#{id}"])}


def own_inputs(document: Mapping[str, Any], url: str, n: int) -> dict[str, Any]:
    """As `inputs_of`, of an own release: what does not fit is left empty."""
    values = {"release_id": str(n), "release_url": url, "release_dependency": ""}
    for name, find in _FINDERS.items():
        try:
            values[name] = find(document)
        except Unfit:
            values[name] = ""
    return {**values, "cdpm_chain": " ".join([*document["chain"], f"{url}#{n}"])}


def _artifacts(document: Mapping[str, Any]) -> str:
    artifacts = document.get("artifacts", [])
    if not isinstance(artifacts, list | tuple):
        raise Unfit("its artifacts are not a list")
    text = " ".join(_fitting(one, _URL, "address of an artifact", _MOST_URL) for one in artifacts)
    if len(text) > MOST_ARTIFACTS:
        raise Unfit(f"the addresses of its artifacts have {len(text)} characters, at most {MOST_ARTIFACTS} are taken")
    return text


def filled(template: str, values: Mapping[str, Any]) -> str:
    """The text with `{name}` replaced by the dynamic value of that name; one that is not there stays as it is written."""
    return re.sub(r"\{([A-Za-z0-9_]+)\}", lambda found: str(values.get(found[1], found[0])), template)


def own_chain(values: Mapping[str, Any]) -> list[str]:
    """The chain of a release that a deployment with these dynamic values made; cut to its newest MOST_CHAIN."""
    text = values.get("cdpm_chain", "")
    words: Sequence[str] = text.split() if isinstance(text, str) else ()
    return [one for one in words if _CHAINED.fullmatch(one)][-MOST_CHAIN - 1 :]


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _fitting(value: Any, pattern: re.Pattern[str], what: str, most: int = 300) -> str:
    """The text; an empty one for what is not said."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or len(value) > most or not pattern.fullmatch(value):
        raise Unfit(f"its {what} is {value!r:.80}, which is not passed to playbooks")
    return value


def _project(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(document, "project_details")


def _commit(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(_part(document, "deployable"), "commit")


#: dynamic value -> how it is found
_FINDERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "release_version": lambda one: _fitting(one.get("new_version"), _VERSION, "version"),
    "release_ref": lambda one: _fitting(one.get("ref"), _REF, "ref"),
    "release_project": lambda one: _fitting(_project(one).get("name"), _NAME, "name of the project"),
    "release_repo_url": lambda one: _fitting(
        _project(one).get("repo_url"), _URL, "address of the repository", _MOST_URL
    ),
    "release_commit": lambda one: _fitting(_commit(one).get("id"), _COMMIT, "commit"),
    "release_artifacts": _artifacts,
}
