"""The server keeps the contract of machines; and a flood from ever new sources neither grows nor silences it."""

import random

import pytest
from hypothesis import strategies as st

from _flood import bytes_held, spoofed
from _stun_serving import CLIENT, LISTENERS, SQUARE, binding, classic
from sansice.machine import Address, SocketId, Transport
from sansice.simulation import Network, check_machine
from sansice.stun import (
    CHANGE_REQUEST,
    PADDING,
    PENDING,
    RESPONSE_PORT,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ChangeRequest,
    ErrorCode,
    Listener,
    MessageClass,
    Method,
    RequestId,
    RequestReceived,
    ServerAuthentication,
    ShortTermServerAuthentication,
    StaticUsers,
    StunServer,
    StunServerConfig,
    UserKeys,
    decode_untrusted,
    encode,
    short_term_key,
)
from sansice.stun._paths import Path
from sansice.stun._server._rate_limit import BUCKETS
from simulation._machines import Peer

KEY = short_term_key("secret")
REFRESH = encode(Method.REFRESH, MessageClass.REQUEST, bytes(12), [(USERNAME, "user")], key=KEY)
DATAGRAMS = st.sampled_from(
    [
        binding(),
        binding(fingerprint=True),
        binding([(CHANGE_REQUEST, ChangeRequest(True, True))]),
        binding([(RESPONSE_PORT, 9)]),
        binding([(PADDING, bytes(40))]),
        binding([(USERNAME, "user")], key=KEY),
        REFRESH,
        encode(Method.REFRESH, MessageClass.REQUEST, bytes(range(1, 13))),
        classic(),
        classic((3, b"\0\0\0\6")),
        encode(Method.BINDING, MessageClass.INDICATION, bytes(12)),
    ]
)
RECEIVED = RequestReceived(Path(SocketId(1), CLIENT, Transport.UDP), decode_untrusted(REFRESH))
COMMANDS = {
    "start": [(LISTENERS,), (SQUARE,), ((),), ([LISTENERS[0]] * 2,)],
    "provide_key": [(RequestId(number), keys) for number in (0, 1, 2) for keys in (None, UserKeys.of_password("user", "secret"))],
    "respond": [
        (RECEIVED,),
        {"received": RECEIVED, "error": ErrorCode(437)},
        {"received": RECEIVED, "attributes": [(PADDING, 5)]},
    ],
    "replace_authentication": [(None,)],
    "drain": [()],
    "close": [()],
}


def later(username, realm, unix):
    return PENDING


def size(server):
    """What a stranger could make a server keep."""
    cached = server._limiter._cache if server._limiter is not None else ()
    return len(server._connections) + len(server._pending) + len(server._memory) + len(cached)


def short_term(entropy):
    return ShortTermServerAuthentication(lookup_key=later, entropy=entropy)


def long_term(entropy):
    users = StaticUsers({"user": "secret"}, "example.org")
    return ServerAuthentication(realm="example.org", lookup_key=users, entropy=entropy)


@pytest.mark.parametrize(
    ("policy", "authentication", "listeners"),
    [
        ({}, None, LISTENERS),
        ({"rate": None, "behavior": True}, None, SQUARE),
        ({"rate": None, "max_pending": 5, "max_remembered": 5}, short_term, LISTENERS),
        ({"rate": None}, long_term, LISTENERS),
    ],
    ids=["limited", "behavior", "keys that come later", "long-term"],
)
def test_the_server_keeps_the_contract(policy, authentication, listeners):
    def make(entropy):
        return StunServer(
            config=StunServerConfig(**policy),
            authentication=authentication and authentication(entropy),
            methods=[Method.REFRESH],
            entropy=entropy,
        )

    check_machine(
        make,
        setup=lambda server, now: server.start(listeners, now=now),
        commands=COMMANDS,
        datagrams=DATAGRAMS,
        secrets=lambda server: ["secret"],
        measure=size,
        bound=2100,
        max_examples=40,
    )


# Floods

SOURCES = 250_000
BATCH = 500
ALLOWED = 2_000_000  # bytes


@pytest.mark.long
@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "asks for credentials"])
def test_a_quarter_of_a_million_spoofed_sources_cost_less_than_2_megabytes_and_an_honest_client_is_answered(guarded):
    draw = random.Random(250)
    server = StunServer(authentication=long_term(draw.randbytes) if guarded else None, entropy=draw.randbytes)
    server.start(LISTENERS[:1], now=0.0)
    server.handle_socket_opened(SocketId(1), LISTENERS[0].address, now=0.0)
    server.take_outputs()
    kinds = [binding([(USERNAME, "user")], key=KEY), classic(), bytes(20), *[binding()] * 27]
    before, now, answered = bytes_held(server), 0.0, 0
    for number in range(SOURCES // BATCH):
        now += BATCH / 100_000  # a hundred thousand a second
        server.handle_datagrams(SocketId(1), [spoofed(draw, kinds[number % 30]) for _ in range(BATCH)], now=now)
        server.take_outputs()
        if number % 20 == 0:
            server.handle_datagrams(SocketId(1), [(CLIENT, binding())], now=now)
            answered += sum(sent.destination == CLIENT for sent in server.take_outputs())
    assert answered == SOURCES // BATCH // 20
    assert before > 2 * 8 * BUCKETS  # so it does see what the server holds
    assert bytes_held(server) - before < ALLOWED


def test_in_a_flood_of_spoofed_sources_a_client_in_the_simulated_network_learns_its_address():
    net = Network(seed=8489)
    host = net.host("server", "198.51.100.1")
    server = StunServer(entropy=host.entropy)
    node = host.run(server)
    node.call(server.start, [Listener(Transport.UDP, Address("198.51.100.1", 3478))])
    draw = random.Random(8489)
    socket = SocketId(1)
    for instant in range(100):
        batch = [spoofed(draw, binding()) for _ in range(50)]
        net.at(1.0 + instant / 100, lambda batch=batch: node.driver.datagrams(socket, batch))
    client = net.host("client", "192.0.2.1").run(Peer("192.0.2.1", 5000))
    net.run(until=1.5)
    client.call(client.machine.send, Address("198.51.100.1", 3478), binding())
    net.run(until=3.0)
    ((_, opened), (_, received)) = client.events
    assert decode_untrusted(received.data).get(XOR_MAPPED_ADDRESS) == opened.local
    assert server.stats.responses == 5001
