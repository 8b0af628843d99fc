"""The tables, and the steps from each layout to the next (docs/decisions/0007). Must not know what is done with them.

The number of the layout is the file's `user_version`, so that it is read before any table is trusted, and changes in
the transaction of its step. A journal row is text behind (deployment, number), in a rowid table: entries of a thousand
deployments in flight are then appended to a few pages, where a table clustered by that key (WITHOUT ROWID) writes one
page per deployment and was half as fast at batches of 100.
"""

from __future__ import annotations

import sqlite3

from re_core.errors import StoreRefused

#: marks the file as ours (`application_id`): "RelE"
APPLICATION = 0x52656C45

_FIRST = """
CREATE TABLE journal (
    deployment TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (deployment, number)
);

CREATE TABLE views (
    id TEXT PRIMARY KEY, "group" TEXT NOT NULL, playbook_id TEXT NOT NULL, playbook TEXT NOT NULL, user TEXT NOT NULL,
    status TEXT NOT NULL, created INTEGER NOT NULL, ended INTEGER, done INTEGER NOT NULL, total INTEGER NOT NULL,
    step TEXT NOT NULL, reason TEXT NOT NULL, due INTEGER, entry INTEGER NOT NULL
);
CREATE INDEX views_newest ON views (created, id);
CREATE INDEX views_group ON views ("group", created, id);
CREATE INDEX views_playbook ON views (playbook_id, created, id);
CREATE INDEX views_user ON views (user, created, id);
CREATE INDEX views_status ON views (status, created, id);
CREATE INDEX views_active ON views (created, id) WHERE ended IS NULL;
CREATE INDEX views_due ON views (due, id) WHERE due IS NOT NULL;

CREATE TABLE requests (key TEXT PRIMARY KEY, deployment TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE playbooks (
    id TEXT NOT NULL, revision INTEGER NOT NULL, "group" TEXT NOT NULL, name TEXT NOT NULL,
    document TEXT, -- NULL: deleted by this revision
    created INTEGER NOT NULL, updated INTEGER NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (id, revision)
);

CREATE TABLE output (
    id TEXT PRIMARY KEY, deployment TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, step INTEGER,
    at INTEGER NOT NULL, lines TEXT NOT NULL
);
CREATE INDEX output_lines ON output (deployment, last);

CREATE TABLE workers (
    id TEXT PRIMARY KEY, slots INTEGER NOT NULL, offers TEXT NOT NULL, running TEXT NOT NULL, seen INTEGER NOT NULL
);

CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, queue TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, "by" TEXT NOT NULL,
    at INTEGER NOT NULL, body BLOB NOT NULL, properties TEXT NOT NULL
);

CREATE TABLE tokens (
    digest TEXT PRIMARY KEY, user TEXT NOT NULL, groups TEXT, admin INTEGER NOT NULL, created INTEGER NOT NULL
);

CREATE TABLE mailbox (
    number INTEGER PRIMARY KEY, queue TEXT NOT NULL, id TEXT NOT NULL, "key" TEXT NOT NULL, body BLOB NOT NULL,
    properties TEXT NOT NULL, expires INTEGER, -- milliseconds since the epoch
    settled INTEGER, -- milliseconds since the epoch; the body is empty then
    UNIQUE (queue, id)
);
CREATE INDEX mailbox_kept ON mailbox (queue, number) WHERE settled IS NULL;
CREATE INDEX mailbox_settled ON mailbox (settled) WHERE settled IS NOT NULL;
"""

_LOCKS = """
CREATE TABLE holds (key TEXT PRIMARY KEY, deployment TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX requests_deployment ON requests (deployment);
CREATE INDEX views_ended ON views (ended, id) WHERE ended IS NOT NULL;
"""

_STARTED_WITH = """
ALTER TABLE views ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE views ADD COLUMN dynamic TEXT NOT NULL DEFAULT '';
"""

_HEARTBEATS = """
ALTER TABLE workers ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;
"""

_TOKENS = """
ALTER TABLE tokens ADD COLUMN expires INTEGER;
ALTER TABLE tokens ADD COLUMN used INTEGER;
ALTER TABLE tokens ADD COLUMN notify INTEGER NOT NULL DEFAULT 0;
"""

# All that a list shows of a playbook stands in the index: what comes after the document in its row is found only by reading
# all of the document.
_HEADS = """
CREATE INDEX playbooks_heads ON playbooks (id, revision, "group", name, created, updated, user) WHERE document IS NOT NULL;
CREATE INDEX playbooks_group ON playbooks ("group", id, revision) WHERE document IS NOT NULL;
"""

