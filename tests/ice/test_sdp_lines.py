"""Texts that are cut into lines: what is one, and how much of them there may be (RFC 8866 5)."""

import pytest
from hypothesis import given, strategies as st

from ice._texts import CREDENTIALS, FIXTURES, HOST, audio, fixture, offer, text
from sansice.ice import SessionSdp
from sansice.ice._sdp._lines import MAX_ATTRIBUTE, MAX_LENGTH, MAX_SECTIONS, Line, read_lines

# What may stand in a line: everything but its ends and NUL (RFC 8866 9, byte-string).
VALUES = st.text(st.characters(exclude_characters="\r\n\0"), max_size=30)
LINES = st.builds(lambda letter, value: f"{letter}={value}", st.sampled_from("vosiuepcbtrzka"), VALUES)


@given(st.lists(LINES), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_lines_end_in_crlf_or_lf_and_nothing_else_ends_one(lines, end, is_ended):
    joined = end.join(lines) + (end if is_ended else "")
    assert [line.text for line in read_lines(joined)] == lines


def test_lines_know_where_they_stood_and_empty_ones_are_left_out():
    assert read_lines("v=0\n\na=x:1\r\n") == [Line(1, "v=0"), Line(3, "a=x:1")]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("a=mid:0", "mid", "0"),
        ("a=Rtcp-Mux", "rtcp-mux", ""),
        ("a=candidate:1 1 udp:x", "candidate", "1 1 udp:x"),
        ("a= mid : 0 ", "mid", "0"),
        ("c=IN IP4 192.0.2.1", "", ""),
        ("A=Candidate:x", "candidate", "x"),
    ],
)
def test_attributes_have_a_name_in_any_case_and_perhaps_a_value(line, name, value):
    assert (Line(1, line).attribute, Line(1, line).attribute_value) == (name, value)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("nonsense", "line 3: 'nonsense' does not begin with a letter"),
        ("=5", "line 3"),
        ("²=5", "line 3"),
        (" a=folded", "line 3"),
        ("a=x\ry", "line 3: a carriage return"),
        ("a=x\r", "line 3: a carriage return"),
        ("a=x\0", "line 3: a NUL"),
    ],
)
def test_what_is_no_line_is_named_by_its_number(broken, why):
    with pytest.raises(ValueError, match=why):
        read_lines(f"v=0\r\ns=-\r\n{broken}\r\nt=0 0\r\n")


def test_text_that_ends_its_lines_in_cr_alone_is_none():
    with pytest.raises(ValueError, match="line 1: a carriage return"):
        SessionSdp.from_sdp(fixture("chromium").replace("\r\n", "\r"))


# What a hostile peer may send: each ends at once, in an error that is short and says where.

MANY = [HOST.replace("5000", str(port)) for port in range(1, 10_001)]
HOSTILE = {
    "long": ("a=" + "x" * MAX_LENGTH, "session description"),
    "one long attribute": (offer(*audio("a=ice-options:" + "x" * MAX_ATTRIBUTE)), "line 8: ice-options: 4110 characters, more"),
    "candidates": (offer(*audio(*CREDENTIALS, *MANY)), "line 1010: candidate: more than 1000"),
    "other candidates": (offer(*audio(*CREDENTIALS, *(one.replace("udp", "x") for one in MANY))), "line 1010: candidate"),
    "sections": (offer(*["m=audio 9 RTP/AVP 0"] * (MAX_SECTIONS + 1)), f"line {4 + MAX_SECTIONS + 1}: more than"),
    "bundles": (offer(*audio(), session=["a=group:BUNDLE " + "x " * 400_000]), None),
    "unicode digits": (offer(*audio(*CREDENTIALS, HOST.replace("5000", "\u0665\u0660\u0660\u0660"))), "line 10: candidate port"),
    "unicode port": (offer("m=audio \u0669 RTP/AVP 0"), "line 5: m= port"),
    "long port": (offer("m=audio " + "9" * 5000 + " RTP/AVP 0"), "line 5: m= port"),
    "superscript pacing": (offer(session=["a=ice-pacing:²"]), "line 5: ice-pacing"),
    "nothing but ends": ("\r\n" * 400_000, None),
    "nothing but attributes": ("a=\n" * 300_000, None),
    "colons": (offer(*audio("a=candidate:" + ":" * 4000)), "line 8: candidate"),
    "spaces": (offer(*audio("a=candidate:" + " " * 4000 + "x")), "line 8: candidate"),
    "remote candidates": (offer(*audio("a=remote-candidates:" + "1 192.0.2.1 9 " * 280)), "line 8: remote-candidates: more"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_in_a_short_error_that_says_where(name):
    hostile, why = HOSTILE[name]
    if why is None:
        SessionSdp.from_sdp(hostile)
        return
    with pytest.raises(ValueError, match=why) as caught:
        SessionSdp.from_sdp(hostile)
    assert len(str(caught.value)) < 600


def test_work_grows_no_faster_than_the_text():
    """Counted, not timed: the calls that reading makes."""
    import sys

    def calls(size):
        made = 0

        def count(frame, event, argument):
            nonlocal made
            made += event == "call"

        one = (*audio(*CREDENTIALS, HOST, HOST.replace("5000", "5002")), "a=x:y", "a=z")
        long = offer(*one * size, session=["a=group:BUNDLE " + " ".join(str(index) for index in range(size))])
        sys.setprofile(count)
        try:
            read = SessionSdp.from_sdp(long)
            read.description.to_sdp()
            read.to_sdp()
        finally:
            sys.setprofile(None)
        return made

    assert calls(200) < 11 * calls(20)


@given(st.text())
def test_any_text_is_a_session_or_a_value_error(anything):
    for whole in (anything, offer(*audio(*CREDENTIALS, anything)), text("v=0", anything, "m=audio 9 RTP/AVP 0")):
        try:
            read = SessionSdp.from_sdp(whole)
        except ValueError:
            continue
        assert SessionSdp.from_sdp(read.to_sdp()) == read


@given(st.sampled_from(FIXTURES), st.data())
def test_field_text_with_anything_put_into_it_is_a_session_or_a_value_error(name, data):
    whole = fixture(name)
    at = data.draw(st.integers(0, len(whole)))
    until = data.draw(st.integers(at, min(len(whole), at + 40)))
    try:
        read = SessionSdp.from_sdp(whole[:at] + data.draw(st.text(max_size=10)) + whole[until:])
    except ValueError:
        return
    assert SessionSdp.from_sdp(read.to_sdp()) == read
