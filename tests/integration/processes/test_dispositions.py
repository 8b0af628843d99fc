"""Programs that tests start can be ended as always, whatever shell runs the tests."""

from __future__ import annotations

import subprocess
import sys

#: exits with 0 where interrupts and hang-ups are not ignored
_LOOK = "import signal as s, sys; sys.exit(s.SIG_IGN in (s.getsignal(s.SIGINT), s.getsignal(s.SIGHUP), s.getsignal(s.SIGQUIT)))"


def test_a_program_ignores_no_interrupt_and_no_hang_up() -> None:
    assert subprocess.run([sys.executable, "-c", _LOOK], check=False).returncode == 0


def test_the_same_holds_under_a_shell_that_ignores_both() -> None:
    test = f"{__file__}::{test_a_program_ignores_no_interrupt_and_no_hang_up.__name__}"
    run = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-p", "no:schemathesis", test]
    ignoring = ["sh", "-c", "trap '' INT HUP QUIT; exec \"$@\"", "sh"]
    ran = subprocess.run([*ignoring, *run], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    assert subprocess.run([*ignoring, sys.executable, "-c", _LOOK], check=False).returncode == 1
