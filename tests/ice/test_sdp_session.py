"""The ICE parts of whole offers and answers, as programs of the field write them (RFC 8839)."""

import attrs
import pytest
from hypothesis import given, strategies as st

from ice._texts import CREDENTIALS, FIXTURES, HOST, PWD, UFRAG, audio, fixture, offer
from ice.test_candidate import CANDIDATES
from ice.test_session_description import sessions
from sansice import Address
from sansice.ice import (
    Candidate,
    CandidateType,
    CredentialLevel,
    Description,
    HostName,
    RemoteCandidate,
    SessionDescription,
    SessionSdp,
    find_mismatches,
)

OTHER = ("a=ice-ufrag:other", f"a=ice-pwd:{'o' * 22}")


def read(*lines, session=()):
    return SessionSdp.from_sdp(offer(*lines, session=session))


# What the field writes

FIELD = {
    # name: mids, tags, and of each stream: ufrag, candidates, of them unknown ones, options, whether more may come
    "chromium": (("0", "1", "2"), {"0": "0", "1": "0", "2": "0"}, {"0": ("EsAw", 4, 0, ("trickle",), True)}),
    "chromium-data": (("0",), {"0": "0"}, {"0": ("d8+/", 1, 0, ("trickle",), True)}),
    "firefox": (("0", "1"), {"0": "0", "1": "0"}, {"0": ("1f2e3d4c", 6, 0, ("trickle",), False)}),
    "safari": (
        ("audio", "video"),
        {"audio": "audio", "video": "audio"},
        {"audio": ("qW4/", 2, 0, ("trickle", "renomination"), True)},
    ),
    "libwebrtc-native": (("audio",), {"audio": "audio"}, {"audio": ("Gh7k", 2, 1, ("trickle", "renomination"), True)}),
    "freeswitch": (("0",), {"0": "0"}, {"0": ("xYz0123456789abc", 1, 0, (), False)}),
    "asterisk": (("0",), {"0": "0"}, {"0": ("1c8d0a4e6b2f7753", 5, 0, (), False)}),
    "teams": (("0", "1"), {"0": "0"}, {"0": ("kQ2r", 4, 3, (), False)}),
    "rfc8839": (("0",), {"0": "0"}, {"0": ("8hhY", 2, 0, ("ice2",), False)}),
    "lite-server": (("0", "1"), {"0": "0", "1": "0"}, {"0": ("zt7o0g4ygvcyhl9e", 2, 0, ("renomination",), False)}),
}


def test_every_text_of_the_field_is_expected_to_be_something():
    assert sorted(FIELD) == FIXTURES


@pytest.mark.req("RFC8839-005", "RFC8839-029", "RFC8839-032")
@pytest.mark.parametrize("name", FIXTURES)
def test_text_of_the_field_is_read(name):
    mids, tags, streams = FIELD[name]
    sdp = SessionSdp.from_sdp(fixture(name))
    assert (sdp.mids, sdp.tags) == (mids, tags)
    assert {
        mid: (one.ufrag, len(one.candidates), sdp.by_mid[mid].ice.unsupported, one.options, not one.end_of_candidates)
        for mid, one in sdp.descriptions.items()
    } == streams
    assert sdp.description.mids == tuple(streams)
    assert sdp.description.lite is (name == "lite-server")


@pytest.mark.parametrize("name", FIXTURES)
def test_text_of_the_field_is_written_as_it_came(name):
    assert SessionSdp.from_sdp(fixture(name)).to_sdp() == fixture(name)
    assert SessionSdp.from_sdp(fixture(name).replace("\r\n", "\n")).to_sdp() == fixture(name)


def test_candidates_of_the_field_keep_names_and_extensions():
    [hidden] = SessionSdp.from_sdp(fixture("chromium-data")).description[0].candidates
    assert hidden.address == HostName("3f2f0a0e-6f52-4d4e-a3b1-0d9c1b2a3e4f.local", 61000)
    assert hidden.extensions == (("generation", "0"), ("network-cost", "999"))


# Levels

AUDIO, VIDEO = audio(), (*audio(), "a=mid:v")


