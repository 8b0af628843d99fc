"""Notices over every service that Apprise knows (Slack, Teams, Matrix, Telegram, PagerDuty …), each by a URL of the settings.

Apprise is imported where the settings name a target, and not before: it is an extra. Its URLs are secrets: a playbook names a target
(`ops`), and nothing here repeats a URL, neither in an error nor in a log line.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from re_core.errors import BadSettings
from re_workers.notify.handler import Notice, settle
from re_workers.notify.masking import Mask
from re_workers.notify.resting import Resting
from re_workers.notify.section import Section, unknown_target
from re_workers.notify.text import lines, one_line

#: seconds that a service may take
TIMEOUT = 30.0

#: seconds before a notice is sent again to a service that did not answer in time: it may have arrived
DOUBT = 600.0

#: services that may be waited for at once, beside those that are given up
MOST_STUCK = 16

#: characters of what a service says that are repeated
EXCERPT = 300

#: log lines of one send that are kept
MOST_SAID = 5

#: what Apprise logs to
_LOGGER = "apprise"

#: phase -> Apprise's type of a notification, which many services show as a colour
_TYPES: Mapping[str, str] = {"started": "info", "completed": "success", "failed": "failure"}


class Service(Protocol):
    """What Apprise makes of one URL."""

    def notify(self, body: str, title: str, notify_type: str, body_format: str) -> object: ...


@dataclass(frozen=True)
class AppriseSettings:
    """The URLs by name."""

    urls: Mapping[str, str] = field(repr=False)
    #: seconds
    timeout: float = TIMEOUT

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Build from the section `apprise`; raises BadSettings. `targets` is required."""
        section = Section("apprise", values)
        urls = {}
        for name, inner in section.sections("targets").items():
            urls[name] = inner.secret("url")
            inner.done()
            if not urls[name]:
                raise inner.bad("url", "or url_file is required")
        settings = cls(urls, section.seconds("timeout", TIMEOUT))
        section.done()
        if not urls:
            raise section.bad("targets", "is required: name -> url")
        return settings


class AppriseHandler:
    """Delivers notices by Apprise. What a service refuses is tried again: Apprise does not say whether that would help."""

    transport: Final = "apprise"

    def __init__(self, settings: AppriseSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises BadSettings where Apprise is not installed, or takes one of the URLs for none of its own."""
        self._timeout = settings.timeout
        self._mask = Mask(settings.urls.values())
        self._services = _services(settings.urls)
        self._resting = Resting(clock)
        #: sends that were given up and have not ended
        self._stuck: list[_Send] = []

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Return when every service has taken it; see the port for what is raised."""
        names = list(dict.fromkeys(notice.target))
        refused = {
            name: unknown_target("apprise", name, self._services) for name in names if name not in self._services
        }
        missed: dict[str, str] = {}
        doubtful = False
        for name in (one for one in names if one not in refused):
            why, doubt = self._send(name, notice)
            if why:
                missed[name] = why
                doubtful = doubtful or doubt
        settle(refused, missed, DOUBT if doubtful else 0.0)

    def close(self) -> None:
        """Nothing is kept open: every send has its own connection, and the threads of those given up end with the process."""

    def _send(self, name: str, notice: Notice) -> tuple[str, bool]:
        """Why the service did not take it, empty where it did; and whether it may have arrived all the same."""
        if why := self._resting.why(name):
            return why, False
        self._stuck = [one for one in self._stuck if one.is_alive()]
        if len(self._stuck) >= MOST_STUCK:
            return f"{MOST_STUCK} sends have not ended", False
        send = _Send(self._services[name], notice)
        send.start()
        send.join(self._timeout)
        if send.is_alive():
            self._stuck.append(send)
            why = f"no answer in {self._timeout:g} s"
            self._resting.failed(name, why)
            return why, True
        if send.taken:
            self._resting.answered(name)
            return "", False
        return self._words(send.said), False

    def _words(self, said: str) -> str:
        text = one_line(self._mask.text(said))
        return f"the service did not take it: {text[:EXCERPT]}" if text else "the service did not take it"


class _Send(threading.Thread):
    """One notice to one service, on a thread of its own: a library has no way to give up."""

    def __init__(self, service: Service, notice: Notice) -> None:
        super().__init__(name="apprise", daemon=True)
        self._service, self._notice = service, notice
        self.taken = False
        self.said = ""

    def run(self) -> None:
        notice = self._notice
        with _Heard() as heard:
            try:
                result = self._service.notify(
                    body="\n".join(lines(notice.message)) or one_line(notice.slug),
                    title=one_line(notice.slug),
                    notify_type=_TYPES.get(notice.phase, "info"),
                    body_format="text",
                )
                self.taken = bool(result)
            except Exception as error:  # plug-ins raise what they like
                heard.said.append(f"{type(error).__name__}: {error}")
        self.said = "; ".join(heard.said)


class _Heard(logging.Handler):
    """What Apprise logs in one send: why a service refused is said nowhere else in all of its versions."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if _listening.get() is self and len(self.said) < MOST_SAID:
            self.said.append(record.getMessage())

    def __enter__(self) -> _Heard:
        _listening.set(self)
        logging.getLogger(_LOGGER).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(_LOGGER).removeHandler(self)


#: by the context of a send, which Apprise passes on to threads of its own
_listening: ContextVar[_Heard | None] = ContextVar("listening", default=None)


def _services(urls: Mapping[str, str]) -> Mapping[str, Service]:
    try:
        import apprise
    except ImportError:
        raise BadSettings(
            "apprise.targets: Apprise is not installed: pip install 'release-engine[apprise]', or remove the section"
        ) from None
    log = logging.getLogger(_LOGGER)
    log.propagate = False  # it logs URLs, some of them whole
    log.addHandler(logging.NullHandler())
    return {name: _service(apprise, name, url) for name, url in urls.items()}


def _service(apprise: Any, name: str, url: str) -> Service:
    asset = apprise.AppriseAsset(app_id="Release Engine", secure_logging=True, plugin_paths=[], storage_mode="memory")
    service = apprise.Apprise(asset=asset)
    try:
        with warnings.catch_warnings():  # some plug-ins import what warns of its age
            warnings.simplefilter("ignore")
            known = service.add(url)
    except Exception as error:  # of a plug-in; its text may have the URL in it
        raise BadSettings(f"apprise.targets.{name}.url: Apprise cannot use it ({type(error).__name__})") from None
    if not known:
        scheme = url.partition("://")[0][:20] if "://" in url else ""
        shown = f"that begins with {scheme}://" if scheme.isalnum() else "of the form service://…"
        raise BadSettings(
            f"apprise.targets.{name}.url: Apprise takes no URL {shown}, or its parts are wrong; "
            "see https://github.com/caronc/apprise/wiki"
        )
    found: Service = service
    return found
