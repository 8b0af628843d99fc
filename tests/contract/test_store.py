"""Store: keys, playbooks, output, workers, dead letters, tokens."""

from __future__ import annotations

import threading

import pytest

from re_core.errors import StoreUnavailable
from re_core.ports import OUTPUT_PAGE, KeyRecord, Store
from re_core.rows import DeadLetter, OutputChunk, OutputLine, PlaybookHead, Token, WorkerRecord
from tests.contract import samples
from tests.contract.places import StorePlace
from tests.contract.racing import at_once
from tests.contract.samples import append, playbook

# -- idempotency keys --------------------------------------------------------------------------------


def test_the_first_claim_of_a_key_stands(store: Store) -> None:
    first, second = KeyRecord("k", "d-1", "digest 1"), KeyRecord("k", "d-2", "digest 2")
    assert store.claim(first) == first
    assert store.claim(second) == first
    assert store.claim(first) == first


def test_many_claims_in_one_go_are_as_those_claims_one_after_the_other(store: Store) -> None:
    store.claim(KeyRecord("old", "d-0", "x"))
    wanted = [
        KeyRecord("a", "d-1", "x"),
        KeyRecord("old", "d-2", "y"),
        KeyRecord("a", "d-3", "y"),
        KeyRecord("b", "d-3", "z"),
    ]
    assert store.claim_all(wanted) == [wanted[0], KeyRecord("old", "d-0", "x"), wanted[0], wanted[3]]
    assert store.claim_all([]) == []
    assert store.claim(KeyRecord("b", "d-9", "x")) == wanted[3]


def test_racing_claims_of_a_key_agree_on_one_winner(store_place: StorePlace) -> None:
    stores = [store_place.open(), store_place.open()]
    stand: dict[int, list[KeyRecord]] = {}

    def race(core: int) -> None:
        claims = [KeyRecord(f"k-{n}", f"d-{core}-{n}", "x") for n in range(80)]
        stand[core] = [stores[core].claim(claim) for claim in claims[:40]] + stores[core].claim_all(claims[40:])

    at_once(race)
    assert stand[0] == stand[1]


# -- playbooks ---------------------------------------------------------------------------------------


def test_the_newest_revision_is_the_playbook(store: Store) -> None:
    assert store.save_playbook(playbook("p", 1))
    assert store.save_playbook(playbook("p", 2))
    assert store.playbook("p") == playbook("p", 2)
    assert store.playbook("p", 1) == playbook("p", 1)
    assert store.playbook("p", 3) is None
    assert store.playbook("q") is None
    assert [one.revision for one in store.revisions("p")] == [2, 1]


def test_a_revision_is_stored_once(store: Store) -> None:
    assert store.save_playbook(playbook("p", 1))
    assert not store.save_playbook(playbook("p", 1, name="other"))
    assert store.playbook("p") == playbook("p", 1)


def test_a_deleted_playbook_keeps_its_old_revisions(store: Store) -> None:
    for revision in (1, 2):
        store.save_playbook(playbook("p", revision))
    assert store.delete_playbook("p", 2)
    assert store.playbook("p") is None
    assert store.playbooks() == []
    assert store.playbook("p", 2) == playbook("p", 2)
    assert [one.revision for one in store.revisions("p")] == [2, 1]
    assert not store.delete_playbook("p", 2)
    assert not store.delete_playbook("p", 3)


def test_a_playbook_that_was_changed_is_not_deleted_by_who_has_not_seen_it(store: Store) -> None:
    for revision in (1, 2):
        store.save_playbook(playbook("p", revision))
    assert not store.delete_playbook("p", 1)
    assert not store.delete_playbook("nobody", 1)
    assert store.playbook("p") == playbook("p", 2)


def test_a_playbook_that_was_deleted_is_not_changed_by_who_has_not_seen_it(store: Store) -> None:
    store.save_playbook(playbook("p", 1))
    store.delete_playbook("p", 1)
    assert not store.save_playbook(playbook("p", 2))
    assert store.playbook("p") is None


