"""Two teams, one library, as both teams follow it: each with an engine and a git repository of its own."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.architecture.tree import ROOT
from tests.e2e.conftest import MakeEngine
from tests.e2e.engine_process import EngineProcess
from tests.e2e.pipeline_network import Network, network
from tests.e2e.transcripts import follow
from tests.services.recipe import Place

PAGE = ROOT / "docs" / "how-to" / "two-teams-one-library.md"

TEAMS = ("fog", "rails")

#: a section, whose heading begins with the team that does it
_SECTION = re.compile(r"^## (\w+): .*\n((?:(?!## ).*\n)*)", re.MULTILINE)

#: a commit is seen where peers read the file
_HOOK = "#!/bin/sh\numask 022\nmkdir -p {place}\ngit --work-tree={place} checkout -qf main\n"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_following_the_page_leads_two_teams_to_their_votes(nginx: Place, new_engine: MakeEngine) -> None:
    with network(nginx, *TEAMS) as web:
        engines = {name: web.join(name, new_engine()) for name in TEAMS}
        places = {f"https://git.example.com/{name}/cdpm.yml": web.source(name) for name in TEAMS}
        places |= {f"https://ci.{name}.example.com": web.url(name) for name in TEAMS}
        for name, engine in engines.items():
            _make_repository(name, engine, web)
            engine.start()
        counts = dict.fromkeys(TEAMS, 0)
        for team, text in _SECTION.findall(PAGE.read_text()):
            work = engines[team].directory / "work"
            counts[team] += follow(text, engines[team].environ, work, places)
        assert counts == {"fog": 10, "rails": 9}
        assert [engine.stop() for engine in engines.values()] == [0, 0]


def _make_repository(name: str, engine: EngineProcess, web: Network) -> None:
    """A working copy, and its origin, whose newest commit the web server serves."""
    origin, work = engine.directory / "origin.git", engine.directory / "work"
    git = ("git", "-c", "init.defaultBranch=main")
    for words in (
        (*git, "init", "-q", "--bare", str(origin)),
        (*git, "init", "-q", str(work)),
        ("git", "-C", str(work), "remote", "add", "origin", str(origin)),
        ("git", "-C", str(work), "config", "push.default", "current"),
        ("git", "-C", str(work), "config", "user.name", name),
        ("git", "-C", str(work), "config", "user.email", f"{name}@example.com"),
    ):
        subprocess.run(words, env=engine.environ, check=True, timeout=60)
    hook = origin / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_HOOK.format(place=web.place(name)))
    hook.chmod(0o755)
