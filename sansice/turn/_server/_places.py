"""Where relayed addresses are made: the hosts of this server, and what is free there (RFC 8656 7.2)."""

from __future__ import annotations

from typing import NamedTuple

from sansice.machine import Address, Entropy, SocketId
from sansice.stun import AddressFamily

from ._config import RelayAddress, TurnServerConfig
from ._peers import address_family_of
from ._ports import RelayPorts


class OpenRelay(NamedTuple):
    """A socket that is, or is to be, a relayed address.

    Attributes:
        socket: what peers send to.
        address: what clients are told.
        local: what it is bound to.
    """

    socket: SocketId
    address: Address
    local: Address


class Place:
    """A host at which relayed addresses are made.

    Attributes:
        family: of the host.
        host: what is bound.
        told: what clients are told.
        ports: those that are free.
    """

    __slots__ = ("family", "host", "ports", "told")

    def __init__(self, address: RelayAddress, ports: RelayPorts) -> None:
        self.family = address_family_of(address.host)
        self.host = address.host
        self.told = address.told
        self.ports = ports


class Places:
    """The places of a server.

    They are those of the configuration; a server that was told none has one at each address that it listens at.

    Args:
        config: the server's.
        entropy: picks ports, and places where there are several.
    """

    __slots__ = ("_by_host", "_config", "_entropy")

    def __init__(self, config: TurnServerConfig, *, entropy: Entropy) -> None:
        self._config = config
        self._entropy = entropy
        self._by_host: dict[str, Place] = {}
        for address in config.relay_addresses:
            self._add(address)

    def _add(self, address: RelayAddress) -> None:
        low, high = self._config.relay_ports
        self._by_host[address.host] = Place(address, RelayPorts(low, high, entropy=self._entropy))

    def listen(self, host: str) -> None:
        """The server listens at a host."""
        if not self._config.relay_addresses and host not in self._by_host:
            self._add(RelayAddress(host))

    def hosts(self) -> list[tuple[str, str]]:
        """Every host at which there may be relayed addresses: as bound, and as told."""
        return [(place.host, place.told) for place in self._by_host.values()]

    def families(self) -> list[AddressFamily]:
        """The families of which there are relayed addresses."""
        return [place.family for place in self._by_host.values()]

    def choose(self, family: AddressFamily, preferred: str) -> Place:
        """A place for a relayed address: the host that the client knows the server by, or else any of the family.

        One without a free port is left out as long as there is another.

        Args:
            family: one of `families`.
            preferred: a host, or "".
        """
        places = [place for place in self._by_host.values() if place.family is family]
        with_room = [place for place in places if place.ports] or places
        known = [place for place in with_room if place.host == preferred] or with_room
        return known[0] if len(known) == 1 else known[int.from_bytes(self._entropy(4), "big") % len(known)]

    def give_back(self, local: Address) -> None:
        """A relayed address is closed: its port is free again."""
        self._by_host[local.host].ports.give_back(local.port)
