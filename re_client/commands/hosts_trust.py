"""`rectl hosts trust`: shows the public keys of hosts, asks, and stores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from re_client.errors import ApiError, BadInput, ClientError
from re_client.session import Session, pass_session
from re_client.text import safe
from re_core.api.hosts import HostKey

#: what the types of keys begin with
_TYPES = ("ssh-", "ecdsa-", "sk-")

#: a name that is no pattern has none of these
_OF_PATTERNS = frozenset(":!&[*")


@click.command(short_help="Show the keys of hosts, and trust them.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--fingerprint",
    "fingerprints",
    metavar="SHA256:…",
    multiple=True,
    help="Trust only keys with this fingerprint, and do not ask.",
)
@click.option(
    "--keys",
    "file",
    metavar="FILE",
    help="Trust the keys of a file, as ssh-keyscan prints them, instead of asking the host.",
)
@click.option("--replace", is_flag=True, help="Trust them in place of the keys that are trusted now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def trust(
    session: Session, names: tuple[str, ...], fingerprints: tuple[str, ...], file: str | None, replace: bool, yes: bool
) -> None:
    """Show the public keys of hosts with their fingerprints, and trust them; for administrators.

    Compare the fingerprints with those that the host itself prints: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub. The machine of the
    engine asks the host. Workers get trusted keys with each step, beside those of their known_hosts.

    Several hosts stand as in a playbook: rectl hosts trust group:web '!web9'. Each is asked for by itself, and one that does not answer
    keeps no other from being trusted.
    """
    plain = len(names) == 1 and not set(names[0]) & _OF_PATTERNS
    hosts = list(names) if plain else session.client.hosts.select(names)["names"]
    if len(hosts) > 1 and (file is not None or fingerprints):
        raise BadInput(f"--keys and --fingerprint are of one host, and these are {len(hosts)}")
    failed: ClientError | None = None
    for name in hosts:
        try:
            _trust(session, name, fingerprints, file, replace, yes)
        except ApiError as error:
            failed = error
            if len(hosts) > 1:
                session.terminal.error(f"{name}: {error}")
    if failed is not None:
        raise failed if len(hosts) == 1 else BadInput("not all of these hosts are trusted")


def _trust(
    session: Session, name: str, fingerprints: tuple[str, ...], file: str | None, replace: bool, yes: bool
) -> None:
    if file is not None:
        keys = _of_file(file)
    else:
        found = session.client.hosts.scan(name)
        _show(session, "trusted", found["trusted"])
        _show(session, "shown", found["keys"])
        if all(key["trusted"] for key in found["keys"]) and not replace:
            session.terminal.note(f"{safe(name)} shows no key that is not trusted")
            return
        keys = _chosen(found["keys"], fingerprints)
    if not fingerprints:
        session.confirm(f"Trust {'this key' if len(keys) == 1 else f'these {len(keys)} keys'} of {safe(name)}?", yes)
    session.client.hosts.trust(name, keys, replace)
    session.terminal.note(f"{safe(name)}: {len(keys)} key{'' if len(keys) == 1 else 's'} trusted")


def _show(session: Session, what: str, keys: Sequence[HostKey]) -> None:
    for key in keys:
        session.terminal.note(f"{safe(what)}: {safe(key['type'])} {safe(key['fingerprint'])}")


def _chosen(keys: Sequence[HostKey], fingerprints: Sequence[str]) -> list[str]:
    """The keys with these fingerprints; all where none is said. Raises BadInput."""
    if not fingerprints:
        return [key["key"] for key in keys]
    missing = set(fingerprints) - {key["fingerprint"] for key in keys}
    if missing:
        raise BadInput(f"the host shows no key with the fingerprint {sorted(missing)[0]}; nothing is trusted")
    return [key["key"] for key in keys if key["fingerprint"] in fingerprints]


def _of_file(name: str) -> list[str]:
    """`host type key` or `type key` a line. Raises BadInput."""
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{name}: cannot be read: {error}") from None
    words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    keys = [" ".join(parts[1:3] if len(parts) > 2 and parts[1].startswith(_TYPES) else parts[:2]) for parts in words]
    if not keys:
        raise BadInput(f"{name}: no keys")
    return keys
