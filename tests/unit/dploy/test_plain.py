"""Without keys: what the programs of a machine may ask of a center and of the zone beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dploylib.transport import curve
from re_core.apps.names import GROUP
from re_core.errors import NotAllowed
from re_core.runtime.settings import load
from re_core.usecases.authorization import Verb, require
from re_dploy import cluster, embedded
from re_dploy.center.options import CENTER_SOCKETS
from re_dploy.local_zone import LOCAL, LocalZone


def test_the_zone_of_an_engine_without_keys_takes_orders_of_its_center_alone(tmp_path: Path) -> None:
    pairs = {name: curve.new_keys() for name in (embedded.CENTER, embedded.CLIENT, LOCAL)}
    zone = LocalZone(tmp_path, pairs[LOCAL], pairs[embedded.CENTER].public, {}, is_plain=True)
    sockets = zone._configuration()["servers"]["zone"]
    assert {tuple(one["curve"]["clients"]) for one in sockets.values()} == {(pairs[embedded.CENTER].public,)}
    settings = load({"RE_DPLOY_PLAIN": "true", "RE_DATA_DIR": str(tmp_path)})
    options = embedded._options(settings, pairs, zone.addresses())
    assert options.key_file is not None and options.zones[LOCAL].key == pairs[LOCAL].public
    assert options.plain is not None


def test_who_asks_a_cluster_without_a_key_is_of_the_group_dploy_alone(tmp_path: Path) -> None:
    (tmp_path / "zones.yml").write_text("eu: {uri: 'tcp://127.0.0.1:7600'}\n")
    options = cluster.options_of(
        load(
            {
                "RE_DPLOY_PLAIN": "true",
                "RE_DPLOY_LISTEN": "127.0.0.1:7500",
                "RE_DPLOY_ZONES": str(tmp_path / "zones.yml"),
            }
        )
    )
    assert options.plain is not None and options.listen.keys() == set(CENTER_SOCKETS)
    require(options.plain, Verb.DEPLOY, GROUP)
    with pytest.raises(NotAllowed):
        require(options.plain, Verb.DEPLOY, "other")
