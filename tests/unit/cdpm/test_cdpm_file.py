"""cdpm.yml: what is read, and what is refused with line and column."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import re_schemas
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from re_core.cdpm import public_key
from re_core.cdpm.cdpm_file import CdpmFile, Dependent
from re_core.errors import BadDocument, Problem
from re_core.usecases.cdpm import files

_SEED = Path(re_schemas.__file__).parent / "examples" / "cdpm-file" / "seed.yml"

#: its key there
KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqGKukO1De7zhZj6+H0qtjTkVxwTCpvKe4eCZ0FPqri0cb2JZfXJDgYSF6vUpwmJG8wVQ"
    "ZKjeGcjDOL5UlsuusFncCzWBQ7RKNUSesmQRMSGkVb13j+skZ6UtW+5u09lHNsj6tQ51s1SPrCBkedbNf0Tp0GbMJDyR4e9T04ZZwIDAQAB"
)

#: the file of the founding document as it stands there
ORIGINAL = f"""Pipeline-node:

public-key: {KEY}

url: https://rails.ci

Dependencies:

Nokogiri-master:

url: https://github.com/sparklemotion/nokogiri/blob/master/cdpm.yml

Nokogiri-stable:

url: https://github.com/sparklemotion/nokogiri/blob/v1.8.1/cdpm.yml

Dependents:

hulu-master:

url: http://mysourcecontrol.com/hulu/blob/master/cdpm.yml
"""


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return _text(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture(scope="module")
def pair() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _problems(text: str) -> list[Problem]:
    with pytest.raises(BadDocument) as refused:
        files.parse(text.encode())
    return list(refused.value.problems)


def _file(pair: rsa.RSAPrivateKey, more: str = "", url: str = "https://rails.ci") -> str:
    return f"Pipeline-node:\n  public-key: {_public(pair)}\n  url: {url}\n{more}"


def test_a_file_is_read(pair: rsa.RSAPrivateKey) -> None:
    more = """Dependencies:
  nokogiri: {url: "https://git.example/nokogiri/cdpm.yml"}
Dependents:
  hulu: {url: "https://git.example/hulu/cdpm.yml"}
  toy: {url: "https://git.example/toy/cdpm.yml", major: false}
