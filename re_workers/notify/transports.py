"""Which transports there are, and how the handler of one is made from the settings. Must not know queues or workers.

Built-in ones, and those of installed packages: entry points `re_notifiers`, name -> a factory that is called with the transport's section
of the setting `notifiers` and returns its Handler. It raises BadSettings, or anything else, for a section that it cannot use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from re_core.errors import BadSettings, ReleaseEngineError
from re_core.runtime.settings import Settings
from re_core.wording import did_you_mean
from re_workers.notify import email, irc
from re_workers.notify.apprise_urls import AppriseHandler, AppriseSettings
from re_workers.notify.console import ConsoleHandler
from re_workers.notify.digest import NoticePolicy
from re_workers.notify.email import EmailHandler
from re_workers.notify.handler import Handler
from re_workers.notify.irc import IrcHandler
from re_workers.notify.reach import Probe
from re_workers.notify.references import Find, revealed
from re_workers.notify.settings import EmailSettings, IrcSettings
from re_workers.notify.templates import Templates
from re_workers.notify.webhook import WebhookHandler, WebhookSettings
from re_workers.secrets.opening import opened
from re_workers.secrets.providers import SecretFailed
from re_workers.secrets.resolver import Asking, Secrets

#: entry points of installed packages
ENTRY_POINTS = "re_notifiers"

#: those that come with the engine and need a section of their name in the settings file
WITH_SECTION = ("email", "irc", "webhook", "apprise")

#: all that come with the engine
BUILT_IN = (*WITH_SECTION, "console")

#: the name of a transport, which is part of a queue's name and the command of its steps
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

#: what stands for the attempt where a process itself wants a secret
_NO_ATTEMPT = Asking("", "", "")

#: keys of a section that name a file with a secret in it
SECRET_FILES = frozenset({"password_file", "key_file", "secret_file", "old_secret_file", "url_file"})


def makers(settings: Settings) -> Mapping[str, Callable[[], Handler]]:
    """Of each transport whose server is known, how its handler is made; making one may raise BadSettings.

    Raises BadSettings for a section of `notifiers` that is of no installed transport.
    """
    find, url = partial(_secret, settings), settings.public_url
    ways: Mapping[str, Callable[[Mapping[str, Any]], Handler]] = {
        "email": lambda section: EmailHandler(EmailSettings.from_mapping(section)),
        "irc": lambda section: IrcHandler(IrcSettings.from_mapping(section)),
        "webhook": lambda section: WebhookHandler(WebhookSettings.from_mapping(section), url),
        "apprise": lambda section: AppriseHandler(AppriseSettings.from_mapping(section)),
    }
    known: dict[str, Callable[[], Handler]] = {}
    for name in WITH_SECTION:
        if section := getattr(settings, name):
            known[name] = lambda name=name, section=section: ways[name](revealed(name, section, find))  # type: ignore[misc]
    known["console"] = ConsoleHandler
    for name, point in _of_packages(settings.notifiers).items():
        known[name] = partial(_load, name, point, settings.notifiers[name], find)
    return known


def probes(settings: Settings) -> Mapping[str, Probe]:
    """Of each transport with a server that is known: how to see whether it can be reached. Raises BadSettings."""
    found: dict[str, Probe] = {}
    find = partial(_secret, settings)
    if settings.email:
        found["email"] = partial(email.trouble, EmailSettings.from_mapping(revealed("email", settings.email, find)))
    if settings.irc:
        found["irc"] = partial(irc.trouble, IrcSettings.from_mapping(revealed("irc", settings.irc, find)))
    return found


def _secret(settings: Settings, name: str) -> str:
    """The value of a secret that a section refers to, from the places of the setting `secrets`. Raises SecretFailed, BadSettings."""
    base = Path.cwd() if settings.config_file is None else settings.config_file.parent
    places = opened(settings.secrets, os.environ, base)
    try:
        return Secrets(places.providers).resolve([name], _NO_ATTEMPT)[name]
    except SecretFailed as error:
        store = "; the engine's own store gives secrets to steps alone" if places.engine else ""
        raise SecretFailed(f"{error}{store}") from None


def policy(settings: Settings) -> NoticePolicy:
    """What the settings say of notifications of all transports. Raises BadSettings."""
    templates = Templates.from_settings(settings.notify_templates, settings.public_url)
    return NoticePolicy(templates, settings.notify_digest)


def missing(transport: str) -> str:
    """Why a transport that is not configured is not."""
    if transport in BUILT_IN:
        return f"the settings file has no section {transport!r}"
    return f"the setting notifiers has no section {transport!r}"


def secret_files(settings: Settings) -> list[str]:
    """The files with secrets that the sections of transports name."""
    sections = (settings.email, settings.irc, settings.webhook, settings.apprise, settings.notifiers)
    return [file for section in sections for file in _named(section)]


def _named(section: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in section.items():
        if isinstance(value, Mapping):
            found += _named(value)
        elif key in SECRET_FILES and isinstance(value, str) and value:
            found.append(value)
    return found


def _of_packages(sections: Mapping[str, Any]) -> Mapping[str, EntryPoint]:
    """The entry points of the transports that the setting `notifiers` has a section for."""
    if not sections:
        return {}
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    for name, section in sections.items():
        if name in BUILT_IN:
            raise BadSettings(f"notifiers.{name}: comes with the engine; its section is {name} itself")
        if name not in points:
            near = did_you_mean(name, points) or f"installed are {', '.join(sorted(points)) or 'none'}"
            raise BadSettings(f"notifiers.{name}: no installed package has this transport ({ENTRY_POINTS}); {near}")
        if not _NAME.fullmatch(name) or not isinstance(section, Mapping):
            raise BadSettings(f"notifiers.{name}: expected a name of small letters, digits and _, and an object")
    return {name: points[name] for name in sections}


def _load(name: str, point: EntryPoint, section: Mapping[str, Any], find: Find) -> Handler:
    section = revealed(f"notifiers.{name}", section, find, None)
    try:
        handler: Handler = point.load()(section)
    except ReleaseEngineError:
        raise
    except Exception as error:  # its text may repeat a secret of the section
        raise BadSettings(f"notifiers.{name}: {point.value} cannot be used ({type(error).__name__})") from None
    if getattr(handler, "transport", None) != name or not callable(getattr(handler, "deliver", None)):
        raise BadSettings(
            f"notifiers.{name}: {point.value} makes no handler of this transport (re_workers.notify.handler)"
        )
    return handler
