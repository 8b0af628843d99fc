"""A real Nagios on the hosts that tests may change. Must not know what it is told."""

from __future__ import annotations

from tests.services import throwaway

RECIPE = throwaway.RECIPE._replace(name="nagios", packages=(*throwaway.RECIPE.packages, "nagios4-core"))
