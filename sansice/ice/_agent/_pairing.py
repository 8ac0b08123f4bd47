"""Which candidates there are, and which pairs they make (RFC 8445 6.1.2, 7.2.5.3.1, 7.3.1.3)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sansice.ice._candidate import MAX_PRIORITY, Candidate, CandidateType
from sansice.ice._config import IceConfig
from sansice.ice._pair import LocalCandidate, Pair, PairEvent
from sansice.ice._priority import Foundations, pair_priority
from sansice.ice._role import IceRole
from sansice.machine import Address, DropReason, SocketId, Transport

from ._checklist import Checklist, thaw_late, unfreeze_initial

Drop = Callable[[DropReason], None]


class Pairing:
    """The candidates of one component on both sides, and the checklist that they make.

    Attributes:
        role: decides the priorities of pairs; change it with `take_role`.
        list: the checklist.
        locals: host candidates by socket: what checks are sent from.
        remotes: remote candidates by address, peer-reflexive ones included.
        is_running: whether the remote description is known, so that new pairs thaw by themselves.
        is_concluded: whether a pair is selected, so that no ordinary pair is added any more.
    """

    __slots__ = (
        "_config",
        "_discovered",
        "_drop",
        "_foundations",
        "_known",
        "component",
        "is_concluded",
        "is_running",
        "list",
        "locals",
        "remotes",
        "role",
    )

    def __init__(self, *, role: IceRole, foundations: Foundations, config: IceConfig, drop: Drop) -> None:
        self.component = 1
        self.role = role
        self.list = Checklist()
        self.locals: dict[SocketId, LocalCandidate] = {}
        self.remotes: dict[Address, Candidate] = {}
        self.is_running = False
        self.is_concluded = False
        self._config = config
        self._drop = drop
        self._foundations = foundations
        self._known: list[LocalCandidate] = []
        self._discovered: list[Address] = []

    def run(self) -> None:
        """The remote description is known: thaw one pair of each foundation (RFC 8445 6.1.2.6)."""
        self.is_running = True
        unfreeze_initial((self.list,))

    def take_role(self, role: IceRole) -> None:
        """Recompute the priorities of all pairs (RFC 8445 7.2.5.1)."""
        self.role = role
        for pair in self.list:
            pair.priority = self._priority(pair.local.candidate, pair.remote)
            if pair.valid is not None:
                pair.valid.priority = self._priority(pair.valid.local.candidate, pair.valid.remote)
        self.list.sort()

    # ------------------------------------------------------------- local candidates

    def add_local(self, local: LocalCandidate) -> None:
        """Know a local candidate. A host candidate is paired; a reflexive one only explains mapped addresses.

        Pairing it would yield a pair from the same base, which is pruned (RFC 8445 6.1.2.4).
        """
        self._known.append(local)
        if local.candidate.type is CandidateType.HOST:
            self.locals[local.socket] = local
            for remote_address, remote in self.remotes.items():
                if remote_address not in self._discovered:  # RFC 8445 7.3.1.3
                    self._form(local, remote, remote_address)

    def remove_local(self, socket: SocketId) -> None:
        """Forget the candidates of a socket that died (RFC 8445 5.1.1.4)."""
        self.locals.pop(socket, None)
        self._known = [local for local in self._known if local.socket != socket]

    def local_of(self, pair: Pair, mapped: Address, priority: int) -> LocalCandidate | None:
        """The local candidate of a mapped address; a new one is peer-reflexive (RFC 8445 7.2.5.3.1).

        It has the priority that the check announced, and is paired with nothing else. ``None``: too many, or an address
        of the other family, which no base can be mapped to here.
        """
        if mapped.is_ipv6 != pair.local.base.is_ipv6:
            self._drop(DropReason.BAD_ATTRIBUTE)
            return None
        for known in self._known:
            if known.socket == pair.local.socket and known.candidate.address == mapped:
                return known
        if len(self._known) >= 2 * self._config.max_pairs:  # a base has one mapping for each destination at most
            self._drop(DropReason.LIMIT)
            return None
        base = pair.local.base
        candidate = Candidate(
            foundation=self._foundations.of(CandidateType.PEER_REFLEXIVE, base.host),
            component=self.component,
            transport=Transport.UDP,
            priority=priority,
            address=mapped,
            type=CandidateType.PEER_REFLEXIVE,
            related_address=base,
        )
        local = LocalCandidate(candidate, pair.local.socket, base, pair.local.local_preference)
        self._known.append(local)
        return local

    # ------------------------------------------------------------- remote candidates

    def add_remote(self, candidate: Candidate) -> bool:
        """Pair a remote candidate; ``False`` where it cannot be used (see `IceAgent.add_remote_candidate`)."""
        address = candidate.address
        if (
            not isinstance(address, Address)
            or candidate.component != self.component
            or candidate.transport is not Transport.UDP
            or not is_reachable(address)
        ):
            self._drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        known = self.remotes.get(address)
        is_early = address in self._discovered
        if known is not None and not is_early:
            if candidate.priority <= known.priority:
                return False
            self._replace(address, candidate)
            return True
        if len(self.remotes) - len(self._discovered) >= self._config.max_remote_candidates:
            self._drop(DropReason.LIMIT)
            return False
        if known is not None:  # its checks came before it was signalled: its priority stays (RFC 8838 11)
            self._discovered.remove(address)
            self._replace(address, attrs.evolve(candidate, priority=known.priority))
        self.remotes.setdefault(address, candidate)
        for local in tuple(self.locals.values()):
            self._form(local, self.remotes[address], address)
        return True

    def _replace(self, address: Address, candidate: Candidate) -> None:
        """Another candidate for a known address: its pairs keep their states."""
        self.remotes[address] = candidate
        for pair in self.list:
            if pair.remote_address == address:
                for one in (pair, pair.valid or pair):
                    one.remote = candidate
                    one.foundation = (one.local.candidate.foundation, candidate.foundation)
                    one.priority = self._priority(one.local.candidate, candidate)
        self.list.sort()

    def discover(self, source: Address, priority: int) -> Candidate | None:
        """A peer-reflexive remote candidate (RFC 8445 7.3.1.3). ``None``: too many, or a priority out of range."""
        if len(self._discovered) >= self._config.max_peer_reflexive or not 1 <= priority <= MAX_PRIORITY:
            self._drop(DropReason.LIMIT)
            return None
        self._discovered.append(source)
        candidate = Candidate(
            foundation=self._fresh_foundation(),
            component=self.component,
            transport=Transport.UDP,
            priority=priority,
            address=source,
            type=CandidateType.PEER_REFLEXIVE,
        )
        self.remotes[source] = candidate
        return candidate

    def _fresh_foundation(self) -> str:
        taken = {remote.foundation for remote in self.remotes.values()}
        number = len(self.remotes) + 1
        while f"prflx{number}" in taken:
            number += 1
        return f"prflx{number}"

    # ------------------------------------------------------------- pairs

    def _form(self, local: LocalCandidate, remote: Candidate, remote_address: Address) -> None:
        """Add an ordinary pair, where the two can be paired (RFC 8445 6.1.2.2) and there is room (6.1.2.5)."""
        if self.is_concluded or not can_pair(local.base, remote_address):
            return
        if self.list.find(local.socket, remote_address) is not None:
            return
        pair = self.new_pair(local, remote, remote_address)
        if self._insert(pair) and self.is_running:
            thaw_late((self.list,), pair)

    def insert_triggered(self, local: LocalCandidate, remote: Candidate, source: Address) -> Pair | None:
        """The pair of a check that arrived on a new path: Waiting, and queued (RFC 8445 7.3.1.4).

        In a full list it takes the place of a pair that nobody has checked yet, whatever the priorities: half of
        this path is known to work. ``None``: no such place.
        """
        if len(self.list) >= self._config.max_pairs:
            self._drop(DropReason.LIMIT)
            victim = self.list.evictable()
            if victim is None:
                return None
            self.list.remove(victim)
        pair = self.new_pair(local, remote, source)
        self.list.add(pair)
        pair.move(PairEvent.UNFREEZE)
        self.list.trigger(pair)
        return pair

    def _insert(self, pair: Pair) -> bool:
        self.list.add(pair)
        if len(self.list) <= self._config.max_pairs:
            return True
        self._drop(DropReason.LIMIT)
        victim = self.list.evictable() or pair
        self.list.remove(victim)
        return victim is not pair

    def new_pair(self, local: LocalCandidate, remote: Candidate, remote_address: Address) -> Pair:
        """A pair that is in no list yet."""
        return Pair(local, remote, remote_address, self._priority(local.candidate, remote))

    def _priority(self, local: Candidate, remote: Candidate) -> int:
        if self.role is IceRole.CONTROLLING:
            return pair_priority(local.priority, remote.priority)
        return pair_priority(remote.priority, local.priority)


def is_reachable(address: Address) -> bool:
    """Whether a datagram can be sent there: a port, and neither the wildcard nor a group."""
    host = address.host
    if not address.port or host in ("0.0.0.0", "::", "255.255.255.255"):
        return False
    if ":" in host:
        return not host.startswith("ff")
    return not 224 <= int(host.partition(".")[0]) <= 239


def can_pair(base: Address, remote: Address) -> bool:
    """One family; link-local IPv6 with link-local only (RFC 8445 6.1.2.2)."""
    is_ipv6 = ":" in base.host
    if is_ipv6 != (":" in remote.host):
        return False
    return not is_ipv6 or _is_link_local(base) == _is_link_local(remote)


def _is_link_local(address: Address) -> bool:
    return address.host.startswith(("fe8", "fe9", "fea", "feb"))
