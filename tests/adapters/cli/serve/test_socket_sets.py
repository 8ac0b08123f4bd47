"""Sets of sockets that share an address."""

import socket

import pytest

from sansice import Address, Transport
from sansice.stun import Listener
from sansice_cli.serve._backend import ServingError
from sansice_cli.serve._socket_sets import open_socket_sets

LOCAL = Address("127.0.0.1", 0)


def test_each_worker_has_a_socket_of_its_own_at_the_same_port():
    listeners = [Listener(Transport.UDP, LOCAL), Listener(Transport.TCP, LOCAL), Listener(Transport.UDP, Address("::1", 0))]
    sets = open_socket_sets(listeners, 3, 2**18, ())
    for index, address in enumerate(sets.addresses):
        assert address.port
        names = {sets.of_worker(number)[index].getsockname()[1] for number in range(3)}
        assert names == {address.port}
    buffers = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for sock in sets.of_worker(0)]
    assert buffers[0] >= 2**18
    with socket.create_connection(sets.addresses[1], 60):  # they listen before any worker is there
        pass
    sets.close()
    assert all(sock.fileno() < 0 for number in range(3) for sock in sets.of_worker(number))


def test_what_cannot_be_opened_is_named_and_the_others_are_closed():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(LOCAL)
        place = Address(*taken.getsockname())
        with pytest.raises(ServingError, match=rf"cannot listen at udp:{place}: Address already in use"):
            open_socket_sets([Listener(Transport.TCP, LOCAL), Listener(Transport.UDP, place)], 2, 0, ())


def test_datagram_sockets_that_were_inherited_are_one_each():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
        for sock in (one, two):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(LOCAL)
        two.bind(one.getsockname())
        listener = Listener(Transport.UDP, Address(*one.getsockname()))
        sets = open_socket_sets([listener], 2, 0, [one, two])
        assert [sets.of_worker(0), sets.of_worker(1)] == [[one], [two]]
        with pytest.raises(ServingError, match="3 workers need a socket each of the service manager, and there are 2"):
            open_socket_sets([listener], 3, 0, [one, two])


def test_a_listening_socket_that_was_inherited_serves_all():
    with socket.socket() as sock:
        sock.bind(LOCAL)
        sets = open_socket_sets([Listener(Transport.TCP, Address(*sock.getsockname()))], 2, 0, [sock])
        assert sets.of_worker(0) == [sock]
        assert sets.of_worker(1)[0].fileno() != sock.fileno()
        assert sets.of_worker(1)[0].getsockname() == sock.getsockname()
        sets.close()
