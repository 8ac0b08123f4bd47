import pytest

from _turn_client_scene import CREDENTIALS, GRANT, LOCAL, SERVER, UDP
from sansice.machine import CloseSocket, SendDatagram
from sansice.stun import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REALM,
    ErrorCode,
    MessageClass,
    Method,
    ServerTarget,
    StunClient,
    StunClientConfig,
    TransactionFailed,
    TransactionSucceeded,
    decode_untrusted,
    encode,
)
from sansice.turn._client._farewells import Farewells
from sansice.turn._client._wish import AllocateWish


class Leaving:
    """A STUN client with one open socket, and farewells."""

    def __init__(self, credentials=None, **config):
        self.stun = StunClient(credentials=credentials, config=StunClientConfig(**config), entropy=iter_bytes())
        self.farewells = Farewells(self.stun)
        self.path = self.stun.open(ServerTarget(UDP, SERVER), now=0.0)
        self.stun.handle_socket_opened(self.path.socket, LOCAL, now=0.0)
        self.stun.take_outputs()

    def answer(self, request, *attributes, kind=MessageClass.SUCCESS):
        data = encode(request.method, kind, request.transaction_id, attributes)
        self.stun.handle_datagrams(self.path.socket, [(SERVER, data)], now=1.0)
        self.take_events()

    def take_events(self):
        self.sent, self.closed = [], []
        while outputs := self.stun.take_outputs():
            for output in outputs:
                if isinstance(output, SendDatagram):
                    self.sent.append(decode_untrusted(output.data))
                elif isinstance(output, CloseSocket):
                    self.closed.append(output.socket)
                elif isinstance(output, (TransactionSucceeded, TransactionFailed)):
                    self.farewells.requests.settle(output, 1.0)


def iter_bytes():
    count = iter(range(1, 1000))
    return lambda size: next(count).to_bytes(size, "big")


@pytest.fixture
def leaving():
    return Leaving()


def ask(leaving):
    id = leaving.stun.request(Method.ALLOCATE, AllocateWish().attributes(), path=leaving.path, now=0.0)
    leaving.take_events()
    return id, leaving.sent[0]


def test_an_allocation_is_deleted_and_its_socket_closed_when_that_is_confirmed(leaving):
    leaving.farewells.delete(leaving.path, 0.0)
    leaving.take_events()
    (refresh,) = leaving.sent
    assert (refresh.method, refresh.get(LIFETIME)) == (Method.REFRESH, 0)
    assert leaving.farewells
    leaving.answer(refresh, (LIFETIME, 0))
    assert leaving.closed == [leaving.path.socket]
    assert not leaving.farewells


def test_what_cannot_be_deleted_any_more_is_let_go(leaving):
    leaving.stun.release(leaving.path, now=0.0)
    leaving.farewells.delete(leaving.path, 0.0)
    assert not leaving.farewells


def test_a_deletion_that_finds_no_place_in_the_queue_leaves_no_socket():
    leaving = Leaving(max_outstanding=1, max_queued=1)
    for _ in range(2):
        leaving.stun.request(Method.BINDING, path=leaving.path, now=0.0)
    leaving.farewells.delete(leaving.path, 0.0)
    leaving.take_events()
    assert leaving.closed == [leaving.path.socket]
    assert not leaving.farewells


def test_an_abandoned_request_that_succeeds_is_followed_by_a_deletion(leaving):
    id, request = ask(leaving)
    leaving.farewells.abandon(id, leaving.path, 0.0)
    leaving.answer(request, *GRANT)
    (refresh,) = leaving.sent
    assert refresh.get(LIFETIME) == 0
    assert not leaving.closed
    leaving.answer(refresh, (LIFETIME, 0))
    assert leaving.closed == [leaving.path.socket]


def test_an_abandoned_request_that_is_challenged_ends_there():
    leaving = Leaving(CREDENTIALS)
    id, request = ask(leaving)
    leaving.farewells.abandon(id, leaving.path, 0.0)
    leaving.answer(request, (ERROR_CODE, ErrorCode(401)), (REALM, "realm"), (NONCE, "n"), kind=MessageClass.ERROR)
    assert (leaving.sent, leaving.closed) == ([], [leaving.path.socket])
    assert not leaving.farewells


def test_an_abandoned_request_that_has_not_left_is_cancelled(leaving):
    path = leaving.stun.open(ServerTarget(UDP, SERVER), now=0.0)
    id = leaving.stun.request(Method.ALLOCATE, AllocateWish().attributes(), path=path, now=0.0)
    leaving.farewells.abandon(id, path, 0.0)
    leaving.take_events()
    assert leaving.closed == [path.socket]
    assert not leaving.farewells
