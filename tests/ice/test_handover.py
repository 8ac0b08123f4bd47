"""`Handover`: the socket of a component in other hands, and what the agent must still see."""

import pytest

from sansice.ice import Handover
from sansice.machine import Address, SocketId
from sansice.stun import MessageClass, Method, TransactionId, encode

LOCAL, REMOTE, STRANGER = Address("192.0.2.1", 5000), Address("198.51.100.1", 6000), Address("203.0.113.9", 7000)
CHECK = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)))
SOCKET = object()


class Lender:
    """A connection that notes what its agent hears."""

    def __init__(self):
        self.paths = {(1, 2): (SocketId(7), REMOTE)}
        self.heard = []

    def _path(self, stream, component):
        return self.paths.get((stream, component))

    def _address_of(self, source):
        return Address.of(*source[:2])

    def _hear(self, id, source, data):
        self.heard.append((id, source, data))


@pytest.fixture
def lender():
    return Lender()


@pytest.fixture
def handover(lender):
    return Handover(lender, (1, 2), SOCKET, SocketId(7), LOCAL, REMOTE)


def test_it_has_the_socket_and_both_ends_of_the_path(handover):
    assert (handover.socket, handover.local, handover.remote) == (SOCKET, LOCAL, REMOTE)


@pytest.mark.parametrize("data", [b"\x80data", b"x", b"\x00\x01\x00\x00short"])
def test_data_of_the_peer_is_left_to_the_caller(handover, lender, data):
    assert handover.feed(data, tuple(REMOTE)) is False
    assert lender.heard == []


@pytest.mark.parametrize(
    ("source", "data"),
    [(REMOTE, CHECK), (STRANGER, CHECK), (STRANGER, b"\x80data"), (REMOTE, b"")],
    ids=["check", "stranger's check", "stranger's data", "nothing"],
)
def test_the_agent_hears_checks_and_all_that_is_not_its_peers_data(handover, lender, source, data):
    assert handover.feed(data, tuple(source)) is True
    assert lender.heard == [(SocketId(7), source, data)]


def test_a_source_is_read_as_the_connection_reads_its_own(handover, lender):
    mapped = ("::ffff:198.51.100.1", 6000, 0, 0)
    assert handover.feed(b"\x80data", mapped) is False
    assert lender.heard == []


@pytest.mark.parametrize("other", [None, (SocketId(8), REMOTE), (SocketId(7), STRANGER)])
def test_it_is_current_until_the_agent_uses_another_path(handover, lender, other):
    assert handover.is_current
    lender.paths[1, 2] = other
    assert not handover.is_current
