"""What setup.cfg ships is what the tree holds, and every dependency has its reason on a page."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.tree import ROOT, lines_of, metadata, package_folders

#: Direct dependencies of the default install.
MOST_DEPENDENCIES = 15


def _requirement(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found, line
    return found[0]


def test_the_default_install_has_at_most_15_direct_dependencies_each_with_its_reason() -> None:
    names = [_requirement(line) for line in lines_of("options", "install_requires")]
    assert len(names) <= MOST_DEPENDENCIES
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert sorted(explained) == sorted(names)


def test_every_package_of_the_tree_is_shipped() -> None:
    found = {
        ".".join([name, *marker.parent.relative_to(folder).parts])
        for name, folder in package_folders().items()
        for marker in folder.rglob("__init__.py")
    }
    assert found == set(lines_of("options", "packages"))


def _shipped_data(package: str, folder: Path) -> set[Path]:
    table = metadata()["options.package_data"]
    patterns = f"{table['*']}, {table.get(package, '')}".split(",")
    return {path for pattern in patterns if pattern.strip() for path in folder.glob(pattern.strip())}


def test_every_data_file_of_the_packages_is_shipped() -> None:
    forgotten = [
        str(path.relative_to(ROOT))
        for package, folder in package_folders().items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path not in _shipped_data(package, folder)
    ]
    assert forgotten == []
