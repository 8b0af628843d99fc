"""Figures in the format of Prometheus (docs/decisions/0023)."""

from re_core.adapters.metrics.metrics import Metrics

__all__ = ["Metrics"]
