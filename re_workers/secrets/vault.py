"""Secrets of HashiCorp Vault or OpenBao, its KV engine of version 2. Needs the extra `vault` (hvac). Must not know steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from re_workers.secrets.providers import PATIENCE, SecretFailed, read_file


class Server(NamedTuple):
    """Where it is, and how this worker logs in: by the file of a token, or those of an AppRole."""

    url: str
    token_file: Path | None = None
    role_id_file: Path | None = None
    secret_id_file: Path | None = None
    #: where the engine is mounted, and what stands before the secret's name in the path
    mount: str = "secret"
    prefix: str = ""
    #: the key of the value
    field: str = "value"
    ca_file: Path | None = None
    namespace: str = ""


class Vault:
    """See providers.Provider. The server decides what this worker may read; nothing is kept but the login."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._clock = server, clock
        self.label = f"Vault at {server.url}"
        self._lock = threading.Lock()
        self._client: tuple[float, Any] | None = None

    def get(self, name: str) -> str | None:
        """See Provider."""
        try:
            import hvac
            import hvac.exceptions
            import requests
        except ImportError as error:
            raise SecretFailed(f"{error.name} is missing: pip install release-engine[vault]") from None
        try:
            with self._lock:
                client = self._logged_in(hvac)
            answer = client.secrets.kv.v2.read_secret_version(
                path=self._server.prefix + name, mount_point=self._server.mount, raise_on_deleted_version=True
            )
        except hvac.exceptions.InvalidPath:
            return None
        except hvac.exceptions.Forbidden:
            self._client = None
            raise SecretFailed(f"{self.label} does not let this worker read it; see its policy") from None
        except (hvac.exceptions.VaultError, requests.RequestException, OSError) as error:
            self._client = None
            raise SecretFailed(f"{self.label} cannot be asked: {type(error).__name__}") from None
        value = answer["data"]["data"].get(self._server.field)
        if not isinstance(value, str):
            raise SecretFailed(f"{self.label} has it, without a string under the key {self._server.field!r}")
        return value

    def _logged_in(self, hvac: Any) -> Any:
        if self._client is not None and self._clock() < self._client[0]:
            return self._client[1]
        server = self._server
        verify: Any = True if server.ca_file is None else str(server.ca_file)
        client = hvac.Client(url=server.url, verify=verify, timeout=PATIENCE, namespace=server.namespace or None)
        lasts = float("inf")
        if server.token_file is not None:
            # read each time: an agent of Vault's replaces it
            client.token, lasts = _read(server.token_file), 0.0
        else:
            role, secret = _read(server.role_id_file), _read(server.secret_id_file)
            answer = client.auth.approle.login(role_id=role, secret_id=secret)
            lasts = float(answer["auth"].get("lease_duration") or 60) / 2
        self._client = self._clock() + lasts, client
        return client


def _read(path: Path | None) -> str:
    found = None if path is None else read_file(path)
    if not found:
        raise SecretFailed(f"{path}: there is no such file, or it is empty")
    return found
