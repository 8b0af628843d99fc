"""What a configuration says of one socket, read into what the socket needs. Must not know servers.

uri: tcp://127.0.0.1:5000
options: [[sndhwm, 100]]     # names of zmq, set before the socket is bound or connected
delimiter: true              # a DEALER that speaks with a REP or a ROUTER
curve: …                     # dploylib.transport.curve
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dploylib.errors import ConfigurationError, MissingSetting
from dploylib.transport import curve

_KEYS = ("uri", "options", "delimiter", "curve")


class SocketSettings(NamedTuple):
    """One socket's."""

    uri: str
    #: None if none are configured
    options: Any
    delimiter: bool
    curve: curve.Curve | None


def read(place: str, info: Mapping[str, Any]) -> SocketSettings:
    """What the configuration says at `place`, such as `echo.request`. Raises ConfigurationError: a key is missing, unknown or wrong.

    Unknown keys are refused since one of them may be a misspelt `curve`; those that begin with `x-` are the program's own.
    """
    if isinstance(info, Mapping):
        unknown = [key for key in info if key not in _KEYS and not str(key).startswith("x-")]
        if unknown:
            raise ConfigurationError(f"{place}: unknown key {unknown[0]!r}; a socket has {', '.join(_KEYS)}")
        if "uri" not in info:
            raise MissingSetting(f"{place}: uri is missing")
    return SocketSettings(
        uri=info["uri"],
        options=_options(place, info.get("options")),
        delimiter=info.get("delimiter") is True,
        curve=_curve(place, info.get("curve")),
    )


def _options(place: str, options: Any) -> Any:
    if isinstance(options, list | tuple):
        wrong = [one for one in options if not isinstance(one, list | tuple) or len(one) != 2]
        if wrong:
            raise ConfigurationError(f"{place}.options: {wrong[0]!r} is no pair of a name and a value")
    elif isinstance(options, str | Mapping):
        raise ConfigurationError(f"{place}.options: expected a list of pairs, [[name, value], …]")
    return options


def _curve(place: str, given: Any) -> curve.Curve | None:
    if isinstance(given, Mapping):
        return curve.read(place, given)
    if isinstance(given, str | list | bool | int):
        raise ConfigurationError(f"{place}.curve: expected keys and values")
    return None
