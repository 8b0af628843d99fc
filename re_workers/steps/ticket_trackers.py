"""How trackers of tickets are asked: templates of their requests, those that come with the engine and those of the settings. Pure.

A template is a text with `{fields}`; in a URL each value is quoted. Of a body, keys are left out whose fields are all empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from re_core.errors import BadSettings
from re_core.json_pointer import valid
from re_core.wording import did_you_mean, one_of
from re_workers import fields
from re_workers.outcomes import Failed

#: fields that every template has, beside those that the settings and the step give
FIELDS = ("id", "title", "text", "state", "event", "key", "mark", "deployment", "group")

#: what a tracker is asked: does it have the ticket, make it, write to it, move it to another state
ACTIONS = ("find", "create", "comment", "move")

#: characters of a template
MOST = 10_000


class Call(NamedTuple):
    """One request."""

    url: str
    method: str = "GET"
    body: Any = None
    codes: tuple[int, ...] = (200, 201, 204)
    #: JSON pointer of the ticket's id, in the answer
    id: str = ""
    #: JSON pointer of its page, or a template
    link: str = ""


class Seen(NamedTuple):
    """A request that says whether an action was done already."""

    url: str
    #: a template of what is anywhere in the answer
    contains: str = ""
    #: or JSON pointer of a value, and a template of what it is then, in capitals or not
    path: str = ""
    equals: str = ""


class Tracker(NamedTuple):
    """One of the settings."""

    name: str
    url: str
    calls: Mapping[str, Call]
    seen: Mapping[str, Seen]
    headers: Mapping[str, str] = {}
    #: values of further fields, where the step gives none
    fields: Mapping[str, str] = {}
    #: state, as people call it -> what the tracker gets as `event`
    states: Mapping[str, str] = {}
    #: the state of a ticket that is closed
    closed: str = "closed"
    ca_file: str | None = None


_JIRA = "/rest/api/2/issue"
_GITHUB, _GITLAB = "/repos/{owner}/{repo}/issues", "/projects/{project}/issues"
_SNOW = "/api/now/table/{table}"
_BODY = "{text}\n\n{mark}"

#: kind -> what the settings would say of it
KINDS: Mapping[str, Mapping[str, Any]] = {
    "jira": {
        "fields": {"type": "Task"},
        "closed": "Done",
        "find": {
            "url": "/rest/api/2/search?maxResults=1&fields=key&jql=project%20%3D%20%22{project}%22%20AND%20labels%20%3D%20{key}",
            "id": "/issues/0/key",
            "link": "{url}/browse/{id}",
        },
        "create": {
            "url": _JIRA,
            "method": "POST",
            "body": {
                "fields": {
                    "project": {"key": "{project}"},
                    "issuetype": {"name": "{type}"},
                    "summary": "{title}",
                    "description": "{text}",
                    "labels": ["{key}"],
                }
            },
            "id": "/key",
            "link": "{url}/browse/{id}",
        },
        "comment": {
            "url": _JIRA + "/{id}/comment",
            "method": "POST",
            "body": {"body": _BODY},
            "seen": {"url": _JIRA + "/{id}/comment", "contains": "{mark}"},
        },
        "move": {
            "url": _JIRA + "/{id}/transitions",
            "method": "POST",
            "body": {"transition": {"id": "{event}"}},
            "seen": {"url": _JIRA + "/{id}?fields=status", "path": "/fields/status/name", "equals": "{state}"},
        },
    },
    "github": {
        "find": {"url": _GITHUB + "?state=all&labels={key}", "id": "/0/number", "link": "/0/html_url"},
        "create": {
            "url": _GITHUB,
            "method": "POST",
            "body": {"title": "{title}", "body": "{text}", "labels": ["{key}"]},
            "id": "/number",
            "link": "/html_url",
        },
        "comment": {
            "url": _GITHUB + "/{id}/comments",
            "method": "POST",
            "body": {"body": _BODY},
            "seen": {"url": _GITHUB + "/{id}/comments?per_page=100", "contains": "{mark}"},
        },
        "move": {
            "url": _GITHUB + "/{id}",
            "method": "PATCH",
            "body": {"state": "{event}"},
            "seen": {"url": _GITHUB + "/{id}", "path": "/state", "equals": "{state}"},
        },
    },
    "gitlab": {
        "states": {"closed": "close", "opened": "reopen"},
        "find": {"url": _GITLAB + "?scope=all&labels={key}", "id": "/0/iid", "link": "/0/web_url"},
        "create": {
            "url": _GITLAB,
            "method": "POST",
            "body": {"title": "{title}", "description": "{text}", "labels": "{key}"},
            "id": "/iid",
            "link": "/web_url",
        },
        "comment": {
            "url": _GITLAB + "/{id}/notes",
            "method": "POST",
            "body": {"body": _BODY},
            "seen": {"url": _GITLAB + "/{id}/notes?per_page=100", "contains": "{mark}"},
        },
        "move": {
            "url": _GITLAB + "/{id}",
            "method": "PUT",
            "body": {"state_event": "{event}"},
            "seen": {"url": _GITLAB + "/{id}", "path": "/state", "equals": "{state}"},
        },
    },
    "servicenow": {
        "fields": {"table": "incident"},
        "states": {"closed": "7"},
        "find": {
            "url": _SNOW + "?sysparm_limit=1&sysparm_fields=sys_id&sysparm_query=correlation_id%3D{key}",
            "id": "/result/0/sys_id",
            "link": "{url}/nav_to.do?uri={table}.do%3Fsys_id%3D{id}",
        },
        "create": {
            "url": _SNOW,
            "method": "POST",
            "body": {"short_description": "{title}", "description": "{text}", "correlation_id": "{key}"},
            "id": "/result/sys_id",
            "link": "{url}/nav_to.do?uri={table}.do%3Fsys_id%3D{id}",
        },
        "comment": {
            "url": _SNOW + "/{id}",
            "method": "PATCH",
            "body": {"work_notes": _BODY},
            "seen": {
                "url": "/api/now/table/sys_journal_field?sysparm_fields=value&sysparm_query=element_id%3D{id}",
                "contains": "{mark}",
            },
        },
        "move": {
            "url": _SNOW + "/{id}",
            "method": "PATCH",
            "body": {"state": "{event}"},
            "seen": {"url": _SNOW + "/{id}?sysparm_fields=state", "path": "/result/state", "equals": "{event}"},
        },
    },
}

_KEYS = ("kind", "url", "headers", "fields", "states", "closed", "ca_file", *ACTIONS)


def trackers(section: Mapping[str, Any]) -> dict[str, Tracker]:
    """Of the section `tickets`: name -> tracker. Raises BadSettings, which names the place."""
    return {name: _tracker(name, _object(value, f"tickets.{name}")) for name, value in section.items()}


def url_of(tracker: Tracker, template: str, values: Mapping[str, str]) -> str:
    """The URL of a request: below the tracker's own, each value quoted. Raises Failed for one that would lead to another path."""
    return tracker.url + fields.filled(template, values, _quoted)


