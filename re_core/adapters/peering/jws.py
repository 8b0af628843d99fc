"""Signatures over messages: JWS, RS256 only (docs/cdpm.md, "The envelope"). Must not know messages, nor whose key is whose.

The form is checked here, strictly, before any library sees it, and the algorithm before any key is looked at: the header of a
message never chooses how it is verified, nor with which key. joserfc computes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from re_core.cdpm import public_key
from re_core.cdpm.messages import MAX_PAYLOAD
from re_core.cdpm.reading import URL
from re_core.errors import BadDocument, BadMessage
from re_core.ports.peering import Claims, KeyPair, PeerRefused, Unverified
from re_core.wire import strict_json

#: the only algorithm, and the type of every message
ALGORITHM, TYPE = "RS256", "cdpm"

#: bytes of a protected header, and of a signature by the largest key
MAX_HEADER, MAX_SIGNATURE = 4096, public_key.MOST_BITS // 8

#: characters of a whole message
MAX_COMPACT = 72 * 1024

#: bits of a key that is made here
NEW_BITS = 3072

#: characters of an id
MAX_ID = 128

#: parameters that would bring a key along, change what is signed, or demand what this version does not know
_FORBIDDEN = ("jwk", "jku", "x5c", "x5u", "b64", "crit", "zip", "enc")

#: keys of each half that are kept ready: a private one is checked when it is loaded, for a tenth of a second
_READY = 256

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class JoseSignatures:
    """See ports.peering.Signatures."""

    def __init__(self) -> None:
        self._registry = jws.JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)
        for name, size in (("header", MAX_HEADER), ("payload", MAX_PAYLOAD), ("signature", MAX_SIGNATURE)):
            setattr(self._registry, f"max_{name}_length", _encoded_length(size))

    def sign(self, payload: bytes, claims: Claims, private: bytes) -> str:
        """See ports.peering.Signatures."""
        key, kid = _private_key(private)
        answered = {"irt": claims.irt} if claims.irt else {}
        header = {
            "alg": ALGORITHM,
            "typ": TYPE,
            "iss": claims.iss,
            "aud": claims.aud,
            "iat": claims.iat / 1000,
            "jti": claims.jti,
            "kid": kid,
            **answered,
        }
        try:
            compact = jws.serialize_compact(header, payload, key, registry=self._registry)
            self.read(compact)
        except (JoseError, PeerRefused) as error:
            raise ValueError(f"this message cannot be signed: {error}") from None
        return compact

    def read(self, compact: str) -> Unverified:
        """See ports.peering.Signatures."""
        if len(compact) > MAX_COMPACT:
            raise PeerRefused("too-large", f"{len(compact)} characters; a message has at most {MAX_COMPACT}")
        parts = compact.split(".")
        if len(parts) != 3 or not compact[0].isalnum():
            raise PeerRefused("unsigned", "the message is not signed: expected a JWS, header.payload.signature")
        header = _header(_decoded(parts[0], "header", MAX_HEADER))
        _check_algorithm(header)
        if not parts[2]:
            raise PeerRefused("unsigned", "the message is not signed: its signature is empty")
        payload = _decoded(parts[1], "payload", MAX_PAYLOAD)
        _decoded(parts[2], "signature", MAX_SIGNATURE)
        return Unverified(_claims(header), payload, compact)

    def detached(self, header: str, body: bytes) -> Unverified:
        """See ports.peering.Signatures."""
        if not header:
            raise PeerRefused("unsigned", "the message is not signed: the header CDPM-Signature is missing")
        protected, dots, signature = header.partition("..")
        if not dots or "." in protected or "." in signature:
            raise PeerRefused("unsigned", "the header CDPM-Signature: expected <protected>..<signature>")
        if len(body) > MAX_PAYLOAD:
            raise PeerRefused("too-large", f"{len(body)} bytes; a message has at most {MAX_PAYLOAD}")
        return self.read(f"{protected}.{_encode(body)}.{signature}")

    def detach(self, compact: str) -> str:
        """See ports.peering.Signatures."""
        protected, _, signature = compact.split(".")
        return f"{protected}..{signature}"

    def verify(self, unverified: Unverified, public: str) -> None:
        """See ports.peering.Signatures."""
        try:
            key = _public_key(public)
        except BadDocument as error:
            raise PeerRefused("weak-key", f"the public key of {unverified.claims.iss}: {error}") from None
        try:
            jws.deserialize_compact(unverified.compact, key, registry=self._registry)
        except JoseError:
            said = f" (it names the key {unverified.claims.kid})" if unverified.claims.kid else ""
            raise PeerRefused(
                "bad-signature",
                f"the signature does not fit the key in {unverified.claims.iss}, {public_key.read(public).kid}{said}",
            ) from None


def new_key() -> KeyPair:
    """An RSA key of NEW_BITS. Takes a tenth of a second, and now and then a whole one."""
    pair = rsa.generate_private_key(public_key.LEAST_EXPONENT, NEW_BITS)
    der = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(private, base64.b64encode(der).decode(), public_key.kid_of(der))


@lru_cache(_READY)
def _private_key(private: bytes) -> tuple[RSAKey, str]:
    key = RSAKey.import_key(private)
    return key, public_key.kid_of(key.as_der(private=False))


@lru_cache(_READY)
def _public_key(public: str) -> RSAKey:
    """Raises BadDocument for a key that may not verify."""
    return RSAKey.import_key(base64.b64decode(public_key.read(public).text))


def _header(data: bytes) -> Mapping[str, Any]:
    """Duplicate keys and the like are refused: the library and this check read one header."""
    try:
        header = strict_json.loads(data)
    except BadMessage as error:
        raise PeerRefused("bad-message", f"the protected header: {error}") from None
    if not isinstance(header, dict):
        raise PeerRefused("bad-message", "the protected header: expected an object")
    return header


def _check_algorithm(header: Mapping[str, Any]) -> None:
    algorithm = header.get("alg")
    if algorithm != ALGORITHM:
        raise PeerRefused("bad-alg", f"alg {str(algorithm)[:40]!r}: messages are signed with {ALGORITHM}, nothing else")
    for name in _FORBIDDEN:
        if name in header:
            raise PeerRefused("bad-message", f"the protected header must not have {name}: the key is that of cdpm.yml")
    if header.get("typ") != TYPE:
        raise PeerRefused("bad-message", f"typ {str(header.get('typ'))[:40]!r}, expected {TYPE!r}")


def _claims(header: Mapping[str, Any]) -> Claims:
    iat = header.get("iat")
    if not isinstance(iat, int | float) or isinstance(iat, bool) or not 0 <= iat < 10**11:
        raise PeerRefused("bad-message", "iat: expected seconds since 1970, with or without a fraction")
    iss, aud = _word(header, "iss", URL), _word(header, "aud", URL)
    optional = [_word(header, name, MAX_ID) if name in header else "" for name in ("irt", "kid")]
    return Claims(iss, aud, round(iat * 1000), _word(header, "jti", MAX_ID), *optional)


def _word(header: Mapping[str, Any], name: str, most: int) -> str:
    value = header.get(name)
    if not isinstance(value, str) or len(value) > most or not _PRINTABLE.fullmatch(value):
        raise PeerRefused(
            "bad-message", f"the protected header: {name}: expected 1 to {most} printable ASCII characters"
        )
    return value


def _decoded(text: str, what: str, most: int) -> bytes:
    """Canonical base64url without padding: there is one spelling of every message."""
    if len(text) > _encoded_length(most):
        raise PeerRefused("too-large", f"the {what} has more than {most} bytes")
    if _BASE64URL.fullmatch(text) is None or len(text) % 4 == 1:
        raise PeerRefused("bad-message", f"the {what} is not base64url without padding")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:
        raise PeerRefused("bad-message", f"the {what} is not canonical base64url")
    return data


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encoded_length(size: int) -> int:
    return (size * 4 + 2) // 3
