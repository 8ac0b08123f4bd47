"""Datagrams that arrive together are relayed and answered as if they had come one by one."""

from hypothesis import strategies as st

from sansice.machine import Address, SocketId, Transport
from sansice.simulation import check_machine
from sansice.stun import (
    CHANNEL_NUMBER,
    DATA,
    DONT_FRAGMENT,
    LIFETIME,
    REQUESTED_TRANSPORT,
    XOR_PEER_ADDRESS,
    Listener,
    MessageClass,
    Method,
    StunServerConfig,
    TransactionId,
    encode,
)
from sansice.turn import ANY_PEER, TurnServer, TurnServerConfig, encode_channel_data

LISTENER, RELAY = SocketId(1), SocketId(2)
CLIENT, PEER = Address("198.51.100.7", 7), Address("203.0.113.9", 9)  # the first is one that check_machine speaks from
CONFIG = TurnServerConfig(anonymous=True, stun=StunServerConfig(rate=None))


def message(method, *attributes, id, kind=MessageClass.REQUEST):
    return encode(method, kind, TransactionId(bytes([id]) * 12), attributes)


def send(*attributes):
    return message(Method.SEND, (XOR_PEER_ADDRESS, PEER), *attributes, id=9, kind=MessageClass.INDICATION)


ALLOCATE = message(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17), id=1)
BIND = message(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, PEER), id=2)
DATAGRAMS = [
    BIND,
    message(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4001), (XOR_PEER_ADDRESS, CLIENT), id=3),
    message(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, CLIENT), id=4),
    message(Method.REFRESH, (LIFETIME, 600), id=5),
    message(Method.REFRESH, (LIFETIME, 0), id=6),
    send((DATA, b"voice")),
    send((DATA, b""), (DONT_FRAGMENT, None)),
    send(),
    encode_channel_data(0x4000, b"voice"),
    encode_channel_data(0x4000, b""),
    encode_channel_data(0x4001, b"picture"),
    b"\x40\x00\xff\xff",
    b"\x50\x00\x00\x00",
    b"",
]


def with_an_allocation(server, now):
    server.start([Listener(Transport.UDP, Address("192.0.2.1", 3478))], now=now)
    server.handle_socket_opened(LISTENER, Address("192.0.2.1", 3478), now=now)
    server.handle_datagrams(LISTENER, [(CLIENT, ALLOCATE)], now=now)
    server.handle_socket_opened(RELAY, Address("192.0.2.1", 50_000), now=now)
    server.handle_datagrams(LISTENER, [(CLIENT, BIND)], now=now)
    assert server.allocations(now=now)[0].channels == 1


def test_a_batch_comes_to_what_its_datagrams_come_to_one_by_one():
    check_machine(
        lambda entropy: TurnServer(authentication=None, config=CONFIG, peer_policy=ANY_PEER, entropy=entropy),
        setup=with_an_allocation,
        commands={"close": [()]},
        datagrams=st.sampled_from(DATAGRAMS),
        sockets=(LISTENER, RELAY),
        batches=True,
        flood=0,
        max_examples=60,
    )
