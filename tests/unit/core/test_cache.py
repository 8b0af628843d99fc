"""What a core remembers of deployments is bounded, by their number and by the bytes that they take."""

from __future__ import annotations

from typing import Any

from re_core.sequencer.cache import Cache, CachedAggregate
from re_core.sequencer.deployments import Deployments
from re_core.wire.redaction import Redaction
from tests.factories import Run, simple

#: what it could reach is not asked here
_NOTHING: Any = None
_KIND = Deployments(_NOTHING, _NOTHING, _NOTHING, Redaction())


def _known(id: str, text: str = "") -> CachedAggregate:
    state = Run(simple({"noop:A": {"text": text}})).state
    state.deployment = id
    return CachedAggregate(_KIND, id, state)


def _there(cache: Cache, *ids: str) -> list[str]:
    return [id for id in ids if cache.get(id) is not None]


def test_the_one_unused_for_longest_goes_when_there_are_too_many() -> None:
    cache = Cache(capacity=2)
    for id in ("a", "b"):
        cache.put(_known(id))
    assert cache.get("a")
    cache.put(_known("c"))
    assert _there(cache, "a", "b", "c") == ["a", "c"]


def test_the_one_unused_for_longest_goes_when_they_are_too_large() -> None:
    cache = Cache(most_bytes=_known("a", "x" * 10_000).weight() * 2)
    for id in ("a", "b", "c"):
        cache.put(_known(id, "x" * 10_000))
    assert _there(cache, "a", "b", "c") == ["b", "c"]
    cache.put(_known("d", "x" * 100_000))
    assert _there(cache, "a", "b", "c", "d") == ["d"], "the newest stays, however large it is"


def test_what_is_put_again_or_dropped_is_not_counted_twice() -> None:
    cache = Cache()
    known = _known("a")
    for _ in range(3):
        cache.put(known)
    assert cache.weight == known.weight() > 0
    cache.drop("a")
    cache.drop("a")
    assert cache.weight == 0
    cache.put(known)
    cache.clear()
    assert cache.weight == 0


def test_what_a_deployment_s_steps_say_counts() -> None:
    run = Run(simple("noop:A"))
    known, cache = CachedAggregate(_KIND, run.state.deployment, run.state), Cache()
    cache.put(known)
    before = cache.weight
    run.complete(0, message="m" * 1000)
    cache.put(known)
    assert cache.weight == before + 1000