_PUBLISHED = """
ALTER TABLE views ADD COLUMN published INTEGER NOT NULL DEFAULT 0;
"""

#: which rows of the list say, or may not know, that a worker has claimed a step: the condition of their index
CLAIMED = "ended IS NULL AND claimants <> '[]'"

_CLAIMANTS = f"""
ALTER TABLE views ADD COLUMN claimants TEXT NOT NULL DEFAULT '';
CREATE INDEX views_claimed ON views (id, claimants) WHERE {CLAIMED};
"""

# A number is never given out twice, also not after the newest rows were deleted: positions in the feed are such numbers.
_FEED = """
CREATE TABLE feed (number INTEGER PRIMARY KEY AUTOINCREMENT, entries TEXT NOT NULL);
"""

_DEGRADED = """
ALTER TABLE workers ADD COLUMN degraded TEXT NOT NULL DEFAULT '{}';
"""

# What may be long comes last: what comes after it in its row is found only by reading all of it.
_RUNNERS = """
CREATE TABLE runners (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, created INTEGER NOT NULL, user TEXT NOT NULL, parallel INTEGER NOT NULL,
    revoked INTEGER, seen INTEGER, connected TEXT NOT NULL, peer TEXT NOT NULL, capabilities TEXT NOT NULL,
    active INTEGER NOT NULL, offered INTEGER NOT NULL
);

CREATE TABLE releases (
    id TEXT PRIMARY KEY, deployment TEXT NOT NULL, version INTEGER NOT NULL, owner TEXT NOT NULL, status TEXT NOT NULL,
    created INTEGER NOT NULL, runner TEXT NOT NULL, runner_since INTEGER NOT NULL, token TEXT NOT NULL,
    excluded TEXT NOT NULL, assigned INTEGER, called INTEGER, expires INTEGER, "end" TEXT, late TEXT,
    document TEXT NOT NULL, saved BLOB NOT NULL
);
CREATE INDEX releases_deployment ON releases (deployment, created, id);
CREATE INDEX releases_token ON releases (token) WHERE token <> '';
CREATE INDEX releases_open ON releases (owner, id, version, status) WHERE status <> 'over';
CREATE INDEX releases_over ON releases (created, id) WHERE status = 'over';

CREATE TABLE gateways (id TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""

# The bytes of contents are in files beside this one. Sizes stand before the lists, so that their sum reads no list.
_ARTIFACTS = """
CREATE TABLE artifacts (
    id TEXT PRIMARY KEY, "group" TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, kind TEXT NOT NULL,
    size INTEGER NOT NULL, files INTEGER NOT NULL, created INTEGER NOT NULL, user TEXT NOT NULL, annotation TEXT NOT NULL,
    used INTEGER, version INTEGER NOT NULL,
    UNIQUE ("group", name)
);
CREATE INDEX artifacts_group ON artifacts ("group", id);
CREATE INDEX artifacts_name ON artifacts (name, id);
CREATE INDEX artifacts_digest ON artifacts (digest);

CREATE TABLE artifact_contents (
    digest TEXT PRIMARY KEY, holder TEXT NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL, files TEXT NOT NULL
);
CREATE INDEX artifact_contents_holder ON artifact_contents (holder);

