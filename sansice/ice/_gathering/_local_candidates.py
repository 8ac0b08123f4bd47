"""What was found becomes candidates: their priorities, which of them are told, and in which order (RFC 8445 5.1.2, 5.1.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import attrs

from sansice.ice._candidate import Candidate, CandidateAddress, CandidateType, TcpType
from sansice.ice._pair import LocalCandidate
from sansice.ice._policy import CandidatePolicy
from sansice.ice._priority import (
    MAX_LOCAL_PREFERENCE,
    MAX_OTHER_PREFERENCE,
    Foundations,
    candidate_priority,
    tcp_local_preference,
)
from sansice.ice._reachability import is_private
from sansice.machine import ANY_IPV4, ANY_IPV6, Address, Event, LocalProtocolError, SocketId, Transport

if TYPE_CHECKING:
    from ._order import TellingOrder
    from ._rewrite import RewriteRule

_HOST, _REFLEXIVE, _RELAYED = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED
_TCP = Transport.TCP
_HIDDEN_PORT = 9  # RFC 8839 5.1
# A relay costs its server the least over UDP, and what is lost on a stream delays what comes after it.
_RANKS = {Transport.UDP: 0, Transport.DTLS: 1, Transport.TCP: 2, Transport.TLS: 3}
_RANK_WIDTH = (MAX_LOCAL_PREFERENCE + 1) // len(_RANKS)


@attrs.frozen
class LocalFound(Event):
    """A local candidate is known.

    Attributes:
        local: the candidate, and how to send from it.
        told: whether the peer is told; if not, checks are sent from it all the same.
    """

    local: LocalCandidate
    told: bool = True


class LocalCandidates:
    """Those of one agent.

    Args:
        foundations: of the agent.
        hosts: how many addresses there may be.
        servers: how many there are.
        rules: what is known about the outside of addresses.
        policy: what is hidden.
        conceal: what stands in place of the address of a host candidate; ``None``: that itself.
        is_ordered: whether there are streams with several components, whose candidates have an order.

    Attributes:
        told: to the peer, in order.
        found: since this was read last.
        is_silent: whether candidates that are found now are not told any more.

    Raises:
        LocalProtocolError: local preferences, which are unique (RFC 8445 5.1.2.1), have no room for as many.
    """

    __slots__ = (
        "_bases",
        "_conceal",
        "_foundations",
        "_hosts",
        "_order",
        "_outside",
        "_policy",
        "_rules",
        "_servers",
        "found",
        "is_silent",
        "told",
    )

    def __init__(
        self,
        *,
        foundations: Foundations,
        hosts: int,
        servers: int,
        rules: tuple[RewriteRule, ...] = (),
        policy: CandidatePolicy = CandidatePolicy.ALL,
        conceal: Callable[[Address], CandidateAddress] | None = None,
        is_ordered: bool = False,
    ) -> None:
        self._foundations = foundations
        self._conceal = conceal
        self._hosts = hosts
        self._servers = servers
        self._rules = rules
        self._outside = max((len(rule.external) for rule in rules), default=0)
        self._policy = policy
        if max(hosts * (servers + self._outside + 1), hosts * servers * 2 * len(_RANKS)) > MAX_LOCAL_PREFERENCE:
            raise LocalProtocolError(f"{servers} servers and {hosts} addresses make more candidates than there are preferences")
        self._order: TellingOrder | None = None
        if is_ordered:
            from ._order import TellingOrder

            self._order = TellingOrder()
        self._bases: list[SocketId] = []  # sockets that checks are sent from; few, and a dictionary takes thrice the room
        self.told: list[LocalCandidate] = []
        self.found: list[LocalFound] = []
        self.is_silent = False

    def begin(self, streams: Collection[int]) -> None:
        """A new generation of these streams: whatever is found is found anew."""
        again = [local.socket for local in self.told if local.stream in streams]
        self.told = [local for local in self.told if local.stream not in streams]
        self._bases = [socket for socket in self._bases if socket not in again]
        self.is_silent = False

    # ------------------------------------------------------------- host candidates

    def add_host(
        self, index: int, stream: int, component: int, socket: SocketId, address: Address, interface: str
    ) -> LocalCandidate:
        """A socket is open. Returns what it is as a host candidate, whether that is told or not."""
        # RFC 8445 5.1.2.1: unique; 65535 where there is one
        preference = MAX_LOCAL_PREFERENCE - index
        host = self._make(_HOST, address, socket, address, preference, stream, component, address.host)
        if self._policy is not CandidatePolicy.RELAY:
            if self._rules:
                self._add_outside(host, index, interface)
            elif self._tells_hosts:
                self._add(host, index, -1)
        self.ended(host, -1)
        return host

    @property
    def _tells_hosts(self) -> bool:
        return self._policy in (CandidatePolicy.ALL, CandidatePolicy.CONCEAL_HOST)

    def _add_outside(self, host: LocalCandidate, index: int, interface: str) -> None:
        """By the rule for its address, if there is one."""
        from ._rewrite import outside_of

        outside = outside_of(host.base.host, interface, self._rules)
        if outside.keeps and self._tells_hosts:
            self._add(host, index, -1)
        place = (host.socket, host.base)
        of = (host.stream, host.candidate.component)
        for number, name in enumerate(outside.hosts):
            address = Address(name, host.base.port)
            if outside.type is _REFLEXIVE:
                preference = self._reflexive_preference(index, number)
                self._add_reflexive(host, self._make(_REFLEXIVE, address, *place, preference, *of, host.base.host, name), -1)
            elif self._tells_hosts:
                preference = MAX_LOCAL_PREFERENCE - (number + outside.keeps) * self._hosts - index
                self._add(self._make(_HOST, address, *place, preference, *of, name), index, -1)

    def add_tcp_host(
        self, index: int, stream: int, component: int, socket: SocketId, address: Address, interface: str, tcp_type: TcpType
    ) -> None:
        """A TCP candidate (RFC 6544 4.1): a listener's, or an active one, which nothing was opened for.

        With the outside of its address by a rule, if there is one; servers are not asked through it.
        """
        of = (stream, component)
        host = self._make_tcp(_HOST, address, socket, address, MAX_OTHER_PREFERENCE - index, *of, address.host, tcp_type)
        if not self._rules:
            self._tell((host,))
            return
        from ._rewrite import outside_of

        outside = outside_of(address.host, interface, self._rules)
        others = [
            self._make_tcp(
                outside.type,
                Address(name, address.port),
                socket,
                address,
                MAX_OTHER_PREFERENCE - (number + outside.keeps) * self._hosts - index,
                *of,
                name if outside.type is _HOST else address.host,
                tcp_type,
                name if outside.type is _REFLEXIVE else "",
            )
            for number, name in enumerate(outside.hosts)
        ]
        is_told = outside.keeps and self._tells_hosts
        told = [host] if is_told else []
        if outside.type is _REFLEXIVE and others and not is_told:
            base = attrs.evolve(host, candidate=attrs.evolve(host.candidate, priority=others[0].candidate.priority))
            self.found.append(LocalFound(base, told=False))  # what checks are sent from: see `_add_reflexive`
        if outside.type is _REFLEXIVE or self._tells_hosts:
            told += others
        self._tell(told)

    def _make_tcp(
        self,
        type: CandidateType,
        address: Address,
        socket: SocketId,
        base: Address,
        other: int,
        stream: int,
        component: int,
        founded_on: str,
        tcp_type: TcpType,
        server: str = "",
    ) -> LocalCandidate:
        preference = tcp_local_preference(type, tcp_type, other)
        local = self._make(type, address, socket, base, preference, stream, component, founded_on, server, transport=_TCP)
        return attrs.evolve(local, candidate=attrs.evolve(local.candidate, tcp_type=tcp_type))

    # ------------------------------------------------------------- what servers see

    def add_reflexive(self, host: LocalCandidate, mapped: Address, server: Address, number: int) -> None:
        """How a server sees a host candidate's socket (RFC 8445 5.1.1.2); redundant ones are left out (5.1.3)."""
        if self._policy is CandidatePolicy.RELAY or (
            self._policy is not CandidatePolicy.ALL and mapped == host.base and is_private(mapped)
        ):
            return  # with a server on one's own network it would be the host candidate
        preference = self._reflexive_preference(_index_of(host), self._outside + number)
        place = (host.socket, host.base, preference, host.stream, host.candidate.component)
        self._add_reflexive(host, self._make(_REFLEXIVE, mapped, *place, host.base.host, server.host), number)

    def _reflexive_preference(self, index: int, number: int) -> int:
        return MAX_LOCAL_PREFERENCE - index * (self._outside + self._servers) - number

    def _add_reflexive(self, host: LocalCandidate, local: LocalCandidate, number: int) -> None:
        if any(other.socket == local.socket and other.candidate.address == local.candidate.address for other in self.told):
            return
        if host.socket not in self._bases:
            # Its own address is not told. Checks are sent from it all the same, as from the base of what is (RFC 8445 6.1.2.4),
            # and with the priority by which the peer knows the pair.
            base = attrs.evolve(host, candidate=attrs.evolve(host.candidate, priority=local.candidate.priority))
            self._bases.append(host.socket)
            self.found.append(LocalFound(base, told=False))
        self._add(local, _index_of(host), number)

    # ------------------------------------------------------------- relays

    def add_relayed(
        self,
        host: LocalCandidate,
        socket: SocketId,
        relayed: Address,
        mapped: Address,
        server: Address,
        via: Transport,
        number: int,
    ) -> None:
        """A server relays; its base is the relayed address itself (RFC 8445 5.1.1.2)."""
        index = _index_of(host)
        preference = MAX_LOCAL_PREFERENCE - _RANKS[via] * _RANK_WIDTH - 2 * (index * self._servers + number)
        preference -= not relayed.is_ipv6
        # By whatever protocol the server is reached, the candidate is one for UDP; but what works over TCP may not over UDP.
        named = server.host if via is Transport.UDP else f"{server.host} {via.value}"
        place = (socket, relayed, preference, host.stream, host.candidate.component)
        self._add(self._make(_RELAYED, relayed, *place, relayed.host, named, mapped), index, number)

    # ------------------------------------------------------------- telling

    def _make(
        self,
        type: CandidateType,
        address: Address,
        socket: SocketId,
        base: Address,
        preference: int,
        stream: int,
        component: int,
        founded_on: str,
        server: str = "",
        related: Address | None = None,
        transport: Transport = Transport.UDP,
    ) -> LocalCandidate:
        if type is not _HOST:
            related = base if related is None else related
            if self._policy is not CandidatePolicy.ALL:
                related = Address(ANY_IPV6 if address.is_ipv6 else ANY_IPV4, _HIDDEN_PORT)  # RFC 8839 5.1
        is_inside = type is _HOST and address == base  # the outside of a 1:1 NAT is what a rule wants to have told
        candidate = Candidate(
            foundation=self._foundations.of(type, founded_on, server, transport),
            component=component,
            transport=transport,
            priority=candidate_priority(type, preference, component, transport),
            address=self._conceal(address) if is_inside and self._conceal is not None else address,
            type=type,
            related_address=related,
        )
        return LocalCandidate(candidate, socket, base, preference, stream)

    def _add(self, local: LocalCandidate, index: int, number: int) -> None:
        if local.candidate.type is not _REFLEXIVE:
            self._bases.append(local.socket)
        if self._order is None or self._order.offer((local.stream, index, number), local.candidate.component, local):
            self._tell((local,))

    def _tell(self, locals: Collection[LocalCandidate]) -> None:
        if not self.is_silent:
            self.told += locals
        self.found += [LocalFound(local, told=not self.is_silent) for local in locals]

    def expect(self, stream: int, index: int, component: int) -> None:
        """A socket will be opened, or not, and servers asked through it."""
        if self._order is not None:
            for number in range(-1, self._servers):
                self._order.expect((stream, index, number), component)

    def ended(self, host: LocalCandidate, number: int) -> None:
        """That server has said what it has to say; -1: the socket is open."""
        if self._order is not None:
            self._tell(self._order.done((host.stream, _index_of(host), number), host.candidate.component))

    def lose(self, socket: SocketId) -> None:
        """A socket is no more."""
        self.told = [local for local in self.told if local.socket != socket]
        self._bases = [one for one in self._bases if one != socket]

    def lose_place(self, stream: int, index: int, component: int) -> None:
        """Nothing is to be expected of a socket any more: it failed, or was not opened."""
        if self._order is not None:
            for number in range(-1, self._servers):
                self._tell(self._order.done((stream, index, number), component))

    def release(self) -> None:
        """Nothing more is expected."""
        if self._order is not None:
            self._tell(self._order.release())

    def end(self) -> None:
        """Nothing more is told (RFC 8838 13)."""
        if self._order is not None:
            self._order.clear()


def _index_of(host: LocalCandidate) -> int:
    """The number of its address, which its local preference was made of."""
    return MAX_LOCAL_PREFERENCE - host.local_preference
