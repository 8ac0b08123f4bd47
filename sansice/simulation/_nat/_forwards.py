"""What a NAT was told to let in: forwarded ports, and whole addresses of 1:1 NAT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet

from ._kind import NatMapping
from ._table import Table

_PROTOCOLS = ("udp", "tcp")


def _as_address(value: tuple[str, int]) -> Address:
    return Address.of(*value)


def _protocols(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if not value or any(protocol not in _PROTOCOLS for protocol in value):
        raise ValueError(f'{attribute.name} must be "udp", "tcp" or both, not {value!r}')


@attrs.frozen
class Forward:
    """A translation that was configured: it needs no packet from inside, lets anybody in and never expires.

    It works both ways: what the inner side sends leaves from the outer one.

    Attributes:
        outer: an address of the NAT; its port, or 0 for all of them, "1:1 NAT".
        inner: where it leads; port 0 exactly where the outer one is.
        protocols: ``"udp"``, ``"tcp"`` or both.

    Raises:
        ValueError: an address is no literal, families differ, one port is 0 and the other is not, an unknown protocol.
    """

    outer: Address = attrs.field(converter=_as_address)
    inner: Address = attrs.field(converter=_as_address)
    protocols: tuple[str, ...] = attrs.field(default=_PROTOCOLS, converter=tuple, validator=_protocols, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if (":" in self.outer.host) != (":" in self.inner.host):
            raise ValueError(f"a forward from {self.outer.host} to {self.inner.host} would change the family")
        if bool(self.outer.port) != bool(self.inner.port):
            raise ValueError(f"a forward from {self.outer} to {self.inner}: either one port to one port, or all (0) to all (0)")


class ForwardedTable:
    """The forwards of one protocol, in front of a table of what comes and goes.

    Args:
        table: for everything else.
        forwards: of this protocol.
    """

    __slots__ = ("_by_inner", "_by_outer", "_table")

    def __init__(self, table: Table, forwards: Sequence[Forward]) -> None:
        self._table = table
        self._by_outer = {forward.outer: forward.inner for forward in forwards}
        self._by_inner = {forward.inner: forward.outer for forward in forwards}

    def leave(self, packet: Packet) -> Address | Fate:
        """See `Table.leave`."""
        return _translated(self._by_inner, packet.source) or self._table.leave(packet)

    def enter(self, packet: Packet) -> Address | Fate:
        """See `Table.enter`."""
        return _translated(self._by_outer, packet.destination) or self._table.enter(packet)

    def outer_of(self, inner: Address, peer: Address) -> Address | None:
        """See `Table.outer_of`."""
        return _translated(self._by_inner, inner) or self._table.outer_of(inner, peer)

    def inner_of(self, outer: Address, peer: Address) -> Address | Fate:
        """See `Table.inner_of`."""
        return _translated(self._by_outer, outer) or self._table.inner_of(outer, peer)

    def mappings(self) -> Iterator[NatMapping]:
        """See `Table.mappings`: without the forwards, which always live."""
        return self._table.mappings()

    def clear(self) -> None:
        """See `Table.clear`: without the forwards, which are kept in its configuration."""
        self._table.clear()


def _translated(translations: dict[Address, Address], address: Address) -> Address | None:
    known = translations.get(address)
    if known is not None:
        return known
    whole = translations.get(Address(address.host, 0))
    return None if whole is None else Address(whole.host, address.port)
