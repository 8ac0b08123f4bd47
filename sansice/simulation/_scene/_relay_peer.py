"""The far end of a call through a relay: it learns its own address by STUN, and sends to the relayed one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from sansice.machine import (
    Address,
    DecodeError,
    Entropy,
    Event,
    Machine,
    OpenSocket,
    SendDatagram,
    SocketId,
    Transport,
)
from sansice.stun import XOR_MAPPED_ADDRESS, MessageClass, Method, TransactionId, decode_untrusted, encode, is_stun

KNOCK = 0x81  # the first byte of what it sends by itself; no STUN message and no ChannelData begins so (RFC 7983 7)
INTERVAL = 1.0  # s between two knocks, which also keep the way through its own NAT open

_SOCKET = SocketId(1)
_ASKED_AT = (0.0, 0.5, 1.5)  # s: RFC 8489 6.2.1, cut short, because an application waits
_PATIENCE = 3.0  # s until it goes on without an answer


@attrs.frozen
class PeerGathered(Event):
    """The far end knows its addresses.

    Attributes:
        local: of its socket.
        mapped: what the server saw; ``None`` where it does not answer.
    """

    local: Address
    mapped: Address | None


@attrs.frozen
class PeerHeard(Event):
    """Something came from the relayed address; what is no answer to a knock was sent back.

    Attributes:
        knocked: whether it is such an answer.
    """

    knocked: bool


class RelayPeer(Machine):
    """Finds out where it is seen, then knocks at a relayed address once a second and answers what comes from there.

    Args:
        host: the literal to bind to.
        server: whom to ask.
        payload: bytes in each datagram.
        entropy: the only source of randomness.

    Attributes:
        relayed: where it sends to; ``None`` until it was told.
    """

    __slots__ = (
        "_asked",
        "_begun",
        "_entropy",
        "_host",
        "_knocks_at",
        "_local",
        "_payload",
        "_server",
        "_transaction",
        "relayed",
    )

    def __init__(self, host: str, server: Address, payload: int, *, entropy: Entropy) -> None:
        super().__init__()
        self.relayed: Address | None = None
        self._host = host
        self._server = server
        self._payload = payload
        self._entropy = entropy
        self._transaction: TransactionId | None = None
        self._local: Address | None = None
        self._begun = 0.0
        self._asked = 0
        self._knocks_at = math.inf

    def start(self, *, now: float) -> None:
        """Open the socket, and ask from it."""
        self._outputs.append(OpenSocket(_SOCKET, Transport.UDP, Address(self._host, 0)))

    def call(self, relayed: Address, *, now: float) -> None:
        """Send there from now on."""
        self.relayed = relayed
        self._knock(now)

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """It can ask."""
        self._local, self._begun = local, now
        self._transaction = TransactionId(self._entropy(12))
        self.handle_timer(now=now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """An answer of the server's, or something from the relayed address; anything else is nobody's."""
        for source, data in batch:
            if source == self.relayed:
                knocked = data[:1] == bytes([KNOCK])
                if not knocked:
                    self._outputs.append(SendDatagram(_SOCKET, source, data))
                self._outputs.append(PeerHeard(knocked))
            elif source == self._server and is_stun(data):
                self._take_answer(data)

    def handle_timer(self, *, now: float) -> None:
        """It is time to ask again, to give up asking, or to knock."""
        if self._transaction is not None:
            if now >= self._begun + _PATIENCE:
                self._gathered(None)
            else:
                self._ask(now)
        if now >= self._knocks_at:
            self._knock(now)

    def deadline(self) -> float:
        """When it asks or knocks next."""
        if self._transaction is None:
            return self._knocks_at
        waits = _ASKED_AT[self._asked] if self._asked < len(_ASKED_AT) else _PATIENCE
        return min(self._begun + waits, self._knocks_at)

    def _ask(self, now: float) -> None:
        assert self._transaction is not None
        while self._asked < len(_ASKED_AT) and now >= self._begun + _ASKED_AT[self._asked]:
            self._asked += 1
            request = encode(Method.BINDING, MessageClass.REQUEST, self._transaction, [])
            self._outputs.append(SendDatagram(_SOCKET, self._server, request))

    def _take_answer(self, data: bytes) -> None:
        try:
            answer = decode_untrusted(data)
            mapped = answer.get(XOR_MAPPED_ADDRESS)
        except DecodeError:
            return
        if answer.transaction_id == self._transaction and mapped is not None:
            self._gathered(mapped)

    def _gathered(self, mapped: Address | None) -> None:
        assert self._local is not None
        self._transaction = None
        self._outputs.append(PeerGathered(self._local, mapped))

    def _knock(self, now: float) -> None:
        assert self.relayed is not None
        self._knocks_at = now + INTERVAL
        self._outputs.append(SendDatagram(_SOCKET, self.relayed, bytes([KNOCK]) * self._payload))