@pytest.mark.req("RFC8839-037")
def test_credentials_of_a_section_override_those_of_the_session():
    sdp = read(*audio(), *audio(*OTHER), session=CREDENTIALS)
    assert [(one.ufrag, one.pwd) for one in sdp.description] == [(UFRAG, PWD), ("other", "o" * 22)]


@pytest.mark.req("RFC8839-037")
def test_password_of_a_section_goes_with_the_ufrag_of_the_session():
    sdp = read(*audio(f"a=ice-pwd:{'q' * 22}"), session=CREDENTIALS)
    assert (sdp.description[0].ufrag, sdp.description[0].pwd) == (UFRAG, "q" * 22)


@pytest.mark.req("RFC8839-041", "RFC8838-002")
def test_options_of_both_levels_count():
    sdp = read(*audio(*CREDENTIALS, "a=ice-options:rtp+ecn ice2"), *audio(*OTHER), session=["a=ice-options:ice2 trickle"])
    assert [one.options for one in sdp.description] == [("ice2", "trickle", "rtp+ecn"), ("ice2", "trickle")]


@pytest.mark.req("RFC8838-002")
def test_agent_that_trickles_in_one_section_trickles_in_all():
    sdp = read(*audio(*CREDENTIALS, "a=ice-options:trickle"), *audio(*OTHER))
    assert [one.end_of_candidates for one in sdp.description] == [False, False]
    assert sdp.description.options == ("trickle",)
    assert sdp.trickles is True
    assert read(*audio(*CREDENTIALS)).trickles is False


@pytest.mark.req("RFC8839-036", "RFC8839-040")
@pytest.mark.parametrize("session", [True, False])
def test_lite_and_pacing_are_of_the_session_wherever_they_are_written(session):
    lines = ["a=ice-lite", "a=ice-pacing:20"]
    sdp = read(*audio(*CREDENTIALS, *([] if session else lines)), *audio(*OTHER), session=lines if session else ())
    assert [(one.lite, one.pacing) for one in sdp.description] == [(True, 20)] * 2


def test_slowest_pace_of_several_sections_counts_and_the_sessions_before_all():
    lines = (*audio(*CREDENTIALS, "a=ice-pacing:20"), *audio(*OTHER, "a=ice-pacing:30"))
    assert read(*lines).description.pacing == 30
    assert read(*lines, session=["a=ice-pacing:10"]).description.pacing == 10


@pytest.mark.req("RFC8839-036", "RFC8839-009")
def test_mismatch_is_of_a_section_and_ends_ice_there_alone():
    lines = (*audio(*CREDENTIALS, "a=ice-mismatch"), *audio(*OTHER))
    assert tuple(read(*lines).descriptions) == ("1",)
    assert tuple(read(*audio(*CREDENTIALS), session=["a=ice-mismatch"]).descriptions) == ("0",)


@pytest.mark.req("RFC8840-013", "RFC8840-014")
def test_end_of_candidates_is_of_a_section_or_of_all():
    lines = ("a=ice-options:trickle",)
    one = read(*audio(*CREDENTIALS, "a=end-of-candidates"), *audio(*OTHER), session=lines)
    assert [stream.end_of_candidates for stream in one.description] == [True, False]
    every = read(*audio(*CREDENTIALS), *audio(*OTHER), session=[*lines, "a=end-of-candidates"])
    assert [stream.end_of_candidates for stream in every.description] == [True, True]


def test_candidates_belong_to_sections_alone():
    assert read(*audio(*CREDENTIALS), session=[HOST]).description[0].candidates == ()


@pytest.mark.req("RFC8839-005", "RFC8839-012")
def test_section_without_credentials_does_not_use_ice():
    sdp = read(*audio(HOST), *audio(*OTHER))
    assert tuple(sdp.descriptions) == ("1",)
    with pytest.raises(ValueError, match="no section uses ICE"):
        _ = read(*audio(HOST)).description


# What contradicts itself


