"""A program of the examples in Node, with the packages that it needs. Must not know what it does."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.services.service_root import run
from tests.services.unavailable import Unavailable

#: what the examples need
NEEDED = (20, 15)


def installed(source: Path, cache: Path) -> Path:
    """A copy of the directory `source` with the packages of its package.json, kept in `cache`. Raises Unavailable."""
    if why := _missing():
        raise Unavailable(f"no Node {NEEDED[0]}.{NEEDED[1]}: {why}; install nodejs and npm")
    wanted = (source / "package.json").read_bytes()
    modules = cache / f"node-{hashlib.sha256(wanted).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    if not modules.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="node-", dir=cache))
        (unfinished / "package.json").write_bytes(wanted)
        run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(unfinished)])
        try:
            unfinished.rename(modules)
        except OSError:  # another run was faster
            shutil.rmtree(unfinished)
    for one in source.iterdir():
        if one.is_file():
            shutil.copyfile(one, modules / one.name)
    return modules


def _missing() -> str:
    for program in ("node", "npm"):
        if not shutil.which(program):
            return f"there is no {program}"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return "" if found and (int(found[1]), int(found[2])) >= NEEDED else f"node is {said.strip()}"
