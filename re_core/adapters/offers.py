"""Offers of workers as their rows have them. Must not know a store.

Most workers offer the same, some fifty kilobytes of it, and every core reads all rows about once a second: of equal texts one is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

#: different texts that are remembered
MOST = 64


@lru_cache(MOST)
def offers_of(text: str) -> Mapping[str, Any]:
    """What the text says; equal texts are the same object, which its readers never change. Raises ValueError, TypeError."""
    found: Mapping[str, Any] = json.loads(text)
    return found
