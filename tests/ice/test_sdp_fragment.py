"""Bodies of trickled candidates (RFC 8840 4.4, 9)."""

import pytest
from hypothesis import given, strategies as st

from ice._texts import CREDENTIALS, HOST, PWD, UFRAG, text
from ice.test_candidate import CANDIDATES
from ice.test_description import ICE_CHARS
from sansice.ice import Candidate, Credentials, FragmentSection, TrickleFragment

OWN, OTHER = Credentials(UFRAG, PWD), Credentials("other", "o" * 22)
ONE = Candidate.from_sdp(HOST)

# The example of RFC 8840, figure 7, of which each candidate is one line.
FIGURE_7 = text(
    "a=ice-pwd:asd88fgpdd777uzjYhagZg",
    "a=ice-ufrag:8hhY",
    "m=audio 9 RTP/AVP 0",
    "a=mid:1",
    "a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host",
    "a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 5001 typ host",
    "a=candidate:1 1 UDP 2130706431 192.0.2.1 5010 typ host",
    "a=candidate:1 2 UDP 2130706431 192.0.2.1 5011 typ host",
    "a=candidate:2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 192.0.2.1 rport 8998",
    "a=candidate:2 2 UDP 1694498815 192.0.2.3 5011 typ srflx raddr 192.0.2.1 rport 8998",
    "a=end-of-candidates",
    "m=audio 9 RTP/AVP 0",
    "a=mid:2",
    "a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 6000 typ host",
    "a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 6001 typ host",
    "a=candidate:1 1 UDP 2130706431 192.0.2.1 6010 typ host",
    "a=candidate:1 2 UDP 2130706431 192.0.2.1 6011 typ host",
    "a=candidate:2 1 UDP 1694498815 192.0.2.3 6010 typ srflx raddr 192.0.2.1 rport 9998",
    "a=candidate:2 2 UDP 1694498815 192.0.2.3 6011 typ srflx raddr 192.0.2.1 rport 9998",
    "a=end-of-candidates",
)

CREDENTIAL = st.builds(Credentials, st.text(ICE_CHARS, min_size=4, max_size=8), st.text(ICE_CHARS, min_size=22, max_size=30))
MIDS = st.from_regex(r"\A[A-Za-z0-9_-]{1,8}\Z")


@st.composite
def fragments(draw):
    """Any body: with credentials of the session, of the sections, or of both."""
    credentials = draw(st.none() | CREDENTIAL)
    sections = st.builds(
        FragmentSection,
        MIDS,
        st.lists(CANDIDATES, max_size=3),
        end_of_candidates=st.booleans(),
        credentials=CREDENTIAL if credentials is None else st.none() | CREDENTIAL,
    )
    listed = draw(st.lists(sections, min_size=int(credentials is None), max_size=3))
    return TrickleFragment(listed, end_of_candidates=draw(st.booleans()), credentials=credentials)


@pytest.mark.req("RFC8840-007", "RFC8840-013")
@given(fragments())
def test_any_body_survives_its_text(fragment):
    assert TrickleFragment.from_sdp(fragment.to_sdp()) == fragment


@pytest.mark.req("RFC8840-007")
def test_example_of_the_rfc_is_read_and_written():
    fragment = TrickleFragment.from_sdp(FIGURE_7)
    assert fragment.credentials == Credentials("8hhY", "asd88fgpdd777uzjYhagZg")
    assert [(one.mid, len(one.candidates), one.end_of_candidates) for one in fragment.sections] == [
        ("1", 6, True),
        ("2", 6, True),
    ]
    assert fragment.end_of_candidates is False
    written = fragment.to_sdp().splitlines()
    assert sorted(written) == sorted(FIGURE_7.replace("UDP", "udp").splitlines())
    assert written[2:] == FIGURE_7.replace("UDP", "udp").splitlines()[2:]


@pytest.mark.req("RFC8840-008", "RFC8840-009", "RFC8840-015", "RFC8840-016")
def test_section_of_unknown_media_has_the_default_line_and_its_name_right_before_its_candidates():
    fragment = TrickleFragment([FragmentSection("a", [ONE], end_of_candidates=True, credentials=OWN)])
    assert fragment.to_sdp() == text("m=audio 9 RTP/AVP 0", *CREDENTIALS, "a=mid:a", HOST, "a=end-of-candidates")


@pytest.mark.req("RFC8840-008")
@pytest.mark.parametrize("media", ["video 5000/2 UDP/TLS/RTP/SAVPF 96 97", "x", "audio 70000 RTP/AVP 0", ""])
def test_content_of_a_pseudo_media_line_is_ignored(media):
    [section] = TrickleFragment.from_sdp(text(*CREDENTIALS, f"m={media}", "a=mid:a", HOST)).sections
    assert section.candidates == (ONE,)


