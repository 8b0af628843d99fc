"""The documents of apps, as HTTP has them. Must not know how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from re_core.api.answers import Page
from re_core.api.fields import MAX_TEXT, Expected, Name, Rules, Time, whole, words
from re_core.apps.names import APP_NAME, BROADCAST_ID
from re_core.apps.values import AppStatus, Kind, Status

#: how an app stands, how far one of its releases is, and what a release was made for
AppState = Annotated[str, words(AppStatus)]
ReleaseStatus = Annotated[str, words(Status)]
ReleaseKind = Annotated[str, words(Kind)]
Formation = Annotated[Mapping[str, int], "type of process -> how many of it each zone runs"]

_LOWER = "a lower-case letter, then at most 29 lower-case letters, digits and hyphens"


class AppRow(TypedDict):
    """An app."""

    id: str
    group: str
    name: Annotated[str, "unique in the engine, also between groups"]
    state: AppState
    zones: Annotated[list[str], "in the order in which releases reach them"]
    release: Annotated[int | None, "number of the release that the zones run; null: none"]
    newest: Annotated[int | None, "number of the newest release; null: there is none"]
    newest_status: ReleaseStatus | None
    waiting: Annotated[int, "number of releases that wait for their turn"]
    formation: Formation


class AppRun(TypedDict):
    """One command that a person ran in the environment of an app."""

    run: Annotated[int, "from 1, per app"]
    zone: str
    command: Annotated[str, "as it was typed; it is kept"]
    user: str
    started: Time
    ended: Time | None
    code: Annotated[int | None, "exit code; null: it goes on, or how it ended is not known"]
    why: Annotated[str, "why it has no exit code"]
    deployment: Annotated[str | None, "the deployment that runs it: its output is the command's"]


class App(AppRow):
    """An app, with what its current release says of it."""

    created: Time | None
    destroyed: Annotated[Time | None, "null: it is not destroyed"]
    config: Annotated[list[str], "names of the variables that people have set"]
    processes: Annotated[Mapping[str, str], "type of process -> command, of the current release"]
    commit: Annotated[str, "of the current release; empty: none, or not known"]
    releasing: Annotated[int | None, "number of the release that goes on; null: none does"]
    leaving: Annotated[list[str], "zones that still have to stop it"]
    runs: Annotated[list[AppRun], "the newest, newest first"]


class AppReleaseRow(TypedDict):
    """One release of an app."""

    release: Annotated[int, "its number, from 1; people see v1"]
    status: ReleaseStatus
    current: Annotated[bool, "the zones run it"]
    kind: ReleaseKind
    commit: str
    note: str
    user: str
    created: Time
    ended: Annotated[Time | None, "when it was decided; null: it is not"]
    why: Annotated[str, "why it failed"]
    stage: Annotated[str, "in which it failed: prepare, build or deploy"]
    of: Annotated[int | None, "of a rollback: the release that came back"]
    deployment: Annotated[str | None, "the deployment that releases it; null before its turn"]
    broadcast_id: str


class AppReleasePayload(TypedDict):
    """The built files of a release; releases may share them."""

    digest: Annotated[str, "SHA-256 of their bytes"]
    size: Annotated[int, "bytes"]
    python: Annotated[str, "version of Python that they need, as 3.13; empty: none"]


class AppRelease(AppReleaseRow):
    """One release of an app, whole."""

    zones: Annotated[list[str], "that it is released in"]
    ready: Annotated[list[str], "those that have it up beside what runs"]
    switched: Annotated[list[str], "those that have gone over to it"]
    config: Annotated[list[str], "names of its variables"]
    formation: Formation
    processes: Annotated[Mapping[str, str], "type of process -> command"]
    payload: AppReleasePayload | None


class ReleaseAsked(TypedDict):
    """What a request has led to."""

    release: Annotated[int | None, "number of the release that was made; null: nothing had to be released"]
    broadcast_id: Annotated[str | None, "its lines and its end are at /broadcasts/{broadcast_id}"]
    names: NotRequired[Annotated[list[str], "of a config: its variables from now on"]]


class AppConfig(TypedDict):
    """The variables of an app."""

    names: list[str]
    values: NotRequired[Annotated[Mapping[str, str], "only where they were asked for"]]


class AppProcess(TypedDict):
    """One process of an app, as its zone has reported it."""

    zone: str
    process: Annotated[str, "type and number: web.1"]
    state: Annotated[str, "starting, up, crashed, restarting, stopping or stopped"]
    port: int | None
    since: Time | None
    exit: Annotated[str, "how it ended the last time; empty: it never did"]
    restarts: int
    release: int | None


class AppZone(TypedDict):
    """An app in one zone."""

    zone: str
    seen: Annotated[Time | None, "when the zone answered last; null: never"]
    release: Annotated[int | None, "what serves there; null: nothing"]
    state: str
    trouble: Annotated[str, "why the zone cannot be reached, or does not run what it should; empty: all is well"]


class AppProcesses(TypedDict):
    """The processes of an app in all its zones."""

    items: list[AppProcess]
    zones: list[AppZone]


class ZoneRoutes(TypedDict):
    """Where the web processes of an app listen in one zone."""

    zone: str
    revision: Annotated[int, "rises with every change"]
    addresses: list[str]


class AppRoutes(TypedDict):
    """The table for one's own proxy."""

    addresses: Annotated[list[str], "of all zones"]
    zones: list[ZoneRoutes]


