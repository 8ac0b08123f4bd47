"""Very many clients of one TURN server, each with an idle allocation, made with as little as possible of anything else."""

from __future__ import annotations

from _turn_serving import HOST, REALM_TEXT, UDP, UDP_RELAY, USERS, long_term
from sansice.machine import Address, OpenSocket, SendDatagram, SocketId
from sansice.stun import (
    NONCE,
    REALM,
    USERNAME,
    Listener,
    MessageClass,
    Method,
    StunServerConfig,
    TransactionId,
    decode_untrusted,
    encode,
    long_term_key,
)
from sansice.turn import TurnLimits, TurnServer, TurnServerConfig

LISTENER = SocketId(1)
NOW = 1000.0
_KEY = long_term_key("alice", REALM_TEXT, USERS["alice"])


def address_of(number: int) -> Address:
    """Where a client is: each has an address of its own."""
    return Address(f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 40_000)


class Crowd:
    """A server and its clients.

    Attributes:
        server: with one UDP listener, and as many relay hosts as it takes.
        count: clients so far.
        now: seconds; only `at` moves it.
    """

    def __init__(self, *, hosts: int = 4) -> None:
        limits = TurnLimits(allocations=1_000_000, allocations_per_user=1_000_000)
        config = TurnServerConfig(
            stun=StunServerConfig(rate=None, vouched_burst=1_000_000),
            relay_addresses=[f"198.51.100.{1 + number}" for number in range(hosts)],
        )
        self.server = TurnServer(authentication=long_term(), config=config, limits=limits)
        self.server.start([Listener(UDP, Address(HOST, 3478))], now=NOW)
        self.server.handle_socket_opened(LISTENER, Address(HOST, 3478), now=NOW)
        self.server.take_outputs()
        self.count = 0
        self.now = NOW

    def ask(self, source: Address, method: Method, nonce: str | None, *attributes) -> bytes:
        """The answer to a request of a client; sockets open as they are asked for."""
        id = TransactionId(self.count.to_bytes(12, "big"))
        credentials = [] if nonce is None else [(USERNAME, "alice"), (REALM, REALM_TEXT), (NONCE, nonce)]
        request = encode(method, MessageClass.REQUEST, id, [*attributes, *credentials], key=None if nonce is None else _KEY)
        self.server.handle_datagrams(LISTENER, [(source, request)], now=self.now)
        for output in (outputs := self.server.take_outputs()):
            if type(output) is OpenSocket:
                self.server.handle_socket_opened(output.socket, output.bind, now=self.now)
                outputs += self.server.take_outputs()
        return next(output.data for output in outputs if type(output) is SendDatagram)

    def at(self, now: float) -> None:
        """Let time pass, and everything end that is due."""
        self.now = now
        self.server.handle_timer(now=now)
        self.server.take_outputs()

    def nonce(self, source: Address) -> str:
        """What a client is challenged with."""
        nonce = decode_untrusted(self.ask(source, Method.ALLOCATE, None, UDP_RELAY)).get(NONCE)
        assert nonce is not None
        return nonce

    def grow(self, clients: int) -> None:
        """So many clients more, each with an allocation."""
        for _ in range(clients):
            self.count += 1
            source = address_of(self.count)
            answer = decode_untrusted(self.ask(source, Method.ALLOCATE, self.nonce(source), UDP_RELAY))
            assert answer.message_class is MessageClass.SUCCESS
