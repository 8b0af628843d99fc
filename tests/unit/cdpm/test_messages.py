"""Messages of pipelines: in and out, what is refused, and that parsers and schemas agree."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import re_schemas

from re_core.cdpm import messages
from re_core.cdpm.json_hints import NotJson
from re_core.cdpm.messages import KeyRotated, NewRelease, Open, Subscribe, Subscribed, Vote, VoteAnswer, emit, parse
from re_core.errors import BadMessage
from re_core.playbook import json_schema

#: schema -> the type of its messages
TYPES: dict[str, type] = {
    "cdpm-subscribe": Subscribe,
    "cdpm-unsubscribe": messages.Unsubscribe,
    "cdpm-subscribed": Subscribed,
    "cdpm-vote-answer": VoteAnswer,
    "cdpm-open": Open,
    "cdpm-received": messages.Received,
    "cdpm-key-rotated": KeyRotated,
    "cdpm-new-release": NewRelease,
    "cdpm-vote": Vote,
}
EXAMPLES = [(name, one) for name in TYPES for one in re_schemas.examples(name)]
GOOD = [(name, one) for name, one in EXAMPLES if one.path is None]

#: what may stand where something else stood
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 1.5, 10**19, "", "x", "x\n", "a\nb", "a\u2028b", "y" * 129, "y" * 501, "y" * 2049),
    *("403", "4o3", "subscribed", "not subscribed", "vote_stable", "open", [], ["x"], [1], [{}], {}, {"id": 1}),
    [{"subscription_id": "s"}] * 17,
)


def _bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def _accepted_as(document: Any) -> type | None:
    try:
        return type(parse(_bytes(document)))
    except BadMessage:
        return None


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _mutations(document: Any) -> Iterator[Any]:
    """The document with one place removed or replaced."""
    for path in list(_places(document))[1:]:
        for value in ("gone", *VALUES):
            mutated = copy.deepcopy(document)
            inner = mutated
            for key in path[:-1]:
                inner = inner[key]
            if value == "gone":
                inner.pop(path[-1])
            else:
                inner[path[-1]] = value
            yield mutated


@pytest.mark.parametrize(("name", "example"), GOOD, ids=[f"{name}-{one.name}" for name, one in GOOD])
def test_an_example_is_read_and_written_as_it_was(name: str, example: re_schemas.Example) -> None:
    message = parse(_bytes(example.document))
    assert type(message) is TYPES[name]
    written = emit(message)
    assert parse(written) == message
    document = {key: value for key, value in example.document.items() if key != "later"}
    if example.name == "full":
        assert written == json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("name", TYPES)
def test_a_parser_and_its_schema_agree_on_examples_and_on_changed_ones(name: str) -> None:
    for example in re_schemas.examples(name):
        for document in (example.document, *_mutations(example.document)):
            accepted = _accepted_as(document) is TYPES[name]
            assert accepted == (json_schema.problems(name, document) == []), document


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{name}-{one.name}" for name, one in EXAMPLES])
def test_a_refused_example_is_refused_at_its_place(name: str, example: re_schemas.Example) -> None:
    if example.path is not None:
        with pytest.raises(BadMessage) as refused:
            parse(_bytes(example.document))
        # an answer to a vote is known by its response: without that, it has no type
        untyped = "/message_type" if name == "cdpm-vote-answer" else None
        assert refused.value.path in (example.path, untyped)


def test_a_message_without_a_type_is_a_release_or_an_answer_or_nothing() -> None:
    assert isinstance(parse(b'{"response":[],"status_code":"200","response_time_stamp":"x"}'), VoteAnswer)
    with pytest.raises(BadMessage, match="message_type: expected a string, found nothing"):
        parse(b'{"id":42}')
    with pytest.raises(BadMessage, match="message_type 'publish' is not known; known are subscribe, "):
        parse(b'{"message_type":"publish"}')


def test_a_release_of_which_no_commit_is_known_is_read_with_empty_texts() -> None:
    commit = dict.fromkeys(messages.Commit._fields, "")
    deployable = {"id": "d", "status": "success", "ref": "r", "created_at": "c", "commit": commit}
    document = {"id": 1, "ref": "r", "created_at": "c", "project_details": {"name": "p"}, "deployable": deployable}
    read = parse(_bytes(document))
    assert isinstance(read, NewRelease) and read.deployable.commit == messages.Commit()


def test_a_key_that_is_not_known_is_ignored() -> None:
    assert parse(b'{"message_type":"key_rotated","url":"u","more":{"deep":[1]}}') == KeyRotated("u")


def test_a_message_of_ten_megabytes_is_not_looked_at() -> None:
    with pytest.raises(BadMessage, match="10485760 bytes; a message has at most 49152") as refused:
        parse(b"[" * (10 * 1024 * 1024))
    assert not isinstance(refused.value, NotJson)


def test_what_no_receiver_would_take_is_not_written() -> None:
    with pytest.raises(BadMessage, match="url: expected 1 to 2048 characters, found 3000"):
        emit(KeyRotated("u" * 3000))
    with pytest.raises(BadMessage, match="surrogate"):
        emit(KeyRotated("u\ud800"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON, found nothing|line 1 column 1: expected a value, found nothing"),
        ("{ \u201cmessage_type\u201d:1}", 'line 1 column 3: \u201c is a typographic quote, JSON needs "'),
        ('{\n "a": \u201eb\u201c}', 'line 2 column 7: \u201e is a typographic quote, JSON needs "'),
        (
            '{"a": "he said \u201cno\u201d" 1}',
            "line 1 column 22: expected a comma or the end of the object or list, found 1}",
        ),
        ('{"a": 1,\n}', "line 1 column 8: a comma before }, JSON allows none"),
        ('{"a": [1,]}', "line 1 column 9: a comma before ], JSON allows none|line 1 column 9: a comma before the end"),
        ('{"a": "x }\n}', 'line 1 column 7: the string that begins here has no closing "'),
        ('{"a": "\\"b", "c": "x', 'line 1 column 19: the string that begins here has no closing "'),
        ('{"a" 1}', "line 1 column 6: expected a colon, found 1}"),
        ("{a: 1}", 'line 1 column 2: expected a key in ", found a: 1}'),
        ('{"a": 1} x', "line 1 column 10: expected the end, found x"),
        ('{"a": "\\x"}', "line 1 column 8: no escape of JSON begins so"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("[" * 3000, "nested deeper|expected a value"),
    ],
)
def test_what_is_not_json_is_explained_with_its_place(text: str, said: str) -> None:
    with pytest.raises(NotJson) as refused:
        parse(text.encode())
    assert any(one in str(refused.value) for one in said.split("|")), str(refused.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(NotJson, match="not UTF-8"):
        parse(b'{"a": "\xff"}')
