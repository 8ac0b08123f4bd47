"""Candidates and their text (RFC 8445 5.1, RFC 8839 5.1)."""

import ipaddress

import attrs
import pytest
from hypothesis import given, strategies as st

from sansice.ice import Candidate, CandidateType, HostName, TcpType, UnsupportedCandidate
from sansice.machine import Address, Transport

LINE = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"

PORTS = st.integers(0, 65535)
HOSTS = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).filter(lambda one: one.ipv4_mapped is None).map(str)
ADDRESSES = st.builds(Address.of, HOSTS, PORTS)
NAMES = st.builds(HostName, st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\.(local|example)\Z"), PORTS)
WORDS = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12).filter(lambda text: text.split() == [text])
EXTENSIONS = st.lists(st.tuples(WORDS, WORDS).filter(lambda pair: pair[0] not in ("raddr", "rport", "tcptype")), max_size=4)


def as_written(one):
    """An active TCP candidate is told with the discard port, whatever its own is (RFC 6544 4.5)."""
    return attrs.evolve(one, address=one.address._replace(port=9)) if one.tcp_type is TcpType.ACTIVE else one


CANDIDATES = st.builds(
    Candidate,
    foundation=st.from_regex(r"\A[A-Za-z0-9+/]{1,32}\Z"),
    component=st.integers(1, 256),
    transport=st.sampled_from([Transport.UDP, Transport.TCP]),
    priority=st.integers(1, 2**31 - 1),
    address=ADDRESSES | NAMES,
    type=st.sampled_from(CandidateType),
    related_address=st.none() | ADDRESSES,
    tcp_type=st.none() | st.sampled_from(TcpType),
    extensions=EXTENSIONS.map(tuple),
).map(as_written)


def line(**changed):
    """The text of an ordinary candidate with some fields replaced."""
    fields = {
        "foundation": "1",
        "component": "1",
        "transport": "udp",
        "priority": "2130706431",
        "address": "192.0.2.1",
        "port": "5000",
        "typ": "typ",
        "type": "host",
        **changed,
    }
    return "candidate:" + " ".join(fields.values())


def candidate(**changed):
    fields = {
        "foundation": "1",
        "component": 1,
        "transport": Transport.UDP,
        "priority": 1,
        "address": Address("192.0.2.1", 5000),
        "type": CandidateType.HOST,
        **changed,
    }
    return Candidate(**fields)


# What is written


@pytest.mark.req("RFC8839-026")
@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (LINE, {"priority": 2130706431}),
        (
            "candidate:2 1 udp 1694498815 203.0.113.5 45664 typ srflx raddr 192.0.2.1 rport 8998",
            {
                "foundation": "2",
                "priority": 1694498815,
                "address": Address("203.0.113.5", 45664),
                "type": CandidateType.SERVER_REFLEXIVE,
                "related_address": Address("192.0.2.1", 8998),
            },
        ),
        (
            "candidate:H 2 tcp 1518280447 2001:db8::1 9 typ host tcptype active",
            {
                "foundation": "H",
                "component": 2,
                "transport": Transport.TCP,
                "priority": 1518280447,
                "address": Address("2001:db8::1", 9),
                "tcp_type": TcpType.ACTIVE,
            },
        ),
        (
            "candidate:+/9 256 udp 1 a-b.local 9 typ relay raddr :: rport 9 generation 0 network-id 1",
            {
                "foundation": "+/9",
                "component": 256,
                "address": HostName("a-b.local", 9),
                "type": CandidateType.RELAYED,
                "related_address": Address("::", 9),
                "extensions": (("generation", "0"), ("network-id", "1")),
            },
        ),
    ],
)
def test_text_and_value_say_the_same(text, fields):
    expected = candidate(**fields)
    assert Candidate.from_sdp(text) == expected
    assert expected.to_sdp() == text


@pytest.mark.req("RFC8839-026")
@given(CANDIDATES)
def test_any_candidate_survives_its_own_text(value):
    assert Candidate.from_sdp(value.to_sdp()) == value
    assert Candidate.from_sdp(f"a={value.to_sdp()}\r\n") == value
    assert Candidate.from_sdp(value.to_sdp().removeprefix("candidate:")) == value


@pytest.mark.req("RFC6544-008")
def test_an_active_candidate_is_told_with_the_port_of_discard_whatever_it_connects_from():
    told = candidate(transport=Transport.TCP, tcp_type=TcpType.ACTIVE, address=Address("192.0.2.1", 40000)).to_sdp()
    assert "192.0.2.1 9 typ host" in told
    assert "40000" not in told


@pytest.mark.req("RFC6544-007")
@pytest.mark.parametrize("word", ["active", "passive", "so"])
def test_a_tcp_candidate_says_how_it_connects_after_what_it_is_related_to(word):
    text = f"candidate:1 1 tcp 1518280447 192.0.2.1 9 typ srflx raddr 10.0.0.1 rport 9 tcptype {word}"
    read = Candidate.from_sdp(text)
    assert (read.transport, read.tcp_type) == (Transport.TCP, TcpType(word))
    assert Candidate.from_sdp(text.replace("tcp 15", "TCP 15")) == read
    assert read.to_sdp() == text


