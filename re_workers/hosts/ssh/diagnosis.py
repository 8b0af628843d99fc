"""What the ssh client says when it cannot connect: what kind of trouble that is, and what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from re_core.runtime.host_keys import fingerprint
from re_workers.hosts.port import BadHost, HostError, HostKeyRefused, LoginRefused, Unreachable

#: characters of what ssh said that a message repeats
_MOST = 1500


class Diagnosis(NamedTuple):
    """Of one attempt to connect."""

    error: HostError
    #: it may be otherwise a moment later: the server drops connections when many begin at once
    is_passing: bool = False


class _Sign(NamedTuple):
    pattern: re.Pattern[str]
    kind: Callable[[str], HostError]
    #: what it means
    words: str
    #: what to do; {host}, {ssh} (the command to try by hand), and the groups of the pattern
    advice: str
    is_passing: bool = False


def _sign(pattern: str, kind: Callable[[str], HostError], words: str, advice: str, is_passing: bool = False) -> _Sign:
    return _Sign(re.compile(pattern, re.IGNORECASE), kind, words, advice, is_passing)


#: the first that is found says what it is: more particular ones come earlier
_SIGNS = (
    _sign(
        r"remote host identification has changed",
        HostKeyRefused,
        "it shows another host key than the trusted one{shown}{where}. Either it was installed again, or another machine answers",
        "compare the fingerprint with the one on its console; if it is right: rectl hosts trust {host} --replace",
    ),
    _sign(
        r"no (?P<type>\S+) host key is known for|host key verification failed|no matching host key",
        HostKeyRefused,
        "its host key is not known{shown}",
        "see its fingerprint and trust it: rectl hosts trust {host}; or set host_key: trust-first for it",
    ),
    _sign(
        r"too many authentication failures",
        LoginRefused,
        "the ssh agent offered more keys than the host lets a client try",
        "name the right one: identity: in the inventory, or IdentityFile and IdentitiesOnly yes in ssh_config",
    ),
    _sign(
        r"permission denied \((?P<methods>[^)]*)\)",
        LoginRefused,
        "it does not let {user} in (it takes: {methods})",
        "put the public key into ~/.ssh/authorized_keys there; `{ssh}` says which keys were tried. "
        "A password or a passphrase is never asked for: load the key into an ssh agent",
    ),
    _sign(
        r"(?P<line>\S+:? line \d+: (?:bad|missing|invalid|unsupported|no argument|extra|garbage|keyword)[^\n]*)",
        BadHost,
        "the ssh configuration of this worker is wrong: {line}",
        "mend that line, and try `{ssh}`",
    ),
    _sign(
        r"could not resolve hostname (?P<name>\S+): (?P<why>[^\n]*)",
        Unreachable,
        "its name is not known here ({name}: {why})",
        "see the spelling, or give it an address: in the inventory",
    ),
    _sign(
        r"control socket connect",
        Unreachable,
        "the connection to the host through which it is reached was lost",
        "it is tried again",
        is_passing=True,
    ),
    _sign(
        r"administratively prohibited",
        Unreachable,
        "the host through which it is reached does not let this user go on from there",
        "set AllowTcpForwarding yes in its sshd_config, or PermitOpen for {host}",
    ),
    _sign(
        r"open failed: connect failed: name or service not known",
        Unreachable,
        "its name is not known to the host through which it is reached",
        "see the spelling, or give it an address: in the inventory",
    ),
    _sign(
        r"connection refused",
        Unreachable,
        "no ssh server listens there (connection refused)",
        "see whether sshd runs, and the port: `{ssh}`",
    ),
    _sign(
        r"(?:connection|operation) timed out|timed out during banner|connection to .* timed out|server \S+ not responding",
        Unreachable,
        "it does not answer (timed out)",
        "see whether it is up, and whether a firewall is between this worker and it: `{ssh}`; a slow one takes connect_timeout:",
    ),
    _sign(
        r"no route to host|network is unreachable|host is down",
        Unreachable,
        "there is no way to its network from this worker",
        "see address: and jump: in the inventory",
    ),
    _sign(
        r"no matching (?P<what>key exchange method|cipher|mac|host key type) found[^\n]*",
        LoginRefused,
        "it and this worker's ssh have no {what} in common",
        "see `{ssh}`; an old server needs KexAlgorithms, Ciphers or HostKeyAlgorithms in ssh_config",
    ),
    _sign(
        r"too long for unix domain socket",
        BadHost,
        "the directory of the control sockets has too long a name",
        "set XDG_RUNTIME_DIR to a short path",
    ),
    _sign(
        r"kex_exchange_identification|ssh_exchange_identification|connection (?:closed|reset) by|banner exchange|broken pipe",
        Unreachable,
        "it closes the connection before anyone has logged in",
        "sshd drops connections when many begin at once (MaxStartups), or blocks this worker (fail2ban, hosts.deny)",
        is_passing=True,
    ),
)

#: words and advice of a refused key where the inventory has the keys
_PINNED = (
    "its host key is none of the `host_keys` that the inventory has of it{shown}",
    "compare the fingerprint with the one on its console; if it is right, change `host_keys` there (`ssh-keyscan` prints the key)",
)


def diagnose(
    said: str, host: str, ssh: str, jump: str = "", pinned: bool = False, keys: Sequence[str] = (), known: str = ""
) -> Diagnosis:
    """Of what ssh printed. `ssh`: the command with which a person can try it; `jump`: the host through which it goes; `pinned`: the
    inventory says its keys. `known`: the file in which ssh found those that the engine trusts, `keys`."""
    text = said.strip()
    through = f" (through {jump})" if jump else ""
    for sign in _SIGNS:
        if (match := sign.pattern.search(text)) is not None:
            facts = {"host": host, "ssh": ssh, "user": _user(text)}
            facts |= {"shown": _fingerprint(text), "where": _offending(text, keys, known)}
            facts |= {name: value or "unknown" for name, value in match.groupdict().items()}
            meaning, advice = _PINNED if pinned and sign.kind is HostKeyRefused else (sign.words, sign.advice)
            words = f"{host}{through}: {meaning.format(**facts)}; {advice.format(**facts)}"
            return Diagnosis(sign.kind(words), sign.is_passing)
    shown = "; ".join(text[-_MOST:].splitlines()) or "it printed nothing"
    return Diagnosis(Unreachable(f"{host}{through} cannot be reached: {shown}; try `{ssh}`"))


def _fingerprint(text: str) -> str:
    found = re.search(r"(SHA256:[A-Za-z0-9+/]{20,64})", text)
    kind = re.search(r"fingerprint for the (\S+) key|(\S+) key fingerprint is|(\S+) host key for", text)
    name = next((one for one in kind.groups() if one), "") if kind else ""
    return f" ({name + ' ' if name else ''}{found[1]})" if found else ""


def _user(text: str) -> str:
    found = re.search(r"^(?P<user>\S+)@\S+: permission denied", text, re.IGNORECASE | re.MULTILINE)
    return f"the user {found['user']}" if found else "the user"


def _offending(text: str, keys: Sequence[str], known: str) -> str:
    """Which key was trusted: the line of the person's file, or, where the engine keeps it, its fingerprint."""
    found = re.search(r"Offending .*key in (\S+):(\d+)", text)
    if found is None:
        return ""
    if found[1] != known or not 0 < (line := int(found[2])) <= len(keys):
        return f"; the trusted one stands in {found[1]}:{found[2]}"
    return f"; the engine trusts {fingerprint(keys[line - 1])}"
