"""`file:*` and `fileops:*`: files of a host."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, TypedDict

from re_workers.catalog.contents import Copy, Line
from re_workers.catalog.operations import Changed, HostWorker, Operation, Source, only_looks, operation_step
from re_workers.catalog.paths import MOST_CONTENT, AbsolutePath, Mode, OwnerName
from re_workers.catalog.sources import (
    ArtifactName,
    Member,
    Sha256,
    Version,
    WorkerFile,
    of_artifact,
    of_content,
    of_worker,
    one_of,
    versioned,
)
from re_workers.catalog.trees import (
    FIND_PATHS,
    FIND_TEXT,
    MOST_FOUND,
    Attributes,
    Directory,
    Link,
    Matches,
    Paths,
    Remove,
    matches_of,
)
from re_workers.context import Context
from re_workers.limits import at_least, at_most, fits
from re_workers.outcomes import Failed
from re_workers.sdk import step
from re_workers.steps.limited import rendered

_Backup = Annotated[bool, "keep what was there beside it, with the time in its name"]
_Validate = Annotated[str, "command that finds the new file good, `%s` its path: `nginx -t -c %s`", fits("re-script")]
_Diff = Annotated[bool, "show the difference; say false where contents are confidential"]
_Recursive = Annotated[bool, "with all that is below it"]
_Regexp = Annotated[str, "extended regular expression, as `grep -E` has it", fits("re-text")]


class Fetched(TypedDict):
    """A file of the host."""

    size: int
    #: where it is text
    text: str
    #: where it is not: the bytes
    base64: str


class Files(HostWorker):
    """Makes files, directories and links on hosts, and reads them."""

    command = "file"

    @operation_step(Changed)
    def Copy(
        self,
        ctx: Context,
        path: AbsolutePath,
        content: Annotated[str, "what the file shall have"] | None = None,
        b64encoded: Annotated[bool, "the content is base64 of bytes"] = False,
        artifact: ArtifactName | None = None,
        version: Version = "",
        member: Member = "",
        worker_file: WorkerFile | None = None,
        sha256: Sha256 | None = None,
        mode: Mode | None = None,
        owner: OwnerName = "",
        backup: _Backup = False,
        validate: _Validate = "",
        diff: _Diff = True,
    ) -> Operation:
        """Makes a file with this content, or with that of an artifact or of a file of the worker's machine.

        It is replaced at once; a new one has the permissions 0644, another one keeps its own. A large one is sent as a file: it is
        compared by its digest, and gone on with where a connection is cut.
        """
        one_of(content=content, artifact=artifact, worker_file=worker_file)
        if artifact is not None:
            source = of_artifact(ctx, versioned(artifact, version), member, sha256)
        elif worker_file is not None:
            source = of_worker(ctx, worker_file, sha256)
        else:
            source = of_content(_bytes(content or "", b64encoded), sha256)
        return Copy(path, source, mode or "", owner, backup, validate, diff)

    @operation_step(Changed)
    def Template(
        self,
        ctx: Context,
        path: AbsolutePath,
        template: Annotated[str, "Jinja2; besides `vars` it has `host.name`, `host.vars` and `host.facts`"]
        | None = None,
        artifact: ArtifactName | None = None,
        version: Version = "",
        member: Member = "",
        worker_file: WorkerFile | None = None,
        vars: Annotated[
            dict[str, Any] | None, "values by name; one that the template uses and that is not there is an error"
        ] = None,
        mode: Mode | None = None,
        owner: OwnerName = "",
        backup: _Backup = False,
        validate: _Validate = "",
        diff: _Diff = True,
    ) -> Operation:
        """Makes a file of a template, which is in the playbook, in an artifact or a file of the worker's machine, as `file:Copy` does."""
        one_of(template=template, artifact=artifact, worker_file=worker_file)
        if artifact is not None:
            template = _text(of_artifact(ctx, versioned(artifact, version), member))
        elif worker_file is not None:
            template = _text(of_worker(ctx, worker_file))
        host = {"name": ctx.host.name, "vars": ctx.host.vars, "facts": ctx.host.facts}
        content = rendered(template or "", {"host": host, **(vars or {})}).encode()
        return Copy(path, content, mode or "", owner, backup, validate, diff)

    @operation_step(Changed)
    def Line(
        self,
        ctx: Context,
        path: AbsolutePath,
        line: Annotated[str, "the line, without its end"] = "",
        match: Annotated[str, "expression of `grep -E`: the last line that matches is replaced", fits("re-text")] = "",
        after: Annotated[
            str, "expression: where the line is new, it comes behind the last one that matches", fits("re-text")
        ] = "",
        state: Literal["present", "absent"] = "present",
        create: Annotated[bool, "make the file where there is none"] = False,
        backup: _Backup = False,
        validate: _Validate = "",
        diff: _Diff = True,
    ) -> Operation:
        """Has a file have this line, or not: with `state: absent` all lines go that match, or are equal to it."""
        if "\n" in line or "\r" in line:
            raise Failed("line is one line; use file:Copy or file:Template for more")
        if state == "absent" and not (line or match):
            raise Failed("expected the line, or an expression in match")
        present = state == "present"
        return Line(path, line, match, after, present, create, backup=backup, validate=validate, diff=diff)

    @operation_step(Changed)
    def Link(
        self, ctx: Context, path: AbsolutePath, target: Annotated[str, "what it points to", fits("re-path")]
    ) -> Operation:
        """Makes a symbolic link. One that points elsewhere is replaced at once; a file or a directory is not."""
        return Link(path, target)

    @operation_step(Changed)
    def Directory(self, ctx: Context, path: AbsolutePath, mode: Mode | None = None, owner: OwnerName = "") -> Operation:
        """Makes a directory, with those above it. Owner and permissions are those of the last one."""
        return Directory(path, mode or "", owner)

    @operation_step(Changed)
    def Remove(self, ctx: Context, path: AbsolutePath, recursive: _Recursive = False) -> Operation:
        """Removes a file, a link, or with `recursive` a directory. What a host needs (`/`, `/etc`, `/var`, …) stays."""
        return Remove(path, recursive)

    @operation_step(Changed)
    def Permissions(
        self,
        ctx: Context,
        path: AbsolutePath,
        mode: Mode,
        recursive: _Recursive = False,
        directory_mode: Annotated[Mode | None, "of directories, where they shall have others than files"] = None,
    ) -> Operation:
        """Sets permissions. Links are not followed."""
        return Attributes(path, mode, "", recursive, directory_mode or "")

    @operation_step(Changed)
    def Ownership(
        self, ctx: Context, path: AbsolutePath, user: str = "", group: str = "", recursive: _Recursive = False
    ) -> Operation:
        """Sets owner and group, by name or number. Links are not followed."""
        return _ownership(path, user, group, recursive)

    @only_looks
    @step(recorded=True, idempotent=True)
    def Find(
        self,
        ctx: Context,
        path: AbsolutePath,
        name: Annotated[str, "pattern of the shell", fits("re-text")] = "*",
        type: Literal["file", "directory", "link"] | None = None,
        depth: Annotated[int, at_least(1), at_most(100)] | None = None,
    ) -> Paths:
        """Finds files by name below a directory; links are not followed."""
        kind = {"file": "f", "directory": "d", "link": "l"}[type] if type else ""
        ran = ctx.host.run(FIND_PATHS, path, name, kind, f"{depth or ''}", quiet=True)
        paths = ran.out.splitlines()
        return {"paths": paths[:MOST_FOUND], "more": len(paths) > MOST_FOUND}

    @only_looks
    @step(recorded=True, idempotent=True)
    def Fetch(
        self,
        ctx: Context,
        path: AbsolutePath,
        most: Annotated[int, "bytes; a larger file fails the step", at_least(1), at_most(128 * 1024)] = 64 * 1024,
    ) -> Fetched:
        """Returns a file of the host as data: its text, or base64 of what is no text."""
        ran = ctx.host.run(_FETCH, path, f"{most}", quiet=True)
        content = base64.b64decode("".join(ran.out.split()))
        try:
            return {"size": len(content), "text": content.decode(), "base64": ""}
        except UnicodeDecodeError:
            return {"size": len(content), "text": "", "base64": base64.b64encode(content).decode()}


