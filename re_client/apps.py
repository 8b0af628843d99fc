"""The part of the Python client that concerns apps: one method per route of `/api/v1/apps`, and zones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, urlencode

from re_client import events
from re_client.calls import Calls, given, new_key
from re_core.api import apps as api

_APPS = "/api/v1/apps"


class Apps(Calls):
    """`Client.apps`. Every method raises ClientError."""

    def all(self, group: str | None = None) -> list[api.AppRow]:
        """All apps that the token reaches, by name."""
        return [cast(api.AppRow, row) for row in self._pages(_APPS, given(group=group))]

    def one(self, app: str) -> api.App:
        """One, whole."""
        return cast(api.App, self._get(_app(app)))

    def create(self, app: str, group: str | None = None, zones: Sequence[str] = (), key: str = "") -> api.App:
        """A new app, once: it is sent again under the same key while the answer stays away."""
        body = {"name": app, **given(group=group), **({"zones": list(zones)} if zones else {})}
        headers = {"idempotency-key": key or new_key()}
        return cast(api.App, self._repeatable("POST", _APPS, json=body, headers=headers))

    def destroy(self, app: str) -> None:
        """End it. Its zones stop it."""
        self._transport.send("DELETE", _app(app))

    def set_zones(self, app: str, zones: Sequence[str]) -> api.App:
        """Its zones from now on. Safe to repeat."""
        return cast(api.App, self._repeatable("PUT", f"{_app(app)}/zones", json={"zones": list(zones)}))

    def takeover(self, app: str) -> api.App:
        """Let its zones obey this engine, which was restored from a backup."""
        return cast(api.App, self._transport.json("POST", f"{_app(app)}/takeover"))

    def config(self, app: str, values: bool = False) -> api.AppConfig:
        """Names of its variables; with `values` also these."""
        return cast(api.AppConfig, self._get(f"{_app(app)}/config", given(values="true" if values else None)))

    def configure(self, app: str, set: Mapping[str, str], unset: Sequence[str] = ()) -> api.ReleaseAsked:
        """Set and remove variables, once: it is sent again under the same broadcast id while the answer stays away."""
        body: dict[str, Any] = {"set": dict(set), "unset": list(unset), "broadcast_id": new_key()}
        return cast(api.ReleaseAsked, self._repeatable("PATCH", f"{_app(app)}/config", json=body))

    def push(self, app: str, archive: Iterable[bytes], commit: str = "", note: str = "") -> api.ReleaseAsked:
        """Build a tar.gz that comes in pieces, and release it. An archive that was cut off makes no release; where the answer alone was
        lost, it does.
        """
        id = f"{new_key()}:{commit}" if commit else new_key()
        params = {"broadcast_id": id, **given(commit=commit or None, note=note or None)}
        headers = {"content-type": "application/gzip"}
        path = f"{_app(app)}/releases"
        return cast(
            api.ReleaseAsked,
            self._transport.json("POST", path, params=params, content=archive, headers=headers),
        )

    def releases(self, app: str) -> list[api.AppReleaseRow]:
        """The newest 100, newest first."""
        return [cast(api.AppReleaseRow, row) for row in self._get(f"{_app(app)}/releases")["items"]]

    def release(self, app: str, release: int) -> api.AppRelease:
        """One, whole."""
        return cast(api.AppRelease, self._get(f"{_app(app)}/releases/{release}"))

    def rollback(self, app: str, release: int | None = None) -> api.ReleaseAsked:
        """Bring an earlier one back: the last that differs from what runs, or that one. As `configure` otherwise."""
        body = {"broadcast_id": new_key(), **given(release=release)}
        return cast(api.ReleaseAsked, self._repeatable("POST", f"{_app(app)}/rollback", json=body))

    def retry(self, app: str, release: int) -> api.ReleaseAsked:
        """Release once more what failed. As `configure` otherwise."""
        path = f"{_app(app)}/releases/{release}/retry"
        return cast(api.ReleaseAsked, self._repeatable("POST", path, json={"broadcast_id": new_key()}))

    def ps(self, app: str) -> api.AppProcesses:
        """Its processes, as its zones reported them last."""
        return cast(api.AppProcesses, self._get(f"{_app(app)}/ps"))

    def routes(self, app: str) -> api.AppRoutes:
        """Where its web processes listen."""
        return cast(api.AppRoutes, self._get(f"{_app(app)}/routes"))

    def scale(self, app: str, formation: Mapping[str, int]) -> api.Scaled:
        """Set counts of processes in each zone. Safe to repeat."""
        return cast(
            api.Scaled, self._repeatable("PATCH", f"{_app(app)}/formation", json={"formation": dict(formation)})
        )

    def restart(self, app: str, key: str = "") -> None:
        """Replace its processes, once: it is sent again under the same key while the answer stays away."""
        self._repeatable("POST", f"{_app(app)}/restart", headers={"idempotency-key": key or new_key()})

    def run(self, app: str, command: str, key: str = "") -> api.RunStarted:
        """Run a command in its environment, once: it is sent again under the same key while the answer stays away."""
        headers = {"idempotency-key": key or new_key()}
        found = self._repeatable("POST", f"{_app(app)}/runs", json={"command": command}, headers=headers)
        return cast(api.RunStarted, found)

    def logs(self, app: str, tail: int, ps: str = "", source: str = "") -> list[api.AppLogLine]:
        """The newest lines, oldest first."""
        params = given(tail=tail, ps=ps or None, source=source or None)
        return cast(list[api.AppLogLine], self._get(f"{_app(app)}/logs", params)["lines"])

    def follow(
        self, app: str, last: str = "", ps: str = "", source: str = ""
    ) -> Iterator[events.LogEvent | events.GapEvent]:
        """Its lines from now on, or behind the line `last`, without an end. Lost connections are made again."""
        query = urlencode(given(ps=ps or None, source=source or None))
        path = f"{_app(app)}/logs/events" + (f"?{query}" if query else "")
        return events.follow_log(self._transport, path, last, self._pause)

    def broadcast(self, app: str, id: str) -> Iterator[events.BroadcastEvent | events.GapEvent]:
        """What the release with that broadcast id says, from its first line to its end. Lost connections are made again."""
        path = f"{_app(app)}/broadcasts/{quote(id, safe='')}"
        return events.follow_broadcast(self._transport, path, self._pause)

    def remove_zone(self, zone: str) -> None:
        """Remove a zone that never comes back."""
        self._transport.send("DELETE", f"/api/v1/zones/{quote(zone, safe='')}")

    def zones(self) -> list[api.ZoneRow]:
        """All zones of the engine, by name."""
        return [cast(api.ZoneRow, row) for row in self._get("/api/v1/zones")["items"]]


def _app(app: str) -> str:
    return f"{_APPS}/{quote(app, safe='')}"
