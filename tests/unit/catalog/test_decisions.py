"""What the operations of the catalogue decide by what they find. No host is there: decisions are pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from re_workers.catalog.accounts import Entry, Group, NoUser, User, table_with
from re_workers.catalog.app import Prune, Switch
from re_workers.catalog.archives import Unpack, checked
from re_workers.catalog.contents import Copy, Line, edited
from re_workers.catalog.machine import facts_from, summary_of
from re_workers.catalog.operations import Operation, facts_of
from re_workers.catalog.package import Packages
from re_workers.catalog.paths import deep
from re_workers.catalog.service import Service
from re_workers.catalog.trees import Attributes, Directory, Link, Remove
from re_workers.outcomes import Failed
from re_workers.steps import limited
from re_workers.steps.limited import rendered

UP = {"manager": "systemd", "LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
DOWN = {**UP, "ActiveState": "inactive", "UnitFileState": "disabled"}
APT = {"manager": "apt", "v1": "1.24", "c1": "1.24"}
FILE = {"kind": "file", "about": "644 root root 0 0 3", "sum": hashlib.sha256(b"hi\n").hexdigest(), "content": "hi\n"}
DIRECTORY = {"kind": "directory", "about": "755 root root 0 0 40"}
LINKED = {"kind": "link", "about": "777 root root 0 0 3", "target": "/a"}
NONE = {"kind": "none"}
ANN = {
    "entry": "ann:x:1000:1000:Ann:/home/ann:/bin/sh",
    "groups": "ann www",
    "tools": "useradd ",
    "keys": "ssh-ed25519 A k\n",
}
RELEASES = {"releases": "4\n3\n2\n1", "current": "releases/2", "previous": "1"}


@pytest.mark.parametrize(
    ("wanted", "found", "will"),
    [
        (Service("start", "web"), UP, "no"),
        (Service("start", "web"), DOWN, "yes"),
        (Service("stop", "web"), DOWN, "no"),
        (Service("stop", "web"), {**UP, "ActiveState": "activating"}, "yes"),
        (Service("restart", "web"), UP, "yes"),
        (Service("restart", "web"), DOWN, "yes"),
        (Service("enable", "web"), UP, "no"),
        (Service("disable", "web"), DOWN, "no"),
        (Packages("install", ("nginx",)), APT, "no"),
        (Packages("install", ("nginx",)), {"manager": "apt", "c1": "1.24"}, "yes"),
        (Packages("install", ("nginx",), "1.26"), APT, "yes"),
        (Packages("install", ("nginx",), hold=True), APT, "yes"),
        (Packages("install", ("nginx",), hold=True), {**APT, "h1": "1"}, "no"),
        (Packages("remove", ("nginx",)), {"manager": "dnf"}, "no"),
        (Packages("remove", ("nginx",)), APT, "yes"),
        (Packages("update", ("nginx",)), APT, "no"),
        (Packages("update", ("nginx",)), {**APT, "c1": "1.26"}, "yes"),
        (Copy("/f", b"hi\n"), FILE, "no"),
        (Copy("/f", b"hi\n", "0644", "root:0"), FILE, "no"),
        (Copy("/f", b"hi\n", "0600"), FILE, "yes"),
        (Copy("/f", b"ho\n"), FILE, "yes"),
        (Copy("/f", b"ho\n"), NONE, "yes"),
        (Line("/f", "hi"), FILE, "no"),
        (Line("/f", "ho"), FILE, "yes"),
        (Line("/f", "hi", present=False), NONE, "no"),
        (Line("/f", "hi", create=True), NONE, "yes"),
        (Link("/l", "/a"), LINKED, "no"),
        (Link("/l", "/b"), LINKED, "yes"),
        (Directory("/d"), DIRECTORY, "no"),
        (Directory("/d", "0700"), DIRECTORY, "yes"),
        (Directory("/d"), NONE, "yes"),
        (Remove("/f"), NONE, "no"),
        (Remove("/f"), LINKED, "yes"),
        (Remove("/srv/d", True), DIRECTORY, "yes"),
        (Attributes("/f", "0644"), {"kind": "file", "wrong": ""}, "no"),
        (Attributes("/f", "0644"), {"kind": "file", "wrong": "/f\n"}, "yes"),
        (Switch("/a", "2"), RELEASES, "no"),
        (Switch("/a", "3"), RELEASES, "yes"),
        (Prune("/a", 4), RELEASES, "no"),
        (Prune("/a", 1), RELEASES, "yes"),
        (User("ann"), ANN, "no"),
        (User("ann", 1000, ("www",), "/bin/sh", keys=("ssh-ed25519 A other name",)), ANN, "no"),
        (User("ann", groups=("www", "adm")), ANN, "yes"),
        (User("ann", keys=("ssh-ed25519 B k",)), ANN, "yes"),
        (User("ann"), {"entry": "", "tools": "useradd "}, "yes"),
        (NoUser("ann"), {"entry": ""}, "no"),
        (NoUser("ann"), ANN, "yes"),
        (Group("www"), {"entry": "www:x:33:"}, "no"),
        (Group("www", present=False), {"entry": "www:x:33:"}, "yes"),
        (Entry("backup", "@daily", "run"), {"tools": "crontab ", "table": "# re: backup\n@daily run\n"}, "no"),
        (Entry("backup", "@daily", "run"), {"tools": "crontab ", "table": "* * * * * other\n"}, "yes"),
        (
            Unpack("/a.tgz", "/d"),
            {"archive_kind": "file", "about": "644 r r 0 0 9", "sum": "ab", "marker": "ab 0"},
            "no",
        ),
        (Unpack("/a.tgz", "/d"), {"archive_kind": "file", "about": "644 r r 0 0 9", "sum": "ab", "list": ""}, "yes"),
    ],
)
def test_what_is_as_it_should_be_stays(wanted: Operation, found: Mapping[str, str], will: str) -> None:
    decision = wanted.decide(found)
    assert decision.will == will
    assert bool(decision.acts) == (will == "yes")
    assert decision.why


@pytest.mark.parametrize(
    ("wanted", "found", "words"),
    [
        (Service("start", "web"), {"tools": "service "}, "none of systemd, OpenRC and init scripts.*service is there"),
        (Service("start", "web"), {**UP, "LoadState": "not-found"}, "systemd has no service 'web'"),
        (Service("start", "web"), {**UP, "LoadState": "masked"}, "systemctl unmask web"),
        (Service("reload", "web"), DOWN, "service:Start"),
        (Packages("install", ("x",)), {}, "none of apt-get, dnf and apk"),
        (Packages("install", ("x",)), {"manager": "apt", "c1": "(none)"}, "refresh: true"),
        (Packages("update", ("x",)), {"manager": "apk"}, "package:Install"),
        (Packages("install", ("x",), hold=True), {"manager": "dnf"}, "hold is for hosts with apt"),
        (Copy("/f", b""), LINKED, "is a link to /a"),
        (Copy("/f", b""), DIRECTORY, "is no file, but a directory"),
        (Copy("/f", b"", validate="nginx -t"), NONE, "no `%s`"),
        (Line("/f", "a"), NONE, "create: true"),
        (Line("/f", "a"), {"kind": "file", "about": "644 r r 0 0 999999"}, "999999 bytes"),
        (Line("/f", "a", "["), {**FILE, "bad_match": "Unmatched ["}, "match is no expression"),
        (Link("/l", "/a"), FILE, "is no link, but a file"),
        (Directory("/d"), FILE, "is no directory, but a file"),
        (Remove("/d"), DIRECTORY, "recursive: true"),
        (Remove("//etc/", True), DIRECTORY, "never removed"),
        (Attributes("/f", "0644"), LINKED, "links are not followed"),
        (Attributes("/f", owner="ann"), {"kind": "file", "bad_user": "ann"}, "no user 'ann'"),
        (Attributes("/f"), {"kind": "file"}, "expected the permissions"),
        (Switch("/a", "9"), RELEASES, "there are 4, 3, 2, 1"),
        (Switch("/a", "9"), {}, "app:Release"),
        (Switch("/a", "1"), {**RELEASES, "blocked": "1"}, "is no link"),
        (NoUser("root"), {"entry": "root:x:0:0::/root:/bin/sh"}, "superuser"),
        (Group("www", 40), {"entry": "www:x:33:"}, "has the number 33"),
        (Entry("a", "@daily", "b"), {"tools": ""}, "install cron"),
        (User("ann"), {"entry": "", "tools": ""}, "neither useradd nor adduser"),
        (Unpack("/a", "/d"), {"archive_kind": "none"}, "no archive /a"),
        (
            Unpack("/a", "/d", "00"),
            {"archive_kind": "file", "about": "644 r r 0 0 9", "sum": "ab"},
            "has the SHA-256 ab",
        ),
        (Unpack("/a", "/d"), {"archive_kind": "file", "about": "644 r r 0 0 9", "directory": "1"}, "replace: true"),
        (
            Unpack("/a", "/d", fixed=True),
            {"archive_kind": "file", "about": "644 r r 0 0 9", "directory": "1", "marker": "x 0"},
            "a new version",
        ),
    ],
)
def test_what_cannot_be_done_says_what_is_missing(wanted: Operation, found: Mapping[str, str], words: str) -> None:
    with pytest.raises(Failed, match=words):
        wanted.decide(found)


@pytest.mark.parametrize("path", ["/", "//", "/etc", "/etc/", "/usr/../etc", "/var/lib/.", "/srv/../srv/x/.."])
def test_what_no_host_can_do_without_is_spared(path: str) -> None:
    with pytest.raises(Failed):
        deep(path)


def test_the_difference_of_packages_is_their_versions() -> None:
    decision = Packages("install", ("nginx", "new"), hold=True).decide(
        {"manager": "apt", "v1": "1.24", "c1": "1.26", "c2": "7"}
    )
    assert decision.diff == "+new 7\n"
    assert [act.args for act in decision.acts] == [("1", "new"), ("hold", "nginx", "new")]


def test_the_difference_of_a_file_is_a_unified_one() -> None:
    assert Copy("/f", b"ho\n").decide(FILE).diff == "--- /f\n+++ /f\n@@ -1 +1 @@\n-hi\n+ho\n"
    assert Copy("/f", b"ho\n", diff=False).decide(FILE).diff == ""
    assert Copy("/f", b"\0\1").decide(FILE).diff == "/f: 3 bytes -> 2 bytes\n"


def test_a_small_content_is_in_no_record_on_the_host() -> None:
    (act,) = Copy("/f", b"secret").decide(NONE).acts
    assert act.env == {"RE_CONTENT": "c2VjcmV0"}
    assert act.stdin == ""


@pytest.mark.parametrize(
    ("content", "line", "matches", "afters", "wanted"),
    [
        (b"a\nb\n", Line("/f", "c"), [], [], b"a\nb\nc\n"),
        (b"a\nb", Line("/f", "c"), [], [], b"a\nb\nc\n"),
        (b"", Line("/f", "c"), [], [], b"c\n"),
        (b"a\nb\n", Line("/f", "a"), [], [], b"a\nb\n"),
        (b"a\r\nb\r\n", Line("/f", "c"), [], [], b"a\r\nb\r\nc\r\n"),
        (b"p=1\nq\np=2\n", Line("/f", "p=3", "^p="), [1, 3], [], b"p=1\nq\np=3\n"),
        (b"p=1", Line("/f", "p=3", "^p="), [1], [], b"p=3"),
        (b"[a]\n[b]\n", Line("/f", "x", after="a"), [], [1], b"[a]\nx\n[b]\n"),
        (b"a\nb\na\n", Line("/f", "a", present=False), [], [], b"b\n"),
        (b"a1\nb\na2\n", Line("/f", "", "^a", present=False), [1, 3], [], b"b\n"),
        (b"\xff\nb\n", Line("/f", "c"), [], [], b"\xff\nb\nc\n"),
        (b"a\rb\n", Line("/f", "c"), [], [], b"a\rb\nc\n"),
    ],
)
def test_a_line_is_changed_and_all_others_stay_byte_for_byte(
    content: bytes, line: Line, matches: list[int], afters: list[int], wanted: bytes
) -> None:
    assert edited(content, line, matches, afters) == wanted


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ name }}\n{{ nam }}", "'nam' is undefined"),
        ("{% if %}", "line 1"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% for one in range(99999) %}{{ one }}aaaaaaaaaaaaaaa{% endfor %}", "more than 1048576 characters"),
        ("{{ 'a' * 10**10 }}", "more memory than it may"),
    ],
)
def test_a_template_that_is_wrong_says_so(template: str, words: str) -> None:
    with pytest.raises(Failed, match=words):
        rendered(template, {"name": "x"})


def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "SECONDS", 1)
    within = "{% for two in range(99999) %}{% endfor %}"
    with pytest.raises(Failed, match="the template takes longer than 1 s of the processor"):
        rendered(f"{{% for one in range(99999) %}}{within}{{% endfor %}}", {})
    with pytest.raises(Failed, match="takes longer than 1 s of the processor"):
        limited.found("(a+)+b", "a" * 60)


def test_an_expression_is_found_or_refused() -> None:
    assert (limited.found("^gr..n$", "green"), limited.found("^gr..n$", "red")) == (True, False)
    with pytest.raises(Failed, match="the expression '\\(' cannot be used: missing"):
        limited.found("(", "")


def test_a_template_keeps_its_last_line_feed() -> None:
    assert rendered("{{ name }}\n", {"name": "<x>"}) == "<x>\n"


@pytest.mark.parametrize(
    "line",
    [
        "-rw-r--r-- root/root 5 2024-01-01 00:00 ../etc/passwd",
        "-rw-r--r-- root/root 5 2024-01-01 00:00 /etc/passwd",
        "-rw-r--r-- root/root 5 2024-01-01 00:00 a/../../b",
        "lrwxrwxrwx root/root 0 2024-01-01 00:00 a -> /etc",
        "lrwxrwxrwx root/root 0 2024-01-01 00:00 a -> ../b",
        "lrwxrwxrwx root/root 0 2024-01-01 00:00 a -> b -> ../../etc",
        "hrw-r--r-- root/root 0 2024-01-01 00:00 a link to /etc/passwd",
        "crw-r--r-- root/root 1,3 2024-01-01 00:00 null",
        "prw-r--r-- root/root 0 2024-01-01 00:00 pipe",
        "something else",
    ],
)
def test_an_archive_that_could_land_outside_is_refused(line: str) -> None:
    with pytest.raises(Failed, match="archive"):
        checked(f"drwxr-xr-x root/root 0 2024-01-01 00:00 a/\n{line}\n")


def test_an_archive_of_files_and_links_that_stay_inside_is_taken() -> None:
    lines = [
        "drwxr-xr-x root/root         0 2024-01-01 00:00 ./",
        "-rwxr-xr-x 0/0             123 2024-01-01 00:00:12 bin/a b",
        "lrwxrwxrwx root/root         0 2024-01-01 00:00 bin/c -> ../lib/c",
        "hrw-r--r-- root/root         0 2024-01-01 00:00 bin/d link to bin/a b",
    ]
    assert checked("\n".join(lines)) == 4


def test_pruning_spares_what_is_current_and_what_was_before() -> None:
    assert Prune("/a", 1).decide(RELEASES).result == {"removed": ["3"]}


def test_a_crontab_keeps_its_other_lines() -> None:
    table = "MAILTO=a\n# re: x\n1 * * * * old\n2 * * * * other\n"
    assert table_with(table, Entry("x", "3 * * * *", "new")) == "MAILTO=a\n# re: x\n3 * * * * new\n2 * * * * other\n"
    assert table_with(table, Entry("x", "", "", present=False)) == "MAILTO=a\n2 * * * * other\n"
    assert table_with("", Entry("x", "", "", present=False)) == ""


def test_facts_are_taken_out_of_what_else_is_printed() -> None:
    assert facts_of("noise\n@a=1=2\n@b:aGkK\n@c:!!\n@d\nx @e=1\n") == {"a": "1=2", "b": "hi\n", "c": ""}


def test_facts_are_said_in_a_line_and_what_is_not_known_is_left_out() -> None:
    known = {
        "system": "debian",
        "system_version": "13",
        "kernel": "Linux",
        "release": "6.12",
        "machine": "x86_64",
        "processors": "2",
    }
    more = {"memory": f"{4 << 20}", "free": f"{3 << 19}", "home": "/root", "uptime": "270000", "tools": "tar git "}
    assert summary_of(facts_from({**known, **more})) == [
        "debian 13, Linux 6.12 x86_64, 2 processors, 4.0 GiB of memory, 1.5 GiB free in /root, up for 3 d 3 h",
        "tools: tar, git",
    ]
    assert summary_of(facts_from({"kernel": "Linux", "uptime": "3900"})) == ["Linux, up for 1 h 5 min"]
