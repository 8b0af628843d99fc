"""Which workers the catalogue has. Must not know how they are run."""

from __future__ import annotations

from re_core.runtime.addresses import AddressRule
from re_workers.catalog.accounts import Cron, Groups, Users
from re_workers.catalog.app import App
from re_workers.catalog.archive import Archives
from re_workers.catalog.artifact import ArtifactSteps
from re_workers.catalog.files import FileOperations, Files
from re_workers.catalog.git import Git
from re_workers.catalog.machine import Machine
from re_workers.catalog.nagios import Nagios
from re_workers.catalog.package import PackageSteps
from re_workers.catalog.puppet import Puppet
from re_workers.catalog.service import Services
from re_workers.catalog.wait import Wait
from re_workers.sdk import Worker

#: those that need nothing to be made
PLAIN: tuple[type[Worker], ...] = (
    App,
    ArtifactSteps,
    Cron,
    FileOperations,
    Files,
    Git,
    Groups,
    Machine,
    Nagios,
    PackageSteps,
    Puppet,
    Services,
    Users,
)


def workers(addresses: AddressRule | None = None) -> list[Worker]:
    """One of each; `addresses` says where those may go that take a URL or an address."""
    return [*(kind() for kind in PLAIN), Archives(addresses), Wait(addresses)]
