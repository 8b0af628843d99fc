"""Where the tests have kubectl from. Must not know what they do with it."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.services.service_root import run
from tests.services.unavailable import Unavailable

#: Debian's package, by the names that it has had
PACKAGES = ("kubectl", "kubernetes-client")


def have_kubectl() -> None:
    """Have one on the PATH, or skip the test; in CI that is an error."""
    if shutil.which("kubectl"):
        return
    reasons = []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for package in PACKAGES:
            try:
                run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
            except Unavailable as reason:
                reasons.append(str(reason))
            else:
                return
    why = f"no kubectl: install it ({'; '.join(reasons) or 'apt-get install kubernetes-client'})"
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
