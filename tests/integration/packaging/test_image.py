"""The Dockerfile, as far as it can be judged without a container engine: a linter, and what it copies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.architecture.tree import ROOT, package_folders

DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(keyword, rest) of every instruction, in order."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(words[0], words[2]) for line in text.splitlines() if (words := line.partition(" "))[0]]


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    ran = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_image_does_not_run_as_root() -> None:
    keywords = [keyword for keyword, _ in instructions()]
    last = len(keywords) - 1 - keywords[::-1].index("FROM")
    users = [rest for keyword, rest in instructions()[last:] if keyword == "USER"]
    assert users
    assert not users[-1].startswith(("root", "0"))


def test_base_images_name_their_version() -> None:
    bases = [rest.split()[0] for keyword, rest in instructions() if keyword == "FROM"]
    assert bases
    assert all(re.fullmatch(r"[\w/]+:\d[\w.-]*", base) for base in bases)


def test_packages_come_by_hash_only() -> None:
    installs = [
        part for keyword, rest in instructions() if keyword == "RUN" for part in rest.split("&&") if " install " in part
    ]
    assert installs
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)


def test_every_package_of_the_tree_is_copied_and_nothing_that_the_ignore_file_holds_back() -> None:
    copied = {
        word
        for keyword, rest in instructions()
        if keyword == "COPY" and not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert {str(folder.relative_to(ROOT)).split("/")[0] for folder in package_folders().values()} <= copied
    assert all((ROOT / name).exists() for name in copied)