@pytest.mark.req("RFC8839-032")
@given(EXTENSIONS)
def test_unknown_extensions_survive_in_order(extensions):
    text = LINE + "".join(f" {name} {value}" for name, value in extensions)
    read = Candidate.from_sdp(text)
    assert read.extensions == tuple(extensions)
    assert read.to_sdp() == text


def test_known_fields_are_found_wherever_they_stand_among_the_extensions():
    read = Candidate.from_sdp(f"{LINE} generation 0 rport 9 raddr 10.0.0.1 ufrag abcd tcptype so")
    assert (read.related_address, read.tcp_type) == (Address("10.0.0.1", 9), TcpType.SIMULTANEOUS_OPEN)
    assert read.extensions == (("generation", "0"), ("ufrag", "abcd"))


# What is read


@pytest.mark.parametrize("prefix", ["", "a=", "candidate:", "a=candidate:", " a=candidate:", "a=Candidate:", "a=candidate: "])
def test_prefix_of_the_line_may_be_there_or_not(prefix):
    assert Candidate.from_sdp(prefix + LINE.removeprefix("candidate:")).to_sdp() == LINE


@pytest.mark.req("RFC8839-029")
@pytest.mark.parametrize(("word", "transport"), [("udp", Transport.UDP), ("UDP", Transport.UDP), ("Tcp", Transport.TCP)])
def test_transport_is_read_in_any_case(word, transport):
    assert Candidate.from_sdp(line(transport=word)).transport is transport


@pytest.mark.req("RFC8839-029")
@pytest.mark.parametrize("word", ["FOO", "sctp", "tls", "dtls"])
def test_unknown_transport_is_told_apart_from_nonsense(word):
    with pytest.raises(UnsupportedCandidate, match="transport"):
        Candidate.from_sdp(line(transport=word))


@pytest.mark.req("RFC8839-030")
def test_all_types_are_read_and_an_unknown_one_is_told_apart_from_nonsense():
    words = ["host", "srflx", "prflx", "relay", "HOST"]
    assert [Candidate.from_sdp(line(type=word)).type.name for word in words] == [
        "HOST",
        "SERVER_REFLEXIVE",
        "PEER_REFLEXIVE",
        "RELAYED",
        "HOST",
    ]
    with pytest.raises(UnsupportedCandidate, match="type"):
        Candidate.from_sdp(line(type="foo"))


@pytest.mark.req("RFC8839-034")
@given(st.ip_addresses(v=6).filter(lambda one: one.ipv4_mapped is None))
def test_colon_in_the_address_means_ipv6(address):
    read = Candidate.from_sdp(line(address=address.exploded.upper()))
    assert read.address == Address(str(address), 5000)
    assert read.address.is_ipv6


@given(st.ip_addresses(v=4))
def test_dotted_quad_means_ipv4(address):
    assert Candidate.from_sdp(line(address=str(address))).address == Address(str(address), 5000)


@pytest.mark.req("RFC8839-027")
@pytest.mark.parametrize("foundation", ["1", "aZ09+/", "x" * 32])
def test_foundation_of_1_to_32_ice_characters_is_read(foundation):
    assert Candidate.from_sdp(line(foundation=foundation)).foundation == foundation


@pytest.mark.req("RFC8839-028", "RFC8445-023")
@pytest.mark.parametrize(("field", "value"), [("component", 1), ("component", 256), ("priority", 1), ("priority", 2**31 - 1)])
def test_numbers_are_read_to_their_limits(field, value):
    assert getattr(Candidate.from_sdp(line(**{field: str(value)})), field) == value


@pytest.mark.parametrize("port", [0, 9, 65535])
def test_port_0_is_readable_for_the_agent_to_ignore(port):
    assert Candidate.from_sdp(line(port=str(port))).address.port == port


@pytest.mark.req("RFC8839-033")
@pytest.mark.parametrize(
    "name", ["host.example", "b1c9e2f0-1234-4abc-8def-0123456789ab.local", "localhost", "under_score.example", "dotted.example."]
)
def test_name_is_kept_as_a_name(name):
    address = Candidate.from_sdp(line(address=name)).address
    assert address == HostName(name, 5000)
    assert not isinstance(address, Address)
    assert str(address) == f"{name}:5000"


# What is nonsense

