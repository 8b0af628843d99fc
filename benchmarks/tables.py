"""The figures as tables for people. Must not know how they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]

COSTS = (
    "steps are",
    "cores",
    "in flight",
    "msgs of\nsteps/step",
    "all msgs\n/step",
    "docs/step",
    "deliveries\n/turn",
    "reads/\ndeployment",
    "CPU µs/step:\nengine",
    "servers",
    "bare\nloops",
    "bare\nservers",
    "PSS MiB",
)


def flow(rows: Sequence[Row]) -> Table:
    """Of benchmarks.flow."""
    names = ("steps are", "in flight", "steps/s", "p50 ms", "p99 ms", "docs/step", "CPU µs/step", "peak MiB")
    title = "Deployments of 10 noop steps, embedded bus and SQLite, every step durable"
    table = _table(title, (*names, "bare commits,\nsteps/s", "ratio"))
    for row in rows:
        table.add_row(
            _kind(row),
            str(row["in_flight"]),
            f"{row['steps_per_second']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['documents_per_step']:.2f}",
            f"{row['cpu_us_per_step']:.0f}",
            f"{row['peak_mib']:.0f}",
            f"{row['bare_steps_per_second']:.0f}",
            f"{row['steps_per_second'] / row['bare_steps_per_second']:.2f}",
        )
    return table


def http(rows: Sequence[Row]) -> Table:
    """Of benchmarks.http."""
    return _http("POST /api/v1/deployments, answered once durable, while the steps run beside it", rows)


def flat(row: Row) -> Table:
    """Of benchmarks.flat."""
    title = f"With {row['past']} finished deployments in the store ({row['store_mib']:.0f} MiB)"
    table = _table(title, ("", "empty", "full", "full/empty"))
    pairs = {
        "steps/s": (row["empty_steps_per_second"], row["full_steps_per_second"]),
        "list, ms": (row["list_ms"]["empty"], row["list_ms"]["full"]),
        "status, ms": (row["status_ms"]["empty"], row["status_ms"]["full"]),
    }
    for name, (empty, full) in pairs.items():
        table.add_row(name, f"{empty:.2f}", f"{full:.2f}", f"{full / empty:.2f}")
    return table


def hosts(row: Row) -> Table:
    """Seconds, processor time of the worker's side, and both beside the bare loop."""
    title = f"One command on many hosts, {row['at_once']} at once, beside `xargs -P{row['at_once']} ssh` over the same connections"
    table = _table(title, ["connections", "hosts", "seconds", "of bare", "worker's processor s", "of bare"])
    for kind, count in (("warm", row["hosts"]), ("cold", row["ways"])):
        ours, bare = row[kind], row[f"bare {kind}"]
        shown = [f"{ours[name]:.2f}" for name in ("seconds", "processor_seconds")]
        ratios = [f"{ours[name] / bare[name]:.2f} x" for name in ("seconds", "processor_seconds")]
        table.add_row(kind, str(count), shown[0], ratios[0], shown[1], ratios[1])
    return table


def forest(row: Row) -> Iterable[Table]:
    """Of benchmarks.forest: what runners cost that do nothing, how fast completions are answered, and lines are seen."""
    costs = ("", "CPU", "PSS MiB", "of the runners")
    idle = _table(f"{row['runners']} forest runners are connected and do nothing", costs)
    names = ("", "answered, p50 ms", "p99 ms", "longest", "over 50 ms", "CPU ms/release", "deployment p50 ms", "p99 ms")
    load = _table(f"{row['rate']:g} releases a second, {row['releases']} of them, to {row['runners']} runners", names)
    for name, one in (("rectl up", row), ("bare server", row["bare"])):
        idle.add_row(
            name, f"{one['idle_cpu_percent']:.1f} %", f"{one['pss_mib']:.0f}", f"{one['mib_of_the_runners']:.0f}"
        )
        load.add_row(
            name,
            f"{one['p50_ms']:.1f}",
            f"{one['p99_ms']:.1f}",
            f"{one['max_ms']:.1f}",
            f"{one['late_percent']:.1f} %",
            f"{one['cpu_ms_per_release']:.1f}",
            *(f"{one[key]:.0f}" if key in one else "" for key in ("whole_p50_ms", "whole_p99_ms")),
        )
    seen = _table(f"{row['watch']['lines']} lines of a runner, until rectl watch shows them", ("", "p50 ms", "longest"))
    for name, words in (("terminal", "on a terminal"), ("pipe", "into a pipe")):
        seen.add_row(words, *(f"{row['watch'][name][key]:.0f}" for key in ("p50_ms", "max_ms")))
    return idle, load, seen


