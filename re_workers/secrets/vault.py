"""Secrets of HashiCorp Vault or OpenBao, its KV engine of version 2 or 1. Needs the extra `vault` (hvac). Must not know steps.

What goes wrong is said by what the server answered and what to do about it, never with a path's content.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from re_workers.secrets.providers import PATIENCE, SecretFailed, read_file

#: seconds for which the login by an AppRole is used where the server names no time
_LOGIN = 60.0


class Server(NamedTuple):
    """Where it is, and how this worker logs in: by the file of a token, or those of an AppRole."""

    url: str
    token_file: Path | None = None
    role_id_file: Path | None = None
    secret_id_file: Path | None = None
    #: where the AppRole is enabled
    role_mount: str = "approle"
    #: where the engine is mounted, and what stands before the secret's name in the path
    mount: str = "secret"
    prefix: str = ""
    #: the key of the value
    field: str = "value"
    #: version of the KV engine
    kv: str = "2"
    ca_file: Path | None = None
    namespace: str = ""


class Vault:
    """See providers.Provider. The server decides what this worker may read; nothing is kept but the login."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._clock = server, clock
        self.label = f"Vault at {server.url}, {server.mount}/ of KV {server.kv}"
        self._lock = threading.Lock()
        #: until when it is used, and the login
        self._client: tuple[float, Any] | None = None

    def get(self, name: str) -> str | None:
        """See Provider."""
        try:
            import hvac.exceptions
            import requests
        except ImportError as error:
            raise SecretFailed(f"{error.name} is missing: pip install release-engine[vault]") from None
        try:
            found = self._read(name)
        except hvac.exceptions.InvalidPath as error:
            self._check_mount(error)
            return None
        except hvac.exceptions.VaultDown:
            raise SecretFailed(f"{self.label} is sealed, or not ready: unseal it") from None
        except requests.exceptions.SSLError:
            raise SecretFailed(
                f"{self.label}: its certificate is not trusted; name its authority's file as ca_file"
            ) from None
        except requests.ConnectionError:
            raise SecretFailed(f"{self.label} cannot be reached") from None
        except (hvac.exceptions.VaultError, requests.RequestException, OSError) as error:
            raise SecretFailed(f"{self.label} cannot be asked: {type(error).__name__}") from None
        value = found.get(self._server.field) if isinstance(found, dict) else None
        if not isinstance(value, str):
            raise SecretFailed(f"{self.label} has it, without a string under the key {self._server.field!r}")
        return value

    def _read(self, name: str) -> Any:
        """What stands at the path. A login that the server has ended meanwhile is made once more. Raises what hvac does, SecretFailed."""
        import hvac.exceptions

        client, kept = self._logged_in()
        try:
            return self._asked(client, name)
        except hvac.exceptions.Forbidden:
            self._client = None
        if kept:
            client, _ = self._logged_in()
            try:
                return self._asked(client, name)
            except hvac.exceptions.Forbidden:
                self._client = None
        raise SecretFailed(self._refused(client, name))

    def _asked(self, client: Any, name: str) -> Any:
        path, mount = self._server.prefix + name, self._server.mount
        if self._server.kv == "1":
            return client.secrets.kv.v1.read_secret(path=path, mount_point=mount)["data"]
        answer = client.secrets.kv.v2.read_secret_version(path=path, mount_point=mount, raise_on_deleted_version=True)
        return answer["data"]["data"]

    def _refused(self, client: Any, name: str) -> str:
        """The server says the same of a token that it does not know, and of one that may not read this."""
        import hvac.exceptions
        import requests

        try:
            client.auth.token.lookup_self()
        except (hvac.exceptions.VaultError, requests.RequestException):
            how = "token_file" if self._server.token_file is not None else "the AppRole"
            return f"{self.label} does not know the worker's token (any more); see {how}"
        data = "" if self._server.kv == "1" else "data/"
        path = f"{self._server.mount}/{data}{self._server.prefix}{name}"
        return f"{self.label} does not let this worker read it: its policy needs `read` on {path}"

    def _check_mount(self, error: Any) -> None:
        """A path without a secret, and an engine that is not there, have one status. Raises SecretFailed."""
        if any("no handler for route" in str(one) for one in error.errors or ()):
            where = f" in the namespace {self._server.namespace}" if self._server.namespace else ""
            raise SecretFailed(f"{self.label}: nothing is mounted there{where}; see mount and namespace") from None

    def _logged_in(self) -> tuple[Any, bool]:
        """The client, and whether its login is an older one. Raises what hvac does, SecretFailed."""
        with self._lock:
            if self._client is not None and self._clock() < self._client[0]:
                return self._client[1], True
            lasts, client = self._login()
            self._client = self._clock() + lasts, client
            return client, False

    def _login(self) -> tuple[float, Any]:
        """Seconds for which it is used, and the client."""
        import hvac
        import hvac.exceptions

        server = self._server
        verify: Any = True if server.ca_file is None else str(server.ca_file)
        client = hvac.Client(url=server.url, verify=verify, timeout=PATIENCE, namespace=server.namespace or None)
        if server.token_file is not None:
            # read each time: an agent of Vault's replaces it
            client.token = _read(server.token_file)
            return 0.0, client
        role, secret = _read(server.role_id_file), _read(server.secret_id_file)
        try:
            answer = client.auth.approle.login(role_id=role, secret_id=secret, mount_point=server.role_mount)
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
            raise SecretFailed(
                f"{self.label} refuses the AppRole: its secret id is wrong, used up or too old"
            ) from None
        return float(answer["auth"].get("lease_duration") or _LOGIN) / 2, client


def _read(path: Path | None) -> str:
    found = None if path is None else read_file(path)
    if not found:
        raise SecretFailed(f"{path}: there is no such file, or it is empty")
    return found
