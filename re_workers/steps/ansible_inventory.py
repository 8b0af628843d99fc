"""The inventory that ansible gets of a step's hosts: what the plan says of them, in Ansible's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from re_workers.outcomes import Failed

#: the row's word -> Ansible's
_WORDS = {
    "address": "ansible_host",
    "port": "ansible_port",
    "user": "ansible_user",
    "identity": "ansible_ssh_private_key_file",
}
#: of the worker's machine, as Ansible's own `localhost`
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
#: hosts through which one is reached, at most
_MOST_JUMPS = 3

Rows = Mapping[str, Mapping[str, Any]]


def inventory_of(hosts: Sequence[str], rows: Rows, known_hosts: str, tmp: str = "") -> dict[str, Any]:
    """As Ansible's YAML and JSON inventories are. A host without a row is the worker's machine, where modules stand in `tmp`.

    `known_hosts`: the file that has the keys of `known_hosts_of`. Raises Failed for a runner that Ansible has no connection for.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name in hosts:
        for group in rows.get(name, {}).get("groups", ()):
            groups.setdefault(group, {"hosts": {}})["hosts"][name] = {}
    return {"all": {"hosts": {name: _host(name, rows, known_hosts, tmp) for name in hosts}, "children": groups}}


def known_hosts_of(hosts: Sequence[str], rows: Rows) -> str:
    """Lines of a known_hosts file: the keys that the plan has of these hosts."""
    lines = []
    for name in hosts:
        row = rows.get(name, {})
        address, port = row.get("address") or name, row.get("port")
        place = f"[{address}]:{port}" if port and port != 22 else address
        lines += [f"{place} {key}\n" for key in row.get("host_keys", ())]
    return "".join(lines)


def _host(name: str, rows: Rows, known_hosts: str, tmp: str) -> dict[str, Any]:
    row = rows.get(name)
    if row is None or row.get("runner") == "local":
        # the user of programs of steps may have no home
        place = {"ansible_remote_tmp": tmp} if tmp else {}
        return {**LOCAL, **place, **(row or {}).get("vars", {})}
    if row.get("runner", "ssh") != "ssh":
        raise Failed(f"{name}: Ansible reaches hosts by ssh, and the inventory says the runner {row['runner']!r}")
    words: dict[str, Any] = {_WORDS[key]: value for key, value in row.items() if key in _WORDS}
    become = row.get("become")
    if become:
        words |= {"ansible_become": True, "ansible_become_user": become.get("user", "root")}
    if options := [*_way(name, rows), *_trust(row, known_hosts)]:
        words["ansible_ssh_common_args"] = " ".join(options)
    return {**words, **row.get("vars", {})}


def _way(name: str, rows: Rows) -> list[str]:
    """The jump hosts, the nearest to the worker first."""
    jumps: list[str] = []
    via = rows[name].get("jump", "")
    while via:
        row = rows.get(via, {})
        if len(jumps) >= _MOST_JUMPS:
            raise Failed(f"{name} is reached through more than {_MOST_JUMPS} hosts")
        user, port = row.get("user", ""), row.get("port")
        address = row.get("address") or via
        jumps.insert(0, f"{f'{user}@' if user else ''}{address}{f':{port}' if port else ''}")
        via = row.get("jump", "")
    return [f"-o ProxyJump={','.join(jumps)}"] if jumps else []


def _trust(row: Mapping[str, Any], known_hosts: str) -> list[str]:
    policy = row.get("host_key", "strict")
    if policy == "pinned":
        files = f"-o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=/dev/null"
        return [f"{files} -o StrictHostKeyChecking=yes"]
    if policy == "trust-first":
        return ["-o StrictHostKeyChecking=accept-new"]
    keys = [f"-o GlobalKnownHostsFile={known_hosts}"] if row.get("host_keys") else []
    return [*keys, "-o StrictHostKeyChecking=yes"]