@pytest.mark.req("RFC8839-036", "RFC8839-037", "RFC8839-039", "RFC8839-040", "RFC8840-014")
@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (audio(CREDENTIALS[0]), "line 5: ice-pwd: missing"),
        (audio(CREDENTIALS[1]), "line 5: ice-ufrag: missing"),
        (audio(*CREDENTIALS, "a=ice-ufrag:again"), "line 10: ice-ufrag: comes twice"),
        ((*audio(*CREDENTIALS), *audio(CREDENTIALS[0], OTHER[1])), "line 10: ice-pwd: two streams have the ice-ufrag 'abcd'"),
        ((*audio("a=mid:x"), *audio("a=mid:x")), "line 9: mid: two sections are named 'x'"),
        (audio("a=mid:a b"), "line 8: mid: 'a b'"),
        (audio("a=ice-lite:yes"), "line 8: ice-lite: it has no value, and here 'yes'"),
        (audio("a=ice-mismatch:"), None),
        (audio("a=end-of-candidates:1"), "line 8: end-of-candidates: it has no value"),
        (audio("a=ice-ufrag:abc"), "line 8: ice-ufrag"),
        (audio("a=ice-pwd:short"), "line 8: ice-pwd"),
        (audio("a=ice-options:="), "line 8: ice-options"),
        (audio("a=ice-pacing:x"), "line 8: ice-pacing"),
        (audio("a=candidate:x"), "line 8: candidate component: missing"),
        (audio("a=candidate:1 1 udp 1 192.0.2.1 70000 typ host"), "line 8: candidate port"),
    ],
)
def test_what_contradicts_itself_is_an_error_that_names_the_line(lines, why):
    if why is None:
        read(*lines)
        return
    with pytest.raises(ValueError, match=why):
        read(*lines)


def test_attribute_that_comes_twice_alike_is_one():
    assert read(*audio(*CREDENTIALS, *CREDENTIALS)).description[0].ufrag == UFRAG


def test_section_without_a_name_is_known_by_its_number():
    sdp = read(*audio("a=mid:1"), *audio(), *audio())
    assert sdp.mids == ("1", "1+", "2")


def test_password_stays_out_of_the_repr():
    sdp = read(*audio(*CREDENTIALS), session=OTHER)
    assert PWD not in repr(sdp)
    assert "o" * 22 not in repr(sdp)


# Candidates of the peer's that were selected


@pytest.mark.req("RFC8839-035")
@pytest.mark.parametrize(
    "lines",
    [
        ["a=remote-candidates:2 2001:db8::3 45665 1 192.0.2.3 45664"],
        ["a=remote-candidates:2 2001:db8::3 45665", "a=Remote-Candidates:1 192.0.2.3 45664 "],
    ],
)
def test_selected_candidates_come_in_any_order_on_one_line_or_several(lines):
    expected = (RemoteCandidate(2, Address("2001:db8::3", 45665)), RemoteCandidate(1, Address("192.0.2.3", 45664)))
    sdp = read(*audio(*lines))
    assert sdp.sections[0].ice.remote_candidates == expected
    assert read(*audio()).with_ice(ours("0"), remote_candidates={"0": expected}).sections[0].ice.remote_candidates == expected
    assert read(*audio(), session=lines).sections[0].ice.remote_candidates == ()


@pytest.mark.req("RFC8839-035")
@pytest.mark.parametrize(
    "value", ["", "1", "1 192.0.2.1", "0 192.0.2.1 9", "257 192.0.2.1 9", "1 192.0.2.1 70000", "x 192.0.2.1 9"]
)
def test_malformed_selected_candidates_are_an_error(value):
    with pytest.raises(ValueError, match=r"line 8: (remote-candidates|candidate)"):
        read(*audio(f"a=remote-candidates:{value}"))


# Bundles


def test_sections_of_a_bundle_share_the_stream_of_the_first_that_is_there():
    sections = (*audio(*CREDENTIALS, "a=mid:a", port=0), *audio(*OTHER, "a=mid:b"), *audio("a=mid:c", "a=bundle-only", port=0))
    sdp = read(*sections, session=["a=group:LS a c", "a=group:", "a=group:BUNDLE a b c elsewhere"])
    assert sdp.bundles == (("a", "b", "c", "elsewhere"),)
    assert sdp.tags == {"b": "b", "c": "b"}
    assert tuple(sdp.descriptions) == ("b",)


