import pytest

from guard_server.status.told import told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("can't reach https://user:pw@host/a?sig=abc#x now", "can't reach https://host/a now"),
        ("s3://key:se/cret@bucket/x", "s3://key:se/cret@bucket/x"),
        ("https://a@b@host/x", "https://host/x"),
        (
            "hf://org/repo@0123 and oci://r:5000/a@sha256:ff",
            "hf://org/repo@0123 and oci://r:5000/a@sha256:ff",
        ),
        ("two\n  lines\tand more", "two lines and more"),
        ("is it so? yes", "is it so? yes"),
    ],
)
def test_urls_lose_what_they_may_hide_and_lines_become_one(text: str, said: str):
    assert told(text) == said


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\x00", "\x1b", "\u200b"])
def test_what_does_not_print_can_be_seen(sign: str):
    assert told(f"a{sign}b") == "a\ufffdb"


def test_a_long_text_is_cut():
    assert told("x" * 2000) == "x" * 599 + "…"
