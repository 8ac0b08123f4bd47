"""The mappings of a NAT: who holds which outer address and port."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator

from sansice.machine import Address

from ._kind import NatMapping
from ._pool import Pool
from ._table import Setting
from ._tcp_states import TcpSession


class Binding:
    """One mapping: an inner address and port, seen from outside as an outer one.

    Attributes:
        key: by which it is found from inside.
        permitted: of UDP, until when whose packets are let in, by what filtering looks at.
        sessions: of TCP, the connections by their peers.
    """

    __slots__ = ("expires", "inner", "key", "outer", "permitted", "sessions")

    def __init__(self, key: Hashable, inner: Address, outer: Address) -> None:
        self.key = key
        self.inner = inner
        self.outer = outer
        self.expires = math.inf
        self.permitted: dict[Hashable, float] = {}
        self.sessions: dict[Address, TcpSession] = {}


class Bindings:
    """The mappings of one family and protocol. What has expired stays until its place is needed.

    Attributes:
        by_key: what is found from inside.
        by_outer: what is found from outside.
    """

    __slots__ = ("_clock", "_hold_down", "_pool", "_protocol", "_quota", "_reserved", "_swept", "by_key", "by_outer")

    def __init__(self, setting: Setting, protocol: str) -> None:
        self._clock = setting.world.clock
        self._protocol = protocol
        self._hold_down = setting.kind.hold_down
        self._reserved = setting.reserved
        self._quota = setting.quota
        self._swept = -math.inf
        self.by_key: dict[Hashable, Binding] = {}
        self.by_outer: dict[Address, Binding] = {}
        label = f"{'TCP ' if protocol == 'tcp' else ''}ports of {setting.label}"
        self._pool = Pool(setting.world, label, setting.hosts, setting.kind, self._outer_of, self._is_free)
        self._quota.share(self._sweep)

    def add(self, key: Hashable, inner: Address) -> Binding | None:
        """A new mapping in the place of an expired one, or ``None`` where there is no port, or no mapping, left."""
        expired = self.by_key.get(key)
        if expired is not None:
            self._release(expired)
        if not self._quota.take(inner.host):
            return None
        outer = self._choose(inner)
        if outer is None:
            self._quota.give(inner.host)
            return None
        held = self.by_outer.get(outer)
        if held is not None and self.by_key.get(held.key) is held:
            self._release(held)
        binding = self.by_key[key] = self.by_outer[outer] = Binding(key, inner, outer)
        return binding

    def mappings(self) -> Iterator[NatMapping]:
        """What lives at present, oldest first."""
        now = self._clock.now
        for binding in self.by_key.values():
            if binding.expires > now:
                yield NatMapping(self._protocol, binding.inner, binding.outer, None, binding.expires)

    def clear(self) -> None:
        """Forget everything, also which outer address an inner host was paired with."""
        for binding in self.by_key.values():
            self._quota.give(binding.inner.host)
        self.by_key.clear()
        self.by_outer.clear()
        self._pool.clear()

    def _choose(self, inner: Address) -> Address | None:
        if len(self.by_outer) >= self._pool.size:
            self._sweep()
            if len(self.by_outer) >= self._pool.size:
                return None
        return self._pool.take(inner)

    def _is_free(self, outer: Address) -> bool:
        # RFC 6888 REQ-8: whoever sends to the last holder must not reach the next one
        occupant = self.by_outer.get(outer)
        if occupant is None:
            return outer not in self._reserved
        return occupant.expires + self._hold_down <= self._clock.now

    def _outer_of(self, inner: Address) -> Address | None:
        binding = self.by_key.get(inner)
        return None if binding is None or binding.expires <= self._clock.now else binding.outer

    def _release(self, binding: Binding) -> None:
        """Take an expired mapping away from its key, and from its port unless that is held down."""
        del self.by_key[binding.key]
        self._quota.give(binding.inner.host)
        if self._is_free(binding.outer):
            del self.by_outer[binding.outer]

    def _sweep(self) -> None:
        """Release all that expired; at most once an instant, because in between nothing expires."""
        now = self._clock.now
        if now == self._swept:
            return
        self._swept = now
        for binding in [binding for binding in self.by_key.values() if binding.expires <= now]:
            self._release(binding)
        for outer in [outer for outer, binding in self.by_outer.items() if self._is_free(outer)]:
            del self.by_outer[outer]
