"""The pages of the library: every example runs as it stands there, and every name is on the page of names."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import dploylib
from dploylib import problems, throttle
from dploylib.__main__ import main
from dploylib.servers import greeting, server
from dploylib.services import coordinator
from dploylib.services.config import Settings
from dploylib.transport import Socket, curve, wrapper
from tests.dploylib.servers import free_uri

PAGES = Path("docs/dploylib")
_BLOCK = re.compile(r"^```(python|yaml)\n(?:# (\S+)\n)?(.*?)^```$", re.MULTILINE | re.DOTALL)

#: what needs another program -> that program
SERVICES = {
    "echo_client.py": "echo_service.py",
    "clients.py": "broadcast_service.py",
    "client.py": "server.py",
}
#: program -> what it prints
PRINTED = {
    "echo_client.py": "hello\n",
    "clients.py": "{'accepted': True}\nrequest refused: a job has a name\n",
    "client.py": "hello\n",
    "start_and_stop.py": "here\nTrue\n",
    "observable.py": "output line building\nstatus completed None\n",
    "envelope.py": (
        "[b'peer-1', '', 'job-1', 'text/plain', 'half']\n"
        "there is no empty frame before the id: a DEALER has to send it\n"
    ),
}
#: services that a test asks -> its port, the words, the answer
ASKED = {
    "configured_service.py": (14445, "hello", "hello, hello"),
    "handler_class.py": (14449, "shout", "SHOUT"),
}


def _examples() -> dict[str, str]:
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    return {name: code for _, name, code in _BLOCK.findall(text) if name}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The examples in a directory, each port of theirs replaced by a free one."""
    examples = _examples()
    ports = {port: free_uri() for code in examples.values() for port in re.findall(r"tcp://127\.0\.0\.1:\d+", code)}
    for name, code in examples.items():
        for port, uri in ports.items():
            code = code.replace(port, uri)
        (tmp_path / name).write_text(code, encoding="utf-8")
    (tmp_path / "ports").write_text("\n".join(f"{port} {uri}" for port, uri in ports.items()))
    return tmp_path


def _moved(files: Path, port: int) -> str:
    pairs = dict(line.split() for line in (files / "ports").read_text().splitlines())
    return pairs[f"tcp://127.0.0.1:{port}"]


@contextmanager
def _running(files: Path, name: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, name], cwd=files, stderr=subprocess.PIPE, text=True)
    try:
        yield
        assert process.poll() is None, "the service has ended"
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    # one without a service has no handler for TERM
    assert process.returncode == (-15 if name == "server.py" else 0), errors


def _run(files: Path, name: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", name], cwd=files, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_the_page_says(files: Path, name: str) -> None:
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    for line in PRINTED[name].splitlines():
        assert f"`{line}`" in text
    if name in SERVICES:
        with _running(files, SERVICES[name]):
            assert _run(files, name) == PRINTED[name]
    else:
        assert _run(files, name) == PRINTED[name]


@pytest.mark.parametrize("name", ASKED)
def test_a_service_of_the_page_answers(files: Path, name: str) -> None:
    port, words, answer = ASKED[name]
    with _running(files, name), Socket.connect_new("req", _moved(files, port), options=[("linger", 0)]) as socket:
        socket.send_text(words)
        assert socket.receive_text(timeout=20_000) == answer


def test_the_encrypted_example_reaches_an_encrypted_service(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("service", "client"):
        assert main(["keys", name, "--directory", str(files)]) == 0
    service_key, client_key = capsys.readouterr().out.split()
    config = {
        "servers": {
            "echo": {
                "request": {
                    "uri": _moved(files, 14445),
                    "curve": {"secret_key_file": "service.key_secret", "clients": [client_key]},
                }
            }
        }
    }
    (files / "config.yaml").write_text(yaml.safe_dump({**config, "general": {"greeting": "unused"}}))
    service = (files / "echo_service.py").read_text().replace("config_dict=config", 'config_file="config.yaml"')
    (files / "secret_service.py").write_text(service)
    client = (files / "secret_client.py").read_text().replace("<public key of the service>", service_key)
    (files / "secret_client.py").write_text(client)
    with _running(files, "secret_service.py"):
        assert _run(files, "secret_client.py") == "hello\n"


def test_the_configurations_of_encryption_are_read(tmp_path: Path) -> None:
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    found = [code for kind, name, code in _BLOCK.findall(text) if kind == "yaml" and not name]
    assert len(found) == 2
    pair = curve.new_keys()
    _, secret = curve.write(pair, tmp_path, "any")
    for code in found:
        code = re.sub(r"<public key of [^>]*>", pair.public, code).replace(", …]", "]")
        assert f'"{pair.public}"' in code
        code = re.sub(r"\w+\.key_secret", str(secret), code)
        for name, sockets in Settings(yaml.safe_load(code))._servers.items():
            for socket in sockets.values():
                assert curve.read(name, socket["curve"]).own == pair


def test_every_example_is_run_by_a_test() -> None:
    named = {*PRINTED, *SERVICES.values(), *ASKED, "config.yaml", "secret_client.py"}
    assert set(_examples()) == named
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^```python$", text, re.MULTILINE)) == len([name for name in named if name.endswith(".py")])


def _public() -> Iterator[tuple[str, str, Any]]:
    for found in pkgutil.walk_packages(dploylib.__path__, "dploylib."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == found.name
            if own and not name.startswith("_") and (isinstance(value, type) or callable(value)):
                yield found.name, name, value


#: modules that programs have no use for
INNER = ("authenticator", "throttle", "answers", "socket_settings", "subscription", "greeting", "__main__")


def test_every_public_name_is_on_the_page_of_names() -> None:
    page = (PAGES / "reference.md").read_text(encoding="utf-8")
    known = set(re.findall(r"\w+", page))
    aliases = {
        "Deserializer",
        "InputHandler",
        "ReceivedHandler",
        "ListeningHandler",
        "encoded",
        "default_options",
        "BaseClient",
    }
    public = [(module, name) for module, name, _ in _public() if module.rpartition(".")[2] not in INNER]
    assert len(public) > 50
    assert [(module, name) for module, name in public if name not in known | aliases] == []
    for module, name, value in _public():
        if isinstance(value, type) and name in known and (module, name) in public:
            methods = {one for one in vars(value) if not one.startswith("_") and callable(getattr(value, one))}
            assert methods <= known, f"{module}.{name}"


def test_every_name_on_the_page_of_names_is_there() -> None:
    page = (PAGES / "reference.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## `(dploylib\.\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert len(sections) == 4
    for package, text in sections:
        for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
            for dotted in re.findall(r"`([\w.]+)", cell):
                *path, name = dotted.split(".")
                module = importlib.import_module(".".join([package, *path]))
                assert hasattr(module, name), dotted


@pytest.mark.parametrize(
    ("what", "bound"),
    [
        ("a frame that", f"{server.LONGEST_FRAME // 1024**2} MiB"),
        ("log lines", f"one in {throttle.BETWEEN:g} s"),
        ("detail", f"{problems.LONGEST} characters"),
        ("a subscription", f"{greeting.LONGEST_SUBSCRIPTION} bytes"),
        ("what a closed", f"{wrapper.CLOSE_LINGER} ms; of a server that stops {server.STOP_LINGER} ms"),
        ("a stop", f"{coordinator.STOP_SECONDS:g} s"),
    ],
)
def test_the_page_of_names_says_the_bounds_of_the_code(what: str, bound: str) -> None:
    page = (PAGES / "reference.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith(f"| {what}")]
    assert len(rows) == 1
    assert bound in rows[0]
