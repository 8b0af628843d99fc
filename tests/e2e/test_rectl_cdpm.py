"""rectl and a real engine: a pipeline node from its first file to its removal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from re_core.usecases.cdpm import files
from tests.e2e.engine_process import EngineProcess, running

#: a node whose file is nowhere
PEER = "https://peer.example/cdpm.yml"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One that reads files of peers below a directory of its own."""
    directory = tmp_path_factory.mktemp("engine")
    (directory / "files").mkdir()
    with running(directory, f"cdpm: true\ncdpm_sources: ['file:{directory}/files/']\n") as found:
        yield found


class Project:
    """The repository of a node."""

    def __init__(self, engine: EngineProcess, name: str) -> None:
        self._engine = engine
        self.node = f"shop/{name}"
        #: as rectl wrote it, and as peers read it
        self.made, self.committed = engine.directory / f"{name}.yml", engine.directory / "files" / f"{name}.yml"

    def rectl(self, *words: str) -> str:
        ran = self._engine.run("cdpm", *words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def refused(self, *words: str) -> str:
        """What it says when it ends as for wrong input."""
        ran = self._engine.run("cdpm", *words)
        assert ran.returncode == 2, ran.stdout
        return ran.stdout + ran.stderr

    def init(self) -> list[str]:
        """The words that make the node."""
        peers = ["--dependency", f"peer={PEER}", "--dependent", f"peer={PEER}"]
        where = ["--source", f"file://{self.committed}", "--url", "https://re.example", "--file", str(self.made)]
        return ["init", self.node, *where, *peers]

    def commit(self, text: str) -> str:
        """What rectl says of the file when the engine has read it."""
        self.committed.write_text(text)
        return self.rectl("refresh", self.node)


def test_a_node_is_made_and_its_file_is_checked_and_committed(engine: EngineProcess) -> None:
    project = Project(engine, "lib")
    assert "node shop/lib" in project.rectl(*project.init())
    assert "does not overwrite it" in project.refused(*project.init())
    assert project.rectl("validate", str(project.made)) == f"{project.made}: valid\n"
    assert "Dependencies/peer: refused" in project.refused("validate", str(project.made), "--remote")
    assert "No such file" in project.refused("refresh", "shop/lib")
    assert project.commit(project.made.read_text()).startswith("shop/lib is ready: 1 dependency")
    assert "peer" in project.rectl("subscriptions", "shop/lib")
    document = engine.directory / "node.yaml"
    document.write_text(project.rectl("show", "shop/lib", "--document") + "promote:\n  stable: 1 of majors\n")
    assert "shop/lib updated" in project.rectl("apply", str(document))
    assert "shop/lib unchanged" in project.rectl("apply", str(document))


def test_a_node_releases_gets_another_key_and_is_removed(engine: EngineProcess) -> None:
    project = Project(engine, "fog")
    project.rectl(*project.init())
    project.commit(project.made.read_text())
    published = project.rectl("publish", "shop/fog", "--set", "version=1.0", "--set", "ref=master")
    assert published == "release 1 of shop/fog is published\n"
    assert project.rectl("votes", "shop/fog").startswith("release 1 of shop/fog, version 1.0: deployed\n")
    assert json.loads(project.rectl("releases", "shop/fog", "--json"))[0]["version"] == "1.0"

    before = files.parse(project.made.read_bytes()).key.text
    after = project.rectl("rotate", "shop/fog").strip()
    assert after != before
    project.commit(project.made.read_text().replace(before, after))
    assert len(json.loads(project.rectl("show", "shop/fog", "--json"))["keys"]) == 2

    project.rectl("unsubscribe", "shop/fog", "peer")
    assert "left" in project.rectl("subscriptions", "shop/fog")
    project.rectl("bar", "shop/fog", PEER)
    assert "barred" in project.rectl("subscriptions", "shop/fog")
    project.rectl("remove", "shop/fog", "--yes")
    assert "shop/fog" not in project.rectl("nodes")
