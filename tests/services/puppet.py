"""A real puppet agent on the hosts that tests may change. Must not know what its manifests want."""

from __future__ import annotations

from tests.services import throwaway

RECIPE = throwaway.RECIPE._replace(name="puppet", packages=(*throwaway.RECIPE.packages, "puppet-agent"))
