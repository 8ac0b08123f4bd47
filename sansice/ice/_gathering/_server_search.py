"""From the URLs of STUN servers to addresses: literals at once, names by the DNS (RFC 8489 8.1)."""

from __future__ import annotations

from typing import cast

import attrs

from sansice._timers import FewTimers
from sansice.machine import Action, Address, Entropy, Event, Ids, Machine, QueryId, Record, ResolveError
from sansice.stun import ResolutionFailed, ServerResolution, ServerResolved, ServerUri


@attrs.frozen
class ServerFound(Event):
    """Where a server is.

    Attributes:
        number: its place among those that the agent was given.
        url: as it was given.
        addresses: in the order to try.
    """

    number: int
    url: str
    addresses: tuple[Address, ...]


@attrs.frozen
class ServerNotFound(Event):
    """A server's name led nowhere."""

    url: str
    reason: str


class ServerSearch(Machine):
    """Finds every server; ends each search in one event.

    Args:
        servers: URL and what it says.
        ids: of the tree of machines that this one is in.
        timeout: seconds until a name is given up.
        entropy: draws by the weight of SRV records.
    """

    __slots__ = ("_entropy", "_ids", "_searches", "_servers", "_timeout", "_timers")

    def __init__(self, servers: tuple[tuple[str, ServerUri], ...], *, ids: Ids, timeout: float, entropy: Entropy) -> None:
        super().__init__()
        self._servers = servers
        self._ids = ids
        self._timeout = timeout
        self._entropy = entropy
        self._searches: dict[int, ServerResolution] = {}  # by the number of the server
        self._timers: FewTimers[int] = FewTimers()

    @property
    def is_over(self) -> bool:
        """Whether every started search has ended."""
        return not self._searches

    def start(self, *, now: float) -> None:
        """Search for all of them."""
        for number, (_, uri) in enumerate(self._servers):
            search = ServerResolution(uri, ids=self._ids, timeout=self._timeout, entropy=self._entropy)
            self._searches[number] = search
            search.start(now=now)
            self._absorb(number, search)

    def stop(self) -> None:
        """Forget what is not found yet: nothing more is told of it."""
        self._searches.clear()
        self._timers.clear()

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """An answer for one of the searches; each knows its own questions."""
        for number, search in tuple(self._searches.items()):
            search.handle_resolved(query, answer, now=now)
            self._absorb(number, search)

    def handle_timer(self, *, now: float) -> None:
        """Give up on what is due."""
        while (number := self._timers.pop_due(now)) is not None:
            search = self._searches[number]
            search.handle_timer(now=now)
            self._absorb(number, search)

    def deadline(self) -> float:
        """When the next question is given up."""
        return self._timers.earliest

    def _absorb(self, number: int, search: ServerResolution) -> None:
        url = self._servers[number][0]
        for output in search.take_outputs():
            if isinstance(output, Action):
                self._outputs.append(output)
                continue
            del self._searches[number]  # it ends with its one event
            if isinstance(output, ServerResolved):
                self._outputs.append(ServerFound(number, url, tuple(target.address for target in output.targets)))
            else:
                self._outputs.append(ServerNotFound(url, cast(ResolutionFailed, output).reason))
        self._timers.set(number, search.deadline())
