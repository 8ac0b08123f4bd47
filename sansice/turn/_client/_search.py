"""From a server's name to an allocation: its addresses looked up, then raced (RFC 8656 4.1, RFC 5928)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from sansice.machine import (
    Action,
    Address,
    Entropy,
    Ids,
    LocalProtocolError,
    QueryId,
    Record,
    ResolveError,
    SocketId,
    Transport,
)
from sansice.stun import (
    Path,
    Redirected,
    ResolutionFailed,
    ServerResolution,
    ServerResolved,
    ServerTarget,
    ServerUri,
    StunClient,
)
from sansice.turn._errors import TurnStep

from ._config import TurnClientConfig
from ._events import AllocationFailed
from ._farewells import Farewells
from ._grant import ip_version_of
from ._memory import TurnServerMemory
from ._race import AllocateRace, Won
from ._requests import Outcome
from ._wish import AllocateWish

if TYPE_CHECKING:
    from sansice.stun import ProxiedResolution

Server: TypeAlias = ServerTarget | ServerUri | tuple[ServerTarget, ...]
"""Who is asked: a name to look up, or an address, or several in the order to try."""


class AllocateSearch:
    """One search for an allocation.

    Args:
        server: a name to look up, or an address, or several.
        wish: what to ask for.
        transports, verify_name, entropy: as for `ServerResolution`.
        ids: of the tree of machines.
        stun, farewells, memory, config, local, socket, username: as for `AllocateRace`.

    Attributes:
        race: among the servers, once these are known.

    Raises:
        LocalProtocolError: ``wish`` is for TCP, and the server is only asked over datagrams; ``socket`` without ``local``.
    """

    __slots__ = (
        "_config",
        "_failure",
        "_farewells",
        "_local",
        "_memory",
        "_resolution",
        "_server",
        "_socket",
        "_stun",
        "_username",
        "_wish",
        "race",
    )

    def __init__(
        self,
        server: Server,
        wish: AllocateWish,
        *,
        transports: Sequence[Transport] | None,
        verify_name: str | None,
        ids: Ids,
        entropy: Entropy,
        stun: StunClient,
        farewells: Farewells,
        memory: TurnServerMemory,
        config: TurnClientConfig,
        local: Address | None,
        username: str | None,
        socket: SocketId | None = None,
    ) -> None:
        if socket is not None and local is None:
            raise LocalProtocolError("socket: what it is bound to must be said (local)")
        if wish.transport is Transport.TCP:
            transports = _streams_to(server, transports)
            if isinstance(server, tuple):
                server = tuple(target for target in server if target.transport in transports)
        self._server = server
        self._wish = wish
        self._stun = stun
        self._farewells = farewells
        self._memory = memory
        self._config = config
        self._local = local
        self._socket = socket
        self._username = username
        self._failure: AllocationFailed | None = None
        self._resolution: ServerResolution | ProxiedResolution | None = None
        self.race: AllocateRace | None = None
        if isinstance(server, ServerUri):
            resolution: Callable[..., ServerResolution | ProxiedResolution] = ServerResolution
            if config.proxy is not None:
                from sansice.stun import ProxiedResolution  # few have one

                resolution = partial(ProxiedResolution, proxy=config.proxy)
            self._resolution = resolution(
                server,
                transports=transports,
                verify_name=verify_name,
                families=config.families if local is None else (ip_version_of(local),),
                ids=ids,
                entropy=entropy,
            )

    @property
    def end(self) -> Won | AllocationFailed | None:
        """How it ended, once it has."""
        return self._failure if self.race is None else self.race.end

    def start(self, now: float) -> None:
        """Look the server up, or ask it."""
        if self._resolution is not None:
            self._resolution.start(now=now)
        else:
            server = cast("ServerTarget | tuple[ServerTarget, ...]", self._server)
            self._ask((server,) if isinstance(server, ServerTarget) else server, now)

    def stop(self, now: float) -> None:
        """Ask nobody any more; what is under way is seen to."""
        if self.race is not None:
            self.race.stop(now)
        elif self._resolution is not None:
            self._resolution.cancel(now=now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, now: float) -> None:
        """For the resolution."""
        if self._resolution is not None:
            self._resolution.handle_resolved(query, answer, now=now)

    def handle_timer(self, now: float) -> None:
        """Ask the next server, or give up."""
        if self.race is not None:
            self.race.handle_timer(now)
        elif self._resolution is not None:
            self._resolution.handle_timer(now=now)

    def deadline(self) -> float:
        """When one of these is due."""
        if self.race is not None:
            return self.race.deadline()
        return self._resolution.deadline() if self._resolution is not None else math.inf

    def take_actions(self, now: float) -> list[Action]:
        """What the resolution wants; its end begins the race."""
        actions: list[Action] = []
        for output in self._resolution.take_outputs() if self._resolution is not None else ():
            if isinstance(output, Action):
                actions.append(output)
            elif isinstance(output, ServerResolved):
                self._ask(output.targets, now)
            else:
                # The address of a URI that has one is not looked up: something else is wrong with it.
                step = TurnStep.OPEN if cast(ServerUri, self._server).is_literal else TurnStep.RESOLVE
                self._failure = AllocationFailed(step, cast(ResolutionFailed, output).reason)
        return actions

    # ------------------------------------------------------------- what the race hears

    def opened(self, path: Path, local: Address, now: float) -> None:
        """A socket is open."""
        if self.race is not None:
            self.race.opened(path, local, now)

    def redirected(self, event: Redirected) -> bool:
        """A request goes on elsewhere; whether it was one of these."""
        if self.race is None or event.id not in self.race.requests:
            return False
        self.race.redirected(event.id, event.new, event.server_hostname)
        return True

    def settle(self, outcome: Outcome, now: float) -> bool:
        """Take the outcome of a request; whether it was one of these."""
        return self.race is not None and self.race.requests.settle(outcome, now)

    def check(self, now: float) -> None:
        """Look who has been challenged."""
        if self.race is not None:
            self.race.check(now)

    def _ask(self, targets: Sequence[ServerTarget], now: float) -> None:
        self.race = AllocateRace(
            targets,
            self._wish,
            stun=self._stun,
            farewells=self._farewells,
            memory=self._memory,
            config=self._config,
            local=self._local,
            socket=self._socket,
            username=self._username,
        )
        self.race.start(now)


def _streams_to(server: Server, transports: Sequence[Transport] | None) -> tuple[Transport, ...]:
    """How a server is asked for TCP (RFC 6062 4.1).

    Raises:
        LocalProtocolError: not at all.
    """
    streams = (Transport.TCP, Transport.TLS)
    allowed = streams if transports is None else tuple(one for one in transports if one in streams)
    if isinstance(server, tuple):
        possible = any(target.transport in allowed for target in server)
    else:
        named = server.transport.value if isinstance(server, ServerTarget) else server.transport
        possible = bool(allowed) and named not in (Transport.UDP.value, Transport.DTLS.value)
    if not possible:
        raise LocalProtocolError("TCP towards peers is asked for over TCP or TLS, not over datagrams (RFC 6062 4.1)")
    return allowed


def as_server(given: ServerTarget | ServerUri | str | Sequence[ServerTarget]) -> Server:
    """What a caller named, a text read.

    Raises:
        ValueError: a text that is no URI.
        LocalProtocolError: nobody was named.
    """
    if isinstance(given, str):
        return ServerUri.parse(given)
    if isinstance(given, (ServerTarget, ServerUri)):
        return given
    if not given:
        raise LocalProtocolError("server: at least one")
    return tuple(given)


def name_of(server: Server) -> str:
    """For a person."""
    if isinstance(server, ServerUri):
        return str(server)
    return str(server.address if isinstance(server, ServerTarget) else server[0].address)