CREATE TABLE artifact_uses (
    artifact TEXT NOT NULL, deployment TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (artifact, deployment)
) WITHOUT ROWID;
CREATE INDEX artifact_uses_at ON artifact_uses (at, artifact, deployment);
"""

# What may be long comes last, as above.
_PIPELINES = """
CREATE TABLE pipelines (
    id TEXT PRIMARY KEY, "group" TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL UNIQUE, version INTEGER NOT NULL,
    playbooks TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX pipelines_group ON pipelines ("group", name, id);

CREATE TABLE cdpm_positions (
    id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT 0,
    delivered_at TEXT NOT NULL DEFAULT '', acknowledges INTEGER NOT NULL DEFAULT 0, opens TEXT NOT NULL
);
CREATE INDEX cdpm_positions_pipeline ON cdpm_positions (pipeline);

CREATE TABLE cdpm_keys (
    pipeline TEXT NOT NULL, kid TEXT NOT NULL, public TEXT NOT NULL, sealed BLOB NOT NULL, created INTEGER NOT NULL,
    PRIMARY KEY (pipeline, kid)
) WITHOUT ROWID;

CREATE TABLE cdpm_files (
    url TEXT PRIMARY KEY, etag TEXT NOT NULL, read_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX cdpm_files_read ON cdpm_files (read_at);
"""

# What may be long comes last, as above. Lines of one app are appended to a few pages, so they stand by app and number.
_APPS = """
CREATE TABLE apps (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, "group" TEXT NOT NULL, version INTEGER NOT NULL, zones TEXT NOT NULL
);
CREATE INDEX apps_group ON apps ("group", name, id);

CREATE TABLE app_configs (id TEXT PRIMARY KEY, app TEXT NOT NULL, created INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX app_configs_app ON app_configs (app, created);

CREATE TABLE zones (
    name TEXT PRIMARY KEY, at INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, report TEXT NOT NULL
);

CREATE TABLE app_logs (
    app TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, zone TEXT NOT NULL, ps TEXT NOT NULL,
    source TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (app, number)
);

CREATE TABLE app_log_cursors (
    app TEXT NOT NULL, zone TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, places TEXT NOT NULL,
    PRIMARY KEY (app, zone)
) WITHOUT ROWID;
CREATE INDEX app_log_cursors_zone ON app_log_cursors (zone, app);
"""

# What may be long comes last, as above.
_SECRETS = """
CREATE TABLE secrets (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, user TEXT NOT NULL,
    sealed BLOB NOT NULL
) WITHOUT ROWID;
ALTER TABLE workers ADD COLUMN place TEXT NOT NULL DEFAULT '{}';
"""

_NOTIFIED = """
CREATE TABLE notified (
    id TEXT PRIMARY KEY, at INTEGER NOT NULL, "group" TEXT NOT NULL, deployment TEXT NOT NULL, outcome TEXT NOT NULL,
    transport TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX notified_group ON notified ("group", id);
CREATE INDEX notified_at ON notified (at);
"""

# One row.
_HOSTS = """
CREATE TABLE hosts (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, document TEXT NOT NULL);
"""

_CREDENTIALS = """
CREATE TABLE credentials (
    name TEXT PRIMARY KEY, public TEXT NOT NULL, commands TEXT NOT NULL, pool TEXT NOT NULL, environments TEXT NOT NULL,
    created INTEGER NOT NULL, user TEXT NOT NULL, revoked INTEGER
);
ALTER TABLE workers ADD COLUMN credential TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN fault TEXT NOT NULL DEFAULT '';
"""

#: step n leads from layout n to layout n + 1; an empty file has layout 0
STEPS: tuple[str, ...] = (
    _FIRST,
    _LOCKS,
    _STARTED_WITH,
    _HEARTBEATS,
    _TOKENS,
    _HEADS,
    _PUBLISHED,
    _CLAIMANTS,
    _FEED,
    _DEGRADED,
    _RUNNERS,
    _ARTIFACTS,
    _PIPELINES,
    _APPS,
    _SECRETS,
    _NOTIFIED,
    _HOSTS,
    _CREDENTIALS,
)

#: the tables of the newest layout
TABLES = frozenset(
    {
        "journal",
        "views",
        "requests",
        "holds",
        "playbooks",
        "output",
        "workers",
        "dead_letters",
        "tokens",
        "mailbox",
        "feed",
        "runners",
        "releases",
        "gateways",
        "artifacts",
        "artifact_contents",
        "artifact_uses",
        "pipelines",
        "cdpm_positions",
        "cdpm_keys",
        "cdpm_files",
        "apps",
        "app_configs",
        "zones",
        "app_logs",
        "app_log_cursors",
        "secrets",
        "notified",
        "hosts",
        "credentials",
    }
)


def examine(connection: sqlite3.Connection, path: str) -> int:
    """The layout of the file. Raises StoreRefused for one that this version must not touch; writes nothing."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != APPLICATION and (application or version or tables):
        raise StoreRefused(f"store {path}: it is the database of another program; name another file in RE_STORE_URL")
    if version > len(STEPS):
        raise StoreRefused(
            f"store {path}: it has layout {version}, this version supports up to {len(STEPS)}; upgrade this engine"
        )
    missing = TABLES - tables
    if version == len(STEPS) and missing:
        raise StoreRefused(
            f"store {path}: the file is damaged, it has no table {min(missing)}; "
            "move it away and restore its last backup"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Lead the file from this layout to the newest one, within the caller's transaction; its number is written in any case."""
    for number in range(version, len(STEPS)):
        for statement in _statements(STEPS[number]):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def _statements(script: str) -> list[str]:
    """One by one: `executescript` would commit the transaction first."""
    return [statement for statement in script.split(";\n") if statement.strip()]
