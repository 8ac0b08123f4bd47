"""From the URLs of STUN and TURN servers to addresses: literals at once, names by the DNS (RFC 8489 8.1, RFC 5928)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

import attrs

from sansice._timers import FewTimers
from sansice.ice._server import NamedServer
from sansice.machine import Action, Entropy, Event, Ids, LocalProtocolError, Machine, QueryId, Record, ResolveError
from sansice.stun import ResolutionFailed, ServerResolution, ServerResolved, ServerTarget

if TYPE_CHECKING:
    from sansice.stun import ProxiedResolution


@attrs.frozen
class ServerFound(Event):
    """Where a server is.

    Attributes:
        number: its place among those that the agent was given.
        server: as it was given.
        targets: in the order to try.
    """

    number: int
    server: NamedServer
    targets: tuple[ServerTarget, ...]


@attrs.frozen
class ServerNotFound(Event):
    """A server's name led nowhere, or to nothing of use."""

    number: int
    server: NamedServer
    reason: str


class ServerSearch(Machine):
    """Finds every server; ends each search in one event.

    Args:
        servers: whom.
        ids: of the tree of machines that this one is in.
        timeout: seconds until a name is given up.
        entropy: draws by the weight of SRV records.

    Raises:
        LocalProtocolError: a name for a certificate that is none.
    """

    __slots__ = ("_entropy", "_ids", "_searches", "_servers", "_timeout", "_timers")

    def __init__(self, servers: tuple[NamedServer, ...], *, ids: Ids, timeout: float, entropy: Entropy) -> None:
        super().__init__()
        self._servers = servers
        self._ids = ids
        self._timeout = timeout
        self._entropy = entropy
        self._searches: dict[int, ServerResolution | ProxiedResolution] = {}  # by the number of the server
        self._timers: FewTimers[int] = FewTimers()
        for server in servers:
            if server.verify_name is not None:
                self._resolution(server)  # so that a wrong name is refused here

    @property
    def is_over(self) -> bool:
        """Whether every started search has ended."""
        return not self._searches

    def start(self, *, now: float) -> None:
        """Search for all of them, anew."""
        self.stop()
        for number, server in enumerate(self._servers):
            if server.uri.scheme == "stuns":  # RFC 7350 has no way to ask through a host candidate's plain socket
                reason = "a server over TLS or DTLS does not see the UDP socket of a candidate: name it by stun: or turns:"
                self._outputs.append(ServerNotFound(number, server, reason))
                continue
            search = self._searches[number] = self._resolution(server)
            search.start(now=now)
            self._absorb(number, search)

    def _resolution(self, server: NamedServer) -> ServerResolution | ProxiedResolution:
        resolution: Callable[..., ServerResolution | ProxiedResolution] = ServerResolution
        if server.proxy is not None:
            from sansice.stun import ProxiedResolution  # few have one

            resolution = partial(ProxiedResolution, proxy=server.proxy)
        try:
            return resolution(
                server.uri,
                transports=server.transports,
                verify_name=server.verify_name,
                ids=self._ids,
                timeout=self._timeout,
                entropy=self._entropy,
            )
        except LocalProtocolError as error:
            raise LocalProtocolError(f"ICE server {server.url!r}: {error}") from None

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

    def _absorb(self, number: int, search: ServerResolution | ProxiedResolution) -> None:
        server = self._servers[number]
        for output in search.take_outputs():
            if isinstance(output, Action):
                self._outputs.append(output)
                continue
            del self._searches[number]  # it ends with its one event
            if isinstance(output, ServerResolved):
                self._outputs.append(ServerFound(number, server, output.targets))
            else:
                self._outputs.append(ServerNotFound(number, server, cast(ResolutionFailed, output).reason))
        self._timers.set(number, search.deadline())
