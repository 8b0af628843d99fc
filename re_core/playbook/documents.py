"""Documents that people write, YAML or JSON: in with the place of every value, out so that they come back the same.

Must not know what a document is for. What is refused, and what plain YAML scalars mean, is defined in yaml_reader and
strict_json: only true and false are booleans, only JSON's numbers are numbers, no aliases, no foreign tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import yaml

from re_core.errors import BadDocument, Problem, Problems
from re_core.json_pointer import parts
from re_core.playbook import yaml_reader
from re_core.playbook.yaml_reader import PositionTree
from re_core.wire import strict_json
from re_core.wire.strict_json import MAX_BYTES

#: how a document is written
Form = Literal["json", "yaml"]

#: JSON pointer -> (line, column), both from 1; None where it is not known
Position = Callable[[str], tuple[int, int] | None]


class Document:
    """A parsed document: its `value`, and where everything in it stood."""

    def __init__(
        self, value: Any, text: str, place: PositionTree | None = None, doubts: Problems | None = None
    ) -> None:
        #: JSON-able
        self.value = value
        #: of YAML: numbers that were written with digits that they do not keep, such as 1.10
        self.doubts = doubts or Problems()
        self._text = text
        self._place = place
        #: whether it is known where things stand, as far as that can be known
        self._looked = place is not None

    def position(self, pointer: str) -> tuple[int, int] | None:
        """Line and column, from 1, of what a JSON pointer names: its key, or the item of a list.

        What is missing is where it would be: at the nearest thing around it. None where no place is known.
        """
        if not self._looked:  # once: a text without places would be read again for every problem
            self._place, self._looked = _json_places(self._text), True
        place = self._place
        if place is None:
            return None
        for part in parts(pointer):
            inner = _step(place, part)
            if inner is None:
                break
            place = inner
        return place.line, place.column


def parse(data: bytes, form: Form) -> Document:
    """The document in `data` (UTF-8, at most MAX_BYTES). An empty YAML document is null.

    Raises BadDocument (of which BadMessage is one), with line and column where there is one.
    """
    if form == "json":
        return Document(strict_json.loads(data), data.decode())
    if len(data) > MAX_BYTES:
        raise _whole(f"{len(data)} bytes; a document has at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _whole(f"not UTF-8: {error.reason} at byte {error.start}") from None
    read = yaml_reader.read(text)
    return Document(read.value, text, read.place, read.doubts)


def dump(value: Any, form: Form) -> str:
    """The other way: parse(dump(x)) is x for every JSON-able x. YAML in block style, keys in the order given.

    Raises ValueError for NaN and infinities.
    """
    if form == "json":
        return strict_json.dumps(value)
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )
    # PyYAML ends a bare scalar with the mark of the document's end
    return text.removesuffix("...\n") if text.endswith("\n...\n") else text


def _whole(message: str) -> BadDocument:
    return BadDocument(message, (Problem("", message),))


def _json_places(text: str) -> PositionTree | None:
    """JSON is YAML but for corners, so the same reader finds the places; in a corner there are none."""
    try:
        return yaml_reader.read(text).place
    except BadDocument:
        return None


def _step(place: PositionTree, part: str) -> PositionTree | None:
    if isinstance(place.inside, dict):
        return place.inside.get(part)
    if isinstance(place.inside, list) and part.isascii() and part.isdigit() and len(part) < 8:
        return place.inside[int(part)] if int(part) < len(place.inside) else None
    return None


class _Dumper(yaml.SafeDumper):
    """PyYAML's, in pure Python: libyaml's emitter breaks some texts that this one keeps."""

    def ignore_aliases(self, data: Any) -> bool:
        """What is there twice is written twice: the reader refuses aliases."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _RISKY.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", strict_json.dumps(value))


#: line breaks that are not \n, and marks of byte order: only escapes keep them
_RISKY = re.compile("[\r\x85\u2028\u2029\ufeff]")
_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
# beside what YAML 1.1 takes for something else, texts that look like numbers to YAML 1.2 or to JSON are quoted
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|[-+]?\.(?i:inf|nan))\Z"),
    list("-+.0123456789"),
)
