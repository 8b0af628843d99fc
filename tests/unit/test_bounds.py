"""The page of bounds names every table and collection, and says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from re_core.adapters.amqp import listening
from re_core.adapters.mongo.layout import COLLECTIONS
from re_core.adapters.peering import channel
from re_core.adapters.sqlite import SqliteStore
from re_core.adapters.sqlite.mailbox import REMEMBERED
from re_core.admission import compiled_plans
from re_core.artifacts import names
from re_core.artifacts.tar import TarBounds
from re_core.deployment import records, results
from re_core.playbook.compiler import MAX_STEPS
from re_core.ports import MOST_REVISIONS, OUTPUT_PAGE, apps, pipelines
from re_core.ports.feed import KEPT_CHUNKS
from re_core.runtime import logs, settings
from re_core.sequencer import cache
from re_core.services import artifact_pushes, cdpm_links, cdpm_watch, dead_letters, heartbeats, pruner
from re_core.usecases import access, artifact_pruning, artifact_pushing, foreseeing, runners
from re_core.usecases.cdpm import key_book, reader, refusals, replays
from re_core.wire import foresight, redaction, strict_json
from re_dploy.build import fetching, sandbox
from re_gateways.forest import (
    admission,
    calls,
    direct_lines,
    gateway,
    progress,
    release_contents,
    server,
    sessions,
    strangers,
)
from re_gateways.forest import logs as forest_logs
from re_gateways.forest import streams as forest_streams
from re_gateways.forest.options import Options
from re_rest import artifacts, auth, cdpm_sessions, feed_tail, gunicorn_master, pacing, streaming, streams
from re_workers import foreseeing as plans_of_workers
from re_workers import kept_files, outgoing, seen

_PAGE = Path("docs/reference/bounds.md")
_KIB, _MIB, _DAY = 1024, 1024 * 1024, 24 * 3600 * 1000


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """What the first cell of a row names in backquotes -> the row."""
    text = _PAGE.read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        if line.startswith("|"):
            for name in re.findall("`([^`]+)`", line.split("|")[1]):
                found[name] = line
    return found


def test_every_table_of_the_file_is_on_the_page(rows: dict[str, str], tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "re.db")
    tables = {name for (name,) in store._database.rows("SELECT name FROM sqlite_master WHERE type = 'table'", ())}
    store.close()
    assert len(tables) >= 10
    assert tables - rows.keys() == set()


def test_every_collection_is_on_the_page(rows: dict[str, str]) -> None:
    assert {*COLLECTIONS, "meta"} - rows.keys() == set()


def test_every_class_on_the_page_exists(rows: dict[str, str]) -> None:
    named = {name for name in rows if re.fullmatch("[A-Z][a-z]+[A-Za-z]*", name)}
    code = [path.read_text(encoding="utf-8") for package in Path().glob("re_*") for path in package.rglob("*.py")]
    classes = {name for text in code for name in re.findall(r"^class (\w+)", text, re.MULTILINE)}
    assert len(named) > 10
    assert named - classes == set()


def test_every_row_says_how_much_who_and_by_which_setting(rows: dict[str, str]) -> None:
    for line in rows.values():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 4 and all(cells), line


def test_the_settings_have_the_bounds_of_the_use_cases() -> None:
    chosen = settings.Settings()
    assert artifact_pushing.Bounds(chosen.artifact_limit, chosen.artifact_quota) == artifact_pushing.Bounds()


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("journal", f"{records.MAX_DATA // _KIB} KiB"),
        ("journal", f"{results.MAX_MESSAGE} characters"),
        ("journal", f"{MAX_STEPS:,} steps".replace(",", " ")),
        ("playbooks", f"{MOST_REVISIONS:,} revisions".replace(",", " ")),
        ("dead_letters", f"{dead_letters.MOST_LETTERS:,}".replace(",", " ")),
        ("feed", f"{KEPT_CHUNKS:,} chunks".replace(",", " ")),
        ("workers", f"{heartbeats.FORGET // 3_600_000} h"),
        ("mailbox", f"{REMEMBERED // 3_600_000} h"),
        ("Cache", f"{cache.CAPACITY} deployments"),
        ("Cache", f"{cache.MOST_BYTES // _MIB} MiB"),
        ("artifact_contents", f"{names.MAX_FILES:,} files".replace(",", " ")),
        ("artifact_contents", f"{artifact_pushing.Bounds().quota // _MIB // 1024} GiB"),
        ("artifact_pieces", f"{artifact_pushing.Bounds().limit // _MIB} MiB"),
        ("artifact_pieces", f"{artifact_pruning.LEFT // 3_600_000} h"),
        ("cdpm_positions", f"{pipelines.MOST_OPENS} connections"),
        ("cdpm_keys", f"{pipelines.MOST_KEYS} key pairs"),
        ("cdpm_files", f"{pruner.KEPT_PEER_FILES // _DAY} days"),
        ("Fetcher", f"{fetching.MOST // _MIB} MiB, in {fetching.TIMEOUT:.0f} s"),
        ("TarBounds", f"{_spaced(TarBounds().members)} files"),
        (
            "TarBounds",
            f"{TarBounds().size // _MIB // 1024} GiB; a path of {names.MAX_PATH} bytes and {names.MAX_DEPTH} parts",
        ),
        ("Limits", f"{settings.Settings().dploy_build_timeout:.0f} s, {sandbox.Limits().processes} processes"),
        ("Limits", f"{settings.Settings().dploy_build_disk // _MIB // 1024} GiB of disk"),
        ("Limits", f"{sandbox.Limits().output // _MIB} MiB of lines"),
        ("Builder", f"{settings.Settings().dploy_builds} a process"),
        ("app_configs", f"{apps.MOST_CONFIGS} sealed configs"),
        ("app_logs", f"{_spaced(apps.MOST_LOG_LINES)} lines"),
        ("app_logs", f"{apps.MOST_LOG_TEXT // _MIB} MiB of text"),
        ("artifact_uses", f"{settings.Settings().artifact_keep:.0f} days"),
        ("State", f"{results.MAX_KEPT // _KIB} KiB"),
        ("State", f"{results.INLINE // _KIB} KiB"),
        ("Plans", f"{compiled_plans.MOST} plans"),
        ("Plans", f"{compiled_plans.MOST_BYTES // _MIB} MiB"),
        ("KeyBook", f"{_spaced(key_book.MOST)}, read at most {key_book.AT_ONCE} at once"),
        ("Links", f"{cdpm_links.MOST} of a process"),
        ("Watcher", f"{_spaced(cdpm_watch.MOST_HINTS)} that wait"),
        ("Replays", f"{_spaced(replays.MOST_OF_SENDER)} of one peer, {_spaced(replays.MOST)} in all"),
        ("deployment_log_dir", f"{logs.MAX_FILE // _MIB} MiB"),
        ("Outgoing", f"{outgoing.MAX_WAITING // _MIB} MiB"),
        ("Outgoing", f"{outgoing.MAX_LINE // _KIB} KiB"),
        ("Lines", f"{(outgoing.MAX_LINE + redaction.MARGIN) // _KIB} KiB"),
        ("ArtifactPushes", f"{artifact_pushes.MOST} at once"),
        ("ArtifactPushes", f"{artifact_pushes.IDLE // 1000} s"),
        ("Foresight", f"{plans_of_workers.AT_ONCE} at once of each command, {foresight.LIMIT:.0f} s each"),
        ("Looking", f"the first {foreseeing.MOST}, {foreseeing.AT_ONCE} at once, {foreseeing.WHOLE:.0f} s in all"),
        ("KeptFiles", f"{kept_files.MOST_KEPT // _MIB // 1024} GiB and {kept_files.MOST_FILES} files"),
        ("Seen", f"{seen.REMEMBERED:,} ids".replace(",", " ")),
        ("Outcomes", f"{seen.MAX_OUTCOMES // _MIB} MiB"),
        ("FeedTail", f"{feed_tail.RECENT:,} events".replace(",", " ")),
        ("FeedTail", f"{feed_tail.MOST_BYTES // _MIB} MiB"),
        ("re.listen.*", f"{listening.WAITING:,} messages".replace(",", " ")),
        ("Follower", f"{streams.RECENT} lines"),
        ("Follower", f"{OUTPUT_PAGE // _MIB} MiB"),
        ("Follower", f"{streams.FAR:,} lines".replace(",", " ")),
        ("Authenticator", f"{auth.REMEMBERED}, for {auth.BELIEVED:.0f} s"),
        ("Transfers", f"{artifacts.AT_ONCE} at a time"),
        ("tokens", f"{access.KEPT // _DAY} days"),
        ("runners", f"{runners.MOST:,} at most".replace(",", " ")),
        ("releases", f"{pruner.KEPT_RELEASES // 3_600_000} h"),
        ("connections", f"{gunicorn_master.CONNECTIONS} a process"),
        ("answer", f"{pacing.RATE // _KIB} KiB a second, {streaming.STILL:.0f} s on credit, {streaming.PRESSED:.0f} s"),
        ("answer", f"of an artifact {artifacts.PULL_RATE // _KIB} KiB a second"),
        ("PeerSessions", f"{settings.Settings().cdpm_connections} a process"),
        ("PeerSessions", f"after {cdpm_sessions.OPEN_WITHIN:.0f} s"),
        ("PeerSession", f"{channel.MAX_FRAME // _KIB} KiB, in {channel.MAX_PARTS} frames"),
        ("PeerSession", f"{cdpm_sessions.MOST_UNACKNOWLEDGED} releases"),
        ("PeerSession", f"{cdpm_sessions.MOST_REFUSED} refused frames"),
        ("PipelineReader", f"and {reader.MOST_IDLE}; {reader.MOST_DOCUMENTS} documents"),
        ("Refusals", _spaced(refusals.MOST_COUNTED)),
        ("message", f"{strict_json.MAX_BYTES // _MIB} MiB"),
        ("Session", f"{Options('').most_sessions:,}; of each {forest_streams.MOST_TYPES} types".replace(",", " ")),
        ("Session", f"{forest_streams.MOST_UNREAD} messages"),
        ("Session", f"{forest_streams.MOST_UNSTORED} acknowledgements"),
        ("Session", f"{forest_streams.MOST_MESSAGES} messages a second"),
        ("Sessions", f"{sessions.MOST_TYPES}, each a lane"),
        ("Strangers", f"{strangers.MOST_OF_ADDRESS} of one address; {strangers.MOST:,} of all".replace(",", " ")),
        ("Server", f"{server.MOST_STREAMS} calls of one connection, {gateway.CALLS} for each session of all"),
        ("Server", f"{server.MAX_MESSAGE // _MIB} MiB a message"),
        ("ReleaseProgress", f"{progress.MAX_WAITING // _KIB} KiB of lines"),
        ("ReleaseProgress", f"{progress.MAX_LOG // _KIB} KiB of its log"),
        ("ReleaseProgress", f"after {forest_logs.PATIENCE:.0f} s"),
        ("DirectLines", f"{direct_lines.MAX_WAITING // _MIB} MiB"),
        ("Calls", f"{calls.MOST_CACHED:,}".replace(",", " ")),
        ("ReleaseContents", f"{release_contents.MOST_ARTIFACTS}, {release_contents.MOST_BYTES // _MIB} MiB"),
        ("Admission", f"{admission.MOST_PEERS:,} each; {admission.MOST_REFUSALS} refusals".replace(",", " ")),
    ],
)
def test_the_page_says_what_the_code_says(rows: dict[str, str], name: str, bound: str) -> None:
    assert bound in rows[name]
