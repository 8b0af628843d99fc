"""Lists of hosts of a playbook: what they mean by an inventory, what the plan keeps of it, and which group may use which hosts."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment import records as r
from re_core.deployment.host_rows import MAX_BYTES, header_of, trusted_now
from re_core.deployment.plan_codec import plan_from_document
from re_core.errors import BadDocument, Problem
from re_core.inventory.reading import read_inventory
from re_core.inventory.resolving import InventoryResolver, UnusableInventory
from re_core.inventory.sources import SourceText
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.playbook.host_rules import HostRules
from re_core.sequencer.encoding import messages_of
from re_core.usecases.checking import check, preview
from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.factories import START, Run, accepted, playbook, sequence, simple

INVENTORY = """
hosts:
  web[1:3]: {groups: [web], jump: bastion, user: deploy, vars: {root: /srv}}
  db1: {address: 10.0.3.7, groups: [db], vars: {role: primary}}
  bastion: {port: 2222, vars: {secretly: long}}
"""


def _resolver(text: str = INVENTORY, refuses: bool = False) -> InventoryResolver:
    return InventoryResolver(read_inventory([SourceText("hosts.yml", "yaml", text)]), refuses)


def _policy(refuses: bool = False, listed: dict[str, tuple[str, ...]] | None = None) -> EnginePolicy:
    return EnginePolicy(hosts=_resolver(refuses=refuses), host_rules=HostRules(listed or {}))


def _problems(document: Any, policy: EnginePolicy) -> list[Problem]:
    with pytest.raises(BadDocument) as refusal:
        compile_document(document, policy, {})
    return list(refusal.value.problems)


def test_patterns_are_resolved_and_the_plan_keeps_the_rows_of_these_hosts_and_of_the_way_to_them() -> None:
    stored = compile_document(simple("noop:A", hosts=("group:web", "!web2", "db1")), _policy(), {})
    plan = plan_from_document(strict_json.loads(strict_json.dumps(stored)))
    assert [step.host for step in plan.steps] == ["web1", "web3", "db1"]
    assert plan.hosts.rows == {
        "web1": {"name": "web1", "jump": "bastion", "user": "deploy", "groups": ["web"], "vars": {"root": "/srv"}},
        "web3": {"name": "web3", "jump": "bastion", "user": "deploy", "groups": ["web"], "vars": {"root": "/srv"}},
        "db1": {"name": "db1", "address": "10.0.3.7", "groups": ["db"], "vars": {"role": "primary"}},
        "bastion": {"name": "bastion", "port": 2222, "vars": {"secretly": "long"}},
    }
    assert plan.hosts.unknown == {}


def test_without_an_inventory_a_plan_and_its_messages_are_what_they_always_were() -> None:
    run = Run(simple("noop:A", hosts=("group:web", "!web9")))
    assert [step.host for step in run.plan.steps] == ["group:web", "!web9"]
    stored = compile_document(simple("noop:A", hosts=("web1",)), EnginePolicy(), {})
    assert set(stored) == {"v", "specs", "hosts", "steps", "tree", "patience", "notify", "on_lost"}
    assert r.entry_to_document(r.Entry("d1", 1, START, "t", (accepted(stored),)))["v"] < 7
    assert all(not {m.HOST, m.UNKNOWN_HOST} & one.headers.keys() for one in messages_of(run.state, run.effects))


def test_a_plan_with_rows_is_of_a_format_that_older_engines_refuse() -> None:
    stored = compile_document(simple("noop:A", hosts=("web1",)), _policy(), {})
    assert r.entry_to_document(r.Entry("d1", 1, START, "t", (accepted(stored),)))["v"] == 7


def test_a_message_says_how_its_host_is_reached_and_of_a_jump_host_nothing_else() -> None:
    run = Run(simple("noop:A", hosts=("web1", "elsewhere")), _policy())
    (message,) = [one for one in messages_of(run.state, run.effects) if one.key == "worker.noop"]
    assert strict_json.loads(message.headers[m.HOST].encode()) == {
        "web1": {"name": "web1", "jump": "bastion", "user": "deploy", "groups": ["web"], "vars": {"root": "/srv"}},
        "bastion": {"name": "bastion", "port": 2222},
    }
    assert message.headers[m.GRANT] == "1"
    run.claim(0)
    run.complete(0)
    (message,) = [one for one in messages_of(run.state, run.last.effects) if one.key == "worker.noop"]
    assert m.HOST not in message.headers
    assert message.headers[m.UNKNOWN_HOST] == ""


def test_a_message_has_the_keys_that_are_trusted_now_and_all_else_as_the_plan_has_it() -> None:
    def rows(now: str | None) -> Any:
        run = Run(simple("noop:A", hosts=("web1",)), _policy())
        known = None if now is None else _resolver(now)
        (message,) = [one for one in messages_of(run.state, run.effects, known=known) if one.key == "worker.noop"]
        return strict_json.loads(message.headers[m.HOST].encode())

    before = rows(None)
    key, other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDHDfjl2P0Hxp1ovQpGll0m9EM5aXL6mW4jmdGsXIR1k", "trust-first"
    now = f"hosts: {{web1: {{jump: bastion, user: x, host_keys: [{key}]}}, bastion: {{port: 2222, host_key: {other}}}}}"
    assert rows(now) == {
        "web1": {**before["web1"], "host_keys": [key]},
        "bastion": {**before["bastion"], "host_key": other},
    }
    # another machine: its key is none of this one's
    assert rows(now.replace("2222", "22").replace("jump: bastion", "address: elsewhere")) == before
    assert rows("hosts: {other: {}}") == before
    full = {"web1": {"name": "web1", "vars": {"long": "x" * (MAX_BYTES - 100)}}}
    assert trusted_now("web1", full, {"web1": {"name": "web1", "host_keys": [key, key]}}) == full


def test_every_mistake_of_every_stage_is_found_with_its_place() -> None:
    document = playbook(
        sequence("noop:A", hosts=("web1", "group:wep")), sequence("noop:B", hosts=("web[1:4]", "!web9", "db1"))
    )
    assert _problems(document, _policy()) == [
        Problem("/execution/0/hosts/1", "'group:wep': the inventory has no group 'wep'; did you mean 'web'?"),
        Problem("/execution/1/hosts/0", "'web[1:4]': not in the inventory: web4; did you mean 'web3'?"),
        Problem("/execution/1/hosts/1", "'!web9': not in the inventory: web9; did you mean 'web3'?"),
    ]


def test_a_plain_name_that_is_not_there_is_a_warning_with_advice_or_refused_where_that_is_set() -> None:
    document = simple("noop:A", hosts=("db1", "web11"))
    where = ": its steps run on the machine of the worker that takes them; did you mean 'web1'?"
    warning = Problem("/execution/0/hosts/1", f"'web11' is not in the inventory{where}")
    checked = check(document, None, {"noop:A": {}}, _policy())
    assert (checked.errors, checked.warnings) == ((), (warning,))
    plan = preview(document, {}, {"noop:A": {}}, _policy())
    assert [one["message"] for one in plan["warnings"]] == [warning.message]
    assert "hosts" not in plan
    assert compile_document(document, _policy(), {})["unknown_hosts"] == {"web11": "did you mean 'web1'?"}
    assert _problems(document, _policy(refuses=True)) == [
        Problem("/execution/0/hosts/1", "'web11' is not in the inventory; did you mean 'web1'?")
    ]


def test_a_preview_shows_what_patterns_mean() -> None:
    plan = preview(
        playbook(sequence("noop:A", hosts=("db1",)), sequence("noop:A", hosts=("group:web", "!web2"))),
        {},
        {},
        _policy(),
    )
    assert plan["hosts"] == [{"sequence": 1, "patterns": ["group:web", "!web2"], "names": ["web1", "web3"]}]


def test_while_the_inventory_cannot_be_used_no_list_of_hosts_can() -> None:
    policy = EnginePolicy(hosts=UnusableInventory("hosts.yml:4: no"))
    assert _problems(simple("noop:A", hosts=("elsewhere",)), policy) == [
        Problem("/execution/0/hosts", "hosts.yml:4: no")
    ]


def test_what_does_not_fit_into_a_message_is_refused_with_its_size() -> None:
    resolver = _resolver(f"hosts: {{big: {{vars: {{a: {'x' * MAX_BYTES}}}}}}}")
    (problem,) = resolver.resolve(["big"], "/hosts").problems
    assert "what the inventory says of 'big' has 82" in problem.message
    assert f"has room for {MAX_BYTES}" in problem.message


@pytest.mark.parametrize(
    ("listed", "hosts", "refusal"),
    [
        ({"inception": ("group:web",)}, ("web1", "group:web"), ""),
        (
            {"inception": ("group:web",)},
            ("db1", "web1"),
            "may not use 'db1': the setting group_hosts lists group:web for it",
        ),
        ({"inception": ("group:web",)}, ("elsewhere",), "may not use 'elsewhere'"),
        ({"inception": ("group:web", "elsewhere")}, ("elsewhere",), ""),
        ({"inception": ("*",)}, ("elsewhere", "db1"), ""),
        ({"*": ("db1",)}, ("db1",), ""),
        ({"another": ("*",)}, ("db1",), "group_hosts lists no hosts for the group 'inception'"),
        ({"inception": ()}, ("db1",), "lists nothing for it"),
        ({"inception": ("group:gone",)}, ("web1",), "('group:gone': the inventory has no group"),
    ],
)
def test_a_group_may_use_what_is_listed_for_it_and_nothing_else(
    listed: dict[str, tuple[str, ...]], hosts: tuple[str, ...], refusal: str
) -> None:
    document = simple("noop:A", hosts=hosts)
    if not refusal:
        assert compile_document(document, _policy(listed=listed), {})["steps"]
        return
    (problem,) = _problems(document, _policy(listed=listed))
    assert problem.path == "/execution/0/hosts"
    assert refusal in problem.message


def test_a_group_that_is_listed_may_use_nothing_while_the_inventory_cannot_be_used() -> None:
    rules = HostRules({"web": ("group:web",)})
    (problem,) = rules.problems("web", [("0", ("web1",))], UnusableInventory("hosts.yml:4: no"))
    assert problem.message.endswith("(hosts.yml:4: no)")


def test_a_way_that_goes_round_is_said_once() -> None:
    rows = {"a": {"jump": "b", "vars": {"x": 1}}, "b": {"jump": "a", "vars": {"x": 1}}}
    assert strict_json.loads(header_of("a", rows).encode()) == {"a": rows["a"], "b": {"jump": "a"}}
    assert header_of("c", rows) == ""


def test_a_step_goes_to_its_own_pool_else_to_that_of_its_stage_else_to_that_of_its_host() -> None:
    policy = EnginePolicy(hosts=_resolver("hosts: {a: {pool: dmz}, b: {pool: dmz}, c: {}}"))
    stage = sequence("noop:A", {"noop:B": {}, "pool": "lab"}, hosts=("a", "b", "c"), preflight=("noop:P",))
    plan = plan_from_document(compile_document(playbook(stage, {**stage, "pool": "own"}), policy, {}))
    pools = [step.spec.pool for step in plan.steps]
    assert pools == ["dmz", "dmz", "", "dmz", "lab", "dmz", "lab", "", "lab"] + ["own"] * 3 + ["own", "lab"] * 3
    assert plan.steps[3].spec is plan.steps[5].spec


_OF_TWO = "hosts: {a: {environment: prod}, b: {environment: staging}, c: {}}"
_TRIGGER = {"DESCRIPTION": "t", "WHEN": {"NEXT_COMMAND": "noop"}, "COMMAND": "say", "SUBCOMMAND": "So"}


def test_the_steps_of_a_host_and_what_is_inserted_before_them_are_of_the_environment_of_that_host() -> None:
    policy = EnginePolicy(hosts=_resolver(_OF_TWO), triggers=(_TRIGGER,))
    plan = plan_from_document(compile_document(simple("noop:A", hosts=("a", "b", "c")), policy, {}))
    assert [(step.spec.name, step.spec.environment) for step in plan.steps] == [
        (name, environment) for environment in ("prod", "staging", "") for name in ("say:So", "noop:A")
    ]


@pytest.mark.parametrize(
    ("environment", "hosts", "secret", "at", "says"),
    [
        ("prod", ("a", "b", "c"), "", "environment", "of the environment prod, and the inventory says that 'b' is of staging"),
        ("lab", ("b", "c"), "", "environment", "'b' is of staging: take the hosts out, or leave out the stage's environment"),
        ("", ("a", "c"), "web/staging/db", "hosts", "secret web/staging/db of another environment than that of 'a', prod"),
        ("staging", ("b",), "web/prod/db", "environment", "of another environment than the stage's, staging"),
    ],
)  # fmt: skip
def test_an_environment_that_does_not_fit_its_hosts_or_its_secrets_is_refused(
    environment: str, hosts: tuple[str, ...], secret: str, at: str, says: str
) -> None:
    stage = sequence({"noop:A": {"key": {"secret": secret}} if secret else {}}, hosts=hosts)
    document = {**playbook({**stage, "environment": environment} if environment else stage), "group": "web"}
    (problem,) = _problems(document, EnginePolicy(hosts=_resolver(_OF_TWO)))
    assert problem.path == f"/execution/0/{at}"
    assert says in problem.message


def test_a_pool_of_a_step_that_is_no_name_is_refused_with_its_place() -> None:
    (problem,) = _problems(simple({"noop:A": {}, "pool": "DMZ"}, hosts=("web1",)), _policy())
    assert problem.path == "/execution/0/steps/0/pool"


def test_a_repeatable_step_on_a_host_of_the_inventory_begins_by_grant_too() -> None:
    step = {"noop:A": {}, "idempotent": True}
    granted = []
    for host in ("web1", "elsewhere"):
        run = Run(simple(step, hosts=(host,)), _policy())
        (message,) = [one for one in messages_of(run.state, run.effects) if one.key == "worker.noop"]
        granted.append(message.headers.get(m.GRANT))
    assert granted == ["again", None]