@pytest.mark.req("RFC8840-013", "RFC8840-014")
def test_end_of_candidates_before_all_sections_is_of_the_session():
    whole = TrickleFragment.from_sdp(text(*CREDENTIALS, "a=end-of-candidates", "m=audio 9 RTP/AVP 0", "a=mid:a"))
    assert (whole.end_of_candidates, whole.sections[0].end_of_candidates) == (True, False)
    one = TrickleFragment.from_sdp(text(*CREDENTIALS, "m=audio 9 RTP/AVP 0", "a=mid:a", "a=end-of-candidates"))
    assert (one.end_of_candidates, one.sections[0].end_of_candidates) == (False, True)


@pytest.mark.req("RFC8840-010")
def test_credentials_are_of_the_session_or_of_a_section_that_overrides_them():
    lines = ("m=audio 9 RTP/AVP 0", "a=mid:a", "m=audio 9 RTP/AVP 0", "a=mid:b", "a=ice-ufrag:other", f"a=ice-pwd:{'o' * 22}")
    fragment = TrickleFragment.from_sdp(text(*CREDENTIALS, *lines))
    assert [fragment.credentials_of(one) for one in fragment.sections] == [OWN, OTHER]
    assert [one.credentials for one in fragment.sections] == [None, OTHER]
    half = TrickleFragment.from_sdp(text(*CREDENTIALS, "m=audio 9 RTP/AVP 0", "a=mid:a", f"a=ice-pwd:{'o' * 22}"))
    assert half.sections[0].credentials == Credentials(UFRAG, "o" * 22)


@pytest.mark.req("RFC8840-016", "RFC8840-017")
def test_names_are_read_in_any_case_and_unknown_attributes_are_ignored():
    mixed = text(*(line.upper() if "pwd" not in line and "ufrag" not in line else line for line in CREDENTIALS), "a=foo:bar")
    mixed += text("b=AS:5", "m=audio 9 RTP/AVP 0", "a=x", "A=Mid:a", "a=rtcp-mux", HOST.replace("candidate", "Candidate"), "a=")
    mixed += text("a=END-OF-CANDIDATES")
    fragment = TrickleFragment.from_sdp(mixed)
    assert fragment == TrickleFragment([FragmentSection("a", [ONE], end_of_candidates=True)], credentials=OWN)


def test_candidate_of_an_unknown_kind_is_skipped():
    lines = (*CREDENTIALS, "m=audio 9 RTP/AVP 0", "a=mid:a", HOST.replace("udp", "sctp"), HOST)
    assert TrickleFragment.from_sdp(text(*lines)).sections[0].candidates == (ONE,)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((), "line 1: ice-ufrag: missing"),
        ((CREDENTIALS[0],), "line 1: ice-pwd: missing"),
        ((CREDENTIALS[1], "a=x"), "line 1: ice-ufrag: missing"),
        ((*CREDENTIALS, "m=audio 9 RTP/AVP 0", HOST), "line 3: mid: missing"),
        ((*CREDENTIALS, "m=audio 9 RTP/AVP 0", "a=mid:a b"), "line 3: mid: 'a b'"),
        (("m=audio 9 RTP/AVP 0", "a=mid:a"), "line 1: ice-ufrag: missing"),
        (("m=audio 9 RTP/AVP 0", "a=mid:a", CREDENTIALS[0]), "line 1: ice-pwd: missing"),
        ((*CREDENTIALS, "m=audio 9 RTP/AVP 0", "a=mid:a", "a=candidate:1"), "line 5: candidate component"),
        ((*CREDENTIALS, "nonsense"), "line 3"),
        ((*CREDENTIALS, "a=end-of-candidates:x"), "line 3: end-of-candidates"),
        ((*CREDENTIALS, "m=audio 9 RTP/AVP 0", "a=mid:a", *[HOST] * 1001), "line 1005: candidate: more than 1000"),
    ],
)
def test_malformed_body_is_an_error_that_names_the_line(lines, why):
    with pytest.raises(ValueError, match=why):
        TrickleFragment.from_sdp(text(*lines))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: TrickleFragment([]), "ice-ufrag: missing"),
        (lambda: TrickleFragment([FragmentSection("a")]), "section a: ice-ufrag: missing"),
        (lambda: FragmentSection("a b"), "mid"),
    ],
)
def test_body_without_its_generation_or_a_name_is_refused(make, why):
    with pytest.raises(ValueError, match=why):
        make()


@given(st.text())
def test_any_text_is_a_body_or_a_value_error(anything):
    for whole in (anything, text(*CREDENTIALS, anything), text(*CREDENTIALS, "m=", "a=mid:a", anything)):
        try:
            read = TrickleFragment.from_sdp(whole)
        except ValueError:
            continue
        assert TrickleFragment.from_sdp(read.to_sdp()) == read


def test_password_stays_out_of_the_repr():
    assert PWD not in repr(TrickleFragment([FragmentSection("a", [ONE], credentials=OWN)], credentials=OWN))
