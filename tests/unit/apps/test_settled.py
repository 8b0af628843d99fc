"""When the end of a broadcast may be said: once no line of its job can come any more, whatever else happens to the app."""

from __future__ import annotations

from re_core.apps import events as e
from re_core.apps.checkpoint import from_document, to_document
from re_core.usecases.apps.broadcasts import SETTLING, Found, is_settled
from tests.apps import KEY, Shop, build


def _is_settled(shop: Shop, number: int) -> bool:
    return is_settled(Found(shop.state, shop.state.versions[number]), shop.now)


def test_what_happens_to_an_app_later_takes_no_end_back() -> None:
    shop = Shop()
    shop.push(1)
    assert not _is_settled(shop, 1)
    shop.now += SETTLING
    for event in (e.Scale({"web": 3}), e.Restart("ann", request="r"), build(2)):
        assert _is_settled(shop, 1)
        shop.send(event)
    assert _is_settled(shop, 1) and not _is_settled(shop, 2)


def test_a_state_that_was_read_from_a_checkpoint_knows_of_all_versions_but_the_newest() -> None:
    shop = Shop()
    for n in (1, 2):
        shop.push(n)
        shop.now += SETTLING
    revived = from_document(KEY, to_document(shop.state))
    assert revived is not None
    revived.entry, revived.entry_at = shop.state.entry, shop.now
    assert [is_settled(Found(revived, revived.versions[n]), shop.now) for n in (1, 2)] == [True, False]
