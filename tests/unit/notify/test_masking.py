"""What is cut out of texts that may repeat a URL of the settings."""

from __future__ import annotations

import pytest

from re_workers.notify.masking import Mask


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (
            "https://hooks.example.com/services/T00000/B00000/sEcReT123",
            ["sEcReT123", "B00000", "services/T00000/B00000"],
        ),
        ("slack://TokenA12/TokenB34/TokenC56", ["TokenA12", "TokenB34", "TokenC56"]),
        (
            "mailtos://user:pa%24%24word@example.com?to=x@y.z&smtp=secret-relay",
            ["pa$$word", "pa%24%24word", "secret-relay"],
        ),
        ("tgram://123456789:AABBCC_dd/ChatId99", ["123456789", "AABBCC_dd", "ChatId99"]),
    ],
)
def test_no_part_of_a_url_that_may_be_a_secret_stays(url: str, secrets: list[str]) -> None:
    mask = Mask([url])
    for secret in (url, *secrets):
        assert secret not in mask.text(f"refused: {secret}!")


def test_the_host_of_an_ordinary_url_may_be_said() -> None:
    mask = Mask(["https://user:hunter22@hooks.example.com:8443/token"])
    said = mask.text("hooks.example.com:8443 refused https://user:hunter22@hooks.example.com:8443/token")
    assert said == "hooks.example.com:8443 refused ***"


def test_nothing_is_cut_where_nothing_is_secret() -> None:
    assert Mask([]).text("a text") == "a text"
