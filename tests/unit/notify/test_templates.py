"""What notifications say."""

from __future__ import annotations

import pytest

from re_core.errors import BadSettings
from re_core.wire.notice_facts import Facts, StepFacts
from re_workers.notify.handler import Told
from re_workers.notify.templates import Templates, duration

STEP = StepFacts(4, "service:Restart on web1", "web1", "failed", "exit code 1", ("one", "two"))
FACTS = Facts("D1", "web", "site", 3, "alice", "failed", 5, 192_000, ("web1", "web2"), 5, "version=1.4", STEP)
FAILED = Told("failed: web/site", "Deployment D1 failed", "failed", ("#ops",), FACTS)


def rendered(message: str, told: Told = FAILED, url: str = "https://re.example.com/") -> str:
    settings = {"irc": {"failed": {"message": message}, "*": {"message": message}}}
    return Templates.from_settings(settings, url).render("irc", told).message


def test_every_field_has_its_value() -> None:
    said = rendered("{user} {group}/{playbook} r{revision} {outcome} {took} {hosts} {step} {reason} {values} {targets}")
    assert said == (
        "alice web/site r3 failed 3 min 12 s web1, web2 and 3 more service:Restart on web1 exit code 1 version=1.4 #ops"
    )


def test_a_line_whose_fields_are_all_empty_is_left_out_and_plain_lines_stay() -> None:
    told = Told("s", "m", "completed", ("a",))
    assert rendered("Hello\nby {user} in {took}\n{message}", told) == "Hello\nm"


def test_the_last_lines_of_the_failed_step_and_the_link_are_there() -> None:
    assert rendered("{lines}\n{link}") == "one\ntwo\nhttps://re.example.com/api/v1/deployments/D1"
    assert rendered("{lines}\n{link}", url="") == "one\ntwo"


def test_without_a_template_the_text_is_followed_by_what_it_does_not_say() -> None:
    templates = Templates({}, "https://re.example.com")
    assert [templates.render(one, FAILED) for one in ("irc", "console")] == [FAILED, FAILED]
    said = templates.render("email", FAILED)
    assert said.slug == "failed: web/site"
    assert said.message.split("\n") == [
        "Deployment D1 failed",
        "Started by alice.",
        "It took 3 min 12 s.",
        "Failed: service:Restart on web1. exit code 1",
        "one",
        "two",
        "https://re.example.com/api/v1/deployments/D1",
    ]


def test_a_notification_without_facts_keeps_its_text_to_the_letter() -> None:
    told = Told("s", "m\n\n{x}", "failed", ("a",))
    assert Templates({}).render("email", told) == told


def test_what_stands_in_a_value_is_never_a_template() -> None:
    told = FAILED._replace(message="{user} {0.__class__}")
    assert rendered("{message}", told) == "{user} {0.__class__}"


def test_the_nearest_template_counts() -> None:
    words = {
        "*": {"*": {"slug": "all"}, "failed": {"slug": "all failed"}},
        "irc": {"*": {"slug": "irc"}, "failed": {"slug": "irc failed"}},
    }
    templates = Templates.from_settings(words)
    found = [templates.of(transport, phase).slug for transport in ("irc", "email") for phase in ("failed", "started")]
    assert found == ["irc failed", "irc", "all failed", "all"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{message.__class__}", "there is no field"),
        ("{mesage}", "message"),
        ("{message!r}", "takes no conversion"),
        ("{message:>10}", "takes no conversion"),
        ("{", "a brace that is text is written twice"),
        ("{0}", "there is no field"),
        ("{}", "there is no field"),
        ("x" * 10_001, "more than 10000 characters"),
    ],
)
def test_a_template_that_is_none_or_has_code_is_refused_at_the_start(template: str, words: str) -> None:
    with pytest.raises(BadSettings, match=r"notify_templates.irc.failed.message: ") as raised:
        Templates.from_settings({"irc": {"failed": {"message": template}}})
    assert words in str(raised.value)


@pytest.mark.parametrize("section", [{"irc": []}, {"irc": {"over": {}}}, {"irc": {"failed": {"text": "x"}}}])
def test_a_section_that_is_none_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match=r"notify_templates\.irc"):
        Templates.from_settings(section)


def test_a_slug_stays_on_one_line_and_within_its_bound() -> None:
    templates = Templates.from_settings({"*": {"*": {"slug": "a\n{message}"}}})
    said = templates.render("irc", FAILED._replace(message="x" * 200))
    assert len(said.slug) == 80 and said.slug.startswith("a xxx") and said.slug.endswith("…")


def test_durations_are_those_that_people_say() -> None:
    assert [duration(one) for one in (None, 0, 59_900, 60_000, 7_500_000)] == [
        "",
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "2 h 5 min",
    ]
