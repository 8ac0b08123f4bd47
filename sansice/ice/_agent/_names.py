"""Candidates that have a name in place of an address: one address is found for each (RFC 8839 5.1, RFC 5245 15.1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from sansice.ice._candidate import Candidate, HostName, is_under_local
from sansice.ice._config import IceConfig
from sansice.machine import (
    AddressRecord,
    DropReason,
    Ids,
    Machine,
    QueryId,
    Record,
    RecordKind,
    Resolve,
    ResolveError,
)

if TYPE_CHECKING:
    from ._checker import Checker

# RFC 8305 3, the resolution delay: who has an address of one family gives the other so long.
OTHER_FAMILY = 0.05
_KINDS = (RecordKind.AAAA, RecordKind.A)  # RFC 8421: IPv6 first


@attrs.frozen
class NameFound:
    """The addresses of a name that a candidate has.

    Attributes:
        generation: whose candidate it is.
        candidate: as the peer told it.
        hosts: literals, those of IPv6 first; none where a name that conceals an address leads nowhere.
    """

    generation: Checker
    candidate: Candidate
    hosts: tuple[str, ...]


class _Search:
    """The questions about one name, and the candidates that wait for the answers."""

    __slots__ = ("candidates", "conceals", "deadline", "hosts", "left", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.conceals = is_under_local(name)
        self.candidates: list[tuple[Checker, Candidate]] = []
        self.left: dict[QueryId, RecordKind] = {}
        self.hosts: dict[RecordKind, tuple[str, ...]] = {}
        self.deadline = math.inf


class NameSearch(Machine):
    """Finds the addresses of names. What a peer can have asked is bounded, in number and in time.

    Args:
        ids: of the agent.
        config: the bounds.
        drop: counts what leads nowhere.
        relays_only: nothing is to be known on the link: names under ``.local`` are ignored.
    """

    __slots__ = ("_config", "_drop", "_found", "_ids", "_relays_only", "_searches")

    def __init__(self, ids: Ids, config: IceConfig, drop: Callable[[DropReason], None], *, relays_only: bool = False) -> None:
        super().__init__()
        self._ids = ids
        self._config = config
        self._drop = drop
        self._relays_only = relays_only
        self._found: list[NameFound] = []
        self._searches: dict[str, _Search] = {}  # by name, in lower case; in the order of asking

    def add(self, candidate: Candidate, name: HostName, generation: Checker) -> bool:
        """Have a candidate's name looked up, from the next `start` on; ``False``: it is not.

        Of names under ``.local`` only those that conceal an address are: what asks for others by multicast could be had to send
        to devices whose names are known (draft-ietf-mmusic-mdns-ice-candidates 3.2.2), and a name server must not be asked (RFC
        6762 3).
        """
        text = name.name.lower().removesuffix(".")
        if not name.port or (is_under_local(text) and not self._may_find(name.name)):
            self._drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        search = self._searches.get(text) or _Search(text)
        if any(own is generation and one == candidate for own, one in search.candidates):
            return False
        is_new = text not in self._searches
        if len(search.candidates) >= self._config.max_remote_candidates or (
            is_new and len(self._searches) >= self._config.max_names
        ):
            self._drop(DropReason.LIMIT)
            return False
        search.candidates.append((generation, candidate))
        self._searches[text] = search
        return True

    def _may_find(self, name: str) -> bool:
        from sansice.ice._mdns_name import is_concealing_name

        return not self._relays_only and is_concealing_name(name)

    def waits_for(self, generation: Checker) -> bool:
        """Whether a name of this generation may still lead somewhere."""
        return any(own is generation for search in self._searches.values() for own, _ in search.candidates)

    def start(self, *, now: float) -> None:
        """Ask for the names that nobody has asked for yet."""
        for search in self._searches.values():
            if search.deadline == math.inf:
                search.deadline = now + self._config.name_timeout
                for kind in _KINDS:
                    query = self._ids.query()
                    search.left[query] = kind
                    self._outputs.append(Resolve(query, search.name, kind))

    def take_found(self) -> list[NameFound]:
        """What was found since the last call, in order."""
        found, self._found = self._found, []
        return found

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """An answer to one of the questions; those to others' are ignored."""
        for search in self._searches.values():
            kind = search.left.pop(query, None)
            if kind is None:
                continue
            if not isinstance(answer, ResolveError):
                search.hosts[kind] = tuple(record.host for record in answer if isinstance(record, AddressRecord))
            if any(search.hosts.values()):
                search.deadline = min(search.deadline, now + OTHER_FAMILY)
            if not search.left:
                self._end(search)
            return

    def handle_timer(self, *, now: float) -> None:
        """Go on with what was found of those whose time is over."""
        for search in tuple(self._searches.values()):
            if search.deadline <= now:
                self._end(search)

    def deadline(self) -> float:
        """When the next search ends."""
        return min((search.deadline for search in self._searches.values()), default=math.inf)

    def _end(self, search: _Search) -> None:
        del self._searches[search.name]
        hosts = tuple(host for kind in _KINDS for host in search.hosts.get(kind, ()))
        if search.conceals:
            hosts = _only_usable(hosts)
        for generation, candidate in search.candidates:
            if not hosts:
                self._drop(DropReason.UNUSABLE_CANDIDATE)
            if hosts or search.conceals:
                self._found.append(NameFound(generation, candidate, hosts))


def _only_usable(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """The address that a name conceals: one, and none at which this machine finds itself, or many (draft 3.2.2)."""
    from sansice.ice._mdns._link import is_usable

    return hosts if len(hosts) == 1 and is_usable(hosts[0]) else ()
