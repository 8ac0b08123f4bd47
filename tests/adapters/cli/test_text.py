import pytest
from hypothesis import given, strategies as st

from sansice_cli._text import count, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Zoë 日本", "plain Zoë 日本"),
        ("\x1b[2J\x07\x9b\x00", r"\x1b[2J\x07\x9b\x00"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\u202e\u200b\u2028", r"\u202e\u200b\u2028"),
        ("\U000e0041\ud800", r"\U000e0041\ud800"),
        (r"\x1b", r"\\x1b"),
    ],
)
def test_what_a_terminal_would_act_on_or_hide_is_escaped(text, shown):
    assert printable(text) == shown


@given(st.text(), st.text())
def test_escaping_is_harmless_and_tells_texts_apart(one, other):
    assert printable(one).isprintable()
    assert (printable(one) == printable(other)) == (one == other)


def test_numbers_have_their_nouns():
    assert [count(0, "byte"), count(1, "byte"), count(2, "byte")] == ["0 bytes", "1 byte", "2 bytes"]
