"""Another user on a host, by a real sudo, for a real user who logs in."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from re_workers.hosts.port import ENDED, Claim, HostLost, HostRunner, PasswordRefused, Run, RunKey, SudoRefused
from tests.e2e.engine_process import wait_until
from tests.integration.hosts.farm import STOP, Farm, run
from tests.integration.hosts.rig import Beside, Heard
from tests.services.guests import Guest, guest_of
from tests.services.recipe import Place

pytestmark = pytest.mark.service("sshd")

#: begins the names of this module's runs: root's records, and marks of those that were swept, outlive a test on some machines
RUN = secrets.token_hex(4)
#: writes rules of sudo for the user who logs in
Allow = Callable[[str], None]


@pytest.fixture(scope="module")
def guest(sshd: Place) -> Iterator[Guest]:
    with guest_of(sshd) as found:
        yield found


@pytest.fixture
def allow(guest: Guest) -> Iterator[Allow]:
    """Writes rules of sudo for the guest."""
    yield guest.allow
    guest.allow("")


def _runner(farm: Farm, guest: Guest, become: dict[str, str] | None, password: str = "") -> HostRunner:
    return farm.runner({"web1": guest.row(become=become)}, secret=lambda name: {"sudo": password}[name])


def test_a_run_is_the_other_users_with_its_record_and_its_home(farm: Farm, guest: Guest, allow: Allow) -> None:
    allow("{guest} ALL=(ALL) NOPASSWD: ALL")
    runner = _runner(farm, guest, {"user": "root"})
    assert run(runner, 'id -un; echo "$HOME"; echo "$A"', f"{RUN}/0/1", env={"A": "it's"}) == (
        0,
        b"root\n/root\nit's\n",
    )
    assert runner.look(RunKey(f"{RUN}/0/1", "web1")).state == ENDED
    beside = Beside(runner, Run(RunKey(f"{RUN}/1/1", "web1"), "echo ready; sleep 600"))
    beside.heard.until(b"ready\n")
    beside.stop.set()
    assert beside.end().code == 143
    assert runner.sweep([RunKey(f"{RUN}/0/1", "web1"), RunKey(f"{RUN}/1/1", "web1")]) == 2
    assert run(_runner(farm, guest, None), "id -un", f"{RUN}/7/1") == (0, f"{guest.name}\n".encode())
    assert farm.runner({"web1": guest.row()}, user="root").facts().user == "root"


@pytest.mark.parametrize("rules", ["{guest} ALL=(ALL) ALL", "{guest} ALL=(ALL) NOPASSWD: ALL"])
def test_a_password_goes_over_a_channel_of_its_own(rules: str, farm: Farm, guest: Guest, allow: Allow) -> None:
    """Also where sudo does not ask for it: then the program must not read it."""
    allow(rules)
    runner = _runner(farm, guest, {"user": "root", "password": "sudo"}, guest.password)
    name = f"{RUN}/{len(rules)}/1"
    program = f"id -un; cat; env; tr '\\0' ' ' </proc/$PPID/cmdline; grep -rl {guest.password[:6]}'{guest.password[6:]}' /root/.re"
    code, output = run(runner, program, name, stdin="in\n")
    assert output.startswith(b"root\nin\n")
    assert guest.password.encode() not in output
    assert code == 1  # grep found nothing
    assert runner.sweep([RunKey(name, "web1")]) == 1


@pytest.mark.parametrize(
    ("rules", "password", "said"),
    [
        ("{guest} ALL=(ALL) ALL", "", "it wants a password; set become.password"),
        ("{guest} ALL=(ALL) ALL", "wrong", "the password is wrong"),
        ("{guest} ALL=(ALL) NOPASSWD: /bin/true", "", "it wants a password|may not run"),
        ("Defaults:{guest} requiretty\n{guest} ALL=(ALL) NOPASSWD: ALL", "", "it wants a terminal"),
        ("", "right", "may not use sudo"),
    ],
)
def test_what_sudo_refuses_is_said_with_what_to_do(
    rules: str, password: str, said: str, farm: Farm, guest: Guest, allow: Allow
) -> None:
    allow(rules)
    become = {"user": "root", **({"password": "sudo"} if password else {})}
    with pytest.raises(SudoRefused, match=f"web1: sudo: .*({said})"):
        run(_runner(farm, guest, become, password.replace("right", guest.password)), "true", f"{RUN}/9/1")


def test_a_user_who_is_not_there_is_said(farm: Farm, guest: Guest, allow: Allow) -> None:
    allow("{guest} ALL=(ALL) NOPASSWD: ALL")
    with pytest.raises(SudoRefused, match="there is no user no-such-user"):
        run(_runner(farm, guest, {"user": "no-such-user"}), "true", f"{RUN}/8/1")


def test_a_wrong_password_is_tried_once_whatever_asks_for_it(farm: Farm, guest: Guest, allow: Allow) -> None:
    """Neither later steps nor a run that may be there already lock the account."""
    log = f"/tmp/{guest.name}.log"
    allow(f"Defaults:{{guest}} logfile={log}\n{{guest}} ALL=(ALL) ALL")
    become = {"user": "root", "password": "sudo"}
    try:
        for name in (f"{RUN}/3/1", f"{RUN}/4/1"):
            with pytest.raises(
                PasswordRefused, match=r"the password is wrong; set the secret of become\.password again"
            ):
                run(_runner(farm, guest, become, "wrong"), "true", name)
        adopted = _runner(farm, guest, become, "wrong")
        with pytest.raises(HostLost, match=r"password is wrong.*whether it finished is unknown"):
            adopted.run(Run(RunKey(f"{RUN}/5/1", "web1"), "true"), Heard(), STOP, None, Claim(True, time.monotonic()))
        # sudo writes it after the delay that follows a wrong password
        wait_until("sudo has written", lambda: bool(_tries(guest, log)), 30)
        assert _tries(guest, log) == 1
        assert run(_runner(farm, guest, become, guest.password), "id -un", f"{RUN}/6/1")[1] == b"root\n", (
            "another one is"
        )
    finally:
        guest.there("rm", "-f", log)


def test_steps_that_begin_at_once_try_a_wrong_password_once_and_a_right_one_side_by_side(
    farm: Farm, guest: Guest, allow: Allow
) -> None:
    log = f"/tmp/{guest.name}.at-once.log"
    allow(f"Defaults:{{guest}} logfile={log}\n{{guest}} ALL=(ALL) ALL")

    def attempt(number: int, password: str) -> str:
        whom = {"user": "root" if number % 2 else "daemon", "password": "sudo"}
        runner, name = _runner(farm, guest, whom, password), f"{RUN}/1{number}/{len(password)}"
        try:
            said = run(runner, "id -un", name)[1].decode()
            runner.sweep([RunKey(name, "web1")])
            return said
        except PasswordRefused as error:
            return str(error)

    try:
        with ThreadPoolExecutor(10) as pool:
            said = set(pool.map(attempt, range(10), ["wrong"] * 10))
            assert len(said) == 1
            assert "the password is wrong" in said.pop()
            wait_until("sudo has written", lambda: bool(_tries(guest, log)), 30)
            assert sorted(pool.map(attempt, range(10), [guest.password] * 10)) == ["daemon\n"] * 5 + ["root\n"] * 5
        assert _tries(guest, log) == 1
    finally:
        guest.there("rm", "-f", log)


def _tries(guest: Guest, log: str) -> int:
    return guest.there("cat", log).stdout.count("incorrect password attempt")
