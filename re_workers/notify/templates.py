"""What a notification says: a text per transport and phase with `{fields}` in it. Pure; must not know how it is sent.

A template has no code: no attribute, index, conversion or format can be asked for, only the fields of FIELDS. A line of which every
field is empty is left out, so that one template serves a deployment whose user is not known, and one without a failed step.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from re_core.errors import BadSettings
from re_core.wire.messages import MAX_SLUG, PHASES
from re_core.wire.notice_facts import Facts, StepFacts, link_to
from re_workers import fields
from re_workers.notify.handler import Notice, Told

#: stands for every transport, or every phase
ANY = "*"

#: characters of one template
MOST = 10_000

#: what a notification says where the settings have no template for it
DEFAULT_SLUG, DEFAULT_MESSAGE = (
    "{slug}",
    "{message}\nStarted by {user}.\nIt took {took}.\nFailed: {step}. {reason}\n{lines}\n{link}",
)

#: transports that show one line after the other: there a notification has its text alone where the settings have no template
BRIEF = ("irc", "console")

_NO_STEP = StepFacts(0, "")


class Words(NamedTuple):
    """The two texts of a notification."""

    slug: str = DEFAULT_SLUG
    message: str = DEFAULT_MESSAGE


class About(NamedTuple):
    """What the fields are taken from."""

    notice: Notice
    #: URL of the front end, without a slash at its end; empty: there are no links
    url: str

    @property
    def facts(self) -> Facts:
        """Of the notice."""
        return self.notice.facts

    @property
    def failed(self) -> StepFacts:
        """The step that failed; one without a name where none did."""
        step = self.facts.step
        return step if step is not None and self.notice.phase == "failed" else _NO_STEP


#: field -> its text
FIELDS: Mapping[str, Callable[[About], str]] = {
    "slug": lambda about: about.notice.slug,
    "message": lambda about: about.notice.message,
    "phase": lambda about: about.notice.phase,
    "targets": lambda about: ", ".join(about.notice.target),
    "outcome": lambda about: about.facts.outcome.replace("_", " "),
    "deployment": lambda about: about.facts.deployment,
    "group": lambda about: about.facts.group,
    "playbook": lambda about: about.facts.playbook,
    "revision": lambda about: str(about.facts.revision or ""),
    "user": lambda about: about.facts.user,
    "values": lambda about: about.facts.values,
    "hosts": lambda about: _hosts(about.facts),
    "took": lambda about: duration(about.facts.took),
    "step": lambda about: about.failed.name or (about.facts.step or _NO_STEP).name,
    "reason": lambda about: about.failed.message,
    "lines": lambda about: "\n".join(about.failed.lines),
    "link": lambda about: _link(about),
}


class Templates:
    """Those of the settings."""

    def __init__(self, words: Mapping[tuple[str, str], Words], url: str = "") -> None:
        """`words`: (transport, phase) -> its texts; either may be ANY. `url`: see About."""
        self._words = dict(words)
        self._url = url.rstrip("/")

    @classmethod
    def from_settings(cls, values: Mapping[str, Any], url: str = "") -> Templates:
        """Of the section `notify_templates`: transport -> phase -> {slug, message}. Raises BadSettings."""
        words: dict[tuple[str, str], Words] = {}
        for transport, phases in values.items():
            for phase, texts in _object(phases, f"notify_templates.{transport}").items():
                where = f"notify_templates.{transport}.{phase}"
                if phase not in (*PHASES, ANY):
                    raise BadSettings(f"{where}: expected one of {', '.join(PHASES)}, {ANY}")
                words[transport, phase] = _checked(_object(texts, where), where)
        return cls(words, url)

    def of(self, transport: str, phase: str) -> Words:
        """The nearest: of this transport and phase, of this transport, of this phase, of all."""
        tried = ((transport, phase), (transport, ANY), (ANY, phase), (ANY, ANY))
        return next((self._words[one] for one in tried if one in self._words), Words())

    def render(self, transport: str, told: Told) -> Told:
        """The notice with the texts that the template says."""
        words = self.of(transport, told.phase)
        about = About(told, self._url)
        slug = " ".join(fill(words.slug, about).split()) if words.slug != DEFAULT_SLUG else told.slug
        if words.message != DEFAULT_MESSAGE:
            message = fill(words.message, about)
        else:
            message = told.message if transport in BRIEF else _default(about)
        return told._replace(slug=_cut(slug or told.slug), message=message)

    @property
    def url(self) -> str:
        """See About."""
        return self._url


def check(template: str, where: str) -> None:
    """Raises BadSettings where it is none, with what is wrong and the nearest field."""
    if len(template) > MOST:
        raise BadSettings(f"{where}: has more than {MOST} characters")
    if problem := fields.problem(template, FIELDS):
        raise BadSettings(f"{where}: {problem}")


def fill(template: str, about: About) -> str:
    """The template with the fields filled in, without the lines of which every field is empty."""
    return "\n".join(_filled(template.split("\n"), about))


def duration(milliseconds: int | None) -> str:
    """`4.2 s`, `3 min 12 s`, `2 h 5 min`; empty where it is not known."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _filled(lines: list[str], about: About) -> Iterator[str]:
    for line in lines:
        parts = [(text, field) for text, field, _, _ in string.Formatter().parse(line)]
        values = [FIELDS[field](about) for _, field in parts if field is not None]
        if values and not any(values):
            continue
        taken = iter(values)
        yield "".join(text + (next(taken) if field is not None else "") for text, field in parts)


def _default(about: About) -> str:
    """As DEFAULT_MESSAGE, without what the text of a notification says already."""
    said = about.notice.message
    dropped = []
    if about.notice.phase == "started":
        dropped.append("{user}")
    if about.failed.name in said and about.failed.message in said:
        dropped.append("{step}")
    kept = [line for line in DEFAULT_MESSAGE.split("\n") if not any(field in line for field in dropped)]
    return "\n".join(_filled(kept, about))


def _hosts(facts: Facts) -> str:
    more = facts.host_count - len(facts.hosts)
    return ", ".join(facts.hosts) + (f" and {more} more" if more > 0 else "")


def _link(about: About) -> str:
    return link_to(about.url, about.facts.deployment)


def _cut(slug: str) -> str:
    return slug if len(slug) <= MAX_SLUG else slug[: MAX_SLUG - 1] + "…"


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSettings(f"{where}: expected an object")
    return value


def _checked(texts: Mapping[str, Any], where: str) -> Words:
    found = Words()
    for key, text in texts.items():
        if key not in Words._fields:
            raise BadSettings(f"{where}.{key}: is not a text of a notification; known are {', '.join(Words._fields)}")
        if not isinstance(text, str):
            raise BadSettings(f"{where}.{key}: must be a string")
        check(text, f"{where}.{key}")
        found = found._replace(**{key: text})
    return found
