"""The environment of an app's processes: groups of variables become one. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def flatten(env: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, str], list[str]]:
    """All variables, groups in the order of their names, a later one wins; and a line for each that stood in two.

    The lines name no values.
    """
    flat: dict[str, str] = {}
    origin: dict[str, str] = {}
    lines = []
    for group in sorted(env):
        for name, value in sorted(env[group].items()):
            if name in flat and flat[name] != value:
                lines.append(f"{name} of {group} replaces that of {origin[name]}")
            flat[name], origin[name] = value, group
    return flat, lines