def _save_three(store: Store) -> None:
    """Of three names or groups; the first in two revisions."""
    for one in (
        playbook("a", 1, 1),
        playbook("b", 1, 3, "other"),
        playbook("c", 1, 2, group="blue"),
        playbook("a", 2, 1),
    ):
        store.save_playbook(one)


def test_playbooks_are_listed_newest_first_by_group_and_name(store: Store) -> None:
    _save_three(store)
    assert [(one.id, one.revision) for one in store.playbooks()] == [("b", 1), ("c", 1), ("a", 2)]
    assert [one.id for one in store.playbooks("team")] == ["b", "a"]
    assert [one.id for one in store.playbooks("team", "release")] == ["a"]
    assert [one.id for one in store.playbooks(name="release")] == ["c", "a"]


def test_heads_are_what_the_list_has_but_for_the_documents(store: Store) -> None:
    _save_three(store)
    store.save_playbook(playbook("d", 1, 4))
    store.delete_playbook("d", 1)
    store.save_playbook(playbook("b", 2, 3, "release"))
    for wanted in ((), ("team",), ("team", "release"), ("team", "other"), (None, "release"), ("nobody",)):
        heads = store.playbook_heads(*wanted)
        found = store.playbooks(*wanted)
        fields = PlaybookHead._fields
        assert heads == [PlaybookHead(*(getattr(one, field) for field in fields)) for one in found]
    assert [(one.id, one.revision) for one in store.playbook_heads()] == [("b", 2), ("c", 1), ("a", 2)]


def test_a_group_has_playbooks_while_one_is_there_that_was_not_deleted_or_moved(store: Store) -> None:
    assert not store.has_playbooks("team")
    store.save_playbook(playbook("a", 1))
    store.save_playbook(playbook("b", 1))
    assert store.has_playbooks("team") and not store.has_playbooks("blue")
    store.delete_playbook("b", 1)
    assert store.has_playbooks("team")
    store.save_playbook(playbook("a", 2, group="blue"))
    assert store.has_playbooks("blue") and not store.has_playbooks("team")


# -- output ------------------------------------------------------------------------------------------


def _chunk(id: str, first: int, count: int, step: int | None = 0, deployment: str = "d") -> OutputChunk:
    return OutputChunk(
        id, deployment, first, step, 5, tuple(f"line {number}" for number in range(first, first + count))
    )


def test_lines_come_in_order_from_a_number_on(store: Store) -> None:
    store.add_output([_chunk("a", 1, 3), _chunk("b", 4, 2, step=1)])
    store.add_output([_chunk("c", 6, 1, step=None), _chunk("x", 1, 1, deployment="other")])
    assert [line.number for line in store.output("d")] == [1, 2, 3, 4, 5, 6]
    assert store.output("d", 4) == [OutputLine(5, 1, 5, "line 5"), OutputLine(6, None, 5, "line 6")]
    assert [line.number for line in store.output("d", 1, 3)] == [2, 3, 4]
    assert [line.number for line in store.output("d", 0, 10, 1)] == [4, 5]
    assert store.output("d", 10**30) == []
    assert store.output("nobody") == []


def test_a_chunk_is_stored_once(store: Store) -> None:
    store.add_output([_chunk("a", 1, 2)])
    store.add_output([_chunk("a", 3, 2), _chunk("b", 3, 1)])
    assert [line.number for line in store.output("d")] == [1, 2, 3]
    assert store.stored_output(["c", "b", "a"]) == {"a", "b"}
    assert store.stored_output([]) == set()


def test_chunks_are_found_by_how_their_ids_begin(store: Store) -> None:
    ids = ["d/0/1/w/output/1", "d/0/1/w/lines/2", "d/0/1/ü/lines/9", "d/0/10/w/output/1", "d/0/2/w/output/1", "d/0/1"]
    store.add_output([_chunk(id, place, 1) for place, id in enumerate(ids, 1)])
    assert sorted(store.output_ids("d/0/1/")) == sorted(ids[:3])
    assert store.output_ids("d/1/1/") == []


