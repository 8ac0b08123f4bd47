"""One relay: a TURN client, what it was asked for, and the sockets that its relayed addresses are to the agent."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import attrs

from sansice._enums import IdentityEnum
from sansice.ice._pair import LocalCandidate
from sansice.ice._server import NamedServer
from sansice.machine import Address, Event, IcmpError, SocketId, Transport
from sansice.stun import ServerTarget
from sansice.turn import AllocateAttempt, TurnClient


class RelayState(IdentityEnum):
    """Where a relay is."""

    ASKING = "servers are asked for an allocation"
    RELAYING = "there are relayed addresses"
    LEAVING = "the allocation is being deleted"
    OVER = "nothing is left of it"


class RelayInput(IdentityEnum):
    """What moves a relay from state to state."""

    GRANT = "a server has allocated"
    FAIL = "no server has, or the allocation is lost"
    LEAVE = "it is not needed any more"
    END = "the server has deleted it, or had time enough"


_S, _I = RelayState, RelayInput
RELAY_TRANSITIONS = MappingProxyType(
    {
        _S.ASKING: {_I.GRANT: _S.RELAYING, _I.FAIL: _S.LEAVING, _I.LEAVE: _S.LEAVING},
        _S.RELAYING: {_I.FAIL: _S.LEAVING, _I.LEAVE: _S.LEAVING},
        _S.LEAVING: {_I.LEAVE: _S.LEAVING, _I.END: _S.OVER},
        _S.OVER: {_I.LEAVE: _S.OVER},
    }
)


@attrs.frozen
class RelayQuestion:
    """An allocation to ask for.

    Attributes:
        host: the host candidate through whose socket UDP servers are asked, and from whose address the others.
        server: as it was given.
        number: its place among those that the agent was given.
        targets: where it is, in the order to try; all of the host's family.
    """

    host: LocalCandidate
    server: NamedServer
    number: int
    targets: tuple[ServerTarget, ...]

    def names(self, server: Address) -> bool:
        """Whether it is this server that was meant, and not one that another server named."""
        return any(target.address == server for target in self.targets)


class Relay:
    """What is known of one.

    Attributes:
        number: its place among the relays of the agent, from 1.
        question: what it was asked for.
        client: asks, and keeps what it was given.
        asked: when.
        state: by `RELAY_TRANSITIONS`.
        heard: whether any server has answered anything yet.
        opened: of one that is held: the streams to its server that are open, with their local addresses.
        granted: what came of it.
        sockets: by family: the socket that the relayed address of this family is to the agent.
        permitted: hosts for which a permission was asked.
        refused: hosts that the server never relays to, with code and reason.
        unsent: bytes that a stream to the server has not taken yet.
    """

    __slots__ = (
        "asked",
        "client",
        "granted",
        "heard",
        "number",
        "opened",
        "permitted",
        "question",
        "refused",
        "sockets",
        "state",
        "unsent",
    )

    def __init__(self, number: int, question: RelayQuestion, client: TurnClient, asked: float) -> None:
        self.number = number
        self.question = question
        self.client = client
        self.asked = asked
        self.state = RelayState.ASKING
        self.heard = False
        self.opened: dict[SocketId, Address] | None = None
        self.granted: Relayed | None = None
        self.sockets: dict[int, SocketId] = {}
        self.permitted: dict[str, None] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.unsent = 0

    def move(self, step: RelayInput) -> None:
        """Take the transition, which is in the table."""
        self.state = RELAY_TRANSITIONS[self.state][step]

    @property
    def is_over_udp(self) -> bool:
        """Whether the first that it asks is asked over UDP."""
        return self.question.targets[0].transport is Transport.UDP

    @property
    def is_held(self) -> bool:
        """Whether nothing is asked yet: its client does not know that the streams to its server are open."""
        return self.opened is not None

    @property
    def is_live(self) -> bool:
        """Whether it relays, or may come to it."""
        return self.state is RelayState.ASKING or self.state is RelayState.RELAYING


@attrs.frozen
class Relayed(Event):
    """A server relays.

    Attributes:
        relay: which one.
        addresses: relayed ones, each with the socket that it is to the agent.
        mapped: how the server sees the socket through which it was asked.
        local: what that socket is bound to: the host candidate's base, if it is its socket.
        target: the server.
        seconds: since it was asked.
    """

    relay: Relay
    addresses: tuple[tuple[SocketId, Address], ...]
    mapped: Address
    local: Address
    target: ServerTarget
    seconds: float


@attrs.frozen
class RelayRefused(Event):
    """There is no relay.

    Attributes:
        relay: which one.
        reason: words for a person.
        code: of the answer that decided; ``None`` where there was none.
        attempts: the servers that were asked.
        seconds: since it was asked.
    """

    relay: Relay
    reason: str
    code: int | None
    attempts: Sequence[AllocateAttempt]
    seconds: float


@attrs.frozen
class RelayLost(Event):
    """A relay is gone, and with it its sockets.

    Attributes:
        relay: which one.
        sockets: those that its relayed addresses were.
        reason: words for a person.
    """

    relay: Relay
    sockets: tuple[SocketId, ...]
    reason: str


@attrs.frozen
class PeerRefused(Event):
    """A server never relays to a host (RFC 8656 10.2): nothing becomes of pairs with it.

    Attributes:
        socket: what the relayed address is to the agent.
        host: of the peer.
        code, reason: what the server said.
    """

    socket: SocketId
    host: str
    code: int
    reason: str


@attrs.frozen
class RelayedIcmp(Event):
    """What a relay sent came back to it as an ICMP error (RFC 8656 11.6)."""

    socket: SocketId
    peer: Address
    error: IcmpError
