"""What a center tells a zone to do, and what the zone answers at once. Pure; must not know sockets.

An order without the key `order` is the plain ZoneDeployOrder of the message schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from re_dploy.wire.fields import BadWire, Fields
from re_dploy.wire.names import (
    ADDRESS,
    ANSWERS,
    APP,
    DO,
    DRAIN,
    GROUP,
    ID,
    MAX_ASKED,
    MAX_COMMAND,
    MAX_DRAIN,
    MAX_ENV,
    MAX_TYPES,
    MAX_VARIABLES,
    MAX_WHY,
    NAME,
    NO_ENV,
    NONE,
    ORDER,
    SIGNALS,
    STOPS,
    URI,
    VARIABLE,
    Env,
    Formation,
    app_name,
    body_of,
    digest_of,
    formation_of,
)


class Limits(NamedTuple):
    """What one instance of an app may have; 0: no limit."""

    #: bytes of address space of each of its processes
    memory: int = 0
    #: processes and threads
    processes: int = 0
    #: open files of each of its processes
    files: int = 0

    def within(self, others: Limits) -> Limits:
        """The lower one of each."""
        pairs = zip(self, others, strict=True)
        return Limits(*(min(one, other) if one and other else one or other for one, other in pairs))


class Order(NamedTuple):
    """What a zone must run. Without `order` it is a plain ZoneDeployOrder: all at once, with the env of its release.json."""

    app: str
    #: its fragment is `sha256=<hex>`
    cargo_uri: str
    #: `<deployment>/<zone>/<n>`, of the reconciler `<app id>/<epoch>/<zone>/<n>`; the zone attaches to one that it knows
    order: str = ""
    #: tells two apps of one name apart
    app_id: str = ""
    #: rises with the app's journal; a zone refuses a lower one than it has
    epoch: int = 0
    version: int = 0
    #: get ready beside what runs, and wait for `switch`
    hold: bool = False
    #: run the `release:` command before
    release_phase: bool = False
    formation: Formation = NONE
    generation: int = 0
    #: variables by the group that they belong to
    env: Env = NO_ENV
    limits: Limits = Limits()
    #: seconds between the two acknowledgements of new routes, for which old instances still serve
    drain: int = DRAIN
    #: address under which others reach this zone's processes; empty: the zone's own setting
    address: str = ""

    @property
    def plain(self) -> bool:
        """Whether it has the keys of the message schema alone."""
        return not self.order

    @property
    def digest(self) -> str:
        """SHA-256 of the cargo, hexadecimal."""
        return digest_of(self.cargo_uri)

    def emit(self) -> bytes:
        """As it travels."""
        document: dict[str, Any] = {"app": self.app, "cargo_uri": self.cargo_uri}
        if not self.plain:
            document |= {name: getattr(self, name) for name in _ORDER_KEYS}
            document |= {
                "formation": dict(self.formation),
                "env": {group: dict(names) for group, names in self.env.items()},
                "limits": self.limits._asdict(),
            }
        return body_of(document)


_ORDER_KEYS = (
    "order",
    "app_id",
    "epoch",
    "version",
    "hold",
    "release_phase",
    "generation",
    "drain",
    "address",
)


class Control(NamedTuple):
    """A word about one app of a zone."""

    do: str
    app: str
    #: of switch and abort: which order; of run: the run's own
    order: str = ""
    epoch: int = 0
    #: of run, signal, stop-run: number of the run
    n: int = 0
    #: of run: what a person typed
    command: str = ""
    #: of signal: its name without SIG
    signal: str = ""
    #: of scale
    formation: Formation = NONE
    #: of restart
    generation: int = 0

    def emit(self) -> bytes:
        """As it travels: the keys that say something."""
        document = {name: value for name, value in self._asdict().items() if value}
        if self.do == "scale":
            document["formation"] = dict(self.formation)
        return body_of(document)


class Answer(NamedTuple):
    """What a zone says to an order or a word, at once."""

    state: str
    why: str = ""
    #: of a refusal: one of REFUSALS
    code: str = ""
    #: of a refusal as stale: the epoch that the zone has
    epoch: int = 0

    @property
    def refused(self) -> bool:
        """Whether nothing comes of it."""
        return self.state == "refused"

    def emit(self) -> bytes:
        """As it travels."""
        return body_of({name: value for name, value in self._asdict().items() if value})


class Stop(NamedTuple):
    """The apps that a zone must stop: ZoneStopDeploy. `epochs` and `app_ids` are of those for which they are known."""

    apps: tuple[str, ...]
    epochs: Mapping[str, int] = NONE
    app_ids: Mapping[str, str] = MappingProxyType({})

    def emit(self) -> bytes:
        """As it travels."""
        return body_of({"apps": list(self.apps), "epochs": dict(self.epochs), "app_ids": dict(self.app_ids)})


class StopAnswer(NamedTuple):
    """What a zone says to a stop: `stopping` or `unknown` for each app. An unknown one is a success."""

    apps: Mapping[str, str]
    #: apps that it does not stop, and why: a lower epoch, another app of the same name
    refused: Mapping[str, str] = MappingProxyType({})

    def emit(self) -> bytes:
        """As it travels."""
        return body_of({"apps": dict(self.apps), "refused": dict(self.refused)})


class CargoAsk(NamedTuple):
    """A zone wants a piece of a version's cargo, from this offset on."""

    app: str
    version: int
    offset: int

    def emit(self) -> bytes:
        """As it travels."""
        return body_of(self._asdict())


