"""Which outer address and port a new mapping gets (RFC 4787 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sansice.machine import Address
from sansice.simulation._world._world import World

from ._kind import NatKind, Pooling, PortAssignment


class Pairing:
    """Gives each inner host one of the outer addresses, in turn, and always the same (RFC 4787 REQ-2, RFC 6888 REQ-2)."""

    __slots__ = ("_hosts", "_paired")

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = tuple(hosts)
        self._paired: dict[str, str] = {}

    def of(self, inner: str) -> str:
        """The outer address of an inner one."""
        hosts = self._hosts
        if len(hosts) == 1:
            return hosts[0]
        return self._paired.setdefault(inner, hosts[len(self._paired) % len(hosts)])

    def clear(self) -> None:
        """Forget who had which."""
        self._paired.clear()


class Pool:
    """The outer addresses of one family and one protocol, and the rules by which they are given away.

    Args:
        label: of what is random about it, for the seed.
        hosts: literals.
        neighbour: the outer address of an inner one, if it has a mapping: for contiguity.
        is_free: whether an outer address may be given away now.
    """

    __slots__ = ("_drawn", "_hosts", "_is_free", "_kind", "_label", "_neighbour", "_next", "_pairing", "_ports", "_world")

    def __init__(
        self,
        world: World,
        label: str,
        hosts: Sequence[str],
        kind: NatKind,
        neighbour: Callable[[Address], Address | None],
        is_free: Callable[[Address], bool],
    ) -> None:
        self._world = world
        self._label = label
        self._hosts = tuple(hosts)
        self._kind = kind
        self._neighbour = neighbour
        self._is_free = is_free
        first, last = kind.port_range
        self._ports = range(first, last + 1)
        self._next = 0  # of sequential assignment, an index into the ports
        self._drawn = 0
        self._pairing = Pairing(hosts)

    @property
    def size(self) -> int:
        """How many outer addresses and ports it has."""
        return len(self._hosts) * len(self._ports)

    def clear(self) -> None:
        """Forget who had which address."""
        self._pairing.clear()

    def take(self, inner: Address) -> Address | None:
        """A free outer address and port for an inner one, or ``None``."""
        for host in self._hosts_for(inner.host):
            for port in self._preferred(host, inner):
                if port in self._ports and self._is_free(Address(host, port)):
                    return Address(host, port)
            found = self._search(host, inner)
            if found is not None:
                return found
        return None

    def _hosts_for(self, inner: str) -> Sequence[str]:
        if self._kind.pooling is not Pooling.ARBITRARY:
            return (self._pairing.of(inner),)
        start = self._draw(len(self._hosts))
        return self._hosts[start:] + self._hosts[:start]

    def _preferred(self, host: str, inner: Address) -> Iterator[int]:
        if self._kind.contiguity:
            neighbour = self._neighbour(Address(inner.host, inner.port ^ 1))
            if neighbour is not None and neighbour.host == host and neighbour.port % 2 != inner.port % 2:
                yield neighbour.port ^ 1
        if self._kind.ports in (PortAssignment.PRESERVATION, PortAssignment.OVERLOADING):
            yield inner.port

    def _search(self, host: str, inner: Address) -> Address | None:
        ports, sequential = self._ports, self._kind.ports is PortAssignment.SEQUENTIAL
        start = self._next if sequential else self._draw(len(ports))
        for step in range(len(ports)):
            index = (start + step) % len(ports)
            if self._suits(host, ports[index], inner):
                self._next = index + 1
                return Address(host, ports[index])
        return None

    def _suits(self, host: str, port: int, inner: Address) -> bool:
        kind = self._kind
        if (kind.parity or kind.contiguity) and port % 2 != inner.port % 2:
            return False
        # The neighbour is kept for the other of the two, as far as that is free.
        if kind.contiguity and not self._is_free(Address(host, port ^ 1)):
            return False
        return self._is_free(Address(host, port))

    def _draw(self, choices: int) -> int:
        self._drawn += 1
        return self._world.draw(self._label, self._drawn, choices)
