"""What a TURN server keeps of a client: its allocation, relayed addresses, permissions and channels (RFC 8656 3.2).

Plain slotted classes, and few of them: a server has tens of thousands of allocations, and looks into one for each packet.
Nothing here knows the time. Whatever expires is its own key in the timer table of the server: a `Relay`, a `Permission`
and a `Channel` are valid as long as they are found where they are looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType

from sansice.machine import Address, SocketId
from sansice.stun import AddressErrorCode, AddressFamily, Allowance, Path, Session, TransactionId

if TYPE_CHECKING:
    from ._limits import User

AllocationId = NewType("AllocationId", int)
"""Names an allocation to the application; never used again in the life of a server."""

UDP_PROTOCOL = 17  # REQUESTED-TRANSPORT (RFC 8656 18.8)
TCP_PROTOCOL = 6  # RFC 6062 5.1


class Allocation:
    """What one 5-tuple has been given.

    Attributes:
        id: what the application knows it by.
        username: who made it; requests of anybody else are refused with 441 (RFC 8656 5). "" where nobody is asked.
        path: the 5-tuple: the listener's socket or the stream, the client's address, how bytes travel.
        protocol: of the relayed addresses: `UDP_PROTOCOL` or `TCP_PROTOCOL`.
        transaction: of the Allocate request, which may be repeated (RFC 8656 5).
        user: bandwidth and quotas that all allocations of a user share.
        relays: at most one a family.
        channels: by the two bytes that begin ChannelData, whatever the family of the peer.
        received_packets, received_bytes: data relayed from the client to peers.
        sent_packets, sent_bytes: data relayed from peers to the client.
        dropped: packets of either direction that were not relayed.
        unsent: bytes that wait on the client's stream.
        allowance: of requests; ``None`` before the first one.
        mobile: where the client is, if it may move (RFC 8016).
        token: of the port that was reserved along with this allocation.
        session: the access token that it was made or refreshed with, if it was (RFC 7635).
        failed: the family that a dual request did not get. This and the token are kept to repeat the answer (RFC 8656 7.2).
    """

    __slots__ = (
        "allowance",
        "channels",
        "dropped",
        "failed",
        "id",
        "mobile",
        "path",
        "protocol",
        "received_bytes",
        "received_packets",
        "relays",
        "sent_bytes",
        "sent_packets",
        "session",
        "token",
        "transaction",
        "unsent",
        "user",
        "username",
    )

    def __init__(
        self,
        id: AllocationId,
        path: Path,
        transaction: TransactionId,
        username: str,
        user: User,
        *,
        protocol: int = UDP_PROTOCOL,
    ) -> None:
        self.id = id
        self.path = path
        self.transaction = transaction
        self.username = username
        self.user = user
        self.protocol = protocol
        self.relays: dict[AddressFamily, Relay] = {}
        self.channels: dict[bytes, Channel] = {}
        self.received_packets = 0
        self.received_bytes = 0
        self.sent_packets = 0
        self.sent_bytes = 0
        self.dropped = 0
        self.unsent = 0
        self.allowance: Allowance | None = None
        self.mobile: Mobile | None = None
        self.token: bytes | None = None
        self.session: Session | None = None
        self.failed: AddressErrorCode | None = None


class Mobile:
    """What an allocation has that its client can take along to another address (RFC 8016 3).

    Attributes:
        allocation: whose.
        ticket: the one that is good now, and was told last.
        old_ticket: the one before it; ``None`` where there was none.
        old_until: so long that one is known as a repeated request's, from ``moved_to``.
        moved_to: whoever showed that; ``None`` while no ticket has been shown.
        arriving: where the client is going, but has sent no data from; ``None`` where it is nowhere else than at the
            allocation's ``path``.
        has_left: the stream of that path is closed, and no other has come yet.
    """

    __slots__ = ("allocation", "arriving", "has_left", "moved_to", "old_ticket", "old_until", "ticket")

    def __init__(self, allocation: Allocation, ticket: bytes) -> None:
        self.allocation = allocation
        self.ticket = ticket
        self.old_ticket: bytes | None = None
        self.old_until = 0.0
        self.moved_to: Path | None = None
        self.arriving: Path | None = None
        self.has_left = False


class Relay:
    """One relayed transport address: a socket of the server's.

    Attributes:
        allocation: whose it is.
        family: of the address.
        socket: what sends to and hears from the peers.
        address: what the client is told, and peers see.
        local: what the socket is bound to; differs from ``address`` behind a NAT that maps one to one.
        expires: when it ends unless it is refreshed; monotonic seconds. Told in answers, never compared for a packet.
        permissions: by the peer's host: ports do not matter (RFC 8656 9).
        channels: by the peer.
    """

    __slots__ = ("address", "allocation", "channels", "expires", "family", "local", "permissions", "socket")

    def __init__(
        self, allocation: Allocation, family: AddressFamily, socket: SocketId, address: Address, local: Address, expires: float
    ) -> None:
        self.allocation = allocation
        self.family = family
        self.socket = socket
        self.address = address
        self.local = local
        self.expires = expires
        self.permissions: dict[str, Permission] = {}
        self.channels: dict[Address, Channel] = {}


class Permission:
    """Data may be exchanged with a host (RFC 8656 9).

    Attributes:
        relay: on which relayed address.
        host: of the peer.
        is_own: it is a host of this server: `OwnAddresses.may_reach` says for each datagram whether its port is allowed.
    """

    __slots__ = ("host", "is_own", "relay")

    def __init__(self, relay: Relay, host: str, *, is_own: bool) -> None:
        self.relay = relay
        self.host = host
        self.is_own = is_own


class Channel:
    """A number that stands for a peer (RFC 8656 12).

    Attributes:
        relay: on which relayed address.
        number: 0x4000 to 0x4FFF.
        header: the number as the two bytes that begin ChannelData.
        peer: what it stands for.
        is_own: the peer is on a host of this server, see `Permission`.
    """

    __slots__ = ("header", "is_own", "number", "peer", "relay")

    def __init__(self, relay: Relay, number: int, peer: Address, *, is_own: bool) -> None:
        self.relay = relay
        self.number = number
        self.header = number.to_bytes(2, "big")
        self.peer = peer
        self.is_own = is_own
