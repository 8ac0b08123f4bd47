"""What one NAT does to the packets of one family, and what they teach it (RFC 4787 4 to 6)."""

from __future__ import annotations

from collections.abc import Hashable

from sansice.simulation._nat._kind import Mapping, NatKind, Pooling, PortAssignment
from sansice.simulation._scene._parts import NatSpec
from sansice.simulation._world._packets import Fate

from ._seen import seen
from ._values import Chances, Endpoint


class Translation:
    """The mappings that packets have made, and whom each lets in.

    Nothing is ever forgotten, so that more packets never make less reachable. A mapping's port is a new one or that of the
    inside; no two of these are the same but by luck, for agents have random ports.

    Args:
        spec: of the NAT.
        own: its outer addresses of the family.
        chances: how everything falls that the scene leaves open.
    """

    __slots__ = (
        "_by_inner",
        "_by_outer",
        "_chances",
        "_forwards",
        "_hosts",
        "_name",
        "_paired",
        "_permitted",
        "_stream_forwards",
        "kind",
        "own",
    )

    def __init__(self, spec: NatSpec, own: tuple[str, ...], chances: Chances) -> None:
        self.kind: NatKind = spec.nat_kind
        self.own = own
        self._chances = chances
        self._name = spec.name
        self._forwards = [forward for forward in spec.forwards if "udp" in forward.protocols]
        self._stream_forwards = [forward for forward in spec.forwards if "tcp" in forward.protocols]
        whole = [forward.outer.host for forward in spec.forwards if not forward.outer.port]
        self._hosts = [host for host in own if host not in whole] or list(own)
        self._paired: dict[str, str] = {}
        self._by_inner: dict[Hashable, Endpoint] = {}
        self._by_outer: dict[Endpoint, Endpoint] = {}
        self._permitted: dict[tuple[Endpoint, Hashable], None] = {}

    @property
    def learned(self) -> int:
        """How much it has been taught."""
        return len(self._by_inner) + len(self._permitted)

    def leave(self, source: Endpoint, destination: Endpoint) -> Endpoint:
        """A packet leaves: as what its source is seen from now on."""
        for forward in self._forwards:
            if forward.inner.host == source.host and forward.inner.port in (0, source.port):
                return Endpoint(forward.outer.host, forward.outer.port or source.port)
        key = (source, seen(self._mapping(destination), destination))
        mapped = self._by_inner.get(key)
        if mapped is None:
            mapped = self._by_inner[key] = self._new(source, destination)
            self._by_outer[mapped] = source
        self._permitted[mapped, seen(self.kind.filtering, destination)] = None
        return mapped

    def opens_stream(self, inner: str) -> str | None:
        """A connection is opened from an inner address: as which address it goes on; ``None``: its answers go to another host."""
        whole = {forward.outer.host: forward.inner.host for forward in self._stream_forwards if not forward.outer.port}
        own = next((outer for outer, host in whole.items() if host == inner), None)
        return own if own is not None else next((outer for outer in self.own if outer not in whole), None)

    def enter(self, source: Endpoint, destination: Endpoint) -> Endpoint | Fate:
        """A packet comes to an outer endpoint: whom it is for inside, or why it is for nobody."""
        for forward in self._forwards:
            if forward.outer.host == destination.host and forward.outer.port in (0, destination.port):
                return Endpoint(forward.inner.host, forward.inner.port or destination.port)
        inner = self._by_outer.get(destination)
        if inner is None:
            return Fate.NO_MAPPING
        return inner if (destination, seen(self.kind.filtering, source)) in self._permitted else Fate.FILTERED

    def _new(self, source: Endpoint, destination: Endpoint) -> Endpoint:
        host = self._outer_host(source.host)
        kept = Endpoint(host, source.port)
        preserves = self.kind.ports in (PortAssignment.PRESERVATION, PortAssignment.OVERLOADING)
        if preserves and kept not in self._by_outer and not self._is_late(destination):
            return kept
        return Endpoint(host, (self._name, len(self._by_inner)))

    def _mapping(self, destination: Endpoint) -> Mapping:
        return Mapping.ADDRESS_AND_PORT_DEPENDENT if self._is_late(destination) else self.kind.mapping

    def _is_late(self, destination: Endpoint) -> bool:
        """Whether a probe that came before has taken the outer port for its sender; a server sends none."""
        return self.kind.open_input and self._chances.outside_first and not isinstance(destination.port, int)

    def _outer_host(self, inner: str) -> str:
        if self.kind.pooling is Pooling.ARBITRARY and self._chances.spread:
            return self._hosts[len(self._by_inner) % len(self._hosts)]
        return self._paired.setdefault(inner, self._hosts[len(self._paired) % len(self._hosts)])
