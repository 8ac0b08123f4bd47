"""What a machine may ask of a socket."""

import errno

import pytest

from sansice import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    OpenSocket,
    ProxyOptions,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.sockets import check_supported, local_address, socket_error

LOOPBACK = Address("127.0.0.1", 0)


@pytest.mark.parametrize(
    "options",
    [
        SocketOptions(tls=TlsOptions()),
        SocketOptions(proxy=ProxyOptions(LOOPBACK)),
    ],
)
def test_what_makes_no_sense_is_unsupported(options):
    with pytest.raises(OSError, match=r"only a stream|no use") as caught:
        check_supported(OpenSocket(SocketId(1), Transport.UDP, LOOPBACK, options=options))
    assert socket_error(caught.value).kind is SocketErrorKind.UNSUPPORTED


@pytest.mark.parametrize(
    ("bind", "remote", "local"),
    [
        (Address("127.0.0.2", 5), Address("127.0.0.1", 9), Address("127.0.0.2", 5)),
        (Address(ANY_IPV4, 5), Address("127.0.0.3", 9), Address("127.0.0.1", 5)),
        (Address(ANY_IPV6, 0), Address("::1", 9), Address("::1", 0)),
    ],
)
def test_any_address_is_the_one_that_leads_to_the_remote(bind, remote, local):
    assert local_address(OpenSocket(SocketId(1), Transport.UDP, bind, remote)) == local


@pytest.mark.parametrize("host", [ANY_IPV4, ANY_IPV6])
def test_the_wildcard_is_never_bound(host):
    with pytest.raises(OSError, match="name each local address") as caught:
        local_address(OpenSocket(SocketId(1), Transport.UDP, Address(host, 3478)))
    assert caught.value.errno == errno.EADDRNOTAVAIL
