"""How long requests take, by route; and the page on which that and all else is read. Must not know what counts it."""

from __future__ import annotations

import re
import time

from flask import Blueprint, Flask, Response, g, request

from re_core.usecases import figures
from re_rest.app_context import caller, services
from re_rest.routes import OPEN, V0, V1

blueprint = Blueprint("metrics", __name__)

#: values of the label `route`
ROUTES = tuple(f"{route.method.upper()} {route.path}" for route in (*V1, *OPEN, *V0))

#: a variable of a route, as Flask spells it
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")


#: and as the table of routes does
_BRACED = r"{\1}"


@blueprint.get("/metrics")
def metrics() -> Response:
    body, media_type = figures.page(caller(), services().metrics)
    return Response(body, content_type=media_type)


def install(app: Flask) -> None:
    """Measure every request of this application."""
    names = {
        (rule.rule, method): f"{method} {_VARIABLE.sub(_BRACED, rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }

    def begin() -> None:
        g.began = time.perf_counter()

    def end(response: Response) -> Response:
        rule = "" if request.url_rule is None else request.url_rule.rule
        seconds = time.perf_counter() - g.began if "began" in g else 0.0
        services().answered(names.get((rule, request.method), ""), response.status_code, seconds)
        return response

    # before anything can refuse it, and after all else has answered
    app.before_request_funcs.setdefault(None, []).insert(0, begin)
    app.after_request_funcs.setdefault(None, []).insert(0, end)
