"""Cargo: the built files of an app as one tar.gz, what is put before them for a version, and how it is unpacked.

A payload is a tar.gz of `app/…`, the same bytes for the same files. The cargo of a version is composed when it is served:
release.json as the first member, then those of the payload, in one gzip member.
"""

from re_dploy.cargo.composing import ABOUT, BadCargo, compose, head
from re_dploy.cargo.packing import FILES, Packed, pack
from re_dploy.cargo.unpacking import unpack, unpack_source

__all__ = ["ABOUT", "FILES", "BadCargo", "Packed", "compose", "head", "pack", "unpack", "unpack_source"]
