"""CURVE: keys, their files, and what a configuration says of them. Must not know servers and services.

The side that has `clients` is the server of the encryption, the side that has `server_key` its client; which of them binds does
not matter. Keys are 40 characters of Z85. A file of keys is what pyzmq and CZMQ call a certificate.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import zmq
from zmq.utils import z85

from dploylib.errors import ConfigurationError
from dploylib.transport.wrapper import Context

#: what stands for a list of clients where every key may connect
ANY = "any"

_LENGTH = 40
_KEYS = ("secret_key", "secret_key_file", "server_key", "clients")


class KeyPair(NamedTuple):
    """Both halves, Z85."""

    public: str
    secret: str


class Curve(NamedTuple):
    """What one socket needs: its own keys, and the other side's."""

    own: KeyPair
    #: the server's public key; None at the server
    server_key: str | None
    #: public keys that may connect; None: any, or this is a client
    clients: tuple[str, ...] | None

    def options(self, context: Context, domain: str) -> list[tuple[str, str | bytes | int]]:
        """The socket's options, to be set before it is bound or connected. At a server, the context admits its clients from now on.

        `domain` tells the servers of one context apart. Raises zmq.ZMQError as Context.admit does.
        """
        own = [("curve_publickey", self.own.public.encode()), ("curve_secretkey", self.own.secret.encode())]
        if self.server_key is not None:
            return [*own, ("curve_serverkey", self.server_key.encode())]
        context.admit(domain, self.clients)
        return [*own, ("curve_server", 1), ("zap_domain", domain)]


def new_keys() -> KeyPair:
    """A fresh pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def pair_of(secret: str) -> KeyPair:
    """The pair of a secret key. Raises ConfigurationError."""
    return KeyPair(zmq.curve_public(_key("the secret key", secret).encode()).decode(), secret)


def client(server_key: str, own: KeyPair | None = None) -> Curve:
    """A client's side; without keys of its own it gets fresh ones, which a server that admits `any` accepts."""
    return Curve(own or new_keys(), _key("server_key", server_key), None)


def server(own: KeyPair, clients: Iterable[str] | None) -> Curve:
    """A server's side; `clients` are the public keys that may connect, None: any."""
    return Curve(own, None, None if clients is None else tuple(_key("clients", key) for key in clients))


def read(place: str, given: Mapping[str, Any]) -> Curve:
    """The keys under `curve:` of a socket. Raises ConfigurationError, never with a secret in it.

    curve: {secret_key_file: echo.key_secret, clients: [<public key>, …]}      # or clients: any
    curve: {secret_key_file: mine.key_secret, server_key: <public key>}        # or secret_key: <secret key>
    """
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise ConfigurationError(f"{place}.curve: unknown key {unknown[0]!r}; there are {', '.join(_KEYS)}")
    if ("server_key" in given) is ("clients" in given):
        raise ConfigurationError(f"{place}.curve: exactly one of server_key and clients says which side this is")
    try:
        own = _own(given)
        if "server_key" in given:
            return client(given["server_key"], own)
        return server(own, _clients(given["clients"]))
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}.curve: {error}") from None


def write(pair: KeyPair, directory: Path, name: str) -> tuple[Path, Path]:
    """The files `<name>.key` (public) and `<name>.key_secret` (both keys, mode 0600). Raises OSError, FileExistsError among them."""
    secret, public = directory / f"{name}.key_secret", directory / f"{name}.key"
    # the secret first: where one is there already, nothing is written
    _create(secret, 0o600, f'curve\n    public-key = "{pair.public}"\n    secret-key = "{pair.secret}"\n')
    _create(public, 0o644, f'curve\n    public-key = "{pair.public}"\n')
    return public, secret


def read_file(path: str | Path) -> KeyPair:
    """The pair of a file of both keys. Raises ConfigurationError: it cannot be read, others may read it, or it has no secret key."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigurationError(f"{path}: others may read the secret key; chmod 600 {path}")
            lines = file.read(10_000).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "secret-key":
            return pair_of(value.strip().strip('"'))
    raise ConfigurationError(f"{path}: there is no secret-key in it")


def _own(given: Mapping[str, Any]) -> KeyPair:
    if ("secret_key" in given) is ("secret_key_file" in given):
        raise ConfigurationError("exactly one of secret_key and secret_key_file is needed; `dploylib keys` makes them")
    return pair_of(given["secret_key"]) if "secret_key" in given else read_file(str(given["secret_key_file"]))


def _clients(given: Any) -> list[str] | None:
    if given == ANY:
        return None
    if not isinstance(given, list | tuple) or not given:
        raise ConfigurationError("clients: expected a list of public keys, or any")
    return list(given)


def _key(what: str, key: Any) -> str:
    if not isinstance(key, str) or len(key) != _LENGTH or not _decodes(key):
        raise ConfigurationError(f"{what}: expected a key of {_LENGTH} characters (Z85)")
    return key


def _decodes(key: str) -> bool:
    try:
        return z85.encode(z85.decode(key)) == key.encode()
    except (ValueError, KeyError, UnicodeEncodeError):
        return False


def _create(path: Path, mode: int, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
