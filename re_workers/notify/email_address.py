"""Mail addresses, strictly: what passes here is safe in a header and in an SMTP command. Pure.

RFC 5322 allows quoted strings, comments and folding in addresses, and every one of them has been a way to smuggle
something past a check. Only the plain form is taken: dot-separated atoms, `@`, a domain name; both sides may
hold letters beyond ASCII (RFC 6531), which the server must then announce to take (SMTPUTF8).
"""

from __future__ import annotations

import re
import unicodedata
from email.headerregistry import Address
from typing import NamedTuple

#: octets, RFC 5321 §4.5.3.1
MAX_LOCAL, MAX_DOMAIN, MAX_LABEL = 64, 255, 63

#: `atext` of RFC 5322, and what lies beyond ASCII
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9\x80-\U0010ffff-]+(?<!-)")
_MAILBOX = re.compile(r"(?:(?P<name>[^<>]*?)\s*<(?P<inner>[^<>]*)>|(?P<bare>[^<>]*))")


class Mailbox(NamedTuple):
    """A name for people, possibly empty, and an ASCII address."""

    name: str
    address: str


def parse_address(text: str) -> Address:
    """The address, taken apart; raises ValueError with what is wrong."""
    # Not printable are control, format and separator characters and lone surrogates; what another reader's
    # normalisation would turn into something else (a wide @, say) is no address either.
    if not text.isprintable() or unicodedata.normalize("NFKC", text) != text:
        raise ValueError("has characters that are not allowed in an address")
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError("an address needs an @")
    if not _LOCAL.fullmatch(local) or len(local.encode()) > MAX_LOCAL:
        raise ValueError("the part before the @ is not a plain local part")
    if len(domain.encode()) > MAX_DOMAIN or not all(map(_is_label, domain.split("."))):
        raise ValueError("the part after the @ is not a domain")
    return Address(username=local, domain=domain)


def parse_mailbox(text: str) -> Mailbox:
    """`a@example.com` or `Some Name <a@example.com>`; raises ValueError with what is wrong."""
    match = _MAILBOX.fullmatch(text.strip())
    if not match or not text.isprintable():
        raise ValueError("must be an address, or a name and an address in <>")
    address = parse_address(match["bare"] if match["bare"] is not None else match["inner"]).addr_spec
    if not address.isascii():
        raise ValueError("must be an ASCII address: not every server accepts others")
    return Mailbox((match["name"] or "").strip('" '), address)


def _is_label(label: str) -> bool:
    return bool(_LABEL.fullmatch(label)) and len(label.encode()) <= MAX_LABEL
