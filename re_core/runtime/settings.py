"""Settings: names, allowed values, and where each value came from. Must not know where they are used.

Environment first, then the file that RE_CONFIG names, then defaults. An unknown name is an error in either place, and
all errors are reported at once. In the file the names are those of the environment in lower case without `RE_` (the
four of docs/reference/settings.md, "Around every deployment", in capitals); what is not a scalar can only be set in
the file. A renamed setting declares its `old_name`, which is read for one release; setting both names is an error.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from re_core.cdpm import sources
from re_core.deployment import quota
from re_core.errors import BadDocument, BadSettings
from re_core.json_pointer import escape
from re_core.runtime import addresses
from re_core.runtime import setting_kinds as kinds
from re_core.wording import did_you_mean

#: of every environment variable that is ours
PREFIX = "RE_"
#: names the file; the only variable that is not a setting
CONFIG = "RE_CONFIG"
#: variables that only the tests read
TESTS = "RE_TEST_"
#: variables that the engine sets for the programs of `command:Run`, one of which may well be `rectl`
OF_STEPS = ("RE_ENGINE", "RE_ATTEMPT", "RE_HOST")
#: begins those that carry a deployment's dynamic values
OF_CALLERS = "RE_DYNAMIC_"

_log = logging.getLogger(__name__)

_Read = Callable[[Any, Path], Any]


def _setting(
    default: Any,
    read: _Read,
    *,
    scalar: bool = True,
    secret: bool = False,
    schema: str = "",
    capitals: bool = False,
    old_name: str = "",
) -> Any:
    """`schema`: of re_schemas, for the value, or for each item of a list. `capitals`: it is spelled so in the file."""
    meta = {
        "read": read,
        "scalar": scalar,
        "secret": secret,
        "schema": schema,
        "capitals": capitals,
        "old_name": old_name,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All that can be set. Times are seconds. Empty paths have their default filled in from `data_dir` by `load`."""

    #: `embedded:`, `amqp://…`, `amqps://…`
    bus_url: str = _setting("embedded:", kinds.url("embedded", "amqp", "amqps"))
    #: `sqlite:///<path>`, `mongodb://…`, `mongodb+srv://…`; if not set, <data dir>/release-engine.db
    store_url: str = _setting("", kinds.url("sqlite", "mongodb", "mongodb+srv"))
    #: name of the topic exchange
    exchange: str = _setting("re", kinds.text)
    #: type of the queues on RabbitMQ: quorum or classic
    queue_type: str = _setting("quorum", kinds.one_of("quorum", "classic"))
    #: seconds of silence after which a connection to RabbitMQ counts as lost
    bus_heartbeat: int = _setting(7, kinds.whole(2, 600))
    #: PEM file of the authorities that `amqps://` trusts; if not set, those of the system
    bus_ca_file: Path | None = _setting(None, kinds.path)  # noqa: RUF009
    #: directory of the embedded engine's data; if not set, the platform's user data directory
    data_dir: Path = _setting(Path(), kinds.path)  # noqa: RUF009
    #: address of the API, `host:port`; port 0 chooses a free port
    http: str = _setting("127.0.0.1:8080", kinds.address)
    #: address, `host:port`, at which `rectl up`, `re-core`, `re-worker` and `re-forest` serve `/metrics` without a token; empty: not served
    metrics_listen: str = _setting("", kinds.address)
    #: the OTLP/HTTP collector of traces, `http://host:4318/v1/traces`; needs the extra `otel`; empty: no spans are recorded
    traces_url: str = _setting("", kinds.url("http", "https"))
    #: address, `host:port`, at which `rectl up` and `re-forest` serve forest runners; needs the extra `forest`; port 0 chooses a free port
    forest_listen: str = _setting("", kinds.address)
    #: forest runners that are not enrolled: `refuse` them, or `accept` them, which gives releases to every client that can connect
    forest_unknown_runners: str = _setting("refuse", kinds.one_of("refuse", "accept"))
    #: networks from which forest runners may connect: loopback, private, or networks such as 10.0.0.0/8; empty: from everywhere
    forest_peers: tuple[str, ...] = _setting((), kinds.networks)
    #: forest runners that one gateway serves at once; it refuses more
    forest_max_runners: int = _setting(1000, kinds.whole(1, 100_000))
    #: for clients: URL of the API; empty: the engine of this machine
    url: str = _setting("", kinds.url("http", "https"))
    #: for clients: the token
    token: str = _setting("", kinds.text, secret=True)
    #: threads that answer HTTP; a live viewer holds one
    http_threads: int = _setting(64, kinds.whole(1, 4096))
    #: processes of `re-rest` that answer HTTP, each with `http_threads` threads; `rectl up` has one
    http_workers: int = _setting(2, kinds.whole(1, 64))
    #: number of proxies before `re-rest` that each add to X-Forwarded-For; 0: the header is ignored
    http_proxies: int = _setting(0, kinds.whole(0, 10))
    #: seconds that a POST waits for the core's answer
    request_timeout: float = _setting(10.0, kinds.seconds)
    #: seconds that a step may take if neither playbook nor worker sets a timeout
    step_timeout: float = _setting(3600.0, kinds.seconds)
    #: bytes of output that are kept of one attempt of a step; more output is dropped. A playbook may set another quota
    output_quota: int = _setting(quota.DEFAULT, kinds.whole(quota.LEAST, quota.MOST))
    #: seconds that a dispatched step waits for a worker
    queue_timeout: float = _setting(3600.0, kinds.seconds, old_name="worker_patience")
    #: seconds that `re-rest`, `re-core`, `re-worker` and `re-forest` wait for running requests and steps when they stop
    stop_timeout: float = _setting(30.0, kinds.seconds)
    #: days after which a core deletes ended deployments, with output and keys, and dead letters; None: never
    prune_older: float | None = _setting(None, kinds.days)
    #: bytes that an artifact may have, its files unpacked
    artifact_limit: int = _setting(64 * 1024 * 1024, kinds.whole(1024, 1024**3))
    #: bytes that all artifacts may have; equal contents of a group count once, each file with 1 KiB more
    artifact_quota: int = _setting(4 * 1024**3, kinds.whole(1024, 2**53))
    #: days after its last use by a deployment during which an artifact is not deleted, so that a rollback finds it
    artifact_keep: float = _setting(90.0, kinds.days)
    #: a step that no worker offers: `fail` at once, or `wait` for a worker
    missing_worker: str = _setting("fail", kinds.one_of("fail", "wait"), old_name="unoffered_steps")
    #: a lost step that must not be rerun: `fail` its deployment, or `ask` an operator
    lost_steps: str = _setting("fail", kinds.one_of("fail", "ask"))
    #: regular expressions: what matches in output, messages, results and log lines becomes [redacted], line by line, before anything is cut
    redact: tuple[re.Pattern[str], ...] = _setting((), kinds.patterns, scalar=False)
    #: commands of workers of 2014, whose queues the core declares
    legacy_workers: tuple[str, ...] = _setting((), kinds.texts, scalar=False)
    #: directory of your own workers; if not set, <data dir>/workers, which need not exist
    workers_dir: Path = _setting(Path(), kinds.path)  # noqa: RUF009
    #: steps that a group may use: group, or `*` for all other groups -> commands, steps (`command:Run`), or `*`
    group_commands: Mapping[str, tuple[str, ...]] = _setting({}, kinds.commands, scalar=False)
    #: from where hosts are known: a file, a directory, or a list of {file}, {directory} and {command, every, timeout, stale}
    inventory: tuple[Mapping[str, Any], ...] = _setting((), kinds.inventory)
    #: a host of a playbook that the inventory lacks: as_before (its steps run on a worker's machine, with a warning), or refuse
    unknown_hosts: str = _setting("as_before", kinds.one_of("as_before", "refuse"))
    #: hosts that a group may use: group, or `*` for all other groups -> entries as in a playbook's `hosts`, or `*`
    group_hosts: Mapping[str, tuple[str, ...]] = _setting({}, kinds.group_hosts, scalar=False)
    #: addresses to which `httprequest` must not connect: link-local, metadata, loopback, private, or networks such as 10.0.0.0/8
    httprequest_denied: tuple[str, ...] = _setting(addresses.DEFAULT, kinds.networks)
    #: pipelines of other projects may subscribe to those of this engine, and the other way round; needs the extra `cdpm`
    cdpm: bool = _setting(False, kinds.switch)
    #: from where `cdpm.yml` files are read: https, http, git+https, `file:/directory/`, `git+file:/directory/`
    cdpm_sources: tuple[str, ...] = _setting(sources.DEFAULT, kinds.sources)
    #: addresses to which pipelines must not connect, in the words of httprequest_denied
    cdpm_denied: tuple[str, ...] = _setting(addresses.PEERS_DEFAULT, kinds.networks)
    #: PEM file of the authorities that pipelines trust; if not set, those of the system
    cdpm_ca_file: Path | None = _setting(None, kinds.path)  # noqa: RUF009
    #: connections of other pipelines that a process holds
    cdpm_connections: int = _setting(512, kinds.whole(1, 4096))
    #: seconds after its signature during which a message of a pipeline is accepted
    cdpm_window: int = _setting(300, kinds.whole(10, 3600))
    #: apps are built and run in zones; needs the extra `dploy`
    dploy: bool = _setting(False, kinds.switch)
    #: address, `host:port`, at which clients and zones reach the center by ZeroMQ, at this port and the next four; empty: free ports
    dploy_listen: str = _setting("", kinds.address)
    #: file of the zones: name -> `uri` and `key`
    dploy_zones: Path | None = _setting(None, kinds.path)  # noqa: RUF009
    #: file of the ZeroMQ clients: public key -> `user` and `groups`
    dploy_clients: Path | None = _setting(None, kinds.path)  # noqa: RUF009
    #: ZeroMQ clients of this machine need no key, and act in the group dploy; nothing is encrypted, and no other host may reach it
    dploy_plain: bool = _setting(False, kinds.switch)
    #: directory of the center's CURVE keys; if not set, <data dir>/dploy/keys
    dploy_keys_dir: Path = _setting(Path(), kinds.path)  # noqa: RUF009
    #: from where archives of apps are fetched, beside the artifacts of their group: https, http, `file:/directory/`
    dploy_sources: tuple[str, ...] = _setting((), kinds.archives)
    #: addresses from which no archive is fetched, in the words of httprequest_denied
    dploy_denied: tuple[str, ...] = _setting(addresses.PEERS_DEFAULT, kinds.networks)
    #: builds that a process runs at once
    dploy_builds: int = _setting(2, kinds.whole(1, 64))
    #: seconds that a build may take
    dploy_build_timeout: float = _setting(900.0, kinds.seconds)
    #: bytes of memory that each process of a build may have
    dploy_build_memory: int = _setting(2 * 1024**3, kinds.whole(64 * 1024**2, 2**53))
    #: bytes of disk that a build may have
    dploy_build_disk: int = _setting(2 * 1024**3, kinds.whole(1024**2, 2**53))
    #: seconds that a release waits for a zone that does not answer
    dploy_zone_wait: float = _setting(120.0, kinds.seconds)
    #: file of the keys that seal secrets in the store, the same in all processes of a cluster; if not set, <data dir>/secret.key
    secret_key_file: Path = _setting(Path(), kinds.path)  # noqa: RUF009
    #: where workers look for secrets, in this order: credentials (of systemd), files, environment, sops, vault, engine
    secrets: tuple[Any, ...] = _setting(("credentials", "engine"), kinds.places, scalar=False)
    #: pool whose steps `re-worker` takes; empty: steps that name no pool
    worker_pool: str = _setting("", kinds.pool)
    #: environments whose steps and secrets `re-worker` takes; empty: it is bound to none
    worker_environments: tuple[str, ...] = _setting((), kinds.environments)
    #: file of the credential by which `re-worker` shows who it is (`rectl worker add`); if not set, systemd's credential `re-worker`
    worker_credential_file: Path | None = _setting(None, kinds.path)  # noqa: RUF009
    #: optional: workers without a credential get steps too, but for those that are protected; required: they get none
    worker_credentials: str = _setting("optional", kinds.one_of("optional", "required"))
    #: environments whose steps and secrets go to workers alone that have shown a credential for them
    protected_environments: tuple[str, ...] = _setting((), kinds.environments)
    #: pools whose steps go to workers alone that have shown a credential for them
    protected_pools: tuple[str, ...] = _setting((), kinds.pools)
    #: what people want to know of a worker, by name: `rack: r3`
    worker_labels: Mapping[str, str] = _setting({}, kinds.labels)
    #: secrets that a group may use beside its own: group, or `*` for all groups -> names, or GROUP/*
    group_secrets: Mapping[str, tuple[str, ...]] = _setting({}, kinds.secret_names, scalar=False)
    #: format of log lines: text, json or short (for people); auto: short if standard error is a terminal, else text
    log_format: str = _setting("auto", kinds.one_of("auto", "text", "json", "short"))
    #: the user of programs of steps; empty: the engine's user, or `nobody` if that is root. Another user needs an engine started as root
    step_user: str = _setting("", kinds.text)
    #: isolation of programs of steps from the engine's secrets: auto (as far as this machine supports it), required (else no start), off
    step_isolation: str = _setting("auto", kinds.one_of("auto", "required", "off"))
    #: additional environment variables that programs of steps inherit: a name or PREFIX_*
    step_env: tuple[str, ...] = _setting((), kinds.names)
    #: additional files and directories that programs of steps cannot open
    step_hidden: tuple[Path, ...] = _setting((), kinds.paths, scalar=False)
    #: lowest level that is logged: debug, info, warning, error
    log_level: str = _setting("info", kinds.one_of("debug", "info", "warning", "error"))
    #: directory of an additional log file per deployment; None: no such files
    deployment_log_dir: Path | None = _setting(None, kinds.path)  # noqa: RUF009
    #: of the email notifier, as it documents them
    email: Mapping[str, Any] = _setting({}, kinds.section, scalar=False)
    #: of the irc notifier
    irc: Mapping[str, Any] = _setting({}, kinds.section, scalar=False)
    #: of the webhook notifier: targets by name, each with its URL and secret
    webhook: Mapping[str, Any] = _setting({}, kinds.section, scalar=False, secret=True)
    #: of the apprise notifier: targets by name, each with its URL; needs the extra `apprise`
    apprise: Mapping[str, Any] = _setting({}, kinds.section, scalar=False, secret=True)
    #: of the notifiers of installed packages: transport -> its section
    notifiers: Mapping[str, Any] = _setting({}, kinds.section, scalar=False, secret=True)
    #: trackers of `ticket:*`, by name: `kind`, `url`, `headers`, `fields`, and templates of requests
    tickets: Mapping[str, Any] = _setting({}, kinds.section, scalar=False, secret=True)
    #: which deployments notify which targets, beside PHASE_NOTIFICATION: rules of `group`, `playbook`, `outcome` and `to`
    notify_routes: tuple[Mapping[str, Any], ...] = _setting((), kinds.routes, scalar=False, schema="notify-route")
    #: texts of notifications: transport -> phase -> `slug` and `message`; `*` stands for all transports or phases
    notify_templates: Mapping[str, Any] = _setting({}, kinds.section, scalar=False, schema="notify-templates")
    #: notifications to the same targets within a minute that come alone; the others come as one message. 0: all come alone
    notify_digest: int = _setting(10, kinds.whole(0, 1000))
    #: URL at which people reach the API: links in notifications begin with it; empty: no links
    public_url: str = _setting("", kinds.url("http", "https"))
    #: docs/reference/settings.md, Around every deployment
    pre_deploy_check: tuple[Mapping[str, Any], ...] = _setting(
        (), kinds.sections, scalar=False, schema="check", capitals=True
    )
    post_deploy_action: tuple[Mapping[str, Any], ...] = _setting(
        (), kinds.sections, scalar=False, schema="action", capitals=True
    )
    phase_notification: Mapping[str, Any] = _setting(
        {}, kinds.section, scalar=False, schema="phase-notification", capitals=True
    )
    triggers: tuple[Mapping[str, Any], ...] = _setting(
        (), kinds.sections, scalar=False, schema="trigger", capitals=True
    )
    #: what RE_CONFIG named
    config_file: Path | None = dataclasses.field(default=None, compare=False)
    #: name -> `default`, `environment RE_X`, `<file>:<line>`
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)
    #: the settings that were set under their old names
    old_names: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)

    @property
    def http_address(self) -> tuple[str, int]:
        """Host and port of `http`."""
        return _address(self.http)

    @property
    def metrics_address(self) -> tuple[str, int]:
        """Host and port of `metrics_listen`, where it is set."""
        return _address(self.metrics_listen)

    @property
    def forest_address(self) -> tuple[str, int]:
        """Host and port of `forest_listen`, where it is set."""
        return _address(self.forest_listen)

    def shown(self) -> dict[str, tuple[Any, str]]:
        """Name -> (value as JSON has it, secrets masked; where it came from), for people."""
        return {
            _in_file(field): (
                kinds.masked(getattr(self, field.name), field.metadata["secret"]),
                self.origins.get(field.name, "default"),
            )
            for field in _fields()
        }

    def warn_of_old_names(self) -> None:
        """Log a warning for every setting that is set under its old name."""
        for field in _fields():
            if field.name in self.old_names:
                text = "%s: %s is the old name of %s; only this release reads it: rename it"
                given = (self.origins[field.name], field.metadata["old_name"], field.name)
                _log.warning(text, *given, extra={"action": "deprecated_setting"})


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in force. Raises BadSettings, which names every wrong one and where it stands."""
    found = _Found()
    name = environ.get(CONFIG, "")
    file = Path(name).expanduser().absolute() if name else None
    if file is not None:
        _read_file(file, found)
    _read_environment(environ, found)
    if found.problems:
        raise BadSettings("\n".join(found.problems))
    values = found.values
    data_dir = values.setdefault("data_dir", _default_data_dir())
    values.setdefault("store_url", f"sqlite:///{data_dir / 'release-engine.db'}")
    values.setdefault("workers_dir", data_dir / "workers")
    values.setdefault("secret_key_file", data_dir / "secret.key")
    values.setdefault("dploy_keys_dir", data_dir / "dploy" / "keys")
    return Settings(**values, config_file=file, origins=found.origins, old_names=frozenset(found.old_names))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class _Found:
    """What was read so far. What comes later wins."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.old_names: set[str] = set()
        self.problems: list[str] = []

    def take(self, field: dataclasses.Field[Any], name: str, value: Any, origin: str, base: Path) -> None:
        """`name`: the spelling of the file, new or old, in which the setting stands at `origin`."""
        old = name == field.metadata["old_name"]
        before = self.origins.get(field.name)
        if before is not None and old is not (field.name in self.old_names):
            text = f"{origin}: {name} is set here, and under its other name at {before}"
            self.problems.append(f"{text}; keep {field.name}: {field.metadata['old_name']} is its old name")
            return
        try:
            self.values[field.name] = field.metadata["read"](value, base)
        except ValueError as error:
            # the origin in the environment is the name; a line of a file is not
            shown = "" if origin.startswith("environment") else f"{name}: "
            self.problems.append(f"{origin}: {shown}{error}")
        # also of a value that is refused: its other name is a mistake all the same
        self.origins[field.name] = origin
        if old:
            self.old_names.add(field.name)


