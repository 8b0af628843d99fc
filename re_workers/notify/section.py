"""Reads one section of the settings file, strictly. Must not know what its keys are for.

Every complaint is a BadSettings that names the section and the key, and never shows a value that may be secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from re_core.errors import BadSettings
from re_core.wording import did_you_mean


class Section:
    """The keys of one section, taken one by one; `done` refuses those that were not taken."""

    def __init__(self, name: str, values: Mapping[str, object]) -> None:
        self._name = name
        self._values = values
        self._known: set[str] = set()

    def bad(self, key: str, what: str) -> BadSettings:
        """The error that says what is wrong with a key."""
        return BadSettings(f"{self._name}.{key}: {what}")

    def text(self, key: str, default: str | None = None) -> str:
        """A string on one line; required and not empty when there is no default."""
        value = self._take(key, default)
        if value is None or (value == "" and default is None):
            raise self.bad(key, "is required")
        if not isinstance(value, str):
            raise self.bad(key, f"must be a string, not {_kind(value)}")
        if any(char in value for char in "\r\n\0"):
            raise self.bad(key, "must be one line without NUL")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """One of a few values."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.bad(key, f"must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.bad(key, f"must be true or false, not {_kind(value)}")
        return value

    def port(self, key: str, default: int) -> int:
        """A TCP port."""
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
            raise self.bad(key, "must be a port number from 1 to 65535")
        return value

    def seconds(self, key: str, default: float) -> float:
        """A positive, finite time."""
        value = self._take(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 86400:
            raise self.bad(key, "must be a number of seconds from above 0 to 86400")
        return float(value)

    def secret(self, key: str) -> str:
        """A secret under `key`, or the first line of the file that `<key>_file` names; empty without either."""
        file = self.path(f"{key}_file")
        if not file:
            return self.text(key, "")
        if self._take(key, None) is not None:
            raise self.bad(key, f"is given twice: here and as {key}_file")
        try:
            found = Path(file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise self.bad(f"{key}_file", f"cannot be read: {error}") from error
        if not found or any(char in found for char in "\r\n\0"):
            raise self.bad(f"{key}_file", "must hold one line, not empty, without NUL")
        return found

    def path(self, key: str) -> str:
        """The path of a file that is there; empty when the key is not."""
        value = self.text(key, "")
        if value and not Path(value).is_file():
            raise self.bad(key, f"there is no file {value!r}")
        return value

    def texts(self, key: str) -> dict[str, str]:
        """An object of strings; null stands for the empty string."""
        value = self._take(key, {})
        if not isinstance(value, Mapping):
            raise self.bad(key, f"must be an object, not {_kind(value)}")
        inner = Section(f"{self._name}.{key}", value)
        return {name: inner.text(name, "") for name in map(str, value)}

    def sections(self, key: str) -> dict[str, Section]:
        """An object of objects, by name, each as a section of its own."""
        value = self._take(key, {})
        if not isinstance(value, Mapping):
            raise self.bad(key, f"must be an object, not {_kind(value)}")
        for name, inner in value.items():
            if not isinstance(inner, Mapping):
                raise self.bad(f"{key}.{name}", f"must be an object, not {_kind(inner)}")
        return {str(name): Section(f"{self._name}.{key}.{name}", inner) for name, inner in value.items()}

    def items(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of strings."""
        value = self._take(key, list(default))
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.bad(key, f"must be a list of strings, not {_kind(value)}")
        return tuple(value)

    def done(self) -> None:
        """Raise for the first key that is not known, with the nearest that is."""
        for key in self._values:
            if key not in self._known:
                hint = did_you_mean(str(key), self._known) or f"known are {', '.join(sorted(self._known))}"
                raise self.bad(str(key), f"is not a setting; {hint}")

    def _take(self, key: str, default: object) -> object:
        self._known.add(key)
        value = self._values.get(key)
        return default if value is None else value


def unknown_target(transport: str, name: str, known: Iterable[str]) -> str:
    """What to say of a target that the settings do not name."""
    names = sorted(known)
    near = did_you_mean(name, names) or f"known are {', '.join(names) or 'none'}"
    return f"the settings have no {transport}.targets.{name[:60]}; {near}"


def _kind(value: object) -> str:
    names = {str: "a string", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)
