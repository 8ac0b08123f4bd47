"""A packet's way through a scene: from place to place, through every NAT and firewall between two endpoints."""

from __future__ import annotations

from sansice.simulation._nat._firewall_kind import FirewallKind
from sansice.simulation._nat._kind import Hairpinning
from sansice.simulation._scene._parts import FirewallSpec, NatSpec
from sansice.simulation._world._packets import Fate

from ._geography import GateSpec, Geography, outer_addresses
from ._guard import Guard
from ._translation import Translation
from ._values import Arrival, Chances, Endpoint, Loss, Outcome, Socket


class Walk:
    """Sends symbolic packets, and remembers what NATs and firewalls learn from them."""

    __slots__ = ("_geography", "_guards", "_translations")

    def __init__(self, geography: Geography, chances: Chances) -> None:
        self._geography = geography
        self._translations: dict[tuple[str, bool], Translation] = {}
        self._guards: dict[str, Guard] = {}
        for name, gate in geography.gates.items():
            kind = _firewall_of(gate)
            if kind is not None:
                self._guards[name] = Guard(kind)
            if isinstance(gate, NatSpec):
                for outer in gate.outside:
                    own = outer_addresses(gate, outer)
                    self._translations[name, ":" in outer] = Translation(gate, own, chances)

    @property
    def learned(self) -> int:
        """How much all of them have learned; it only ever grows."""
        translations = sum(translation.learned for translation in self._translations.values())
        return translations + sum(guard.learned for guard in self._guards.values())

    def send(self, socket: Socket, destination: Endpoint) -> Outcome:
        """Where a packet from a socket ends."""
        if destination.host in self._geography.addresses[socket.host]:  # it never leaves the computer
            return Arrival(socket.host, destination, socket.local)
        return self._cross(socket.place, socket.host, socket.local, destination)

    def reaches_by_stream(self, socket: Socket, destination: Endpoint) -> bool:
        """Whether a connection from a socket's address to a server comes about: outwards, for nobody lets strangers in."""
        place, source = socket.place, socket.local
        if self._geography.is_dead(place, socket.host, source.host):
            return False
        while True:
            receiver = self._geography.owner(place, destination.host)
            if receiver is not None:
                is_other = receiver not in self._geography.gates and receiver != socket.host
                return is_other and not self._geography.is_dead(place, receiver, destination.host)
            if place not in self._geography.gates:
                return False
            translation = self._translations.get((place, source.is_ipv6))
            if translation is not None:
                outer = translation.opens_stream(source.host)
                if outer is None:
                    return False
                source = source._replace(host=outer)
            elif place in self._guards and not self._guards[place].lets_streams_out(source, destination):
                return False
            if self._geography.is_dead(self._geography.outside[place], place, ""):
                return False
            place = self._geography.outside[place]

    def _cross(self, place: str, sender: str, source: Endpoint, destination: Endpoint) -> Outcome:
        """From ``sender`` to whoever has the destination at ``place``, or else to its way out."""
        receiver = self._geography.owner(place, destination.host)
        if receiver is None and place in self._geography.gates:
            receiver = place
        if receiver is None or receiver == sender:
            return Loss(place, Fate.UNROUTABLE)
        if self._geography.is_dead(place, sender, source.host) or self._geography.is_dead(place, receiver, destination.host):
            return Loss(place, Fate.LOST)
        if receiver not in self._geography.gates:
            return Arrival(receiver, destination, source)
        if receiver == place:
            return self._leave(receiver, source, destination)
        return self._enter(receiver, source, destination)

    def _leave(self, name: str, source: Endpoint, destination: Endpoint) -> Outcome:
        behind = self._geography.outside[name]
        translation = self._translations.get((name, source.is_ipv6))
        if translation is not None:
            if destination.host in translation.own:
                return self._turn_round(name, translation, source, destination)
            return self._cross(behind, name, translation.leave(source, destination), destination)
        if name in self._guards and not self._guards[name].leaves(source, destination):
            return Loss(name, Fate.BLOCKED)
        return self._cross(behind, name, source, destination)

    def _turn_round(self, name: str, translation: Translation, source: Endpoint, destination: Endpoint) -> Outcome:
        """From inside to inside by an outer address (RFC 4787 6)."""
        if translation.kind.hairpinning is Hairpinning.NONE:
            return Loss(name, Fate.NO_HAIRPIN)
        mapped = translation.leave(source, destination)
        inner = translation.enter(mapped, destination)
        if isinstance(inner, Fate):
            return Loss(name, inner)
        external = translation.kind.hairpinning is Hairpinning.EXTERNAL_SOURCE
        return self._cross(name, name, mapped if external else source, inner)

    def _enter(self, name: str, source: Endpoint, destination: Endpoint) -> Outcome:
        translation = self._translations.get((name, destination.is_ipv6))
        if translation is not None:
            inner = translation.enter(source, destination)
            return Loss(name, inner) if isinstance(inner, Fate) else self._cross(name, name, source, inner)
        if name in self._guards and not self._guards[name].enters(source, destination):
            return Loss(name, Fate.BLOCKED)
        return self._cross(name, name, source, destination)


def _firewall_of(gate: GateSpec) -> FirewallKind | None:
    match gate:
        case NatSpec():
            return gate.routed_kind
        case FirewallSpec():
            return gate.firewall_kind
        case _:
            return None