NONSENSE = [
    ("", "foundation"),
    ("a=candidate:", "foundation"),
    ("candidate:1", "component"),
    ("candidate:1 1", "transport"),
    ("candidate:1 1 udp", "priority"),
    ("candidate:1 1 udp 1", "address"),
    ("candidate:1 1 udp 1 192.0.2.1", "port"),
    ("candidate:1 1 udp 1 192.0.2.1 5000", "type"),
    ("candidate:1 1 udp 1 192.0.2.1 5000 typ", "type"),
    ("a=ice-ufrag:abcd", "component"),
    ("\0" * 40, "component"),
    ("v=0 o=- s=- t=0 0 m=audio 9 RTP/AVP 0 0", "type"),
    (line(foundation="-"), "foundation"),
    (line(foundation="x" * 33), "foundation"),
    (line(foundation="ä"), "foundation"),
    (line(foundation="a:b"), "foundation"),
    (line(component="0"), "component"),
    (line(component="257"), "component"),
    (line(component="-1"), "component"),
    (line(component="+1"), "component"),
    (line(component="0001"), "component"),
    (line(component="one"), "component"),
    (line(component="1.0"), "component"),
    (line(component="\u0661"), "component"),
    (line(component="\u00b2"), "component"),
    (line(priority="0"), "priority"),
    (line(priority="2147483648"), "priority"),
    (line(priority="-5"), "priority"),
    (line(priority="1e9"), "priority"),
    (line(priority="00000000001"), "priority"),
    (line(priority="9" * 5000), "priority"),
    (line(port="-1"), "port"),
    (line(port="65536"), "port"),
    (line(port="70000"), "port"),
    (line(port="99999"), "port"),
    (line(port="123456"), "port"),
    (line(port="http"), "port"),
    (line(port="5_000"), "port"),
    (line(address="host.example", port="70000"), "port"),
    (line(address="256.0.0.1"), "address"),
    (line(address="192.0.2"), "address"),
    (line(address="127.1"), "address"),
    (line(address="0x7f000001"), "address"),
    (line(address="2130706433"), "address"),
    (line(address="192.0.2.01"), "address"),
    (line(address="[2001:db8::1]"), "address"),
    (line(address="2001:db8::1::2"), "address"),
    (line(address="2001:db8::10000"), "address"),
    (line(address="2001:db8::1%eth0"), "address"),
    (line(address="host..example"), "address"),
    (line(address="-host.example"), "address"),
    (line(address="x" * 254), "address"),
    (line(address="ho/st"), "address"),
    (line(typ="type"), "typ"),
    (line(typ="host", type="typ"), "typ"),
    (LINE + " raddr 10.0.0.1", "rport"),
    (LINE + " rport 9", "raddr"),
    (LINE + " raddr 10.0.0.1 rport 70000", "rport"),
    (LINE + " raddr 10.0.0.1 rport x", "rport"),
    (LINE + " raddr host.example rport 9", "raddr"),
    (LINE + " raddr 10.0.0.1 rport 9 raddr 10.0.0.2 rport 9", "extension"),
    (LINE + " tcptype holepunch", "tcptype"),
    (LINE + " generation", "extension"),
    (LINE + " generation 0 network-id", "extension"),
]


@pytest.mark.req("RFC8839-027", "RFC8839-028")
@pytest.mark.parametrize(
    ("text", "field"), NONSENSE, ids=[text[:60].encode("unicode_escape").decode() or "empty" for text, _ in NONSENSE]
)
def test_nonsense_is_a_value_error_that_names_the_field(text, field):
    with pytest.raises(ValueError, match=field) as caught:
        Candidate.from_sdp(text)
    assert not isinstance(caught.value, UnsupportedCandidate)


@given(st.text() | st.lists(st.sampled_from([*LINE.split(), "raddr", "rport", "::", "-1", "x"]), max_size=14).map(" ".join))
def test_any_text_is_a_candidate_or_a_value_error(text):
    try:
        read = Candidate.from_sdp(text)
    except ValueError:
        return
    assert Candidate.from_sdp(read.to_sdp()) == read


# What a program may construct


@pytest.mark.req("RFC8445-023")
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"foundation": ""}, "foundation"),
        ({"component": 0}, "component"),
        ({"component": 257}, "component"),
        ({"priority": 0}, "priority"),
        ({"priority": 2**31}, "priority"),
        ({"transport": Transport.TLS}, "transport"),
        ({"address": Address("192.0.2.1", 65536)}, "port"),
        ({"address": HostName("host.example", -1)}, "port"),
        ({"address": HostName("two words", 1)}, "address"),
        ({"extensions": (("two words", "x"),)}, "extension"),
        ({"extensions": (("name", ""),)}, "extension"),
        ({"extensions": (("name", "x\r\na=ice-pwd:y"),)}, "extension"),
        ({"extensions": (("raddr", "10.0.0.1"),)}, "extension"),
        ({"extensions": (("name", "x\0y"),)}, "extension"),
    ],
)
def test_field_out_of_range_cannot_be_constructed(changed, field):
    with pytest.raises(ValueError, match=field):
        candidate(**changed)


def test_ipv4_mapped_address_is_read_as_what_it_means():
    assert Candidate.from_sdp(line(address=str(ipaddress.IPv6Address("::ffff:192.0.2.1")))).address == Address("192.0.2.1", 5000)


def test_candidate_shows_as_its_type_and_address():
    assert str(Candidate.from_sdp(LINE)) == "host 192.0.2.1:5000"
    assert str(candidate(address=Address("2001:db8::1", 9), type=CandidateType.RELAYED)) == "relay [2001:db8::1]:9"
