"""Datagrams in IP fragments at a NAT or firewall: only the first part of each has ports (RFC 4787 11)."""

from __future__ import annotations

from collections.abc import Callable

from sansice.machine import Address
from sansice.simulation._world._clock import Clock
from sansice.simulation._world._packets import Fate, Packet

from ._kind import FragmentPolicy

PATIENCE = 30.0  # seconds that parts are kept or known; RFC 1122 3.3.2 and RFC 8200 4.5 give reassembly 60
MAX_DATAGRAMS = 1024  # known at a time
MAX_KEPT = 1024  # parts kept at a time that came before the first: anyone can send them (RFC 4787 11)

_Key = tuple[str, str, int, bool]


class _Datagram:
    """What is known of a datagram: how its first part went on, or the parts that wait for it."""

    __slots__ = ("expires", "first", "waiting")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.first: Packet | Fate | None = None
        self.waiting: list[Packet] = []


class Fragments:
    """The fragments that go through in one direction.

    Args:
        decide: what a whole packet, or a first fragment, becomes, or why it is lost.
    """

    __slots__ = ("_clock", "_datagrams", "_decide", "_kept", "_policy")

    def __init__(self, clock: Clock, policy: FragmentPolicy, decide: Callable[[Packet], Packet | Fate]) -> None:
        self._clock = clock
        self._policy = policy
        self._decide = decide
        self._datagrams: dict[_Key, _Datagram] = {}
        self._kept = 0

    def handle(self, packet: Packet) -> tuple[list[Packet], Fate | None]:
        """Take one fragment: those that now go on, translated, and its fate if it goes nowhere.

        A fragment that is kept has no fate yet, and is not among those that go on.
        """
        fragment = packet.fragment
        if fragment is None or self._policy is FragmentPolicy.DROP:
            return [], Fate.FRAGMENT
        if self._policy is FragmentPolicy.FIRST_ONLY:
            return self._alone(packet) if fragment.offset == 0 else ([], Fate.FRAGMENT)
        datagram = self._datagram((packet.source.host, packet.destination.host, fragment.ident, packet.tcp is None))
        if datagram is None:
            return [], Fate.FRAGMENT
        if fragment.offset == 0:
            datagram.first = self._decide(packet)
            waiting, datagram.waiting = datagram.waiting, []
            self._kept -= len(waiting)
            if isinstance(datagram.first, Fate):
                return [], datagram.first
            return [datagram.first, *(_like(datagram.first, one) for one in waiting)], None
        if datagram.first is None:
            return [], self._keep(datagram, packet)
        return ([], datagram.first) if isinstance(datagram.first, Fate) else ([_like(datagram.first, packet)], None)

    def clear(self) -> None:
        """Forget everything."""
        self._datagrams.clear()
        self._kept = 0

    def _alone(self, packet: Packet) -> tuple[list[Packet], Fate | None]:
        decided = self._decide(packet)
        return ([], decided) if isinstance(decided, Fate) else ([decided], None)

    def _keep(self, datagram: _Datagram, packet: Packet) -> Fate | None:
        if self._policy is FragmentPolicy.IN_ORDER or self._kept >= MAX_KEPT:
            return Fate.FRAGMENT
        self._kept += 1
        datagram.waiting.append(packet)
        return None

    def _datagram(self, key: _Key) -> _Datagram | None:
        now = self._clock.now
        found = self._datagrams.get(key)
        if found is not None and found.expires > now:
            return found
        # They expire in the order in which they came, so the oldest are in front.
        for old in [old for old, datagram in self._datagrams.items() if datagram.expires <= now]:
            self._kept -= len(self._datagrams.pop(old).waiting)
        if len(self._datagrams) >= MAX_DATAGRAMS:
            return None
        datagram = self._datagrams[key] = _Datagram(now + PATIENCE)
        return datagram


def _like(first: Packet, packet: Packet) -> Packet:
    """A later fragment with the addresses that the first one left with; it has no ports of its own."""
    source, destination = Address(first.source.host, 0), Address(first.destination.host, 0)
    return packet._replace(source=source, destination=destination)
