"""What a zone reports of itself. Must not know sockets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from re_core.wire import strict_json
from re_dploy.wire import AppReport, Ask, LogPiece, LogText, OrderReport, PsRow, Report
from re_dploy.wire.names import MAX_APPS, MAX_INSTANCES, MAX_LINES, MAX_LINES_BYTES
from re_dploy.zone import agent_log, log_reader
from re_dploy.zone.process import Process
from re_dploy.zone.state import RUN, Run
from re_dploy.zone.worker import AppWorker

#: lines of one log in one report, so that a process that prints much leaves room for others; those that got none come first
#: in the next one
SHARE = 50


#: bytes of the apps of one report, as they travel; one app has fewer
MAX_APP_BYTES = 512 * 1024

#: bytes of the reasons of orders in one report
MAX_WHY_BYTES = 64 * 1024


class _Room:
    """For lines in one report, counted as they travel: a control character is six bytes there."""

    def __init__(self, most: int = MAX_LINES_BYTES) -> None:
        self.lines = MAX_LINES
        self._bytes = most

    def take(self, text: str) -> bool:
        """Whether it still fits; a first line does. Behind one that does not, no other does, so that none is passed over."""
        size = len(strict_json.dumps(text).encode()) + 64
        if self.lines <= 0 or size > self._bytes:
            self.lines = 0
            return False
        self.lines -= 1
        self._bytes -= size
        return True


def report(zone: str, id: str, boot: str, workers: Mapping[str, AppWorker], ask: Ask) -> Report:
    """The answer to a question; at most 64 apps, in the order of their names, behind the one that is asked for."""
    names = [name for name in sorted(workers) if name > ask.after and (not ask.only or name == ask.only)]
    apps = dict(_page(workers, names))
    room = _Room()
    orders = tuple(_orders(workers, ask, room))
    is_step = ask.only and not ask.logs  # which looks at one order, twice a second
    logs = () if is_step else tuple(_logs({name: workers[name] for name in apps}, ask, room))
    return Report(zone, id, boot, apps, orders, logs, len(names) > len(apps))


def _page(workers: Mapping[str, AppWorker], names: list[str]) -> Iterator[tuple[str, AppReport]]:
    left = MAX_APP_BYTES
    for place, name in enumerate(names[:MAX_APPS]):
        app = _app(workers[name])
        left -= len(strict_json.dumps(app.document()).encode()) + len(name)
        if left < 0 and place:
            return
        yield name, app


def _app(worker: AppWorker) -> AppReport:
    with worker.lock:
        app = worker.app
        order = app.order
        current = app.current
        return AppReport(
            app.app,
            app.app_id,
            app.epoch,
            current.release.version if current else 0,
            current.release.digest if current else "",
            current.formation if current else {},
            current.generation if current else 0,
            app.state,
            OrderReport(order.id, order.state, order.why) if order else None,
            tuple(_rows(worker))[:MAX_INSTANCES],
            app.revision,
            app.addresses,
        )


def _rows(worker: AppWorker) -> Iterator[PsRow]:
    """Of each name what lives, or else what ended last."""
    newest: dict[str, int] = {}
    for n, process in worker.processes.items():
        newest[process.instance.name] = max(n, newest.get(process.instance.name, 0))
    for n, process in sorted(worker.processes.items(), key=lambda one: (one[1].instance.name, one[0])):
        instance = process.instance
        if process.exit is not None and newest[instance.name] != n:
            continue
        slot = instance.type, instance.number
        waits = process.exit is not None and instance.is_of(worker.app.current)
        yield process.row(worker.restarts.count(slot), waits)


def _orders(workers: Mapping[str, AppWorker], ask: Ask, room: _Room) -> Iterator[OrderReport]:
    reasons = _Room(MAX_WHY_BYTES)
    for id, after in ask.orders.items():
        for worker in workers.values():
            if (found := _order(worker, id, after, room)) is not None:
                yield found if reasons.take(found.why) else found._replace(why="")
                break


def _order(worker: AppWorker, id: str, after: int, room: _Room) -> OrderReport | None:
    with worker.lock:
        run = worker.app.run(id)
        if run is not None:
            return _run(worker, run, after, room)
        past = worker.app.outcome(id)
        if past is None:
            return None
        lines, _ = worker.disk.lines(id, after, room.lines)
    kept = tuple(takewhile(room.take, lines))
    return OrderReport(id, past.state, past.why, kept, after + len(kept))


def _run(worker: AppWorker, run: Run, after: int, room: _Room) -> OrderReport:
    process = worker.processes.get(run.instance)
    lines = log_reader.from_start(process.dir, after, room.lines + 1) if process is not None else []
    kept = list(takewhile(lambda line: room.take(line[1]), lines))
    state = run.state
    if state in ("done", "failed") and len(kept) < len(lines):
        state = "running"  # it is over once its lines were read
    texts, number = tuple(text for _, text in kept), kept[-1][0] if kept else after
    return OrderReport(run.id, state, run.why, texts, number, run.code if state == "done" else None)


def _logs(workers: Mapping[str, AppWorker], ask: Ask, room: _Room) -> Iterator[LogPiece]:
    places = sorted(place for name, worker in workers.items() for place in _places(name, worker))
    first = bisect_right([key for key, _ in places], ask.served)
    for key, directory in [*places[first:], *places[:first]]:
        generation, offset = ask.logs.get(key, (0, 0))
        piece = log_reader.read(directory, generation, offset, min(SHARE, room.lines))
        kept = list(takewhile(lambda line: room.take(line.text), piece.lines))
        if len(kept) < len(piece.lines):
            piece = piece._replace(offset=kept[-1].offset if kept else offset)
        if kept:
            texts = (LogText(one.offset, one.at, "dploy" if one.source == "s" else "app", one.text) for one in kept)
            yield LogPiece(key, piece.generation, piece.offset, tuple(texts))


def _places(name: str, worker: AppWorker) -> Iterator[tuple[str, Path]]:
    """The logs of an app, and where they are."""
    with worker.lock:
        places = {agent_log.NAME: worker.disk.dir}
        places |= {one.instance.dir: one.dir for one in worker.processes.values() if _is_logged(one)}
    for log, directory in places.items():
        yield f"{name}/{log}", directory


def _is_logged(process: Process) -> bool:
    """What a person runs goes to the person, not into the app's log."""
    return process.instance.type != RUN
