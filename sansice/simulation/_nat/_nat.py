"""Network address translators, by the words of RFC 4787: a `Translator` for each family, and its place in the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sansice.machine import Address
from sansice.simulation._world._link import Link
from sansice.simulation._world._packets import Fate, Packet
from sansice.simulation._world._segment import Interface, Place, Segment
from sansice.simulation._world._world import World

from ._filter import PacketFilter
from ._firewall_kind import FirewallKind
from ._forwards import Forward
from ._kind import Filtering as Filtering, Hairpinning, Mapping as Mapping, NatKind, NatMapping, UnsolicitedSyn
from ._nat64 import Nat64Prefix
from ._outside import outer_addresses, translators
from ._refusals import PORT_UNREACHABLE, icmp_about, reset_about
from ._tcp_states import Side, asks_to_connect
from ._translator import Translator

SYN_PATIENCE = 6.0  # seconds, RFC 5382 REQ-4
MAX_WAITING_SYNS = 1024  # at a time: anyone outside can send them

_new = tuple.__new__  # a NamedTuple's own __new__ costs a call more, and every packet of a flow is made anew here


class Nat:
    """A router that translates between an inner segment and the one outside.

    A family of which it has no outer address is routed untranslated, as home routers do with IPv6, through a firewall
    where it was given one. ICMP errors are translated with what they quote (RFC 5508 4).

    Attributes:
        name: for people, and for the seeds of what is random about it.
        kind: how it behaves. Fixed: live mappings are kept by it.
        inside: the segment that hosts behind it are on.
        nat64: the prefix behind which hosts inside that have IPv6 find IPv4 (RFC 6146), or ``None``.
    """

    __slots__ = (
        "_boots",
        "_families",
        "_inner_interface",
        "_outer_interface",
        "_outside",
        "_plain",
        "_routed",
        "_waiting_syns",
        "_world",
        "inside",
        "kind",
        "name",
        "nat64",
    )

    def __init__(
        self,
        world: World,
        name: str,
        addresses: Sequence[str],
        outside: Place,
        *,
        kind: NatKind,
        forwards: Iterable[Forward] = (),
        firewall: FirewallKind | None = None,
        nat64: Nat64Prefix | None = None,
        link: Link | None = None,
        downlink: Link | None = None,
        lan: Link | None = None,
    ) -> None:
        self._world = world
        self.name: str = name
        self.kind: NatKind = kind
        families = outer_addresses(name, addresses)
        self._families = translators(world, name, families, kind, tuple(forwards))
        if nat64 is not None and (False not in self._families or True in self._families):
            raise ValueError(f"{name}: NAT64 needs outer addresses of IPv4, and of IPv4 alone")
        self.nat64: Nat64Prefix | None = nat64
        self._plain = not kind.alg and nat64 is None
        self._routed = None if firewall is None else PacketFilter(world, firewall)
        self.inside: Segment = Segment(world, f"inside {name}", lan if lan is not None else Link())
        self._inner_interface = Interface(name, self.inside, self._from_inside, label="inside", router=True)
        self._outer_interface = Interface(
            name, outside.inside, self._from_outside, label="outside", router=True, link=link, downlink=downlink
        )
        self._outside = outside
        self._waiting_syns = 0
        self._boots = 0
        for hosts in families.values():
            for host in hosts:
                outside.attach(host, self._outer_interface)
        self.inside.gateway = self._inner_interface

    @property
    def mapping(self) -> Mapping:
        """When two packets from inside leave from one outer address."""
        return self.kind.mapping

    @property
    def filtering(self) -> Filtering:
        """Whose packets are let in."""
        return self.kind.filtering

    @property
    def lifetime(self) -> float:
        """Seconds of silence after which a UDP mapping is gone (RFC 4787 4.3 wants 120 or more).

        May be set: a change counts from a mapping's next packet that keeps it alive.
        """
        return next(iter(self._families.values())).lifetime

    @lifetime.setter
    def lifetime(self, lifetime: float) -> None:
        if not lifetime > 0.0:
            raise ValueError(f"{self.name}: lifetime must be more than 0 seconds, not {lifetime!r}")
        for translator in self._families.values():
            translator.lifetime = lifetime

    @property
    def mappings(self) -> tuple[NatMapping, ...]:
        """What lives at present, UDP before TCP, oldest first."""
        return tuple(mapping for translator in self._families.values() for mapping in translator.mappings())

    @property
    def outer(self) -> Interface:
        """Its interface outside, whose access link may be set at any time: ``outer.link``, ``outer.set_links``."""
        return self._outer_interface

    @property
    def beyond(self) -> Place:
        """The place outside."""
        return self._outside

    def attach(self, address: str, interface: Interface) -> None:
        """Give an inner address, a canonical literal, to an interface; an untranslated family is made known outside as well.

        Raises:
            ValueError: it is taken.
        """
        if (":" in address) not in self._families:
            self._outside.attach(address, self._outer_interface)
        self.inside.attach(address, interface)

    def detach(self, address: str) -> None:
        """Take an inner address away again."""
        if (":" in address) not in self._families:
            self._outside.detach(address)
        self.inside.detach(address)

    def forget(self) -> None:
        """Lose every mapping, and what the firewall of an untranslated family has in mind. Forwards stay."""
        for translator in self._families.values():
            translator.clear()
        if self._routed is not None:
            self._routed.clear()

    def reboot(self, takes: float = 0.0) -> None:
        """Lose every mapping, and pass nothing on for a while.

        Args:
            takes: seconds.

        Raises:
            ValueError: less than 0, or for ever.
        """
        if not 0.0 <= takes < math.inf:
            raise ValueError(f"{self.name}: a reboot cannot take {takes!r} s")
        self.forget()
        self._boots += 1
        if takes:
            self._inner_interface.receive = self._outer_interface.receive = self._while_down
            self._world.clock.at(self._world.clock.now + takes, self._up, self._boots)

    def _while_down(self, packet: Packet, direct: bool) -> None:
        self._world.lose(self.name, Fate.INTERFACE_DOWN, packet)

    def _up(self, boot: int) -> None:
        if boot == self._boots:  # no other reboot began meanwhile
            self._inner_interface.receive = self._from_inside
            self._outer_interface.receive = self._from_outside

    def _from_inside(self, packet: Packet, direct: bool) -> None:
        translator = self._families.get(":" in packet[0][0])
        if translator is None:
            self._route_out(packet, direct)
            return
        # A whole UDP datagram to somewhere else: nearly all packets are, and they take this way alone.
        if packet[3] is None and packet[5] is None and packet[6] is None and packet[1][0] not in translator.own:
            outer = translator.udp.leave(packet)
            if type(outer) is Fate:
                self._lose_inside(packet, outer)
                return
            packet = _new(Packet, (outer, *packet[1:]))
            if self._world.watched:
                self._world.note(self.name, Fate.TRANSLATED, packet, self._outer_interface.name)
            self._outer_interface.send(packet, direct)
            return
        self._translate_out(translator, packet, direct)

    def _translate_out(self, translator: Translator, packet: Packet, direct: bool) -> None:
        turns = packet.destination.host in translator.own
        if turns and self.kind.hairpinning is Hairpinning.NONE:
            self._lose_inside(packet, Fate.NO_HAIRPIN)
            return
        passed, fate = translator.pass_out(packet)
        if fate is not None:
            self._lose_inside(packet, fate)
        for one in passed:
            if turns:
                self._turn_round(translator, packet, one, direct)
            else:
                self._send(self._outer_interface, one, direct)

    def _turn_round(self, translator: Translator, packet: Packet, outer: Packet, direct: bool) -> None:
        passed, fate = translator.pass_in(outer)
        if fate is not None:
            self._lose_inside(packet, fate)
        internal = self.kind.hairpinning is Hairpinning.INTERNAL_SOURCE and packet.icmp is None
        for one in passed:
            if internal:
                # Only a first fragment has ports.
                one = one._replace(source=Address(packet.source.host, one.source.port and packet.source.port))
            self._send_in(one, direct)

    def _from_outside(self, packet: Packet, direct: bool) -> None:
        translator = self._families.get(":" in packet[1][0])
        if translator is None:
            self._route_in(packet, direct)
            return
        if packet[3] is None and packet[5] is None and packet[6] is None and self._plain:
            inner = translator.udp.enter(packet)
            if type(inner) is Fate:
                self._lose_outside(packet, inner)
                return
            packet = _new(Packet, (packet[0], inner, *packet[2:]))
            if self._world.watched:
                self._world.note(self.name, Fate.TRANSLATED, packet, self._inner_interface.name)
            self._inner_interface.send(packet, direct)
            return
        passed, fate = translator.pass_in(packet)
        if fate is not None:
            self._lose_outside(packet, fate)
        for one in passed:
            self._send_in(one, direct)

    def _send_in(self, packet: Packet, direct: bool) -> None:
        inside = self._as_inside(packet)
        if inside is None:
            self._world.lose(self.name, Fate.FILTERED, packet, self._outer_interface.name)
        else:
            self._send(self._inner_interface, inside, direct)

    def _as_inside(self, packet: Packet) -> Packet | None:
        """A packet as its inner destination can read it: from IPv4 to IPv6 if that is what it has."""
        if self.nat64 is None or not packet.is_ipv6 or ":" in packet.source.host:
            return packet
        return self.nat64.to_ipv6(packet)

    def _send(self, interface: Interface, packet: Packet, direct: bool) -> None:
        if self._world.watched:
            self._world.note(self.name, Fate.TRANSLATED, packet, interface.name)
        interface.send(packet, direct)

    def _lose_inside(self, packet: Packet, fate: Fate) -> None:
        self._world.lose(self.name, fate, packet, self._inner_interface.name)
        if self.kind.refuses and self._is_own(packet):
            refusal = _refusal(packet)
            self._say(self._inner_interface, None if refusal is None else self._as_inside(refusal))

    def _lose_outside(self, packet: Packet, fate: Fate) -> None:
        self._world.lose(self.name, fate, packet, self._outer_interface.name)
        if packet.icmp is not None or fate is Fate.FRAGMENT:
            return
        if self.kind.open_input and self.kind.refuses:
            self._say(self._outer_interface, _refusal(packet))
        elif asks_to_connect(packet.tcp):
            self._answer_syn(packet)

    def _answer_syn(self, packet: Packet) -> None:
        match self.kind.unsolicited_syn:
            case UnsolicitedSyn.RESET:
                self._say(self._outer_interface, reset_about(packet))
            case UnsolicitedSyn.UNREACHABLE:
                self._say(self._outer_interface, icmp_about(packet, PORT_UNREACHABLE[packet.is_ipv6]))
            case UnsolicitedSyn.UNREACHABLE_LATER if self._waiting_syns < MAX_WAITING_SYNS:
                self._waiting_syns += 1
                self._world.clock.at(self._world.clock.now + SYN_PATIENCE, self._answer_late, packet)
            case _:
                pass

    def _answer_late(self, packet: Packet) -> None:
        self._waiting_syns -= 1
        translator = self._families[packet.is_ipv6]
        # RFC 5382 REQ-4: silence where the inside opened the same connection meanwhile
        if isinstance(translator.tcp.inner_of(packet.destination, packet.source), Fate):
            self._say(self._outer_interface, icmp_about(packet, PORT_UNREACHABLE[packet.is_ipv6]), direct=True)

    def _say(self, interface: Interface, packet: Packet | None, direct: bool = False) -> None:
        if packet is not None:
            if self._world.watched:
                self._world.note(self.name, Fate.SENT, packet, interface.name)
            interface.send(packet, direct)

    def _is_own(self, packet: Packet) -> bool:
        return packet.destination.host in self._families[packet.is_ipv6].own

    def _route_out(self, packet: Packet, direct: bool) -> None:
        if self.nat64 is not None:
            crossed = self.nat64.to_ipv4(packet)
            if crossed is not None:
                self._translate_out(self._families[False], crossed, direct)
                return
        self._route(packet, Side.INSIDE, self._inner_interface, self._outer_interface, direct)

    def _route_in(self, packet: Packet, direct: bool) -> None:
        self._route(packet, Side.OUTSIDE, self._outer_interface, self._inner_interface, direct)

    def _route(self, packet: Packet, side: Side, here: Interface, there: Interface, direct: bool) -> None:
        """Pass on a packet of a family that is not translated."""
        passed: list[Packet] = [packet]
        if self._routed is not None:
            passed, fate = self._routed.pass_out(packet) if side is Side.INSIDE else self._routed.pass_in(packet)
            if fate is not None:
                self._world.lose(self.name, fate, packet, here.name)
                self._say(here, self._routed.answer(packet, side))
        for one in passed:
            if self._world.watched:
                self._world.note(self.name, Fate.FORWARDED, one, there.name)
            there.send(one, direct)


def _refusal(packet: Packet) -> Packet | None:
    """What a system says about a packet to a port of its own that nobody listens at."""
    return icmp_about(packet, PORT_UNREACHABLE[packet.is_ipv6]) if packet.tcp is None else reset_about(packet)
