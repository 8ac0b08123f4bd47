"""Looking for the addresses of names: questions that are repeated ever more seldom, and what comes of them (RFC 6762 5.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from sansice._timers import Timers
from sansice.ice._mdns_name import is_concealing_name
from sansice.machine import Entropy, QueryId

from ._cache import Cache
from ._config import MdnsConfig
from ._delay import random_delay
from ._events import NameFailed, NameFailure, NameResolved
from ._link import Link, is_usable
from ._message import AAAA, A, HostRecord, Question

Outcome: TypeAlias = NameResolved | NameFailed

FIRST_INTERVAL = 1.0  # RFC 6762 5.2: at least; and each at least twice the one before
MAX_INTERVAL = 3600.0  # RFC 6762 5.2
_MOST_DOUBLINGS = 12  # after which the interval is the longest


class _Search:
    """A name that is looked for, and who waits for it."""

    __slots__ = ("asked", "waiting")

    def __init__(self) -> None:
        self.asked = 0
        self.waiting: dict[QueryId, None] = {}


class Querier:
    """Which names are looked for, when they are asked for, and what is remembered of the answers.

    Args:
        config: the bounds.
        entropy: for the delay of first questions.
    """

    __slots__ = ("_config", "_ends", "_entropy", "_first", "_names", "_questions", "_searches", "cache")

    def __init__(self, config: MdnsConfig, entropy: Entropy) -> None:
        self._config = config
        self._entropy = entropy
        self._searches: dict[str, _Search] = {}
        self._names: dict[QueryId, str] = {}
        self._questions: Timers[str] = Timers()
        self._ends: Timers[QueryId] = Timers()
        self._first = -math.inf  # when the latest first questions leave: for all names that come until then
        self.cache = Cache(config)

    def __len__(self) -> int:
        return len(self._names) + len(self._searches) + len(self.cache)

    def deadline(self) -> float:
        """When something is to be asked, or given up."""
        return min(self._questions.deadline(), self._ends.deadline())

    def resolve(self, query: QueryId, name: str, timeout: float, *, now: float) -> Outcome | None:
        """Look for a name in lower case.

        Returns:
            What is known at once.
        """
        if not is_concealing_name(name):
            return NameFailed(query, name, NameFailure.UNFIT)
        hosts = self.cache.hosts(name, now=now)
        if hosts:
            return _outcome(query, name, hosts)
        search = self._searches.get(name)
        full = search is None and len(self._searches) >= self._config.max_searches
        if full or len(self._names) >= self._config.max_queries:
            return NameFailed(query, name, NameFailure.LIMIT)
        if search is None:
            search = self._searches[name] = _Search()
            if self._first <= now:
                self._first = now + random_delay(self._entropy)
            self._questions.set(name, self._first)
        search.waiting[query] = None
        self._names[query] = name
        self._ends.set(query, now + timeout)
        return None

    def cancel(self, query: QueryId) -> None:
        """Look for it no more, as far as this query is concerned; an unknown one is a no-op."""
        name = self._names.pop(query, None)
        if name is None:
            return
        self._ends.cancel(query)
        search = self._searches[name]
        del search.waiting[query]
        if not search.waiting:
            del self._searches[name]
            self._questions.cancel(name)

    def due_questions(self, *, now: float) -> list[Question]:
        """What is to be asked now, on every link: for both addresses of each name."""
        questions: list[Question] = []
        while (name := self._questions.pop_due(now)) is not None:
            search = self._searches[name]
            unicast = self._config.ask_unicast and not search.asked  # RFC 6762 5.4: later ones ask for a multicast
            questions += (Question(name, A, unicast), Question(name, AAAA, unicast))
            self._questions.set(name, now + min(FIRST_INTERVAL * 2**search.asked, MAX_INTERVAL))
            search.asked = min(search.asked + 1, _MOST_DOUBLINGS)
        return questions

    def take_expired(self, *, now: float) -> list[Outcome]:
        """Those whose time is over."""
        failed: list[Outcome] = []
        while (query := self._ends.pop_due(now)) is not None:
            failed.append(NameFailed(query, self._names[query], NameFailure.TIMEOUT))
            self.cancel(query)
        return failed

    def handle_hosts(self, link: Link, records: Sequence[HostRecord], *, now: float) -> list[Outcome]:
        """Learn what one message on a link tells."""
        told: dict[str, list[HostRecord]] = {}
        for record in records:
            if is_concealing_name(record.name):
                told.setdefault(record.name, []).append(record._replace(host=link.host_here(record.host)))
        found: list[Outcome] = []
        for name, hosts in told.items():
            self.cache.learn(name, hosts, now=now)
            found += self._found(name, now)
        return found

    def close(self) -> list[Outcome]:
        """Look for nothing any more."""
        failed: list[Outcome] = [NameFailed(query, name, NameFailure.CLOSED) for query, name in self._names.items()]
        for query in tuple(self._names):
            self.cancel(query)
        return failed

    def _found(self, name: str, now: float) -> list[Outcome]:
        search = self._searches.get(name)
        hosts = self.cache.hosts(name, now=now)
        if search is None or not hosts:
            return []
        waiting = tuple(search.waiting)
        for query in waiting:
            self.cancel(query)
        return [_outcome(query, name, hosts) for query in waiting]


def _outcome(query: QueryId, name: str, hosts: Sequence[str]) -> Outcome:
    if len(hosts) > 1:  # draft 3.2.2: it was not made to conceal one address
        return NameFailed(query, name, NameFailure.SEVERAL)
    if not is_usable(hosts[0]):
        return NameFailed(query, name, NameFailure.UNUSABLE)
    return NameResolved(query, name, hosts[0])