def test_answerer_that_does_not_bundle_finds_a_stream_in_each_section():
    assert SessionSdp.from_sdp(fixture("chromium")).unbundled.description.mids == ("0", "1", "2")


# Writing


def described(number=0, **fields):
    fields.setdefault("options", ("ice2",))
    fields.setdefault("pacing", 50)
    fields.setdefault("candidates", [Candidate.from_sdp(f"1 1 udp 2130706431 192.0.2.7 600{number} typ host")])
    return Description(f"ours{number}", f"{number}" * 22, **fields)


def ours(*mids, **fields):
    return SessionDescription([described(number, **fields) for number in range(len(mids))], mids=mids)


ICE = ("ice-", "candidate:", "remote-candidates:", "end-of-candidates", "rtcp:")


def bare(sdp):
    """The lines that are neither ICE's nor say where the default destination is."""
    lines = [line for line in sdp.to_sdp().split("\r\n") if not line.startswith(tuple(f"a={name}" for name in ICE))]
    return [" ".join(line.split(" ")[::2]) if line.startswith("m=") else line for line in lines if not line.startswith("c=")]


@pytest.mark.parametrize("name", FIXTURES)
def test_lines_of_others_stay_as_they_are_and_in_order(name):
    sdp = SessionSdp.from_sdp(fixture(name))
    tagged = tuple(dict.fromkeys(sdp.tags.values()))
    written = sdp.with_ice(ours(*tagged))
    assert bare(written) == bare(sdp)
    assert written.description == ours(*tagged)
    assert find_mismatches(written) == ()


@given(sessions(), st.sampled_from(FIXTURES))
def test_any_description_that_is_written_into_any_text_is_read_back(session, name):
    sdp = SessionSdp.from_sdp(fixture(name))
    [tag] = dict.fromkeys(sdp.tags.values())
    one = SessionDescription(session.streams[:1], mids=[tag])
    [back] = sdp.with_ice(one).description
    wanted = one[0]
    trickles = "trickle" in wanted.options or not wanted.end_of_candidates
    assert set(back.options) == {*wanted.options, *(["trickle"] if trickles else [])}
    # A lite agent has no pace.
    assert attrs.evolve(back, options=wanted.options) == attrs.evolve(wanted, pacing=None if wanted.lite else wanted.pacing)


def written(session, *lines, **options):
    return read(*lines).with_ice(session, **options).to_sdp().split("\r\n")


@pytest.mark.req("RFC8839-001", "RFC8839-003", "RFC8839-010", "RFC8839-011", "RFC8839-002", "RFC8840-001")
def test_offer_has_ours_at_its_level_and_the_best_candidate_as_default():
    relayed = Candidate.from_sdp("2 1 udp 99 198.51.100.7 7000 typ relay raddr 192.0.2.7 rport 6000")
    host = Candidate.from_sdp("1 1 udp 2130706431 192.0.2.7 6000 typ host")
    session = SessionDescription([described(candidates=[host, relayed], options=("ice2", "trickle"), end_of_candidates=False)])
    sdp = read(
        "m=audio 9 RTP/AVP 0", "i=title", "c=IN IP4 0.0.0.0", "b=AS:64", "a=x", *CREDENTIALS, "a=ice-pacing:1", session=["a=y"]
    )
    assert sdp.with_ice(session).to_sdp().split("\r\n")[4:] == [
        "a=y",
        "a=ice-options:ice2 trickle",
        "a=ice-pacing:50",
        "m=audio 7000 RTP/AVP 0",
        "i=title",
        "c=IN IP4 198.51.100.7",
        "b=AS:64",
        "a=x",
        "a=mid:0",
        "a=ice-ufrag:ours0",
        f"a=ice-pwd:{'0' * 22}",
        "a=candidate:1 1 udp 2130706431 192.0.2.7 6000 typ host",
        "a=candidate:2 1 udp 99 198.51.100.7 7000 typ relay raddr 192.0.2.7 rport 6000",
        "",
    ]


