"""What a container is to be: as the engine's API has it, and as a label by which the next deployment knows it. Pure.

Values of variables may be secret. The label has only their names, and no digest of them, which could be guessed: they are compared with
those that the container itself has. A difference says which have changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypedDict

from re_workers.catalog.diff import unified
from re_workers.limits import Limit, above, at_least, at_most, fits, items, public

#: labels of what the engine makes: what it was made by, the attempt (of a run), the specification (of a deployment)
OWNER, ATTEMPT, SPEC = "release-engine.owner", "release-engine.attempt", "release-engine.spec"

#: seconds that a container has to end by itself, where nothing else is said
GRACE = 10

_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"(\d{1,15})([bkmgt]?)", re.IGNORECASE)
_PORT = re.compile(
    r"(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:.]+\]):)?(?P<host>\d{1,5}):(?P<own>\d{1,5})(?:/(?P<kind>tcp|udp|sctp))?"
)
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure)(?::(\d{1,4}))?")
_MOUNT = re.compile(r"(?P<source>/[^:\0]*|[A-Za-z0-9][A-Za-z0-9_.-]*):(?P<target>/[^:\0]*)(?::(?P<how>[a-zA-Z,]+))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


def _pattern(pattern: re.Pattern[str], form: str) -> Limit:
    def problem(value: str) -> str:
        return "" if pattern.fullmatch(value) else f"expected {form}, found {value[:80]!r}"

    return Limit({"pattern": f"^(?:{re.sub(r'[?]P<[a-z]+>', '', pattern.pattern)})$"}, problem)


_PUBLIC = public("give it to the container as a variable, env: {NAME: {secret: …}}")

Image = Annotated[
    str, fits("re-text"), Limit({"minLength": 1}, lambda value: "" if value.strip() else "expected a name")
]
Name = Annotated[str, _pattern(_NAME, "letters, digits and . _ -")]
Words = Annotated[list[Annotated[str, fits("re-text"), _PUBLIC]], items(0, 1000)] | None
Env = dict[Annotated[str, fits("re-variable")], Annotated[str, fits("re-text")]] | None
Mounts = Annotated[list[Annotated[str, _pattern(_MOUNT, "source:/target or source:/target:ro")]] | None, items(0, 100)]
Ports = Annotated[
    list[Annotated[str, _pattern(_PORT, "host:container, as 127.0.0.1:8080:80/tcp")]] | None, items(0, 100)
]
Restart = Annotated[str, _pattern(_RESTART, "no, always, unless-stopped or on-failure:5")]
Labels = dict[Annotated[str, fits("re-text")], Annotated[str, fits("re-text")]] | None
Memory = Annotated[str, Limit({"pattern": "^([0-9]{1,15}[bkmgtBKMGT]?)?$"}, lambda value: _size_problem(value))]
Cpus = Annotated[float, at_least(0), at_most(10_000)]
Text = Annotated[str, fits("re-text")]


class Health(TypedDict, total=False):
    """How the engine finds out whether a container does its work."""

    #: a line for the container's shell, or a program with its arguments
    cmd: str | list[str]
    #: seconds
    interval: Annotated[float, above(0), at_most(3600)]
    timeout: Annotated[float, above(0), at_most(3600)]
    start_period: Annotated[float, at_least(0), at_most(3600)]
    retries: Annotated[int, at_least(1), at_most(1000)]


class Spec(NamedTuple):
    """One container."""

    image: str
    cmd: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    env: Mapping[str, str] = {}
    mounts: Sequence[str] = ()
    network: str = ""
    user: str = ""
    workdir: str = ""
    memory: str = ""
    cpus: float = 0
    ports: Sequence[str] = ()
    restart: str = "no"
    labels: Mapping[str, str] = {}
    health: Mapping[str, Any] = {}

    @property
    def takes_ports(self) -> bool:
        """Two containers of this kind cannot run side by side."""
        return bool(self.ports) or self.network == "host"

    def config(self, labels: Mapping[str, str]) -> dict[str, Any]:
        """The body of the request that makes it. `labels`: ours."""
        found: dict[str, Any] = {
            "Image": self.image,
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "Labels": {**self.labels, **labels},
            "HostConfig": self._host(),
        }
        given = {"Cmd": self.cmd, "Entrypoint": self.entrypoint, "User": self.user, "WorkingDir": self.workdir}
        found |= {
            key: list(value) if isinstance(value, list | tuple) else value for key, value in given.items() if value
        }
        if self.ports:
            found["ExposedPorts"] = {own: {} for own in _bindings(self.ports)}
        if self.health:
            found["Healthcheck"] = _healthcheck(self.health)
        return found

    def _host(self) -> dict[str, Any]:
        policy, _, count = self.restart.partition(":")
        found: dict[str, Any] = {"RestartPolicy": {"Name": policy, "MaximumRetryCount": int(count or 0)}}
        found |= {"Binds": list(self.mounts)} if self.mounts else {}
        found |= {"NetworkMode": self.network} if self.network else {}
        found |= {"PortBindings": _bindings(self.ports)} if self.ports else {}
        found |= {"Memory": size_of(self.memory)} if self.memory else {}
        return found | ({"NanoCpus": round(self.cpus * 1e9)} if self.cpus else {})

    def label(self) -> str:
        """Of what it is made, but for values of variables: JSON, the same for the same specification."""
        said = {name: value for name, value in self._asdict().items() if value}
        if self.env:
            said["env"] = sorted(self.env)
        return json.dumps(said, sort_keys=True, ensure_ascii=False)


class Made(NamedTuple):
    """What a container that is there was made of."""

    #: by its label; empty where no deployment has made it
    said: Mapping[str, Any] = {}
    #: its variables, those of its image too
    env: Mapping[str, str] = {}
    #: identity of its image
    image: str = ""

    def is_as(self, spec: Spec) -> bool:
        """Whether it was made of this specification, whatever its image is now."""
        wanted = made_by(spec.label()).said
        return self.said == wanted and all(self.env.get(name) == value for name, value in spec.env.items())


def made_by(label: str, env: Sequence[str] = (), image: str = "") -> Made:
    """`env`: as the engine has it, `NAME=value`. Labels of earlier engines had digests beside the names of variables."""
    try:
        said = json.loads(label)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    if "env" in said:
        said["env"] = sorted(said["env"])
    pairs = (one.partition("=") for one in env)
    return Made(said, {name: value for name, _, value in pairs}, image)


def difference(before: Made | None, spec: Spec, image: str, hidden: Collection[str] = ()) -> str:
    """The unified diff of what is there and of what shall be; `image`: identity of its image, which may have the same name.

    `hidden`: names of what has secrets; what they are or were is not shown, as it never is of variables.
    """
    after = Made(made_by(spec.label()).said, spec.env, image)
    if before is None:
        return unified(None, _shown(after, Made(), hidden).encode(), "container")
    return unified(_shown(before, before, hidden).encode(), _shown(after, before, hidden).encode(), "container")


def _shown(made: Made, before: Made, hidden: Collection[str]) -> str:
    lines = []
    for name, value in made.said.items():
        was = before.said.get(name)
        if name == "env":
            lines += [
                f"env {one}: {_how(made.env.get(one), before.env.get(one) if one in (was or ()) else None)}"
                for one in value
            ]
        elif name in hidden:
            lines.append(f"{name}: {_how(value, was)}")
        else:
            lines.append(f"{name}: {json.dumps(value, ensure_ascii=False, sort_keys=True)}")
    lines += [f"image id: {made.image.removeprefix('sha256:')[:12]}"] if made.image else []
    return "".join(f"{line}\n" for line in lines)


def _how(value: Any, was: Any) -> str:
    """Of what must not be shown: only whether it is another one."""
    if was is None:
        return "new"
    return "as before" if value == was else "changed"


def size_of(text: str) -> int:
    """Bytes of `512m`. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a size as 512m, found {text[:40]!r}")
    return int(match[1]) * _UNITS[match[2].lower()]


def _size_problem(value: str) -> str:
    return "" if not value or _SIZE.fullmatch(value) else f"expected a size as 512m, found {value[:40]!r}"


def _bindings(ports: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for one in ports:
        match = _PORT.fullmatch(one)
        if match is None:
            raise ValueError(f"expected host:container, found {one[:40]!r}")
        at = {"HostIp": (match["ip"] or "").strip("[]"), "HostPort": match["host"]}
        found.setdefault(f"{match['own']}/{match['kind'] or 'tcp'}", []).append(at)
    return found


def _healthcheck(health: Mapping[str, Any]) -> dict[str, Any]:
    cmd = health.get("cmd", [])
    found: dict[str, Any] = {"Test": ["CMD-SHELL", cmd] if isinstance(cmd, str) else ["CMD", *cmd]} if cmd else {}
    spans = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    found |= {key: round(health[name] * 1e9) for name, key in spans.items() if name in health}
    return found | ({"Retries": health["retries"]} if "retries" in health else {})


def name_of(attempt: str) -> str:
    """Of the container that an attempt runs: one attempt cannot begin two."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", attempt)
    return f"re-{plain}" if len(plain) <= 150 else f"re-{hashlib.sha256(attempt.encode()).hexdigest()}"
