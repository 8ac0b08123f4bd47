"""Network address translators, by the words of RFC 4787."""

from __future__ import annotations

import enum
import ipaddress
import math
from collections.abc import Callable, Hashable

from sansice.machine import Address
from sansice.simulation._world._link import Link
from sansice.simulation._world._packets import Fate, Packet
from sansice.simulation._world._segment import Interface, Segment
from sansice.simulation._world._world import World

FIRST_PORT, PORTS = 1024, 65536 - 1024  # external ports: the well-known ones are left alone, RFC 4787 4.2.2


class Mapping(enum.Enum):
    """When two packets from one inner address and port leave from the same outer one (RFC 4787 4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(enum.Enum):
    """Whose packets a mapping lets in (RFC 4787 5): anyone's, or those of addresses (and ports) sent to before."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


_MAPPING_KEY: dict[Mapping, Callable[[Address, Address], Hashable]] = {
    Mapping.ENDPOINT_INDEPENDENT: lambda inner, peer: inner,
    Mapping.ADDRESS_DEPENDENT: lambda inner, peer: (inner, peer[0]),
    Mapping.ADDRESS_AND_PORT_DEPENDENT: lambda inner, peer: (inner, peer),
}

_FILTERING_KEY: dict[Filtering, Callable[[Address], Hashable]] = {
    Filtering.ENDPOINT_INDEPENDENT: lambda peer: None,
    Filtering.ADDRESS_DEPENDENT: lambda peer: peer[0],
    Filtering.ADDRESS_AND_PORT_DEPENDENT: lambda peer: peer,
}


def _on_the_wire(address: Address) -> bytes:
    """Port and host side by side, as MAPPED-ADDRESS and many other protocols write them."""
    return address.port.to_bytes(2, "big") + ipaddress.ip_address(address.host).packed


class _Binding:
    """One mapping: an inner address and port, seen from outside as an outer one."""

    __slots__ = ("expires", "inner", "key", "outer", "permitted")

    def __init__(self, key: Hashable, inner: Address, outer: Address) -> None:
        self.key = key
        self.inner = inner
        self.outer = outer
        self.expires = math.inf
        self.permitted: set[Hashable] = set()  # only ever asked for membership, so its order decides nothing


