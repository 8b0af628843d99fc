"""Writes docs/reference/steps.md, the index of every step that comes with the engine, and a page per command below docs/reference/steps:
from signatures and docstrings, with the examples and places of docs/reference/step-examples.yaml and step-places.yaml. Called by
tools/reference.py. Must not know what any step is for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from re_workers.catalog.families import workers
from re_workers.notify.steps import NOTIFIERS
from re_workers.registry import built_in
from re_workers.sdk import ANY, Step, Worker
from tools.step_tables import parameters, results

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
EXAMPLES = REFERENCE / "step-examples.yaml"
PLACES = REFERENCE / "step-places.yaml"

#: columns that an example of one line may take
LONGEST = 110

_INDEX = """# Steps

The steps that come with the engine, by command: {commands}.

`rectl workers` lists the steps that your engine has, with those of installed packages; [Write a worker](../how-to/write-a-worker.md)
says how to add some. `tools/reference.py` generates this page, and those of the commands, from the signatures of the steps.

A step of a host acts there over its [runner](../how-to/write-a-worker.md#hosts), by a POSIX shell and the tools that hosts have anyway;
nothing is installed. Most look first, and do nothing where all is as it should be: they return `changed: false`, and can be rerun.

- **runs on**: the machine that acts. Where no [inventory](inventory.md) has the step's host, that is the machine of the worker.
- **plan**: `rectl playbook plan --look` says whether the step would change anything, and what, where that can be known.
- **rerun**: an attempt whose outcome is unknown is repeated without asking; a playbook can say otherwise with
  [`idempotent`](playbook.md#step).
"""

_HEADER = "| step | | runs on | plan | rerun |\n| --- | --- | --- | --- | --- |"


class Family(NamedTuple):
    """A command."""

    kind: type[Worker]
    #: `command:Subcommand` -> what playbooks give it
    examples: Mapping[str, Any]
    #: command, or `command:Subcommand` -> where it acts
    places: Mapping[str, str]

    @property
    def command(self) -> str:
        """Its name."""
        return self.kind.command

    def place(self, one: Step) -> str:
        """Where the step acts. Raises KeyError where that is not known."""
        said = self.places.get(f"{self.command}:{one.name}") or self.places.get(self.command)
        return said or ("the step's host" if one.options.recorded else self.places[f"{self.command}:{one.name}"])

    def examples_of(self, one: Step) -> Iterator[dict[str, Any]]:
        """Entries of `steps:`; those of names that no other step has belong to the step of every name."""
        for name, arguments in self.examples.items():
            command, _, word = name.partition(":")
            if command == self.command and self.kind.find(word) == one:
                yield from ({name: given} for given in arguments)


def families() -> list[Family]:
    """Every command that comes with the engine, by name."""
    examples, places = yaml.safe_load(EXAMPLES.read_text()), yaml.safe_load(PLACES.read_text())
    kinds = {worker.command: type(worker) for worker in [*built_in(), *workers()]} | dict(NOTIFIERS)
    return [Family(kinds[command], examples, places) for command in sorted(kinds)]


def pages() -> dict[str, str]:
    """Name of a page below docs/reference -> its text."""
    known = families()
    links = ", ".join(f"[{one.command}](steps/{one.command}.md)" for one in known)
    rows = [row for one in known for row in _overview(one, f"steps/{one.command}.md")]
    index = "\n".join([_INDEX.format(commands=links), _HEADER, *rows]) + "\n"
    return {"steps.md": index, **{f"steps/{one.command}.md": "\n".join(_page(one)) + "\n" for one in known}}


def _overview(family: Family, page: str) -> Iterator[str]:
    for one in _steps(family):
        name = _title(family, one)
        yield f"| [`{name}`]({page}#{_anchor(name)}) | {one.summary} | {family.place(one)} | {_plans(one)} | {_reruns(one)} |"


def _page(family: Family) -> Iterator[str]:
    yield f"# {family.command}\n\n{inspect.getdoc(family.kind)}\n\n[All steps](../steps.md) explains the columns.\n\n{_HEADER}"
    yield from _overview(family, "")
    for one in _steps(family):
        yield f"\n## {_title(family, one)}\n\n{_paragraphs(one)}"
        yield f"\n{' '.join(_marks(family, one))}"
        yield from _titled("Parameters", list(parameters(one)))
        yield from _titled("Results", list(results(one)))
        blocks = [f"```yaml\n{_written(entry)}\n```" for entry in family.examples_of(one)]
        yield from _titled("Examples", ["\n\n".join(blocks)])


def _titled(title: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield f"\n**{title}**\n"
        yield from rows


def _steps(family: Family) -> list[Step]:
    return [one for _, one in sorted(family.kind.steps.items())]


def _title(family: Family, one: Step) -> str:
    return f"{family.command}: any name" if one.name == ANY else f"{family.command}:{one.name}"


def _anchor(title: str) -> str:
    """As viewers of Markdown make it of a heading."""
    return title.lower().replace(":", "").replace(" ", "-")


def _paragraphs(one: Step) -> str:
    """The docstring, with its lines joined."""
    text = inspect.getdoc(one.call) or ""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _plans(one: Step) -> str:
    return "yes" if one.plan is not None else "no"


def _reruns(one: Step) -> str:
    return "yes" if one.options.idempotent else "no"


def _marks(family: Family, one: Step) -> Iterator[str]:
    yield f"Runs on {family.place(one)}."
    yield "Has a plan." if one.plan is not None else "Has no plan."
    yield "Can be rerun." if one.options.idempotent else "Is not rerun by itself."
    if one.options.recorded:
        yield "Where its worker dies, another one goes on with it, on hosts of the inventory."
    if one.options.timeout is not None:
        yield f"Its `timeout` is {one.options.timeout:g} s where the playbook has none."


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as they are, below a `|`."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """A text."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _written(entry: Mapping[str, Any]) -> str:
    """YAML of a list with this entry, on few lines where they are short."""
    for flow in (None, False):
        text = yaml.dump(
            [entry], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=LONGEST, default_flow_style=flow
        )
        if max(map(len, text.splitlines())) <= LONGEST:
            break
    return text.rstrip()
