"""Default destinations: which one is chosen, and which are no candidate (RFC 8839 4.2, RFC 8445 5.2)."""

import pytest

from ice._texts import CREDENTIALS, FIXTURES, HOST, audio, fixture, offer
from sansice import Address, Transport
from sansice.ice import Candidate, DefaultFamily, Description, HostName, SessionDescription, SessionSdp, find_mismatches
from sansice.ice._sdp._defaults import choose_defaults
from sansice.ice._sdp._section import transport_of

TRICKLE = ("a=ice-options:trickle",)


def parsed(*lines, session=()):
    return SessionSdp.from_sdp(offer(*lines, session=session))


def candidates(*texts):
    return [Candidate.from_sdp(text) for text in texts]


# What is received


@pytest.mark.req("RFC8839-006", "RFC8839-007", "RFC8840-006")
@pytest.mark.parametrize("name", FIXTURES)
def test_only_a_server_that_writes_any_default_is_mismatched_in_the_field(name):
    assert find_mismatches(SessionSdp.from_sdp(fixture(name))) == (("0", "1") if name == "lite-server" else ())


@pytest.mark.req("RFC8839-006")
@pytest.mark.parametrize(
    "rewritten",
    [
        {"port": 5001},
        {"host": "203.0.113.1"},
        {"host": "203.0.113.1", "port": 9},
        {"host": "0.0.0.0", "port": 5000},
        {"proto": "TCP/TLS/RTP/SAVPF"},
    ],
)
def test_destination_that_is_no_candidate_is_a_mismatch(rewritten):
    assert find_mismatches(parsed(*audio(*CREDENTIALS, HOST))) == ()
    assert find_mismatches(parsed(*audio(*CREDENTIALS, HOST, **rewritten))) == ("0",)


@pytest.mark.req("RFC8839-006")
def test_each_section_is_judged_by_itself_and_those_without_ice_are_not():
    other = ("a=ice-ufrag:other", f"a=ice-pwd:{'o' * 22}", HOST)
    lines = (*audio(*CREDENTIALS, HOST), *audio(*other, port=7), *audio(port=8))
    assert find_mismatches(parsed(*lines)) == ("1",)


@pytest.mark.req("RFC8839-007")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_nowhere_is_no_mismatch(host):
    assert find_mismatches(parsed(*audio(*CREDENTIALS, HOST, host=host, port=9))) == ()
    assert find_mismatches(parsed(*audio(*CREDENTIALS, host=host, port=9))) == ()


@pytest.mark.req("RFC8839-008")
def test_name_is_no_mismatch():
    sdp = parsed(*audio(*CREDENTIALS, HOST, host="host.example"))
    assert sdp.sections[0].destinations == {1: HostName("host.example", 5000)}
    assert find_mismatches(sdp) == ()


@pytest.mark.req("RFC8840-006")
def test_port_of_who_has_no_candidates_yet_is_no_mismatch():
    assert find_mismatches(parsed(*audio(*CREDENTIALS, host="203.0.113.1", port=9), session=TRICKLE)) == ()
    assert find_mismatches(parsed(*audio(*CREDENTIALS, host="203.0.113.1", port=8), session=TRICKLE)) == ("0",)


@pytest.mark.req("RFC8839-006")
def test_destination_of_rtcp_is_a_candidate_too():
    rtcp = HOST.replace(" 1 udp", " 2 udp")
    plain = ("m=audio 5000 RTP/AVP 0", "c=IN IP4 192.0.2.1", *CREDENTIALS, HOST)
    assert find_mismatches(parsed(*plain)) == ()  # no candidate for RTCP: there is none
    assert find_mismatches(parsed(*plain, rtcp.replace("5000", "5001"))) == ()
    assert find_mismatches(parsed(*plain, rtcp.replace("5000", "5002"))) == ("0",)
    assert find_mismatches(parsed(*plain, rtcp.replace("5000", "5002"), "a=rtcp:5002")) == ()
    assert find_mismatches(parsed(*plain, "a=rtcp:5002 IN IP4 192.0.2.1")) == ("0",)
    assert find_mismatches(parsed(*plain, "a=rtcp:9 IN IP4 0.0.0.0")) == ()
    assert find_mismatches(parsed(*plain, "a=rtcp:5000")) == ("0",)
    assert find_mismatches(parsed(*plain, "a=rtcp:5000", "a=rtcp-mux")) == ()
    assert find_mismatches(parsed(*plain, "a=rtcp:5001", "a=rtcp-mux")) == ("0",)


def test_last_port_has_no_next_one():
    last = ("m=audio 65535 RTP/AVP 0", "c=IN IP4 192.0.2.1", HOST.replace(" 1 udp", " 2 udp"))
    assert parsed(*last).sections[0].destinations == {1: Address("192.0.2.1", 65535)}


