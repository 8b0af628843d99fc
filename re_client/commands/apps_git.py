"""`rectl apps git-hook …`: let `git push` release an app."""

from __future__ import annotations

from pathlib import Path

import click

from re_client import discovery, git_hook
from re_client.errors import BadInput
from re_client.git_hook import Hook
from re_client.session import Session, pass_session
from re_client.text import safe


@click.group("git-hook", short_help="Let git push release an app.")
def git_hook_() -> None:
    """Let `git push` release an app: a hook in the repository that is pushed to."""


@git_hook_.command(short_help="Install the hook.")
@click.argument("repository", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--app", required=True, metavar="APP", help="The app that the repository is.")
@click.option("--branch", default="master", show_default=True, metavar="NAME", help="The branch that is released.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="A file with the token, which its owner alone can read.  [default: a copy of the token of rectl, in the repository]",
)
@pass_session
def install(session: Session, repository: Path, app: str, branch: str, token_file: Path | None) -> None:
    """Install a post-receive hook into REPOSITORY, which may be bare. A hook that is there and is another one stays.

    Who may push to the branch can then release the app, with the rights of the token.

    \b
    git init --bare /srv/shop.git
    rectl apps git-hook install /srv/shop.git --app shop
    """
    url, token = discovery.find(session.settings)
    found = session.client.apps.one(app)
    file = "" if token_file is None else str(token_file.resolve())
    place = git_hook.install(repository, Hook(found["name"], _branch(branch), url, file), token)
    session.terminal.line(f"{safe(place)} releases {safe(found['name'])} from the branch {safe(branch)}")
    session.terminal.note(f"to release: git push {safe(repository.resolve())} {safe(branch)}")


def _branch(name: str) -> str:
    if name.startswith(("refs/", "-")) or not name or any(part in name for part in ("..", " ", "~", "^", ":")):
        raise BadInput(f"--branch: expected the name of a branch, such as master, found {name[:80]!r}")
    return name
