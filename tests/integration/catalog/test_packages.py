"""`package:*` with the real apt and dpkg, on a Debian system in a directory of its own: nothing of this machine's is touched."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from re_workers.hosts.direct import DirectRunner
from tests.integration.catalog.conftest import Act
from tests.integration.hosts.rig import Prefixed

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")) or os.geteuid() != 0,
    reason="needs apt and dpkg, and root, without which dpkg installs nothing",
)

_CONFIGURATION = """
Dir "{root}";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::Bin::methods "/usr/lib/apt/methods";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
DPkg::Options {{ "--root={root}"; "--log={root}/dpkg.log"; "--force-script-chrootless"; }};
DPkg::Path "/usr/sbin:/usr/bin:/sbin:/bin";
APT::Sandbox::User "root";
APT::Architecture "all";
Acquire::Languages "none";
"""


def package(repository: Path, name: str, version: str, essential: bool = False) -> None:
    tree = repository.parent / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.com>\nDescription: t\n"
        + ("Essential: yes\n" if essential else "")
    )
    (tree / "usr" / "share" / name).mkdir(parents=True)
    (tree / "usr" / "share" / name / "version").write_text(version)
    file = repository / f"{name}_{version}.deb"
    subprocess.run(["dpkg-deb", "-b", "-Znone", "--root-owner-group", tree, file], check=True, capture_output=True)


def index(repository: Path) -> None:
    """What dpkg-scanpackages would write."""
    entries = []
    for file in sorted(repository.glob("*.deb")):
        control = subprocess.run(["dpkg-deb", "-f", file], check=True, capture_output=True, text=True).stdout
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entries.append(f"{control}Filename: ./{file.name}\nSize: {len(content)}\nSHA256: {digest}\n")
    (repository / "Packages").write_text("\n".join(entries))


@pytest.fixture
def debian(tmp_path: Path) -> DirectRunner:
    """A host whose apt works in a directory, with the packages a 1, a 2, b 1 and the essential c."""
    root, repository = tmp_path / "root", tmp_path / "repository"
    for place in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / place).mkdir(parents=True)
    for place in (
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/log/apt",
        "etc/apt/sources.list.d",
    ):
        (root / place).mkdir(parents=True)
    for file in ("status", "available"):
        (root / "var/lib/dpkg" / file).write_text("")
    repository.mkdir()
    for name, version, essential in (("a", "1", False), ("b", "1", False), ("c", "1", True)):
        package(repository, name, version, essential)
    index(repository)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] copy:{repository} ./\n")
    (tmp_path / "apt.conf").write_text(_CONFIGURATION.format(root=root))
    before = f"export APT_CONFIG={tmp_path}/apt.conf DPKG_ADMINDIR={root}/var/lib/dpkg"
    return DirectRunner(Prefixed(before), str(tmp_path / "records"))


@pytest.mark.long
def test_packages_are_installed_held_updated_and_removed(act: Act, debian: DirectRunner, tmp_path: Path) -> None:
    def versions(name: str, **parameters: object) -> object:
        return act(f"package:{name}", parameters, host=debian).data

    share = tmp_path / "root" / "usr" / "share"
    assert "refresh: true" in str(act("package:Install", {"package": "a"}, True, host=debian).message)
    first = versions("Install", packages=["a", "b"], refresh=True)
    assert first == {"changed": True, "versions": {"a": "1", "b": "1"}}
    assert (share / "a" / "version").read_text() == "1"
    assert versions("Install", packages=["a", "b"]) == {"changed": False, "versions": {"a": "1", "b": "1"}}

    package(tmp_path / "repository", "a", "2")
    index(tmp_path / "repository")
    assert versions("Update", package="a") == {"changed": False, "versions": {"a": "1"}}
    assert versions("Update", package="a", refresh=True) == {"changed": True, "versions": {"a": "2"}}
    assert versions("Install", package="a", version="1") == {"changed": True, "versions": {"a": "1"}}
    assert versions("Install", package="a", hold=True) == {"changed": True, "versions": {"a": "1"}}
    assert versions("Install", package="a", hold=True) == {"changed": False, "versions": {"a": "1"}}

    assert versions("Remove", package="b") == {"changed": True, "versions": {}}
    assert versions("Remove", package="b") == {"changed": False, "versions": {}}
    assert not (share / "b").exists()

    versions("Install", package="c")
    refused = act("package:Remove", {"package": "c"}, True, host=debian)
    assert "ssential" in "\n".join(refused.output)
    assert versions("Remove", package="c", force=True) == {"changed": True, "versions": {}}