x-owner: team rails
"""
    read = files.parse(_file(pair, more, "https://rails.ci/engine/").encode())
    der = base64.b64decode(_public(pair))
    assert read == CdpmFile(
        public_key.PublicKey(_public(pair), public_key.kid_of(der), 2048),
        "https://rails.ci/engine",
        {"nokogiri": "https://git.example/nokogiri/cdpm.yml"},
        {
            "hulu": Dependent("https://git.example/hulu/cdpm.yml"),
            "toy": Dependent("https://git.example/toy/cdpm.yml", False),
        },
        ("x-owner",),
    )
    assert read.listed("https://git.example/toy/cdpm.yml") == Dependent("https://git.example/toy/cdpm.yml", False)
    assert read.listed("https://git.example/other/cdpm.yml") is None


def test_a_key_may_stand_in_pem_and_over_many_lines(pair: rsa.RSAPrivateKey) -> None:
    pem = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert public_key.read(pem).text == _public(pair)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_the_size_of_a_key_is_what_a_library_says(bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    read = public_key.read(_public(key))
    loaded = load_der_public_key(base64.b64decode(read.text))
    assert isinstance(loaded, rsa.RSAPublicKey) and (read.bits, loaded.key_size) == (bits, bits)


def test_the_original_of_the_founding_document_is_refused_for_its_indentation() -> None:
    assert [(one.line, one.message) for one in _problems(ORIGINAL)] == [
        (
            11,
            "the key 'url' occurs twice"
            + "; it belongs under Pipeline-node, or under a name in Dependencies or Dependents: indent it",
        )
    ]


def test_a_key_without_its_indentation_is_said_where_it_stands() -> None:
    found = {(one.path, one.line, one.column): one.message for one in _problems("Pipeline-node:\npublic-key: MIIB\n")}
    assert "indent it" in found["/public-key", 2, 1]
    assert "Pipeline-node" in str(found)


def test_the_corrected_file_of_the_founding_document_has_a_key_that_is_too_small() -> None:
    (problem,) = _problems(_SEED.read_text())
    assert (problem.path, problem.line, problem.column) == ("/Pipeline-node/public-key", 2, 3)
    assert problem.message.startswith("the key has 1024 bits, expected at least 2048")


def test_the_corrected_file_differs_from_the_original_only_by_its_mistakes() -> None:
    """Indentation, and the two / that its key has lost."""
    corrected = "".join(_SEED.read_text().split())
    assert corrected.replace("JZfXJ/DgY", "JZfXJDgY").replace("Vb1/3j", "Vb13j") == "".join(ORIGINAL.split())


def test_the_key_of_the_founding_document_is_not_base64() -> None:
    with pytest.raises(BadDocument, match=r"the key is not base64 \(Incorrect padding, 214 characters\)"):
        public_key.read(KEY)


def _private(form: PrivateFormat, encoding: Encoding, pair: rsa.RSAPrivateKey) -> bytes:
    return pair.private_bytes(encoding, form, NoEncryption())


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_private_key_is_refused_in_every_form_and_not_repeated(form: PrivateFormat, pair: rsa.RSAPrivateKey) -> None:
    pem, der = _private(form, Encoding.PEM, pair).decode(), _text(_private(form, Encoding.DER, pair))
    for text in (pem, der):
        with pytest.raises(BadDocument, match="PRIVATE key; it must never be in this file") as refused:
            public_key.read(text)
        assert text[80:120] not in str(refused.value)


def test_a_key_that_is_none_says_what_it_is(pair: rsa.RSAPrivateKey) -> None:
    der = base64.b64decode(_public(pair))
    low = rsa.RSAPublicNumbers(3, pair.public_key().public_numbers().n).public_key()
    refused = {
        "of another kind, expected RSA": _public(ec.generate_private_key(ec.SECP256R1())),
        "base64, but not of a public key": _text(b"hello"),
        "but not of a public key in DER": _text(der[:-1]),
        "not of a public key in DER (": _text(der + b"\0"),
        "has the exponent 3, expected 65537": _text(low.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        "found 0 characters": " ",
        "found 5000 characters": "A" * 5000,
        "the key is not base64": "§" * 40,
    }
    for said, text in refused.items():
        with pytest.raises(BadDocument) as error:
            public_key.read(text)
        assert said in str(error.value)


@pytest.mark.parametrize("cut", range(0, 290, 7))
def test_a_key_that_was_cut_off_is_refused_and_breaks_nothing(cut: int, pair: rsa.RSAPrivateKey) -> None:
    with pytest.raises(BadDocument):
        public_key.read(_text(base64.b64decode(_public(pair))[:cut]))


@pytest.mark.parametrize(
    ("more", "path", "said"),
    [
        ("Dependecies: {}\n", "/Dependecies", "Dependencies"),
        ("Dependents:\n  a: {url: 'https://a.example/c.yml'}\n  b: {url: 'https://a.example/c.yml'}\n", "/Dependents/b/url", "'a' too"),
        ("Dependents:\n  a: {url: 'ftp://a.example/c.yml'}\n", "/Dependents/a/url", "https:, http:, file:"),
        ("Dependents:\n  a: {url: 'https://joe:x@a.example/c.yml'}\n", "/Dependents/a/url", "without user and password"),
        ("Dependents:\n  a: {url: 'https://a.example:0/c.yml'}\n", "/Dependents/a/url", "port 0"),
        ("Dependents:\n  a: {url: 'https://a.example:99999/c.yml'}\n", "/Dependents/a/url", "no URL"),
        ("Dependents:\n  a: {url: 'https://ä.example/c.yml'}\n", "/Dependents/a/url", "punycode"),
        ("Dependents:\n  a: {url: 'https://a.example/c.yml', minor: true}\n", "/Dependents/a/minor", "minor"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(more: str, path: str, said: str, pair: rsa.RSAPrivateKey) -> None:
    (problem,) = [one for one in _problems(_file(pair, more)) if one.path == path]
    assert said in problem.message
    assert problem.line is not None and problem.line >= 4


def test_all_problems_come_at_once(pair: rsa.RSAPrivateKey) -> None:
    text = "Pipeline-node:\n  public-key: '???'\n  url: https://a.example:99999\n"
    assert [one.path for one in _problems(text)] == ["/Pipeline-node/public-key", "/Pipeline-node/url"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"  <!DOCTYPE html>", "this is a web page"),
        (b"", "the file is empty"),
        (b"- a", "expected"),
        (b"a" * 70_000, "70000 bytes; a cdpm.yml has at most 65536"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: &x [*x]", "alias|anchor"),
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(BadDocument, match=said):
        files.parse(data)


@pytest.mark.parametrize(
    ("line", "place"), [("public-key: \u201cMII\u201d", 2), ("url: \u201ehttps://a.example\u201c", 3)]
)
def test_quotation_marks_of_a_word_processor_are_named(line: str, place: int, pair: rsa.RSAPrivateKey) -> None:
    lines = _file(pair).splitlines()
    lines[place - 1] = f"  {line}"
    [problem] = _problems("\n".join(lines))
    assert problem.line == place
    assert "the quotation marks are typographic" in problem.message
    with pytest.raises(BadDocument, match="typographic"):
        files.parse("\n".join(lines).encode())


def test_a_quotation_mark_that_is_missing_is_looked_for_where_the_text_begins(pair: rsa.RSAPrivateKey) -> None:
    [problem] = _problems(_file(pair, "\nDependents:\n", url='"https://rails.ci'))
    assert "quoted scalar from line 3 on" in problem.message