def test_sections_of_a_bundle_are_judged_by_the_candidates_of_its_stream():
    bundle = ["a=group:BUNDLE a b c"]
    lines = (*audio(*CREDENTIALS, HOST, "a=mid:a"), *audio("a=mid:b"), *audio("a=mid:c", "a=bundle-only", port=0))
    assert find_mismatches(parsed(*lines, session=bundle)) == ()
    assert find_mismatches(parsed(*audio(*CREDENTIALS, HOST, "a=mid:a"), *audio("a=mid:b", port=7), session=bundle)) == ("b",)


def test_section_without_a_connection_has_no_destination():
    sdp = parsed("m=audio 7 RTP/AVP 0", *CREDENTIALS, HOST, "a=rtcp:8")
    assert (sdp.sections[0].destinations, sdp.sections[0].rtcp) == ({}, None)
    assert find_mismatches(sdp) == ()


def test_connection_of_the_session_is_the_default_of_its_sections():
    [one, other] = parsed("m=audio 7 RTP/AVP 0", *audio(), session=["c=IN IP4 224.2.1.1/127/3"]).sections
    assert (one.host, other.host) == ("224.2.1.1", "192.0.2.1")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("c=IN IP4", "line 6: c=: not a network"),
        ("c=IN IP4 1.2.3", "line 6: c=: '1.2.3' is neither"),
        ("a=rtcp:", "line 6: rtcp: not a port"),
        ("a=rtcp:x", "line 6: rtcp: 'x' is not a number"),
        ("a=rtcp:5 IN IP4", "line 6: rtcp: not a port, alone"),
        ("a=rtcp:5 IN IP4 ..", "line 6: rtcp: '..' is neither"),
        ("a=rtcp:65536", "line 6: rtcp: '65536' is not a number of 0..65535"),
        ("m=audio", "line 6: m=: not a kind of media"),
        ("m=audio x RTP/AVP 0", "line 6: m= port: 'x' is not a number"),
        ("m=audio 65536 RTP/AVP 0", "line 6: m= port"),
    ],
)
def test_malformed_destination_is_an_error_that_names_the_line(line, why):
    with pytest.raises(ValueError, match=why):
        parsed("m=audio 5000 RTP/AVP 0", line)


@pytest.mark.parametrize(
    ("proto", "transport"),
    [("RTP/AVP", "udp"), ("UDP/TLS/RTP/SAVPF", "udp"), ("udp", "udp"), ("TCP/TLS/RTP/SAVPF", "tcp"), ("tcp", "tcp")],
)
def test_protocol_of_a_section_is_over_udp_or_tcp(proto, transport):
    assert transport_of(proto) is Transport(transport)
    assert parsed(*audio(proto=proto)).sections[0].transport is Transport(transport)


# What is chosen

V4, V6 = DefaultFamily.IPV4, DefaultFamily.IPV6
HOST4, HOST6 = "1 1 udp 100 192.0.2.7 1 typ host", "2 1 udp 200 2001:db8::7 1 typ host"
SRFLX = "3 1 udp 90 203.0.113.7 2 typ srflx raddr 192.0.2.7 rport 1"
RELAY = "4 1 udp 9 198.51.100.7 3 typ relay raddr 203.0.113.7 rport 2"


@pytest.mark.parametrize(
    ("texts", "family", "chosen"),
    [
        ([HOST4, SRFLX, RELAY], V4, "198.51.100.7"),
        ([HOST4, SRFLX], V4, "203.0.113.7"),
        ([HOST6, HOST4], V4, "192.0.2.7"),
        ([HOST6, HOST4], V6, "2001:db8::7"),
        ([HOST6, HOST4, RELAY], V6, "2001:db8::7"),
        ([HOST6], V4, "2001:db8::7"),
        ([HOST4, HOST4.replace("100 192.0.2.7", "101 192.0.2.8")], V4, "192.0.2.8"),
    ],
)
def test_default_is_what_reaches_most_of_those_without_ice(texts, family, chosen):
    assert choose_defaults(candidates(*texts), Transport.UDP, family)[1].host == chosen


def test_rtcp_has_a_default_of_the_kind_of_rtps():
    rtcp = HOST4.replace(" 1 udp", " 2 udp")
    both = choose_defaults(candidates(HOST4, rtcp, RELAY, RELAY.replace("4 1 udp", "4 2 udp")), Transport.UDP, V4)
    assert {component: address.host for component, address in both.items()} == {1: "198.51.100.7", 2: "198.51.100.7"}
    alone = choose_defaults(candidates(RELAY, rtcp), Transport.UDP, V4)
    assert {component: address.host for component, address in alone.items()} == {1: "198.51.100.7", 2: "192.0.2.7"}


def test_family_of_the_default_may_be_chosen():
    stream = Description("ours", "o" * 22, candidates=candidates(HOST4, HOST6))
    sdp = parsed(*audio())
    assert sdp.with_ice(SessionDescription([stream]), default_family=V6).sections[0].host == "2001:db8::7"
    assert sdp.with_ice(SessionDescription([stream])).sections[0].host == "192.0.2.7"