def _fields() -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(Settings) if field.metadata]


def _in_file(field: dataclasses.Field[Any]) -> str:
    # these four keep the spelling that they have had since 2014
    return field.name.upper() if field.metadata["capitals"] else field.name


def _with_old_names(names: Mapping[str, dataclasses.Field[Any]]) -> dict[str, dataclasses.Field[Any]]:
    return {**names, **{field.metadata["old_name"]: field for field in names.values() if field.metadata["old_name"]}}


def _read_environment(environ: Mapping[str, str], found: _Found) -> None:
    current = {field.name: field for field in _fields()}
    known = {PREFIX + name.upper(): (name, field) for name, field in _with_old_names(current).items()}
    scalars = [PREFIX + name.upper() for name, field in current.items() if field.metadata["scalar"]]
    for name, text in sorted(environ.items()):
        # an empty variable is one that is not set: `RE_TOKEN= rectl …` must work
        others = name.startswith((TESTS, OF_CALLERS)) or name in (CONFIG, *OF_STEPS)
        if not name.startswith(PREFIX) or others or not text:
            continue
        if name not in known:
            found.problems.append(f"environment {name}: no such setting{_suggestion(name, [*scalars, CONFIG])}")
            continue
        spelling, field = known[name]
        if not field.metadata["scalar"]:
            found.problems.append(f"environment {name}: can only be set in the file that {CONFIG} names")
        else:
            found.take(field, spelling, text, f"environment {name}", Path.cwd())


