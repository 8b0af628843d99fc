"""What bounds an instance of an app: what the zone's configuration says, and the scope that systemd is asked for."""

from __future__ import annotations

import pytest

from re_core.errors import BadSettings
from re_dploy.wire import Limits
from re_dploy.zone import config, systemd


def test_what_an_instance_may_have_is_the_lower_of_what_the_zone_and_the_order_say() -> None:
    given = config.read({"zone": "eu", "directory": "/x", "limits": {"memory": 100, "files": 64}})
    assert given.limits == Limits(100, config.MAX_PROCESSES, 64)
    assert Limits(memory=200, files=32).within(given.limits) == Limits(100, config.MAX_PROCESSES, 32)
    assert config.read({"zone": "eu", "directory": "/x", "limits": {"processes": 0}}).limits == Limits()
    for wrong in ({"memory": -1}, {"memory": "1G"}, {"cpu": 1}, 5):
        with pytest.raises(BadSettings, match=r"general\.limits"):
            config.read({"zone": "eu", "directory": "/x", "limits": wrong})


@pytest.mark.parametrize(("uid", "user"), [(0, []), (1000, ["--user"])])
def test_a_scope_bounds_an_instance_and_is_named_after_it(
    monkeypatch: pytest.MonkeyPatch, uid: int, user: list[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert systemd.command("dploy-eu-0a-shop-web.1-17", Limits(memory=2**30, processes=99), 30.0) == [
        "systemd-run",
        *user,
        "--scope",
        "--quiet",
        "--collect",
        "--unit=dploy-eu-0a-shop-web.1-17.scope",
        "--property=MemoryMax=1073741824",
        "--property=TasksMax=99",
        "--property=KillMode=control-group",
        "--property=TimeoutStopSec=40",
        "--",
    ]
    assert not any("Max" in word for word in systemd.command("x", Limits(), 1.0))
