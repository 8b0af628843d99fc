"""The values of an app's config as they stand in the store: closed with a key that is not in it. Must not know who may read them."""

from __future__ import annotations

from collections.abc import Mapping

from re_core import ports
from re_core.errors import NotFound, StoreRefused
from re_core.ports.peering import Seal
from re_core.rows import ConfigRow
from re_core.wire import strict_json


def about(app: str, config: str) -> str:
    """What the sealed bytes are bound to: those of another row, or of another app, do not open."""
    return f"config {app}/{config}"


def close_values(seal: Seal, app: str, config: str, values: Mapping[str, str]) -> bytes:
    """The values, sealed for the row with that id."""
    return seal.close(strict_json.dumps(dict(sorted(values.items()))).encode(), about(app, config))


def open_values(seal: Seal, row: ConfigRow) -> dict[str, str]:
    """Name -> value. Raises BadSettings where the key is another one or the row was changed, StoreRefused where it is no config."""
    document = strict_json.loads(seal.open(row.sealed, about(row.app, row.id)))
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise StoreRefused(f"the config {row.id} of the app {row.app} is damaged; restore a backup")
    return document


def values_of(rows: ports.AppRows, seal: Seal, app: str, config: str) -> dict[str, str]:
    """The values of that row of the app; none where `config` is empty. Raises NotFound, and as `open_values`."""
    if not config:
        return {}
    row = rows.config(config)
    if row is None or row.app != app:
        raise NotFound(f"the config {config} of the app {app} is not there any more")
    return open_values(seal, row)
