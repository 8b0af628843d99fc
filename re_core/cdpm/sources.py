"""URLs of cdpm.yml files: which kinds the settings allow, and where the bytes are. Pure; must not know files or sockets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

#: kinds of URLs that need no directory
PLAIN = ("https", "http", "git+https")
#: kinds of URLs that are allowed below directories only
LOCAL = ("file", "git+file")

#: kinds of URLs of archives, beside `file`
ARCHIVES = ("https", "http")

#: what is allowed where the settings say nothing
DEFAULT = ("https",)

#: branches and tags: a part of what git allows, and nothing that an option or a path could be
_REF = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._+/-]{0,198}[A-Za-z0-9_+-])?")
_NO_REF = re.compile(r"\.\.|//|/\.|\./|\.lock(/|$)")
_PART = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+ -]{0,198}|\.[A-Za-z0-9_+][A-Za-z0-9._+ -]{0,197}")

#: pages of GitHub, GitLab, and Gitea and Forgejo that show a file
_GITHUB = re.compile(r"https?://(?:www\.)?github\.com/([^/?#]+)/([^/?#]+)/(?:blob|raw)/([^?#]+)", re.IGNORECASE)
_GITLAB = re.compile(r"(https?://[^/?#]+/[^?#]+/-)/blob/([^?#]+)")
_GITEA = re.compile(r"(https?://[^/?#]+/[^/?#]+/[^/?#]+)/src/((?:branch|tag|commit)/[^?#]+)")


class Allowed(NamedTuple):
    """What `cdpm_sources` allows."""

    #: of PLAIN
    kinds: frozenset[str]
    #: kind of LOCAL -> directories
    below: tuple[tuple[str, str], ...] = ()

    def why_not(self, url: str) -> str:
        """Why nothing is read from this URL; empty where it may be."""
        kind = urlsplit(url).scheme.lower()
        if kind in LOCAL:
            if any(one == kind for one, _ in self.below):
                return ""  # below which of the directories is found out where links are followed
            return f"{kind}: is not allowed; RE_CDPM_SOURCES may name a directory, {kind}:/srv/cdpm/"
        if kind not in PLAIN:
            return f"{kind[:20] or 'nothing'}: is no kind of source; expected {', '.join((*PLAIN, *LOCAL))}"
        return "" if kind in self.kinds else f"{kind}: is not allowed; RE_CDPM_SOURCES may name it"


class GitPlace(NamedTuple):
    """One file in a repository."""

    #: as git takes it: https://… or the path of a directory
    repository: str
    #: branch or tag
    ref: str
    path: str


def allowed(words: Iterable[str], plain: Sequence[str] = PLAIN, local: Sequence[str] = LOCAL) -> Allowed:
    """Of the words of a setting: of kinds in `plain`, and of kinds in `local` with a directory. Raises ValueError for any other."""
    kinds: set[str] = set()
    below: list[tuple[str, str]] = []
    for word in words:
        kind, _, directory = word.partition(":")
        if kind in plain and not directory:
            kinds.add(kind)
        elif kind in local and directory.startswith("/"):
            below.append((kind, "/" + directory.strip("/")))
        else:
            raise ValueError(
                f"expected {', '.join((*plain, *(f'{one}:/directory/' for one in local[:-1])))} or {local[-1]}:/directory/, "
                f"found {word[:80]!r}"
            )
    return Allowed(frozenset(kinds), tuple(below))


def raw_url(url: str) -> str:
    """Where the bytes are of a file that a page of a forge shows; any other URL as it is."""
    if found := _GITHUB.fullmatch(url):
        return f"https://raw.githubusercontent.com/{found[1]}/{found[2]}/{found[3]}"
    if found := _GITLAB.fullmatch(url):
        return f"{found[1]}/raw/{found[2]}"
    if found := _GITEA.fullmatch(url):
        return f"{found[1]}/raw/{found[2]}"
    return url


def local_path(url: str) -> str:
    """The absolute path of a `file:` URL. Raises ValueError."""
    parts = urlsplit(url)
    path = unquote(parts.path, errors="strict")
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.startswith("/"):
        raise ValueError("expected file:///directory/cdpm.yml, without a host, ? and #")
    if "\0" in path or ".." in path.split("/"):
        raise ValueError("expected a path without .. and NUL")
    return path


def git_place(url: str) -> GitPlace:
    """Of `git+https://host/repository.git?ref=v1.8.1&path=cdpm.yml`, or `git+file:///…`. Raises ValueError."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    ref, path = asked.pop("ref", ""), asked.pop("path", "cdpm.yml")
    if asked or parts.fragment:
        raise ValueError("expected ?ref=<branch or tag>&path=<file>, and nothing else behind the repository")
    if _REF.fullmatch(ref) is None or _NO_REF.search(ref):
        raise ValueError(f"expected a branch or a tag in ref=, found {ref[:80]!r}")
    if len(path) > 1000 or not all(map(_is_part, path.split("/"))):
        raise ValueError(f"expected the path of a file in path=, found {path[:80]!r}")
    if parts.scheme == "git+file":
        return GitPlace(local_path(f"file://{parts.netloc}{parts.path}"), ref, path)
    if not parts.hostname or "@" in parts.netloc:
        raise ValueError("expected git+https://host/repository.git, without user and password")
    return GitPlace(f"https://{parts.netloc}{parts.path}", ref, path)


def _is_part(part: str) -> bool:
    return _PART.fullmatch(part) is not None and part.lower() != ".git"
