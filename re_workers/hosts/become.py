"""Another user on a host, by sudo. Must not know how the host is reached, nor where a password comes from.

The whole session runs as that user, so that the run's record, its program and what ends it have one owner: no user can signal
another's processes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from re_workers.hosts.agent import quote
from re_workers.hosts.port import PasswordRefused, SudoRefused


class Become(NamedTuple):
    """Whom, and with which password."""

    user: str
    #: empty: sudo asks for none
    password: str = ""

    @property
    def first(self) -> bytes:
        """What sudo reads. Where it asks for nothing, the line stays unread, and the agent drops it."""
        return f"{self.password}\n".encode("utf-8", "surrogateescape") if self.password else b""

    def command(self, command: str) -> str:
        """What the login shell is asked to run, for the same as the other user. No timestamp is used or made.

        What sudo refuses it says in English, whatever the host's language is.
        """
        how = "-k -S -p ''" if self.password else "-n"
        return f"exec env LC_MESSAGES=C sudo {how} -H -u {quote(self.user)} -- {command.removeprefix('exec ')}"

    def explain(self, noise: str, host: str, is_over: bool) -> SudoRefused | None:
        """Why sudo did not begin it, by what was printed; None where sudo said nothing of that.

        `is_over`: it has ended, and so has refused; until then it may only have warned (of a name that it cannot resolve).
        """
        for pattern, words, advice in _SIGNS:
            if re.search(pattern, noise, re.IGNORECASE):
                rule = (
                    f"`deploy ALL=({self.user}) NOPASSWD: ALL` in /etc/sudoers.d, with the user who logs in for deploy"
                )
                known = {"user": self.user, "rule": rule}
                kind = PasswordRefused if words is _WRONG else SudoRefused
                return kind(f"{host}: sudo: {words.format(**known)}; {advice.format(**known)}")
        if is_over and "sudo:" in noise:
            return SudoRefused(f"{host}: sudo does not let the run become {self.user}: {noise[-1000:]}")
        return None


_WRONG = "the password is wrong"
_SIGNS = (
    (
        r"a password is required|a terminal is required to read the password",
        "it wants a password",
        "set become.password to a secret in the inventory, or allow {rule}",
    ),
    (
        r"sorry, try again|incorrect password|no password was provided|account (?:is )?locked",
        _WRONG,
        "set the secret of become.password again (rectl secret set); it is not tried again for a minute",
    ),
    (r"is not in the sudoers file", "the user who logs in may not use sudo", "allow {rule}"),
    (r"is not allowed to (?:execute|run)|may not run", "the user may not run `sh` as {user}", "allow {rule}"),
    (r"must have a tty|no tty present", "it wants a terminal", "write `Defaults !requiretty` in /etc/sudoers.d"),
    (r"unknown user", "there is no user {user}", "see become: in the inventory"),
    (
        r"sudo: (?:command )?not found|can't execute 'sudo'|unknown command: sudo",
        "it is not installed",
        "install it there",
    ),
)
