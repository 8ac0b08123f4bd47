"""STUN server URLs: what they mean, and what is refused with a sentence that helps."""

import pytest

from sansice.ice import IceServer
from sansice.ice._server import stun_addresses
from sansice.machine import Address, LocalProtocolError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("stun:192.0.2.1", Address("192.0.2.1", 3478)),
        ("stun:192.0.2.1:19302", Address("192.0.2.1", 19302)),
        ("STUN:192.0.2.1", Address("192.0.2.1", 3478)),
        ("stun:[2001:db8::1]", Address("2001:db8::1", 3478)),
        ("stun:[2001:DB8:0::1]:5349", Address("2001:db8::1", 5349)),
    ],
)
def test_url_names_an_address_and_a_port_that_is_3478_if_left_out(url, address):
    assert stun_addresses([IceServer(url)]) == ((url, address),)


def test_servers_keep_their_order():
    servers = [IceServer(["stun:192.0.2.1", "stun:192.0.2.2"]), IceServer("stun:192.0.2.3")]
    assert [address.host for _, address in stun_addresses(servers)] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("192.0.2.1", "expected stun:"),
        ("http://192.0.2.1", "expected stun:"),
        ("", "expected stun:"),
        ("stuns:192.0.2.1", "only stun:"),
        ("turn:192.0.2.1", "only stun:"),
        ("TURNS:192.0.2.1", "only stun:"),
        ("stun:stun.example.org", "names are not resolved yet"),
        ("stun:stun.example.org:3478", "names are not resolved yet"),
        ("stun:", "not a literal"),
        ("stun:192.0.2.1]", "not a literal"),
        ("stun:[192.0.2.1]", "ADDRESS:PORT"),
        ("stun:[[2001:db8::1]]", "not a literal"),
        ("stun:2001:db8::1", "ADDRESS:PORT"),
        ("stun:192.0.2.1:", "ADDRESS:PORT"),
        ("stun:192.0.2.1:65536", "port 65536"),
        ("stun:192.0.2.1:0", "port 0"),
        ("stun:[::1]:0", "port 0"),
        ("stun:127.1", "not a literal"),
        ("stun:192.0.2.1:3478?transport=udp", "ADDRESS:PORT"),
    ],
)
def test_url_that_cannot_be_used_is_named_with_the_reason(url, why):
    with pytest.raises(LocalProtocolError) as caught:
        stun_addresses([IceServer(url)])
    assert repr(url) in str(caught.value)
    assert why in str(caught.value)


def test_credential_stays_out_of_the_repr():
    assert "hunter2" not in repr(IceServer("turn:192.0.2.1", "user", "hunter2"))
