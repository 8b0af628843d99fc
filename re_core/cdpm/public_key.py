"""Public keys as cdpm.yml has them: what is wrong with one, its size and its name. Pure: no library of cryptography.

So a client checks a file without any, and an error names what stands there. A verifier builds its key from the
same text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from re_core.errors import BadDocument

#: bits of an RSA key (RFC 7518, 3.3: 2048 or more), and its smallest public exponent
LEAST_BITS, MOST_BITS, LEAST_EXPONENT = 2048, 8192, 65537

#: characters of the base64 of the largest key
MAX_TEXT = 4096

#: identifier of RSA keys in DER: 1.2.840.113549.1.1.1
_RSA = bytes.fromhex("06092a864886f70d010101")

_SEQUENCE, _BITS, _INTEGER = 0x30, 0x03, 0x02


class PublicKey(NamedTuple):
    """An RSA key that may verify."""

    #: base64 of the DER (SubjectPublicKeyInfo), without blanks
    text: str
    #: the first 16 hexadecimal digits of SHA-256 of the DER
    kid: str
    bits: int


class _NotDer(Exception):
    """The bytes are not the DER that was expected."""


def read(text: str) -> PublicKey:
    """The key. Raises BadDocument, which says what stands there instead and what to do."""
    if "PRIVATE KEY" in text:
        raise BadDocument("this is a PRIVATE key; it must never be in this file: make a new pair, and remove this one")
    bare = "".join(re.sub("-----(BEGIN|END) PUBLIC KEY-----", "", text).split())
    if not bare or len(bare) > MAX_TEXT:
        raise BadDocument(f"expected base64 of an RSA key, found {len(bare)} characters; a key has 1 to {MAX_TEXT}")
    try:
        data = base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadDocument(f"the key is not base64 ({error}, {len(bare)} characters): copy it as a whole") from None
    return PublicKey(base64.b64encode(data).decode(), kid_of(data), _bits(data))


def kid_of(der: bytes) -> str:
    """The name of a key."""
    return hashlib.sha256(der).hexdigest()[:16]


def _bits(der: bytes) -> int:
    modulus, exponent = _numbers(der)
    bits = modulus.bit_length()
    if bits < LEAST_BITS:
        raise BadDocument(
            f"the key has {bits} bits, expected at least {LEAST_BITS}: make a new one with rectl cdpm init"
        )
    if bits > MOST_BITS:
        raise BadDocument(f"the key has {bits} bits, expected at most {MOST_BITS}")
    if exponent < LEAST_EXPONENT or not exponent % 2 or exponent >= 2**32 or not modulus % 2:
        raise BadDocument(f"the key has the exponent {str(exponent)[:20]}, expected {LEAST_EXPONENT}")
    return bits


def _numbers(der: bytes) -> tuple[int, int]:
    """Modulus and exponent of a SubjectPublicKeyInfo (RFC 5280) that holds an RSA key (RFC 8017)."""
    try:
        info = _whole(der, _SEQUENCE)
        algorithm, rest = _first(info, _SEQUENCE)
        if algorithm[:1] == bytes([_INTEGER]):
            raise BadDocument("this is a private key, or not the key alone; it must never be in this file")
        if not algorithm.startswith(_RSA):
            raise BadDocument("the key is of another kind, expected RSA")
        bits = _whole(rest, _BITS)
        key = _whole(bits[1:], _SEQUENCE) if bits[:1] == b"\0" else b""
        modulus, rest = _first(key, _INTEGER)
        return int.from_bytes(modulus, "big"), int.from_bytes(_whole(rest, _INTEGER), "big")
    except _NotDer:
        pass
    if _is_private(der):
        raise BadDocument("this is a PRIVATE key; it must never be in this file: make a new pair, and remove this one")
    raise BadDocument("the key is base64, but not of a public key in DER (SubjectPublicKeyInfo)")


def _is_private(der: bytes) -> bool:
    """PKCS #1 and PKCS #8 both begin with a version."""
    try:
        version, _ = _first(_whole(der, _SEQUENCE), _INTEGER)
    except _NotDer:
        return False
    return version in (b"\0", b"\1")


def _first(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which must have this tag, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise _NotDer
    length, start = data[1], 2
    if length >= 0x80:
        start = 2 + (length & 0x7F)
        if not 3 <= start <= 5 or len(data) < start:
            raise _NotDer
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise _NotDer
    return data[start : start + length], data[start + length :]


def _whole(data: bytes, tag: int) -> bytes:
    content, rest = _first(data, tag)
    if rest:
        raise _NotDer
    return content
