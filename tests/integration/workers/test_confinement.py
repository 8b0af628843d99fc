"""Programs that are kept from files, from each other, and from what starts them, by the real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import re_core
import re_dploy
import re_rest
import re_up
from re_core.errors import BadSettings
from re_core.runtime.settings import load
from re_workers.machine_slot import MachineSlot
from re_workers.steps import landlock
from re_workers.steps.command import Command
from re_workers.steps.confinement import Confinement, code
from re_workers.testing import Result, run
from re_workers.worker_selection import chosen, workers

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")

#: the user that runs the tests, so that it is Landlock alone that keeps anything back
ME = "root" if os.geteuid() == 0 else ""


def _run(cmd: str, *hidden: Path, fixed: tuple[Path, ...] = ()) -> Result:
    return run(Command(confinement=Confinement(hidden, fixed, ME)), "command:Run", {"cmd": cmd})


def test_a_hidden_directory_is_out_of_reach_and_its_neighbours_are_not(tmp_path: Path) -> None:
    for name in ("hidden", "beside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"in {name}\n")
    line = (
        f"cd {tmp_path}; cat beside/file; echo new > beside/new; cat beside/new; cat hidden/file; echo x > hidden/file"
    )
    assert _run(f"{line}; touch hidden/new; rm hidden/file; true", tmp_path / "hidden").output[:2] == [
        "in beside",
        "new",
    ]
    assert [path.name for path in (tmp_path / "hidden").iterdir()] == ["file"]
    assert (tmp_path / "hidden/file").read_text() == "in hidden\n"


def test_what_is_hidden_need_not_be_there_yet(tmp_path: Path) -> None:
    result = _run(f"mkdir {tmp_path}/later; echo x > {tmp_path}/file; true", tmp_path / "later/file", tmp_path / "file")
    assert len(result.output) == 2
    assert all("ermission denied" in line for line in result.output)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_was_named_by_a_link_is_hidden_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("secret")
    (tmp_path / "link").symlink_to("real")
    assert "secret" not in _run(f"cat {tmp_path}/real/file {tmp_path}/link/file; true", tmp_path / "link").output


def test_what_is_fixed_can_be_read_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/file").write_text("read\n")
    line = f"cd {tmp_path}/code; cat file; echo x >> file; touch new; mv file ..; ln -s / link; true"
    assert _run(line, fixed=(tmp_path / "code",)).output[0] == "read"
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["file"]
    assert (tmp_path / "code/file").read_text() == "read\n"


def test_what_is_hidden_inside_of_what_is_fixed_stays_hidden(tmp_path: Path) -> None:
    for name in ("code/data", "code/package"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(f"in {name}\n")
    line = f"cd {tmp_path}/code; cat package/file data/file; echo x > package/file; echo x > new; true"
    output = _run(line, tmp_path / "code/data", fixed=(tmp_path / "code",)).output
    assert "in code/package" in output
    assert "in code/data" not in output
    assert (tmp_path / "code/package/file").read_text() == "in code/package\n"
    assert not (tmp_path / "code/new").exists()


def test_the_packages_and_the_python_of_this_program_count_as_its_code() -> None:
    places = [path.resolve() for path in code()]
    for module in (os, pytest, landlock, re_core, re_dploy, re_rest, re_up):
        assert any(Path(str(module.__file__)).resolve().is_relative_to(place) for place in places), module


def test_programs_of_two_steps_cannot_look_into_each_other(tmp_path: Path) -> None:
    mine = "until grep -q sleep /proc/$!/comm; do :; done; readlink /proc/$!/exe"
    first = _run(f"SECRET=x sleep 300 > /dev/null 2>&1 & echo $!; {mine}", tmp_path / "_")
    pid = int(first.output[0])
    try:
        assert first.output[1].startswith("/")
        second = _run(f"tr '\\0' '\\n' < /proc/{pid}/environ; readlink /proc/{pid}/exe; true", tmp_path / "_")
        assert "SECRET=x" not in second.output
        assert first.output[1] not in second.output
    finally:
        os.kill(pid, 9)


def test_neither_the_thread_that_runs_a_step_nor_its_process_is_confined(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/file").write_text("mine")
    for _ in range(20):  # a thread can be confined sixteen times
        assert _run("true", tmp_path / "hidden").status == "completed"
    assert (tmp_path / "hidden/file").read_text() == "mine"


def test_who_is_denied_something_reads_why(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/file").write_text("mine")
    result = _run(f"cat {tmp_path}/hidden/file", tmp_path / "hidden")
    assert "docs/how-to/confine-programs.md" in result.output[-1]
    assert "confine-programs" not in " ".join(_run("echo no; exit 1", tmp_path / "hidden").output)


def test_what_the_settings_name_as_secret_is_hidden(tmp_path: Path) -> None:
    secrets = [
        tmp_path / name
        for name in (
            "own/password",
            "further/file",
            "logs/d1.log",
            "conf/settings.yaml",
            "db/re.db-wal",
            "db/re.db-artifacts/file",
            "keys/secret.key",
        )
    ]
    (tmp_path / "open").write_text("open\n")
    for file in secrets:
        file.parent.mkdir(exist_ok=True)
        file.write_text("secret\n")
    secrets[3].write_text(
        f"email: {{host: h, sender: a@example.com, user: u, password_file: {secrets[0]}}}\n"
        f"step_hidden: [{secrets[1].parent}]\ndeployment_log_dir: {secrets[2].parent}\nstep_user: '{ME or os.geteuid()}'\n"
        f"store_url: sqlite:///{tmp_path}/db/re.db\ndata_dir: {tmp_path}/data\nsecret_key_file: {secrets[6]}\n# secret\n"
    )
    settings = load({"RE_CONFIG": str(secrets[3])})
    (command,) = [one for one in workers(settings, "", ()) if one.command == "command"]
    result = run(command, "command:Run", {"cmd": f"cat {tmp_path}/open {' '.join(map(str, secrets))}"})
    assert [line for line in result.output if "denied" not in line][:1] == ["open"]
    assert sum("ermission denied" in line for line in result.output) == len(secrets)


def test_a_worker_process_says_at_its_start_what_stays_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load({"RE_DATA_DIR": str(tmp_path), "RE_STEP_ISOLATION": "off"})
    chosen(settings, MachineSlot(tmp_path), ["noop"])
    assert caplog.records == []
    chosen(settings, MachineSlot(tmp_path), ["command", "noop"])
    (told,) = caplog.records
    assert told.getMessage().startswith("step_isolation is off: ")


def test_a_program_starts_where_it_can_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, home = tmp_path / "data/here", tmp_path / "home"
    here.mkdir(parents=True)
    home.mkdir()
    monkeypatch.chdir(here)
    assert _run("pwd").output == [str(here)]
    monkeypatch.setenv("HOME", str(home))
    expected = "/root" if ME and _home_of_root_is_there() else str(home)
    assert _run("pwd", tmp_path / "data").output == [expected]


def _home_of_root_is_there() -> bool:
    return Path("/root").is_dir()


@pytest.mark.parametrize(
    ("user", "isolation", "message"),
    [
        ("no-such-user", "auto", "step_user: this machine has no user 'no-such-user'"),
        ("4294967294", "off", "step_user: this machine has no user '4294967294'"),
        (ME, "required", "step_isolation is required, and step_user is root" if ME else ""),
    ],
)
def test_what_cannot_be_is_a_mistake_in_the_settings(user: str, isolation: str, message: str) -> None:
    if not message:
        pytest.skip("a user without rights is confined")
    with pytest.raises(BadSettings) as raised:
        Confinement((), (), user, isolation)
    assert str(raised.value).startswith(message)
