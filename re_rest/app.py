"""The Flask application, from what it is handed. Must not build anything but itself; nothing happens at import."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import cast

import re_schemas
from flask import Flask, Response

from re_core.usecases.cdpm.dependents import Dependents
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.wire import strict_json
from re_rest import (
    app_context,
    app_logs,
    app_releases,
    apps,
    artifacts,
    auth,
    cdpm,
    cdpm_nodes,
    deadletters,
    deployments,
    docs,
    errors,
    events,
    feed,
    health,
    hosts,
    measuring,
    notifications,
    openapi,
    playbooks,
    registry,
    runners,
    schemas,
    secrets,
    tokens,
    v0,
    worker_credentials,
)
from re_rest.app_context import AppContext
from re_rest.cdpm_sessions import PeerSessions
from re_rest.feed_tail import FeedTail
from re_rest.responses import SAFE, Document
from re_rest.streams import Streams

_BLUEPRINTS = (
    deployments.blueprint,
    events.blueprint,
    feed.blueprint,
    playbooks.blueprint,
    deadletters.blueprint,
    artifacts.blueprint,
    registry.blueprint,
    notifications.blueprint,
    tokens.blueprint,
    runners.blueprint,
    worker_credentials.blueprint,
    secrets.blueprint,
    hosts.blueprint,
    cdpm_nodes.blueprint,
    cdpm_nodes.checks,
    apps.blueprint,
    apps.zones,
    app_releases.blueprint,
    app_logs.blueprint,
    schemas.blueprint,
    health.blueprint,
    measuring.blueprint,
    docs.blueprint,
    cdpm.blueprint,
    v0.blueprint,
)


def create_app(handed: AppContext) -> Flask:
    """The whole front end. Call `close_streams` before the server stops."""
    app = Flask("re_rest", static_url_path="/docs/static")
    # a request that declares more is refused before anything is read; one that declares nothing, after so much: one byte
    # above what a body may have, by which request_parsing.body knows a body that was cut here
    app.config["MAX_CONTENT_LENGTH"] = strict_json.MAX_BYTES + 1
    app.extensions[docs.EXTENSION] = _openapi()
    bind_services(app, handed)
    errors.install(app)
    app.before_request(auth.ask)
    app.after_request(_harden)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    measuring.install(app)
    return app


def bind_services(app: Flask, handed: AppContext) -> None:
    """Put an application onto these services, and onto no others."""
    app.extensions[app_context.EXTENSION] = handed
    app.extensions[auth.EXTENSION] = auth.Authenticator(handed.store, handed.clock)
    app.extensions[events.EXTENSION] = Streams(
        handed.store,
        handed.clock,
        partial(deployments.document, redaction=handed.redaction),
        handed.viewers,
        handed.bus,
    )
    app.extensions[feed.EXTENSION] = FeedTail(handed.bus, handed.store)
    app.extensions[artifacts.EXTENSION] = artifacts.Transfers()
    app.extensions[cdpm_nodes.EXTENSION] = nodes = cdpm_nodes.Parts.of(handed)
    app.extensions[cdpm.EXTENSION] = _sessions(handed, nodes.reader)
    app.extensions[apps.EXTENSION] = apps.Parts.of(handed)


def close_streams(app: Flask) -> None:
    """End every live stream, so that their threads are free."""
    cast(Streams, app.extensions[events.EXTENSION]).close()
    cast(FeedTail, app.extensions[feed.EXTENSION]).close()
    cast(apps.Parts, app.extensions[apps.EXTENSION]).close()
    sessions: PeerSessions | None = app.extensions[cdpm.EXTENSION]
    if sessions is not None:
        sessions.close()
    cast(cdpm_nodes.Parts, app.extensions[cdpm_nodes.EXTENSION]).reader.close()


def _sessions(handed: AppContext, reader: PipelineReader) -> PeerSessions | None:
    """The connections of pipelines; None where they are off."""
    access = handed.peering
    if access is None:
        return None
    dependents = Dependents(
        handed.bus,
        handed.store,
        handed.clock,
        access.peering,
        reader,
        access.refused,
        access.window,
        handed.request_timeout,
    )
    return PeerSessions(dependents, access.connections)


def _harden(response: Response) -> Response:
    if not isinstance(response, Document):  # which says so already
        for name, value in SAFE.items():
            response.headers.setdefault(name, value)
    return response


def _openapi() -> bytes:
    known = {name: re_schemas.load(name) for name in re_schemas.names()}
    return strict_json.dumps(openapi.document(version("release-engine"), known)).encode()