def _quoted(value: str) -> str:
    if value in (".", ".."):
        raise Failed(f"a part of a tracker's address cannot be {value!r}")
    return quote(value, safe="")


def body_of(template: Any, values: Mapping[str, str]) -> Any:
    """The body of a request, without the keys whose fields are all empty."""
    if isinstance(template, str):
        return fields.filled(template, values)
    if isinstance(template, Mapping):
        return {key: body_of(one, values) for key, one in template.items() if not _is_empty(one, values)}
    return [body_of(one, values) for one in template] if isinstance(template, list) else template


def missing(template: Any, values: Mapping[str, str]) -> list[str]:
    """The fields of a template that have no value."""
    if isinstance(template, str):
        return [name for name in fields.names_of(template) if name not in values]
    parts = template.values() if isinstance(template, Mapping) else template if isinstance(template, list) else ()
    return list(dict.fromkeys(name for one in parts for name in missing(one, values)))


def _is_empty(template: Any, values: Mapping[str, str]) -> bool:
    names = fields.names_of(template) if isinstance(template, str) else ()
    return bool(names) and not any(values[name] for name in names)


def _tracker(name: str, given: Mapping[str, Any]) -> Tracker:
    where = f"tickets.{name}"
    kind = given.get("kind", "")
    if kind and kind not in KINDS:
        raise BadSettings(f"{where}.kind: expected {one_of(KINDS)}, found {str(kind)[:40]!r}")
    if unknown := [key for key in given if key not in _KEYS]:
        near = did_you_mean(unknown[0], _KEYS) or f"known are {', '.join(_KEYS)}"
        raise BadSettings(f"{where}.{unknown[0]}: is nothing that is said of a tracker; {near}")
    base = KINDS.get(kind, {})
    url = given.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise BadSettings(f"{where}.url: expected http://… or https://…")
    both = {key: {**base.get(key, {}), **_texts(given.get(key, {}), f"{where}.{key}")} for key in ("fields", "states")}
    actions = {one: {**base.get(one, {}), **_object(given.get(one, {}), f"{where}.{one}")} for one in ACTIONS}
    calls = {one: _call(value, f"{where}.{one}") for one, value in actions.items() if value}
    seen = {one: _seen(value["seen"], f"{where}.{one}.seen") for one, value in actions.items() if value.get("seen")}
    if "create" in calls and not calls["create"].id:
        raise BadSettings(
            f"{where}.create.id: expected the JSON pointer of the ticket's id in the answer, such as /key"
        )
    return Tracker(
        name,
        url.rstrip("/"),
        calls,
        seen,
        _texts(given.get("headers", {}), f"{where}.headers"),
        both["fields"],
        both["states"],
        str(given.get("closed", base.get("closed", "closed"))),
        given.get("ca_file"),
    )


