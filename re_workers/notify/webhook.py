"""Notices as webhooks: POST to URLs that the settings name. Must not know what happens to a notice that failed.

A playbook names a target of the settings (`ops`), never a URL: URLs hold secrets, and an author must not choose where the engine
sends to. The addresses are held to a rule all the same, since a name may lead anywhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, Self
from urllib.parse import urlsplit

from re_core.runtime.addresses import DEFAULT, AddressRule, rule
from re_core.runtime.http_exchange import Answer, ExchangeFailed, Question, Way, ask
from re_core.wire.notice_facts import link_to
from re_workers.notify.cloud_event import CONTENT_TYPE, PREFIX, event_of, key_of, signed_headers, webhook_id
from re_workers.notify.handler import Notice, settle
from re_workers.notify.masking import Mask
from re_workers.notify.resting import Resting
from re_workers.notify.section import Section, unknown_target
from re_workers.notify.text import one_line

#: seconds in which a target must answer: what Standard Webhooks advises
TIMEOUT = 15.0

#: bytes of an answer that are read
MOST_ANSWER = 64 * 1024

#: characters of it that are repeated
EXCERPT = 200

#: targets that one notice is sent to at once
AT_ONCE = 8

#: the target is gone for good; it wants less, or nothing for a while
_GONE, _LATER = 410, (429, 503)

#: seconds that a target may want to be left alone (Retry-After); as long as one notice is tried
MOST_LATER = 15 * 60.0

_log = logging.getLogger(__name__)

#: why nothing is sent to a target that is gone
_GONE_WORDS = "it answered 410 before: nothing is sent to it until the next start; remove it from the settings"

#: the source of events where the settings have no public_url
SOURCE = "release-engine"


@dataclass(frozen=True)
class Target:
    """One URL and the keys that its messages are signed with."""

    url: str = field(repr=False)
    #: the newest first
    keys: tuple[bytes, ...] = field(repr=False)
    #: a PEM file of the authorities to trust instead of the system's
    ca_file: str = ""


@dataclass(frozen=True)
class WebhookSettings:
    """The targets by name, and what holds for all of them."""

    targets: Mapping[str, Target] = field(repr=False)
    addresses: AddressRule
    #: seconds
    timeout: float = TIMEOUT

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Build from the section `webhook`; raises BadSettings. `targets` is required."""
        section = Section("webhook", values)
        targets = {name: _target(inner) for name, inner in section.sections("targets").items()}
        denied = section.items("denied", DEFAULT)
        try:
            addresses = rule(denied, "webhook.denied")
        except ValueError as error:
            raise section.bad("denied", str(error)) from error
        settings = cls(targets, addresses, section.seconds("timeout", TIMEOUT))
        section.done()
        if not targets:
            raise section.bad("targets", "is required: name -> url and secret")
        return settings


class WebhookHandler:
    """Delivers notices over HTTP: 2xx within the timeout is delivered, 410 refused from now on, all else is tried again."""

    transport: Final = "webhook"

    def __init__(self, settings: WebhookSettings, public_url: str = "") -> None:
        """`public_url`: where people reach the API, for links and as the source of the events; may be empty."""
        self._settings, self._url = settings, public_url.rstrip("/")
        self._mask = Mask(one.url for one in settings.targets.values())
        self._resting = Resting(time.monotonic)
        #: targets that said that they are gone: nothing is sent there until this process starts again
        self._gone: set[str] = set()
        self._pool = ThreadPoolExecutor(AT_ONCE, "webhook")
        self._closed = threading.Event()

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Return when every target has answered 2xx; see the port for what is raised."""
        body = event_of(notice, notification_id, self._url or SOURCE, link_to(self._url, notice.facts.deployment))
        id = webhook_id(notification_id)
        names = list(dict.fromkeys(notice.target))
        known = [name for name in names if name in self._settings.targets]
        refused = {name: unknown_target("webhook", name, self._settings.targets) for name in names if name not in known}
        missed: dict[str, str] = {}
        refused |= {name: _GONE_WORDS for name in known if name in self._gone}
        for name, said in self._post_all([name for name in known if name not in self._gone], id, body).items():
            if isinstance(said, str):
                missed[name] = said
            elif not 200 <= said.code < 300:
                (refused if said.code == _GONE else missed)[name] = self._words(said)
                if said.code == _GONE:
                    self._leave(name)
        settle(refused, missed)

    def close(self) -> None:
        """A delivery under way ends with Unreachable."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _post_all(self, names: Sequence[str], id: str, body: bytes) -> Mapping[str, Answer | str]:
        if self._closed.is_set():
            return dict.fromkeys(names, "the webhook handler is closed")
        answers = self._pool.map(lambda name: self._post(name, id, body), names)
        return dict(zip(names, answers, strict=True))

    def _post(self, name: str, id: str, body: bytes) -> Answer | str:
        """The answer, or why there is none."""
        if why := self._resting.why(name):
            return why
        target = self._settings.targets[name]
        headers = {"content-type": CONTENT_TYPE, **signed_headers(id, int(time.time()), body, target.keys)}
        way = Way(self._settings.addresses, target.ca_file or None, most=MOST_ANSWER)
        try:
            answer = ask(Question("POST", target.url, headers, body), way, self._settings.timeout, self._closed)
        except ExchangeFailed as error:
            why = one_line(self._mask.text(str(error)))
            self._resting.failed(name, why)
            return why
        if answer.code in _LATER:
            self._resting.failed(name, self._words(answer), retry_after(answer.headers, time.time()))
        else:
            self._resting.answered(name)
        return answer

    def _leave(self, name: str) -> None:
        """Standard Webhooks: an endpoint that answers 410 is to be disabled."""
        self._gone.add(name)
        words = (
            "webhook.targets.%s answered 410: nothing is sent to it until the next start; remove it from the settings"
        )
        _log.warning(words, name, extra={"action": "webhook_gone"})

    def _words(self, answer: Answer) -> str:
        said = one_line(self._mask.text(answer.body[: 4 * EXCERPT].decode("utf-8", "replace")))
        return f"it answered {answer.code}{': ' + said[:EXCERPT] if said else ''}"


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds for which the target wants to be left alone, at most MOST_LATER; 0 where it does not say. `now`: since the epoch."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:6]), MOST_LATER)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max(0.0, min(until.timestamp() - now, MOST_LATER))


def _target(section: Section) -> Target:
    url = section.secret("url")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise section.bad("url", "must begin with https:// or http:// and name a host")
    keys = []
    for key in ("secret", "old_secret"):
        if text := section.secret(key):
            try:
                keys.append(key_of(text))
            except ValueError as error:
                raise section.bad(key, str(error)) from None
    if not keys:
        raise section.bad("secret", f"or secret_file is required; make one: echo {PREFIX}$(openssl rand -base64 32)")
    target = Target(url, tuple(keys), section.path("ca_file"))
    section.done()
    return target
