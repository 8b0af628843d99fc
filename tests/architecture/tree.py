"""The repository as the architecture tests see it: its packages, their modules, its metadata. Judges nothing."""

from __future__ import annotations

import ast
from configparser import ConfigParser
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def metadata() -> ConfigParser:
    """setup.cfg, as written."""
    parser = ConfigParser(interpolation=None)
    parser.read_string((ROOT / "setup.cfg").read_text())
    return parser


def lines_of(section: str, option: str) -> list[str]:
    """The words of a setup.cfg option that holds one a line."""
    return [line.strip() for line in metadata()[section][option].splitlines() if line.strip()]


def package_folders() -> dict[str, Path]:
    """Folder of each top-level package that is shipped, by its name."""
    moved = dict(line.split(" = ") for line in lines_of("options", "package_dir"))
    names = lines_of("importlinter", "root_packages")
    return {name: ROOT / moved.get(name, name) for name in names}


def modules() -> list[Path]:
    """Every Python file that is shipped."""
    return sorted(path for folder in package_folders().values() for path in folder.rglob("*.py"))


def sources() -> list[Path]:
    """Every Python file of the repository, tests and benchmarks included."""
    others = [path for folder in ("tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
    return [*modules(), *sorted(others)]


def dotted(path: Path) -> str:
    """The import name of a shipped Python file."""
    for name, folder in package_folders().items():
        if path.is_relative_to(folder):
            parts = path.relative_to(folder).with_suffix("").parts
            return ".".join([name, *(part for part in parts if part != "__init__")])
    raise ValueError(f"{path} is in no package")


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path) -> str:
    """The path as a person would type it."""
    return str(path.relative_to(ROOT))
