"""Built files that are kept: what runs, what may come back, and no more."""

from __future__ import annotations

from re_core.apps import events as e
from re_core.apps.payloads import MOST_PAYLOADS, kept_payloads
from re_core.usecases.apps.stored import needed_artifacts, old_payloads
from tests.apps import Shop, build, payload


def _digests(*numbers: int) -> set[str]:
    return {payload(number)["digest"] for number in numbers}


def _shop(pushes: int) -> Shop:
    shop = Shop()
    for n in range(1, pushes + 1):
        shop.push(n)
    return shop


def test_the_newest_that_succeeded_are_kept_and_older_ones_come_back_no_more() -> None:
    shop = _shop(MOST_PAYLOADS + 2)
    assert kept_payloads(shop.state) == _digests(*range(3, MOST_PAYLOADS + 3))
    assert old_payloads(shop.state) == {"a-1", "a-2"}
    assert "a-3" in needed_artifacts(shop.state)
    assert shop.refused(e.Rollback(2, user="ann")) == "payload-gone"
    assert shop.refused(e.Rollback(3, user="ann")) == ""


def test_pushes_that_fail_push_out_no_version_that_succeeded() -> None:
    shop = _shop(2)
    for n in range(3, MOST_PAYLOADS + 9):
        shop.send(build(n))
        shop.prepare()
        shop.step(e.Built, **payload(n))
        assert kept_payloads(shop.state) == _digests(1, 2, n), "what is released is needed"
        shop.fact("failed", "it broke")
    assert kept_payloads(shop.state) == _digests(1, 2)


def test_what_waits_to_come_back_is_kept_though_others_succeed_meanwhile() -> None:
    shop = _shop(MOST_PAYLOADS)
    shop.send(build(MOST_PAYLOADS + 1))
    shop.send(e.Rollback(1, user="ann"))
    shop.release()
    assert shop.state.active == MOST_PAYLOADS + 2
    assert _digests(1) <= kept_payloads(shop.state)
    shop.release()
    assert shop.state.versions[shop.state.current].payload.digest in _digests(1)  # type: ignore[union-attr]
