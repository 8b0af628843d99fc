"""What the image installs: every requirement, in a version that meets it, with hashes, from nowhere in particular."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tests.architecture.tree import ROOT, lines_of

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; .*)? \\$")


def pins(path: Path) -> dict[str, str]:
    """Name -> version of a lock file."""
    found = [match for line in path.read_text().splitlines() if (match := _PIN.match(line))]
    return {canonicalize_name(match[1]): match[2] for match in found}


def _extra(name: str) -> list[str]:
    return lines_of("options.extras_require", name)


def _required(name: str) -> list[str]:
    if name == "requirements.lock":
        # the image serves forest runners and apps too
        return [*lines_of("options", "install_requires"), *_extra("forest"), *_extra("dploy")]
    requires: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return requires


@pytest.mark.parametrize("name", ["requirements.lock", "packaging/build.lock"])
def test_the_lock_meets_every_requirement(name: str) -> None:
    """If not: make lock"""
    known = pins(ROOT / name)
    wanted = [Requirement(line) for line in _required(name)]
    missed = [
        str(one)
        for one in wanted
        if Version(known.get(canonicalize_name(one.name), "0")) not in one.specifier
        or canonicalize_name(one.name) not in known
    ]
    assert wanted
    assert missed == []


@pytest.mark.parametrize("name", ["requirements.lock", "packaging/build.lock"])
def test_every_pin_of_the_lock_has_hashes_and_nothing_names_an_index(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    for here, following in zip(lines, [*lines[1:], ""], strict=True):
        if here.startswith(("#", "    --hash=sha256:")):
            continue
        assert _PIN.match(here), here
        assert following.startswith("    --hash=sha256:"), here
    assert "://" not in "\n".join(lines)
