"""The document of a node: what may be subscribed to, which playbooks are started, by which rule votes decide.

Pure. A JSON Schema checks its shape before; here stands what a schema cannot say, and the form in which the machine reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from re_core.cdpm.moments import length
from re_core.cdpm.rules import EXPECTED, Rule, parse_rule
from re_core.errors import BadDocument, Problem
from re_core.json_pointer import pointer

#: dynamic values that a trial, and a playbook that follows a verdict, is given
TRIAL_INPUTS = (
    "release_id",
    "release_version",
    "release_ref",
    "release_url",
    "release_project",
    "release_repo_url",
    "release_commit",
    "release_artifacts",
    "release_dependency",
    "cdpm_chain",
)
REACTION_INPUTS = (*TRIAL_INPUTS, "verdict", "votes")

#: what a playbook may follow
VERDICTS = ("promoted", "demoted", "undecided")

#: what is subscribed to where neither the document nor the node's own refs say
ANY_REF = ("branch", "master")

#: builds of one dependency that begin within an hour, where the document does not say
MOST_PER_HOUR = 12


class Trials(NamedTuple):
    """How received releases are built. Ids of playbooks."""

    playbook: str
    #: the newest release replaces one that waits; false: all are built, in order
    newest: bool = True
    most_per_hour: int = MOST_PER_HOUR
    #: name of a dependency -> playbook of its releases
    instead: Mapping[str, str] = {}

    def playbook_for(self, dependency: str) -> str:
        """Empty where there is none."""
        return self.instead.get(dependency, self.playbook)


class OwnReleases(NamedTuple):
    """How the node's own releases are made."""

    #: id of the playbook; empty: only an operator publishes
    playbook: str = ""
    #: numbers of the stages after which a candidate is built, and tested; 0: at the end
    built: int = 0
    tested: int = 0
    #: name of the dynamic value that is the version
    version: str = "version"
    #: addresses, with `{name}` for dynamic values
    artifacts: tuple[str, ...] = ()
    project: Mapping[str, Any] = {}


class Node(NamedTuple):
    """The document, as the machine reads it."""

    refs: tuple[tuple[str, str], ...] = ()
    #: any verified peer may subscribe, not only those in the own file
    open_to_any: bool = False
    trials: Trials = Trials("")
    release: OwnReleases = OwnReleases()
    promote: Rule | None = None
    demote: Rule | None = None
    #: milliseconds in which votes count; 0: for ever
    within: int = 0
    #: verdict -> id of the playbook that follows
    reactions: Mapping[str, str] = {}
    #: also for a release that is not the newest
    superseded_too: bool = False
    #: name of a dependency -> type and name of the ref whose releases this node wants
    wanted: Mapping[str, tuple[str, str]] = {}

    def wanted_ref(self, dependency: str) -> tuple[str, str]:
        """Type and name of the ref that is subscribed to; where the document does not say, it is called as this node's own."""
        return self.wanted.get(dependency) or next(iter(self.refs), ANY_REF)


def playbooks_of(document: Mapping[str, Any]) -> dict[str, str]:
    """JSON pointer -> `group/name` of each playbook that the document names."""
    trials, release, on = (_object(document, name) for name in ("trials", "release", "on"))
    named = {
        "/trials/playbook": trials.get("playbook"),
        "/release/playbook": release.get("playbook"),
        **{f"/trials/for{pointer([name])}": one for name, one in _object(trials, "for").items()},
        **{f"/on{pointer([name])}": one for name, one in on.items()},
    }
    return {where: one for where, one in named.items() if isinstance(one, str)}


def parse_node(document: Mapping[str, Any], group: str, playbooks: Mapping[str, str]) -> Node:
    """The node. `playbooks`: `group/name` -> id. Raises BadDocument with all problems."""
    if problems := list(_problems(document, group, playbooks)):
        raise BadDocument(problems[0].message, problems)
    return read_node(document, playbooks)


def read_node(document: Mapping[str, Any], playbooks: Mapping[str, Any]) -> Node:
    """The node of a document that was checked before; what is missing in it is as by default."""
    trials, release, on = (_object(document, name) for name in ("trials", "release", "on"))
    promote, demote = _object(document, "promote"), _object(document, "demote")

    def id_of(name: Any) -> str:
        return str(playbooks.get(name, "")) if isinstance(name, str) else ""

    return Node(
        refs=tuple((str(one["ref_type"]), str(one["ref"])) for one in document.get("refs", ())),
        open_to_any=document.get("subscribers") == "any",
        trials=Trials(
            id_of(trials.get("playbook")),
            trials.get("builds", "newest") == "newest",
            int(trials.get("most_per_hour", MOST_PER_HOUR)),
            {name: id_of(one) for name, one in _object(trials, "for").items()},
        ),
        release=OwnReleases(
            id_of(release.get("playbook")),
            int(release.get("built", 0)),
            int(release.get("tested", 0)),
            str(release.get("version", "version")),
            tuple(map(str, release.get("artifacts", ()))),
            _object(release, "project"),
        ),
        promote=parse_rule(promote["stable"]) if "stable" in promote else None,
        demote=parse_rule(demote["unstable"]) if "unstable" in demote else None,
        within=length(str(promote.get("within", ""))) or 0,
        reactions={str(name): id_of(one) for name, one in on.items() if id_of(one)},
        superseded_too=document.get("on_superseded") == "run",
        wanted={name: (str(one["ref_type"]), str(one["ref"])) for name, one in _object(document, "subscribe").items()},
    )


def _problems(document: Mapping[str, Any], group: str, playbooks: Mapping[str, str]) -> Iterator[Problem]:
    for where, name in playbooks_of(document).items():
        if name.partition("/")[0] != group:
            yield Problem(where, f"the playbook {name[:100]!r} is not of the node's group {group!r}")
        elif name not in playbooks:
            yield Problem(where, f"there is no playbook {name[:100]!r}")
    yield from _rule_problems(document)
    seen: set[tuple[Any, Any]] = set()
    refs: Sequence[Mapping[str, Any]] = document.get("refs", ())
    for place, one in enumerate(refs):
        ref = one.get("ref_type"), one.get("ref")
        if ref in seen:
            yield Problem(f"/refs/{place}", "this ref occurs twice")
        seen.add(ref)
    for name in _object(document, "on"):
        if name not in VERDICTS:
            yield Problem(f"/on{pointer([name])}", f"expected one of {', '.join(VERDICTS)}")
    release = _object(document, "release")
    if 0 < release.get("tested", 0) < release.get("built", 0):
        yield Problem(
            "/release/tested", "a release is built before it is tested: expected at least the stage of `built`"
        )


def _rule_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    for part, name in (("promote", "stable"), ("demote", "unstable")):
        rule = _object(document, part)
        if name in rule and parse_rule(rule[name]) is None:
            yield Problem(f"/{part}/{name}", f"{EXPECTED}, found {rule[name]!r:.40}")
    within = _object(document, "promote").get("within")
    if within is not None and not length(str(within)):
        yield Problem("/promote/within", f"expected a time such as 30m, 24h or 7d, found {within!r:.40}")
    if within is None and "undecided" in _object(document, "on"):
        yield Problem("/on/undecided", "no release is ever undecided without `promote: within`")


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}
