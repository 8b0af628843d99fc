"""The programs by themselves: names of workers, what a killed worker leaves, gunicorn's part, sqlite beside a broker."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from re_client.api import Client
from re_client.errors import ClientError
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, await_line, begin, ended, programs_of, run_step, statuses, steps_book
from tests.e2e.engine_process import wait_until


def ask(new_cluster: MakeCluster, *words: str) -> subprocess.CompletedProcess[str]:
    """`re-worker` with these words."""
    environ = new_cluster(rests=0, cores=0, workers=()).environ("asked")
    return subprocess.run(["re-worker", *words], env=environ, capture_output=True, text=True, timeout=60)


def test_the_list_names_built_in_workers_notifiers_and_those_of_the_directory(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(rests=0, cores=0, workers=())
    environ = cluster.environ("asked")
    directory = Path(environ["RE_DATA_DIR"]) / "workers"
    directory.mkdir(parents=True)
    (directory / "mine.py").write_text(
        "from re_workers import Worker, step\nclass Mine(Worker):\n    @step\n    def Do(self, ctx):\n        'Does it.'\n"
    )
    ran = subprocess.run(["re-worker", "--list"], env=environ, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    rows = {line.split()[0]: line for line in ran.stdout.splitlines()}
    assert set(rows) >= {"command", "console", "email", "httprequest", "irc", "mine", "noop", "sleep"}
    assert "mine:Do" in rows["mine"]
    assert "not configured" in rows["email"]
    assert "not configured" not in rows["console"]


def test_without_a_name_it_says_which_there_are(new_cluster: MakeCluster) -> None:
    ran = ask(new_cluster)
    assert ran.returncode == 2
    assert "NAME..., or all" in ran.stderr
    assert "noop" in ran.stdout


def test_a_name_that_is_not_there_gets_a_suggestion(new_cluster: MakeCluster) -> None:
    ran = ask(new_cluster, "sleap")
    assert (ran.returncode, ran.stderr) == (2, "re-worker: there is no worker 'sleap'; did you mean 'sleep'?\n")


def test_a_notifier_without_its_section_is_refused(new_cluster: MakeCluster) -> None:
    ran = ask(new_cluster, "email")
    assert (ran.returncode, ran.stderr) == (2, "re-worker: email: the settings file has no section 'email'\n")


def test_what_a_killed_worker_left_running_is_ended_by_the_next_one_on_this_machine(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(workers=[("command",)])
    cluster.start()
    daemon = "setsid nohup sleep 300 >/dev/null 2>&1 & echo $!"
    with cluster.client() as client:
        id = begin(client, steps_book(run_step(daemon), run_step("(setsid sleep 300 &); echo begun; sleep 300")))
        await_line(client, id, "begun")
    left = programs_of(id)
    assert len(left) > 3
    spared = next(one for one in left if one.environ()["RE_ATTEMPT"].split("/")[1] == "0")
    try:
        cluster.workers[0].kill()
        assert all(one.is_running() for one in left)
        cluster.workers[0].start()
        assert [one.pid for one in programs_of(id)] == [spared.pid]
        assert 'action="end_orphans"' in cluster.workers[0].text
    finally:
        for one in programs_of(id):
            one.kill()


def test_a_worker_leaves_the_programs_of_another_one_on_this_machine_alone(new_cluster: MakeCluster) -> None:
    shared = {"RE_DATA_DIR": str(new_cluster("shared").directory / "data")}
    cluster = new_cluster(workers=[("command",)], environ=shared)
    cluster.start()
    go = cluster.directory / "go"
    with cluster.client() as client:
        id = begin(client, steps_book(run_step(f"echo begun; while ! test -e {go}; do sleep 0.02; done")))
        await_line(client, id, "begun")
        cluster.add_worker("noop").start()
        assert programs_of(id)
        go.touch()
        assert statuses(ended(client, id)) == ["completed"]


def test_a_front_ends_process_that_is_killed_is_replaced_and_gunicorn_tells_it_in_our_form(
    new_cluster: MakeCluster,
) -> None:
    cluster = new_cluster(environ={"RE_HTTP_WORKERS": "1"})
    cluster.start()
    rest = cluster.rests[0]
    [_, worker] = rest.processes()
    worker.send_signal(signal.SIGKILL)
    wait_until("another one", lambda: worker.pid not in {one.pid for one in rest.processes()[1:]}, PATIENCE)
    rest.await_ready()
    told = [line for line in rest.text.splitlines() if "was sent SIGKILL" in line]
    assert len(told) == 1
    assert ' - app_component="rerest" - ' in told[0]
    with cluster.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"


def test_a_second_term_cuts_short_what_would_take_long(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(workers=[("command",)], environ={"RE_STOP_TIMEOUT": "600"})
    cluster.start()
    with cluster.client() as client:
        id = begin(client, steps_book(run_step("echo begun; sleep 300")))
        await_line(client, id, "begun")
    worker = cluster.workers[0]
    worker.send(signal.SIGTERM)
    wait_until("it drains", lambda: 'action="stop"' in worker.text, PATIENCE)
    worker.send(signal.SIGTERM)
    assert worker.await_exit() == -signal.SIGTERM
    for one in programs_of(id):
        one.kill()


def test_on_one_machine_all_processes_may_share_a_sqlite_file(new_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = new_cluster(rests=2, cores=2, store_url=f"sqlite:///{tmp_path / 'shared.db'}")
    cluster.start()
    with cluster.client(0) as asks, cluster.client(1) as reads:
        book = asks.apply_playbook(steps_book("noop:Do", "noop:Do").encode())
        ids = [asks.deploy("tests", book["id"], {})["id"] for _ in range(30)]
        assert {ended(reads, id)["status"] for id in ids} == {"completed"}


def test_a_master_that_is_killed_takes_its_processes_with_it(new_cluster: MakeCluster) -> None:
    cluster = new_cluster()
    cluster.start()
    rest = cluster.rests[0]
    family = rest.processes()
    rest.send(signal.SIGKILL)
    rest.await_exit()
    wait_until("all are gone", lambda: not any(map(psutil.Process.is_running, family)), PATIENCE)
    rest.start()


def test_the_first_token_is_made_on_the_store_by_whoever_may_open_it(new_cluster: MakeCluster) -> None:
    cluster = new_cluster()
    environ = cluster.environ("operator")
    cluster.start()

    def make(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["rectl", "store", "token", *words], env=environ, capture_output=True, text=True, timeout=60
        )

    made = make("--user", "ann", "--admin")
    assert made.returncode == 0, made.stderr
    assert "cannot be shown again" in made.stderr
    with Client(cluster.url(), made.stdout.strip()) as client:
        assert [(row["user"], row["groups"], row["admin"]) for row in client.tokens()] == [("ann", None, True)]
        id = begin(client, steps_book("noop:Do"))
        assert ended(client, id)["user"] == "ann"
    limited = make("--user", "bob", "--group", "web").stdout.strip()
    with Client(cluster.url(), limited) as client, pytest.raises(ClientError):
        client.deployment(id)
    assert make("--user", "bob").returncode == 2
    assert make("--user", "bob", "--group", "web", "--admin").returncode == 2