@pytest.mark.req("RFC8839-002", "RFC8839-011", "RFC8839-036")
def test_lite_agent_says_so_and_has_no_pace():
    lines = written(ours("0", lite=True), *audio())
    assert lines[4] == "a=ice-lite"
    assert not [line for line in lines if "pacing" in line]
    assert "a=ice-lite" not in written(ours("0"), *audio())


@pytest.mark.req("RFC8838-002")
def test_who_trickles_in_one_stream_says_so_for_the_session():
    session = SessionDescription([described(0), described(1, end_of_candidates=False)], mids=["0", "v"])
    lines = written(session, *AUDIO, *VIDEO)
    assert [line for line in lines if "trickle" in line] == ["a=ice-options:ice2 trickle"]
    assert lines.index("a=ice-options:ice2 trickle") < min(lines.index(line) for line in lines if line.startswith("m="))


@pytest.mark.req("RFC8839-004", "RFC8839-018")
def test_stream_on_hold_keeps_ice_and_its_address():
    lines = written(ours("0"), *audio("a=inactive", host="0.0.0.0"), "b=AS:0")
    assert "c=IN IP4 192.0.2.7" in lines
    assert "a=ice-ufrag:ours0" in lines
    assert "c=IN IP4 0.0.0.0" not in lines


@pytest.mark.req("RFC8839-004")
def test_stream_that_is_removed_has_no_ice():
    sdp = read(*audio(*CREDENTIALS, HOST, port=0), *audio()).with_ice(ours("0", "1"))
    assert "ice" not in "".join(sdp.sections[0].lines)
    assert sdp.sections[0].port == 0
    assert tuple(sdp.descriptions) == ("1",)


@pytest.mark.req("RFC8839-013", "RFC8840-002", "RFC8840-003", "RFC8840-004")
@pytest.mark.parametrize(
    "candidates",
    [
        [],
        [Candidate.from_sdp("1 1 tcp 1 192.0.2.7 6000 typ host tcptype passive")],
        [Candidate.from_sdp("1 1 udp 1 hidden.local 6000 typ host")],
        [Candidate.from_sdp("1 1 udp 1 fe80::1 6000 typ host")],
        [Candidate.from_sdp("1 2 udp 1 192.0.2.7 6001 typ host")],
    ],
)
@pytest.mark.parametrize(("host", "hidden"), [("203.0.113.9", "IN IP4 0.0.0.0"), ("2001:db8::9", "IN IP6 ::")])
def test_without_a_candidate_for_it_the_default_is_nowhere(candidates, host, hidden):
    section = ("m=audio 5000 RTP/AVP 0", f"c=IN {'IP6' if ':' in host else 'IP4'} {host}", "a=rtcp:5001")
    lines = written(ours("0", candidates=candidates, options=("ice2", "trickle"), end_of_candidates=False), *section)
    assert f"c={hidden}" in lines
    assert "m=audio 9 RTP/AVP 0" in lines
    assert not [line for line in lines if line.startswith("a=rtcp")]


@pytest.mark.req("RFC8840-005")
def test_who_trickles_names_all_sections():
    lines = written(ours("0", "v", end_of_candidates=False), *AUDIO, *VIDEO)
    assert [line for line in lines if line.startswith("a=mid")] == ["a=mid:0", "a=mid:v"]
    assert "a=mid:0" not in written(ours("0", "v"), *AUDIO, *VIDEO)


@pytest.mark.req("RFC8839-001")
def test_rtcp_of_its_own_is_told_with_its_address():
    rtcp = Candidate.from_sdp("1 2 udp 2130706430 2001:db8::7 6009 typ host")
    rtp = Candidate.from_sdp("1 1 udp 2130706431 2001:db8::7 6000 typ host")
    lines = written(ours("0", candidates=[rtcp, rtp]), "m=audio 5 RTP/AVP 0", "c=IN IP4 192.0.2.1", "a=rtcp:5 IN IP4 192.0.2.1")
    assert "a=rtcp:6009 IN IP6 2001:db8::7" in lines
    assert "a=rtcp:5 IN IP4 192.0.2.1" not in lines


