"""What texts say about where to listen."""

import pytest

from ice._wire import at
from sansice.ice import HostAddress, read_places
from sansice.machine import Transport
from sansice.stun import Listener

HOSTS = [
    HostAddress("127.0.0.1"),
    HostAddress("192.0.2.1"),
    "192.0.2.2",
    HostAddress("::1"),
    "2001:db8::1",
    "fe80::1%eth0",
]


def places(*listen):
    return [str(one) for one in read_places(listen, lambda: HOSTS)]


def test_texts_addresses_and_listeners_are_places():
    listener = Listener(Transport.UDP, at("192.0.2.9", 9), reuse_port=True)
    read = read_places(["udp:192.0.2.1:3478", "TCP:192.0.2.2:0", "UDP:[2001:db8::1]:1", listener], list)
    assert [str(one) for one in read] == ["udp:192.0.2.1:3478", "tcp:192.0.2.2:0", "udp:[2001:db8::1]:1", "udp:192.0.2.9:9"]
    assert read[-1] is listener
    assert read_places(listener, list) == (listener,)
    assert read_places("udp:192.0.2.1:3478", list) == read[:1]


def test_without_a_transport_it_is_udp_and_tcp():
    both = ["udp:192.0.2.3:5", "tcp:192.0.2.3:5"]
    assert places("192.0.2.3:5") == places(at("192.0.2.3", 5)) == places("udp:192.0.2.3:5", "192.0.2.3:5") == both


def test_a_place_that_is_named_twice_is_one_and_any_port_is_another_each_time():
    assert places("udp:192.0.2.3:5", at("192.0.2.3", 5), "udp:192.0.2.3:5") == ["udp:192.0.2.3:5", "tcp:192.0.2.3:5"]
    assert places("udp:192.0.2.3:0", "udp:192.0.2.3:0") == ["udp:192.0.2.3:0"] * 2
    assert places("udp:0.0.0.0:0", "udp:192.0.2.1:0") == [f"udp:192.0.2.{number}:0" for number in (1, 2, 1)]


def test_a_wildcard_is_each_address_of_its_family_without_loopback():
    assert places("udp:0.0.0.0:3478") == ["udp:192.0.2.1:3478", "udp:192.0.2.2:3478"]
    assert places("tcp:[::]:3478") == ["tcp:[2001:db8::1]:3478"]
    assert places("[::]:3478") == ["udp:[2001:db8::1]:3478", "tcp:[2001:db8::1]:3478"]
    assert places("udp:0.0.0.0:3478", "udp:192.0.2.1:3478") == ["udp:192.0.2.1:3478", "udp:192.0.2.2:3478"]
    here = [str(one) for one in read_places(at("0.0.0.0", 1), lambda: ["127.0.0.1"])]
    assert here == ["udp:127.0.0.1:1", "tcp:127.0.0.1:1"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("tls:192.0.2.1:1", "'tls' is neither udp nor tcp"),
        ("nonsense", "cannot listen at 'nonsense'"),
        ("udp:here:1", "cannot listen at 'udp:here:1'"),
        ("192.0.2.1", "cannot listen at '192.0.2.1'"),
        (3478, "cannot listen at 3478: a Listener, an Address, or a text"),
        (None, "cannot listen at None: a Listener"),
        (("192.0.2.1", 3478), r"cannot listen at \('192.0.2.1', 3478\)"),
        ("udp:224.0.0.251:5353", "cannot listen at udp:224.0.0.251:5353: no peer connects to a multicast"),
        (at("ff02::fb", 1), r"cannot listen at \[ff02::fb\]:1: no peer"),
        (Listener(Transport.TCP, at("fec0::1", 1)), "no peer connects"),
    ],
)
def test_what_is_no_place_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        places(text)


def test_a_family_that_the_machine_has_not_is_refused():
    with pytest.raises(ValueError, match=r"\[::\]:1: the machine has no address of that family"):
        read_places("[::]:1", lambda: ["192.0.2.1"])
