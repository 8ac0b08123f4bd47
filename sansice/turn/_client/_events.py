"""What a TURN client tells the application."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from sansice.machine import Address, Event, IcmpError
from sansice.stun import AddressErrorCode, ServerTarget
from sansice.turn._errors import TurnStep


@attrs.frozen
class AllocateAttempt:
    """A server that gave no relayed address.

    Attributes:
        target: who was asked.
        step: how far it came.
        reason: words for a person.
        code: what the server answered, if anything.
    """

    target: ServerTarget
    step: TurnStep
    reason: str
    code: int | None = None


@attrs.frozen
class AllocationCreated(Event):
    """The server relays for this client from now on. The addresses are for peers to send to, once they have a permission.

    Attributes:
        relayed: one address, or one of each family, IPv4 first, where both were asked for and given.
        mapped: how the server sees this client (RFC 8489 14.2).
        lifetime: seconds; the client refreshes by itself.
        reservation_token: for another client's `TurnClient.allocate`, where the next port was to be reserved; 8 bytes.
        target: the server that gave it, after any redirection.
        local: what the socket towards it is bound to.
        dont_fragment: whether `TurnClient.send` may ask for it.
        refused: the family that was asked for and not given (RFC 8656 7.3).
        mobile: whether it may be taken along, see `TurnClient.rebind` (RFC 8016).
    """

    relayed: tuple[Address, ...]
    mapped: Address
    lifetime: int
    reservation_token: bytes | None = attrs.field(repr=lambda token: "None" if token is None else token.hex())
    target: ServerTarget
    local: Address
    dont_fragment: bool = False
    refused: AddressErrorCode | None = None
    mobile: bool = False


@attrs.frozen
class AllocationFailed(Event):
    """No server gave a relayed address. `TurnClient.allocate` may be called again.

    Attributes:
        step: how far the best attempt came.
        reason: words for a person, about every server that was tried.
        code: of the answer that decided; ``None`` where there was none.
        attempts: the servers that were tried, in the order in which they failed.
        retry_after: seconds for which the servers want to be left alone (RFC 8656 7.4): until then `TurnClient.allocate` fails
            without asking; `math.inf` where only new credentials or an operator can help; 0 where nothing forbids it.
    """

    step: TurnStep
    reason: str
    code: int | None = None
    attempts: tuple[AllocateAttempt, ...] = ()
    retry_after: float = 0.0


@attrs.frozen
class AllocationLost(Event):
    """The relayed addresses are gone, with all permissions and channels. `TurnClient.allocate` may be called at once.

    Attributes:
        reason: words for a person.
        code: what the server answered; 437 where it does not know the allocation any more; ``None`` where it said nothing.
    """

    reason: str
    code: int | None = None


@attrs.frozen
class AllocationRefreshed(Event):
    """The allocation lives on.

    Attributes:
        lifetime: seconds from now.
        relayed: the addresses that it has left.
    """

    lifetime: int
    relayed: tuple[Address, ...]


@attrs.frozen
class AllocationRebound(Event):
    """The allocation has been taken along: data takes the new way from now on (RFC 8016).

    Attributes:
        local: what the socket towards the server is bound to now.
        lifetime: seconds from now.
        mapped: how the server sees this client now; ``None`` where it does not say, which RFC 8016 leaves to it.
    """

    local: Address
    lifetime: int
    mapped: Address | None = None


@attrs.frozen
class RebindFailed(Event):
    """`TurnClient.rebind` came to nothing, and the allocation is where it was.

    Attributes:
        code: what the server answered; ``None`` where it did not answer.
        reason: words for a person.
    """

    code: int | None
    reason: str


@attrs.frozen
class PermissionCreated(Event):
    """Datagrams go to and come from these hosts, whatever the port, until `PermissionFailed` (RFC 8656 9).

    Attributes:
        hosts: IP addresses.
    """

    hosts: tuple[str, ...]


@attrs.frozen
class PermissionFailed(Event):
    """Nothing goes to or comes from these hosts any more; data for them is dropped until they are asked for again.

    Attributes:
        hosts: IP addresses.
        code: what the server answered: 403 for a peer that it never relays to; ``None`` where it did not answer.
        reason: words for a person.
    """

    hosts: tuple[str, ...]
    code: int | None
    reason: str


@attrs.frozen
class ChannelBound(Event):
    """Data for and from this peer travels with four bytes of header from now on (RFC 8656 12).

    Attributes:
        peer: transport address.
        number: of the channel.
    """

    peer: Address
    number: int


@attrs.frozen
class ChannelFailed(Event):
    """There is no channel for this peer, or none any more. As long as its permission lasts, data travels in indications.

    Attributes:
        peer: transport address.
        code: what the server answered; ``None`` where it did not answer.
        reason: words for a person.
    """

    peer: Address
    code: int | None
    reason: str


class _DataReceived(NamedTuple):
    peer: Address
    data: bytes


class DataReceived(_DataReceived, Event):
    """A datagram that a peer sent to a relayed address; a NamedTuple because there is one for every packet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"DataReceived(peer={self.peer}, data={self.data.hex()})"


@attrs.frozen
class PeerUnreachable(Event):
    """What the relay sent to a peer came back as an ICMP error (RFC 8656 11.6). Routers and forgers say so, too: a hint.

    Attributes:
        peer: where it was sent; port 0 where the relay could not tell.
        error: what came back.
    """

    peer: Address
    error: IcmpError


@attrs.frozen
class Closed(Event):
    """The client is closed; the last event."""
