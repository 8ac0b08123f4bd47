import re

import attrs
import pytest
from hypothesis import given, strategies as st

from sansice.stun import ServerUri
from sansice.stun._uri import host_name

VALID = {
    "stun:example.org": ("stun", "example.org", None, None),
    "stun:example.org:3479": ("stun", "example.org", 3479, None),
    "stuns:example.org": ("stuns", "example.org", None, None),
    "turn:example.org": ("turn", "example.org", None, None),
    "turns:example.org": ("turns", "example.org", None, None),
    "turn:example.org:8000": ("turn", "example.org", 8000, None),
    "turn:example.org?transport=udp": ("turn", "example.org", None, "udp"),
    "turn:example.org?transport=tcp": ("turn", "example.org", None, "tcp"),
    "turns:example.org?transport=tcp": ("turns", "example.org", None, "tcp"),
    "turns:[2001:db8::1]:443?transport=tcp": ("turns", "2001:db8::1", 443, "tcp"),
    "turn:192.0.2.1:1?transport=sctp~1.0_x-y": ("turn", "192.0.2.1", 1, "sctp~1.0_x-y"),
    "stun:192.0.2.1": ("stun", "192.0.2.1", None, None),
    "stun:192.0.2.1:65535": ("stun", "192.0.2.1", 65535, None),
    "stun:[2001:db8::1]": ("stun", "2001:db8::1", None, None),
    "stun:localhost": ("stun", "localhost", None, None),
    "stun:a_b.xn--bcher-kva.example": ("stun", "a_b.xn--bcher-kva.example", None, None),
    "stun:1und1.example": ("stun", "1und1.example", None, None),
    f"stun:{'a' * 63}.example": ("stun", f"{'a' * 63}.example", None, None),
}

SAME = {
    "STUN:Example.ORG": "stun:example.org",
    "TurnS:EXAMPLE.org:443?Transport=TCP": "turns:example.org:443?transport=tcp",
    "turn:example.org?transport=SCTP": "turn:example.org?transport=sctp",
    "stun:example.org.": "stun:example.org",
    "stun:example.org:": "stun:example.org",
    "stun:example.org:03478": "stun:example.org:3478",
    "turn:example.org:00003478": "turn:example.org:3478",
    "stun:%65xample%2eorg": "stun:example.org",
    "stun:[2001:DB8:0:0::0001]:3478": "stun:[2001:db8::1]:3478",
    "stun:[::ffff:192.0.2.1]": "stun:192.0.2.1",
}

WRONG = {
    "": "begins with stun:",
    "example.org": "begins with stun:",
    "http:example.org": "begins with stun:",
    "stunx:example.org": "begins with stun:",
    "stun": "begins with stun:",
    "stun://example.org": "write stun:example.org",
    "turn://example.org?transport=udp": "no // after turn:",
    "stun:": "the host is missing",
    "stun::3478": "the host is missing",
    "turn:?transport=udp": "the host is missing",
    "stun:example.org/path": "no path",
    "stun:user@example.org": "no user",
    "turn:user:secret@example.org": "no user",
    "stun:example.org#top": "no fragment",
    "stun:example.org?transport=udp": "no transport",
    "stuns:example.org?transport=tcp": "no transport",
    "stun:example.org?": "after '?'",
    "turn:example.org?": "after '?'",
    "turn:example.org?ttl=1": "after '?'",
    "turn:example.org?transport": "after '?'",
    "turn:example.org?transport=": "transport ''",
    "turn:example.org?transport=udp&x=y": "transport 'udp&x=y'",
    "turn:example.org?transport=udp?transport=tcp": "transport 'udp",
    "turn:example.org?transport=ü": "transport 'ü'",
    "stun: example.org": "white space",
    " stun:example.org": "white space",
    "stun:example.org\n": "white space",
    "stun:example\u00a0.org": "white space",
    "stun:exam\x00ple.org": "control characters",
    "stun:example.org:0": "port 0",
    "stun:example.org:65536": "port 65536",
    "stun:example.org:000000": "port 0",
    "stun:example.org:100000": "port '100000'",
    "stun:example.org:-1": "port '-1'",
    "stun:example.org:http": "port 'http'",
    "stun:example.org:\u0663\u0664": "port",
    "stun:2001:db8::1": "square brackets",
    "stun:[2001:db8::1": "'[' without ']'",
    "stun:[2001:db8::1]3478": "'3478' after the address",
    "stun:[2001:db8::1]:0": "port 0",
    "stun:[2001:db8::1::2]": "not a literal",
    "stun:[fe80::1%eth0]": "zone",
    "stun:[fe80::1%25eth0]": "zone",
    "stun:[]": "not an IPv6 address",
    "stun:[192.0.2.1]": "not an IPv6 address",
    "stun:[example.org]": "not an IPv6 address",
    "stun:[v1.fe80::a]": "not a literal",
    "stun:127.1": "not a literal",
    "stun:0x7f000001": "not a literal",
    "stun:2130706433": "not a literal",
    "stun:192.0.2.256": "not a literal",
    "stun:192.0.2.1.": "not a literal",
    "stun:example.0": "not a literal",
    "stun:b\u00fccher.example": "xn--",
    "stun:b%C3%BCcher.example": "xn--",
    "stun:.example.org": "label",
    "stun:example..org": "label",
    "stun:example.org..": "label",
    "stun:.": "label",
    "stun:-example.org": "label",
    "stun:example-.org": "label",
    "stun:exam!ple.org": "label",
    "stun:exa%6": "label",
    "stun:exa%2fmple.org": "label",
    "stun:2001%3Adb8%3A%3A1": "not a host name",
    f"stun:{'a' * 64}.example": "label",
    f"stun:{'a.' * 126}ab": "at most 253",
}


