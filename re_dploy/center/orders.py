"""From an app's state to the orders for a zone. Must not know sockets, nor when anything is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from re_core.apps.releasing import next_formation
from re_core.apps.state import State
from re_core.apps.values import Payload, Version
from re_core.errors import NotFound
from re_dploy import wire


class Cargoes(Protocol):
    """The cargo of versions."""

    def uri(self, state: State, version: Version) -> str:
        """Where a zone gets it, with its digest. Raises NotFound, DamagedArtifact, StoreUnavailable."""
        ...


class Configs(Protocol):
    """The values of configs."""

    def env(self, app: str, config: str) -> Mapping[str, str]:
        """The variables of the row `config` of an app; none where it is empty. Raises NotFound, OperatorError, StoreUnavailable."""
        ...


def release_order(deployment: str, zone: str, attempt: int) -> str:
    """Id of the order that a release gives: all attempts of a step, and two centers, give the same one."""
    return f"{deployment}/{zone}/{attempt}"


def run_order(deployment: str, zone: str) -> str:
    """Id of a run in its zone."""
    return f"{deployment}/{zone}/run"


def is_of(order: str, deployment: str) -> bool:
    """Whether an order was given by that deployment."""
    return bool(deployment) and order.startswith(f"{deployment}/")


def attempt_of(order: str) -> int:
    """Which attempt an order is; 0 where its id does not say."""
    last = order.rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0


class Orders:
    """Makes them."""

    def __init__(self, cargoes: Cargoes, configs: Configs) -> None:
        self._cargoes, self._configs = cargoes, configs

    def release(self, state: State, version: Version, zone: str, attempt: int) -> wire.Order:
        """Get ready beside what runs, and hold. Raises as Cargoes and Configs, and NotFound for a version without a payload."""
        first = version.zones[:1] == (zone,)
        id = release_order(version.job, zone, attempt)
        release_phase = first and bool(payload_of(version).release)
        return self._order(state, version, id)._replace(hold=True, release_phase=release_phase)

    def keep(self, state: State, zone: str, attempt: str) -> wire.Order:
        """Run the current version, at once. `attempt` is never used twice: what has failed is tried again. Raises as `release`."""
        version = state.versions[state.current]
        return self._order(state, version, f"{state.id}/{state.epoch}/{zone}/{attempt}")

    def cargo_digest(self, state: State, version: Version) -> str:
        """SHA-256 of the cargo. Raises as Cargoes."""
        return wire.digest_of(self._cargoes.uri(state, version))

    def _order(self, state: State, version: Version, id: str) -> wire.Order:
        values = dict(self._configs.env(state.id, version.config))
        return wire.Order(
            state.name,
            self._cargoes.uri(state, version),
            order=id,
            app_id=state.id,
            epoch=state.epoch,
            version=version.number,
            formation=formation_of(state, version),
            generation=state.generation,
            env={"app": values} if values else {},
        )


def formation_of(state: State, version: Version) -> Mapping[str, int]:
    """Counts of its processes: of the current version as people set them, of another one as they would be after its commit."""
    if version.number == state.current:
        return state.formation
    return next_formation(state, payload_of(version))


def payload_of(version: Version) -> Payload:
    """Its files. Raises NotFound."""
    if version.payload is None:
        raise NotFound(f"v{version.number} has no payload")
    return version.payload
