"""A socket of somebody else's, through which a client asks several servers and others ask theirs (`StunClient.share`)."""

import pytest

from sansice.machine import Address, LocalProtocolError, SendDatagram, SocketError, SocketErrorKind, SocketId, Transport
from sansice.stun import FailureCause, Method, Path, PathClosed, StunClient, TransactionFailed

UDP = Transport.UDP
ONE, TWO = Address("192.0.2.1", 3478), Address("192.0.2.2", 3478)
SOCKET = SocketId(7)
TO_ONE, TO_TWO = Path(SOCKET, ONE, UDP), Path(SOCKET, TWO, UDP)


class Counting:
    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


@pytest.fixture
def client():
    client = StunClient(entropy=Counting())
    client.share(TO_ONE)
    client.share(TO_TWO)
    return client


def ask(client, path, now=0.0):
    return client.request(Method.BINDING, path=path, now=now)


def test_a_shared_socket_is_open_at_once_and_leads_to_every_server(client):
    ask(client, TO_ONE)
    ask(client, TO_TWO)
    assert [(one.socket, one.destination) for one in client.take_outputs()] == [(SOCKET, ONE), (SOCKET, TWO)]


def test_releasing_one_server_fails_what_it_was_asked_and_nothing_else(client):
    one, two = ask(client, TO_ONE), ask(client, TO_TWO)
    client.take_outputs()
    client.release(TO_ONE, now=0.1)
    assert client.take_outputs() == [TransactionFailed(one, None, "the server was released", FailureCause.CLOSED)]
    assert client.deadline() == 0.5
    client.handle_timer(now=0.5)
    (again,) = client.take_outputs()
    assert isinstance(again, SendDatagram) and again.destination == TWO
    client.cancel(two, now=0.6)
    assert ask(client, TO_ONE, now=1.0)  # it may be asked again


def test_a_shared_socket_is_never_closed_by_the_client(client):
    ask(client, TO_ONE)
    client.take_outputs()
    client.close(now=1.0)
    (failed,) = client.take_outputs()
    assert failed.reason == "the client was closed"


def test_a_shared_socket_that_dies_fails_everything_and_may_be_shared_again(client):
    one, two = ask(client, TO_ONE), ask(client, TO_TWO)
    client.take_outputs()
    lost = SocketError(SocketErrorKind.OTHER, "interface gone")
    client.handle_socket_failed(SOCKET, lost, now=1.0)
    assert client.take_outputs() == [
        PathClosed(TO_ONE, lost),
        TransactionFailed(one, None, "interface gone", FailureCause.CLOSED),
        TransactionFailed(two, None, "interface gone", FailureCause.CLOSED),
    ]
    client.share(TO_TWO)
    assert ask(client, TO_TWO, now=2.0)


def test_streams_are_not_shared_and_what_was_adopted_stays_adopted(client):
    with pytest.raises(LocalProtocolError, match="adopt"):
        client.share(Path(SocketId(8), ONE, Transport.TCP))
    client.adopt(Path(SocketId(9), ONE, UDP))
    with pytest.raises(LocalProtocolError, match="in use already"):
        client.share(Path(SocketId(9), TWO, UDP))
