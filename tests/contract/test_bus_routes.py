"""Bus: keys, queues, dead letters, requests."""

from __future__ import annotations

import threading

import pytest

from re_core.errors import BusUnavailable
from re_core.ports import Bus, Delivery, Published
from re_core.wire.dead_letters import parse_dead_letter
from re_core.wire.messages import DEAD, Message
from tests.contract.places import SOON
from tests.contract.samples import message, names, take_all

#: seconds that a caller waits for an answer which does not come; a busy broker must confirm the request within them
LATE = 1.0

#: key, and the queue that hears it
ROUTES = [
    ("job.create", "re.job.create"),
    ("heartbeat", "re.heartbeat"),
    ("output", "output"),
    ("worker.command", "worker.command"),
    ("notify.irc", "notify.irc"),
    ("re.reply.3", "re.reply.3"),
    ("re.secrets", "re.secrets"),
]


@pytest.mark.parametrize(("key", "queue"), ROUTES)
def test_a_key_leads_to_its_queue(bus: Bus, key: str, queue: str) -> None:
    subscription = bus.subscribe([queue], 1)
    assert bus.publish([message("a", key)]) == [Published.TAKEN]
    (delivery,) = take_all(subscription, 1)
    assert (delivery.queue, delivery.message.key) == (queue, key)


@pytest.mark.parametrize("queue", ["re.job.create", "re.control.w-1", "worker.rail.oslo/b@1", DEAD])
def test_the_exchange_does_not_know_queues_by_name(bus: Bus, queue: str) -> None:
    bus.declare(queue)
    assert bus.publish([message("a", queue)]) == [Published.UNROUTABLE]


@pytest.mark.parametrize(
    "queue", ["re.reply.3", "re.job.create", "notify.irc", "worker.command", "worker.rail.oslo/b@1"]
)
def test_a_direct_message_reaches_any_queue_by_name(bus: Bus, queue: str) -> None:
    subscription = bus.subscribe([queue], 1)
    assert bus.publish([message("a", queue, direct=True)]) == [Published.TAKEN]
    assert names(take_all(subscription, 1)) == ["a"]


def test_what_has_no_queue_is_unroutable_and_the_rest_is_taken(bus: Bus) -> None:
    subscription = bus.subscribe(["worker.here"], 10)
    sent = [message("a", "worker.nowhere"), message("b", "worker.here"), message("c", "re.reply.5", direct=True)]
    assert bus.publish(sent) == [Published.UNROUTABLE, Published.TAKEN, Published.UNROUTABLE]
    assert names(take_all(subscription, 1)) == ["b"]


def test_one_subscription_takes_from_many_queues(bus: Bus) -> None:
    queues = [f"re.reply.{number}" for number in range(16)]
    subscription = bus.subscribe(queues, 10)
    bus.publish([message(queue, queue, direct=True) for queue in queues])
    taken = take_all(subscription, 16)
    assert sorted((one.queue, one.message.id) for one in taken) == sorted((queue, queue) for queue in queues)


def test_a_rejected_message_is_a_dead_letter_with_its_bytes_and_its_reason(bus: Bus) -> None:
    subscription = bus.subscribe(["worker.test"], 1)
    broken = Message(
        "worker.test", b"\x00\xff not JSON", "m-1", "d-1", "re.reply.2", {"re-attempt": "d-1/0/1"}, "re-core"
    )
    bus.publish([broken])
    subscription.reject(take_all(subscription, 1)[0], "bad-message", "not JSON")
    (dead,) = take_all(bus.subscribe([DEAD], 1), 1)
    letter = parse_dead_letter(dead.message)
    assert letter.body == b"\x00\xff not JSON"
    assert (letter.queue, letter.reason, letter.detail) == ("worker.test", "bad-message", "not JSON")
    assert letter.properties == {
        "message_id": "m-1",
        "correlation_id": "d-1",
        "reply_to": "re.reply.2",
        "app_id": "re-core",
        "headers": {"re-attempt": "d-1/0/1"},
    }
    assert letter.by
    assert letter.at > 0


def test_a_rejected_message_never_comes_again(bus: Bus) -> None:
    subscription = bus.subscribe(["worker.test"], 1)
    bus.publish([message("bad"), message("good")])
    (delivery,) = take_all(subscription, 1)
    subscription.reject(delivery, "bad-message")
    assert names(take_all(subscription, 1)) == ["good"]
    subscription.reject(delivery, "bad-message")
    assert len(bus.subscribe([DEAD], 10).take(10, SOON)) == 1


def test_the_dead_letter_queue_is_there_before_anybody_consumes_it(bus: Bus) -> None:
    assert bus.publish([message("a", DEAD, direct=True)]) == [Published.TAKEN]


