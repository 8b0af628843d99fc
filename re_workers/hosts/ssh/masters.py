"""Connections to hosts that stay: one ssh process for each way, and the sessions over it. Must not know what is run.

A connection takes a host 50 to 150 ms of processor, a session over one that is there 3. So a master is started when a host is first
needed, and ends when it was idle for a while. A server allows so many sessions over one connection (MaxSessions, 10); how many
is learned when it refuses one. What asks how a run stands must not wait behind what follows runs, so it may have a second master.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from re_workers.hosts.channels import SshChannel
from re_workers.hosts.port import BadHost, HostError, LoginRefused, Opened, Unreachable
from re_workers.hosts.ssh import mux
from re_workers.hosts.ssh.dialled import Dialled
from re_workers.hosts.ssh.dialling import Dials, NotWanted
from re_workers.hosts.ssh.master import Client, Master, connect
from re_workers.hosts.ssh.turn import ANY_TIME, Turn, in_turn
from re_workers.hosts.ssh.way import Way, client

#: seconds after which an idle master ends, and masters of one process
IDLE, MOST = 600.0, 256
#: sockets of a host that one master leads to
MOST_FORWARDS = 16
#: masters of one way, and sessions that have to wait before there is a second one for what runs
_MOST_OF_WAY, _CROWDED = 2, 8
#: seconds in which a master has to open a session
_OPENING = 20.0
#: seconds after a refusal in which a master is not asked again
_REST = 0.2
#: seconds between two looks at whether a session is free
_LOOK = 0.1
#: the longest pause between two looks for idle masters
_SWEEP = 30.0


class _Kept:
    """The masters of one way."""

    def __init__(self) -> None:
        self.masters: list[Master] = []
        self.dialling = 0
        self.waiting = 0

    def free(self, control: bool) -> Master | None:
        """One with a session to spare. The last one of the second master is kept for control."""
        for number, master in enumerate(self.masters):
            if master.rests_until > time.monotonic():
                continue
            if master.limit is None or master.sessions < master.limit - (number > 0 and not control):
                return master
        return None

    def wants_another(self, control: bool) -> bool:
        """Whether there should be one more now."""
        known = len(self.masters) + self.dialling
        return not known or (not self.dialling and known < _MOST_OF_WAY and (control or self.waiting >= _CROWDED))


class Masters:
    """Of one process. Thread-safe."""

    def __init__(
        self,
        sockets: Path,
        environment: Mapping[str, str],
        known_hosts: Sequence[str] = (),
        idle: float = IDLE,
        most: int = MOST,
    ) -> None:
        """`sockets`: a directory for their sockets alone; `known_hosts`: files that count beside those of ssh_config."""
        self._ssh = Client(sockets, environment, known_hosts)
        self._idle, self._most = idle, most
        self._dials = Dials()
        self._changed = threading.Condition()
        self._kept: dict[str, _Kept] = {}
        self._closing = threading.Event()
        self._sweeper: threading.Thread | None = None

    def session(
        self,
        way: Way,
        command: str,
        stop: threading.Event | None = None,
        control: bool = False,
        turn: Turn = ANY_TIME,
    ) -> Opened:
        """Have the login shell of the host run a command. `control`: it is short, and must not wait behind what is long.

        Waits while all sessions that the host allows are taken, and then for its turn, which the caller ends where this returns.
        Raises HostError; Unreachable when `stop` is set meanwhile.
        """
        losses = 0
        while True:
            master = self._take(way, stop, control)
            try:
                session = in_turn(turn, lambda: mux.session(str(master.socket), command, _OPENING))  # noqa: B023
            except HostError:
                self._give_back(master)
                raise
            except mux.MuxRefused as error:
                self._refused(master, way, str(error))
            except mux.MuxOther:
                self._give_back(master)
                return in_turn(turn, lambda: SshChannel(way.host, client(way, str(master.socket))).open(command))  # noqa: B023
            except OSError as error:  # of this process: no more descriptors
                self._give_back(master)
                raise Unreachable(f"{way.host}: this worker cannot open a session: {error}") from error
            except mux.MuxGone as error:
                self._give_back(master)
                self._drop(way, master)
                losses += 1
                if losses > 1:
                    raise Unreachable(f"{way.host}: the connection was lost: {error}") from error
            else:
                self._works(master)
                session.when_over(partial(self._ended, master))
                return session

    def dial(self, way: Way, path: str, stop: threading.Event | None = None) -> socket.socket:
        """A connection to a unix socket of the host, as the user of its login. It takes no session of the host's.

        Whether the host lets it through shows when it is read from: then it ends at once. Raises HostError.
        """
        master = self._take(way, stop, control=True)
        try:
            return Dialled(self._forward(master, path), partial(self._let_go, self._held(master)))
        except (mux.MuxRefused, mux.MuxOther) as error:
            raise BadHost(f"{way.host}: ssh opens no connection to {path}: {error}") from error
        except (mux.MuxGone, OSError) as error:
            self._drop(way, master)
            raise Unreachable(f"{way.host}: the connection was lost: {error}") from error
        finally:
            self._give_back(master)

    def _forward(self, master: Master, path: str) -> str:
        """The socket here that stands for one of the host; it goes with the master."""
        with master.forwarding:
            if path not in master.forwards:
                if len(master.forwards) >= MOST_FORWARDS:
                    raise BadHost(
                        f"steps connect to {MOST_FORWARDS} sockets of the host already; {path} has to wait for a new connection"
                    )
                local = str(master.socket.with_suffix(f".{len(master.forwards)}"))
                mux.forward(str(master.socket), local, path, _OPENING)
                master.forwards[path] = local
            return master.forwards[path]

    def _held(self, master: Master) -> Master:
        """Kept, however long nothing is asked of it."""
        with self._changed:
            master.holds += 1
        return master

    def _let_go(self, master: Master) -> None:
        with self._changed:
            master.holds -= 1
            master.used = time.monotonic()

    def masters(self) -> int:
        """How many there are."""
        with self._changed:
            return sum(len(kept.masters) for kept in self._kept.values())

    def close(self) -> None:
        """End all of them; their sessions are cut, and what runs on hosts runs on."""
        self._closing.set()
        with self._changed:
            masters = [master for kept in self._kept.values() for master in kept.masters]
            self._kept.clear()
            self._changed.notify_all()
        for master in masters:
            master.terminate()
        for master in masters:
            master.end()
        if self._sweeper is not None:
            self._sweeper.join()

    def _take(self, way: Way, stop: threading.Event | None, control: bool) -> Master:
        """One with a session that is now the caller's."""
        with self._changed:
            kept = self._kept.setdefault(way.digest, _Kept())
            kept.waiting += not control
            try:
                while True:
                    kept = self._kept.setdefault(way.digest, kept)
                    self._forget_dead(kept)
                    if self._closing.is_set() or (stop is not None and stop.is_set()):
                        raise NotWanted(f"{way.host}: it was to stop before there was a session")
                    if (master := kept.free(control)) is not None:
                        return self._taken(master)
                    if kept.wants_another(control) and self._has_room():
                        kept.dialling += 1
                        break
                    self._changed.wait(_LOOK)
            finally:
                kept.waiting -= not control
        return self._dial(way, kept, stop)

    @staticmethod
    def _taken(master: Master) -> Master:
        master.sessions += 1
        return master

    def _works(self, master: Master) -> None:
        """The session that was taken is open."""
        with self._changed:
            master.opened += 1
            master.most = max(master.most, master.opened)
            if master.limit is not None:
                master.limit = max(master.limit, master.most)

    def _ended(self, master: Master) -> None:
        with self._changed:
            master.opened -= 1
        self._give_back(master)

    def _dial(self, way: Way, kept: _Kept, stop: threading.Event | None) -> Master:
        """A new master, with a session that is the caller's; `kept.dialling` counts it until it is there."""
        jump: Master | None = None
        master: Master | None = None
        try:
            if way.jump is not None:
                jump = self._hold(way.jump, way.host, stop)
            with self._dials.dialling(way.digest, way.crowd, stop):
                ask = _Asking(self._closing, stop)
                master = connect(way, self._ssh, jump, ask)
        finally:
            with self._changed:
                kept.dialling -= 1
                if master is not None:
                    kept.masters.append(self._taken(master))
                elif jump is not None:
                    jump.holds -= 1
                self._changed.notify_all()
        if self._closing.is_set():
            master.end()
            raise NotWanted(f"{way.host}: the worker ends")
        self._start_sweeper()
        return master

    def _hold(self, way: Way, host: str, stop: threading.Event | None) -> Master:
        """The master of a host through which `host` is reached: it stays while that one does. It takes no session."""
        try:
            master = self._take(way, stop, control=True)
        except HostError as error:
            raise type(error)(f"{host} is reached through {way.host}, and that fails: {error}") from error
        with self._changed:
            master.holds += 1
        self._give_back(master)
        return master

    def _give_back(self, master: Master) -> None:
        with self._changed:
            master.sessions -= 1
            master.used = time.monotonic()
            self._changed.notify_all()

    def _refused(self, master: Master, way: Way, why: str) -> None:
        """The host has no further session for now. Raises LoginRefused where it never had one."""
        with self._changed:
            master.sessions -= 1
            if not master.sessions and not master.most:
                advice = "see MaxSessions in its sshd_config"
                raise LoginRefused(f"{way.host} lets the user in, and refuses sessions: {why}; {advice}")
            master.limit = max(1, master.most)
            # the server may count one that has just ended: its program sees that when it next writes
            master.rests_until = time.monotonic() + _REST

    def _drop(self, way: Way, master: Master) -> None:
        with self._changed:
            kept = self._kept.get(way.digest)
            if kept is not None and master in kept.masters:
                kept.masters.remove(master)
            self._release(master)
        master.end()

    @staticmethod
    def _release(master: Master) -> None:
        if master.jump is not None:
            master.jump.holds -= 1
            master.jump = None

    def _forget_dead(self, kept: _Kept) -> None:
        for master in [one for one in kept.masters if one.is_dead]:
            kept.masters.remove(master)
            self._release(master)
            master.end()

    def _has_room(self) -> bool:
        """Whether one more may be started; ends the one that was idle for longest where there are too many."""
        masters = [(master, kept) for kept in self._kept.values() for master in kept.masters]
        if len(masters) + sum(kept.dialling for kept in self._kept.values()) < self._most:
            return True
        idle = [(master.used, number) for number, (master, _) in enumerate(masters) if master.is_idle]
        if not idle:
            return False
        master, kept = masters[min(idle)[1]]
        kept.masters.remove(master)
        self._release(master)
        master.end()
        return True

    def _start_sweeper(self) -> None:
        with self._changed:
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="idle connections", daemon=True)
                self._sweeper.start()

    def _sweep(self) -> None:
        while not self._closing.wait(min(_SWEEP, self._idle / 4)):
            ended = []
            with self._changed:
                for digest, kept in list(self._kept.items()):
                    old = [one for one in kept.masters if one.is_idle and time.monotonic() - one.used > self._idle]
                    for master in old:
                        kept.masters.remove(master)
                        self._release(master)
                    ended += old
                    if not (kept.masters or kept.dialling or kept.waiting):
                        del self._kept[digest]
            for master in ended:
                master.end()


class _Asking:
    """Whether a connection that is being made is still wanted."""

    def __init__(self, *stops: threading.Event | None) -> None:
        self._stops = [stop for stop in stops if stop is not None]

    def __call__(self) -> bool:
        return not any(stop.is_set() for stop in self._stops)
