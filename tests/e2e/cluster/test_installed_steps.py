"""`pip install my-steps` adds steps to a running engine: a new worker process offers them, and nothing else is restarted."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from re_client.errors import ApiError
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, printed, steps_book
from tests.e2e.engine_process import wait_until

_MODULE = '''
from re_workers import Context, Worker, step


class Greet(Worker):
    """Greets people."""

    @step(idempotent=True)
    def Hello(self, ctx: Context, name: str, times: int = 1) -> dict[str, int]:
        """Says hello."""
        for _ in range(times):
            ctx.output(f"Hello {name}")
        return {"said": times}
'''


def _wheel(directory: Path) -> Path:
    """A distribution as a build makes it, with nothing but what an installer needs."""
    about = "my_steps-1.0.dist-info"
    files = {
        "my_steps.py": _MODULE,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: my-steps\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[re_workers]\ngreet = my_steps:Greet\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    path = directory / "my_steps-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, f"{about}/RECORD": record}.items():
            wheel.writestr(name, text)
    return path


def test_steps_of_an_installed_distribution_are_offered_by_a_new_worker_and_the_engine_goes_on(
    new_cluster: MakeCluster, tmp_path: Path
) -> None:
    cluster = new_cluster(workers=[("noop",)])
    cluster.start()
    site = tmp_path / "site"
    how = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site), str(_wheel(tmp_path)))
    subprocess.run([sys.executable, *how], check=True, timeout=120)
    book = steps_book("{'greet:Hello': {name: Ann, times: 2}}")
    with cluster.client() as client:
        before = client.validate(book.encode())
        assert "no running worker offers the command 'greet'" in str(before["warnings"])
        worker = cluster.add_worker("greet")
        worker.environ["PYTHONPATH"] = f"{site}:{worker.environ.get('PYTHONPATH', '')}"
        worker.start()
        wait_until(
            "the step is offered", lambda: any("greet:Hello" in one["offers"] for one in client.workers()), PATIENCE
        )
        assert client.validate(book.encode())["warnings"] == []
        try:
            client.apply_playbook(book.replace("times: 2", "times: two").encode())
            raise AssertionError("a wrong parameter was taken")
        except ApiError as refused:
            assert "times" in str(refused)
        id = begin(client, book)
        found = ended(client, id)
        assert (found["status"], found["steps"][0]["data"]) == ("completed", {"said": 2})
        wait_until("both lines are there", lambda: printed(client, id) == ["Hello Ann"] * 2, PATIENCE)
