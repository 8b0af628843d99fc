"""What a zone says to an order, a word or a stop, and what it knows of the app afterwards. Pure; must not know sockets and files.

Every function takes what is known and gives the answer with the state to be stored before the answer leaves.
"""

from __future__ import annotations

from re_dploy.wire import SWITCHED, Answer, Control, Order
from re_dploy.zone.state import MAX_FORMER, MAX_RUNS, App, Open, Run, opened

#: what begins the id of an order that has none
PLAIN = "plain"

#: runs that have not ended, at most
MAX_OPEN_RUNS = 10


def take_order(app: App, order: Order) -> tuple[Answer, App]:
    """An order to run a release."""
    if order.plain:
        return _take_plain(app, order)
    if (past := app.outcome(order.order)) is not None and app.app_id == order.app_id:
        return Answer("known", past.why), _raised(app, order.epoch)
    if app.app_id and order.app_id != app.app_id:
        if app.current is not None or (app.order is not None and app.order.is_pending):
            return refusal(
                "busy", f"this zone runs another app of the name {app.app} (id {app.app_id}); stop it first"
            ), app
        if order.epoch < app.former.get(order.app_id, 0):
            return _stale(app, app.former[order.app_id], order.epoch), app
        app = _succeeded(app, order.app_id)
    if order.epoch < app.epoch:
        return _stale(app, app.epoch, order.epoch), app
    if app.order is not None and app.order.is_pending and order.epoch == app.order.epoch:
        return refusal("busy", f"the order {app.order.id} of the same epoch is {app.order.state}"), app
    if _is_switching(app):
        return _switching(app), app
    return _accepted(app._replace(app_id=order.app_id, epoch=order.epoch), opened(order, order.order))


def take_control(app: App, control: Control) -> tuple[Answer, App]:
    """A word about the app. Signals and the end of a run are delivered by the agent, after the answer is `accepted`."""
    if control.epoch and control.epoch < app.epoch:
        return _stale(app, app.epoch, control.epoch), app
    return _WORDS[control.do](_raised(app, control.epoch), control)


def take_stop(app: App, epoch: int, app_id: str) -> tuple[str, str, App]:
    """`stopping`, `unknown` or `refused`, why it is refused, and the state afterwards.

    `epoch` 0 and an empty `app_id`: those of no engine, which may stop what never had an epoch.
    """
    if app_id and app.app_id and app_id != app.app_id:
        return ("unknown", "", app) if app_id in app.former else ("refused", f"it is another app: {app.app_id}", app)
    if epoch < app.epoch:
        return "refused", _stale(app, app.epoch, epoch).why, app
    is_idle = app.current is None and not app.draining and not app.addresses
    if app.order is not None and app.order.is_pending:
        is_idle, app = False, app.closed("aborted", "the app was stopped")
    runs = tuple(run._replace(state="failed", why="the app was stopped") if _is_open(run) else run for run in app.runs)
    app = _raised(app, epoch)._replace(current=None, draining=(), addresses=(), runs=runs)
    if is_idle:
        return "unknown", "", app.filed()
    return "stopping", "", app.filed()._replace(revision=app.revision + 1)


def refusal(code: str, why: str) -> Answer:
    """Nothing comes of it."""
    return Answer("refused", why, code)


def _take_plain(app: App, order: Order) -> tuple[Answer, App]:
    if app.epoch:
        return refusal("stale-epoch", f"{app.app} is run by an engine: use it, or stop the app there"), app
    known = app.order
    if (
        known is not None
        and known.release.digest == order.digest
        and known.state not in ("failed", "aborted", "lapsed")
    ):
        return Answer("known", known.why), app
    if _is_switching(app):
        return _switching(app), app
    id = f"{PLAIN}/{app.app}/{order.digest[:12]}/{app.next}"
    return _accepted(app._replace(next=app.next + 1), opened(order, id))


def _accepted(app: App, order: Open) -> tuple[Answer, App]:
    if app.order is not None and app.order.is_pending:
        app = app.closed("aborted", f"a newer order came: {order.id}")
    app = app.filed()
    if app.current == order.target and not order.plain:
        why = f"already running v{order.release.version}"
        return Answer("accepted", why), app._replace(order=order._replace(state="done", why=why))
    return Answer("accepted"), app._replace(order=order)


