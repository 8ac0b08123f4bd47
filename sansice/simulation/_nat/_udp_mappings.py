"""UDP through a NAT that keeps mappings (RFC 4787 4 and 5)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet

from ._bindings import Bindings
from ._kind import NatMapping, Refresh
from ._table import FILTERING_KEY, MAPPING_KEY, Setting


class UdpMappings:
    """The UDP mappings of one family.

    Every packet passes `leave` or `enter`, so the common case is two dictionary look-ups there, and nothing else.

    Attributes:
        lifetime: seconds without a packet that counts; a change counts from the next such packet.
    """

    __slots__ = (
        "_bindings",
        "_by_key",
        "_by_outer",
        "_clock",
        "_filter_lifetime",
        "_filtering_key",
        "_inbound",
        "_mapping_key",
        "_outbound",
        "lifetime",
    )

    def __init__(self, setting: Setting) -> None:
        kind = setting.kind
        self._clock = setting.world.clock
        self._bindings = Bindings(setting, "udp")
        self._by_key = self._bindings.by_key
        self._by_outer = self._bindings.by_outer
        self._mapping_key = MAPPING_KEY[kind.mapping]
        self._filtering_key = FILTERING_KEY[kind.filtering]
        self._filter_lifetime = math.inf if kind.filter_lifetime is None else kind.filter_lifetime
        self._outbound = kind.refresh is not Refresh.INBOUND
        self._inbound = kind.refresh is not Refresh.OUTBOUND
        self.lifetime: float = kind.lifetime

    def leave(self, packet: Packet) -> Address | Fate:
        """See `Table.leave`."""
        inner, peer, now = packet[0], packet[1], self._clock.now
        key = self._mapping_key(inner, peer)
        binding = self._by_key.get(key)
        if binding is None or binding.expires <= now:
            binding = self._bindings.add(key, inner)
            if binding is None:
                return Fate.NO_PORTS
            binding.expires = now + self.lifetime
        elif self._outbound:
            binding.expires = now + self.lifetime
        binding.permitted[self._filtering_key(peer)] = now + self._filter_lifetime
        return binding.outer

    def enter(self, packet: Packet) -> Address | Fate:
        """See `Table.enter`."""
        binding, now = self._by_outer.get(packet[1]), self._clock.now
        if binding is None or binding.expires <= now:
            return Fate.NO_MAPPING
        if binding.permitted.get(self._filtering_key(packet[0]), -math.inf) <= now:
            return Fate.FILTERED
        if self._inbound:
            binding.expires = now + self.lifetime
        return binding.inner

    def outer_of(self, inner: Address, peer: Address) -> Address | None:
        """See `Table.outer_of`."""
        binding = self._by_key.get(self._mapping_key(inner, peer))
        return None if binding is None or binding.expires <= self._clock.now else binding.outer

    def inner_of(self, outer: Address, peer: Address) -> Address | Fate:
        """See `Table.inner_of`."""
        binding, now = self._by_outer.get(outer), self._clock.now
        if binding is None or binding.expires <= now:
            return Fate.NO_MAPPING
        return binding.inner if binding.permitted.get(self._filtering_key(peer), -math.inf) > now else Fate.FILTERED

    def mappings(self) -> Iterator[NatMapping]:
        """See `Table.mappings`."""
        return self._bindings.mappings()

    def clear(self) -> None:
        """See `Table.clear`."""
        self._bindings.clear()
