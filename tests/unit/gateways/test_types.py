"""Destination types and tokens."""

from __future__ import annotations

import hashlib

import pytest

from re_core.playbook.formats import FORMATS
from re_gateways.forest import tokens
from re_gateways.forest.types import Type, chosen, offered, texts

FLUX1, FLUX2 = Type("forest", "flux", 1), Type("forest", "flux", 2)


@pytest.mark.parametrize("text", ["forest/flux@1", "forest/flux", "a.b_c-d/e@18446744073709551615", "x/y@0"])
def test_a_type_is_organisation_name_and_perhaps_a_version(text: str) -> None:
    assert FORMATS["re-destination-type"](text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "flux",
        "forest/",
        "/flux",
        "forest/flux@",
        "forest/flux@x",
        "forest/flux@-1",
        "forest/flux@1 ",
        "a/b/c",
        "../x",
        "forest/flux@18446744073709551616",
        f"{'a' * 64}/b",
        "forest/flüx",
        "forest/flux@1\n",
        "forest/flux@٣",
    ],
)
def test_what_is_no_type_is_named_so_when_a_playbook_is_stored(text: str) -> None:
    assert FORMATS["re-destination-type"](text).startswith("expected a destination type: organisation/name@version")


def test_a_type_with_a_version_stands_for_that_version_only() -> None:
    assert chosen("forest/flux@1", [FLUX1, FLUX2]) == FLUX1
    assert chosen("forest/flux@3", [FLUX1, FLUX2]) is None
    assert chosen("forest/flu", [FLUX1]) is None


def test_a_type_without_a_version_stands_for_the_highest_that_the_runner_offers() -> None:
    assert chosen("forest/flux", [FLUX2, FLUX1]) == FLUX2


def test_a_runner_can_be_asked_for_by_both_texts_of_each_of_its_types() -> None:
    assert texts([FLUX1, FLUX2]) == ("forest/flux@1", "forest/flux", "forest/flux@2")


@pytest.mark.parametrize(
    ("organisation", "name"), [("", "flux"), ("forest", ""), ("forest/x", "y"), ("a", "b@1"), ("..", "b"), ("ä", "b")]
)
def test_what_a_runner_offers_and_no_playbook_could_name_is_left_out(organisation: str, name: str) -> None:
    assert offered(organisation, name, 1) is None


def test_the_largest_version_is_offered() -> None:
    assert str(offered("forest", "flux", 2**64 - 1)) == "forest/flux@18446744073709551615"


def test_a_token_is_32_random_bytes_and_its_digest_that_of_the_bytes() -> None:
    token = tokens.make()
    assert len(bytes.fromhex(token)) == 32
    assert token != tokens.make()
    assert tokens.digest(token) == hashlib.sha256(bytes.fromhex(token)).hexdigest()
    assert tokens.digest(token.upper()) == tokens.digest(token)


@pytest.mark.parametrize(
    "text", ["", "x", "ab", "g" * 64, "a" * 63, "a" * 66, " " + "a" * 63, "a" * 64 + "\n", "é" * 64]
)
def test_what_is_no_token_has_no_digest(text: str) -> None:
    assert tokens.digest(text) == ""
