"""What a step returns that is no JSON, or too large for the journal, is an artifact, and its data says which."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from re_core.deployment.records import MAX_DATA
from re_core.wire.redaction import Redaction
from re_workers import Context, Worker, step
from re_workers.context import Call
from re_workers.outgoing import Origin, Outgoing
from re_workers.perform import perform
from re_workers.results import StoredArtifact
from re_workers.testing import run


class Makes(Worker):
    @step
    def Bytes(self, ctx: Context) -> bytes:
        return b"\0content"

    @step
    def File(self, ctx: Context, path: str) -> Path:
        return Path(path)

    @step
    def Much(self, ctx: Context, size: int) -> list[str]:
        return ["x" * 1000 for _ in range(size // 1000)] + ["hunter2"]

    @step
    def Own(self, ctx: Context, source: str, archive: bool = False) -> StoredArtifact:
        return ctx.artifact("report-1", Path(source), file="report/out.html", archive=archive)


def _reference(data: bytes, file: str = "result/data", name: str = "test.0.1") -> dict[str, Any]:
    return {"artifact": name, "file": file, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def test_bytes_and_files_are_stored_and_the_data_refers_to_them(tmp_path: Path) -> None:
    found = run(Makes(), "makes:Bytes")
    assert found.data == _reference(b"\0content")
    assert found.artifacts == {"test.0.1": {"result/data": b"\0content"}}
    (tmp_path / "f").write_bytes(b"of a file")
    assert run(Makes(), "makes:File", {"path": str(tmp_path / "f")}).data == _reference(b"of a file")
    missing = run(Makes(), "makes:File", {"path": str(tmp_path / "none")})
    assert (missing.status, "cannot be read" in str(missing.message)) == ("failed", True)


def test_what_is_too_large_for_the_journal_is_stored_redacted() -> None:
    import re

    found = run(Makes(), "makes:Much", {"size": MAX_DATA}, redaction=Redaction([re.compile("hunter2")]))
    assert found.data["artifact"] == "test.0.1"
    stored = json.loads(found.artifacts["test.0.1"]["result/data.json"])  # type: ignore[call-overload]
    assert (len(stored), stored[-1]) == (MAX_DATA // 1000 + 1, "[redacted]")
    assert found.output == [f"[the step's data has {_size(MAX_DATA)} bytes: it is the artifact test.0.1]"]
    assert len(run(Makes(), "makes:Much", {"size": 10_000}).data) == 11


def _size(size: int) -> int:
    return len(json.dumps(["x" * 1000 for _ in range(size // 1000)] + ["hunter2"], separators=(",", ":")))


def test_where_nothing_can_be_stored_large_data_travels_as_before_and_bytes_fail() -> None:
    call = Call("d/0/1", "d", 0, 1, "makes", "Much", "ours", (), {}, None)
    context = Context(call, Outgoing(Origin("d", 0, "d/0/1/x")))
    outcome = perform(Makes(), Makes.steps["Much"], context, {"size": MAX_DATA})
    assert (outcome.status, len(outcome.data)) == ("completed", MAX_DATA // 1000 + 1)
    assert perform(Makes(), Makes.steps["Bytes"], context, {}).status == "failed"


def test_a_step_stores_an_artifact_under_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "b").write_bytes(b"2")
    (tmp_path / "web" / "a").write_bytes(b"1")
    (tmp_path / "web" / "link").symlink_to("/etc/passwd")
    tree = run(Makes(), "makes:Own", {"source": str(tmp_path)})
    assert tree.artifacts == {"report-1": {"web/a": b"1", "web/b": b"2"}}
    assert (tree.data["file"], tree.data["size"]) == ("", 2)
    file = run(Makes(), "makes:Own", {"source": str(tmp_path / "web" / "a")})
    assert file.data == _reference(b"1", "report/out.html", "report-1")
    kept = run(Makes(), "makes:Own", {"source": str(tmp_path / "web" / "a"), "archive": True})
    assert kept.artifacts == {"report-1": b"1"}


@pytest.mark.parametrize("name", ["Bytes", "File"])
def test_readers_of_the_step_learn_the_form_of_the_reference(name: str) -> None:
    returned = Makes.steps[name].offer()["returns"]
    assert set(returned["properties"]) == {"artifact", "file", "digest", "size"}
