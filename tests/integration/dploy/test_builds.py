"""Builds of apps, in real sandboxes: what comes of them, and what becomes of those that take too much."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.apps import events as e
from re_core.apps.names import app_key
from re_core.apps.state import State, begin
from re_core.apps.values import Kind, Payload, Status, Version
from re_core.cdpm.sources import Allowed
from re_core.runtime.addresses import rule
from re_core.usecases.artifact_pushing import Bounds
from re_dploy.build import BuildFailed, BuildStopped, Fetcher, Limits
from re_dploy.build.builder import Apps, Builder, Places
from re_dploy.zone.supervise import Spec, supervise
from re_workers.outcomes import Cancelled, Failed
from tests.integration.dploy.build_bench import COMMIT, MARK, PROCFILE, Bench, Heard, script
from tests.integration.dploy.sources import push_source
from tests.integration.workers.waiting import until
from tests.unit.dploy.archives import link, member, tgz


def test_the_apps_own_build_makes_its_files(bench: Bench) -> None:
    built = bench.build(
        member("shop/Procfile", b"# processes\nnonsense\n" + PROCFILE),
        member(
            "shop/bin/build",
            b"#!/bin/sh\npwd; echo made > made; mkdir .dploy; echo 'A=b=c ' > .dploy/env\n",
            mode=0o755,
        ),
        link("shop/here", "made"),
    )
    assert (built.processes, built.release) == ({"web": "python web.py"}, "python migrate.py")
    assert (built.env, built.python) == ({"A": "b=c "}, "")
    found = bench.files(built)
    assert found["made"] == b"made\n" and found["here"] == "made"
    assert bench.lines[0] == "bin/build" and bench.lines[1].endswith("/source/shop")
    assert any("line 2 of the Procfile is passed over" in line for line in bench.lines)


def test_a_build_sees_nothing_of_the_engine(bench: Bench, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RE_TOKEN", "t0ken")
    monkeypatch.setenv("AWS_SECRET", "t0ken")
    text = f"env | sort; cat {secret}; echo x > ../shim/exit.json; echo x > ../payload; echo $HOME > $HOME/x; exit 0"
    bench.build(member("Procfile", PROCFILE), script(text))
    printed = "\n".join(bench.lines)
    assert "t0ken" not in printed and "the engine's" not in printed
    assert printed.count("denied") == 3, printed
    assert "APP=shop" in bench.lines and f"SOURCE_VERSION={COMMIT}" in bench.lines
    assert not any(line.startswith(("RE_", "PYTHON")) for line in bench.lines)


def _wheel(name: str) -> bytes:
    """A package with one script, as an index has it."""
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"def main():\n    print('it runs')\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name}={name}:main\n".encode(),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for path, data in files.items()
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        for path, data in {**files, f"{about}/RECORD": record.encode()}.items():
            wheel.writestr(path, data)
    return out.getvalue()


def test_requirements_are_installed_so_that_they_run_anywhere(bench: Bench) -> None:
    built = bench.build(
        member("Procfile", PROCFILE),
        member("types.py", b"raise SystemExit('this is no module of pip')\n"),
        member("wheels/greet-1.0-py3-none-any.whl", _wheel("greet")),
        member("requirements.txt", b"--no-index\n./wheels/greet-1.0-py3-none-any.whl\n"),
    )
    assert bench.python is not None and built.python == bench.python.version
    found = bench.files(built)
    assert found[".dploy/python/bin/greet"].splitlines()[0] == b"#!/usr/bin/env python3"
    assert not any(b"/work-1/" in data for name, data in found.items() if name.startswith(".dploy/python/bin/"))
    assert ".dploy/python/greet.py" in found and not any(name.endswith(".pyc") for name in found)


def test_without_requirements_and_build_the_files_are_packed_as_they_are(bench: Bench) -> None:
    built = bench.build(member("Procfile", PROCFILE), member("web.py", b"1"))
    assert bench.files(built) == {"Procfile": PROCFILE, "web.py": b"1"}
    assert bench.lines == [] and built.python == ""


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("web.py")], "there is no Procfile"),
        ([member("Procfile", b"# nothing\n")], "names no process"),
        ([member("Procfile", b"web: a\nweb: b\n")], "line 2 of the Procfile"),
        ([member("Procfile", b"web: \xff")], "Procfile is not UTF-8"),
        ([member("Procfile", b"#" * 70_000)], "Procfile has more than"),
        ([member("web"), link("Procfile", "web")], "Procfile cannot be read"),
        (
            [member("Procfile", PROCFILE), member(".dploy/env", b"A=1\nB\n")],
            "line 2 of .dploy/env: expected NAME=value",
        ),
        ([member("Procfile", PROCFILE), member(".dploy/env", b"PORT=1\n")], "PORT is set by dploy itself"),
        ([member("Procfile", PROCFILE), script("echo why; exit 3")], "ended with code 3"),
        ([member("Procfile", PROCFILE), script("kill -9 $$")], "ended with signal 9"),
        ([member("Procfile", PROCFILE), script("mkfifo pipe")], "'app/pipe' is a FIFO"),
        ([member("Procfile", PROCFILE), script("ln -s /etc/passwd link")], "an absolute path"),
        ([member("Procfile", PROCFILE), script("ln -sf /etc/passwd Procfile")], "Procfile cannot be read"),
        ([member("../Procfile", PROCFILE)], "has '..'"),
    ],
)
def test_what_cannot_be_built_is_said(bench: Bench, members: list[Any], said: str) -> None:
    with pytest.raises(BuildFailed, match=said):
        bench.build(*members)


def test_an_archive_of_another_commit_is_not_built(bench: Bench, tmp_path: Path) -> None:
    head = member("pax_global_header", f"52 comment={COMMIT}\n".encode(), type=b"g")
    assert bench.build(head, member("Procfile", PROCFILE)).release == "python migrate.py"
    with pytest.raises(BuildFailed, match=f"is of commit {COMMIT}, and {'0' * 40} was to be released"):
        bench.build(head, member("Procfile", PROCFILE), commit="0" * 40)


_ESCAPES = "(setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & ) ; "


@pytest.mark.parametrize(
    ("text", "limits", "said"),
    [
        (f"{_ESCAPES} trap '' TERM; while :; do sleep 0.1; done", Limits(time=0.5, free=0), "more than 0.5 s"),
        ("for i in $(seq 40); do sleep 60 & done; wait", Limits(processes=20, free=0), "more than 20 processes"),
        ("head -c 3000000 /dev/zero > big; sleep 60", Limits(disk=2_000_000, free=0), "2000000 bytes on the disk"),
        ("sleep 60", Limits(free=2**62), "disk are free"),
        ("head -c 300000 /dev/zero > big", Limits(file=100_000, free=0), "ended with"),
    ],
)
def test_a_build_that_takes_too_much_is_ended_with_all_of_its_processes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, text: str, limits: Limits, said: str
) -> None:
    monkeypatch.setattr("re_dploy.build.sandbox.GRACE", 0.5)
    if limits.free:  # there is enough while it is unpacked
        monkeypatch.setattr("re_dploy.build.building.free", lambda directory: limits.free)
    with pytest.raises(BuildFailed, match=said):
        bench.build(member("Procfile", PROCFILE), script(text), limits=limits)
    assert bench.living() == []


def test_what_a_build_prints_is_bounded(bench: Bench) -> None:
    text = "yes 0123456789 | head -n 300000; printf 'no end'"
    bench.build(member("Procfile", PROCFILE), script(text), limits=Limits(output=100_000, free=0))
    assert sum(len(line) + 1 for line in bench.lines) < 110_000
    assert bench.lines[-1] == "(the build prints too much; what follows is not shown)"


def test_a_build_that_shall_stop_ends_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_dploy.build.sandbox.GRACE", 0.5)
    said: list[str] = []

    def stop_at_first(text: str) -> None:
        said.append(text)
        if text == "begun":
            bench.stop.set()

    bench.lines = Heard(stop_at_first)
    with pytest.raises(BuildStopped):
        bench.build(member("Procfile", PROCFILE), script(f"{_ESCAPES} echo begun; sleep 60"))
    assert said == ["bin/build", "begun"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "re.db")
    yield store
    store.close()


# -- the step ----------------------------------------------------------------------------------------


class _Said(NamedTuple):
    """What an app answers."""

    accepted: bool
    reason: str = ""
    detail: str = ""


class _Step:
    """What a step is given."""

    deployment, attempt_id = "01J", "01J/1/1"

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.lines = ""

    def output(self, text: str) -> None:
        self.lines += text

    def check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled("cancelled")

    def wait(self, seconds: float) -> None:
        self.cancelled.wait(seconds)
        self.check()


class Shop:
    """An app whose first version is built by deployment 01J."""

    def __init__(self, **changes: Any) -> None:
        version = Version(
            1, Kind.BUILD, Status.BUILDING, COMMIT, "artifact:dploy/source", "b", "", "ann", "", 0, job="01J"
        )
        self.state = begin(app_key("a1"))
        self.state.name, self.state.group = "shop", "dploy"
        self.state.versions[1] = version._replace(**changes)
        self.told: list[e.Built] = []
        self.answer = _Said(True)

    def read(self, id: str) -> State:
        assert id == "a1"
        return self.state

    def tell(self, id: str, event: e.Built) -> _Said:
        self.told.append(event)
        return self.answer


def _builder(bench: Bench, shop: Shop, store: SqliteStore) -> Builder:
    places = Places(bench.directory, bench.sandbox, bench.python, {MARK: bench.mark})
    fetcher = Fetcher(store, Allowed(frozenset()), rule(()))
    apps = Apps(shop.read, shop.tell)
    return Builder(apps, store, SystemClock(), fetcher, places, Limits(free=0), Bounds(), 2)


def test_a_version_is_built_stored_and_told(bench: Bench, store: SqliteStore) -> None:
    shop, step = Shop(), _Step()
    push_source(store, "source", tgz(member("Procfile", PROCFILE), script("echo hello")))
    _builder(bench, shop, store).build(step, "a1", 1)
    (event,) = shop.told
    artifact = store.artifact("dploy", event.artifact)
    assert artifact is not None and event.artifact == f"dploy-shop-{event.digest[:12]}"
    assert (artifact.kind, artifact.size) == ("archive", event.size)
    assert (
        event[:2] == (1, "01J") and event.processes == {"web": "python web.py"} and event.release == "python migrate.py"
    )
    assert "       hello\n" in step.lines
    assert step.lines.splitlines()[-1].startswith("-----> Procfile has web; payload 0.0 MB, sha256 ")
    assert list(bench.directory.iterdir()) == []


def test_a_version_that_has_its_payload_is_built_no_more(bench: Bench, store: SqliteStore) -> None:
    shop = Shop(payload=Payload("x", "0" * 64, 1, 1, 1, {}, {}, ""), status=Status.DEPLOYING)
    _builder(bench, shop, store).build(_Step(), "a1", 1)
    assert shop.told == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"job": "another"}, "does not release v1"),
        ({"status": Status.FAILED, "why": "cancelled"}, "v1 failed: cancelled"),
        ({"archive": "artifact:dploy/none"}, "the archive cannot be had"),
    ],
)
def test_only_the_deployment_of_a_version_builds_it(bench: Bench, store: SqliteStore, changes: Any, said: str) -> None:
    shop = Shop(**changes)
    with pytest.raises(Failed, match=said):
        _builder(bench, shop, store).build(_Step(), "a1", 1)
    assert shop.told == [] and list(bench.directory.iterdir()) == []


def test_a_version_of_an_app_that_was_destroyed_is_built_no_more(bench: Bench, store: SqliteStore) -> None:
    shop = Shop()
    shop.state.destroyed = True
    push_source(store, "source", tgz(member("Procfile", PROCFILE)))
    with pytest.raises(Failed, match="shop was destroyed"):
        _builder(bench, shop, store).build(_Step(), "a1", 1)
    assert shop.told == [] and list(bench.directory.iterdir()) == []


def test_a_payload_that_came_too_late_fails_the_step(bench: Bench, store: SqliteStore) -> None:
    shop = Shop()
    shop.answer = _Said(False, "over", "v1 failed: cancelled")
    push_source(store, "source", tgz(member("Procfile", PROCFILE)))
    with pytest.raises(Failed, match="v1 failed: cancelled"):
        _builder(bench, shop, store).build(_Step(), "a1", 1)


def test_a_cancelled_build_leaves_nothing(bench: Bench, store: SqliteStore) -> None:
    shop, step = Shop(), _Step()
    push_source(store, "source", tgz(member("Procfile", PROCFILE), script("echo begun; sleep 60")))
    thread = threading.Thread(target=lambda: _raises_cancelled(_builder(bench, shop, store), step))
    thread.start()
    until(lambda: "begun" in step.lines)
    step.cancelled.set()
    thread.join(30)
    assert not thread.is_alive() and step.lines.endswith("begun\nended\n")
    assert shop.told == [] and list(bench.directory.iterdir()) == []


def test_a_lock_that_another_process_keeps_holds_no_builder_up(
    bench: Bench, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that a build has left may have it, or a builder that was frozen."""
    monkeypatch.setattr("re_dploy.build.builder.SWEEP", 0.1)
    builder, step = _builder(bench, Shop(), store), _Step()
    lock = os.open(bench.directory, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def work_on() -> None:
        builder.sweep()
        _raises_cancelled(builder, step)

    work = threading.Thread(target=work_on, daemon=True)
    work.start()
    until(lambda: "waits: another process holds the lock" in step.lines)
    step.cancelled.set()
    work.join(30)
    os.close(lock)
    assert not work.is_alive() and step.lines.endswith("ended\n")
    assert "is not swept: another process has held its lock" in caplog.text


def _raises_cancelled(builder: Builder, step: _Step) -> None:
    try:
        builder.build(step, "a1", 1)
    except Cancelled:
        step.output("ended\n")


def test_what_a_killed_builder_left_is_ended_and_removed(bench: Bench, store: SqliteStore) -> None:
    left = bench.directory / "01H-left"
    (left / "shim").mkdir(parents=True)
    closed = left / "source" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").write_bytes(b"1")
    closed.chmod(0)
    environ = {"PATH": os.defpath, MARK: bench.mark}
    handle = supervise(left / "shim", Spec(("/bin/sh", "-c", "sleep 60 & sleep 60"), "/"), environ)
    until(lambda: len(bench.living()) >= 3)
    _builder(bench, Shop(), store).sweep()
    assert handle.wait(0) and bench.living() == [] and list(bench.directory.iterdir()) == []
    handle.close()