def test_a_page_of_output_ends_with_its_characters(store: Store) -> None:
    store.add_output([OutputChunk(str(first), "d", first, 0, 5, ("x" * 16_000,) * 4) for first in range(1, 401, 4)])
    page = store.output("d", 0, 10_000)
    assert OUTPUT_PAGE <= sum(len(line.text) for line in page) <= OUTPUT_PAGE + 64_000
    rest = store.output("d", page[-1].number, 10_000)
    rest += store.output("d", rest[-1].number, 10_000)
    rest += store.output("d", rest[-1].number, 10_000)
    assert [line.number for line in page + rest] == list(range(1, 401))
    assert store.output("d", 400, 10_000) == []


def test_the_last_line_is_known(store: Store) -> None:
    assert store.last_line("d") == 0
    store.add_output([_chunk("a", 1, 2), _chunk("b", 3, 4), _chunk("empty", 7, 0)])
    assert store.last_line("d") == 6


def test_much_output_in_small_chunks_is_read_whole(store: Store) -> None:
    store.add_output([_chunk(f"e{number}", 1, 0) for number in range(600)])
    store.add_output([_chunk(str(number), number, 1, number % 2) for number in range(1, 1201)])
    assert [line.number for line in store.output("d", 5, 1100)] == list(range(6, 1106))
    assert [line.number for line in store.output("d", 0, 5000, 1)] == list(range(1, 1201, 2))


def test_lines_may_hold_any_text(store: Store) -> None:
    texts = ("", "tab\t", "nul\x00", "ä€😀", "a\nb", '"quoted" \\', "\u2028")
    store.add_output([OutputChunk("a", "d", 1, None, 5, texts)])
    assert tuple(line.text for line in store.output("d")) == texts


# -- workers -----------------------------------------------------------------------------------------


def _worker(id: str, seen: int, running: tuple[str, ...] = ()) -> WorkerRecord:
    return WorkerRecord(id, 4, {"noop:*": {"summary": "nothing"}}, running, seen)


def test_the_last_word_of_a_worker_replaces_the_one_before(store: Store) -> None:
    store.register(_worker("w", 1))
    store.register(_worker("w", 2, ("d/0/1",)))
    assert store.workers() == [_worker("w", 2, ("d/0/1",))]


def test_a_worker_keeps_which_transports_it_cannot_reach(store: Store) -> None:
    store.register(_worker("w", 1)._replace(degraded={"email": "mail:25 is away", "irc": "ü"}))
    assert [one.degraded for one in store.workers()] == [{"email": "mail:25 is away", "irc": "ü"}]


def test_workers_that_were_not_seen_are_left_out_and_forgotten(store: Store) -> None:
    store.register(_worker("old", 10))
    store.register(_worker("new", 20))
    assert [one.id for one in store.workers(11)] == ["new"]
    store.forget_workers(10)
    assert len(store.workers()) == 2
    store.forget_workers(11)
    assert [one.id for one in store.workers()] == ["new"]


# -- dead letters ------------------------------------------------------------------------------------


def _letter(id: str, body: bytes = b"x") -> DeadLetter:
    properties = {"message_id": id, "headers": {"re-step": "1"}}
    return DeadLetter(id, "worker.x", "bad-message", "why", "core", 5, body, properties)


def test_a_dead_letter_is_kept_byte_for_byte(store: Store) -> None:
    store.store_letter(_letter("a", bytes(range(256))))
    assert store.dead_letter("a") == _letter("a", bytes(range(256)))
    assert store.dead_letter("b") is None


def test_a_dead_letter_is_kept_once(store: Store) -> None:
    store.store_letter(_letter("a"))
    store.store_letter(_letter("a", b"other"))
    assert store.dead_letters(10) == [_letter("a")]


def test_dead_letters_come_newest_first_page_by_page(store: Store) -> None:
    for id in "bdac":
        store.store_letter(_letter(id))
    assert [one.id for one in store.dead_letters(3)] == ["d", "c", "b"]
    assert [one.id for one in store.dead_letters(3, "b")] == ["a"]


def test_a_dropped_dead_letter_is_gone(store: Store) -> None:
    store.store_letter(_letter("a"))
    assert store.drop_dead_letter("a")
    assert not store.drop_dead_letter("a")
    assert store.dead_letters(10) == []


# -- tokens ------------------------------------------------------------------------------------------


