"""What an Allocate request asks for, and which wishes exclude each other (RFC 8656 7.1, RFC 6062 4.1, RFC 8016 3.1.1)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from sansice.machine import LocalProtocolError, Transport
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    SSODA_ADDRESS_FAMILY,
    AddressFamily,
    Attribute,
)

from ._codes import MOBILITY_FORBIDDEN, NO_CAPACITY, UNKNOWN_ATTRIBUTE

Family: TypeAlias = Literal[4, 6, "both"]
Attributes: TypeAlias = tuple[tuple[Attribute[Any], Any], ...]

_PROTOCOLS = {Transport.UDP: 17, Transport.TCP: 6}  # RFC 8656 18.8, RFC 6062 6.1: numbers of IP protocols
ADDRESS_FAMILIES = {4: AddressFamily.IPV4, 6: AddressFamily.IPV6}
_TOKEN_LENGTH = 8  # RFC 8656 18.10
LARGEST_LIFETIME = 0xFFFFFFFF  # what LIFETIME can say


@attrs.frozen(kw_only=True)
class AllocateWish:
    """The options of `TurnClient.allocate`; the attributes are explained there.

    Raises:
        LocalProtocolError: no request can ask for this.
    """

    transport: Transport = Transport.UDP
    family: Family | None = None
    even_port: bool = False
    reserve_next: bool = False
    reservation_token: bytes | None = attrs.field(default=None, repr=lambda token: "None" if token is None else token.hex())
    dont_fragment: bool = False
    lifetime: int | None = None
    mobility: bool = False

    def __attrs_post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise LocalProtocolError(problem)

    def _problem(self) -> str:
        if self.transport not in _PROTOCOLS:
            return f"peers are reached over Transport.UDP or Transport.TCP, not {self.transport}"
        if self.family not in (None, 4, 6, "both"):
            return f"the family is 4, 6 or 'both', not {self.family!r}"
        if self.reserve_next and not self.even_port:
            return "the next port is reserved for an even one: even_port, too (RFC 8656 18.7)"
        if self.reserve_next and self.family == "both":
            return "no port is reserved for an allocation of both families (RFC 8656 7.1)"
        if self.reservation_token is not None:
            if len(self.reservation_token) != _TOKEN_LENGTH:
                return f"a reservation token of {len(self.reservation_token)} bytes: it has {_TOKEN_LENGTH}"
            if self.even_port or self.family is not None:
                return "a reservation token stands for a port that is chosen already: without even_port and family (RFC 8656 7.1)"
        if self.lifetime is not None and not 1 <= self.lifetime <= LARGEST_LIFETIME:
            return f"a lifetime of {self.lifetime} s is outside 1..{LARGEST_LIFETIME}"
        if self.transport is Transport.TCP and (self.dont_fragment or self.even_port or self.reservation_token is not None):
            return "relayed TCP has no even_port, reservation_token or dont_fragment (RFC 6062 4.1)"
        return ""

    @property
    def families(self) -> tuple[int, ...]:
        """Which of 4 and 6 the relayed addresses may be of; of a reserved port only its owner knows."""
        if self.reservation_token is not None or self.family == "both":
            return (4, 6)
        return (4,) if self.family is None else (self.family,)  # RFC 8656 7.2: nothing said is IPv4

    def attributes(self) -> Attributes:
        """What the request carries beside its authentication."""
        asked: list[tuple[Attribute[Any], Any]] = [(REQUESTED_TRANSPORT, _PROTOCOLS[self.transport])]
        if self.family == "both":
            # RFC 8656 7.1: never IPv4. A server that knows neither number ignores it.
            asked += [(ADDITIONAL_ADDRESS_FAMILY, AddressFamily.IPV6), (SSODA_ADDRESS_FAMILY, AddressFamily.IPV6)]
        elif self.family is not None:
            asked.append((REQUESTED_ADDRESS_FAMILY, ADDRESS_FAMILIES[self.family]))
        if self.even_port:
            asked.append((EVEN_PORT, self.reserve_next))
        if self.reservation_token is not None:
            asked.append((RESERVATION_TOKEN, self.reservation_token))
        if self.dont_fragment:
            asked.append((DONT_FRAGMENT, None))
        if self.lifetime is not None:
            asked.append((LIFETIME, self.lifetime))
        if self.mobility:
            asked.append((MOBILITY_TICKET, b""))
        return tuple(asked)

    def relaxed(self, code: int | None, unknown: tuple[int, ...]) -> AllocateWish | None:
        """The wish without what the server has just refused, where something else may do; ``None`` where nothing will.

        Args:
            code: what the server answered.
            unknown: the attributes that a 420 lists.
        """
        if code == UNKNOWN_ATTRIBUTE and self.dont_fragment and DONT_FRAGMENT.code in unknown:
            return attrs.evolve(self, dont_fragment=False)
        if code == MOBILITY_FORBIDDEN and self.mobility:
            return attrs.evolve(self, mobility=False)
        if code == NO_CAPACITY and (self.even_port or self.reservation_token is not None):
            return attrs.evolve(self, even_port=False, reserve_next=False, reservation_token=None)
        return None
