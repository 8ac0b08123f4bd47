"""One component of a connection, for who wants to know of no other: what of it never waits."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from ._handover import Handover
from ._pair import CandidatePair


class ManyComponents(Protocol):
    """What a channel needs of its connection."""

    def selected_pair_of(self, *, stream: int = 0, component: int = 1) -> CandidatePair | None:
        """See `IceConnectionBase.selected_pair_of`."""
        ...

    def is_writable(self, *, stream: int = 0, component: int = 1) -> bool:
        """See `IceConnectionBase.is_writable`."""
        ...

    def send_nowait(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """See `IceConnectionBase.send_nowait`."""
        ...

    def receive_nowait(self, *, stream: int = 0, component: int = 1) -> bytes:
        """See `IceConnectionBase.receive_nowait`."""
        ...

    def detach(self, *, stream: int = 0, component: int = 1) -> Handover:
        """See `IceConnectionBase.detach`."""
        ...


C = TypeVar("C", bound=ManyComponents)


class IceChannelBase(Generic[C]):
    """The part of an adapter's ``IceChannel`` that never waits; ``IceConnection.channel`` makes it.

    Args:
        ice: the connection.
        stream, component: of which this is the channel.

    Attributes:
        stream, component: as given.
    """

    __slots__ = ("_ice", "component", "stream")

    def __init__(self, ice: C, stream: int, component: int) -> None:
        self._ice = ice
        self.stream: int = stream
        self.component: int = component

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of stream {self.stream}, component {self.component}>"

    @property
    def writable(self) -> bool:
        """Whether `send_nowait` would send."""
        return self._ice.is_writable(stream=self.stream, component=self.component)

    @property
    def selected_pair(self) -> CandidatePair | None:
        """The nominated pair of this component, once there is one."""
        return self._ice.selected_pair_of(stream=self.stream, component=self.component)

    def send_nowait(self, data: bytes) -> None:
        """Send a datagram. See `IceConnectionBase.send_nowait`."""
        self._ice.send_nowait(data, stream=self.stream, component=self.component)

    def receive_nowait(self) -> bytes:
        """The oldest datagram that waits. See `IceConnectionBase.receive_nowait`."""
        return self._ice.receive_nowait(stream=self.stream, component=self.component)

    def detach(self) -> Handover:
        """Take over the socket. See `IceConnectionBase.detach`."""
        return self._ice.detach(stream=self.stream, component=self.component)
