"""From an archive to a payload: unpack, run the app's build, read what it says, pack. Must not know where archives come from.

An executable `bin/build` is the build; else what `requirements.txt` names is installed with pip; without either the files are
packed as they are.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

from re_core.apps.names import VARIABLE, is_reserved
from re_core.apps.procfile import MOST as MOST_PROCFILE
from re_core.apps.procfile import Procfile, parse_procfile
from re_core.artifacts.tar import PIECE, TarBounds
from re_core.errors import BadDocument
from re_dploy.build import with_pip
from re_dploy.build.failures import BuildFailed, BuildStopped
from re_dploy.build.python import Python
from re_dploy.build.sandbox import GIVEN, Limits, Sandbox, free, run
from re_dploy.cargo import BadCargo, Packed, pack, unpack_source
from re_dploy.zone.fetching import open_beneath

#: bytes of `.dploy/env`, and of the variables in it together
MOST_ENV = 4096

#: what the build's own files are below
_PRIVATE = ".dploy"

__all__ = ["Built", "Limits", "build"]


class Built(NamedTuple):
    """What a build has made."""

    packed: Packed
    #: the payload
    path: Path
    #: type -> command
    processes: Mapping[str, str]
    #: command that runs once per version; empty: none
    release: str
    #: variables that the build has set
    env: Mapping[str, str]
    #: minor version of Python that what was installed needs; empty: none
    python: str


class App(NamedTuple):
    """What a build knows of the app."""

    name: str
    #: 40 or 64 hexadecimal digits; empty where it is not known
    commit: str = ""
    #: further variables, of the builder's
    marks: Mapping[str, str] = {}


def build(
    archive: Path,
    work: Path,
    app: App,
    sandbox: Sandbox,
    python: Python | None,
    limits: Limits,
    say: Callable[[str], None],
    stop: threading.Event,
) -> Built:
    """Build the archive in the empty directory `work`, whose files are the caller's to remove.

    `python` installs requirements; None: this builder has none. `say` gets each line. Raises BuildFailed, BuildStopped, OSError.
    """
    try:
        tree = _unpacked(archive, work, app, limits, stop)
        _give(work, tree, sandbox)
        installs = _run(tree, work, app, sandbox, python, limits, say, stop)
        procfile = _procfile(tree)
        for warning in procfile.warnings:
            say(warning)
        env = _env(tree)
        path = work / "payload"
        with path.open("xb") as out:
            packed = pack(tree, out, TarBounds(size=limits.disk))
    except BadCargo as error:
        raise BuildFailed(str(error)) from None
    return Built(packed, path, procfile.processes, procfile.release, env, python.version if installs and python else "")


def _unpacked(archive: Path, work: Path, app: App, limits: Limits, stop: threading.Event) -> Path:
    """The directory with the app's files. Raises BuildFailed where the archive is of another commit."""

    def look() -> None:
        if stop.is_set():
            raise BuildStopped("the build was to stop")
        if free(work) < limits.free:
            raise BuildFailed(f"less than {limits.free} bytes of the builder's disk are free")

    source = work / "source"
    source.mkdir(mode=0o700)
    place = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        top, commit = unpack_source(_pieces(archive), place, TarBounds(size=min(limits.disk, TarBounds().size)), look)
    finally:
        os.close(place)
    if commit and app.commit and commit != app.commit:
        raise BuildFailed(f"the archive is of commit {commit[:64]}, and {app.commit} was to be released")
    return source / top if top else source


def _pieces(archive: Path) -> Iterator[bytes]:
    with archive.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _give(work: Path, tree: Path, sandbox: Sandbox) -> None:
    """Home and temporary directory, and all files to the build's user, who can enter `work` from then on."""
    for name in ("home", "tmp"):
        (work / name).mkdir(mode=0o700)
    user = sandbox.user
    if user is None:
        return
    for top in (work / name for name in GIVEN):
        for _, _, files, place in os.fwalk(top, onerror=_raise):
            os.fchown(place, user.id, user.group)
            for name in files:
                os.chown(name, user.id, user.group, dir_fd=place, follow_symlinks=False)
    # last: who can enter may put a link in the place of a directory that is still to be given
    work.chmod(0o711)