def test_tokens_are_found_listed_and_revoked(store: Store) -> None:
    old, new = Token("1" * 64, "ada", None, True, 1), Token("0" * 64, "eve", ("red", "blue"), False, 2)
    nobody = Token("2" * 64, "bob", (), False, 3)
    for one in (new, old, nobody):
        store.add_token(one)
    assert store.token("0" * 64) == new
    assert store.token("3" * 64) is None
    assert store.tokens() == [old, new, nobody]
    assert store.revoke_token("0" * 64)
    assert not store.revoke_token("0" * 64)
    assert store.token("0" * 64) is None


def test_a_token_with_the_same_digest_is_replaced(store: Store) -> None:
    store.add_token(Token("1" * 64, "ada", None, True, 1))
    store.add_token(Token("1" * 64, "ada", ("red",), False, 1))
    assert store.tokens() == [Token("1" * 64, "ada", ("red",), False, 1)]


def test_a_token_keeps_its_end_its_last_use_and_its_rights(store: Store) -> None:
    token = Token("1" * 64, "ada", ("red",), False, 1, 900, None, True)
    store.add_token(token)
    assert store.token("1" * 64) == token
    for at in (500, 700, 600):
        store.use_token("1" * 64, at)
    assert store.tokens() == [token._replace(used=700)]


def test_the_use_of_a_token_that_was_revoked_does_not_bring_it_back(store: Store) -> None:
    store.use_token("1" * 64, 500)
    assert store.tokens() == []


# -- the whole ---------------------------------------------------------------------------------------


def test_a_closed_store_says_that_it_is_not_available(store: Store) -> None:
    store.ping()
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.ping()
    with pytest.raises(StoreUnavailable):
        store.append([append("d-1")])


def test_everything_is_there_after_a_reopening(store_place: StorePlace) -> None:
    first = store_place.open()
    first.save_playbook(playbook("p"))
    first.add_output([_chunk("a", 1, 2)])
    first.store_letter(_letter("a"))
    first.add_token(Token("1" * 64, "ada", None, True, 1))
    first.claim(KeyRecord("k", "d-1", "x"))
    first.close()
    again = store_place.open()
    assert again.playbook("p") == playbook("p")
    assert again.last_line("d") == 2
    assert again.dead_letter("a") == _letter("a")
    assert again.token("1" * 64) is not None
    assert again.claim(KeyRecord("k", "d-2", "y")) == KeyRecord("k", "d-1", "x")


def test_many_threads_read_while_one_writes(store: Store) -> None:
    stop = threading.Event()
    gaps: list[list[int]] = []

    def read() -> None:
        while not stop.is_set():
            numbers = [one.number for one in store.entries("d-1")]
            if numbers != list(range(1, len(numbers) + 1)):
                gaps.append(numbers)

    readers = [threading.Thread(target=read) for _ in range(12)]
    for reader in readers:
        reader.start()
    for number in range(1, 41):
        store.append([append("d-1", number)])
    stop.set()
    for reader in readers:
        reader.join(60)
    assert gaps == []
    assert len(store.entries("d-1")) == 40


def test_deployments_are_found_by_the_workers_that_have_claimed_something_of_them(store: Store) -> None:
    rows = [
        samples.view("one")._replace(claimants=("w1",)),
        samples.view("two")._replace(claimants=("w1", "w2")),
        samples.view("none")._replace(claimants=()),
        samples.view("older")._replace(claimants=None),
        samples.view("ended")._replace(claimants=("w1",), ended=5),
    ]
    store.write_views(rows)
    assert {row.claimants for row in store.rows(["two"])} == {("w1", "w2")}
    assert {row.claimants for row in store.rows(["older"])} == {None}
    assert store.claimed(["w1", "w2"]) == {"one": ["w1"], "two": ["w1", "w2"], "older": ["w1", "w2"]}
    assert store.claimed(["w3"]) == {"older": ["w3"]}
    store.write_views([samples.view("two")._replace(claimants=("w3",)), samples.view("older")._replace(claimants=())])
    assert store.claimed(["w1", "w2"]) == {"one": ["w1"]}
    assert store.claimed(["w3"]) == {"two": ["w3"]}
    assert store.claimed([]) == {}
