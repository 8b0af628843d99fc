"""A certificate with its key, from memory. Must not know whose it is."""

from __future__ import annotations

import os
import ssl
import tempfile


def load_identity(context: ssl.SSLContext, pem: str) -> None:
    """Have the context show this certificate, whose key, without a passphrase, is in the same text. Raises OSError, ValueError.

    OpenSSL's binding reads both from a file alone. This one is in memory, so that no key stays on a disk where the process is killed.
    """
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem.encode())
            file.flush()
            context.load_cert_chain(file.name, password="")
        return
    memory = os.memfd_create("identity", os.MFD_CLOEXEC)
    with os.fdopen(memory, "wb") as file:
        file.write(pem.encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{memory}", password="")
