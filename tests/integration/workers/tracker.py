"""A tracker of tickets with the interfaces of four kinds, as far as steps use them, over HTTP. None of the real ones can run here."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit


class _Routes(NamedTuple):
    """Of one kind: patterns of paths."""

    many: str
    one: str
    comments: str
    moves: str


_ROUTES = {
    "jira": _Routes(
        "/rest/api/2/(?:issue|search)",
        r"/rest/api/2/issue/(\d+)",
        r"/rest/api/2/issue/(\d+)/comment",
        r"/rest/api/2/issue/(\d+)/transitions",
    ),
    "github": _Routes(
        "/repos/ann/shop/issues", r"/repos/ann/shop/issues/(\d+)", r"/repos/ann/shop/issues/(\d+)/comments", ""
    ),
    "gitlab": _Routes(
        "/projects/ann/shop/issues", r"/projects/ann/shop/issues/(\d+)", r"/projects/ann/shop/issues/(\d+)/notes", ""
    ),
    "servicenow": _Routes(
        "/api/now/table/incident", r"/api/now/table/incident/(\d+)", "/api/now/table/sys_journal_field", ""
    ),
}


class Issue(NamedTuple):
    """What the tracker keeps."""

    id: str
    fields: dict[str, Any]
    comments: list[str]
    #: the last one counts
    states: list[str]


class Tracker(ThreadingHTTPServer):
    """One of a kind."""

    daemon_threads = True

    def __init__(self, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.kind = kind
        self.issues: list[Issue] = []
        self.authorizations: set[str | None] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Code and document."""
        routes = _ROUTES[self.kind]
        if routes.moves and (moved := re.fullmatch(routes.moves, path)):
            self._of(moved[1]).states.append({"31": "Done"}[body["transition"]["id"]])
            return 204, None
        if written := re.fullmatch(routes.comments, path):
            return self._comment(method, written, query, body)
        if found := re.fullmatch(routes.one, path):
            return self._one(method, self._of(found[1]), body)
        if re.fullmatch(routes.many, path):
            return self._make(body) if method == "POST" else (200, self._search(query))
        return 404, {"message": f"no {path}"}

    def _of(self, id: str) -> Issue:
        return next(one for one in self.issues if one.id == id)

    def _make(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.issues.append(Issue(str(len(self.issues) + 7), body.get("fields", body), [], ["open"]))
        return 201, self._shown(self.issues[-1])

    def _shown(self, issue: Issue) -> dict[str, Any]:
        page, state = f"https://pages.example.com/{issue.id}", issue.states[-1]
        shown: dict[str, dict[str, Any]] = {
            "jira": {"key": issue.id, "fields": {"status": {"name": state}}},
            "github": {"number": int(issue.id), "html_url": page, "state": state},
            "gitlab": {"iid": int(issue.id), "web_url": page, "state": state},
            "servicenow": {"result": {"sys_id": issue.id, "state": state}},
        }
        return shown[self.kind]

    def _search(self, query: dict[str, list[str]]) -> Any:
        asked = " ".join(query.get(name, [""])[0] for name in ("jql", "labels", "sysparm_query"))
        found = []
        for issue in self.issues:
            labels = issue.fields.get("labels") or [issue.fields.get("correlation_id")]
            names = [labels] if isinstance(labels, str) else labels
            if any(re.search(rf"(^|[ =]){re.escape(name)}$", asked.strip()) for name in names):
                found.append(self._shown(issue))
        if self.kind == "jira":
            return {"issues": found}
        return {"result": [one["result"] for one in found]} if self.kind == "servicenow" else found

    def _comment(self, method: str, written: re.Match[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        issue = self._of(query["sysparm_query"][0].partition("=")[2] if self.kind == "servicenow" else written[1])
        if method == "POST":
            issue.comments.append(body["body"])
            return 201, {"id": 1}
        return 200, {"all": issue.comments}

    def _one(self, method: str, issue: Issue, body: Any) -> tuple[int, Any]:
        if method in ("PATCH", "PUT"):
            if "work_notes" in body:
                issue.comments.append(body["work_notes"])
            state = body.get("state") or {"close": "closed", "reopen": "opened"}.get(body.get("state_event"))
            issue.states.extend([state] if state else [])
        return 200, self._shown(issue)


class _Asked(BaseHTTPRequestHandler):
    server: Tracker

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.authorizations.add(self.headers.get("authorization"))
        code, document = self.server.answer(
            self.command, unquote(parts.path), parse_qs(parts.query), json.loads(content) if content else None
        )
        text = b"" if document is None else json.dumps(document).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what it keeps."""


@contextmanager
def tracking(kind: str) -> Iterator[Tracker]:
    """One that runs while the block lasts."""
    with Tracker(kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
