"""The text of a new cdpm.yml. Pure; must not know where it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

#: what YAML reads as it stands; everything else is quoted
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+%~?&=@:-]*[A-Za-z0-9_/=]")

#: plain words that YAML 1.1 takes for something else than a string
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null"})


class NodeFile(NamedTuple):
    """What the file says."""

    #: `group/name`
    node: str
    #: where it will be
    source: str
    #: where peers reach the engine
    url: str
    #: name -> URL of its cdpm.yml
    dependencies: Mapping[str, str]
    dependents: Mapping[str, str]

    def text(self, public_key: str) -> str:
        """The whole file."""
        return "\n".join(
            [
                f"# The pipeline node {_comment(self.node)}: its peers read this file at",
                f"# {_comment(self.source)}",
                "Pipeline-node:",
                f"  public-key: {_scalar(public_key)}",
                f"  url: {_scalar(self.url)}",
                *_section("Dependencies", "Nodes whose releases this one builds and tests:", self.dependencies),
                *_section("Dependents", "Nodes that may subscribe to this one; their votes count:", self.dependents),
                "",
            ]
        )


def _section(name: str, meaning: str, peers: Mapping[str, str]) -> list[str]:
    """Commented out where it has no entry."""
    if not peers:
        return ["", f"# {meaning}", f"# {name}:", "#   NAME:", "#     url: https://HOST/PATH/cdpm.yml"]
    entries = [line for peer, url in peers.items() for line in (f"  {_scalar(peer)}:", f"    url: {_scalar(url)}")]
    return ["", f"# {meaning}", f"{name}:", *entries]


def _scalar(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
