"""The tables of a zone's machine: each word in each state of an order, each step of an order, and what may live."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_dploy.wire import OVER, SWITCHED, Control, Order
from re_dploy.wire.names import ORDER_STATES
from re_dploy.zone import answering, machine, state
from re_dploy.zone.answering import take_control, take_order, take_stop
from re_dploy.zone.machine import Contents, End, Fetch, Look, Save, Say, Seen, Start, Unpack, decide
from re_dploy.zone.state import App, Drain, Instance, Open, Release, Run, Target
from tools.zone_diagram import TARGET as PAGE
from tools.zone_diagram import document

ID = "01J00000000000000000000000"
STATES = tuple(one for one in ORDER_STATES if one != "running")
PENDING = [one for one in STATES if one not in OVER and one not in SWITCHED]


def digest(version: int) -> str:
    return f"{version:064x}"


def release(version: int) -> Release:
    return Release(version, digest(version))


def contents(version: int, **more: Any) -> dict[str, Contents]:
    return {release(version).name: Contents("shop", release(version), ("web", "worker"), **more)}


def the_order(version: int = 2, **more: Any) -> Order:
    given: dict[str, Any] = {
        "order": f"d{version}/eu/1",
        "app_id": ID,
        "epoch": 10 * version,
        "version": version,
        "formation": {"web": 1},
        **more,
    }
    return Order("shop", f"dploy:/shop/{version}#sha256={digest(version)}", **given)


def opened(version: int = 2, **more: Any) -> Open:
    return state.opened(the_order(version), f"d{version}/eu/1")._replace(**more)


def running(version: int = 1, **more: Any) -> App:
    """v1 serves with one process."""
    app = App(
        "shop", ID, 10, Target(release(version), 0, {"web": 1}), next=2, revision=1, addresses=("127.0.0.1:5001",)
    )
    return app._replace(**more)


def web(n: int, version: int, state: str = "up", order: str = "", **more: Any) -> Look:
    fields = {name: more.pop(name) for name in ("generation", "number", "type") if name in more}
    instance = Instance(
        n, fields.get("type", "web"), fields.get("number", 1), release(version), fields.get("generation", 0)
    )
    return Look(instance._replace(order=order, port=5000 + n), state, **more)


def seen(*looks: Look, versions: tuple[int, ...] = (1, 2), **more: Any) -> Seen:
    there = {name: one for version in versions for name, one in contents(version).items()}
    return Seen({look.instance.n: look for look in looks}, contents={**there, **more.pop("contents", {})}, **more)


def says(app: App, what: Seen) -> list[str]:
    return [act.text for act in decide(app, what, 0.0) if isinstance(act, Say)]


def after(app: App, what: Seen, now: float = 0.0) -> App:
    """What is stored next."""
    (act, *_) = [act for act in decide(app, what, now) if isinstance(act, Save)]
    return act.app


# -- words


@pytest.mark.parametrize("how", STATES)
def test_a_repeated_order_attaches_in_every_state(how: str) -> None:
    app = running(order=opened(state=how), epoch=20)
    answer, changed = take_order(app, the_order())
    assert answer.state == "known"
    assert changed == app


@pytest.mark.parametrize("how", STATES)
def test_a_switch_is_taken_when_ready_known_when_done_and_refused_otherwise(how: str) -> None:
    answer, changed = take_control(running(order=opened(state=how)), Control("switch", "shop", "d2/eu/1", epoch=21))
    assert changed.order is not None
    if how == "ready":
        assert (answer.state, changed.order.state) == ("accepted", "switching")
    elif how in SWITCHED:
        assert (answer.state, changed.order.state) == ("known", how)
    else:
        assert (answer.code, changed.order.state) == ("over" if how in OVER else "not-ready", how)


@pytest.mark.parametrize("how", STATES)
def test_an_abort_ends_what_is_pending_and_nothing_that_serves(how: str) -> None:
    answer, changed = take_control(running(order=opened(state=how)), Control("abort", "shop", "d2/eu/1", epoch=21))
    assert changed.order is not None
    if how in SWITCHED:
        assert (answer.code, changed.order.state) == ("switched", how)
    elif how in OVER:
        assert (answer.state, changed.order.state) == ("known", how)
    else:
        assert (answer.state, changed.order.state) == ("accepted", "aborted")


@pytest.mark.parametrize("how", STATES)
def test_a_newer_order_takes_the_place_of_one_in_any_state_and_the_old_one_is_remembered(how: str) -> None:
    answer, changed = take_order(running(order=opened(state=how), epoch=20), the_order(3))
    if how == "switching":  # that was promised, and is made first
        assert (answer.code, changed) == ("busy", running(order=opened(state=how), epoch=20))
        return
    assert answer.state == "accepted"
    assert changed.order is not None
    assert (changed.order.id, changed.order.state) == ("d3/eu/1", "accepted")
    kept = {"d2/eu/1": "done" if how in SWITCHED else how if how in OVER else "aborted"}
    assert {one.id: one.state for one in changed.past} == kept


@pytest.mark.parametrize("how", STATES)
def test_a_stop_leaves_nothing_running_and_no_order_open(how: str) -> None:
    app = running(
        order=opened(state=how), draining=(Drain(1, (7,), 10),), runs=(Run("d9/eu/run", 1, "x", state="running"),)
    )
    said, _, changed = take_stop(app, 30, ID)
    assert said == "stopping"
    assert changed.current is None
    assert changed.order is None
    assert not changed.draining
    assert not changed.addresses
    assert changed.revision == app.revision + 1
    assert {run.state for run in changed.runs} == {"failed"}
    assert take_stop(changed, 30, ID)[0] == "unknown"


@pytest.mark.parametrize("do", ["switch", "abort", "scale", "restart", "run"])
def test_a_word_of_an_older_epoch_changes_nothing(do: str) -> None:
    app = running(order=opened(state="ready"), epoch=20)
    control = Control(do, "shop", "d2/eu/1", epoch=19, n=1, command="x", generation=5)
    answer, changed = take_control(app, control)
    assert (answer.code, answer.epoch) == ("stale-epoch", 20)
    assert changed == app


def test_an_order_of_an_older_epoch_is_refused_and_names_both() -> None:
    answer, changed = take_order(running(epoch=812), the_order(epoch=640))
    assert answer.code == "stale-epoch"
    assert answer.why == "shop has epoch 812 here, this engine is at 640"
    assert changed == running(epoch=812)


def test_a_second_order_of_the_same_epoch_waits_until_the_first_is_over() -> None:
    app = running(order=opened(), epoch=20)
    assert take_order(app, the_order(order="d2/eu/2"))[0].code == "busy"
    assert take_order(app.closed("lapsed"), the_order(order="d2/eu/2"))[0].state == "accepted"


def test_another_app_of_the_same_name_is_taken_once_the_first_is_stopped_and_late_orders_of_that_are_not() -> None:
    other = the_order(1, app_id="other", epoch=3)
    assert take_order(running(), other)[0].code == "busy"
    stopped = take_stop(running(), 50, ID)[2]
    answer, changed = take_order(stopped, other)
    assert answer.state == "accepted"
    assert (changed.app_id, changed.epoch, changed.next) == ("other", 3, 2)
    gone = take_stop(changed, 4, "other")[2]
    assert take_order(gone, the_order(epoch=49))[0].code == "stale-epoch"


def test_an_order_for_what_runs_already_is_done_at_once() -> None:
    answer, changed = take_order(running(), the_order(1, epoch=12))
    assert answer.why == "already running v1"
    assert changed.order is not None
    assert changed.order.state == "done"


def test_a_plain_order_is_refused_where_an_engine_rules_and_repeats_attach() -> None:
    plain = Order("shop", f"file:/x#sha256={digest(9)}")
    assert take_order(running(), plain)[0].code == "stale-epoch"
    answer, changed = take_order(App("shop"), plain)
    assert answer.state == "accepted"
    assert take_order(changed, plain)[0].state == "known"


def test_scale_and_restart_become_orders_and_wait_for_an_open_one() -> None:
    app = running()
    answer, scaled = take_control(app, Control("scale", "shop", epoch=11, formation={"web": 3}))
    assert answer.state == "accepted"
    assert scaled.order is not None
    assert (scaled.order.formation, scaled.order.generation) == ({"web": 3}, 0)
    assert take_control(scaled, Control("restart", "shop", epoch=12, generation=4))[0].code == "busy"
    assert take_control(app, Control("scale", "shop", epoch=11, formation={"web": 1}))[0].state == "known"
    assert take_control(App("shop"), Control("restart", "shop", generation=1))[0].code == "unknown-app"


def test_a_command_runs_once_however_often_it_is_asked_for_and_there_are_ten_at_most() -> None:
    app = running()
    for number in range(1, 11):
        answer, app = take_control(app, Control("run", "shop", f"d{number}/eu/run", n=number, command="x"))
        assert answer.state == "accepted"
    assert take_control(app, Control("run", "shop", "d1/eu/run", n=1, command="x"))[0].state == "known"
    assert take_control(app, Control("run", "shop", "d11/eu/run", n=11, command="x"))[0].code == "busy"


# -- steps of an order


def test_an_order_goes_from_state_to_state_and_each_is_stored_before_its_act() -> None:
    app = running(order=opened())
    assert decide(app, seen(web(1, 1), versions=(1,)), 0) == [Fetch(opened())]
    fetched = after(app, seen(web(1, 1), versions=(1,), cargo=frozenset({digest(2)})))
    there = seen(web(1, 1), versions=(1,), cargo=frozenset({digest(2)}))
    assert decide(fetched, there, 0) == [Unpack(opened(state="fetched"))]
    unpacked = after(fetched, seen(web(1, 1)))
    starting = after(unpacked, seen(web(1, 1)))
    save, start = decide(starting, seen(web(1, 1)), 0)
    assert save == Save(starting._replace(next=3))
    assert start == Start(Instance(2, "web", 1, release(2), 0, "d2/eu/1"))
    new = web(2, 2, order="d2/eu/1")
    switching = after(starting, seen(web(1, 1), new))
    draining = after(switching, seen(web(1, 1), new))
    assert draining.current == Target(release(2), 0, {"web": 1})
    assert draining.addresses == ("127.0.0.1:5002",)
    assert draining.draining == (Drain(2, (1,), 10),)
    assert decide(draining, seen(web(1, 1), new), 0) == []


def test_a_held_order_waits_for_its_switch_and_lapses_after_its_lease() -> None:
    app = running(order=opened(hold=True, state="starting"))
    both = (web(1, 1), web(2, 2, order="d2/eu/1"))
    ready = after(app, seen(*both))
    assert ready.order is not None
    assert ready.order.state == "ready"
    assert decide(ready, seen(*both, word=100.0), 100.0 + machine.LEASE) == []
    lapsed = after(ready, seen(*both, word=100.0), 101.0 + machine.LEASE)
    assert lapsed.order is not None
    assert lapsed.order.state == "lapsed"
    assert decide(lapsed, seen(*both), 0) == [End(2)]


def test_a_process_that_dies_while_its_release_is_held_is_started_again_before_the_release_is_ready_again() -> None:
    ready = running(order=opened(hold=True, state="ready"))
    dead = web(2, 2, "ended", "d2/eu/1", exit="code 1")
    starting = after(ready, seen(web(1, 1), dead))
    assert starting.order is not None
    assert (starting.order.state, starting.order.forgiven) == ("starting", (2,))
    assert any(isinstance(act, Start) for act in decide(starting, seen(web(1, 1), dead), 0))


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (web(2, 2, "ended", "d2/eu/1", exit="code 3", why="\n  boom"), "web.1 ended (code 3) before it was up\n  boom"),
        (web(2, 2, "starting", "d2/eu/1", age=61.0), "web.1 did not listen on port 5002 within 60 s"),
    ],
)
def test_a_release_of_which_a_process_is_not_up_fails_and_only_its_own_processes_end(look: Look, why: str) -> None:
    app = running(order=opened(state="starting"))
    changed = after(app, seen(web(1, 1), look))
    assert changed.order is not None
    assert (changed.order.state, changed.order.why) == ("failed", why)
    assert changed.current == app.current
    assert all(act.n != 1 for act in decide(changed, seen(web(1, 1), look), 0) if isinstance(act, End))


def test_a_port_that_a_stranger_has_is_forgiven_once() -> None:
    app = running(order=opened(state="starting"))
    first = web(2, 2, "ended", "d2/eu/1", port_taken=True)
    changed = after(app, seen(web(1, 1), first))
    assert changed.order is not None
    assert changed.order.state == "starting"
    again = after(changed, seen(web(1, 1), first, web(3, 2, "ended", "d2/eu/1", port_taken=True)))
    assert again.order is not None
    assert again.order.state == "failed"


@pytest.mark.parametrize(
    ("look", "outcome", "noted"),
    [
        ({"good": True, "exit": "code 0"}, "starting", "good"),
        ({"exit": "code 4"}, "failed", "bad"),
        ({"lost": True, "exit": "killed"}, "failed", "bad"),
    ],
)
def test_a_release_command_is_noted_before_it_runs_and_never_runs_twice(
    look: dict[str, Any], outcome: str, noted: str
) -> None:
    has: dict[str, Any] = {"contents": contents(2, has_release=True)}
    app = running(order=opened(state="unpacked", release_phase=True))
    releasing = after(app, seen(web(1, 1), **has))
    assert releasing.released == {2: "begun"}
    save, start = decide(releasing, seen(web(1, 1), **has), 0)
    assert isinstance(save, Save)
    assert isinstance(start, Start)
    assert start.instance.type == "release"
    ended = Look(start.instance, "ended", **look)
    changed = after(save.app, seen(web(1, 1), ended, **has))
    assert changed.order is not None
    assert (changed.order.state, changed.released) == (outcome, {2: noted})
    again = changed._replace(order=opened(state="unpacked", release_phase=True, id="d2/eu/2"))
    once_more = after(again, seen(web(1, 1), ended, **has))
    assert once_more.order is not None
    assert once_more.order.state == outcome


def test_the_fourth_release_waits_until_one_of_three_has_drained() -> None:
    drains = tuple(Drain(revision, (revision + 10,), 10) for revision in (1, 2, 3))
    old = [web(revision + 10, 1, number=9) for revision in (1, 2, 3)]
    app = running(order=opened(state="unpacked"), draining=drains)
    app = after(app, seen(web(1, 1), *old))
    assert decide(app, seen(web(1, 1), *old), 0) == []
    changed = after(app, seen(web(1, 1), *old, acks={1: (0.0, 10.0)}, loaded={3: 0.0}))
    assert len(changed.draining) == 2


@pytest.mark.parametrize(
    ("acks", "loaded", "ends"),
    [
        ({}, {2: 0.0}, False),
        ({2: (0.0, 9.0)}, {2: 0.0}, False),
        ({2: (0.0, 10.0)}, {}, False),
        ({2: (0.0, 10.0)}, {1: 0.0}, False),
        ({1: (0.0, 50.0)}, {1: 0.0, 2: 0.0}, False),
        ({2: (0.0, 50.0)}, {1: 0.0, 2: 45.0}, False),
        ({2: (0.0, 10.0)}, {2: 0.0}, True),
        ({2: (0.0, 55.0)}, {1: 0.0, 2: 45.0}, True),
        ({2: (0.0, 3.0), 3: (4.0, 10.0)}, {3: 0.0}, True),
    ],
)
def test_old_processes_end_after_two_acknowledgements_behind_the_hook_and_never_by_time_alone(
    acks: dict[int, tuple[float, float]], loaded: dict[int, float], ends: bool
) -> None:
    app = running(
        2, order=opened(state="draining"), draining=(Drain(2, (1,), 10),), revision=2, addresses=("127.0.0.1:5002",)
    )
    what = seen(web(1, 1), web(2, 2), acks=acks, loaded=loaded)
    acts = decide(app, what, 1e9)
    assert bool(acts) == ends
    if ends:
        assert decide(after(app, what), what, 0)[-1] != End(2)


def test_what_nothing_wants_is_ended_and_what_serves_is_started_again_after_its_pause() -> None:
    orphan = web(7, 1, number=5)
    assert decide(running(), seen(web(1, 1), orphan), 0) == [End(7)]
    gone = web(1, 1, "ended")
    assert decide(running(), seen(gone, due={("web", 1): 5.0}), 4.0) == []
    assert any(isinstance(act, Start) for act in decide(running(), seen(gone, due={("web", 1): 5.0}), 5.0))


def test_an_address_leaves_the_routes_with_its_process_unless_it_is_the_last_one() -> None:
    two = running(current=Target(release(1), 0, {"web": 2}), addresses=("127.0.0.1:5001", "127.0.0.1:5002"))
    dead = web(1, 1, "ended")
    one_left = after(two, seen(dead, web(2, 1, number=2), due={("web", 1): 9.0}))
    assert (one_left.addresses, one_left.revision) == (("127.0.0.1:5002",), 2)
    none_left = seen(dead, web(2, 1, "ended", number=2), due={("web", 1): 9.0, ("web", 2): 9.0})
    assert decide(one_left, none_left, 0) == []


def test_at_most_four_processes_start_at_once() -> None:
    app = running(order=opened(state="starting", formation={"web": 7}))
    starts = [act for act in decide(app, seen(web(1, 1)), 0) if isinstance(act, Start)]
    assert len(starts) == machine.STARTS
    assert len({act.instance.n for act in starts}) == machine.STARTS


def test_a_person_s_command_is_begun_at_most_once() -> None:
    app = running(runs=(Run("d9/eu/run", 1, "x"),))
    save, start = decide(app, seen(web(1, 1)), 0)
    assert isinstance(save, Save)
    assert isinstance(start, Start)
    assert save.app.runs[0] == Run("d9/eu/run", 1, "x", 2, "running")
    lost = after(save.app, seen(web(1, 1)))
    assert (lost.runs[0].state, lost.runs[0].why) == ("failed", "it was interrupted before it began")


def test_the_page_of_the_machine_is_what_the_machine_does() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "out of date: run make docs-diagram"


# -- any state


LOOKS = st.builds(
    web,
    st.integers(1, 12),
    st.integers(1, 3),
    st.sampled_from(["starting", "up", "stopping", "ended"]),
    st.sampled_from(["", "d2/eu/1", "d3/eu/1"]),
    number=st.integers(1, 3),
    generation=st.integers(0, 1),
    type=st.sampled_from(["web", "worker", "release", "run"]),
    age=st.floats(0, 100),
    good=st.booleans(),
    lost=st.booleans(),
    port_taken=st.booleans(),
)
ORDERS = st.builds(
    opened,
    st.integers(1, 3),
    state=st.sampled_from(STATES),
    hold=st.booleans(),
    release_phase=st.booleans(),
    formation=st.dictionaries(st.sampled_from(["web", "worker", "clock"]), st.integers(0, 3)),
    generation=st.integers(0, 1),
)
APPS = st.builds(
    running,
    st.integers(1, 3),
    order=st.one_of(st.none(), ORDERS),
    draining=st.lists(st.builds(Drain, st.integers(1, 3), st.tuples(st.integers(1, 12)), st.just(10)), max_size=3).map(
        tuple
    ),
    current=st.one_of(
        st.none(), st.builds(Target, st.integers(1, 3).map(release), st.integers(0, 1), st.just({"web": 2}))
    ),
    next=st.just(13),
)


@given(APPS, st.lists(LOOKS, max_size=6), st.sets(st.integers(1, 3)), st.floats(0, 2000))
def test_any_state_has_an_answer_that_comes_to_an_end_and_never_ends_what_serves(
    app: App, looks: list[Look], versions: set[int], now: float
) -> None:
    what = seen(*looks, versions=tuple(versions))
    for _ in range(30):
        assert state.read(json.loads(json.dumps(state.document(app)))) == app
        acts = decide(app, what, now)
        for act in acts:
            if isinstance(act, End):
                look = what.looks[act.n]
                late = look.state == "starting" and look.age > machine.UP_WITHIN
                assert late or not look.instance.is_of(app.current) or look.instance.type in ("release", "run")
                stopping = look._replace(state="stopping")
                what = what._replace(looks={**what.looks, act.n: stopping})
            elif isinstance(act, Start):
                assert act.instance.n not in what.looks
                what = what._replace(looks={**what.looks, act.instance.n: Look(act.instance, "starting")})
            elif isinstance(act, Save):
                assert act.app.revision >= app.revision
                app = act.app
        if not any(isinstance(act, Save | End | Start) for act in acts):
            return
    raise AssertionError("it goes on for ever")


@given(APPS, st.sampled_from(["switch", "abort", "scale", "restart", "run", "signal", "stop-run"]), st.integers(0, 40))
def test_any_word_is_answered_in_any_state_and_an_epoch_never_falls(app: App, do: str, epoch: int) -> None:
    control = Control(do, "shop", "d2/eu/1", epoch, 1, "x", "HUP", {"web": 1}, 1)
    answer, changed = take_control(app, control)
    assert answer.state in ("accepted", "known", "refused")
    assert changed.epoch >= app.epoch
    assert len(changed.runs) <= state.MAX_RUNS
    assert len(changed.past) <= state.MAX_PAST
    assert answering.take_order(changed, the_order(3))[1].epoch >= app.epoch


def test_an_order_that_waits_for_drains_or_for_the_proxy_says_so_once_and_why() -> None:
    drains = tuple(Drain(n, (n,), 0) for n in (1, 2, 3))
    app = running(order=opened(state="unpacked"), draining=drains)
    looks = [web(n, 1) for n in (1, 2, 3)]
    waits = seen(*looks)
    assert says(app, waits) == [
        "waits: processes of 3 releases before still serve, until the engine has stored their successors' addresses, twice"
    ]
    told = after(app, waits)
    assert told.order is not None
    assert told.order.why == says(app, waits)[0]
    assert says(told, waits) == []
    broken = seen(*looks, router="the routes cannot be published: caddy ended with 1")
    assert says(told, broken)[0].endswith(
        "until the proxy reads the new addresses: the routes cannot be published: caddy ended with 1"
    )
    free = after(told._replace(draining=drains[:1]), waits)
    assert free.order is not None
    assert (free.order.state, free.order.why) == ("starting", "")
    draining = running(order=opened(state="draining"), draining=drains[:1])
    assert says(draining, waits) == []
    assert "the processes before still serve, until the proxy reads" in says(draining, broken)[0]
    mended = after(after(draining, broken), waits)
    assert mended.order is not None
    assert mended.order.why == ""
