"""URLs of cdpm.yml: which are allowed, and where their bytes are."""

from __future__ import annotations

import pytest

from re_core.cdpm.sources import DEFAULT, GitPlace, allowed, git_place, local_path, raw_url


@pytest.mark.parametrize(
    ("page", "raw"),
    [
        ("https://github.com/rails/rails/blob/master/cdpm.yml", "https://raw.githubusercontent.com/rails/rails/master/cdpm.yml"),
        ("http://www.github.com/rails/rails/blob/v1/a/cdpm.yml", "https://raw.githubusercontent.com/rails/rails/v1/a/cdpm.yml"),
        ("https://git.example/a/b/-/blob/main/cdpm.yml", "https://git.example/a/b/-/raw/main/cdpm.yml"),
        ("https://git.example/a/b/src/branch/main/cdpm.yml", "https://git.example/a/b/raw/branch/main/cdpm.yml"),
        ("https://git.example/a/b/src/tag/v1.8.1/cdpm.yml", "https://git.example/a/b/raw/tag/v1.8.1/cdpm.yml"),
        ("https://git.example/a/src/cdpm.yml", "https://git.example/a/src/cdpm.yml"),
        ("https://github.com.evil.example/a/b/blob/main/c.yml", "https://github.com.evil.example/a/b/blob/main/c.yml"),
        ("https://github.com/a/b/blob/main/c.yml?x=1", "https://github.com/a/b/blob/main/c.yml?x=1"),
    ],
)  # fmt: skip
def test_a_page_of_a_forge_leads_to_the_file_that_it_shows(page: str, raw: str) -> None:
    assert raw_url(page) == raw


def test_by_default_https_alone_is_allowed() -> None:
    rule = allowed(DEFAULT)
    assert rule.why_not("https://git.example/cdpm.yml") == rule.why_not("HTTPS://git.example/cdpm.yml") == ""
    for url in ("http://git.example/c", "git+https://git.example/r.git?ref=v1"):
        assert "is not allowed; RE_CDPM_SOURCES may name it" in rule.why_not(url)
    for url in ("file:///etc/passwd", "git+file:///srv/r.git?ref=v1"):
        assert "RE_CDPM_SOURCES may name a directory" in rule.why_not(url)
    for url in (
        "ftp://git.example/c",
        "git+ssh://git.example/r",
        "ssh://x",
        "ext::sh",
        "cdpm.yml",
        "",
        "FILE:///etc/passwd",
    ):
        assert rule.why_not(url) != ""


def test_what_the_setting_names_is_allowed() -> None:
    rule = allowed(["http", "git+https", "file:/srv/cdpm/", "git+file:/srv/git"])
    assert rule.below == (("file", "/srv/cdpm"), ("git+file", "/srv/git"))
    for url in ("http://a/c", "git+https://a/r", "file:///srv/cdpm/c", "git+file:///srv/git/r"):
        assert rule.why_not(url) == ""
    assert rule.why_not("https://a/c") != ""


@pytest.mark.parametrize(
    "word", ["ssh", "file", "file:", "file:srv", "git+file", "https:", "https:/x", "ftp", "", "git"]
)
def test_another_word_in_the_setting_is_an_error(word: str) -> None:
    if word == "https:":
        assert allowed([word]).kinds == {"https"}
        return
    with pytest.raises(ValueError, match="expected https, http, git"):
        allowed([word])


def test_a_file_url_is_an_absolute_path() -> None:
    assert (
        local_path("file:///srv/a%20b/cdpm.yml")
        == local_path("file://localhost/srv/a%20b/cdpm.yml")
        == "/srv/a b/cdpm.yml"
    )


@pytest.mark.parametrize(
    "url",
    [
        *("file://host/srv/c.yml", "file:srv/c.yml", "file:///srv/../etc/passwd", "file:///srv/%2e%2e/etc/passwd"),
        *("file:///srv/c.yml?x", "file:///srv/c.yml#x", "file:///srv/c%00.yml", "file:///srv/%ff.yml", "file:"),
    ],
)
def test_a_file_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        local_path(url)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("git+https://h/r.git?ref=v1.8.1&path=ci/cdpm.yml", GitPlace("https://h/r.git", "v1.8.1", "ci/cdpm.yml")),
        ("git+https://h:8443/r.git?ref=feature/x_y", GitPlace("https://h:8443/r.git", "feature/x_y", "cdpm.yml")),
        ("git+file:///srv/r.git?ref=1.x&path=.ci/c.yml", GitPlace("/srv/r.git", "1.x", ".ci/c.yml")),
    ],
)
def test_a_git_url_names_repository_ref_and_path(url: str, place: GitPlace) -> None:
    assert git_place(url) == place


@pytest.mark.parametrize(
    "query",
    [
        *("", "ref=", "ref=-x", "ref=--upload-pack=touch", "ref=a..b", "ref=a//b", "ref=a/.b", "ref=a.lock", "ref=a/", "ref=."),
        *("ref=a%0ab", "ref=a b", "ref=a~1", "ref=a^", "ref=a:b", "ref=a*", "ref=@{-1}", "ref=%2e%2e", f"ref={'a' * 201}"),
        *("ref=a&path=", "ref=a&path=/etc/passwd", "ref=a&path=../c", "ref=a&path=b/../c", "ref=a&path=-c", "ref=a&path=.git/config"),
        *("ref=a&path=b/.GIT/config", "ref=a&path=a%00b", "ref=a&path=a%0ab", "ref=a&path=a*", "ref=a&path=a:b", "ref=a&path=."),
        *("ref=a&upload-pack=x", "ref=a#x", "ref"),
    ],
)  # fmt: skip
def test_a_git_url_that_could_be_more_than_a_ref_and_a_path_is_refused(query: str) -> None:
    with pytest.raises(ValueError):
        git_place(f"git+https://h/r.git?{query}")


@pytest.mark.parametrize(
    "url", ["git+https:///r.git?ref=a", "git+https://joe:x@h/r.git?ref=a", "git+file://h/r.git?ref=a"]
)
def test_a_git_url_has_a_host_or_a_path_and_no_user(url: str) -> None:
    with pytest.raises(ValueError):
        git_place(url)
