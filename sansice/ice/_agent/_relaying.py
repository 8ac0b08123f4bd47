"""Between an agent and its relays: what is sent on a relayed address leaves through its server, and what arrives comes back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sansice.ice._gathering._gatherer import Gatherer
from sansice.ice._gathering._relays import Datagrams, Relays
from sansice.machine import Action, Address, CloseMode, Event, SendDatagram, SocketError, SocketId, Transport

from ._component import Component


class Relaying:
    """For agents that have servers; the others have none.

    Args:
        gatherer: of the agent.
        relays: of the gatherer.
        outputs: of the agent: in them, what is sent on a relayed address is replaced.
        pass_on: does what the gatherer wants.
    """

    __slots__ = ("_gatherer", "_outputs", "_pass_on", "_relays")

    def __init__(
        self, gatherer: Gatherer, relays: Relays, outputs: list[Action | Event], pass_on: Callable[[float], None]
    ) -> None:
        self._gatherer = gatherer
        self._relays = relays
        self._outputs = outputs
        self._pass_on = pass_on

    def wrap_outputs(self, now: float) -> None:
        """Replace what the agent's parts have sent on relayed addresses by what goes to the servers."""
        is_virtual, outputs = self._relays.is_virtual, self._outputs
        if not any(type(output) is SendDatagram and is_virtual(output.socket) for output in outputs):
            return
        before = outputs.copy()
        outputs.clear()
        for output in before:
            if isinstance(output, SendDatagram) and is_virtual(output.socket):
                self.send(*output, now=now)
            else:
                outputs.append(output)
        self.take_news(now)

    def send(self, socket: SocketId, peer: Address, data: bytes, *, now: float) -> bool:
        """Send one datagram from a relayed address; ``False``: it was thrown away.

        Raises:
            LocalProtocolError: it is more than a relay can take.
        """
        before = self._relays.discarded
        action = self._relays.wrap(socket, peer, data, now=now)
        if action is not None:
            self._outputs.append(action)
        return self._relays.discarded == before

    def take_news(self, now: float) -> bool:
        """Act on what the relays have to tell; whether it was anything."""
        if not self._relays.has_news:
            return False
        self._gatherer.absorb_relays(now)
        self._pass_on(now)
        return True

    def permit(self, sockets: dict[SocketId, Component], now: float) -> None:
        """Let all candidates of the peer's in at all relayed addresses of their component (RFC 8445 7.2.1), and nobody else.

        Who has sent data before a restart stays until its path is used no more.
        """
        for socket, component in tuple(sockets.items()):
            if self._relays.is_virtual(socket):
                pairing = component.conclusion.pairing
                known = pairing.remotes.items()
                remotes = tuple([at for at, one in known if one.transport is Transport.UDP and pairing.is_open(at)])
                in_use = component.former or () if component.path is None else (component.path[1], *(component.former or ()))
                self._relays.keep(socket, {address.host for address in (*remotes, *in_use)}, now=now)
                for remote in remotes:
                    self._relays.permit(socket, remote, now=now)
        self.take_news(now)

    def select(self, socket: SocketId, peer: Address, now: float) -> None:
        """A pair was selected: its data gets a channel."""
        self._relays.select(socket, peer, now=now)
        self.take_news(now)

    def is_virtual(self, socket: SocketId) -> bool:
        """Whether a socket is a relayed address, never opened."""
        return self._relays.is_virtual(socket)

    def carries(self, socket: SocketId) -> bool:
        """Whether what arrives on a socket may be a relay's."""
        return self._relays.carries(socket)

    def unwrap(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], now: float) -> list[tuple[SocketId, Datagrams]]:
        """What has arrived on a socket that carries a relay's data, by the sockets that it is for."""
        return self._relays.unwrap(socket, batch, now=now)

    def unwrap_stream(self, socket: SocketId, data: bytes, now: float) -> list[tuple[SocketId, Datagrams]]:
        """The same, of a stream."""
        return self._relays.unwrap_stream(socket, data, now=now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """The backlog of a stream moved."""
        self._relays.handle_stream_sent(socket, unsent, now=now)

    # ------------------------------------------------------------- the end

    def close_socket(self, socket: SocketId, mode: CloseMode, now: float) -> None:
        """Close a socket, or give a relayed address back; one that a relay needs waits for that."""
        if self._relays.is_virtual(socket):
            self._relays.close_virtual(socket, now=now)
        else:
            self._gatherer.forget(socket)
            self._relays.close_socket(socket, mode)
        self.take_news(now)

    def lose_hosts(self, hosts: Collection[str], error: SocketError, now: float) -> None:
        """The machine has no other addresses any more than these."""
        self._relays.lose_hosts(hosts, error, now=now)
        self.take_news(now)

    def refresh(self, now: float) -> None:
        """See whether all that relays does so still."""
        self._relays.refresh(now=now)
        self.take_news(now)

    def close(self, now: float) -> None:
        """Give everything back."""
        self._relays.close(now=now)
        self.take_news(now)

    @property
    def lingers(self) -> bool:
        """Whether servers are being told."""
        return self._relays.lingers
