"""A message that only its receiver can read: closed for a key that was made for it alone. Pure; must not know what it says.

X25519 with a new key on either side, HKDF-SHA256, ChaCha20-Poly1305. The keys are used once, so the nonce may be constant. What
the box is about (the attempt, the claim) goes into the key: a box that was meant for another one does not open. Needs the
extra `secrets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from re_core.errors import BadMessage

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

#: bytes of a public key, which also begin a box
KEY_BYTES = 32

_NONCE = bytes(12)
_INFO = b"release-engine sealed box 1\0"


class BoxKey:
    """The receiver's key, for one box. It is never stored."""

    def __init__(self) -> None:
        """Raises ImportError without the extra."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = X25519PrivateKey.generate()
        self.public: bytes = self._private.public_key().public_bytes_raw()

    def open(self, box: bytes, about: bytes) -> bytes:
        """What is in it. Raises BadMessage for one that was not closed for this key, or is about something else."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            sender = X25519PublicKey.from_public_bytes(box[:KEY_BYTES])
            return _cipher(self._private, sender, box[:KEY_BYTES] + self.public, about, box[KEY_BYTES:], closes=False)
        except (InvalidTag, ValueError):
            raise BadMessage("the answer was not closed for this request") from None


def close(public: bytes, plain: bytes, about: bytes) -> bytes:
    """The box for that key. Raises BadMessage for bytes that are no key, ImportError without the extra."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    mine = X25519PrivateKey.generate()
    begin = mine.public_key().public_bytes_raw()
    try:
        receiver = X25519PublicKey.from_public_bytes(public)
        return begin + _cipher(mine, receiver, begin + public, about, plain, closes=True)
    except ValueError:  # also of a key with which every secret would be the same
        raise BadMessage(f"expected a public key of {KEY_BYTES} bytes", "/key") from None


def _cipher(
    mine: X25519PrivateKey, other: X25519PublicKey, salt: bytes, about: bytes, text: bytes, closes: bool
) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(SHA256(), 32, salt, _INFO + about).derive(mine.exchange(other))
    cipher = ChaCha20Poly1305(key)
    return cipher.encrypt(_NONCE, text, None) if closes else cipher.decrypt(_NONCE, text, None)
