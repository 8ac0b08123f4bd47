"""Connect and ConnectionBind requests, and who connects to a relayed address (RFC 6062 5.2 to 5.4)."""

from __future__ import annotations

from sansice.machine import Address, DecodeError, DropReason, SocketId
from sansice.stun import CONNECTION_ID, XOR_PEER_ADDRESS, Message, RequestReceived, StunServer

from ._allocation import TCP_PROTOCOL, Allocation, Relay
from ._answering import answer, refuse
from ._own import OwnAddresses
from ._peers import address_family_of
from ._refusal import BAD_REQUEST, FAMILY_MISMATCH, FORBIDDEN, MISMATCH, Refusal
from ._tcp_relay import CONNECT_TIMEOUT, ConnectFinished, TcpRelay

ANSWER_TIMEOUT = CONNECT_TIMEOUT + 5.0  # seconds; a Connect is decided before, unless the driver is late


class TcpRequests:
    """Judges what clients ask of `TcpRelay`, and answers.

    Args:
        stun: answers.
        tcp: has the connections.
        own: knows which peers may be reached.
        max_unsent: bytes that may wait on a control connection for its client, before nobody is announced there.
    """

    __slots__ = ("_max_unsent", "_own", "_stun", "_tcp")

    def __init__(self, stun: StunServer, tcp: TcpRelay, own: OwnAddresses, max_unsent: int) -> None:
        self._stun = stun
        self._tcp = tcp
        self._own = own
        self._max_unsent = max_unsent

    def connect(self, received: RequestReceived, allocation: Allocation, *, now: float) -> None:
        """Serve a Connect request of an allocation's client (RFC 6062 5.2)."""
        wish = self._judge_connect(received.message, allocation)
        if isinstance(wish, Refusal):
            refuse(self._stun, received, wish, now)
            return
        relay, peer = wish
        error = self._tcp.connect(relay, peer, received, now=now)
        if error is not None:
            refuse(self._stun, received, Refusal(error), now)
        else:
            self._stun.postpone(received, ANSWER_TIMEOUT, now=now)

    def _judge_connect(self, request: Message, allocation: Allocation) -> tuple[Relay, Address] | Refusal:
        if allocation.protocol != TCP_PROTOCOL:
            return MISMATCH
        try:
            peer = request.get(XOR_PEER_ADDRESS)
        except DecodeError:
            return BAD_REQUEST
        if peer is None or not peer.port:
            return BAD_REQUEST
        relay = allocation.relays.get(address_family_of(peer.host))
        if relay is None:
            return FAMILY_MISMATCH
        return (relay, peer) if self._own.may_reach(peer, TCP_PROTOCOL) else FORBIDDEN

    def finish(self, event: ConnectFinished, *, now: float) -> None:
        """Answer a Connect request that has been decided."""
        if event.error is None:
            answer(self._stun, event.request, ((CONNECTION_ID, event.connection),), now)
        else:
            refuse(self._stun, event.request, Refusal(event.error), now)

    def bind(self, received: RequestReceived, connection: int, *, now: float) -> None:
        """Serve a ConnectionBind request that `read_connection_id` has found sound; the stream is relayed from then on."""
        found = self._tcp.claim(connection, received.username or "")
        if found is None or not _is_of(received, found.relay.allocation):
            # Somebody else's connection is answered like one that there is not: nobody learns which there are.
            refuse(self._stun, received, BAD_REQUEST, now)
            return
        socket = received.path.socket
        answer(self._stun, received, (), now)
        rest = self._stun.release_stream(socket, now=now)
        if rest is None:
            self._tcp.drop(found)
        else:
            self._tcp.bind(found, socket, rest, now=now)

    def accept(self, relay: Relay, socket: SocketId, peer: Address, *, now: float) -> None:
        """A peer has connected to a relayed address (RFC 6062 5.3)."""
        permission = relay.permissions.get(peer.host)
        if permission is None or (permission.is_own and not self._own.may_reach(peer, TCP_PROTOCOL)):
            self._tcp.refuse(socket, DropReason.NO_PERMISSION)
        elif relay.allocation.unsent > self._max_unsent:  # the client does not read of whom it is told, or has left
            self._tcp.refuse(socket, DropReason.QUEUE_FULL)
        else:
            self._tcp.handle_peer(relay, socket, peer, now=now)


def _is_of(received: RequestReceived, allocation: Allocation) -> bool:
    """Whether a request of the same user has the same token behind it (RFC 6062 4.3, 4.4): all tokens have one user."""
    shown, known = received.session, allocation.session
    return (shown and shown.account) == (known and known.account)


def read_connection_id(received: RequestReceived) -> int | Refusal:
    """The CONNECTION-ID of a ConnectionBind request, or what is wrong with it (RFC 6062 5.4)."""
    try:
        connection = received.message.get(CONNECTION_ID)
    except DecodeError:
        return BAD_REQUEST
    return BAD_REQUEST if connection is None or not received.path.reliable else connection
