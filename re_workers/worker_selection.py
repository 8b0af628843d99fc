"""Which workers and notifiers a process has. Must not know when they start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

from re_core.errors import BadSettings
from re_core.runtime import scratch
from re_core.runtime.addresses import rule
from re_core.runtime.settings import Settings
from re_core.wording import did_you_mean
from re_workers.host_handle import Rows
from re_workers.hosts.facts import no_secret
from re_workers.hosts.port import HostRunner
from re_workers.hosts.runners import open_runner
from re_workers.hosts.surroundings import Surroundings
from re_workers.machine_slot import MachineSlot
from re_workers.notify.handler import Handler, Notice, Undeliverable
from re_workers.notify.reach import Probe
from re_workers.notify.steps import NOTIFIERS, Shared
from re_workers.notify.transports import makers, missing, probes, secret_files
from re_workers.registry import built_in, installed, load_directory, together
from re_workers.running_attempts import RunningAttempts
from re_workers.sdk import Worker
from re_workers.secrets.opening import Places, opened
from re_workers.steps.command import Command
from re_workers.steps.confinement import Confinement, code
from re_workers.steps.ticket_trackers import trackers

#: stands for every worker, and every notifier whose server is known
ALL = "all"

#: transports that the one process has also without a server, so that what is sent over them becomes a dead letter that says why
EXPECTED = ("email", "irc")

#: begins the URL of a store that is a file, and the ends of the names of what SQLite keeps beside it
SQLITE, SQLITE_FILES = "sqlite:///", ("", "-wal", "-shm", "-journal", "-artifacts")


class Unconfigured:
    """In place of a transport without a server in the settings: what is sent over it becomes a dead letter that says so."""

    def __init__(self, transport: str) -> None:
        self.transport = transport

    def deliver(self, notice: Notice, notification_id: str) -> NoReturn:
        """Raises Undeliverable, always."""
        raise Undeliverable(f"{self.transport} is not configured: {missing(self.transport)}", notice.target)

    def close(self) -> None:
        """Nothing is open."""


class Crew(NamedTuple):
    """What a process of its own runs; what reaches hosts is to be closed at its end."""

    workers: list[Worker]
    handlers: list[Handler]
    #: of the transports whose servers may be away
    probes: Mapping[str, Probe]
    hosts: Surroundings


def handlers(settings: Settings) -> list[Handler]:
    """One handler per transport, safe to share between threads. Raises BadSettings."""
    configured = {transport: Shared(make()) for transport, make in makers(settings).items()}
    others = [name for name in EXPECTED if name not in configured]
    return [*configured.values(), *(Shared(Unconfigured(name)) for name in others)]


def workers(
    settings: Settings,
    identity: str,
    transports: Sequence[Handler],
    notes: RunningAttempts | None = None,
    hosts: Surroundings | None = None,
) -> list[Worker]:
    """The built-in workers, those of installed packages, and those of the user's directory, which reach hosts by `hosts`.

    Raises BadSettings.
    """
    addresses = rule(settings.httprequest_denied)
    found = [
        *built_in(identity, transports, notes, confinement(settings), addresses, trackers(settings.tickets)),
        *installed(),
    ]
    if settings.workers_dir.is_dir():
        found.extend(load_directory(settings.workers_dir))
    if hosts is not None:
        for worker in found:
            worker.reach, worker.kept = partial(_reach, hosts), hosts.sweeper.kept
    return together(found)


def sweep(settings: Settings) -> None:
    """Remove what killed workers of this user left in the temporary directory. Raises BadSettings."""
    user = confinement(settings).user
    scratch.sweep(() if user is None else (user.id,))


def surroundings(settings: Settings, identity: str) -> Surroundings:
    """What runs on hosts share in this process; `identity` names it, and no other process has that name. Raises BadSettings."""
    return Surroundings(settings.data_dir, confinement(settings), identity)


def _reach(hosts: Surroundings, name: str, rows: Rows, secret: Callable[[str], str] = no_secret) -> HostRunner:
    """What runs programs on a host. Without any row it is the worker's own machine, as without an inventory."""
    return open_runner(name, rows or {name: {"runner": "local"}}, hosts, secret=secret)


def confinement(settings: Settings) -> Confinement:
    """How programs of steps are kept from what is the engine's. Raises BadSettings."""
    return Confinement(
        hidden(settings),
        [settings.workers_dir, *code()],
        settings.step_user,
        settings.step_isolation,
        settings.step_env,
    )


def hidden(settings: Settings) -> list[Path]:
    """What no program that the engine runs for others shall reach."""
    named = [Path(file).expanduser().absolute() for file in secret_files(settings)]
    found = [settings.data_dir, *settings.step_hidden, *named, *secrets(settings).hidden]
    found += [path for path in (settings.config_file, settings.deployment_log_dir) if path is not None]
    found += [settings.worker_credential_file] if settings.worker_credential_file is not None else []
    found += [one for one in (settings.secret_key_file, settings.dploy_keys_dir) if one.name]
    if settings.store_url.startswith(SQLITE):
        found += [Path(settings.store_url.removeprefix(SQLITE) + end) for end in SQLITE_FILES]
    return found


def secrets(settings: Settings) -> Places:
    """Where the secrets of steps are looked for. Raises BadSettings."""
    base = Path.cwd() if settings.config_file is None else settings.config_file.parent
    return opened(settings.secrets, os.environ, base)


def chosen(settings: Settings, place: MachineSlot, names: Iterable[str]) -> Crew:
    """The workers and notifiers of these names. Raises BadSettings for one that is not there, or not configured."""
    wanted = list(dict.fromkeys(names))
    transports = makers(settings)
    known = list(dict.fromkeys((*NOTIFIERS, *transports)))
    if ALL in wanted:
        picked = list(transports)
    else:
        picked = [name for name in wanted if name in known]
        for name in picked:
            if name not in transports:
                raise BadSettings(f"{name}: {missing(name)}")
    made: list[Handler] = [Shared(transports[name]()) for name in picked]
    hosts = surroundings(settings, place.identity)
    found = {worker.command: worker for worker in workers(settings, place.identity, made, place.notes, hosts)}
    if ALL not in wanted:
        for name in wanted:
            if name not in found:
                raise BadSettings(_unknown(name, [*found, *known]))
        found = {name: found[name] for name in wanted}
    if Command.command in found:
        confinement(settings).announce()
    probing = {name: probe for name, probe in probes(settings).items() if name in picked}
    return Crew(list(found.values()), made, probing, hosts)


def listed(settings: Settings) -> list[tuple[str, str]]:
    """Name of every worker and notifier that there is -> what it offers, or why it cannot be had. Raises BadSettings."""
    rows = [(worker.command, ", ".join(sorted(worker.offers()))) for worker in workers(settings, "", ())]
    transports = makers(settings)
    for name in dict.fromkeys((*NOTIFIERS, *transports)):
        label = f"notify.{name}, {name}:*"
        rows.append((name, label if name in transports else f"{label} (not configured: {missing(name)})"))
    return sorted(rows)


def _unknown(name: str, known: Iterable[str]) -> str:
    names = sorted({*known, ALL})
    return f"there is no worker {name!r}; {did_you_mean(name, names) or 'known are ' + ', '.join(names)}"