def parse_order(body: bytes) -> Order:
    """The order in the body of a message. Raises BadWire."""
    fields = Fields.of(body)
    uri = fields.match("cargo_uri", URI, "a URI with its scheme, of at most 2048 characters without white space")
    digest_of(uri)
    app = app_name(fields)
    if "order" not in fields:
        return Order(app, uri)
    return Order(
        app,
        uri,
        order=fields.match("order", ORDER, "the id of an order"),
        app_id=fields.match("app_id", ID, "the id of an app"),
        epoch=fields.number("epoch", least=1),
        version=fields.number("version", least=1),
        hold=fields.flag("hold"),
        release_phase=fields.flag("release_phase"),
        formation=formation_of(fields),
        generation=fields.number("generation", default=0),
        env=_env(fields),
        limits=Limits(*(fields.inner("limits").number(name, default=0) for name in Limits._fields)),
        drain=fields.number("drain", MAX_DRAIN, default=DRAIN),
        address=fields.match("address", ADDRESS, "an address", ""),
    )


def parse_control(body: bytes) -> Control:
    """The word in the body of a message, which has all that its kind needs. Raises BadWire."""
    fields = Fields.of(body)
    do = fields.word("do", DO)
    control = Control(do, app_name(fields), epoch=fields.number("epoch", default=0))
    return _CONTROLS[do](control, fields)


def _of_order(control: Control, fields: Fields) -> Control:
    return control._replace(order=fields.match("order", ORDER, "the id of an order"))


def _of_run(control: Control, fields: Fields) -> Control:
    command = fields.text("command", MAX_COMMAND)
    if not command.strip():
        raise fields.wrong("command", "a command")
    return _numbered(_of_order(control, fields), fields)._replace(command=command)


def _numbered(control: Control, fields: Fields) -> Control:
    return control._replace(n=fields.number("n", least=1))


_CONTROLS: Mapping[str, Callable[[Control, Fields], Control]] = {
    "switch": _of_order,
    "abort": _of_order,
    "scale": lambda control, fields: control._replace(formation=formation_of(fields)),
    "restart": lambda control, fields: control._replace(generation=fields.number("generation", least=1)),
    "run": _of_run,
    "signal": lambda control, fields: _numbered(control, fields)._replace(signal=fields.word("signal", SIGNALS)),
    "stop-run": _numbered,
}


def parse_answer(body: bytes) -> Answer:
    """What a zone answered to an order or a word. Raises BadWire. A code of a later version is kept."""
    fields = Fields.of(body)
    return Answer(
        fields.word("state", ANSWERS),
        fields.text("why", MAX_WHY, ""),
        fields.match("code", ID, "a code", ""),
        fields.number("epoch", default=0),
    )


def parse_stop(body: bytes) -> Stop:
    """The apps to stop. Raises BadWire."""
    fields = Fields.of(body)
    if "apps" not in fields:
        raise fields.wrong("apps", "a list of names of apps")
    apps = fields.texts("apps", MAX_ASKED, 30)
    for place, app in enumerate(apps):
        if not APP.fullmatch(app):
            raise BadWire(f"apps: expected {NAME}, found {app!r}", f"/apps/{place}")
    ids = fields.inner("app_ids")
    return Stop(
        apps,
        fields.numbers("epochs", APP, "names of apps", MAX_ASKED),
        {app: ids.match(app, ID, "the id of an app") for app in ids.names(MAX_ASKED, APP, "names of apps")},
    )


def parse_stop_answer(body: bytes) -> StopAnswer:
    """What a zone answered to a stop. Raises BadWire."""
    fields = Fields.of(body)
    apps, refused = fields.inner("apps"), fields.inner("refused")
    return StopAnswer(
        {app: apps.word(app, STOPS) for app in apps.names(MAX_ASKED, APP, "names of apps")},
        {app: refused.text(app, MAX_WHY) for app in refused.names(MAX_ASKED, APP, "names of apps")},
    )


def parse_cargo_ask(body: bytes) -> CargoAsk:
    """Which piece a zone wants. Raises BadWire."""
    fields = Fields.of(body)
    return CargoAsk(app_name(fields), fields.number("version", least=1), fields.number("offset"))


def _env(fields: Fields) -> Env:
    """Variables by group. No error shows a value."""
    groups = fields.inner("env")
    found = {name: _group(groups.inner(name)) for name in groups.names(MAX_TYPES, GROUP, "names of groups")}
    pairs = [pair for group in found.values() for pair in group.items()]
    size = sum(len(name) + len(value) for name, value in pairs)
    if len(pairs) > MAX_VARIABLES or size > MAX_ENV:
        raise BadWire(
            f"env: expected at most {MAX_VARIABLES} variables of {MAX_ENV} characters in all, "
            f"found {len(pairs)} of {size}",
            fields.place("env"),
        )
    return found


def _group(fields: Fields) -> Mapping[str, str]:
    names = fields.names(MAX_VARIABLES, VARIABLE, "names of variables")
    return {name: fields.text(name, MAX_ENV) for name in names}