def _raise(error: OSError) -> NoReturn:
    raise error


def _run(
    tree: Path,
    work: Path,
    app: App,
    sandbox: Sandbox,
    python: Python | None,
    limits: Limits,
    say: Callable[[str], None],
    stop: threading.Event,
) -> bool:
    """Run the app's build; whether what it has installed needs the builder's Python."""
    own = tree / "bin" / "build"
    if own.is_file() and not own.is_symlink() and os.access(own, os.X_OK) and not (tree / "bin").is_symlink():
        say("bin/build")
        argv = [str(own)]
    else:
        _procfile(tree)  # nothing writes one, so what is wrong is said before minutes have passed
        if not (tree / "requirements.txt").is_file():
            return False
        if python is None:
            raise BuildFailed("requirements.txt: this builder has no Python with pip that its builds may run")
        say(f"pip install -r requirements.txt (Python {python.version})")
        argv = [python.path, "-I", "-c", Path(with_pip.__file__).read_text(encoding="utf-8")]
    if python is not None:
        sandbox = sandbox._replace(environ=_with_first(sandbox.environ, python.path))
    run(argv, work, tree, _environment(work, app, sandbox), sandbox, limits, say, stop)
    return _is_directory(tree, with_pip.TARGET.split("/"))


def _with_first(environ: Mapping[str, str], program: str) -> dict[str, str]:
    """With the program's directory in front of PATH, so that a bin/build finds the same one."""
    return {**environ, "PATH": os.pathsep.join([str(Path(program).parent), environ.get("PATH", os.defpath)])}


def _environment(work: Path, app: App, sandbox: Sandbox) -> dict[str, str]:
    places = {"HOME": str(work / "home"), "TMPDIR": str(work / "tmp"), "APP": app.name, "SOURCE_VERSION": app.commit}
    return {"LANG": "C.UTF-8", **sandbox.environ, **app.marks, **places}


def _procfile(tree: Path) -> Procfile:
    text = _read(tree, ["Procfile"], MOST_PROCFILE * 4)
    if text is None:
        raise BuildFailed("there is no Procfile; it has a line such as `web: gunicorn app:app`")
    try:
        return parse_procfile(text)
    except BadDocument as error:
        raise BuildFailed("; ".join(problem.message for problem in error.problems) or str(error)) from None


def _env(tree: Path) -> dict[str, str]:
    """The variables of `.dploy/env`, one a line. Raises BuildFailed."""
    found: dict[str, str] = {}
    for number, line in enumerate((_read(tree, [_PRIVATE, "env"], MOST_ENV) or "").splitlines(), 1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not equals or not VARIABLE.fullmatch(name) or "\0" in value:
            raise BuildFailed(f"line {number} of {_PRIVATE}/env: expected NAME=value")
        if is_reserved(name):
            raise BuildFailed(f"line {number} of {_PRIVATE}/env: {name} is set by dploy itself")
        found[name] = value
    return found


def _read(tree: Path, parts: list[str], most: int) -> str | None:
    """A text of the app, without following a link; None where there is none. Raises BuildFailed."""
    name = "/".join(parts)
    try:
        file = open_beneath(tree, parts)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BuildFailed(f"{name} cannot be read: {error.strerror}") from None
    try:
        data = os.read(file, most + 1)
    finally:
        os.close(file)
    if len(data) > most:
        raise BuildFailed(f"{name} has more than {most} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BuildFailed(f"{name} is not UTF-8 at byte {error.start}") from None


def _is_directory(tree: Path, parts: list[str]) -> bool:
    """Whether it is there, and no link on the way."""
    place = tree
    for part in parts:
        place /= part
        try:
            if not stat.S_ISDIR(place.lstat().st_mode):
                return False
        except OSError:
            return False
    return True
