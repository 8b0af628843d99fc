"""HTTP to servers of this machine, without TLS and without a proxy.

A client that may meet TLS reads the certificates of all authorities first: 23 ms of processor for each client, which is more than
most of what is asked here.
"""

from __future__ import annotations

from functools import partial

import httpx2

Client = partial(httpx2.Client, verify=False, trust_env=False)
get = partial(httpx2.get, verify=False, trust_env=False)
post = partial(httpx2.post, verify=False, trust_env=False)
stream = partial(httpx2.stream, verify=False, trust_env=False)
