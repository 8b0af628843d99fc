"""Builds the MongoDB-compatible server of the service root from the Go program in `mongo-wire/`.

Must not know how that server is configured or started.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.services.service_root import DATA_INSIDE, ServiceRoot, run

#: The program's source; its go.sum pins everything that it is built from.
SOURCE = Path(__file__).parent / "mongo-wire"
#: Where the tree has the program, before the digest of its source.
PROGRAM = "/usr/local/bin/mongo-wire-"
#: Go for machines that have none, or too old a one.
PACKAGES = ("ca-certificates", "golang-go")
#: Authorities that this machine trusts, for a build inside the tree.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"

#: A program without libc runs in the tree wherever it was built; no version control system need be there.
_SETTINGS = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def program() -> str:
    """Where the tree has the program, once `build` is through."""
    digest = hashlib.sha256()
    for file in sorted(SOURCE.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return PROGRAM + digest.hexdigest()[:16]


def build(root: ServiceRoot) -> None:
    """Have the program in the tree. Raises Unavailable with the compiler's last words."""
    with root.locked("mongo-wire"):
        target = root.tree / program().removeprefix("/")
        if target.exists():
            return
        with tempfile.TemporaryDirectory(prefix="re-mongo-wire-") as folder:
            work = Path(folder)
            for file in SOURCE.iterdir():
                shutil.copyfile(file, work / file.name)
            run(_on_this_machine(work) if _go_is_new_enough() else _in_the_tree(root, work))
            finished = target.with_suffix(".unfinished")
            shutil.copyfile(work / "mongo-wire", finished)
            finished.chmod(0o755)
            finished.rename(target)


def _go_is_new_enough() -> bool:
    if not shutil.which("go"):
        return False
    settings = {**os.environ, **_SETTINGS}
    done = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False, env=settings)
    needed = re.search(r"^go (\d+\.\d+)", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    found = re.match(r"go(\d+\.\d+)", done.stdout)
    return bool(needed and found and _version(found[1]) >= _version(needed[1]))


def _on_this_machine(work: Path) -> list[str]:
    """With the caches and the module proxy of whoever runs the tests."""
    return _command(str(work), {})


def _in_the_tree(root: ServiceRoot, work: Path) -> list[str]:
    """With Debian's Go; what it downloads and compiles goes with `work`. The environment names the module proxy."""
    root.ensure(PACKAGES)
    settings = {name: f"{DATA_INSIDE}/{name}" for name in ("HOME", "GOPATH", "GOMODCACHE", "GOCACHE")}
    authorities = Path(os.environ.get("SSL_CERT_FILE", AUTHORITIES))
    if authorities.exists():
        shutil.copyfile(authorities, work / "authorities.pem")
        settings["SSL_CERT_FILE"] = f"{DATA_INSIDE}/authorities.pem"
    return root.argv(_command(DATA_INSIDE, settings), work, "root")


def _command(folder: str, settings: dict[str, str]) -> list[str]:
    assignments = [f"{name}={value}" for name, value in {**_SETTINGS, **settings}.items()]
    build = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", "mongo-wire", "."]
    return ["env", f"--chdir={folder}", *assignments, *build]


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
