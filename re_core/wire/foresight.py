"""What a worker is asked before there is a deployment: what a step would change (docs/wire-format.md, Control). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from re_core.errors import BadMessage
from re_core.wire import strict_json

#: value of the header `re-event` of a question
PLAN = "plan"
#: key of an offer: its worker answers this question of the step
PLANS = "plans"

#: seconds that a worker looks, and that its answer is awaited
LIMIT, ANSWER = 20.0, 30.0

#: characters of a difference, and of why
MOST_DIFF, MOST_WHY = 64 * 1024, 2000

Will = Literal["yes", "no", "unknown"]
_WILLS = ("yes", "no", "unknown")


class Foreseen(NamedTuple):
    """What a step would change."""

    will: Will
    #: unified diff, where there is one
    diff: str = ""
    #: for people
    why: str = ""

    def fitting(self) -> Foreseen:
        """With texts that may travel."""
        return Foreseen(self.will, _cut(self.diff, MOST_DIFF), _cut(self.why, MOST_WHY))

    def body(self) -> bytes:
        """As it travels."""
        return strict_json.dumps(self._asdict()).encode()


def parse(body: bytes) -> Foreseen:
    """Raises BadMessage."""
    document = strict_json.loads(body)
    if not isinstance(document, Mapping) or document.get("will") not in _WILLS:
        raise BadMessage("expected an object with will: yes, no or unknown")
    texts: list[Any] = [document.get(key, "") for key in ("diff", "why")]
    if not all(isinstance(one, str) for one in texts):
        raise BadMessage("expected diff and why as strings")
    return Foreseen(cast(Will, document["will"]), *texts).fitting()


def _cut(text: str, most: int) -> str:
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= most else f"{clean[:most]}\n… (cut)\n"
