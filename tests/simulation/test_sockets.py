"""The sockets of a node that are more than UDP: what is refused at once, and what is nobody's."""

import pytest

from sansice.machine import Address, OpenSocket, ProxyOptions, SocketErrorKind, SocketId, SocketOptions, TlsOptions, Transport
from sansice.simulation import SimulationError
from simulation._ends import ACCEPTED, ONE, SERVER, A, B, connected, world

TCP, TLS, DTLS = Transport.TCP, Transport.TLS, Transport.DTLS
NAMED = SocketOptions(tls=TlsOptions("b.example"))
THROUGH = SocketOptions(proxy=ProxyOptions(Address("198.51.100.3", 3128)))


def failures(end):
    return [what[2] for what in end.of("failed")]


@pytest.mark.parametrize(
    ("transport", "remote", "options"),
    [
        (TCP, SERVER, SocketOptions(multicast_groups=("224.0.0.251",))),
        (TCP, SERVER, NAMED),
        (Transport.DTLS, None, SocketOptions(multicast_groups=("224.0.0.251",))),
    ],
)
def test_options_that_mean_nothing_are_unsupported(transport, remote, options):
    _, a, _ = world()
    a.open(transport=transport, remote=remote, options=options)
    assert failures(a) == [SocketErrorKind.UNSUPPORTED]


def test_a_name_that_no_certificate_can_have_fails_the_socket():
    _, a, _ = world()
    a.open(transport=TLS, options=SocketOptions(tls=TlsOptions("stün.example")))
    assert failures(a) == [SocketErrorKind.TLS]


def test_an_unknown_stream_is_nobodys():
    _, a, _ = connected()
    a.open(5, Transport.UDP, remote=None)
    a.heard.clear()
    for id in (SocketId(5), SocketId(9)):
        a.send(b"x", id)
        a.read(False, id)
    a.close(SocketId(9))
    a.datagram(b"x")
    assert a.heard == []
    assert a.node.refused == 1


def test_a_stream_needs_its_machine_to_name_it_once():
    _, a, _ = connected()
    with pytest.raises(SimulationError, match="opens socket 1 twice"):
        a.open()


@pytest.mark.parametrize(("transport", "remote"), [(DTLS, SERVER), (TCP, None)])
def test_only_streams_that_connect_go_through_a_proxy(transport, remote):
    _, a, _ = world()
    a.do(OpenSocket(ONE, transport, Address(A, 0), remote, THROUGH))
    assert failures(a) == [SocketErrorKind.UNSUPPORTED]


@pytest.mark.parametrize("transport", [TCP, TLS, DTLS])
def test_the_open_sockets_of_a_node_are_told_with_their_addresses(transport):
    net, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=transport)
    b.open(2, Transport.UDP, bind=SERVER._replace(port=444), remote=None)
    a.open(transport=transport, bind=Address(A, 5000))
    net.run(until=5)
    accepted = {} if transport is DTLS else {ACCEPTED: SERVER}
    assert b.node.sockets == {SocketId(2): Address(B, 444), ONE: SERVER} | accepted
    assert a.node.sockets == {ONE: Address(A, 5000)}
    b.node.stop()
    assert b.node.sockets == {}


def test_what_was_lost_is_counted_from_the_first_socket_that_can_lose():
    _, a, _ = world()
    assert a.node.lost == {}
    a.listen(transport=DTLS)
    assert a.node.lost == {}


def test_a_node_without_streams_ignores_what_is_meant_for_one():
    _, a, _ = world()
    a.send(b"x")
    a.read(False)
    a.close()
    assert (a.heard, a.node.sockets) == ([], {})
