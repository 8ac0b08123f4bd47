"""One socket on one link: who may be believed there, and what is still to be sent."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sansice._timers import Timers
from sansice.ice._gathering._addresses import AddressKind, look_at
from sansice.ice._gathering._hosts import HostAddress
from sansice.machine import ANY_IPV6, Address, OpenSocket, SocketId, SocketOptions, Transport

APART = 1.0  # RFC 6762 6: seconds between two multicasts of one record
PORT = 5353  # RFC 6762 3
GROUPS = {False: "224.0.0.251", True: "ff02::fb"}  # RFC 6762 3, by whether it is IPv6
_RESERVED = (ipaddress.IPv4Network("0.0.0.0/8"), ipaddress.IPv4Network("240.0.0.0/4"))  # RFC 6890 2.2.2


def is_usable(host: str) -> bool:
    """Whether a literal may be a peer's on the link: no loopback, no group, nothing that stands for any or for none."""
    if look_at(host)[1] not in (AddressKind.ORDINARY, AddressKind.LINK_LOCAL):
        return False
    return ":" in host or not any(ipaddress.IPv4Address(host) in network for network in _RESERVED)


class Place(NamedTuple):
    """One of this machine's addresses, and what is known of the link that it is on.

    Attributes:
        host: a canonical literal.
        interface: its name, or "".
        network: the prefix of the link, or ``None`` where it is not known.
    """

    host: str
    interface: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None

    @classmethod
    def of(cls, given: HostAddress | str) -> Place:
        """From an address, or the text of one, perhaps with the length of its prefix: ``192.168.1.2/24``.

        Raises:
            ValueError: no literal.
        """
        if isinstance(given, HostAddress):
            return cls(look_at(given.host)[0], given.interface, None)
        host, slash, length = given.partition("/")
        canonical = look_at(host)[0]
        if not slash:
            return cls(canonical, "", None)
        return cls(canonical, "", ipaddress.ip_network(f"{canonical.partition('%')[0]}/{length}", strict=False))

    @property
    def key(self) -> tuple[str, bool]:
        """The same for addresses that one socket serves: of one interface and family."""
        return self.interface or self.host, ":" in self.host


def places_of(addresses: Iterable[HostAddress | str]) -> Iterator[Place]:
    """Those of this machine's addresses that are on a link: neither loopback, nor of no use.

    Raises:
        ValueError: not a literal.
    """
    for given in addresses:
        place = Place.of(given)
        if look_at(place.host)[1] in (AddressKind.ORDINARY, AddressKind.LINK_LOCAL):
            yield place


class Link:
    """See the module.

    Attributes:
        place: the address that its socket is bound to.
        hosts: all of this machine's addresses on the same interface: what is told here.
        socket: its id.
        group: where multicasts go.
        is_open: whether it can send.
        told: when each name was last multicast here.
    """

    __slots__ = ("_due", "_second", "_unicasts", "_waiting", "group", "hosts", "is_open", "place", "socket", "told")

    def __init__(self, place: Place, hosts: tuple[str, ...], socket: SocketId) -> None:
        self.place = place
        self.hosts = hosts
        self.socket = socket
        self.group = Address(GROUPS[":" in place.host], PORT)
        self.is_open = False
        self.told: dict[str, float] = {}
        self._due: Timers[str] = Timers()
        self._waiting: dict[str, tuple[float, Address | None]] = {}  # what is to be multicast: when, and see `put`
        self._second = 0.0
        self._unicasts = 0

    def opening(self) -> OpenSocket:
        """The socket that it takes: bound to its address, a member of its group, beside other programs' (RFC 6762 15.1)."""
        options = SocketOptions(multicast_groups=(self.group.host,), reuse_port=True, interface=self.place.interface or None)
        return OpenSocket(self.socket, Transport.UDP, Address(self.place.host, PORT), options=options)

    def has(self, source: Address) -> bool:
        """Whether somebody is on this link, as far as that can be told (RFC 6762 11)."""
        network = self.place.network
        return (
            network is None or look_at(source.host)[1] is AddressKind.LINK_LOCAL or ipaddress.ip_address(source.host) in network
        )

    def host_here(self, host: str) -> str:
        """An address that was told here, with the zone that it has here (RFC 4007 6)."""
        if ":" not in host or look_at(host)[1] is not AddressKind.LINK_LOCAL:
            return host
        zone = self.place.host.partition("%")[2] or self.place.interface
        if zone:
            return f"{host}%{zone}"
        # Where this machine's own link-local address has no zone, there is but one link. Otherwise it leads nowhere.
        return host if look_at(self.place.host)[1] is AddressKind.LINK_LOCAL else ANY_IPV6

    def may_unicast(self, limit: int, *, now: float) -> bool:
        """Whether one more answer by unicast may leave, and count it."""
        if now - self._second >= 1.0:
            self._second, self._unicasts = now, 0
        self._unicasts += 1
        return self._unicasts <= limit

    def deadline(self) -> float:
        """When something is to be multicast."""
        return self._due.deadline()

    def put(self, name: str, due: float, asker: Address | None = None) -> None:
        """Have a name multicast, not within a second of the last time (RFC 6762 6), and no later than it is to be anyway.

        Args:
            name: one of ours.
            due: when.
            asker: who may take his question back (RFC 6762 7.2); ``None``: it leaves in any case.
        """
        if name in self.told:
            due = max(due, self.told[name] + APART)
        if name in self._waiting:
            earlier, other = self._waiting[name]
            due, asker = min(due, earlier), (asker if asker == other else None)
        self._waiting[name] = (due, asker)
        self._due.set(name, due)

    def take_back(self, name: str, asker: Address) -> None:
        """An asker knows a name already: it need not leave, unless for somebody else."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting[1] == asker:
            self._cancel(name)

    def take_due(self, *, now: float) -> list[str]:
        """The names that are to be multicast now."""
        names: list[str] = []
        while (name := self._due.pop_due(now)) is not None:
            del self._waiting[name]
            self.told[name] = now
            names.append(name)
        return names

    def forget(self, name: str) -> bool:
        """Know a name no more. Returns whether it was ever multicast here."""
        self._cancel(name)
        return self.told.pop(name, None) is not None

    def _cancel(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._due.cancel(name)
