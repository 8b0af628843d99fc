"""What the transports need to know of their servers. Must not know sockets; reads secrets' files once, when built.

The settings file has one section per transport, `email` and `irc`; its keys are the fields here, passwords
also as `password_file`. No secret shows in a repr.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from re_workers.notify.email_address import Mailbox, parse_mailbox
from re_workers.notify.irc_lines import CHANNEL, KEY, NICK
from re_workers.notify.section import Section

#: where a server of each kind of security listens unless the settings say otherwise
_MAIL_PORTS = {"none": 25, "starttls": 587, "tls": 465}

#: seconds to wait for a server's answer
_TIMEOUT = 30.0


@dataclass(frozen=True)
class EmailSettings:
    """How to reach the mail server, and the sender of the mails."""

    host: str
    sender: Mailbox
    #: `none`, `starttls` (required, never opportunistic) or `tls` from the first byte
    security: str = "starttls"
    port: int = 587
    #: empty: no login
    user: str = ""
    password: str = field(default="", repr=False)
    #: a PEM file of the authorities to trust instead of the system's
    ca_file: str = ""
    #: seconds, for every answer
    timeout: float = _TIMEOUT
    #: seconds an unused connection is kept; servers drop theirs after some minutes
    idle: float = 60.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Build from the section `email`; raises BadSettings. `host` and `sender` are required."""
        section = Section("email", values)
        security = section.choice("security", tuple(_MAIL_PORTS), "starttls")
        try:
            sender = parse_mailbox(section.text("sender"))
        except ValueError as error:
            raise section.bad("sender", str(error)) from error
        settings = cls(
            host=section.text("host"),
            sender=sender,
            security=security,
            port=section.port("port", _MAIL_PORTS[security]),
            user=section.text("user", ""),
            password=section.secret("password"),
            ca_file=section.path("ca_file"),
            timeout=section.seconds("timeout", _TIMEOUT),
            idle=section.seconds("idle", 60.0),
        )
        section.done()
        if bool(settings.user) != bool(settings.password):
            raise section.bad("user", "and email.password (or password_file) go together")
        if settings.user and security == "none" and not _is_here(settings.host):
            raise section.bad("security", "none would send the password in the clear; use starttls or tls")
        return settings


@dataclass(frozen=True)
class IrcSettings:
    """How to reach the IRC network, and the nick there."""

    host: str
    nick: str
    port: int = 6697
    tls: bool = True
    realname: str = "Release Engine"
    #: `none` (then a password is the server's), `plain` (account and password) or `external` (client certificate)
    sasl: str = "none"
    #: the account for `plain`
    user: str = ""
    password: str = field(default="", repr=False)
    #: PEM files: the client certificate and its key, and authorities to trust instead of the system's
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    #: channel -> its key, empty for none; channels without a key need not be listed
    channels: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: seconds, for every answer
    timeout: float = _TIMEOUT

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Build from the section `irc`; raises BadSettings. `host` and `nick` are required."""
        section = Section("irc", values)
        tls = section.flag("tls", True)
        settings = cls(
            host=section.text("host"),
            nick=section.text("nick"),
            port=section.port("port", 6697 if tls else 6667),
            tls=tls,
            realname=section.text("realname", cls.realname),
            sasl=section.choice("sasl", ("none", "plain", "external"), "none"),
            user=section.text("user", ""),
            password=section.secret("password"),
            cert_file=section.path("cert_file"),
            key_file=section.path("key_file"),
            ca_file=section.path("ca_file"),
            channels=section.texts("channels"),
            timeout=section.seconds("timeout", _TIMEOUT),
        )
        section.done()
        _check_irc(section, settings)
        return settings


def _check_irc(section: Section, settings: IrcSettings) -> None:
    if not NICK.fullmatch(settings.nick):
        raise section.bad("nick", f"{settings.nick!r} is not a nick")
    if settings.sasl == "plain" and not (settings.user and settings.password):
        raise section.bad("sasl", "plain needs user and password (or password_file)")
    if settings.sasl == "external" and not (settings.tls and settings.cert_file):
        raise section.bad("sasl", "external needs tls and cert_file")
    if settings.password and not settings.tls and not _is_here(settings.host):
        raise section.bad("tls", "false would send the password in the clear")
    for channel, key in settings.channels.items():
        if not CHANNEL.fullmatch(channel):
            raise section.bad("channels", f"{channel!r} is not a channel")
        if key and not KEY.fullmatch(key):
            raise section.bad(f"channels.{channel}", "is not a channel key")


def _is_here(host: str) -> bool:
    """Whether the server is this machine, where no other party can listen in between."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
