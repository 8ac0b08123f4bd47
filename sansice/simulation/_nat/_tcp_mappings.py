"""TCP through a NAT that keeps mappings (RFC 5382)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet

from ._bindings import Binding, Bindings
from ._kind import Filtering, NatMapping
from ._table import FILTERING_KEY, MAPPING_KEY, Setting
from ._tcp_states import Control, Side, TcpSession, control_of

MAX_SESSIONS = 4096  # of a mapping: where anyone is let in, anyone could make more

_ENDS = frozenset({Control.FIN, Control.RST})


class TcpMappings:
    """The TCP mappings of one family: each lives as long as one of its connections.

    Who is let in to open a connection is decided by the connections that live (RFC 5382 4.3).
    """

    __slots__ = ("_bindings", "_clock", "_filtering_key", "_kind", "_mapping_key")

    def __init__(self, setting: Setting) -> None:
        self._clock = setting.world.clock
        self._kind = setting.kind
        self._bindings = Bindings(setting, "tcp")
        self._mapping_key = MAPPING_KEY[setting.kind.mapping]
        self._filtering_key = FILTERING_KEY[setting.kind.filtering]

    def leave(self, packet: Packet) -> Address | Fate:
        """See `Table.leave`."""
        key = self._mapping_key(packet.source, packet.destination)
        binding = self._live(self._bindings.by_key.get(key))
        control = control_of(packet.tcp)
        if self._session(binding, packet.destination) is None and control is not Control.SYN and not self._kind.picks_up:
            return Fate.NO_MAPPING
        if binding is None:
            binding = self._bindings.add(key, packet.source)
            if binding is None:
                return Fate.NO_PORTS
        self._observe(binding, packet.destination, Side.INSIDE, control)
        return binding.outer

    def enter(self, packet: Packet) -> Address | Fate:
        """See `Table.enter`."""
        binding = self._live(self._bindings.by_outer.get(packet.destination))
        if binding is None:
            return Fate.NO_MAPPING
        control = control_of(packet.tcp)
        if self._session(binding, packet.source) is None:
            if not self._permits(binding, packet.source):
                return Fate.FILTERED
            if control is not Control.SYN:
                return Fate.NO_MAPPING
            if len(binding.sessions) >= MAX_SESSIONS:
                return Fate.NO_PORTS
        self._observe(binding, packet.source, Side.OUTSIDE, control)
        return binding.inner

    def outer_of(self, inner: Address, peer: Address) -> Address | None:
        """See `Table.outer_of`."""
        binding = self._live(self._bindings.by_key.get(self._mapping_key(inner, peer)))
        return None if binding is None else binding.outer

    def inner_of(self, outer: Address, peer: Address) -> Address | Fate:
        """See `Table.inner_of`."""
        binding = self._live(self._bindings.by_outer.get(outer))
        if binding is None:
            return Fate.NO_MAPPING
        return binding.inner if self._session(binding, peer) is not None else Fate.FILTERED

    def mappings(self) -> Iterator[NatMapping]:
        """See `Table.mappings`."""
        return self._bindings.mappings()

    def clear(self) -> None:
        """See `Table.clear`."""
        self._bindings.clear()

    def _live(self, binding: Binding | None) -> Binding | None:
        return None if binding is None or binding.expires <= self._clock.now else binding

    def _session(self, binding: Binding | None, peer: Address) -> TcpSession | None:
        session = None if binding is None else binding.sessions.get(peer)
        return None if session is None or session.expires <= self._clock.now else session

    def _permits(self, binding: Binding, peer: Address) -> bool:
        if self._kind.filtering is Filtering.ENDPOINT_INDEPENDENT:
            return True
        now, wanted = self._clock.now, self._filtering_key(peer)
        return any(session.expires > now and self._filtering_key(other) == wanted for other, session in binding.sessions.items())

    def _observe(self, binding: Binding, peer: Address, side: Side, control: Control) -> None:
        now, sessions = self._clock.now, binding.sessions
        session = self._session(binding, peer)
        if session is None:
            for gone in [other for other, old in sessions.items() if old.expires <= now]:
                del sessions[gone]
            session = sessions[peer] = TcpSession(side, control, self._kind.tcp, now)
        else:
            session.observe(side, control, now)
        # Only the end of a connection brings its expiry forward; everything else puts it off.
        if session.expires >= binding.expires or control in _ENDS or binding.expires == math.inf:
            binding.expires = max(one.expires for one in sessions.values())
