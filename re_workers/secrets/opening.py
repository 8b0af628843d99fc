"""The places of the setting `secrets`, opened. Must not know steps, nor the bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from re_core.errors import BadSettings
from re_core.secret_names import FORM, is_name
from re_core.wording import did_you_mean
from re_workers.secrets.providers import Credentials, Files, Provider, Sops, Variables
from re_workers.secrets.vault import Server, Vault

#: the engine's own store, which is always asked last
ENGINE = "engine"

#: what the setting may name
_KINDS = ("credentials", ENGINE, "environment", "files", "sops", "vault")

#: variables that name a file with a private key of sops
SOPS_KEYS = ("SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE")

#: keys of a place that are files or directories, relative to the file of the settings
_PATHS = frozenset({"token_file", "role_id_file", "secret_id_file", "ca_file"})


class Places(NamedTuple):
    """Where a worker process looks for secrets."""

    providers: tuple[Provider, ...]
    #: the engine is asked for what they do not have
    engine: bool
    #: files and directories that no program of a step may read
    hidden: tuple[Path, ...]


def opened(said: Sequence[Any], environ: Mapping[str, str], base: Path) -> Places:
    """`said`: the setting, each item a kind, or an object of a kind and what it needs. Nothing is read yet. Raises BadSettings."""
    providers: list[Provider] = []
    hidden: list[Path] = []
    engine = False
    for number, one in enumerate(said):
        at = f"secrets, item {number + 1}"
        kind, about = _split(one, at)
        if kind == ENGINE:
            engine = True
        elif kind == "credentials":
            providers.append(Credentials(environ))
            hidden += [Path(place) for place in (environ.get("CREDENTIALS_DIRECTORY"),) if place]
        else:
            provider, files = _MAKE[kind](about, environ, base, at)
            providers.append(provider)
            hidden += files
    return Places(tuple(providers), engine, tuple(hidden))


def _split(one: Any, at: str) -> tuple[str, Any]:
    """The kind, and what it needs."""
    kind, about = "", None
    if isinstance(one, str):
        kind = one
    elif len(one) == 1:
        ((kind, about),) = one.items()
    if kind not in _KINDS:
        near = did_you_mean(str(kind), _KINDS)
        raise BadSettings(f"{at}: expected one of {', '.join(_KINDS)}{'; ' + near if near else ''}")
    if kind in _MAKE and about is None:
        raise BadSettings(f"{at}: {kind} needs a value, as in {_EXAMPLES[kind]}")
    if kind not in _MAKE and about is not None:
        raise BadSettings(f"{at}: {kind} stands alone, without a value")
    return kind, about


def _files(about: Any, environ: Mapping[str, str], base: Path, at: str) -> tuple[Provider, list[Path]]:
    place = _path(about, base, f"{at}: files")
    return Files(place), [place]


def _variables(about: Any, environ: Mapping[str, str], base: Path, at: str) -> tuple[Provider, list[Path]]:
    if not isinstance(about, Mapping) or not all(isinstance(one, str) for one in about.values()):
        raise BadSettings(f"{at}: environment: expected secrets and their variables, as in {_EXAMPLES['environment']}")
    for name in about:
        if not is_name(str(name)):
            raise BadSettings(f"{at}: environment: expected the name of a secret, {FORM}, found {str(name)[:80]!r}")
    return Variables(about, environ), []


def _sops(about: Any, environ: Mapping[str, str], base: Path, at: str) -> tuple[Provider, list[Path]]:
    place = _path(about, base, f"{at}: sops")
    keys = [Path(environ[name]) for name in SOPS_KEYS if environ.get(name)]
    return Sops(place), [place, *keys]


def _vault(about: Any, environ: Mapping[str, str], base: Path, at: str) -> tuple[Provider, list[Path]]:
    if not isinstance(about, Mapping):
        raise BadSettings(f"{at}: vault: expected an object, as in {_EXAMPLES['vault']}")
    about = {key: str(value) if key == "kv" and isinstance(value, int) else value for key, value in about.items()}
    for key, value in about.items():
        if key not in Server._fields or not isinstance(value, str):
            raise BadSettings(f"{at}: vault: {key}: expected a string under one of {', '.join(Server._fields)}")
    known: dict[str, Any] = {key: _path(one, base, at) if key in _PATHS else one for key, one in about.items()}
    if not str(about.get("url", "")).startswith(("https://", "http://")):
        raise BadSettings(f"{at}: vault: url: expected https://…")
    if about.get("kv", "2") not in ("1", "2"):
        raise BadSettings(f"{at}: vault: kv: expected 1 or 2, the version of the KV engine")
    by_token, by_role = "token_file" in known, {"role_id_file", "secret_id_file"} <= set(known)
    if by_token == by_role:
        raise BadSettings(f"{at}: vault: name either token_file, or role_id_file and secret_id_file")
    files = [known[key] for key in ("token_file", "role_id_file", "secret_id_file") if key in known]
    return Vault(Server(**known)), files


def _path(value: Any, base: Path, at: str) -> Path:
    if not isinstance(value, str) or not value:
        raise BadSettings(f"{at}: expected a path")
    return base / Path(value).expanduser()


_MAKE: Mapping[str, Callable[[Any, Mapping[str, str], Path, str], tuple[Provider, list[Path]]]] = {
    "files": _files,
    "environment": _variables,
    "sops": _sops,
    "vault": _vault,
}

_EXAMPLES = {
    "files": "files: /etc/release-engine/secrets",
    "environment": "environment: {shop/db: SHOP_DB_PASSWORD}",
    "sops": "sops: secrets.sops.yaml",
    "vault": "vault: {url: https://vault.example.com:8200, token_file: /run/vault/token}",
}
