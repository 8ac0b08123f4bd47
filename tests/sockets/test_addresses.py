"""Addresses and errors, as the socket module has them."""

import errno
import socket

import pytest

from sansice import Address, SocketErrorKind
from sansice.sockets import from_sockaddr, reason_of, socket_error, source_address, to_sockaddr
from sansice.sockets._addresses import zone_name


def test_an_ipv4_source_becomes_an_equal_address():
    address = from_sockaddr(("192.0.2.1", 5000))
    assert address == ("192.0.2.1", 5000)
    assert address.is_ipv6 is False


def test_an_ipv6_source_keeps_its_zone_by_name():
    index = socket.if_nametoindex("lo")
    assert from_sockaddr(("fe80::1", 5, 0, index)) == Address("fe80::1%lo", 5)
    assert from_sockaddr(("2001:db8::1", 5, 7, 0)) == Address("2001:db8::1", 5)


def test_the_kernels_dotted_ipv6_is_made_canonical():
    assert from_sockaddr(("::192.0.2.1", 5, 0, 0)) == Address("::c000:201", 5)


def test_the_zone_of_an_interface_that_has_gone_is_its_number():
    assert zone_name(2**30) == str(2**30)


def test_a_zone_is_passed_on_as_a_number_whether_it_was_a_name_or_a_number():
    index = socket.if_nametoindex("lo")
    assert to_sockaddr(Address("fe80::1%lo", 5), True) == ("fe80::1", 5, 0, index)
    assert to_sockaddr(Address("fe80::1%7", 5), True) == ("fe80::1", 5, 0, 7)
    assert to_sockaddr(Address("2001:db8::1", 5), True) == ("2001:db8::1", 5, 0, 0)


@pytest.mark.parametrize(
    ("host", "ipv6"),
    [
        ("localhost", False),
        ("localhost", True),
        ("::1", False),
        ("127.0.0.1", True),
        ("", False),
        ("127.1", False),
        ("fe80::1%nowhere", True),
    ],
)
def test_what_is_no_literal_of_the_family_is_refused_before_it_is_looked_up(host, ipv6):
    with pytest.raises(OSError, match=r"illegal IP address|interface|device"):
        to_sockaddr(Address(host, 5), ipv6)


@pytest.mark.parametrize(("remote", "local"), [("127.0.0.1", "127.0.0.1"), ("127.9.9.9", "127.0.0.1"), ("::1", "::1")])
@pytest.mark.parametrize("port", [0, 3478])
def test_the_source_address_is_the_one_that_the_system_routes_from(remote, local, port):
    assert source_address(Address(remote, port)) == Address(local, 0)


def test_there_is_no_source_address_for_a_name_or_where_nothing_may_be_sent():
    with pytest.raises(OSError, match="illegal IP address"):
        source_address(Address("localhost", 3478))
    with pytest.raises(PermissionError):  # nothing is routed to a broadcast address unless that was asked for
        source_address(Address("255.255.255.255", 3478))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMFILE, SocketErrorKind.NO_RESOURCES),
        (errno.EACCES, SocketErrorKind.PERMISSION),
        (errno.EADDRNOTAVAIL, SocketErrorKind.ADDRESS_UNAVAILABLE),
        (errno.EIO, SocketErrorKind.OTHER),
    ],
)
def test_errors_have_a_kind_and_the_systems_words(number, kind):
    error = socket_error(OSError(number, "words"))
    assert (error.kind, error.text) == (kind, "words")


def test_an_error_without_a_number_is_told_by_its_text():
    assert socket_error(OSError("words")).text == "words"
    assert reason_of(ValueError("port")) == "not an address"
