"""A real puppet on a host that may be changed. No puppet server is there: manifests are applied, and the agent fails to reach one."""

from __future__ import annotations

import pytest

from tests.integration.catalog.conftest import Host

pytestmark = pytest.mark.usefixtures("puppet")

_GOOD = 'file { "/srv/by-puppet": content => "new\\n" }\n'
_BAD = 'file { "/srv/no/such/place": content => "x" }\n'


@pytest.mark.long
def test_a_manifest_is_applied_once_and_said_beforehand(web1: Host) -> None:
    for name, text in (
        ("good", _GOOD),
        ("bad", _BAD),
        ("both", _GOOD.replace("new", "newer") + _BAD),
        ("none", "fil {"),
    ):
        web1.act("file:Copy", {"path": f"/srv/{name}.pp", "content": text})
    good = {"manifest": "/srv/good.pp"}
    change = web1.foresee("puppet:Run", good)
    assert (change.will, "/srv/by-puppet" in change.diff) == ("yes", True)
    assert web1.act("puppet:Run", {**good, "noop": True}).data == {"changed": False, "code": 0, "pending": 1}
    assert web1.act("puppet:Run", good).data == {"changed": True, "code": 2, "pending": 0}
    assert web1.act("puppet:Run", good).data == {"changed": False, "code": 0, "pending": 0}
    failed = web1.act("puppet:Run", {"manifest": "/srv/both.pp"}, fails=True)
    assert "some resources were changed, and some failed: Error: " in str(failed.message)
    assert (failed.data["code"], failed.data["changed"]) == (6, True)
    assert "did not run, exit code 1" in str(web1.act("puppet:Run", {"manifest": "/srv/none.pp"}, fails=True).message)


@pytest.mark.long
def test_the_agent_is_disabled_with_a_reason_and_enabled(web1: Host) -> None:
    off = {"reason": "maintenance since %s"}
    assert web1.act("puppet:Disable", off).data == {"changed": True}
    assert web1.act("puppet:Disable", off).data == {"changed": False}
    assert "maintenance since 20" in web1.sh("cat /etc/motd")
    refused = web1.act("puppet:Run", {"server": "127.0.0.1"}, fails=True)
    assert "puppet is disabled; puppet:Enable enables it" in str(refused.message)
    assert "maintenance since 20" in str(refused.message)
    assert "maintenance since 20" in web1.foresee("puppet:Disable", off).why
    assert web1.foresee("puppet:Enable").will == "yes"
    assert web1.act("puppet:Enable").data == {"changed": True}
    assert web1.act("puppet:Enable").data == {"changed": False}
    assert "maintenance" not in web1.sh("cat /etc/motd")
    web1.act("puppet:Disable", {"motd": False})
    away = web1.act("puppet:Run", {"server": "127.0.0.1", "enable": True, "tags": ["a", "b"]}, fails=True)
    assert "puppet did not run, exit code 1" in str(away.message)
    assert "a manifest is applied without a server" in str(
        web1.act("puppet:Run", {"server": "x", "manifest": "/x"}, fails=True).message
    )