def _read_file(path: Path, found: _Found) -> None:
    # imported late: a client without a settings file needs no YAML
    from re_core.playbook import documents

    try:
        document = documents.parse(path.read_bytes(), "yaml")
    except OSError as error:
        found.problems.append(f"{path}: cannot be read: {error.strerror} ({CONFIG} names it)")
        return
    except BadDocument as error:
        found.problems += [f"{path}:{problem.line or 1}: {problem.message}" for problem in error.problems]
        return
    if document.value is None:  # an empty file sets nothing
        return
    if not isinstance(document.value, dict):
        found.problems.append(f"{path}:1: expected settings, `name: value`, found {kinds.type_name(document.value)}")
        return

    def at(pointer: str) -> str:
        position = document.position(pointer)
        return f"{path}:{position[0] if position else 1}"

    _read_section(document.value, at, path.parent, found)


def _read_section(section: Mapping[str, Any], at: Callable[[str], str], base: Path, found: _Found) -> None:
    current = {_in_file(field): field for field in _fields()}
    known = _with_old_names(current)
    for key, value in section.items():
        pointer = f"/{escape(key)}"
        field = known.get(key)
        if field is None:
            found.problems.append(f"{at(pointer)}: no such setting: {key[:80]}{_suggestion(key, current)}")
            continue
        wrong = _against_schema(field.metadata["schema"], value, pointer, at)
        found.problems += wrong
        if not wrong:
            found.take(field, key, value, at(pointer), base)


def _against_schema(name: str, value: Any, pointer: str, at: Callable[[str], str]) -> list[str]:
    """The lines of what a JSON Schema finds wrong; a list is checked item by item."""
    if not name:
        return []
    # imported late: where no such setting is set, jsonschema is not needed
    from re_core.playbook import json_schema

    items = [(pointer, value)]
    if isinstance(value, list):
        items = [(f"{pointer}/{number}", item) for number, item in enumerate(value)]
    wrong = []
    for where, item in items:
        wrong += [(where + problem.path, problem.message) for problem in json_schema.problems(name, item)]
    return [f"{at(where)}: {where}: {message}" for where, message in wrong]


def _suggestion(name: str, names: Collection[str]) -> str:
    near = did_you_mean(name, names)
    return f"; {near}" if near else ""


def _default_data_dir() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("release-engine", appauthor=False))