def _switch(app: App, control: Control) -> tuple[Answer, App]:
    past = app.outcome(control.order)
    if past is None:
        return _unknown_order(control), app
    if past.state in SWITCHED:
        return Answer("known"), app
    if app.order is not None and app.order.id == control.order and app.order.state == "ready":
        return Answer("accepted"), app._replace(order=app.order._replace(state="switching"))
    if past.state in ("failed", "aborted", "lapsed"):
        return refusal(
            "over", f"the order is {past.state}: {past.why}" if past.why else f"the order is {past.state}"
        ), app
    return refusal("not-ready", f"the order is {past.state}"), app


def _abort(app: App, control: Control) -> tuple[Answer, App]:
    past = app.outcome(control.order)
    if past is None:
        return _unknown_order(control), app
    if past.state in SWITCHED:
        return refusal("switched", "the release serves already"), app
    if app.order is not None and app.order.id == control.order and app.order.is_pending:
        return Answer("accepted"), app.closed("aborted", "the engine took it back")
    return Answer("known", past.why), app


def _scale(app: App, control: Control) -> tuple[Answer, App]:
    return _changed(app, control, dict(control.formation), app.current.generation if app.current else 0)


def _restart(app: App, control: Control) -> tuple[Answer, App]:
    return _changed(app, control, dict(app.current.formation) if app.current else {}, control.generation)


def _changed(app: App, control: Control, formation: dict[str, int], generation: int) -> tuple[Answer, App]:
    """The release that runs, in other numbers or started again: an order that the zone makes itself."""
    if app.current is None:
        return refusal("unknown-app", f"nothing of {app.app} runs here"), app
    if app.order is not None and (app.order.is_pending or _is_switching(app)):
        return refusal("busy", f"the order {app.order.id} is {app.order.state}"), app
    if (formation, generation) == (dict(app.current.formation), app.current.generation):
        return Answer("known"), app
    # it needs no address of the cargo: the release is there
    order = Open(
        f"{app.app_id or app.app}/{app.epoch}/{control.do}/{app.next}",
        "",
        app.current.release,
        app.epoch,
        formation=formation,
        generation=generation,
        drain=app.drain,
        limits=app.limits,
        address=app.address,
    )
    return _accepted(app._replace(next=app.next + 1), order)


def _run(app: App, control: Control) -> tuple[Answer, App]:
    if app.run(control.order) is not None:
        return Answer("known"), app
    if app.current is None:
        return refusal("unknown-app", f"nothing of {app.app} runs here"), app
    running = [run for run in app.runs if _is_open(run)]
    if len(running) >= MAX_OPEN_RUNS:
        return refusal("busy", f"{MAX_OPEN_RUNS} commands run already"), app
    over = [run for run in app.runs if not _is_open(run)][-(MAX_RUNS - len(running) - 1) :]
    runs = sorted([*over, *running], key=app.runs.index)
    return Answer("accepted"), app._replace(runs=(*runs, Run(control.order, control.n, control.command)))


def _to_run(app: App, control: Control) -> tuple[Answer, App]:
    if any(run.number == control.n and _is_open(run) for run in app.runs):
        return Answer("accepted"), app
    return refusal("unknown-run", f"no command {control.n} of {app.app} runs here"), app


_WORDS = {
    "switch": _switch,
    "abort": _abort,
    "scale": _scale,
    "restart": _restart,
    "run": _run,
    "signal": _to_run,
    "stop-run": _to_run,
}


def _is_switching(app: App) -> bool:
    """The switch was promised, and the next turn of the app's thread makes it: nothing may come between."""
    return app.order is not None and app.order.state == "switching"


def _switching(app: App) -> Answer:
    return refusal("busy", f"the order {app.order.id if app.order else ''} is switching")


def _is_open(run: Run) -> bool:
    return run.state in ("accepted", "running")


def _raised(app: App, epoch: int) -> App:
    return app._replace(epoch=max(app.epoch, epoch))


def _succeeded(app: App, app_id: str) -> App:
    """Nothing but numbers is left of the app of the same name that was before."""
    former = {**app.former, app.app_id: app.epoch}
    return App(
        app.app,
        app_id,
        epoch=former.pop(app_id, 0),
        draining=app.draining,
        revision=app.revision,
        next=app.next,
        former=dict(list(former.items())[-MAX_FORMER:]),
    )


def _stale(app: App, known: int, epoch: int) -> Answer:
    return refusal("stale-epoch", f"{app.app} has epoch {known} here, this engine is at {epoch}")._replace(epoch=known)


def _unknown_order(control: Control) -> Answer:
    return refusal("unknown-order", f"no order {control.order} is known here")
