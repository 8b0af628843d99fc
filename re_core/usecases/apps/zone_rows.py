"""What a stored row says of a zone: whether it answers, and whether a center looks at it at all. Must not know HTTP, nor a zone's wire.

A center stores what a zone reports, and from time to time that it looks at one that does not answer. So a zone at which no center
has looked for long, while one has looked at others, is in no center's settings any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from re_core.ports import AppRows
from re_core.rows import ZoneRow

#: milliseconds after which what a zone has reported is shown with a warning: a center stores every ten seconds that it was heard
AWAY = 30_000
#: milliseconds for which no center has looked at a zone, behind the one that was looked at last, after which none does any more
UNASKED = 600_000

#: keys of a stored report: why the zone is away, and when a center has looked in vain
_TROUBLE, _LOOKED = "trouble", "looked"


def known_zones(store: AppRows) -> list[str]:
    """Names of the zones that a center looks at, sorted."""
    rows = store.zones()
    newest = last_look(rows)
    return sorted(zone.name for zone in rows if not _is_unasked(zone, newest))


def last_look(zones: Iterable[ZoneRow]) -> int:
    """When a center has looked at any of these, milliseconds; 0: never."""
    return max(map(_looked, zones), default=0)


def trouble_of(zone: ZoneRow, now: int, newest: int) -> str:
    """Why what it has reported may not be so any more; empty: it was heard shortly ago. `newest`: see `last_look`."""
    if _is_unasked(zone, newest):
        return f"no center looks at it any more (dploy_zones): rectl apps zones --remove {zone.name}"
    said = _mapping(zone.report).get(_TROUBLE)
    if isinstance(said, str) and said:
        return said
    return "" if now - zone.at < AWAY else "it has not been heard since"


def _looked(zone: ZoneRow) -> int:
    looked = _mapping(zone.report).get(_LOOKED)
    return max(zone.at, looked if isinstance(looked, int) and not isinstance(looked, bool) else 0)


def _is_unasked(zone: ZoneRow, newest: int) -> bool:
    return newest - _looked(zone) >= UNASKED


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
