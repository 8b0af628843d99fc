"""Tickets in trackers of four kinds: made once, written to once, moved once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from re_core.runtime.settings import load
from re_workers.steps.ticket import Tickets
from re_workers.steps.ticket_trackers import trackers
from re_workers.testing import Result, plan, run
from re_workers.worker_selection import workers
from tests.integration.workers.tracker import Tracker, tracking

#: kind -> what the settings say beside kind and URL, and the state of a closed ticket
KINDS: Mapping[str, tuple[dict[str, Any], str]] = {
    "jira": ({"fields": {"project": "SHOP"}, "states": {"Done": "31"}}, "Done"),
    "github": ({"fields": {"owner": "ann", "repo": "shop"}}, "closed"),
    "gitlab": ({"fields": {"project": "ann/shop"}}, "closed"),
    "servicenow": ({}, "7"),
}


def _worker(server: Tracker, **more: Any) -> Tickets:
    section = {"kind": server.kind, "url": server.url, **KINDS[server.kind][0], **more}
    return Tickets(trackers=trackers({"shop": section}))


def _act(worker: Tickets, step: str, **terms: Any) -> Result:
    return run(worker, f"ticket:{step}", {"tracker": "shop", **terms})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_repeated_finds_what_is_there(kind: str) -> None:
    with tracking(kind) as server:
        worker, title = _worker(server), {"tracker": "shop", "title": 'Release "1.4"'}
        assert plan(worker, "ticket:Create", title).will == "yes"
        made = _act(worker, "Create", **title, text="all of it", auth={"bearer": "t0ken"})
        assert made.data["changed"] and made.data["id"] == "7", made
        assert made.data["url"].startswith("http")
        assert _act(worker, "Create", **title).data == {**made.data, "changed": False}
        assert plan(worker, "ticket:Create", title).will == "no"
        assert len(server.issues) == 1
        assert 'Release "1.4"' in server.issues[0].fields.values()

        for changed in (True, False):
            assert _act(worker, "Comment", text="it runs").data["changed"] is changed
        assert server.issues[0].comments == ["it runs\n\nre-test-0"]
        said = {"tracker": "shop", "text": "it runs"}
        assert plan(worker, "ticket:Comment", said).will == "no"

        assert plan(worker, "ticket:Close", {"tracker": "shop"}).will == "yes"
        for changed in (True, False):
            closed = _act(worker, "Close")
            assert closed.data["changed"] is changed, closed
        assert server.issues[0].states == ["open", KINDS[kind][1]]
        assert plan(worker, "ticket:Transition", {"tracker": "shop", "state": KINDS[kind][1]}).will == (
            "yes" if kind == "none" else "no"
        )
        other = _act(worker, "Create", title="another", key="second")
        assert other.data["id"] == "8"
        assert server.authorizations == {None, "Bearer t0ken"}


def test_what_cannot_be_done_says_what_to_do() -> None:
    with tracking("github") as server:
        worker = _worker(server)
        assert "make one with ticket:Create" in str(_act(worker, "Close").message)
        assert plan(worker, "ticket:Comment", {"tracker": "shop", "text": "x"}).will == "unknown"
        assert "answered 404" in str(_act(worker, "Create", title="x", fields={"repo": "none"}).message)
        for step in (".", ".."):
            refused = _act(worker, "Create", title="x", fields={"owner": step, "repo": "user"})
            assert f"cannot be '{step}'" in str(refused.message)
        assert "there is no" not in str(_act(worker, "Comment", text="x", ticket="9").message)
        bare = Tickets(trackers=trackers({"shop": {"kind": "github", "url": server.url}}))
        assert "needs owner, repo: give it in fields, or in tickets.shop.fields" in str(
            _act(bare, "Create", title="x").message
        )
        wrong = run(worker, "ticket:Create", {"tracker": "shopp", "title": "x"})
        assert "has no tracker 'shopp'; did you mean 'shop'?" in str(wrong.message)


def test_the_settings_make_trackers_of_any_kind(tmp_path: Path) -> None:
    with tracking("github") as server:
        issues = "/repos/ann/shop/issues"
        own = {"url": issues, "method": "POST", "body": {"title": "[{group}] {title}"}, "id": "/number", "code": 201}
        section = f"tickets:\n  shop: {{url: '{server.url}', headers: {{Authorization: Basic x}}, create: {own!r}}}\n"
        (tmp_path / "re.yaml").write_text(section)
        settings = load({"RE_DATA_DIR": str(tmp_path), "RE_CONFIG": str(tmp_path / "re.yaml")})
        (worker,) = [one for one in workers(settings, "", ()) if one.command == "ticket"]
        made = run(worker, "ticket:Create", {"tracker": "shop", "title": "x"})
        assert made.data == {"changed": True, "id": "7", "url": ""}
        assert server.issues[0].fields == {"title": "[test] x"}
        assert server.authorizations == {"Basic x"}
        assert "has no comment" in str(
            run(worker, "ticket:Comment", {"tracker": "shop", "text": "x", "ticket": "7"}).message
        )
