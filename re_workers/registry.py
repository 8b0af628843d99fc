"""Which workers there are: the built-in ones, those of installed packages, those in a directory of the user's.

Must not know how they are run. Everything that is wrong with a worker is a BadSettings that names it.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from re_core.errors import BadSettings
from re_core.runtime.addresses import AddressRule
from re_workers.catalog import families
from re_workers.containers.worker import Containers
from re_workers.kubernetes.worker import Kubernetes
from re_workers.notify.handler import Handler
from re_workers.notify.steps import announcer
from re_workers.running_attempts import RunningAttempts
from re_workers.sdk import Worker
from re_workers.steps.ansible import Ansible
from re_workers.steps.command import Command
from re_workers.steps.confinement import Confinement
from re_workers.steps.httprequest import HttpRequest
from re_workers.steps.noop import Noop
from re_workers.steps.prometheus import Prometheus
from re_workers.steps.sleep import Sleep
from re_workers.steps.sql import Sql
from re_workers.steps.ticket import Tickets
from re_workers.steps.ticket_trackers import Tracker

#: entry points of installed packages: any name, each a subclass of Worker
ENTRY_POINTS = "re_workers"

#: command -> built-in worker that needs nothing to be made
PLAIN: Mapping[str, type[Worker]] = {"noop": Noop, "sleep": Sleep}


def built_in(
    engine_id: str = "",
    handlers: Sequence[Handler] = (),
    notes: RunningAttempts | None = None,
    confinement: Confinement | None = None,
    addresses: AddressRule | None = None,
    trackers: Mapping[str, Tracker] | None = None,
) -> list[Worker]:
    """The workers that come with the engine.

    `engine_id` marks the programs that `command` starts, `notes` keep which attempts run one, and `confinement` starts
    them; `addresses` says where those may go that ask by HTTP or name a container engine, `trackers` what `ticket`
    asks; each of `handlers` (which must allow several threads) also becomes a worker.
    """
    workers: list[Worker] = [kind() for kind in PLAIN.values()]
    notifiers = [announcer(handler) for handler in handlers]
    programs = [Command(engine_id, notes, confinement), Ansible(confinement), Sql(confinement), Kubernetes(confinement)]
    asking: list[Worker] = [HttpRequest(addresses), Prometheus(addresses), Tickets(addresses, trackers)]
    asking.append(Containers(addresses))
    return [*workers, *asking, *programs, *families.workers(addresses), *notifiers]


def installed() -> list[Worker]:
    """The workers of installed packages. Raises BadSettings."""
    found = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        try:
            kind = point.load()
        except Exception as error:
            raise BadSettings(f"the worker {point.value} cannot be loaded: {_words(error)}") from error
        found.append(_made(kind, point.value))
    return found


def load_directory(path: Path) -> list[Worker]:
    """The workers of a directory: every subclass of Worker with steps in each of its .py files, by name of the file.

    Names that begin with `_` or `.` are left out. Raises BadSettings.
    """
    if not path.is_dir():
        raise BadSettings(f"the workers' directory {path} does not exist")
    files = sorted(file for file in path.glob("*.py") if not file.name.startswith(("_", ".")))
    return [worker for file in files for worker in _load_file(file)]


def together(workers: Iterable[Worker]) -> list[Worker]:
    """All of them, if each has a command of its own. Raises BadSettings."""
    by_command: dict[str, Worker] = {}
    for worker in workers:
        other = by_command.setdefault(worker.command, worker)
        if other is not worker:
            raise BadSettings(f"two workers have the command {worker.command!r}: {_where(other)} and {_where(worker)}")
    return list(by_command.values())


def _load_file(file: Path) -> list[Worker]:
    name = f"re_workers_dir_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise BadSettings(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where the types of parameters are looked up by name
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise BadSettings(f"{file} cannot be loaded: {_words(error)}") from error
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == name]
    return [_made(kind, str(file)) for kind in kinds if issubclass(kind, Worker) and kind.steps]


def _made(kind: object, where: str) -> Worker:
    if not (inspect.isclass(kind) and issubclass(kind, Worker)):
        raise BadSettings(f"{where} is not a subclass of re_workers.Worker")
    try:
        return kind()
    except Exception as error:
        raise BadSettings(f"the worker {kind.__name__} of {where} cannot be created: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _where(worker: Worker) -> str:
    return f"{type(worker).__module__}.{type(worker).__qualname__}"