@pytest.mark.req("RFC7064-001", "RFC7064-003", "RFC7065-001")
@pytest.mark.parametrize(("text", "parts"), VALID.items())
def test_a_uri_has_these_parts_and_is_written_as_it_was_read(text, parts):
    uri = ServerUri.parse(text)
    assert attrs.astuple(uri) == parts
    assert str(uri) == text
    assert ServerUri.of(*parts) == uri


@pytest.mark.req("RFC7064-003", "RFC7065-003")
@pytest.mark.parametrize(("text", "canonical"), SAME.items())
def test_what_means_the_same_is_equal(text, canonical):
    assert ServerUri.parse(text) == ServerUri.parse(canonical)
    assert str(ServerUri.parse(text)) == canonical


@pytest.mark.req("RFC7064-001", "RFC7065-001")
@pytest.mark.parametrize(("text", "complaint"), WRONG.items())
def test_what_is_no_uri_is_refused_by_name_and_reason(text, complaint):
    with pytest.raises(ValueError, match=re.escape(f"{text!r}: ")) as caught:
        ServerUri.parse(text)
    assert complaint in str(caught.value)


@pytest.mark.req("RFC7064-002", "RFC7065-002")
def test_uris_are_not_hierarchical():
    """What a parser of hierarchical URIs gets wrong: no ``//``, yet a host with a port, and colons in brackets."""
    assert ServerUri.parse("stun:[2001:db8::1]:3478") == ServerUri("stun", "2001:db8::1", 3478)
    assert ServerUri.parse("turn:[2001:db8::1]?transport=tcp") == ServerUri("turn", "2001:db8::1", None, "tcp")
    for text in ("stun://example.org", "stun://[2001:db8::1]:3478", "turn://example.org?transport=tcp"):
        with pytest.raises(ValueError, match="no //"):
            ServerUri.parse(text)


@pytest.mark.req("RFC7065-003")
@pytest.mark.parametrize("token", ["udp", "tcp", "sctp", "x-1.2_3~4"])
def test_transport_is_any_token_in_any_case(token):
    assert ServerUri.parse(f"turn:example.org?transport={token.upper()}").transport == token


@pytest.mark.req("RFC7064-004", "RFC7065-004", "RFC7065-005")
@pytest.mark.parametrize(
    ("scheme", "is_turn", "is_secure", "default_port"),
    [("stun", False, False, 3478), ("stuns", False, True, 5349), ("turn", True, False, 3478), ("turns", True, True, 5349)],
)
def test_the_scheme_tells_protocol_security_and_default_port(scheme, is_turn, is_secure, default_port):
    uri = ServerUri.parse(f"{scheme}:example.org:99")
    assert (uri.is_turn, uri.is_secure, uri.default_port) == (is_turn, is_secure, default_port)


@pytest.mark.parametrize(
    ("host", "is_literal"), [("192.0.2.1", True), ("[2001:db8::1]", True), ("example.org", False), ("1und1", False), ("a", False)]
)
def test_a_literal_is_told_from_a_name(host, is_literal):
    assert ServerUri.parse(f"stun:{host}").is_literal is is_literal


def test_parts_may_come_separately():
    assert ServerUri.of("TURNS", "2001:DB8::1", 443, "TCP") == ServerUri.parse("turns:[2001:db8::1]:443?transport=tcp")
    assert ServerUri.of("stun", "[2001:db8::1]") == ServerUri.of("stun", "2001:db8::1")


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (("http", "example.org"), "none of the schemes"),
        (("stun", ""), "missing"),
        (("stun", "example.org", 0), "port 0"),
        (("stun", "example.org", 65536), "port 65536"),
        (("stun", "example.org:3478"), "not a literal"),
        (("stun", "fe80::1%eth0"), "zone"),
        (("stun", "%65xample.org"), "label"),
        (("stuns", "example.org", None, "tcp"), "no transport"),
        (("turn", "example.org", None, "u d p"), "transport 'u d p'"),
    ],
)
def test_wrong_parts_are_refused(parts, complaint):
    with pytest.raises(ValueError, match=complaint):
        ServerUri.of(*parts)


nearly = st.text("stun:[]%.?@/0159aF-").map("stun:".__add__) | st.text("turnsp=?:[]udc.").map("turn:a".__add__)


@given(st.text() | nearly)
def test_any_text_is_a_uri_that_reads_back_or_a_value_error(text):
    try:
        uri = ServerUri.parse(text)
    except ValueError:
        return
    assert ServerUri.parse(str(uri)) == uri
    assert ServerUri.of(uri.scheme, uri.host, uri.port, uri.transport) == uri


@pytest.mark.parametrize("text", ["192.0.2.1", "example.7", "0xff"])
def test_a_name_does_not_end_in_a_number(text):
    with pytest.raises(ValueError, match="ends in a number"):
        host_name(text)