@pytest.mark.req("RFC8839-021")
def test_after_nomination_there_is_the_nominated_candidate_alone():
    reflexive = Candidate.from_sdp("5 1 udp 9 203.0.113.7 7777 typ srflx raddr 192.0.2.7 rport 6000")
    sdp = read(*audio()).with_ice(ours("0"), nominated={"0": [reflexive]})
    assert sdp.description[0].candidates == (reflexive,)
    assert sdp.sections[0].destinations == {1: Address("203.0.113.7", 7777)}


def test_sections_of_a_bundle_have_the_destination_of_their_stream_and_nothing_else_of_ice():
    bundle = ["a=group:BUNDLE a b c"]
    sdp = read(*audio("a=mid:a"), *audio(*OTHER, "a=mid:b"), *audio("a=mid:c", "a=bundle-only", port=0), session=bundle)
    a, b, c = sdp.with_ice(ours("a")).sections
    assert (b.port, b.host) == (a.port, a.host) == (6000, "192.0.2.7")
    assert (c.port, b.ice.ufrag, c.ice.ufrag) == (0, None, None)


@pytest.mark.req("RFC8839-012")
def test_without_ours_nothing_of_ice_is_left_and_rtcp_is():
    sdp = SessionSdp.from_sdp(fixture("asterisk") + "a=rtcp:17845\r\n").with_ice(None)
    assert "ice-" not in sdp.to_sdp()
    assert "candidate" not in sdp.to_sdp()
    assert sdp.sections[0].rtcp == Address("203.0.113.70", 17845)
    assert (sdp.sections[0].port, sdp.sections[0].host) == (17844, "203.0.113.70")


def test_credentials_of_the_session_are_written_once():
    one = described()
    sdp = read(*audio(), *audio()).with_ice(SessionDescription([one, one]), credentials=CredentialLevel.SESSION)
    assert (sdp.ice.ufrag, sdp.ice.pwd) == ("ours0", "0" * 22)
    assert [section.ice.ufrag for section in sdp.sections] == [None, None]
    with pytest.raises(ValueError, match="credentials of their own"):
        read(*audio(), *audio()).with_ice(ours("0", "1"), credentials=CredentialLevel.SESSION)


def test_section_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no section is named 'x'"):
        read(*audio()).with_ice(ours("x"))


def test_option_of_one_stream_is_written_there():
    session = SessionDescription([described(0), described(1, options=("ice2", "rtp+ecn"))])
    sdp = read(*audio(), *audio()).with_ice(session)
    assert (sdp.ice.options, sdp.sections[1].ice.options) == (("ice2",), ("rtp+ecn",))


def test_several_blanks_between_the_words_of_a_media_line_are_no_matter():
    assert "m=audio 6000 RTP/AVP 0  8" in written(ours("0"), "m= audio  5000/2  RTP/AVP 0  8")


# A session as attribute lines


def as_sdp_can_say(session):
    trickles = "trickle" in session.options
    return trickles or session.end_of_candidates


@given(sessions().filter(as_sdp_can_say))
def test_any_session_survives_sdp(session):
    back = SessionDescription.from_sdp(session.to_sdp())
    expected = [attrs.evolve(one, pacing=None if session.lite else one.pacing) for one in session]
    assert [(one, sorted(two.options)) for one, two in zip(back.mids, back, strict=True)] == [
        (mid, sorted(set(one.options))) for mid, one in zip(session.mids, session, strict=True)
    ]
    assert [attrs.evolve(one, options=()) for one in back] == [attrs.evolve(one, options=()) for one in expected]


def test_lines_without_a_section_are_one_stream():
    one = described()
    assert SessionDescription.from_sdp(one.to_sdp()) == SessionDescription([one])


@given(st.lists(CANDIDATES, max_size=8))
def test_default_is_always_a_candidate_or_nowhere(candidates):
    sdp = read(*audio()).with_ice(ours("0", candidates=candidates))
    assert find_mismatches(sdp) == ()
    [(_, address)] = [item for item in sdp.sections[0].destinations.items() if item[0] == 1]
    assert address == Address("0.0.0.0", 9) or address in {one.address for one in candidates}
    assert CandidateType.HOST.value == "host"
