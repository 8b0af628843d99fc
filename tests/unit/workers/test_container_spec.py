"""What a container's label and its differences say: never a value of a variable, nor what one could be guessed by."""

from __future__ import annotations

import hashlib
import json

from re_workers.containers.spec import Spec, difference, made_by

BEFORE = Spec("box", env={"KEY": "hunter2", "SAME": "one", "GONE": "2"}, labels={"team": "a"})
AFTER = BEFORE._replace(env={"KEY": "hunter3", "SAME": "one", "NEW": "3"}, labels={"team": "b"})
#: as the engine has them, with one of the image
THERE = ["PATH=/bin", "KEY=hunter2", "SAME=one", "GONE=2", "NEW=3"]


def test_a_label_has_the_names_of_variables_and_what_is_there_is_compared_by_their_values() -> None:
    assert json.loads(BEFORE.label())["env"] == ["GONE", "KEY", "SAME"]
    assert BEFORE.label() == BEFORE._replace(env={"KEY": "another", "SAME": "", "GONE": "2"}).label()
    made = made_by(BEFORE.label(), THERE)
    assert made.is_as(BEFORE)
    for other in (AFTER, BEFORE._replace(env={**BEFORE.env, "KEY": "hunter3"}), BEFORE._replace(image="box:2")):
        assert not made.is_as(other)
    assert not made_by("no JSON", THERE).is_as(BEFORE)
    assert not made_by("[1]", THERE).is_as(BEFORE)


def test_a_container_of_an_engine_that_wrote_digests_is_not_replaced() -> None:
    digests = {name: hashlib.sha256(f"{name}\0{value}".encode()).hexdigest()[:16] for name, value in BEFORE.env.items()}
    label = json.dumps({**json.loads(BEFORE.label()), "env": digests}, sort_keys=True)
    made = made_by(label, THERE)
    assert made.is_as(BEFORE)
    assert not [one for one in digests.values() if one in difference(made, AFTER, "")]


def test_a_difference_says_of_variables_and_of_what_is_hidden_only_whether_they_changed() -> None:
    made = made_by(BEFORE.label(), THERE, "sha256:aaa")
    assert difference(made, AFTER, "bbb", {"labels"}).splitlines()[3:] == [
        "-env GONE: as before",
        "-env KEY: as before",
        "+env KEY: changed",
        "+env NEW: new",
        " env SAME: as before",
        ' image: "box"',
        "-labels: as before",
        "+labels: changed",
        ' restart: "no"',
        "-image id: aaa",
        "+image id: bbb",
    ]
    assert '+labels: {"team": "b"}' in difference(made, AFTER, "")
    assert "+env KEY: new\n" in difference(None, AFTER, "")
