"""HTTP to servers of this machine, without TLS and without a proxy.

A client that may meet TLS reads the certificates of all authorities first: 23 ms of processor for each client, which is more than
most of what is asked here. These trust no authority: with https: they fail.
"""

from __future__ import annotations

from functools import partial

import httpx2

from re_client.transport import tls

_NO_TLS = tls("http")

Client = partial(httpx2.Client, verify=_NO_TLS, trust_env=False)
get = partial(httpx2.get, verify=_NO_TLS, trust_env=False)
post = partial(httpx2.post, verify=_NO_TLS, trust_env=False)
stream = partial(httpx2.stream, verify=_NO_TLS, trust_env=False)