class FileOperations(HostWorker):
    """Steps of 2014 under their old names; new playbooks use `file:…`."""

    command = "fileops"

    @operation_step(Changed)
    def ChangeOwnership(
        self, ctx: Context, path: AbsolutePath, user: str = "", group: str = "", recursive: _Recursive = False
    ) -> Operation:
        """As `file:Ownership`."""
        return _ownership(path, user, group, recursive)

    @operation_step(Changed)
    def ChangePermissions(
        self, ctx: Context, path: AbsolutePath, mode: Mode, recursive: _Recursive = False
    ) -> Operation:
        """As `file:Permissions`."""
        return Attributes(path, mode, "", recursive)

    @only_looks
    @step(recorded=True, idempotent=True)
    def FindInFiles(self, ctx: Context, path: AbsolutePath, regexp: _Regexp, case_insensitive: bool = False) -> Matches:
        """Finds lines of text files below a directory. Completes also where there are none."""
        ran = ctx.host.run(FIND_TEXT, path, regexp, "-i" if case_insensitive else "", quiet=True)
        return matches_of(ran.out)


#: `$1` path, `$2` bytes at most
_FETCH = r"""
[ -f "$1" ] || { echo "there is no file $1"; exit 1; }
[ "$(($(wc -c <"$1")))" -le "$2" ] || { echo "$1 has more than $2 bytes"; exit 1; }
base64 <"$1"
"""


def _ownership(path: str, user: str, group: str, recursive: bool) -> Operation:
    if not (user or group):
        raise Failed("expected user or group")
    if ":" in user + group:
        raise Failed("user and group have no `:`")
    return Attributes(path, "", f"{user}:{group}" if group else user, recursive)


def _text(source: Source) -> str:
    if source.content is None:
        raise Failed(f"{source.words} has {source.size} bytes; a template has {MOST_CONTENT} at most")
    try:
        return source.content.decode()
    except UnicodeDecodeError as error:
        raise Failed(f"{source.words} is no template: byte {error.start} is not UTF-8") from None


def _bytes(content: str, b64encoded: bool) -> bytes:
    if not b64encoded:
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise Failed(f"the content is no base64: {error}") from None
