"""A real puppet agent, without a server: manifests are applied on this machine. Must not know what they want."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.services.recipe import Place, Recipe

RECIPE = Recipe(name="puppet", variable="", program="puppet", packages=("puppet-agent",), user="root")


def program(place: Place, data: Path) -> Path:
    """A directory for the PATH with `puppet`, whose files are in `data`; within the program that is `place.seen(data)`."""
    directory = data / "bin"
    directory.mkdir()
    argv = place.argv(RECIPE, ["puppet"], data)
    file = directory / "puppet"
    file.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    file.chmod(0o755)
    return directory
