"""How handlers are made from the settings, and what is refused at the start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from re_core.errors import BadSettings
from re_core.playbook.notice_routes import read_routes, route
from re_core.runtime.setting_kinds import MASK, masked
from re_core.runtime.settings import Settings, load
from re_workers.notify import transports
from re_workers.notify.apprise_urls import AppriseSettings
from re_workers.notify.cloud_event import key_of
from re_workers.notify.handler import Notice
from re_workers.notify.transports import makers, missing, policy, secret_files
from re_workers.notify.webhook import Target, WebhookHandler, WebhookSettings
from tests.architecture.tree import ROOT

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = {"targets": {"ops": {"url": "https://hooks.example.com/s3cr3t-path", "secret": SECRET}}}


class Pigeon:
    """A transport of a package."""

    transport = "pigeon"

    def __init__(self, section: Mapping[str, Any]) -> None:
        if "loft" not in section:
            raise BadSettings("notifiers.pigeon.loft: is required")
        self.loft = section["loft"]

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Nothing can fail."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a transport, and one that is broken."""
    about = tmp_path / "site" / "re_pigeon-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: re-pigeon\nVersion: 1.0\n")
    points = f"pigeon = {__name__}:Pigeon\nbroken = {__name__}:NoSuchThing\n"
    (about / "entry_points.txt").write_text(f"[{transports.ENTRY_POINTS}]\n{points}")
    monkeypatch.syspath_prepend(str(about.parent))


def test_without_settings_there_is_the_console() -> None:
    assert list(makers(Settings())) == ["console"]
    assert missing("webhook") == "the settings file has no section 'webhook'"


def test_a_transport_of_a_package_is_made_from_its_section(installed: None) -> None:
    handler = makers(Settings(notifiers={"pigeon": {"loft": "roof"}}))["pigeon"]()
    assert isinstance(handler, Pigeon) and handler.loft == "roof"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"pigeon": {}}, r"notifiers.pigeon.loft: is required"),
        ({"pidgeon": {}}, "did you mean 'pigeon'"),
        ({"email": {}}, "comes with the engine"),
        ({"broken": {"password": "hunter22"}}, r"cannot be used \(AttributeError\)"),
        ({"pigeon": "roof"}, "expected a name"),
    ],
)
def test_a_section_that_no_package_can_use_is_refused(installed: None, section: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings, match=words) as raised:
        for make in makers(Settings(notifiers=section)).values():
            make()
    assert "hunter22" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "ftp://x"}, r"webhook.targets.ops.url: must begin with https"),
        ({"secret": "whsec_!"}, r"webhook.targets.ops.secret: is not whsec_ and base64"),
        ({"secret": ""}, r"webhook.targets.ops.secret: or secret_file is required"),
        ({"secrt": "x"}, r"webhook.targets.ops.secrt: is not a setting"),
        ({"ca_file": "/no/such/file"}, r"webhook.targets.ops.ca_file: there is no file"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_with_its_name_and_without_its_secrets(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadSettings, match=words) as raised:
        WebhookSettings.from_mapping({"targets": {"ops": {**HOOK["targets"]["ops"], **change}}})
    assert "s3cr3t" not in str(raised.value) and SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, "targets: is required"),
        ({"denied": ["nowhere"]}, "denied"),
        ({"targets": {"a": 1}}, "targets.a: must be an"),
    ],
)
def test_a_webhook_section_that_is_none_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        WebhookSettings.from_mapping(section)


def test_secrets_may_stand_in_files_and_those_are_kept_from_steps(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("json://user:hunter22@localhost\n")
    section = {"targets": {"ops": {"url_file": str(tmp_path / "url")}}}
    found = AppriseSettings.from_mapping(section)
    assert found.urls == {"ops": "json://user:hunter22@localhost"}
    assert "hunter22" not in repr(found)
    assert secret_files(Settings(apprise=section)) == [str(tmp_path / "url")]


def test_no_secret_of_a_transport_is_shown_with_the_settings() -> None:
    shown = str(Settings(webhook=HOOK, apprise={"targets": {"a": {"url": "slack://TokenA/TokenB"}}}).shown())
    assert "ops" in shown
    assert not any(secret in shown for secret in ("s3cr3t", SECRET, "TokenA"))


def test_templates_are_checked_at_the_start() -> None:
    with pytest.raises(BadSettings, match="there is no field"):
        policy(Settings(notify_templates={"*": {"*": {"slug": "{code}"}}}))


def test_a_section_may_refer_to_secrets_of_the_places_of_this_process(installed: None, tmp_path: Path) -> None:
    for name, value in {"hook": SECRET, "url": "https://hooks.example.com/s3cr3t-path", "pigeon": "roof"}.items():
        (tmp_path / "ops").mkdir(exist_ok=True)
        (tmp_path / "ops" / name).write_text(f"{value}\n")
    settings = Settings(
        webhook={"targets": {"ops": {"url": {"secret": "ops/url"}, "secret": {"secret": "ops/hook"}}}},
        notifiers={"pigeon": {"loft": {"secret": "ops/pigeon"}}},
        secrets=({"files": str(tmp_path)}, "engine"),
    )
    found = {name: make() for name, make in makers(settings).items()}
    for handler in found.values():
        handler.close()
    assert isinstance(found["pigeon"], Pigeon) and found["pigeon"].loft == "roof"
    hook = found["webhook"]
    assert isinstance(hook, WebhookHandler)
    assert hook._settings.targets["ops"] == Target("https://hooks.example.com/s3cr3t-path", (key_of(SECRET),))


def test_the_settings_are_shown_with_the_names_of_secrets() -> None:
    section = {
        "targets": {"ops": {"url": {"secret": "ops/url"}, "secret": SECRET, "old_secret": {"secret": "ops/hook"}}}
    }
    shown = {"ops": {"url": {"secret": "ops/url"}, "secret": MASK, "old_secret": {"secret": "ops/hook"}}}
    assert masked(section) == {"targets": shown}


def test_a_secret_that_a_section_refers_to_and_no_place_has_is_named(tmp_path: Path) -> None:
    section = {"targets": {"ops": {"url": {"secret": "ops/none"}}}}
    settings = Settings(apprise=section, secrets=({"files": str(tmp_path)}, "engine"))
    with pytest.raises(BadSettings, match=r"apprise\.targets\.ops\.url: there is no secret ops/none .* to steps alone"):
        makers(settings)["apprise"]()


def test_the_settings_of_two_teams_in_the_manual_do_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/tell-people.md").read_text()
    block = text[text.index("### Two teams") :].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/shop-chat").write_text("json://127.0.0.1/s3cr3t-word\n")
    (tmp_path / "settings.yaml").write_text(block.replace("/etc/release-engine/secrets", str(tmp_path)))
    settings = load({"RE_CONFIG": str(tmp_path / "settings.yaml")})
    for name in ("apprise", "email"):
        makers(settings)[name]().close()
    rules = read_routes(settings.notify_routes)
    assert route(rules, {}, "shop", "site", {"prod", "dmz"}) == {"failed": {"apprise": ("shop-chat",)}}
    assert route(rules, {}, "shop", "site", {"staging"}) == route(rules, {}, "data", "load") == {}
    assert [str(one.daily) for one in rules if one.covers("data", "load") and one.daily] == ["07:00 Europe/Berlin"]