def _answer(bus: Bus, count: int, queue: str = "re.job.create") -> threading.Thread:
    subscription = bus.subscribe([queue], 10)

    def work() -> None:
        for delivery in take_all(subscription, count):
            asked = delivery.message
            answers = [Message(asked.reply_to, body, f"{asked.id}/answer", direct=True) for body in (b"1", b"2")]
            bus.publish(answers)
            subscription.ack([delivery])

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_request_gets_the_first_answer(bus: Bus) -> None:
    thread = _answer(bus, 1)
    answer = bus.request(message("ask", "job.create"), SOON)
    thread.join(SOON)
    assert answer is not None
    assert (answer.id, answer.body) == ("ask/answer", b"1")


def test_a_request_and_the_core_that_holds_it_end_before_its_caller_does(bus: Bus) -> None:
    """A core counts from the moment at which it got it, which may be the last one of its time on the queue."""
    subscription = bus.subscribe(["re.job.create"], 1)
    asked: list[Message] = []

    def answer() -> None:
        (delivery,) = take_all(subscription, 1)
        asked.append(delivery.message)
        bus.publish([Message(delivery.message.reply_to, b"{}", "ask/answer", direct=True)])

    thread = threading.Thread(target=answer)
    thread.start()
    bus.request(message("ask", "job.create", expires=60_000), SOON)
    thread.join(SOON)
    (request,) = asked
    assert request.expires is not None
    assert SOON * 100 < 2 * request.expires < SOON * 1000


def test_requests_at_the_same_time_get_an_answer_each(bus: Bus) -> None:
    thread = _answer(bus, 8)
    wanted = [f"ask {number}" for number in range(8)]
    answers: list[Message | None] = []
    askers = [
        threading.Thread(target=lambda name=name: answers.append(bus.request(message(name, "job.create"), SOON)))
        for name in wanted
    ]
    for asker in askers:
        asker.start()
    for asker in [*askers, thread]:
        asker.join(SOON)
    assert sorted(answer.id for answer in answers if answer) == [f"{name}/answer" for name in wanted]


def test_an_answer_without_an_id_is_known_by_its_correlation_id(bus: Bus) -> None:
    """As a core of 2014 answers."""
    subscription = bus.subscribe(["re.job.create"], 1)

    def answer() -> None:
        (delivery,) = take_all(subscription, 1)
        asked = delivery.message
        bus.publish([Message(asked.reply_to, b"{}", "", asked.id, direct=True)])

    thread = threading.Thread(target=answer)
    thread.start()
    answered = bus.request(message("ask", "job.create"), SOON)
    thread.join(SOON)
    assert answered is not None
    assert answered.body == b"{}"


def test_a_request_that_nobody_answers_ends_with_none(bus: Bus) -> None:
    bus.declare("re.job.create")
    assert bus.request(message("ask", "job.create"), LATE) is None


def test_an_answer_that_comes_too_late_harms_nobody(bus: Bus) -> None:
    subscription = bus.subscribe(["re.job.create"], 1)
    asked: list[Delivery] = []
    thread = threading.Thread(target=lambda: asked.extend(take_all(subscription, 1)))
    thread.start()
    bus.request(message("ask", "job.create"), LATE)
    thread.join(SOON)
    (delivery,) = asked
    bus.publish([message("ask/answer", delivery.message.reply_to, direct=True)])
    subscription.ack([delivery])
    assert bus.request(message("again", "job.create"), LATE) is None


def test_a_request_that_nobody_can_take_says_so(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        bus.request(message("ask", "job.create"), SOON)


def test_closing_the_bus_ends_a_request(bus: Bus) -> None:
    subscription = bus.subscribe(["re.job.create"], 1)
    ended: list[Message | None] = []
    thread = threading.Thread(target=lambda: ended.append(bus.request(message("ask", "job.create"), 60)))
    thread.start()
    take_all(subscription, 1)
    bus.close()
    thread.join(SOON)
    assert ended == [None]


def test_a_queue_that_was_released_can_be_used_again(bus: Bus) -> None:
    subscription = bus.subscribe(["worker.rail.oslo"], 1)
    subscription.close()
    bus.release("worker.rail.oslo")
    bus.release("worker.rail.never")
    again = bus.subscribe(["worker.rail.oslo"], 1)
    assert bus.publish([message("a", "worker.rail.oslo", direct=True)]) == [Published.TAKEN]
    assert names(take_all(again, 1)) == ["a"]


def test_releasing_a_queue_loses_nothing_that_waits_in_it(bus: Bus) -> None:
    bus.declare("worker.rail.oslo")
    bus.publish([message("a", "worker.rail.oslo", direct=True)])
    bus.release("worker.rail.oslo")
    assert names(take_all(bus.subscribe(["worker.rail.oslo"], 1), 1)) == ["a"]
