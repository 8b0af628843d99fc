"""The public keys that a host shows, asked for by the system's ssh-keyscan. Must not know inventories.

It runs where this process runs: what another machine is shown may differ. Nothing is stored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
from typing import NamedTuple

from re_core.errors import ReleaseEngineError

#: seconds that a host has to answer, and that the programs have in all
_ANSWER, _ALL = 5, 20
#: keys of one host
_MOST = 20


class ScanFailed(ReleaseEngineError):
    """The keys of the host cannot be asked for."""

    reason = "scan-failed"


class Way(NamedTuple):
    """Where a host is, as the ssh_config of this user has it."""

    address: str
    port: int
    #: through what it is reached; empty: directly
    through: str = ""


def way(name: str, port: int | None) -> Way:
    """What ssh makes of a name. Raises ScanFailed."""
    out = _run(["ssh", "-G", *([] if port is None else ["-p", str(port)]), "--", name])
    words = dict(line.split(" ", 1) for line in out.splitlines() if " " in line)
    through = next((words[one] for one in ("proxyjump", "proxycommand") if words.get(one, "none") != "none"), "")
    return Way(words.get("hostname", name), int(words.get("port", "22")), through)


def scan(where: Way) -> list[str]:
    """`ssh-ed25519 AAAA…` for each type that the host has. Raises ScanFailed."""
    out = _run(["ssh-keyscan", "-T", str(_ANSWER), "-p", str(where.port), "--", where.address])
    rows = [line.split(" ") for line in out.splitlines() if line and not line.startswith("#")]
    found = sorted({f"{row[1]} {row[2]}" for row in rows if len(row) == 3})[:_MOST]
    if not found:
        raise ScanFailed(
            f"{where.address} port {where.port} shows no key within {_ANSWER} s: is it up, and does sshd listen there?"
        )
    return found


def fingerprint(key: str) -> str:
    """`SHA256:…` of a public key, as ssh shows it; empty for what is none."""
    try:
        blob = base64.b64decode(key.split(" ")[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _run(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ALL, check=False)
    except FileNotFoundError:
        raise ScanFailed(f"{argv[0]} is not installed on the machine of the engine") from None
    except subprocess.TimeoutExpired:
        raise ScanFailed(f"{argv[0]} did not end within {_ALL} s") from None
    except (OSError, ValueError) as error:
        raise ScanFailed(f"{argv[0]} cannot be started: {error}") from None
    said = done.stderr.decode(errors="replace").strip()[-500:]
    if done.returncode and said and not done.stdout:
        raise ScanFailed(f"{argv[0]}: {said}")
    return done.stdout.decode(errors="replace")
