"""The Flask application, from what it is handed. Must not build anything but itself; nothing happens at import."""

from __future__ import annotations

from importlib.metadata import version
from typing import cast

from flask import Flask, Response

from re_core import schema, strict_json
from re_rest import (
    asking,
    auth,
    deadletters,
    deployments,
    docs,
    errors,
    events,
    health,
    notifications,
    openapi,
    playbooks,
    registry,
    schemas,
    services,
    tokens,
    v0,
)
from re_rest.services import Services
from re_rest.streams import Streams

#: what a browser may do with an answer that is no page: nothing
POLICY = "default-src 'none'; frame-ancestors 'none'"

_BLUEPRINTS = (
    deployments.blueprint,
    events.blueprint,
    playbooks.blueprint,
    deadletters.blueprint,
    registry.blueprint,
    notifications.blueprint,
    tokens.blueprint,
    schemas.blueprint,
    health.blueprint,
    docs.blueprint,
    v0.blueprint,
)


def create_app(handed: Services) -> Flask:
    """The whole front end. Call `close_streams` before the server stops."""
    app = Flask("re_rest", static_url_path="/docs/static")
    app.config["MAX_CONTENT_LENGTH"] = strict_json.MAX_BYTES
    gate = auth.Gate(handed.store)
    app.extensions[services.EXTENSION] = handed
    app.extensions[auth.EXTENSION] = gate
    app.extensions[events.EXTENSION] = Streams(handed.store, handed.clock, deployments.document)
    app.extensions[docs.EXTENSION] = _openapi()
    errors.install(app)
    app.before_request(asking.refuse_large)
    auth.install(app, gate)
    app.after_request(_harden)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def close_streams(app: Flask) -> None:
    """End every live stream, so that their threads are free."""
    cast(Streams, app.extensions[events.EXTENSION]).close()


def _harden(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def _openapi() -> bytes:
    known = {name: schema.document(name) for name in schema.names()}
    return strict_json.dumps(openapi.document(version("release-engine"), known)).encode()
