"""`ticket:*`: tickets of trackers, over HTTP by the templates of the settings. Must not know any tracker.

Each ticket carries the id of its deployment. It is looked for before one is made, a comment before it is written, and a state before
it is changed: what is repeated, after a lost answer too, finds what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

from re_core.json_pointer import look_up
from re_core.runtime.addresses import AddressRule
from re_core.runtime.http_exchange import MAX_ANSWER, Answer, Question
from re_core.wire import strict_json
from re_core.wording import did_you_mean
from re_workers.context import Context
from re_workers.fields import filled
from re_workers.limits import fits
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Worker, step
from re_workers.steps.http_checks import document_of
from re_workers.steps.http_sending import Sender
from re_workers.steps.http_terms import Auth, Trust
from re_workers.steps.httprequest import JSON, unexpected
from re_workers.steps.ticket_trackers import Call, Tracker, body_of, missing, url_of

_Text = Annotated[str, fits("re-text")]
_Tracker = Annotated[str, "name in the setting tickets"]
_Id = Annotated[str, "empty: the ticket of this deployment", fits("re-text")]
_Key = Annotated[str, "tells several tickets of a deployment apart", fits("re-text")]
_Fields = dict[str, _Text] | None


class Ticket(TypedDict):
    """A ticket that is there now."""

    #: false: it was so already
    changed: bool
    id: str
    #: its page; empty where the tracker does not say
    url: str


class _Case(NamedTuple):
    """One step on one tracker."""

    tracker: Tracker
    values: Mapping[str, str]
    trust: Trust


class Tickets(Sender, Worker):
    """Makes and changes tickets of trackers such as Jira, GitHub, GitLab and ServiceNow."""

    command: ClassVar[str] = "ticket"
    slots: ClassVar[int | None] = 8

    def __init__(self, addresses: AddressRule | None = None, trackers: Mapping[str, Tracker] | None = None) -> None:
        """`trackers`: those of the settings."""
        super().__init__(addresses)
        self._trackers = dict(trackers or {})

    @step(idempotent=True)
    def Create(
        self,
        ctx: Context,
        tracker: _Tracker,
        title: _Text,
        text: str = "",
        key: _Key = "",
        fields: _Fields = None,
        auth: Auth | None = None,
    ) -> Ticket:
        """Makes a ticket, unless this deployment has one."""
        case = self._case(ctx, tracker, key, fields, auth, title=title, text=text)
        if found := self._found(ctx, case):
            ctx.output(f"{tracker}: this deployment has the ticket {found['id']}")
            return found
        call = self._call(case, "create")
        made = _ticket(case, call, self._asked(ctx, case, call), changed=True)
        if made is None:
            raise Failed(f"{tracker}: the answer has no id at {call.id}: look whether the ticket is there")
        ctx.output(f"{tracker}: made the ticket {made['id']} {made['url']}".rstrip())
        return made

    @step(idempotent=True)
    def Comment(
        self,
        ctx: Context,
        tracker: _Tracker,
        text: _Text,
        ticket: _Id = "",
        key: _Key = "",
        fields: _Fields = None,
        auth: Auth | None = None,
    ) -> Ticket:
        """Writes to a ticket, once in a step."""
        return self._act(ctx, "comment", self._case(ctx, tracker, key, fields, auth, text=text), ticket)

    @step(idempotent=True)
    def Transition(
        self,
        ctx: Context,
        tracker: _Tracker,
        state: _Text,
        ticket: _Id = "",
        key: _Key = "",
        fields: _Fields = None,
        auth: Auth | None = None,
    ) -> Ticket:
        """Moves a ticket to another state, unless it is in it."""
        return self._act(ctx, "move", self._case(ctx, tracker, key, fields, auth, state=state), ticket)

    @step(idempotent=True)
    def Close(
        self,
        ctx: Context,
        tracker: _Tracker,
        ticket: _Id = "",
        key: _Key = "",
        fields: _Fields = None,
        auth: Auth | None = None,
    ) -> Ticket:
        """Moves a ticket to the state that is `closed` of its tracker, unless it is in it."""
        return self._act(ctx, "move", self._closing(ctx, tracker, key, fields, auth), ticket)

    @Create.plan
    def _(self, ctx: Context, tracker: str, title: str, text: str = "", **named: Any) -> Change:
        found = self._found(ctx, self._case(ctx, tracker, **named, title=title, text=text))
        why = f"the ticket {found['id']}" if found else "this deployment has no ticket"
        return Change("no" if found else "yes", why=why)

    @Comment.plan
    def _(self, ctx: Context, tracker: str, text: str, ticket: str = "", **named: Any) -> Change:
        return self._foreseen(ctx, "comment", self._case(ctx, tracker, **named, text=text), ticket)

    @Transition.plan
    def _(self, ctx: Context, tracker: str, state: str, ticket: str = "", **named: Any) -> Change:
        return self._foreseen(ctx, "move", self._case(ctx, tracker, **named, state=state), ticket)

    @Close.plan
    def _(self, ctx: Context, tracker: str, ticket: str = "", **named: Any) -> Change:
        return self._foreseen(ctx, "move", self._closing(ctx, tracker, **named), ticket)

    def _closing(self, ctx: Context, tracker: str, *terms: Any, **named: Any) -> _Case:
        return self._case(ctx, tracker, *terms, **named, state=self._tracker(tracker).closed)

    def _tracker(self, name: str) -> Tracker:
        if name not in self._trackers:
            near = did_you_mean(name, self._trackers) or f"known are {', '.join(self._trackers) or 'none'}"
            raise Failed(f"the setting tickets of this worker has no tracker {name[:80]!r}; {near}")
        return self._trackers[name]

    def _case(
        self,
        ctx: Context,
        name: str,
        key: str = "",
        fields: _Fields = None,
        auth: Auth | None = None,
        **values: str,
    ) -> _Case:
        tracker = self._tracker(name)
        marked = f"re-{ctx.deployment}"
        own = {
            "key": f"{marked}-{key}" if key else marked,
            "mark": f"{marked}-{ctx.step}",
            "deployment": ctx.deployment,
            "group": ctx.group,
            "url": tracker.url,
            "event": tracker.states.get(values.get("state", ""), values.get("state", "")),
        }
        everything = {**tracker.fields, **(fields or {}), **values, **own}
        return _Case(tracker, everything, Trust(tracker.ca_file, auth=auth))

    def _act(self, ctx: Context, action: str, case: _Case, ticket: str) -> Ticket:
        there = self._there(ctx, case, ticket)
        case = case._replace(values={**case.values, "id": there["id"]})
        if self._is_done(ctx, action, case):
            ctx.output(f"{case.tracker.name}: nothing to do for the ticket {there['id']}")
            return there
        self._asked(ctx, case, self._call(case, action))
        ctx.output(f"{case.tracker.name}: changed the ticket {there['id']}")
        return {**there, "changed": True}

    def _foreseen(self, ctx: Context, action: str, case: _Case, ticket: str) -> Change:
        try:
            there = self._there(ctx, case, ticket)
        except _NoTicket as error:
            return Change("unknown", why=str(error))
        case = case._replace(values={**case.values, "id": there["id"]})
        if action not in case.tracker.seen:
            return Change("unknown", why="the tracker has no template that says so (seen)")
        done = self._is_done(ctx, action, case)
        return Change("no" if done else "yes", why=f"the ticket {there['id']}")

    def _there(self, ctx: Context, case: _Case, ticket: str) -> Ticket:
        """Raises Failed where this deployment has no ticket, and the step names none."""
        if ticket:
            return {"changed": False, "id": ticket, "url": ""}
        if found := self._found(ctx, case):
            return found
        raise _NoTicket(
            f"{case.tracker.name}: this deployment has no ticket {case.values['key']}; make one with ticket:Create"
        )

    def _found(self, ctx: Context, case: _Case) -> Ticket | None:
        """The ticket of this deployment, where the tracker can be asked for it."""
        if "find" not in case.tracker.calls:
            return None
        call = self._call(case, "find")
        return _ticket(case, call, self._asked(ctx, case, call), changed=False)

    def _is_done(self, ctx: Context, action: str, case: _Case) -> bool:
        seen = case.tracker.seen.get(action)
        if seen is None:
            return False
        answer = self._asked(ctx, case, Call(seen.url, codes=(200,)))
        if seen.contains:
            return filled(seen.contains, case.values).encode() in answer.body
        try:
            value = look_up(document_of(answer.body, MAX_ANSWER), seen.path)
        except LookupError:
            return False
        return str(value).casefold() == filled(seen.equals, case.values).casefold()

    def _call(self, case: _Case, action: str) -> Call:
        if action not in case.tracker.calls:
            raise Failed(f"the setting tickets.{case.tracker.name} has no {action}")
        return case.tracker.calls[action]

    def _asked(self, ctx: Context, case: _Case, call: Call) -> Answer:
        if absent := missing([call.url, call.body], case.values):
            where = f"tickets.{case.tracker.name}.fields"
            raise Failed(
                f"{case.tracker.name} needs {', '.join(absent)}: give it in fields, or in {where} of the settings"
            )
        headers = {"accept": JSON, **case.tracker.headers}
        content = None
        if call.body is not None:
            content = strict_json.dumps(body_of(call.body, case.values)).encode()
            headers["content-type"] = JSON
        question = Question(call.method, url_of(case.tracker, call.url, case.values), headers, content)
        answer = self.send(ctx, question, case.trust)
        if answer.code not in call.codes:
            raise unexpected(ctx, question, answer, call.codes)
        return answer


class _NoTicket(Failed):
    """The deployment has no ticket."""


def _ticket(case: _Case, call: Call, answer: Answer, changed: bool) -> Ticket | None:
    """The one that an answer names; None where it names none."""
    document = document_of(answer.body, MAX_ANSWER)
    try:
        found = str(look_up(document, call.id))
    except LookupError:
        return None
    values = {**case.values, "id": found}
    if not call.link.startswith("/"):
        return {"changed": changed, "id": found, "url": filled(call.link, values)}
    try:
        return {"changed": changed, "id": found, "url": str(look_up(document, call.link))}
    except LookupError:
        return {"changed": changed, "id": found, "url": ""}