def _call(given: Mapping[str, Any], where: str) -> Call:
    known = {*Call._fields, "code", "seen"} - {"codes"}
    _known(given, sorted(known), where)
    code = given.get("code", [200, 201, 204])
    call = Call(
        _text(given.get("url"), f"{where}.url"),
        _text(given.get("method", "GET"), f"{where}.method").upper(),
        given.get("body"),
        tuple(code) if isinstance(code, list) else (code,),
        _text(given.get("id", ""), f"{where}.id"),
        _text(given.get("link", ""), f"{where}.link"),
    )
    if not valid(call.id):
        raise BadSettings(f"{where}.id: expected a JSON pointer such as /key, found {call.id[:80]!r}")
    _check(call.url, f"{where}.url")
    _check(call.body, f"{where}.body")
    return call


def _seen(given: Any, where: str) -> Seen:
    _known(_object(given, where), Seen._fields, where)
    seen = Seen(**{key: _text(value, f"{where}.{key}") for key, value in given.items()})
    if bool(seen.contains) == bool(seen.path) or not valid(seen.path):
        raise BadSettings(f"{where}: expected `url` with `contains`, or with `path`, a JSON pointer, and `equals`")
    for text in (seen.url, seen.contains, seen.equals):
        _check(text, where)
    return seen


def _check(template: Any, where: str) -> None:
    """Raises BadSettings for a template that is none. A field may be any word: the step may give its value."""
    if isinstance(template, str):
        if len(template) > MOST:
            raise BadSettings(f"{where}: has more than {MOST} characters")
        if problem := fields.problem(template, _AnyWord()):
            raise BadSettings(f"{where}: {problem}")
        return
    pairs = (
        template.items() if isinstance(template, Mapping) else enumerate(template) if isinstance(template, list) else ()
    )
    for key, one in pairs:
        _check(one, f"{where}.{key}")


class _AnyWord(frozenset[str]):
    """All names that a field may have."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.isidentifier()


def _known(given: Mapping[str, Any], known: Any, where: str) -> None:
    for key in given:
        if key not in known:
            raise BadSettings(f"{where}.{key}: {did_you_mean(key, known) or f'known are {chr(44).join(known)}'}")


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSettings(f"{where}: expected an object")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    return {str(key): _text(one, f"{where}.{key}") for key, one in _object(value, where).items()}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BadSettings(f"{where}: must be a string")
    return value
