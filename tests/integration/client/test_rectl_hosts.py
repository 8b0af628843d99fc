"""`rectl hosts`: what is sent, and what people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine

_URL = "/api/v1/hosts"


def _key(number: int = 1, trusted: bool = False) -> dict[str, Any]:
    key = f"ssh-ed25519 AAAA{number}"
    return {"type": "ssh-ed25519", "fingerprint": f"SHA256:{number}", "key": key, "trusted": trusted}


def _host(name: str = "web1", **words: Any) -> dict[str, Any]:
    return {"name": name, "place": "hosts.yml:4", "by_api": False, "words": words, "keys": [_key(1, True)]}


def test_hosts_are_listed_and_shown(engine: FakeEngine, rectl: Rectl) -> None:
    host = _host(address="10.0.0.7", port=2222, groups=["web"], tags={"rack": "3"}, environment="prod")
    engine.on(f"GET {_URL}", Answer({"items": [host], "next": None}))
    head, row = rectl("hosts", "list", "group:web").out.splitlines()
    assert head.split() == ["NAME", "ADDRESS", "GROUPS", "TAGS", "ENVIRONMENT", "PLACE"]
    assert row.split() == ["web1", "10.0.0.7:2222", "web", "rack=3", "prod", "hosts.yml:4"]
    assert engine.asked[-1].query["pattern"] == ["group:web"]
    engine.on(f"GET {_URL}/web1", Answer(host))
    shown = rectl("hosts", "show", "web1").out
    engine.on(f"GET {_URL}", Answer({"items": [], "next": None}))
    assert "none of these hosts" in rectl("hosts", "list", "webb").err
    assert "rectl hosts add NAME" in rectl("hosts", "list").err
    for line in ("web1  (hosts.yml:4)", "  port: 2222", '  groups: ["web"]', "  key: ssh-ed25519 SHA256:1"):
        assert line in shown.splitlines()


def test_a_selection_is_one_name_a_line_and_warnings_stand_beside_it(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"POST {_URL}/select", Answer({"names": ["web1", "web2"], "unknown": [], "warnings": ["no"]}))
    ran = rectl("hosts", "select", "group:web", "!web9")
    assert (ran.code, ran.out, ran.err) == (0, "web1\nweb2\n", "warning: no\n")
    assert engine.asked[-1].document == {"patterns": ["group:web", "!web9"]}


def test_a_check_lists_all_mistakes_and_its_code_says_whether_the_inventory_can_be_used(
    engine: FakeEngine, rectl: Rectl
) -> None:
    good = {"usable": True, "hosts": 3, "groups": 1, "digest": "d", "degraded": "", "errors": [], "more": 0}
    fault = {"source": "hosts.yml", "line": 4, "path": "/hosts/web1/prt", "message": "unknown key 'prt'"}
    engine.on(f"POST {_URL}/check", Answer({**good, "warnings": [{**fault, "line": None}]}))
    ran = rectl("hosts", "check")
    assert (ran.code, ran.out) == (0, "3 hosts in 1 groups\n")
    assert ran.err == "hosts.yml /hosts/web1/prt: warning: unknown key 'prt'\n"
    engine.on(f"POST {_URL}/check", Answer({**good, "usable": False, "errors": [fault], "warnings": [], "more": 2}))
    ran = rectl("hosts", "check")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "hosts.yml:4: unknown key 'prt'\n2 more problems are not listed\n"


def test_hosts_are_added_with_words_or_from_a_file(engine: FakeEngine, rectl: Rectl, tmp_path: Path) -> None:
    engine.on(f"POST {_URL}", Answer({"names": ["web1", "web2"]}, 201))
    options = [
        "--port",
        "2222",
        "--group",
        "web",
        "--group",
        "eu",
        "--tag",
        "rack=3",
        "--tag",
        "canary",
        "--user",
        "me",
    ]
    ran = rectl("hosts", "add", "web[1:2]", *options, "--var", "n=3", "--var", "s=text", "--host-key", "trust-first")
    assert (ran.code, ran.err) == (0, "added web1, web2\n")
    words = {
        "port": 2222,
        "groups": ["web", "eu"],
        "tags": {"rack": "3", "canary": True},
        "vars": {"n": 3, "s": "text"},
        "user": "me",
        "host_key": "trust-first",
    }
    assert engine.asked[-1].document == {"hosts": {"web[1:2]": words}, "replace": False}
    file = tmp_path / "more.yml"
    file.write_text("hosts: {a: {port: 1}}\n")
    rectl("hosts", "add", "--file", str(file))
    assert engine.asked[-1].document == {"hosts": {"a": {"port": 1}}, "replace": False}
    file.write_text("groups: {}\n")
    assert "expected `hosts` with hosts, and nothing else" in rectl("hosts", "add", "--file", str(file)).err
    assert rectl("hosts", "add").code == 2
    assert rectl("hosts", "add", "a", "--var", "x={").code == 2


def test_a_change_keeps_the_words_that_it_does_not_name(engine: FakeEngine, rectl: Rectl) -> None:
    stored: dict[str, Any] = {
        "name": "web1",
        "words": {"port": 22, "user": "me"},
        "keys": [],
        "user": "ann",
        "changed": None,
    }
    engine.on(f"GET {_URL}/web1/stored", Answer(stored))
    engine.on(f"POST {_URL}", Answer({"names": ["web1"]}))
    assert rectl("hosts", "set", "web1", "--address", "10.0.0.7", "--unset", "user").err == "changed web1\n"
    document = {"hosts": {"web1": {"port": 22, "address": "10.0.0.7"}}, "replace": True}
    assert engine.asked[-1].document == document
    assert rectl("hosts", "set", "web1").code == 2
    engine.on(f"GET {_URL}/web1/stored", Answer({**stored, "words": None}))
    engine.on(f"GET {_URL}/web1", Answer(_host()))
    assert "change it at hosts.yml:4" in rectl("hosts", "set", "web1", "--port", "1").err


def test_keys_are_shown_and_trusted_only_where_that_is_confirmed(engine: FakeEngine, rectl: Rectl) -> None:
    scan = {"address": "10.0.0.7", "port": 22, "keys": [_key(1), _key(2)], "trusted": []}
    engine.on(f"POST {_URL}/scan", Answer(scan))
    engine.on(f"POST {_URL}/trust", Answer(_host()))
    asked = rectl("hosts", "trust", "web1")
    assert asked.code == 2
    assert "shown: ssh-ed25519 SHA256:1\nshown: ssh-ed25519 SHA256:2\n" in asked.err
    assert "use --yes" in asked.err
    assert engine.asked[-1].path.endswith("/scan")
    assert rectl("hosts", "trust", "web1", "--yes", "--replace").code == 0
    both = ["ssh-ed25519 AAAA1", "ssh-ed25519 AAAA2"]
    assert engine.asked[-1].document == {"name": "web1", "keys": both, "replace": True}
    assert rectl("hosts", "trust", "web1", "--fingerprint", "SHA256:2").code == 0
    assert engine.asked[-1].document == {"name": "web1", "keys": both[1:], "replace": False}
    refused = rectl("hosts", "trust", "web1", "--fingerprint", "SHA256:3")
    assert (refused.code, engine.asked[-1].path.endswith("/scan")) == (2, True)
    assert "no key with the fingerprint SHA256:3" in refused.err


def test_several_hosts_are_trusted_and_one_that_does_not_answer_keeps_no_other_from_it(
    engine: FakeEngine, rectl: Rectl
) -> None:
    engine.on(f"POST {_URL}/select", Answer({"names": ["web1", "web2"], "unknown": [], "warnings": []}))
    refused = {"title": "no", "detail": "web1 shows no key", "status": 502}
    scan = {"address": "10.0.0.7", "port": 22, "keys": [_key(2)], "trusted": []}
    engine.on(f"POST {_URL}/scan", Answer(refused, 502), Answer(scan))
    engine.on(f"POST {_URL}/trust", Answer(_host("web2")))
    ran = rectl("hosts", "trust", "group:web", "--yes")
    assert ran.code == 2
    assert "rectl: web1: web1 shows no key\n" in ran.err
    assert "web2: 1 key trusted\n" in ran.err
    assert engine.asked[-1].document == {"name": "web2", "keys": ["ssh-ed25519 AAAA2"], "replace": False}
    both = rectl("hosts", "trust", "web1", "web2", "--fingerprint", "SHA256:2")
    assert (both.code, engine.asked[-1].path.endswith("/select")) == (2, True)
    assert "--fingerprint are of one host" in both.err


def test_keys_of_a_file_are_taken_as_ssh_keyscan_prints_them(engine: FakeEngine, rectl: Rectl, tmp_path: Path) -> None:
    engine.on(f"POST {_URL}/trust", Answer(_host()))
    file = tmp_path / "keys"
    file.write_text("# ssh-gw:22 SSH-2.0\nssh-gw ssh-ed25519 AAAA1\n\nssh-rsa AAAA2 a comment\n")
    assert rectl("hosts", "trust", "web1", "--keys", str(file), "--yes").code == 0
    assert engine.asked[-1].document["keys"] == ["ssh-ed25519 AAAA1", "ssh-rsa AAAA2"]


def test_hosts_are_removed(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"DELETE {_URL}/web1", Answer(None, 204))
    engine.on(f"GET {_URL}/web1", Answer({"title": "no", "detail": "no", "status": 404}, 404))
    assert rectl("hosts", "remove", "web1").err == "web1 is removed\n"
    engine.on(f"GET {_URL}/web1", Answer(_host()))
    left = "the trusted keys of web1 are removed; the host stands at hosts.yml:4\n"
    assert rectl("hosts", "remove", "web1").err == left
