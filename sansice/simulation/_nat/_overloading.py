"""UDP through a NAT that preserves every port, even where two inner hosts then share one (RFC 4787 4.2.1)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet

from ._kind import NatMapping, Refresh
from ._table import FILTERING_KEY, Setting


class _Holder:
    """Who sent last from an outer address to those whom filtering does not tell apart."""

    __slots__ = ("expires", "inner")

    def __init__(self, inner: Address, expires: float) -> None:
        self.inner = inner
        self.expires = expires


class Overloads:
    """The UDP translations of one family, where two inner hosts with one peer and port are in each other's way.

    Attributes:
        lifetime: seconds without a packet that counts; a change counts from the next such packet.
    """

    __slots__ = ("_clock", "_filtering_key", "_holders", "_host", "_inbound", "_outbound", "_quota", "lifetime")

    def __init__(self, setting: Setting) -> None:
        kind = setting.kind
        self._clock = setting.world.clock
        self._host = setting.hosts[0]
        self._filtering_key = FILTERING_KEY[kind.filtering]
        self._outbound = kind.refresh is not Refresh.INBOUND
        self._inbound = kind.refresh is not Refresh.OUTBOUND
        self._quota = setting.quota
        self._holders: dict[tuple[Address, Hashable], _Holder] = {}
        self.lifetime: float = kind.lifetime
        self._quota.share(self._sweep)

    def leave(self, packet: Packet) -> Address | Fate:
        """See `Table.leave`."""
        inner, now = packet.source, self._clock.now
        outer = Address(self._host, inner.port)
        key = (outer, self._filtering_key(packet.destination))
        holder = self._holders.get(key)
        if holder is not None and holder.inner == inner and holder.expires > now:
            if self._outbound:
                holder.expires = now + self.lifetime
            return outer
        if holder is not None:
            self._drop(key)
        if not self._quota.take(inner.host):
            return Fate.NO_PORTS
        self._holders[key] = _Holder(inner, now + self.lifetime)
        return outer

    def enter(self, packet: Packet) -> Address | Fate:
        """See `Table.enter`."""
        holder = self._live(packet.destination, packet.source)
        if holder is None:
            return self._why_not(packet.destination)
        if self._inbound:
            holder.expires = self._clock.now + self.lifetime
        return holder.inner

    def outer_of(self, inner: Address, peer: Address) -> Address | None:
        """See `Table.outer_of`."""
        outer = Address(self._host, inner.port)
        holder = self._live(outer, peer)
        return outer if holder is not None and holder.inner == inner else None

    def inner_of(self, outer: Address, peer: Address) -> Address | Fate:
        """See `Table.inner_of`."""
        holder = self._live(outer, peer)
        return holder.inner if holder is not None else self._why_not(outer)

    def mappings(self) -> Iterator[NatMapping]:
        """See `Table.mappings`: an inner address once for each holding that filtering tells apart."""
        now = self._clock.now
        for (outer, _), holder in self._holders.items():
            if holder.expires > now:
                yield NatMapping("udp", holder.inner, outer, None, holder.expires)

    def clear(self) -> None:
        """See `Table.clear`."""
        for holder in self._holders.values():
            self._quota.give(holder.inner.host)
        self._holders.clear()

    def _live(self, outer: Address, peer: Address) -> _Holder | None:
        holder = self._holders.get((outer, self._filtering_key(peer)))
        return None if holder is None or holder.expires <= self._clock.now else holder

    def _why_not(self, outer: Address) -> Fate:
        now = self._clock.now
        used = any(host == outer and holder.expires > now for (host, _), holder in self._holders.items())
        return Fate.FILTERED if used else Fate.NO_MAPPING

    def _drop(self, key: tuple[Address, Hashable]) -> None:
        self._quota.give(self._holders.pop(key).inner.host)

    def _sweep(self) -> None:
        now = self._clock.now
        for key in [key for key, holder in self._holders.items() if holder.expires <= now]:
            self._drop(key)
