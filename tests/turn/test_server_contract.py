"""The server keeps the contract of machines: open to everybody, so that all of it is reached, and with users."""

import pytest
from hypothesis import strategies as st

from sansice.machine import Address, SocketId, Transport
from sansice.simulation import check_machine
from sansice.stun import (
    CHANNEL_NUMBER,
    CONNECTION_ID,
    DATA,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    PENDING,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    AddressFamily,
    Listener,
    MessageClass,
    Method,
    RequestId,
    ServerAuthentication,
    StaticUsers,
    StunServerConfig,
    encode,
)
from sansice.turn import ANY_PEER, AllocationId, TurnLimits, TurnServer, TurnServerConfig, encode_channel_data

SERVER = Address("192.0.2.1", 3478)
PEER = Address("198.51.100.9", 7000)
LISTENERS = tuple(Listener(transport, SERVER) for transport in (Transport.UDP, Transport.TCP))
LIMITS = TurnLimits(allocations=3, allocations_per_user=3, permissions_per_allocation=3, channels_per_allocation=3)
# Bounds that a flood reaches before its half is over: from then on nothing may grow.
STUN = StunServerConfig(rate=None, max_remembered=20, max_pending=5, max_connections=20, max_connections_per_prefix=20)
OPEN = TurnServerConfig(anonymous=True, tcp_relay=True, mobility=True, relay_ports=(50_000, 50_007), stun=STUN)


def request(method, *attributes, id=0):
    return encode(method, MessageClass.REQUEST, bytes([id]) * 12, attributes)


def allocate(*attributes, protocol=17, id=0):
    return request(Method.ALLOCATE, (REQUESTED_TRANSPORT, protocol), *attributes, id=id)


REQUESTS = [
    *(allocate(id=id) for id in range(3)),
    allocate((EVEN_PORT, True), id=3),
    allocate((RESERVATION_TOKEN, bytes(8)), id=4),
    allocate((REQUESTED_ADDRESS_FAMILY, AddressFamily.IPV6), id=5),
    allocate((MOBILITY_TICKET, b""), (LIFETIME, 1200), id=6),
    allocate(protocol=6, id=7),
    request(Method.REFRESH, id=8),
    request(Method.REFRESH, (LIFETIME, 0), id=9),
    request(Method.REFRESH, (MOBILITY_TICKET, bytes(37)), id=10),
    request(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, PEER), id=11),
    request(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, SERVER), id=12),
    *(request(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000 + number), (XOR_PEER_ADDRESS, PEER), id=13) for number in range(2)),
    request(Method.CONNECT, (XOR_PEER_ADDRESS, PEER), id=14),
    request(Method.CONNECTION_BIND, (CONNECTION_ID, 7), id=15),
]
DATAGRAMS = st.sampled_from(
    [
        *REQUESTS,
        encode(Method.SEND, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER), (DATA, b"voice")]),
        encode(Method.SEND, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER), (DATA, b""), (DONT_FRAGMENT, None)]),
        encode_channel_data(0x4000, b"voice"),
        encode_channel_data(0x4001, b"", padded=True),
        b"\x40\x00\xff\xff",
        b"\x50\x00\x00\x00",
    ]
)
COMMANDS = {
    "drain": [{}, {"grace": 0.0}, {"grace": 30.0}, {"grace": -1.0}, {"close": False}, {"grace": 0.0, "close": False}],
    "set_limits": [(LIMITS,), (TurnLimits(),)],
    "allocations": [{}],
    "close_allocation": [(AllocationId(number),) for number in range(4)],
    "close": [()],
}


@pytest.fixture(autouse=True)
def small_caches(monkeypatch):
    """Those of hosts are bounded as well, and full long before the first half of a flood is over."""
    monkeypatch.setattr("sansice.stun._server._binding_answer._CACHED_HOSTS", 4)
    monkeypatch.setattr("sansice.stun._server._rate_limit._CACHED", 4)


def started(server, now):
    server.start(LISTENERS, now=now)
    for number in (1, 2):
        server.handle_socket_opened(SocketId(number), SERVER, now=now)


def open_server(entropy, **options):
    return TurnServer(authentication=None, config=OPEN, limits=LIMITS, peer_policy=ANY_PEER, entropy=entropy, **options)


def later(username, realm, unix):
    return PENDING


def guarded_server(entropy, lookup_key):
    authentication = ServerAuthentication(realm="r.example", lookup_key=lookup_key, entropy=entropy)
    config = TurnServerConfig(relay_ports=(50_000, 50_007), stun=STUN)
    return TurnServer(authentication=authentication, config=config, limits=LIMITS, entropy=entropy)


def test_it_keeps_the_contract_whoever_comes():
    check_machine(
        open_server,
        setup=started,
        commands=COMMANDS,
        datagrams=DATAGRAMS,
        sockets=(SocketId(1), SocketId(2)),
        max_examples=100,
    )


def test_it_keeps_the_contract_from_the_first_command_on():
    check_machine(open_server, commands={"start": [(LISTENERS,), ((),)], **COMMANDS}, datagrams=DATAGRAMS, max_examples=40)


def test_it_keeps_the_contract_and_its_secrets_where_users_are_known():
    users = StaticUsers({"user": "pass word"}, "r.example")
    check_machine(
        lambda entropy: guarded_server(entropy, users),
        setup=started,
        commands=COMMANDS,
        datagrams=DATAGRAMS,
        sockets=(SocketId(1), SocketId(2)),
        secrets=lambda _: ["pass word"],
        max_examples=40,
    )


def test_it_keeps_the_contract_while_it_waits_for_keys():
    keys = {"provide_key": [(RequestId(number), None) for number in range(3)]}
    check_machine(
        lambda entropy: guarded_server(entropy, later),
        setup=started,
        commands={**COMMANDS, **keys},
        datagrams=DATAGRAMS,
        sockets=(SocketId(1),),
        bound=3000 + 5 * 2048,  # as five requests may wait, none of them larger
        max_examples=40,
    )


# `listening_socket` only looks; credentials have tests of their own.
NOT_TRIED = {"start", "provide_key", "replace_authentication", "deadline", "listening_socket"}


def test_commands_that_are_tried_are_all_that_there_are():
    public = {name for name in vars(TurnServer) if not name.startswith(("_", "handle_"))}
    values = {name for name in public if isinstance(getattr(TurnServer, name), property)} | set(TurnServer.__slots__)
    assert public - values == set(COMMANDS) | NOT_TRIED


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_seeds_of_the_trial_reach_an_allocation(transport):
    """Or all of it would be tried on requests that are refused."""
    server = open_server(bytes)
    started(server, 0.0)
    server.take_outputs()
    if transport is Transport.TCP:
        server.handle_accepted(SocketId(2), SocketId(-1), PEER, now=0.0)
        server.handle_stream_data(SocketId(-1), REQUESTS[0], now=0.0)
    else:
        server.handle_datagrams(SocketId(1), [(PEER, REQUESTS[0])], now=0.0)
    [opening] = [output for output in server.take_outputs() if hasattr(output, "bind")]
    server.handle_socket_opened(opening.socket, opening.bind, now=0.0)
    assert server.stats.allocations == 1
