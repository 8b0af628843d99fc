"""`ansible:Playbook`: ansible-playbook on the worker's machine, for the hosts of the step. Must not know the bus.

What it needs beside the playbook (inventory, variables, passwords) stands in files of a directory that only the programs of steps
can enter, for as long as it runs: nothing of it is in a command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

from re_core.errors import BadMessage
from re_core.wire import strict_json
from re_workers.context import HERE, Context
from re_workers.limits import at_least, at_most, confidential, fits, items, public
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Worker, step
from re_workers.steps.ansible_inventory import inventory_of, known_hosts_of
from re_workers.steps.confinement import Confinement, User
from re_workers.steps.tools import Tool, give, scratch

PROGRAM = "ansible-playbook"

#: the plugin that prints what this module reads; begins its lines for it
CALLBACK, MARK = Path(__file__).with_name("ansible_callback.txt"), "@re-ansible "

#: what ansible is kept from: colours, questions, files beside the playbook that others may have made
ENVIRONMENT: Mapping[str, str] = {
    "ANSIBLE_STDOUT_CALLBACK": "release_engine",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
    "LC_ALL": "C.UTF-8",
}

#: failures that are named, and hosts that are counted
NAMED, MOST_HOSTS = 5, 1000

#: exit codes of ansible-playbook: some hosts failed, or were out of reach
_SOME_FAILED = (2, 3, 4)

_Public = Annotated[str, fits("re-text"), public("give it in extra_vars")]
_Tags = Annotated[list[_Public], items(1, 100)]


class Counts(TypedDict):
    """How many tasks ended in which way on one host."""

    ok: int
    changed: int
    failed: int
    unreachable: int
    skipped: int


class Played(TypedDict):
    """What a playbook has done."""

    changed: bool
    hosts: dict[str, Counts]


class _Terms(NamedTuple):
    """What a step says."""

    playbook: str
    inventory: str | None
    extra_vars: Mapping[str, Any] | None
    tags: Sequence[str] | None
    skip_tags: Sequence[str] | None
    limit: str
    check: bool
    diff: bool
    vault_password: str | None
    forks: int


class Ansible(Worker):
    """Runs playbooks of Ansible."""

    slots: ClassVar[int | None] = 4

    def __init__(self, confinement: Confinement | None = None) -> None:
        """`confinement` starts ansible-playbook."""
        self._confinement = confinement or Confinement()

    @step(timeout=6 * 3600)
    def Playbook(
        self,
        ctx: Context,
        playbook: Annotated[str, "path on the worker's machine", fits("re-path"), public("name a file")],
        inventory: Annotated[str, "path there; without it: the step's host", fits("re-path")] | None = None,
        extra_vars: Annotated[dict[str, Any] | None, "values, secrets too"] = None,
        tags: _Tags | None = None,
        skip_tags: _Tags | None = None,
        limit: _Public = "",
        check: Annotated[bool, "only say what would change"] = False,
        diff: Annotated[bool, "show what differs in files"] = False,
        vault_password: Annotated[str, fits("re-text"), confidential()] | None = None,
        forks: Annotated[int, at_least(1), at_most(500)] = 5,
    ) -> Played:
        """Runs ansible-playbook; fails where a task failed on a host, or a host is out of reach."""
        terms = _Terms(playbook, inventory, extra_vars, tags, skip_tags, limit, check, diff, vault_password, forks)
        played = self._play(ctx, terms, ctx.output)
        ctx.output("\n".join(f"{host}: {_summary(counts)}" for host, counts in played["hosts"].items()))
        return {**played, "changed": played["changed"] and not check}

    def _foreseen(self, ctx: Context, playbook: str, **named: Any) -> Change:
        # tasks with `check_mode: false` run also then: a look must run nothing of a playbook's author
        return Change("unknown", why="ansible tells in a step with `check: true` and `diff: true`")

    Playbook.plan(_foreseen)

    def _play(self, ctx: Context, terms: _Terms, say: Any) -> Played:
        events = _Events(ctx, say)
        with scratch(self._confinement) as directory:
            arguments = [*self._files(ctx, terms, directory), *_words(terms)]
            tool = Tool(program(self._confinement.user), self._confinement, {**ENVIRONMENT, **_places(directory)})
            place = Path(terms.playbook).parent
            ran = tool.stream(ctx, *arguments, cwd=place, each=events.take)
        if ran == 0:
            return events.played()
        raise events.failure(ran)

    def _files(self, ctx: Context, terms: _Terms, directory: Path) -> list[str]:
        """The options that name what was written for it."""
        self._write(directory / "release_engine.py", CALLBACK.read_text(encoding="utf-8"))
        options = ["--inventory", terms.inventory] if terms.inventory else []
        if not options:
            hosts, rows = ctx.hosts or (HERE,), ctx.call.rows
            known = self._write(directory / "known_hosts", known_hosts_of(hosts, rows))
            found = inventory_of(hosts, rows, str(known), str(directory / "modules"))
            options = ["--inventory", f"{self._write(directory / 'hosts.json', strict_json.dumps(found))}"]
        if terms.extra_vars:
            text = strict_json.dumps(dict(terms.extra_vars))
            options += ["--extra-vars", f"@{self._write(directory / 'vars.json', text)}"]
        if terms.vault_password is not None:
            options += ["--vault-password-file", f"{self._write(directory / 'vault', terms.vault_password + chr(10))}"]
        return options

    def _write(self, file: Path, text: str) -> Path:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        return give(file, self._confinement)


class _Events:
    """What the plugin says, line by line."""

    def __init__(self, ctx: Context, say: Any) -> None:
        self._ctx, self._say = ctx, say
        self._failed: list[tuple[str, str, str]] = []
        self._hosts: dict[str, Counts] = {}
        self._last = ""
        self._count, self._changed = 0, False

    def take(self, line: str) -> None:
        """One line of the output."""
        if not line.startswith(MARK):
            self._last = line.strip() or self._last
            self._say(line)
            return
        try:
            event = strict_json.loads(line.removeprefix(MARK))
        except BadMessage:  # it was cut
            return
        if "failed" in event:
            self._count += 1
            if self._count <= NAMED:
                self._failed.append((event["failed"], event["task"], event["why"]))
        elif "host" in event:
            self._changed = self._changed or bool(event["changed"])
            if len(self._hosts) < MOST_HOSTS:
                self._hosts[event["host"]] = _counts(event)
        else:
            self._ctx.progress(event["task"], 0, str(event["name"])[:200])

    def played(self) -> Played:
        """Of a run that ended well. Raises Failed where no host was there."""
        if not self._hosts:
            raise Failed("the playbook ran on no host: its hosts, or limit, match none of the inventory")
        return {"changed": self._changed, "hosts": self._hosts}

    def failure(self, code: int) -> Failed:
        """Of one that did not."""
        if code not in _SOME_FAILED or not self._failed:
            words = self._ctx.beginning(self._last, 500)
            return Failed(
                f"{PROGRAM} failed with exit code {code}: {words}", {"code": code, "hosts": dict(self._hosts)}
            )
        named = "; ".join(
            f"{host}: {f'{task}: ' if task else ''}{self._ctx.beginning(why, 500)}" for host, task, why in self._failed
        )
        more = f"; and {self._count - NAMED} more" if self._count > NAMED else ""
        return Failed(f"{named}{more}", {"code": code, "hosts": dict(self._hosts)})


def program(user: User | None = None) -> str:
    """Beside this Python, where the extra put it and `user` can start it, or on the PATH."""
    beside = Path(sys.executable).with_name(PROGRAM)
    usable = beside.exists() and (user is None or user.may_read(beside))
    return str(beside) if usable else PROGRAM


def _words(terms: _Terms) -> list[str]:
    words = [f"--forks={terms.forks}"]
    for option, values in (("tags", terms.tags), ("skip-tags", terms.skip_tags)):
        words += [f"--{option}={','.join(values)}"] if values else []
    words += [f"--limit={terms.limit}"] if terms.limit else []
    words += ["--check"] if terms.check else []
    words += ["--diff"] if terms.diff else []
    return [*words, "--", terms.playbook]


def _places(directory: Path) -> dict[str, str]:
    """Where ansible finds the plugin, and keeps its own files."""
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(directory),
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
    }


def _counts(found: Mapping[str, int]) -> Counts:
    return {
        "ok": found["ok"],
        "changed": found["changed"],
        "failed": found["failures"],
        "unreachable": found["unreachable"],
        "skipped": found["skipped"],
    }


def _summary(counts: Counts) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
