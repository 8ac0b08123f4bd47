"""Which candidates there are, and which pairs they make (RFC 8445 6.1.2, 7.2.5.3.1, 7.3.1.3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

import attrs

from sansice.ice._candidate import (
    DISCARD_PORT,
    MAX_PRIORITY,
    Candidate,
    CandidateAddress,
    CandidateType,
    HostName,
)
from sansice.ice._pair import LocalCandidate, Pair, PairEvent, PairState
from sansice.ice._reachability import can_pair, is_reachable
from sansice.ice._telling._tally import Tally
from sansice.machine import ANY_IPV4, ANY_IPV6, Address, DropReason, SocketId, Transport

from ._checklist import Checklist, thaw_late
from ._session import Session

if TYPE_CHECKING:
    from ._peer_names import PeerNames

_BASES = (CandidateType.HOST, CandidateType.RELAYED)  # RFC 8445 5.1.1.2: the others have the base of one of these


class Pairing:
    """The candidates of one component on both sides, and their part of the stream's checklist.

    Attributes:
        list: the checklist.
        component: 1 to 256.
        remotes: remote candidates by address, peer-reflexive ones included.
        trusted: where data may come from; each of them is, or was, a remote candidate.
        is_concluded: whether a pair is selected, so that no ordinary pair is added any more.
        names: what the peer conceals, if anything.
    """

    __slots__ = ("_discovered", "_known", "_session", "component", "is_concluded", "list", "names", "remotes", "trusted")

    def __init__(self, session: Session, checklist: Checklist, component: int = 1) -> None:
        self.component = component
        self.list = checklist
        self.remotes: dict[Address, Candidate] = {}
        self.is_concluded = False
        self._session = session
        self._known: list[LocalCandidate] = []
        self._discovered: tuple[Address, ...] = ()
        self.names: PeerNames | None = None
        self.trusted: tuple[Address, ...] = ()  # few, and a set of one takes four times the room

    @property
    def pairs(self) -> Collection[Pair]:
        """Of this component, by decreasing priority."""
        if self.list.components == 1:
            return self.list
        return [pair for pair in self.list if pair.local.candidate.component == self.component]

    # ------------------------------------------------------------- local candidates

    @property
    def has_ipv6(self) -> bool:
        """Whether a local candidate has an IPv6 base."""
        return any(local.base.is_ipv6 for local in self._known)

    def add_local(self, local: LocalCandidate) -> None:
        """Know a local candidate. A host candidate is paired; a reflexive one only explains mapped addresses.

        Pairing it would yield a pair from the same base, which is pruned (RFC 8445 6.1.2.4). What is known is ignored,
        whatever its priority (RFC 8838 9).
        """
        if any(known.socket == local.socket and known.candidate.address == local.candidate.address for known in self._known):
            return
        self._known.append(local)
        if _is_base(local):
            for remote_address, remote in self.remotes.items():
                if remote_address not in self._discovered:  # RFC 8445 7.3.1.3
                    self._form(local, remote, remote_address)
            for remote_address, remote in () if self.names is None else self.names.open.items():
                self._form(local, remote, remote_address)

    def remove_local(self, socket: SocketId) -> None:
        """Forget the candidates of a socket that died (RFC 8445 5.1.1.4)."""
        self._known = [local for local in self._known if local.socket != socket]

    @property
    def locals(self) -> Collection[LocalCandidate]:
        """All local candidates, those included that only explain mapped addresses."""
        return self._known

    def bases(self) -> list[LocalCandidate]:
        """The local candidates that checks are sent from."""
        return [local for local in self._known if _is_base(local)]

    def trust(self, source: Address) -> None:
        """An authenticated check came from there, or was answered from there: data may come from there as well."""
        if source not in self.trusted:
            self.trusted = (*self.trusted, source)

    def local_on(self, socket: SocketId) -> LocalCandidate | None:
        """What checks from a socket are sent from; ``None`` where it is not open yet."""
        for local in self._known:
            if local.socket == socket and _is_base(local):
                return local
        return None

    def local_of(self, pair: Pair, mapped: Address, priority: int) -> LocalCandidate | None:
        """The local candidate of a mapped address; a new one is peer-reflexive (RFC 8445 7.2.5.3.1).

        It has the priority that the check announced, and is paired with nothing else. ``None``: too many, or an address
        of the other family, which no base can be mapped to here.
        """
        if mapped.is_ipv6 != pair.local.base.is_ipv6:
            self._session.drop(DropReason.BAD_ATTRIBUTE)
            return None
        for known in self._known:
            if known.socket == pair.local.socket and known.address == mapped:
                return known
        if not self.has_room_for_mapping:
            self._session.drop(DropReason.LIMIT)
            return None
        base, transport = pair.local.base, pair.local.candidate.transport
        candidate = Candidate(
            foundation=self._session.foundations.of(CandidateType.PEER_REFLEXIVE, base.host, transport=transport),
            component=self.component,
            transport=transport,
            priority=priority,
            address=mapped,
            type=CandidateType.PEER_REFLEXIVE,
            related_address=_hidden(base) if is_named(pair.local.candidate) else base,
            tcp_type=pair.local.candidate.tcp_type,
        )
        local = LocalCandidate(candidate, pair.local.socket, base, pair.local.local_preference, pair.local.stream)
        self._known.append(local)
        return local

    @property
    def has_room_for_mapping(self) -> bool:
        """Whether one more local peer-reflexive candidate may be learned."""
        return len(self._known) < 2 * self._session.config.max_pairs  # a base has one mapping for each destination at most

    # ------------------------------------------------------------- remote candidates

    def add_remote(self, candidate: Candidate, found: Address | None = None) -> bool:
        """Pair a remote candidate; ``False`` where it cannot be used (see `IceAgent.add_remote_candidate`).

        ``found`` is the address that its name conceals.
        """
        address: CandidateAddress | None = found or candidate.address
        if candidate.transport is not Transport.UDP:
            address = self._tcp_end(candidate, found or candidate.address)
        if not isinstance(address, Address) or candidate.component != self.component or not is_reachable(address):
            self._session.drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        known = self.remotes.get(address)
        is_early = address in self._discovered
        if known is not None and not is_early:
            if is_named(known) is not is_named(candidate):
                return self._add_other(candidate, known, address)
            if candidate.priority <= known.priority:
                return False
            self._replace(address, candidate)
            return True
        if len(self.remotes) - len(self._discovered) >= self._session.config.max_remote_candidates:
            self._session.drop(DropReason.LIMIT)
            return False
        if known is not None:
            self._discovered = tuple([other for other in self._discovered if other != address])
            self._replace(address, _signalled_late(candidate, known))
        self.remotes.setdefault(address, candidate)
        for local in tuple(self._known):
            if _is_base(local):
                self._form(local, self.remotes[address], address)
        return True

    def _tcp_end(self, candidate: Candidate, address: CandidateAddress) -> Address | None:
        """Where a TCP candidate is, for an agent that has some itself."""
        if not self._session.has_tcp:
            return None
        from sansice.ice._tcp._address import remote_end

        return remote_end(attrs.evolve(candidate, address=address))

    def _add_other(self, candidate: Candidate, known: Candidate, address: Address) -> bool:
        """The same address is told openly, and concealed by a name: relays are paired with the one (draft 3.3.2), others with the
        candidate that is preferred.
        """
        openly = known if is_named(candidate) else candidate
        if cast("PeerNames", self.names).open.setdefault(address, openly) is not openly:
            return False
        if is_named(candidate) and candidate.priority > known.priority:
            self._replace(address, candidate)
        for local in tuple(self._known):
            if local.candidate.type is CandidateType.RELAYED:
                self._form(local, openly, address)
        return openly is candidate or candidate.priority > known.priority

    # ------------------------------------------------------------- what the peer conceals

    def note_name(self, candidate: Candidate) -> bool:
        """The peer has a name in place of an address; ``False`` where that is known, or there are too many.

        From now on addresses that only its checks reveal are shown to nobody (draft 3.3.1).
        """
        if self.names is None:
            from ._peer_names import PeerNames  # what hardly any peer but a browser has

            self.names = PeerNames()
            for address in self._discovered:
                self._replace(address, self._as_shown(self.remotes[address], address))
        if self.names.knows(candidate):
            return False
        if len(self.names.told) >= self._session.config.max_remote_candidates:
            self._session.drop(DropReason.LIMIT)
            return False
        self.names.told.append(candidate)
        return True

    def lose_name(self, candidate: Candidate) -> None:
        """A name that was noted leads nowhere."""
        cast("PeerNames", self.names).lost.append(candidate)

    def has_told(self, address: Address) -> bool:
        """Whether the peer itself has told a host, at whatever port."""
        told = [one for known, one in self.remotes.items() if known not in self._discovered]
        return any(one.address[0] == address.host for one in (*told, *(() if self.names is None else self.names.open.values())))

    def _as_shown(self, candidate: Candidate, address: Address) -> Candidate:
        if self.names is None or self.has_told(address):
            return candidate
        return attrs.evolve(candidate, address=_hidden(address))

    def is_open(self, address: Address) -> bool:
        """Whether a relay may be told a peer's address: a name does not conceal it (draft 3.3.2)."""
        if self.names is None or address in self.names.open:
            return True
        return self.has_told(address) if address in self._discovered else not is_named(self.remotes[address])

    def remote_of_check(self, source: Address, priority: int, local: LocalCandidate) -> Candidate | None:
        """Whose check it is; ``None``: nobody's whom a pair may be made with."""
        remote = self.remotes.get(source)
        if remote is None:
            return self.discover(source, priority, local)
        if self.names is None or self._may_pair(local, remote):
            return remote
        openly = self.names.open.get(source)
        if openly is None:
            self._session.drop(DropReason.UNUSABLE_CANDIDATE)
        return openly

    @staticmethod
    def _may_pair(local: LocalCandidate, remote: Candidate) -> bool:
        """A relay's server would learn what the name conceals (draft 3.3.2)."""
        return not is_named(remote) or local.candidate.type is not CandidateType.RELAYED

    def _replace(self, address: Address, candidate: Candidate) -> None:
        """Another candidate for a known address: its pairs keep their states."""
        self.remotes[address] = candidate
        for pair in self.pairs:
            if pair.remote_address == address and self._may_pair(pair.local, candidate):
                for one in (pair, pair.valid or pair):
                    one.remote = candidate
                    one.foundation = (one.local.candidate.foundation, candidate.foundation)
                    one.priority = self._session.priority(one.local.candidate, candidate)
        self.list.sort()

    def discover(self, source: Address, priority: int, local: LocalCandidate | None = None) -> Candidate | None:
        """A peer-reflexive remote candidate (RFC 8445 7.3.1.3). ``None``: too many, or a priority out of range.

        ``local`` is what it was seen from; left out, that is UDP.
        """
        is_full = len(self._discovered) >= self._session.config.max_peer_reflexive
        if not 1 <= priority <= MAX_PRIORITY or (is_full and not self._forget_failed()):
            self._session.drop(DropReason.LIMIT)
            return None
        self._discovered += (source,)
        self._session.has_discovered = True
        candidate = self.remotes[source] = self.peer_reflexive(source, priority, local)
        return candidate

    def peer_reflexive(self, source: Address, priority: int, local: LocalCandidate | None = None) -> Candidate:
        """What `discover` would find."""
        found = Candidate(
            foundation=self._fresh_foundation(),
            component=self.component,
            transport=Transport.UDP,
            priority=priority,
            address=source,
            type=CandidateType.PEER_REFLEXIVE,
        )
        if local is not None and local.candidate.tcp_type is not None:
            from sansice.ice._tcp._address import OPPOSITES

            tcp_type = OPPOSITES[local.candidate.tcp_type]
            found = attrs.evolve(found, transport=Transport.TCP, address=Address(*source), tcp_type=tcp_type)
        return self._as_shown(found, source)

    def _forget_failed(self) -> bool:
        """Forget the oldest peer-reflexive candidate whose pairs have all failed, for the sake of a new one.

        A peer that roams, or whose NAT shows another address with every check, would fill the room with addresses at which
        nobody is any more. What is still listened for, or was nominated, may yet live; and a pair whose consent was lost stays
        (RFC 7675 5.1).
        """
        for address in self._discovered:
            pairs = [pair for pair in self.pairs if pair.remote_address == address]
            if all(map(_is_forgettable, pairs)):
                self._undiscover(address)
                for pair in pairs:
                    if not pair.is_spent:
                        self.list.remove(pair)
                return True
        return False

    def _undiscover(self, address: Address) -> None:
        self._discovered = tuple([other for other in self._discovered if other != address])
        del self.remotes[address]
        self.trusted = tuple([other for other in self.trusted if other != address])

    def forget(self, pair: Pair) -> None:
        """Forget a failed pair, and with the last of its pairs a peer-reflexive candidate, which another check may show again."""
        self.list.remove(pair)
        address = pair.remote_address
        if address in self._discovered and all(other.remote_address != address for other in self.pairs):
            self._undiscover(address)

    def forget_silent(self, pair: Pair) -> None:
        """Forget a failed pair that is not worth another check, if its candidate is peer-reflexive.

        Who is there still will check from there, and is discovered again; one that was signalled may never do so first. Where
        consent was lost the pair stays, so that it is not made anew (RFC 7675 5.1).
        """
        if pair.remote_address in self._discovered and _is_forgettable(pair) and not pair.is_spent:
            self.forget(pair)

    def _fresh_foundation(self) -> str:
        """One that no other candidate of the agent's peer has had: statistics know it by that."""
        taken = {remote.foundation for remote in self.remotes.values()}
        while (foundation := f"prflx{self._session.next_pair_number()}") in taken:
            pass
        return foundation

    # ------------------------------------------------------------- pairs

    def _form(self, local: LocalCandidate, remote: Candidate, remote_address: Address) -> None:
        """Add an ordinary pair, where the two can be paired (RFC 8445 6.1.2.2) and there is room (6.1.2.5)."""
        if self.is_concluded or not can_pair(local.base, remote_address) or not self._may_pair(local, remote):
            return
        if local.candidate.transport is not remote.transport:
            return
        if remote.transport is not Transport.UDP and not self._is_checked(local, remote):
            return
        if self.list.find(local.socket, remote_address) is not None:
            return
        pair = self.new_pair(local, remote, remote_address)
        if self._insert(pair) and self.list.is_running:
            thaw_late(self._session.lists, pair)

    @staticmethod
    def _is_checked(local: LocalCandidate, remote: Candidate) -> bool:
        from sansice.ice._tcp._address import is_checked

        return is_checked(local.candidate, remote)

    def insert_triggered(self, local: LocalCandidate, remote: Candidate, source: Address) -> Pair | None:
        """The pair of a check that arrived on a new path: Waiting, and queued (RFC 8445 7.3.1.4).

        In a full list it takes the place of a pair that nobody has checked yet, whatever the priorities: half of
        this path is known to work. ``None``: no such place.
        """
        if self._session.is_full():
            self._session.drop(DropReason.LIMIT)
            if not self._session.evict(self.list):
                return None
        pair = self.new_pair(local, remote, source)
        self.list.add(pair)
        pair.move(PairEvent.UNFREEZE)
        self.list.trigger(pair)
        return pair

    def _insert(self, pair: Pair) -> bool:
        was_full = self._session.is_full()
        self.list.add(pair)
        if was_full:
            self._session.drop(DropReason.LIMIT)
            self._session.evict(self.list)  # the new pair itself, if there is no other
        return pair in self.list

    def new_pair(self, local: LocalCandidate, remote: Candidate, remote_address: Address) -> Pair:
        """A pair that is in no list yet."""
        return self._pair_of(local, remote, remote_address, Tally(self._session.next_pair_number()))

    def new_valid_pair(self, pair: Pair, local: LocalCandidate) -> Pair:
        """What a check of ``pair`` makes valid where a mapped address is another candidate (RFC 8445 7.2.5.3.2)."""
        return self._pair_of(local, pair.remote, pair.remote_address, pair.tally)

    def _pair_of(self, local: LocalCandidate, remote: Candidate, remote_address: Address, tally: Tally) -> Pair:
        return Pair(local, remote, remote_address, self._session.priority(local.candidate, remote), tally)


def _signalled_late(candidate: Candidate, seen: Candidate) -> Candidate:
    """A candidate whose checks came before it was signalled: the priority of those stays (RFC 8838 11).

    So that both ends order pairs alike, says the RFC. A relayed candidate is its own base, and to the peer has the priority that
    it signals; with that of a peer-reflexive one a relay would be preferred to all reflexive candidates.
    """
    return candidate if candidate.type is CandidateType.RELAYED else attrs.evolve(candidate, priority=seen.priority)


def _is_forgettable(pair: Pair) -> bool:
    return pair.state is PairState.FAILED and not (pair.cancelled or pair.nominate_on_success)


def is_named(candidate: Candidate) -> bool:
    """Whether what is told of a candidate is a name, which conceals its address."""
    return isinstance(candidate.address, HostName)


def _hidden(address: CandidateAddress) -> Address:
    """What is shown in place of an address (RFC 8839 5.1)."""
    return Address(ANY_IPV6 if ":" in address[0] else ANY_IPV4, DISCARD_PORT)


def _is_base(local: LocalCandidate) -> bool:
    """Whether checks are sent from it: host candidates, whatever address a rule tells of them, and relayed ones."""
    return local.candidate.type in _BASES