def dploylib(row: Row) -> Iterable[Table]:
    """Of benchmarks.zeromq."""
    names = ("", "bare pyzmq", "dploylib", "ratio", "CPU µs each: bare", "dploylib")
    speed = _table("dploylib beside bare pyzmq, a second", names)
    echo, sent = row["echo"], row["broadcast"]
    rates = {kind: f"{one['per_second']:.0f}, quickest {one['quickest_per_second']:.0f}" for kind, one in echo.items()}
    ratios = f"{row['echo_ratio']:.2f}, quickest {row['quickest_ratio']:.2f}"
    costs = (f"{echo[kind]['cpu_us']:.0f}" for kind in ("bare", "dploylib"))
    speed.add_row("round trips", rates["bare"], rates["dploylib"], ratios, *costs)
    rates = {kind: f"{one['per_second']:.0f}" for kind, one in sent.items()}
    costs = (f"{sent[kind]['cpu_us']:.1f}" for kind in ("bare", "dploylib"))
    title = f"deliveries to {row['subscribers']} subscribers"
    speed.add_row(title, rates["bare"], rates["dploylib"], f"{row['broadcast_ratio']:.2f}", *costs)
    speed.add_row("round trips, its client too", "", f"{row['asked_per_second']:.0f}", "", "", "")
    stops = _table("Stop of a service of ten servers, ms", ("", "p50", "longest"))
    for title, took in row["stop_ms"].items():
        stops.add_row(title, f"{took['p50']:.1f}", f"{took['longest']:.1f}")
    return speed, stops


def cdpm(row: Row) -> Iterable[Table]:
    """Of benchmarks.cdpm: what dependents cost that wait, and how soon a release has come to all of them."""
    cost = _table(
        f"{row['dependents']} dependents of a pipeline are connected and wait",
        ("", "CPU", "PSS MiB", "threads", "/healthz p99 ms", "subscribed in s", "connected in s", "stopped in s"),
    )
    cost.add_row("alone", f"{row['idle_alone_cpu_percent']:.1f} %", f"{row['pss_alone_mib']:.0f}")
    cost.add_row(
        "with them",
        f"{row['idle_cpu_percent']:.1f} %",
        f"{row['pss_mib']:.0f}",
        str(row["threads"]),
        *(f"{row[key]:.1f}" for key in ("healthz_p99_ms", "subscribe_s", "connect_s", "stop_s")),
    )
    names = ("", "has it, p50 ms", "the last has it, p50 ms", "longest")
    release = _table("A release, from the request until dependents have it", names)
    for name, key in (("all read", "release"), (f"{row['lazy']} do not read", "release_lazy")):
        release.add_row(name, *(f"{row[key][one]:.0f}" for one in ("middle_ms", "last_p50_ms", "last_max_ms")))
    return cost, release


def cluster(rows: Sequence[Row]) -> Iterable[Table]:
    """Of benchmarks.cluster: speed, and what it costs."""
    title = "The same on RabbitMQ and a MongoDB server, separate processes, all on this machine"
    names = ("steps are", "cores", "in flight", "steps/s", "p50 ms", "p99 ms", "bare steps/s", "ratio", "bare p50 ms")
    speed = _table(title, names)
    cost = _table("What it costs", COSTS)
    for row in rows:
        load = (_kind(row), str(row["cores"]), str(row["in_flight"]))
        bare = row["bare"]
        speed.add_row(
            *load,
            f"{row['steps_per_second']:.0f}",
            f"{row['p50_ms']:.0f}",
            f"{row['p99_ms']:.0f}",
            f"{bare['steps_per_second']:.0f}",
            f"{row['steps_per_second'] / bare['steps_per_second']:.2f}",
            f"{bare['p50_ms']:.0f}",
        )
        cost.add_row(
            *load,
            f"{row['step_messages_per_step']:.2f}",
            f"{row['messages_per_step']:.2f}",
            f"{row['documents_per_step']:.2f}",
            f"{row['deliveries_per_turn']:.1f}",
            f"{row['reads_per_deployment']:.2f}",
            *_processors(row["cpu_us_per_step"]),
            *_processors(bare["cpu_us_per_step"]),
            f"{sum(row['pss_mib'].values()):.0f}",
        )
    return speed, cost


def cluster_http(rows: Sequence[Row]) -> Table:
    """Of benchmarks.cluster_http."""
    return _http("POST /api/v1/deployments to re-rest, RabbitMQ and a MongoDB server", rows)


def _http(title: str, rows: Sequence[Row]) -> Table:
    names = ("noop steps each", "POST/s", "p50 ms", "p99 ms", "failed", "ready, s", "PSS MiB", "bare route/s", "ratio")
    table = _table(title, (*names, "with keys/s", "keys/none"))
    for row in rows:
        memory = row["pss_mib"]
        table.add_row(
            str(row["steps"]),
            f"{row['per_second']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            str(row["failed"]),
            f"{row['ready_s']:.1f}",
            f"{sum(memory.values()) if isinstance(memory, Mapping) else memory:.0f}",
            f"{row['bare']['per_second']:.0f}",
            f"{row['per_second'] / row['bare']['per_second']:.2f}",
            f"{row['keyed']['per_second']:.0f}",
            f"{row['keyed']['per_second'] / row['per_second']:.2f}",
        )
    return table


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(title=title)
    for name in names:
        table.add_column(name, justify="right")
    return table


def _kind(row: Row) -> str:
    return "repeatable" if row["repeatable"] else "granted"


def _processors(used: Mapping[str, float]) -> tuple[str, str]:
    """Of the loops or the engine, and of the servers; not of the driver."""
    servers = used.get("broker", 0.0) + used.get("store", 0.0)
    own = sum(value for name, value in used.items() if name.partition("-")[0] in ("rest", "core", "worker", "bare"))
    return f"{own:.0f}", f"{servers:.0f}"
