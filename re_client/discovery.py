"""Which engine, and with which token: what is set, else what a local `rectl up` left. Must not know the API.

The local token has all rights, so it is never sent anywhere but to the address that its engine wrote beside it.
"""

from __future__ import annotations

from pathlib import Path

from re_client.errors import NotReachable
from re_core.runtime.settings import Settings

#: files that `rectl up` writes into its data directory
URL_FILE, TOKEN_FILE = "url", "token"


def find(settings: Settings) -> tuple[str, str]:
    """(address, token); the token may be empty. Raises NotReachable where no engine is known."""
    if settings.url and settings.token:
        return settings.url.rstrip("/"), settings.token  # a program of a step cannot read the rest
    local = _first_line(settings.data_dir / URL_FILE).rstrip("/")
    url = settings.url.rstrip("/") or local
    if not url:
        raise NotReachable(
            f"no engine to connect to: RE_URL is not set, and no engine runs on this machine ({settings.data_dir} has no file"
            f" {URL_FILE}); start one with `rectl up`"
        )
    if settings.token:
        return url, settings.token
    return url, _first_line(settings.data_dir / TOKEN_FILE) if url == local else ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip().partition("\n")[0]
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise NotReachable(f"{path} cannot be read: {error.strerror}; set RE_URL and RE_TOKEN") from None
