"""Firewalls: a `PacketFilter` between two segments, which translates nothing."""

from __future__ import annotations

from sansice.simulation._world._link import Link
from sansice.simulation._world._packets import Fate, Packet
from sansice.simulation._world._segment import Interface, Place, Segment
from sansice.simulation._world._world import World

from ._filter import PacketFilter
from ._firewall_kind import FirewallKind
from ._tcp_states import Side


class Firewall:
    """A router that lets through what its kind allows, with the addresses that it has.

    Attributes:
        name: for people, and for the seeds of what is random about it.
        inside: the segment that hosts behind it are on.
    """

    __slots__ = ("_filter", "_inner_interface", "_outer_interface", "_outside", "_world", "inside", "name")

    def __init__(
        self,
        world: World,
        name: str,
        outside: Place,
        *,
        kind: FirewallKind,
        link: Link | None = None,
        downlink: Link | None = None,
        lan: Link | None = None,
    ) -> None:
        self._world = world
        self.name: str = name
        self.inside: Segment = Segment(world, f"inside {name}", lan if lan is not None else Link())
        self._inner_interface = Interface(name, self.inside, self._from_inside, label="inside", router=True)
        self._outer_interface = Interface(
            name, outside.inside, self._from_outside, label="outside", router=True, link=link, downlink=downlink
        )
        self._outside = outside
        self._filter = PacketFilter(world, kind)
        self.inside.gateway = self._inner_interface

    @property
    def kind(self) -> FirewallKind:
        """How it decides. May be set, as somebody who logs in at a hotel does: every flow is then judged anew."""
        return self._filter.kind

    @kind.setter
    def kind(self, kind: FirewallKind) -> None:
        self._filter.kind = kind

    @property
    def outer(self) -> Interface:
        """Its interface outside, whose access link may be set at any time: ``outer.link``, ``outer.set_links``."""
        return self._outer_interface

    @property
    def beyond(self) -> Place:
        """The place outside."""
        return self._outside

    def attach(self, address: str, interface: Interface) -> None:
        """Give an address, a canonical literal, to an interface inside; it is made known outside as well.

        Raises:
            ValueError: it is taken.
        """
        self._outside.attach(address, self._outer_interface)
        self.inside.attach(address, interface)

    def detach(self, address: str) -> None:
        """Take an address away again."""
        self._outside.detach(address)
        self.inside.detach(address)

    def forget(self) -> None:
        """Lose every flow, as a reboot does."""
        self._filter.clear()

    def _from_inside(self, packet: Packet, direct: bool) -> None:
        passed, fate = self._filter.pass_out(packet)
        self._hand_on(packet, passed, fate, Side.INSIDE, direct)

    def _from_outside(self, packet: Packet, direct: bool) -> None:
        passed, fate = self._filter.pass_in(packet)
        self._hand_on(packet, passed, fate, Side.OUTSIDE, direct)

    def _hand_on(self, packet: Packet, passed: list[Packet], fate: Fate | None, side: Side, direct: bool) -> None:
        here, there = self._inner_interface, self._outer_interface
        if side is Side.OUTSIDE:
            here, there = there, here
        for one in passed:
            if self._world.watched:
                self._world.note(self.name, Fate.FORWARDED, one, there.name)
            there.send(one, direct)
        if fate is None:
            return
        self._world.lose(self.name, fate, packet, here.name)
        answer = self._filter.answer(packet, side)
        if answer is not None:
            if self._world.watched:
                self._world.note(self.name, Fate.SENT, answer, here.name)
            here.send(answer, direct)
