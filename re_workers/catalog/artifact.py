"""`artifact:*`: files of hosts as artifacts of the engine."""

from __future__ import annotations

import tempfile
from typing import Annotated, BinaryIO, cast

from re_workers.catalog.operations import HostWorker
from re_workers.catalog.paths import AbsolutePath
from re_workers.catalog.sources import ArtifactName, Version, versioned
from re_workers.context import Context
from re_workers.results import StoredArtifact
from re_workers.sdk import Change, step

#: what names of tar.gz end with
_ARCHIVES = (".tar.gz", ".tgz")

#: bytes that a file may have which is stored; the core's own bound (`artifact_limit`) may be lower
MOST_PUSHED = 1 << 30


class ArtifactSteps(HostWorker):
    """Stores files of hosts as artifacts of the engine."""

    command = "artifact"

    @step(recorded=True, idempotent=True, timeout=3600)
    def Push(
        self,
        ctx: Context,
        path: Annotated[AbsolutePath, "file of the host; a `.tar.gz` or `.tgz` is kept as an archive"],
        artifact: ArtifactName,
        version: Version = "",
        member: Annotated[str, "store it as the one file of this name, `category/path`, whatever it is"] = "",
    ) -> StoredArtifact:
        """Stores a file of the host as an artifact of the group that deploys. The same file once more changes nothing; another one
        under a name that is there fails."""
        name = versioned(artifact, version)
        with tempfile.TemporaryFile() as file:
            stream = cast(BinaryIO, file)
            ctx.host.get(path, stream, most=MOST_PUSHED)
            stream.seek(0)
            if path.endswith(_ARCHIVES) and not member:
                return ctx.artifact(name, stream, archive=True)
            return ctx.artifact(name, stream, file=member or f"files/{path.rpartition('/')[2]}")

    @Push.plan
    def _(self, ctx: Context, path: str, artifact: str, version: str = "", member: str = "") -> Change:
        return Change("unknown", why=f"{path} is compared with the artifact when it is stored")