class AppLogLine(TypedDict):
    """One line of the log of an app."""

    id: Annotated[str, "what a stream goes on behind, as Last-Event-ID"]
    at: Time
    zone: str
    process: str
    source: Annotated[Literal["app", "dploy"], "`dploy`: the zone says it of the process"]
    text: str


class AppLog(TypedDict):
    """The newest lines, oldest first."""

    lines: list[AppLogLine]


class Scaled(TypedDict):
    """The counts of an app."""

    formation: Formation


class RunStarted(TypedDict):
    """A command that was started."""

    run: int
    deployment: Annotated[str, "its output is the command's, and it ends with it"]


class ZoneRow(TypedDict):
    """A host with an agent."""

    name: str
    seen: Annotated[Time | None, "when it answered last; null: never"]
    apps: Annotated[list[str], "that it runs or has stopped"]
    trouble: Annotated[str, "why it cannot be reached; empty: it can"]


# -- requests --------------------------------------------------------------------------------------

_Zones = Annotated[list[str], Rules(minItems=1, maxItems=32), Expected("a list of 1 to 32 names of zones")]
_Note = Annotated[str, Rules(maxLength=500), Expected("a text of at most 500 characters")]
_BroadcastId = Annotated[
    str,
    Rules(pattern=f"^{BROADCAST_ID.pattern}$"),
    Expected("1 to 128 letters, digits and :._-"),
    "the caller's own, one per request: a repetition is answered as the first. If omitted, the engine makes one.",
]


class AppRequest(TypedDict):
    """A new app."""

    name: Annotated[str, Rules(pattern=f"^{APP_NAME.pattern}$"), Expected(_LOWER)]
    group: NotRequired[Annotated[Name, "`dploy` if omitted"]]
    zones: NotRequired[Annotated[_Zones, "all that the engine knows if omitted"]]


class ZonesRequest(TypedDict):
    """The zones of an app from its next release on."""

    zones: _Zones


class ConfigRequest(TypedDict):
    """A change of the variables of an app."""

    set: NotRequired[Annotated[dict[str, Any], Expected("an object of texts"), "name -> value, a text"]]
    unset: NotRequired[Annotated[list[str], Rules(maxItems=200), Expected("a list of at most 200 names")]]
    broadcast_id: NotRequired[_BroadcastId]


class RollbackRequest(TypedDict):
    """Bring an earlier release back."""

    release: NotRequired[
        Annotated[
            int,
            *whole(1, "the number of a release"),
            "the last one before the current that differs from it and succeeded if omitted",
        ]
    ]
    note: NotRequired[_Note]
    broadcast_id: NotRequired[_BroadcastId]


class ReleaseRetryRequest(TypedDict):
    """Release once more what failed."""

    broadcast_id: NotRequired[_BroadcastId]


class FormationRequest(TypedDict):
    """Counts of processes in each zone; types that are not named keep theirs."""

    formation: Annotated[dict[str, Any], Expected("an object of whole numbers from 0 to 20"), "type -> count"]


class RunRequest(TypedDict):
    """A command to run once, in the first zone."""

    command: Annotated[
        str,
        Rules(minLength=1, maxLength=MAX_TEXT),
        Expected(f"a command of at most {MAX_TEXT} characters"),
        "for `sh -c`",
    ]


COMPONENTS: dict[str, Any] = {
    **{
        kind.__name__: kind
        for kind in (App, AppRelease, ReleaseAsked, AppConfig, AppProcesses, AppRoutes, AppLog, Scaled, RunStarted)
    },
    "Apps": Page[AppRow],
    "AppReleases": Page[AppReleaseRow],
    "Zones": Page[ZoneRow],
}

REQUESTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        AppRequest,
        ZonesRequest,
        ConfigRequest,
        RollbackRequest,
        ReleaseRetryRequest,
        FormationRequest,
        RunRequest,
    )
}
