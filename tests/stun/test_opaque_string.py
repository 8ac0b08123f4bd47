import sys
import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from sansice.machine import LocalProtocolError
from sansice.stun import LongTermCredentials, PrecisRequiredError, opaque_string


@pytest.mark.parametrize("text", ["pass", "VOkJxbRl1RmTxUk/WvJxBt", " ~", "\u30de\u30c8\u30ea\u30c3\u30af\u30b9", "p\u00e4ss"])
def test_ordinary_text_stays_as_it_is(text):
    assert opaque_string(text) == text


@pytest.mark.req("RFC8265-001")
@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("a\u00a0b", "a b"),
        ("a\u1680b\u3000c", "a b c"),
        ("A\u030a", "\u00c5"),
        ("\u212b", "\u00c5"),
        ("\uff21", "\uff21"),
        ("\uff76", "\uff76"),
        ("PaSs\u00c4", "PaSs\u00c4"),
    ],
)
def test_spaces_become_one_kind_and_nfc_is_applied_while_case_and_width_stay(text, prepared):
    assert opaque_string(text) == prepared


@pytest.mark.req("RFC8265-002")
@pytest.mark.parametrize(
    "character",
    [
        *("\t", "\0", "\x7f", "\x85", "\ue000", "\ud800", "\u0378", "\ufffe", "\u2028", "\u2029", "\u0640", "\u303b"),
        *("\u1100", "\u115f", "\ua960", "\ud7b0", "\u034f", "\u3164", "\ufe0f", "\uffa0", "\u200b", "\ufeff", "\u202e"),
        "\U000e0100",
    ],
)
def test_what_the_freeform_class_leaves_out_is_refused(character):
    with pytest.raises(ValueError, match=r"U\+[0-9A-F]{4,5} at position 1 is"):
        opaque_string(f"a{character}b")


@pytest.mark.req("RFC8265-002")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("\u0915\u094d\u200d", "k\u200d"),
        ("\u0915\u094d\u200c\u0937", "\u200ck"),
        ("l\u00b7l", "a\u00b7l"),
        ("xl\u00b7l", "l\u00b7"),
        ("\u0375\u03b1", "\u0375"),
        ("\u0375\u03b1x", "\u0375x"),
        ("\u05d0\u05f3", "\u05f3\u05d0"),
        ("\u05d0\u05f4", "a\u05f4"),
        ("\u30ab\u30fb", "a\u30fb"),
        ("\u3042\u30fb", "\u30fb\u30fb"),
        ("\u4e00\u30fb", "\u30fb"),
        ("\u0661\u0662", "\u0661\u06f2"),
        ("\u06f1\u06f2", "\u06f1\u0662"),
    ],
)
def test_a_character_that_needs_a_context_is_refused_without_it(right, wrong):
    assert opaque_string(right) == unicodedata.normalize("NFC", right)
    with pytest.raises(ValueError, match=r"U\+[0-9A-F]{4} at position [0-9] is not allowed"):
        opaque_string(wrong)


@pytest.mark.req("RFC8265-003")
def test_the_empty_text_is_refused():
    with pytest.raises(ValueError, match="empty"):
        opaque_string("")


@pytest.mark.req("RFC8265-004")
def test_texts_that_differ_in_case_stay_different():
    assert opaque_string("Secret") == "Secret" != opaque_string("secret")
    assert opaque_string("Secret\u00e9") != opaque_string("secret\u00e9")
    assert opaque_string("e\u0301") == opaque_string("\u00e9")


# What the rules change: spaces of all kinds, marks in and out of order, letters made of others, Hangul in parts.
CHANGING = " \u00a0\u1680\u2000\u2003\u3000ae\u00c5\u212b\u0340\u0344\u0301\u030a\u0327\u1e69\u0307\u0323\uf900\uac00\u11a8"


@pytest.mark.req("RFC8265-005")
@given(st.text() | st.text(CHANGING, min_size=1))
@example("\u00a0\u00a0 a\u3000\u3000")
def test_preparing_twice_changes_nothing_more(text):
    try:
        once = opaque_string(text)
    except ValueError:
        return
    assert opaque_string(once) == once


@pytest.mark.req("RFC8265-006")
def test_neither_compatibility_forms_nor_soft_hyphens_are_treated_as_saslprep_would():
    assert opaque_string("tr\u2168") == "tr\u2168"
    with pytest.raises(ValueError, match=r"U\+00AD"):
        opaque_string("The\u00adM\u00aatr\u2168")


@pytest.fixture
def _no_precis(monkeypatch):
    monkeypatch.setitem(sys.modules, "precis_i18n", None)


@pytest.mark.usefixtures("_no_precis")
def test_ascii_needs_no_library_and_other_text_says_which_one():
    assert opaque_string("VOkJxbRl1RmTxUk/WvJxBt") == "VOkJxbRl1RmTxUk/WvJxBt"
    with pytest.raises(ValueError, match=r"U\+0007 at position 2 is not allowed"):
        opaque_string("be\ael")
    with pytest.raises(PrecisRequiredError, match=r"pip install 'sansice\[precis\]'"):
        opaque_string("p\u00e4ss")
    with pytest.raises(PrecisRequiredError):
        LongTermCredentials("J\u00f6rg", "pass")
    assert issubclass(PrecisRequiredError, LocalProtocolError) and issubclass(PrecisRequiredError, ValueError)


@pytest.mark.parametrize("text", ["secret\u2028word", "secret\tword"])
def test_a_refusal_does_not_show_the_text_nor_bring_what_does(text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is looked at below)
        opaque_string(text)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None
