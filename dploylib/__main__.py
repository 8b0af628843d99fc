"""`dploylib keys`: makes keys for encrypted connections. Must not know services."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_HELP = """Make a pair of CURVE keys: NAME.key, which is public, and NAME.key_secret, which only its owner may read.

Files that exist are never replaced. The public key is printed: it goes into the configuration of the other side."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; exit code 0, or 2 where nothing was made."""
    parser = argparse.ArgumentParser("dploylib", description="The command of dploylib, services out of ZeroMQ sockets.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keys = commands.add_parser("keys", description=_HELP, help="make a pair of CURVE keys")
    keys.add_argument("name", metavar="NAME", help="of the files, without ending")
    keys.add_argument("--directory", type=Path, default=Path(), help="where they are written (default: here)")
    given = parser.parse_args(arguments)
    return _make_keys(given.name, given.directory)


def _make_keys(name: str, directory: Path) -> int:
    try:
        from dploylib.transport import curve
    except ModuleNotFoundError as error:
        return _refuse(f"{error}: pip install 'release-engine[dploy]'")
    if not name or name != Path(name).name:
        return _refuse(f"{name!r} is no name of a file; --directory says where it is written")
    try:
        pair = curve.new_keys()
        public, secret = curve.write(pair, directory, name)
    except OSError as error:
        return _refuse(f"nothing made: {error.strerror}: {error.filename}")
    print(pair.public)
    print(f"written: {public}, {secret}", file=sys.stderr)
    return 0


def _refuse(reason: str) -> int:
    print(f"dploylib: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
