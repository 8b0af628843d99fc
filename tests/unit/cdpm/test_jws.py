"""Signatures: what is accepted, and every way in which a message can claim one that it does not have."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from re_core.adapters.peering.jws import JoseSignatures, new_key
from re_core.cdpm.messages import Deployable, KeyRotated, NewRelease, Project, emit, parse
from re_core.ports.peering import REFUSALS, Claims, KeyPair, PeerRefused, Unverified

_ME, _YOU = "https://git.example/fog/cdpm.yml", "https://git.example/rails/cdpm.yml"
CLAIMS = Claims(_ME, _YOU, 1_764_288_000_123, "7f1c1f8e-0000-4000-8000-000000000001")
PAYLOAD = emit(KeyRotated(_ME))

SIGNATURES = JoseSignatures()


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return new_key()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(pair: KeyPair, header: dict[str, Any] | bytes, payload: bytes = PAYLOAD) -> str:
    """By hand, with any header."""
    key = load_der_private_key(pair.private, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signed = f"{_b64(raw)}.{_b64(payload)}"
    return f"{signed}.{_b64(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def _header(**changes: Any) -> dict[str, Any]:
    header = {"alg": "RS256", "typ": "cdpm", "iss": _ME, "aud": _YOU, "iat": 1764288000.123, "jti": "j", **changes}
    return {name: value for name, value in header.items() if value is not ...}


def _refusal(compact: str, public: str | None = None) -> PeerRefused:
    with pytest.raises(PeerRefused) as refused:
        unverified = SIGNATURES.read(compact)
        assert public is not None
        SIGNATURES.verify(unverified, public)
    assert refused.value.code in REFUSALS
    return refused.value


def test_what_is_signed_is_read_and_verified(pair: KeyPair) -> None:
    compact = SIGNATURES.sign(PAYLOAD, CLAIMS, pair.private)
    unverified = SIGNATURES.read(compact)
    assert unverified == Unverified(CLAIMS._replace(kid=pair.kid), PAYLOAD, compact)
    SIGNATURES.verify(unverified, pair.public)


def test_an_answer_says_what_it_answers(pair: KeyPair) -> None:
    compact = SIGNATURES.sign(PAYLOAD, CLAIMS._replace(irt="j0"), pair.private)
    assert SIGNATURES.read(compact).claims == CLAIMS._replace(irt="j0", kid=pair.kid)


def test_the_header_is_written_as_the_documentation_says(pair: KeyPair) -> None:
    protected = SIGNATURES.sign(PAYLOAD, CLAIMS, pair.private).partition(".")[0]
    header = json.loads(base64.urlsafe_b64decode(protected + "=="))
    assert header == _header(jti=CLAIMS.jti, kid=pair.kid)
    der = base64.b64decode(pair.public)
    assert pair.kid == hashlib.sha256(der).hexdigest()[:16]


def test_a_message_that_was_signed_by_hand_is_verified(pair: KeyPair) -> None:
    unverified = SIGNATURES.read(_signed(pair, _header(iat=1764288000, more={"unknown": 1})))
    SIGNATURES.verify(unverified, pair.public)
    assert unverified.claims == Claims(_ME, _YOU, 1_764_288_000_000, "j")


def test_beside_a_body_the_signature_is_over_the_very_bytes(pair: KeyPair) -> None:
    body = b'{ "message_type" : "key_rotated",\n "url": "u" }'
    header = SIGNATURES.detach(SIGNATURES.sign(body, CLAIMS, pair.private))
    unverified = SIGNATURES.detached(header, body)
    SIGNATURES.verify(unverified, pair.public)
    assert (unverified.payload, parse(unverified.payload)) == (body, KeyRotated("u"))
    with pytest.raises(PeerRefused, match="does not fit"):
        SIGNATURES.verify(SIGNATURES.detached(header, body.replace(b" ", b"")), pair.public)


def test_another_key_is_refused_and_both_are_named(pair: KeyPair) -> None:
    other = new_key()
    refused = _refusal(SIGNATURES.sign(PAYLOAD, CLAIMS, other.private), pair.public)
    assert refused.code == "bad-signature"
    assert all(word in refused.detail for word in (_ME, pair.kid, other.kid))


def test_a_key_that_claims_the_name_of_another_is_refused(pair: KeyPair) -> None:
    compact = _signed(new_key(), _header(kid=pair.kid))
    assert _refusal(compact, pair.public).code == "bad-signature"


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "nOnE", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256", "", None, 1, ["RS256"], ...],
)
def test_another_algorithm_is_refused_before_any_key_is_looked_at(pair: KeyPair, algorithm: object) -> None:
    refused = _refusal(_signed(pair, _header(alg=algorithm)))
    assert (refused.code, "signed with RS256, nothing else" in refused.detail) == ("bad-alg", True)


def test_alg_none_without_a_signature_is_refused() -> None:
    assert _refusal(f"{_b64(json.dumps(_header(alg='none')).encode())}.{_b64(PAYLOAD)}.").code == "bad-alg"


@pytest.mark.parametrize(
    "form",
    [
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.PEM, PublicFormat.PKCS1),
    ],
)
@pytest.mark.parametrize("said", ["HS256", "RS256"])
def test_the_public_key_as_a_shared_secret_signs_nothing(
    pair: KeyPair, form: tuple[Encoding, PublicFormat], said: str
) -> None:
    private = load_der_private_key(pair.private, None)
    assert isinstance(private, rsa.RSAPrivateKey)
    secret = private.public_key().public_bytes(*form)
    signed = f"{_b64(json.dumps(_header(alg=said)).encode())}.{_b64(PAYLOAD)}"
    compact = f"{signed}.{_b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
    assert _refusal(compact, pair.public).code == ("bad-alg" if said == "HS256" else "bad-signature")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5c", "x5u", "b64", "crit", "zip"])
def test_a_header_that_brings_a_key_or_changes_the_rules_is_refused(pair: KeyPair, name: str) -> None:
    refused = _refusal(_signed(pair, _header(**{name: ["exp"] if name == "crit" else True})), pair.public)
    assert refused.code == "bad-message"
    assert f"must not have {name}" in refused.detail


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"typ": "JWT"}, "typ 'JWT', expected 'cdpm'"),
        ({"typ": ...}, "typ 'None'"),
        ({"iat": ...}, "iat"),
        ({"iat": True}, "iat"),
        ({"iat": "1764288000"}, "iat"),
        ({"iat": -1}, "iat"),
        ({"iat": 10**11}, "iat"),
        ({"jti": ...}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 129}, "jti"),
        ({"jti": "a b"}, "jti"),
        ({"iss": ["a"]}, "iss"),
        ({"iss": "\u00e4"}, "iss"),
        ({"aud": [_YOU]}, "aud"),
        ({"aud": _YOU + "\n"}, "aud"),
        ({"irt": None}, "irt"),
        ({"kid": 7}, "kid"),
    ],
)
def test_a_header_of_another_form_is_refused(pair: KeyPair, changes: dict[str, Any], said: str) -> None:
    refused = _refusal(_signed(pair, _header(**changes)))
    assert (refused.code, said in refused.detail) == ("bad-message", True)


def test_a_header_that_two_readers_read_differently_is_refused(pair: KeyPair) -> None:
    twice = json.dumps(_header())[:-1] + ', "iss": "https://git.example/evil/cdpm.yml"}'
    assert "occurs twice" in _refusal(_signed(pair, twice.encode())).detail
    assert _refusal(_signed(pair, b"[1]")).code == "bad-message"
    assert _refusal(_signed(pair, b'{"iat": NaN}')).code == "bad-message"


def test_a_part_that_was_changed_is_refused(pair: KeyPair) -> None:
    protected, _, signature = _signed(pair, _header()).split(".")
    compact = f"{protected}.{_b64(emit(KeyRotated(_YOU)))}.{signature}"
    assert _refusal(compact, pair.public).code == "bad-signature"
    other = _b64(json.dumps(_header(aud="https://git.example/other/cdpm.yml")).encode())
    assert _refusal(f"{other}.{_b64(PAYLOAD)}.{signature}", pair.public).code == "bad-signature"


def test_there_is_one_spelling_of_a_message(pair: KeyPair) -> None:
    compact = _signed(pair, _header(), b'{"a":1}!')
    protected, payload, signature = compact.split(".")
    assert len(payload) % 4 == 3
    same = payload[:-1] + chr(ord(payload[-1]) + 1)  # other bits at the end that no byte holds
    assert base64.urlsafe_b64decode(same + "=") == base64.urlsafe_b64decode(payload + "=")
    for spelled in (same, payload + "=", payload[:-1] + " " + payload[-1], payload + "\n", payload + "+"):
        assert _refusal(f"{protected}.{spelled}.{signature}").code == "bad-message"


@pytest.mark.parametrize(
    ("compact", "code"),
    [
        ("", "unsigned"),
        (PAYLOAD.decode(), "unsigned"),
        ("a.b", "unsigned"),
        ("a.b.c.d.e", "unsigned"),
        ("..", "unsigned"),
        ("e30.e30.", "bad-alg"),
        ("." * (10 * 1024 * 1024), "too-large"),
        ("a" * 6000 + ".e30.e30", "too-large"),
        ("\u00e4.e30.e30", "bad-message"),
    ],
)
def test_what_is_no_signed_message_is_refused(compact: str, code: str) -> None:
    assert _refusal(compact).code == code


def test_an_empty_signature_is_none(pair: KeyPair) -> None:
    assert _refusal(_signed(pair, _header()).rpartition(".")[0] + ".").code == "unsigned"


@pytest.mark.parametrize("header", ["", "abc", "a..b..c", "a.b.c", "..", "a.b"])
def test_a_signature_header_of_another_form_is_refused(header: str) -> None:
    with pytest.raises(PeerRefused) as refused:
        SIGNATURES.detached(header, PAYLOAD)
    assert refused.value.code in ("unsigned", "bad-message", "bad-alg")


def test_a_body_of_ten_megabytes_is_refused_by_its_size(pair: KeyPair) -> None:
    header = SIGNATURES.detach(_signed(pair, _header()))
    with pytest.raises(PeerRefused, match="10485760 bytes; a message has at most 49152") as refused:
        SIGNATURES.detached(header, b"x" * (10 * 1024 * 1024))
    assert refused.value.code == "too-large"


def test_the_longest_message_is_signed_and_a_longer_one_is_not(pair: KeyPair) -> None:
    chain = tuple(f"https://git.example/{'x' * 800}#{number}" for number in range(57))
    long = emit(NewRelease(1, "r", "c", Project(None, "p"), Deployable(1, "success", "r", "c"), chain=chain))
    assert 47_000 < len(long) <= 49_152
    unverified = SIGNATURES.read(SIGNATURES.sign(long, CLAIMS, pair.private))
    SIGNATURES.verify(unverified, pair.public)
    with pytest.raises(ValueError, match="cannot be signed"):
        SIGNATURES.sign(b"x" * 49_153, CLAIMS, pair.private)
    with pytest.raises(ValueError, match="iss"):
        SIGNATURES.sign(PAYLOAD, CLAIMS._replace(iss=""), pair.private)


def test_a_weak_key_verifies_nothing() -> None:
    small = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - that is the point
    public = base64.b64encode(small.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    refused = _refusal(SIGNATURES.sign(PAYLOAD, CLAIMS, new_key().private), public)
    assert (refused.code, "1024 bits, expected at least 2048" in refused.detail) == ("weak-key", True)
