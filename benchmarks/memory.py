"""Memory of a process and its children, as the kernel counts it."""

from __future__ import annotations

import psutil


def pss(process: int) -> float:
    """MiB of proportional set size, now, of the process and all its children."""
    root = psutil.Process(process)
    total = sum(one.memory_full_info().pss for one in (root, *root.children(recursive=True)))
    return float(total) / 1024 / 1024
