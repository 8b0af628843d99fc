"""Every route with every role: what is allowed is what re_rest/routes.py says, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core.adapters.sqlite import SqliteStore
from re_core.rows import AppRow, DeadLetter, PipelineRow, StoredHosts, Token
from re_core.services.inventory_watch import InventoryWatch
from re_core.usecases.authorization import ROLES, Binding, Principal
from re_rest import auth
from re_rest import routes as table
from re_rest.app import bind_services
from re_rest.rights import Over, Right
from tests.integration.front_end.front_end_harness import PLAYBOOK, FrontEndHarness

#: method and path -> the right
RIGHTS = {(route.method, route.path): route.right for route in (*table.V1, *table.V0) if route.right is not None}

#: method and path -> the second right
ALSO = {(route.method, route.path): route.also for route in table.V1 if route.also is not None}

#: a pipeline node
NODE = {"node": "ours/own", "source": "https://own.example/cdpm.yml"}

#: bodies with which nothing else is wrong
BODIES: dict[str, Any] = {
    "/api/v1/deployments": {"group": "ours", "playbook_id": "book"},
    "/api/v1/deployments/{id}/resolve": {"step": 0, "resolution": "rerun"},
    "/api/v1/deployments/{id}/decide": {"step": 0, "ruling": "again"},
    "/api/v1/playbooks": {**PLAYBOOK, "name": "new"},
    "/api/v1/playbooks/apply": PLAYBOOK,
    "/api/v1/playbooks/validate": PLAYBOOK,
    "/api/v1/playbooks/{id}": PLAYBOOK,
    "/api/v1/notifications": {
        "transport": "console",
        "slug": "s",
        "message": "m",
        "phase": "completed",
        "target": ["ops"],
    },
    "/api/v1/artifacts/{name}": {"files": {"notes": {"a": "b"}}},
    "/api/v1/artifacts/{name}/annotation": {"title": "x"},
    "/api/v1/artifacts/prune": {"group": "ours"},
    "/api/v1/tokens": {"user": "x"},
    "/api/v1/runners": {"name": "new"},
    "/api/v1/worker-credentials": {"name": "new", "public_key": "A" * 43 + "="},
    "/api/v1/runners/{id}": {"parallel": 2},
    "/api/v1/cdpm/nodes": NODE,
    "/api/v1/cdpm/nodes/{id}": NODE,
    **{f"/api/v1/cdpm/nodes/{{id}}/{what}": {"dependency": "x"} for what in ("subscribe", "unsubscribe")},
    "/api/v1/cdpm/nodes/{id}/bar": {"url": "https://x.example/cdpm.yml"},
    "/api/v1/cdpm/validate": {"text": ""},
    "/api/v1/apps": {"name": "new", "group": "ours", "zones": ["eu"]},
    "/api/v1/apps/{app}/zones": {"zones": ["eu"]},
    "/api/v1/apps/{app}/config": {"set": {"A": "b"}},
    "/api/v1/apps/{app}/formation": {"formation": {"web": 1}},
    "/api/v1/apps/{app}/runs": {"command": "true"},
    "/api/v1/secrets/{name}": {"value": "a secret"},
    "/api/v1/hosts": {"hosts": {"new": {}}},
    "/api/v1/hosts/select": {"patterns": ["shop"]},
    "/api/v1/hosts/scan": {"name": "shop"},
    "/api/v1/hosts/trust": {"name": "shop", "keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"]},
    "/api/v0/{group}/playbook/": PLAYBOOK,
    "/api/v0/{group}/playbook/{id}/": PLAYBOOK,
}

#: what a caller may have: a role in the group of everything here, in another one, or in all
BINDINGS = [Binding(role, group) for role in ROLES for group in ("ours", "theirs", None)]


@pytest.fixture
def harness(tmp_path: Path, routes: Flask) -> Iterator[FrontEndHarness]:
    """Everything that an address can name is there; no core answers."""
    store = SqliteStore(str(tmp_path / "store.db"))
    made = FrontEndHarness(store, routes, timeout=0.01)
    made.playbook()
    made.deployment()
    made.finish("dep1", failed=True)
    made.artifact()
    made.bus.declare("notify.console")
    made.bus.declare("re.reply.0")
    assert store.save_pipeline(PipelineRow("node", "ours", "own", NODE["source"], 1, NODE))
    assert store.save_app(AppRow("app", "shop", "ours", 1, ("eu",)))
    assert store.save_hosts(StoredHosts(1, {"shop": {"words": {"runner": "local"}, "user": "root", "at": 1}}))
    made.services = dataclasses.replace(made.services, inventory=InventoryWatch([], store, False, lambda error: None))
    bind_services(made.app, made.services)
    store.store_letter(DeadLetter("letter", "re.reply.0", "reason", "", "core", 1, b"x", {}))
    yield made
    made.bus.close()
    store.close()


def _status(harness: FrontEndHarness, method: str, path: str) -> int:
    id = "letter" if "deadletters" in path else "book" if "playbook" in path else "node" if "cdpm" in path else "dep1"
    names = {"name": "shop", "app": "shop", "group": "ours", "broadcast": "b1", "zone": "eu"}
    address = path.format(id=id, step=0, revision=1, release=1, **names)
    if "{name}" in path:  # without its group, an artifact of a group that the caller does not see is not found
        address += "?group=ours"
    if path.endswith("/notifications/targets"):
        address += "?group=ours&playbook=n"
    more = {"json": BODIES.get(path, {})} if method in ("post", "put", "patch") else {}
    # a stream has no end: its status comes with the first byte
    response = harness.call(method.upper(), address, buffered=False, **more)
    response.close()
    return int(response.status_code)


def _allows(binding: Binding, right: Right) -> bool:
    if right.over in (Over.TOKEN, Over.LIST):
        return True
    reaches = binding.group is None or (binding.group == "ours" and right.over is not Over.ENGINE)
    return reaches and right.verb in ROLES[binding.role]


def test_every_route_that_needs_a_token_has_its_right_in_the_table_and_no_other_has_one() -> None:
    assert set(RIGHTS) == {(route.method, route.path) for route in (*table.V1, *table.V0)}
    assert [route.path for route in table.OPEN if route.right is not None] == []


@pytest.mark.parametrize(("method", "path"), RIGHTS, ids=lambda value: str(value))
def test_a_route_lets_in_who_has_its_right_and_no_other(
    harness: FrontEndHarness, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RIGHTS[method, path]
    wanted = [one for one in (right, ALSO.get((method, path))) if one is not None]
    expected = {binding: all(_allows(binding, one) for one in wanted) for binding in BINDINGS}
    found: dict[Binding, bool] = {}
    for binding in sorted(BINDINGS, key=lambda one: expected[one]):  # what is allowed may change things
        monkeypatch.setattr(auth, "principal_of", lambda token, binding=binding: Principal("ann", (binding,)))
        status = _status(harness, method, path)
        found[binding] = status != 403 if expected[binding] else status != right.denied
    assert found == expected


@pytest.mark.parametrize(("method", "path"), RIGHTS, ids=lambda value: str(value))
def test_a_token_without_any_binding_is_denied(
    harness: FrontEndHarness, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RIGHTS[method, path]
    monkeypatch.setattr(auth, "principal_of", lambda token: Principal("ann"))
    status = _status(harness, method, path)
    assert status == (200 if right.over in (Over.TOKEN, Over.LIST) else right.denied)


@pytest.mark.parametrize("path", ["/api/v1/deployments", "/api/v1/playbooks"])
def test_a_list_of_a_group_that_the_caller_does_not_see_is_denied(harness: FrontEndHarness, path: str) -> None:
    assert harness.call("GET", f"{path}?group=ours", harness.theirs).status_code == 403
    assert harness.call("GET", path, harness.theirs).json["items"] == []
    assert len(harness.call("GET", f"{path}?group=ours", harness.ours).json["items"]) == 1


def test_a_role_that_this_version_does_not_know_gives_nothing(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strange(token: Token) -> Principal:
        return Principal(token.user, (Binding("emperor"), Binding("viewer", "ours", "production")))

    monkeypatch.setattr(auth, "principal_of", strange)
    assert harness.call("GET", "/api/v1/tokens").status_code == 403
    answer = harness.call("GET", "/api/v1/deployments/dep1")
    assert answer.status_code == 403
    assert answer.json["detail"] == (
        "this token has no right `see` in group `ours`; an administrator can create a token that has it"
    )
