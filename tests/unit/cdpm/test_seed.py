"""The examples of the founding document: corrected, byte by byte; and as they stand there, with clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import re_schemas

from re_core.cdpm.json_hints import NotJson
from re_core.cdpm.messages import emit, parse

_EXAMPLES = Path(re_schemas.__file__).parent / "examples"
#: messages of the founding document
SEEDS = ("cdpm-subscribe", "cdpm-subscribed", "cdpm-vote-answer", "cdpm-new-release")

#: as they stand there
SUBSCRIBE = """{ \u201cmessage_type\u201d:\u201dsubscribe\u201d,

"caller_name": "rails",

"url": "http://www.github.com/rails/rails/blob/master/cdpm.yml", "subscriptions": [ { \u201cref_type\u201d: \u201cstable\u201d,

\u201cref\u201d: \u201cv_3.2\u201d, } ], "destination": { "url": "https://github.com/sparklemotion/nokogiri/blob/master/cdpm.yml } }
"""
SUBSCRIBED = """{

\u201cmessage_type\u201d:\u201dsubscribed\u201d,

"response": [

{"subscription_id": "e6a9bb54-da25-102b-9a03-2db401e887ec"}

],

"status_code": "200",

"status_msg": "OK",

"response_time_stamp": "2012-06-20T08:36:24"

}
"""
RELEASE = """{

"id": 42,

"ref": "master",

"created_at": "2016-08-11T11:32:35.444Z",

"project_details": {

\u201cId\u201d: 32,

"name": "Fog",

"repo_url": "https://rubygems.org"

\u201cmaintainers\u201d : [{

\u201cname\u201d: \u201cjoe blow\u201d

\u201ccontact\u201d: \u201cjoe@email.com\u201d

}],

\u201cdependents\u201d: [\u201crails\u201d, \u201csinatra\u201d]

},

"deployable": {

"id": 664,

"status": "success",

"ref": "master",

"created_at": "2016-08-11T11:32:24.456Z",

"commit": {

"id": "a91957a858320c0e17f3a0eca7cfacbff50ea29a",

"short_id": "a91957a8",

"title": "2.3 update",

"author_name": "joe blow",

"author_email": "joe@email.com",

"created_at": "2016-08-11T13:28:26.000+02:00",

"message": "update"

}

}

}
"""


def _compact(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def _straight(text: str) -> str:
    return text.replace("\u201c", '"').replace("\u201d", '"')


@pytest.mark.parametrize("name", SEEDS)
def test_a_corrected_example_is_read_and_written_byte_by_byte(name: str) -> None:
    stored = (_EXAMPLES / name / "seed.json").read_bytes()
    assert emit(parse(stored)).decode() == _compact(stored.decode())


@pytest.mark.parametrize(
    ("name", "original"),
    [("cdpm-subscribe", SUBSCRIBE), ("cdpm-subscribed", SUBSCRIBED), ("cdpm-new-release", RELEASE)],
)
def test_a_corrected_example_differs_from_the_original_only_by_its_mistakes(name: str, original: str) -> None:
    """Quotes are straight, commas and one quote are where they belong, and one key has its letter case."""
    mended = _straight(original).replace('"v_3.2", }', '"v_3.2" }').replace("cdpm.yml }", 'cdpm.yml" }')
    mended = mended.replace('rubygems.org"\n', 'rubygems.org",\n').replace(
        '"joe blow"\n\n"contact', '"joe blow",\n\n"contact'
    )
    mended = mended.replace('"Id"', '"id"')
    assert _compact((_EXAMPLES / name / "seed.json").read_text()) == _compact(mended)


@pytest.mark.parametrize(
    ("original", "place"),
    [(SUBSCRIBE, "line 1 column 3"), (SUBSCRIBED, "line 3 column 1"), (RELEASE, "line 11 column 1")],
)
def test_the_original_is_refused_for_its_typographic_quotes(original: str, place: str) -> None:
    with pytest.raises(NotJson) as refused:
        parse(original.encode())
    assert str(refused.value) == f'{place}: \u201c is a typographic quote, JSON needs "'


def test_with_straight_quotes_the_next_mistake_is_named() -> None:
    text = _straight(SUBSCRIBE)
    with pytest.raises(NotJson, match="line 7 column 15: a comma before }, JSON allows none"):
        parse(text.encode())
    text = text.replace('"v_3.2", }', '"v_3.2" }')
    with pytest.raises(NotJson, match='line 7 column 45: the string that begins here has no closing "'):
        parse(text.encode())
    parse(text.replace("cdpm.yml }", 'cdpm.yml" }').encode())


def test_a_missing_comma_is_named_with_what_stands_there() -> None:
    text = _straight(RELEASE)
    with pytest.raises(NotJson, match=r'line 17 column 1: expected a comma .*, found "maintainers" : '):
        parse(text.encode())
    text = text.replace('rubygems.org"\n', 'rubygems.org",\n')
    with pytest.raises(NotJson, match=r'line 21 column 1: expected a comma .*, found "contact": "joe@emai'):
        parse(text.encode())
