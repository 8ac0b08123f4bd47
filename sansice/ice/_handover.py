"""The socket of a component, for who moves the data himself: what `IceConnectionBase.detach` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from sansice.machine import Address, SocketId
from sansice.stun import is_stun

if TYPE_CHECKING:
    import socket  # noqa: TID251 - a type alone

LentSocket: TypeAlias = "socket.socket"


class Lender(Protocol):
    """What a handover needs of the connection."""

    def _path(self, stream: int, component: int) -> tuple[SocketId, Address] | None:
        """Where data is sent."""
        ...

    def _address_of(self, source: Any) -> Address:
        """The address that ``recvfrom`` means."""
        ...

    def _hear(self, id: SocketId, source: Address, data: bytes) -> None:
        """Feed the agent."""
        ...


class Handover:
    """A component's socket, which the agent does not read any more, and where to send.

    Send data to `remote` and read what comes, with whatever you like: a thread of your own, another event loop, an
    encoder in C that is given the descriptor. The path is the agent's still: it goes on asking for consent, and the peer goes
    on asking this end (RFC 7675). So give every datagram to `feed`, which says whether it was the agent's. Where nobody
    does, the peer's answers are not heard, and 30 s later consent is lost at both ends.

    The socket is a duplicate: closing it is up to you, and closing the agent leaves it open. It does not block and must not be
    made to, as the agent goes on sending by it; a timeout is fine. Once the
    agent uses another path (after a restart, or where another pair was selected) `is_current` is false: detach again.

    Attributes:
        socket: bound to `local`, not connected: datagrams of others arrive too, of which `feed` gets rid.
        local: its address.
        remote: the peer's, where data is sent to.
    """

    __slots__ = ("_component", "_id", "_lender", "local", "remote", "socket")

    def __init__(
        self, lender: Lender, component: tuple[int, int], sock: LentSocket, id: SocketId, local: Address, remote: Address
    ) -> None:
        self._lender = lender
        self._component = component
        self._id = id
        self.socket: LentSocket = sock
        self.local: Address = local
        self.remote: Address = remote

    @property
    def is_current(self) -> bool:
        """Whether this is the path that the agent uses."""
        return self._lender._path(*self._component) == (self._id, self.remote)

    def feed(self, data: bytes, source: tuple[str, int] | tuple[str, int, int, int]) -> bool:
        """Give the agent what it must see. Never waits.

        Args:
            data: a datagram that was read from `socket`.
            source: where it came from, as ``recvfrom`` said.

        Returns:
            Whether the agent has taken it; otherwise it is the peer's data, and yours. What the peer sends from another
            of its addresses comes out of ``receive``, as before.

        Raises:
            LocalProtocolError: the connection's block was left.
        """
        address = self._lender._address_of(source)
        if data and address == self.remote and not is_stun(data):
            return False
        self._lender._hear(self._id, address, data)
        return True
