"""What a host says of itself. Must not know how it is reached."""

from __future__ import annotations

import time
from collections.abc import Sequence

from re_workers.hosts import agent
from re_workers.hosts.channels import Channel
from re_workers.hosts.port import Facts, Unreachable
from re_workers.hosts.session import Report, Session, nonce


def probe(channel: Channel, records: str = "", boot: str = agent.BOOT, patience: float = 20.0) -> Facts:
    """One session. Raises HostError."""
    mark = nonce()
    began = time.monotonic()
    report = Session(channel, agent.asked("probe", "probe", mark, boot, records), mark, None, patience).run(
        lambda _: None
    )
    if ["done"] not in report.lines:
        raise Unreachable(f"{channel.host}: the connection was lost before it had said what it is")
    return _facts(report, round(1000 * (time.monotonic() - began)))


def _facts(report: Report, milliseconds: int) -> Facts:
    said: dict[str, Sequence[str]] = {words[0]: words[1:] for words in report.lines if words}

    def text(name: str) -> str:
        return " ".join(said.get(name, ()))

    return Facts(
        kernel=text("kernel"),
        user=text("user"),
        uid=_number(text("uid")),
        home=text("home"),
        boot=text("boot"),
        tools=frozenset(said.get("tools", ())),
        free=_number(text("free")),
        kills_sessions="kills" in said,
        noise=report.noise,
        milliseconds=milliseconds,
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1