class Nat:
    """A router that translates UDP between an inner segment and the one outside.

    A family of which it has no outer address is routed untranslated, as home routers do with IPv6. ICMP errors are
    translated with what they quote (RFC 5508 4), but not turned round.

    Attributes:
        inside: the segment that hosts behind it are on.
        lifetime: seconds without an outgoing packet after which a mapping is gone (RFC 4787 4.3 wants 120 or more);
            a change counts from a mapping's next outgoing packet.
    """

    __slots__ = (
        "_addresses",
        "_alg",
        "_bindings",
        "_by_outer",
        "_drawn",
        "_filtering",
        "_filtering_key",
        "_hairpinning",
        "_inner_interface",
        "_mapping",
        "_mapping_key",
        "_outer_interface",
        "_outside",
        "_world",
        "inside",
        "lifetime",
        "name",
    )

    def __init__(
        self,
        world: World,
        name: str,
        addresses: tuple[str, ...],
        outside: Segment | Nat,
        *,
        mapping: Mapping,
        filtering: Filtering,
        lifetime: float,
        hairpinning: bool,
        alg: bool,
        link: Link | None,
        lan: Link,
    ) -> None:
        self._world = world
        self.name: str = name
        self._mapping = mapping
        self._mapping_key = _MAPPING_KEY[mapping]
        self._filtering = filtering
        self._filtering_key = _FILTERING_KEY[filtering]
        self.lifetime: float = lifetime
        self._hairpinning = hairpinning
        self._alg = alg
        self.inside: Segment = Segment(world, f"inside {name}", lan)
        self._inner_interface = Interface(name, self.inside, self._from_inside, router=True)
        self._outer_interface = Interface(name, outside.inside, self._from_outside, router=True, link=link)
        self._outside = outside
        self.inside.gateway = self._inner_interface
        self._addresses: dict[bool, str] = {}
        for address in addresses:
            canonical = Address.of(address, 0).host
            known = self._addresses.setdefault(":" in canonical, canonical)
            if known != canonical:
                raise ValueError(f"{name}: one outer address a family, not both {known} and {canonical}")
            outside.attach(canonical, self._outer_interface)
        self._bindings: dict[Hashable, _Binding] = {}
        self._by_outer: dict[Address, _Binding] = {}
        self._drawn = 0

    @property
    def mapping(self) -> Mapping:
        """When two packets from inside leave from one outer address. Fixed: live mappings are kept by it."""
        return self._mapping

    @property
    def filtering(self) -> Filtering:
        """Whose packets are let in. Fixed: what was sent before is remembered as far as this needs it."""
        return self._filtering

    def attach(self, address: str, interface: Interface) -> None:
        """Give an inner address, a canonical literal, to an interface; an untranslated family is made known outside as well.

        Raises:
            ValueError: it is taken.
        """
        if (":" in address) not in self._addresses:
            self._outside.attach(address, self._outer_interface)
        self.inside.attach(address, interface)

    def forget(self) -> None:
        """Lose every mapping, as a reboot does."""
        self._bindings.clear()
        self._by_outer.clear()

    def _from_inside(self, packet: Packet, direct: bool) -> None:
        outer_host = self._addresses.get(":" in packet.source[0])
        if outer_host is None:
            self._outer_interface.send(packet, direct)
            return
        to_itself = packet.destination[0] == outer_host
        if to_itself and (packet.icmp is not None or not self._hairpinning):
            self._world.lose(self.name, Fate.NO_HAIRPIN, packet)
            return
        if packet.icmp is not None:
            self._error_from_inside(packet, outer_host, direct)
            return
        binding = self._bind(packet.source, packet.destination, outer_host)
        if binding is None:
            self._world.lose(self.name, Fate.NO_PORTS, packet)
            return
        binding.expires = self._world.clock.now + self.lifetime
        binding.permitted.add(self._filtering_key(packet.destination))
        self._world.note(self.name, Fate.TRANSLATED, packet)
        translated = Packet(binding.outer, packet.destination, packet.data)
        if to_itself:
            self._from_outside(translated, direct)
        else:
            self._outer_interface.send(translated, direct)

    def _error_from_inside(self, packet: Packet, outer_host: str, direct: bool) -> None:
        binding = self._live(self._mapping_key(packet.quoted, packet.destination))
        if binding is None:
            self._world.lose(self.name, Fate.NO_MAPPING, packet)
            return
        self._outer_interface.send(packet._replace(source=Address(outer_host, 0), quoted=binding.outer), direct)

    def _from_outside(self, packet: Packet, direct: bool) -> None:
        if packet.destination[0] != self._addresses.get(":" in packet.destination[0]):
            self._inner_interface.send(packet, direct)
            return
        binding = self._by_outer.get(packet.destination)
        if binding is None or self._live(binding.key) is None:
            self._world.lose(self.name, Fate.NO_MAPPING, packet)
            return
        peer = packet.source if packet.icmp is None else packet.quoted
        if self._filtering_key(peer) not in binding.permitted:
            self._world.lose(self.name, Fate.FILTERED, packet)
            return
        self._world.note(self.name, Fate.TRANSLATED, packet)
        data = packet.data
        if self._alg:
            data = data.replace(_on_the_wire(binding.outer), _on_the_wire(binding.inner))
        self._inner_interface.send(packet._replace(destination=binding.inner, data=data), direct)

    def _live(self, key: Hashable) -> _Binding | None:
        binding = self._bindings.get(key)
        if binding is not None and binding.expires <= self._world.clock.now:
            self._remove(binding)
            return None
        return binding

    def _remove(self, binding: _Binding) -> None:
        del self._bindings[binding.key]
        del self._by_outer[binding.outer]

    def _bind(self, inner: Address, peer: Address, outer_host: str) -> _Binding | None:
        key = self._mapping_key(inner, peer)
        binding = self._live(key)
        if binding is None:
            outer = self._free(outer_host)
            if outer is not None:
                binding = self._bindings[key] = self._by_outer[outer] = _Binding(key, inner, outer)
        return binding

    def _free(self, outer_host: str) -> Address | None:
        self._drawn += 1
        start = self._world.draw(f"ports of {self.name}", self._drawn, PORTS)
        for step in range(PORTS):
            outer = Address(outer_host, FIRST_PORT + (start + step) % PORTS)
            occupant = self._by_outer.get(outer)
            if occupant is None or self._live(occupant.key) is None:
                return outer
        return None
