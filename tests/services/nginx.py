"""A real nginx with a configuration of the test's. Must not know what it serves."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.recipe import Place, Recipe
from tests.services.server import Server

RECIPE = Recipe(
    name="nginx",
    # nobody else's could have the configuration of a test
    variable="",
    program="nginx",
    packages=("nginx", "libnginx-mod-stream"),
    user="www-data",
)

#: directory of its files, in the configuration
FILES = "/tmp/"


@contextmanager
def running(place: Place, data: Path, configuration: str, port: int) -> Iterator[None]:
    """nginx on `port` while the block lasts; its files, in FILES of the configuration, are in `data`. Raises Unavailable."""
    argv = command(place, data, configuration)
    with Server([*argv, "-g", "daemon off;"], [port], data / "nginx.log", signaller=place.deliver):
        yield


def checked(place: Place, data: Path, configuration: str) -> str:
    """What nginx finds wrong with it; empty where nothing is."""
    ran = subprocess.run([*command(place, data, configuration), "-t", "-q"], capture_output=True, text=True, timeout=60)
    return ran.stdout + ran.stderr if ran.returncode else ""


def loading(place: Place, kind: str) -> str:
    """The line that loads this kind of server (`stream`), where it is a module of its own; empty where it is built in."""
    argv = place.argv(RECIPE, ["nginx", "-V"], Path("/tmp"))
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60).stderr
    folder = re.search(r"--modules-path=(\S+)", said)
    return f"load_module {folder[1]}/ngx_{kind}_module.so;\n" if folder and f"--with-{kind}=dynamic" in said else ""


def command(place: Place, data: Path, configuration: str) -> list[str]:
    """The words that start it with this configuration."""
    data.chmod(0o777)
    file = data / "nginx.conf"
    file.write_text(configuration.replace(FILES, f"{place.seen(data)}/"))
    file.chmod(0o644)
    return place.argv(
        RECIPE, ["nginx", "-e", "stderr", "-p", place.seen(data), "-c", f"{place.seen(data)}/nginx.conf"], data
    )
