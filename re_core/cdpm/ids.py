"""Names of pipelines, subscriptions and deployments, derived so that every core makes the same. Pure; must not know the state."""

from __future__ import annotations

from typing import NamedTuple

from re_core.jobs.ids import deployment_id, digest_of

__all__ = ["KIND", "ReleaseKey", "deployment_id", "pipeline_key", "subscription_id"]

#: the kind of aggregate
KIND = "pipeline"


class ReleaseKey(NamedTuple):
    """Which release of a dependency: its number alone is not enough, for a dependency restored from a backup counts again."""

    id: int | str
    created_at: str


def pipeline_key(id: str) -> str:
    """Key of the aggregate: of its journal, its row and its messages."""
    return f"{KIND}/{id}"


def subscription_id(at: int, *parts: str) -> str:
    """In the form of a UUID (version 8, RFC 9562), of what is subscribed to and when: one that ended never comes back."""
    raw = bytearray(digest_of((str(at), *parts))[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
