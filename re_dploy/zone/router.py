"""The table of a zone's addresses, for proxies: as JSON, and as configuration of Caddy and nginx. Must not know processes.

All three are written beside and renamed, then the reload hook is run. A revision counts as loaded once the hook ended with 0.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from re_core.backoff import Backoff
from re_core.runtime import killing
from re_dploy.zone.disk import write, write_bytes
from re_dploy.zone.leftovers import Children

#: seconds that the reload hook may take
HOOK = 10.0

#: seconds between two tries of a hook that fails: the first pause, and the longest
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

_log = logging.getLogger(__name__)

#: app -> revision and addresses
Table = Mapping[str, tuple[int, tuple[str, ...]]]


class Router:
    """Writes the table whenever it was changed, on a thread of its own."""

    def __init__(
        self, directory: Path, hook: Sequence[str], loaded: Callable[[Mapping[str, int]], object], children: Children
    ) -> None:
        """`loaded` is called with the revisions that the proxy has, by app."""
        self._dir = directory
        self._hook = list(hook)
        self._loaded = loaded
        self._children = children
        self._table: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._changed = threading.Condition()
        self._dirty = self._stopping = False
        #: waits for a hook that could not be ended
        self._left: threading.Thread | None = None
        #: why the proxy does not have the table; empty: it has it
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="zone-router", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the hook that runs."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(HOOK + 5)

    def set(self, app: str, revision: int, addresses: tuple[str, ...]) -> None:
        """What an app's table is now."""
        with self._changed:
            if self._table.get(app) != (revision, addresses):
                self._table[app] = (revision, addresses)
                self._dirty = True
                self._changed.notify()

    def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while (table := self._next()) is not None:
            if self._publish(table):
                backoff.reset()
                self._loaded({app: revision for app, (revision, _) in table.items()})
                continue
            with self._changed:
                self._dirty = True
                self._changed.wait_for(lambda: self._stopping, backoff.next())

    def _next(self) -> Table | None:
        with self._changed:
            self._changed.wait_for(lambda: self._dirty or self._stopping)
            self._dirty = False
            return None if self._stopping else dict(self._table)

    def _publish(self, table: Table) -> bool:
        try:
            write(self._dir / "routes.json", {app: _entry(*one) for app, one in sorted(table.items())})
            write_bytes(self._dir / "caddy.conf", caddy(table).encode(), 0o644)
            write_bytes(self._dir / "nginx.conf", nginx(table).encode(), 0o644)
            if self._hook:
                self._reload()
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("the routes cannot be published: %s", error, extra={"action": "reload_failed"})
            self.trouble = f"the routes cannot be published: {error}"
            return False
        self.trouble = ""
        return True

    def _reload(self) -> None:
        if self._left is not None and self._left.is_alive():
            raise OSError(f"{self._hook[0]} of an earlier try still runs, {killing.STAYS}")
        with self._children.starting() as own:
            hook = subprocess.Popen(
                self._hook, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            own.add(hook.pid)
        assert hook.stdout is not None  # noqa: S101 - PIPE was asked for
        with hook.stdout:
            try:
                printed, _ = hook.communicate(timeout=HOOK)
            except subprocess.TimeoutExpired:
                self._left = killing.kill(hook)
                words = f"{self._hook[0]} has not ended within {HOOK:g} s"
                raise OSError(words if self._left is None else f"{words}, {killing.STAYS}") from None
        if hook.returncode:
            last = printed.decode(errors="replace").strip()[-200:]
            raise OSError(f"{self._hook[0]} ended with {hook.returncode}: {last}")


def caddy(table: Table) -> str:
    """Snippets of a Caddyfile: `import shop` in a site proxies to the app."""
    parts = []
    for app, (revision, addresses) in sorted(table.items()):
        if addresses:
            upstreams = " ".join(addresses)
            parts.append(
                f"# revision {revision}\n({app}) {{\n\treverse_proxy {upstreams} {{\n\t\tlb_try_duration 2s\n\t}}\n}}\n"
            )
        else:
            parts.append(f'# revision {revision}\n({app}) {{\n\trespond "{app} does not run here" 503\n}}\n')
    return "\n".join(parts)


def nginx(table: Table) -> str:
    """Upstreams of nginx: `proxy_pass http://shop;` in a location proxies to the app."""
    parts = []
    for app, (revision, addresses) in sorted(table.items()):
        # nginx refuses an upstream without a server: port 9 is discard's, where nothing answers
        servers = "".join(f"\tserver {address};\n" for address in addresses or ("127.0.0.1:9 down",))
        parts.append(f"# revision {revision}\nupstream {app} {{\n{servers}}}\n")
    return "\n".join(parts)


def _entry(revision: int, addresses: tuple[str, ...]) -> dict[str, object]:
    return {"revision": revision, "addresses": list(addresses)}
