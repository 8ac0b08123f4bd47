"""A TURN client: one allocation at a server, kept alive, with its permissions, channels and data (RFC 8656)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import cast

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    Entropy,
    Event,
    IcmpError,
    Ids,
    LocalProtocolError,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun import (
    AccessToken,
    FailureCause,
    IndicationReceived,
    LongTermCredentials,
    Method,
    Path,
    PathClosed,
    PathOpened,
    Redirected,
    ServerTarget,
    ServerUri,
    StunClient,
    TransactionFailed,
    TransactionSucceeded,
    TransactionTimedOut,
    strongest_supported,
)

from ._allocation import ClientAllocation, Origin
from ._codes import ALLOCATION_MISMATCH, BAD_REQUEST, TRY_ALTERNATE
from ._config import TurnClientConfig
from ._events import AllocationCreated, AllocationFailed, AllocationLost, Closed, DataReceived
from ._explain import explain
from ._farewells import Farewells
from ._memory import TurnServerMemory, username_of
from ._peer_stream import PeerStreamId
from ._race import Won
from ._reception import Reception
from ._requests import Outcome
from ._routes import check_data, check_port
from ._search import AllocateSearch, as_server, name_of
from ._states import TURN_CLIENT_TRANSITIONS, HoldState, TurnClientInput, TurnClientState
from ._stats import TurnClientStats
from ._streams import PeerStreams
from ._wish import AllocateWish, Family

_DEFAULT_CONFIG = TurnClientConfig()


class _Timer(IdentityEnum):
    CLOSE = "the server has had time enough to confirm the deletion"


class TurnClient(Machine):
    """A relayed address for peers that cannot be reached directly.

    `allocate` asks for it; `AllocationCreated` tells it, `AllocationFailed` why there is none. The client refreshes it until
    `close`, or until `AllocationLost`, after which `allocate` may be called again. Peers are let in by `create_permission`,
    for a shorter way of data by `bind_channel`; `send` takes data for them, `DataReceived` brings theirs.

    Other events: `AllocationRefreshed`, `PermissionCreated`, `PermissionFailed`, `ChannelBound`, `ChannelFailed`,
    `PeerUnreachable`, and `Closed`, the last. An allocation with ``transport=Transport.TCP`` has connections with peers in the
    place of datagrams: `connect`, `accept`, `send_stream`, `StreamReceived`.

    Who moves much data does without an event for each packet: `wrap` and `unwrap` are the way between data and messages, and
    `take_datagrams` and `take_stream` do what `handle_datagrams` and `handle_stream_data` do and return the data.

    Args:
        server: a ``turn:`` or ``turns:`` URI, which is looked up by each `allocate`; or addresses, in the order to try.
        credentials: what the server knows the user by, or what another server has given him to enter with (RFC 7635); ``None``
            for a server that wants none.
        config: what may be tuned.
        transports: towards the server, in order of preference, where the URI leaves a choice; by default all that it allows,
            UDP first.
        local: what to bind to, if not the address by which the system routes to the server. Port 0 is any port; with another
            one, the server's addresses are tried one after the other.
        socket: an open UDP socket, bound to ``local``, that is somebody else's: over UDP, servers are asked through it. Its owner
            feeds what may be the client's (RFC 7983), and closes it after the client. Needs ``local``.
        verify_name: what certificates must say, instead of the URI's host.
        memory: who is to be left alone; several clients may share one.
        ids: the counter of the machine that this one is part of.
        entropy: makes transaction ids, and orders SRV records of one priority.

    Attributes:
        stats: counters.
        memory: as given, or a new one.

    Raises:
        ValueError: ``server`` is no URI of a TURN server.
        LocalProtocolError: ``verify_name`` is no host name; no server; a ``socket`` without ``local``.
    """

    __slots__ = (
        "_allocation", "_config", "_entropy", "_farewells", "_last", "_make_search", "_reception", "_search", "_server",
        "_state", "_streams", "_stun", "_timers", "_username", "memory", "stats",
    )  # fmt: skip

    def __init__(
        self,
        server: ServerTarget | ServerUri | str | Sequence[ServerTarget],
        *,
        credentials: LongTermCredentials | AccessToken | None = None,
        config: TurnClientConfig = _DEFAULT_CONFIG,
        transports: Sequence[Transport] | None = None,
        local: Address | None = None,
        socket: SocketId | None = None,
        verify_name: str | None = None,
        memory: TurnServerMemory | None = None,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        self._server = as_server(server)
        if isinstance(self._server, ServerUri) and not self._server.is_turn:
            raise ValueError(f"{self._server} is not a TURN server's: turn: or turns:")
        self.memory: TurnServerMemory = memory if memory is not None else TurnServerMemory()
        self._config = config
        self._entropy = entropy
        ids = ids if ids is not None else Ids()
        self._stun = StunClient(credentials=credentials, choose=strongest_supported, config=config.stun, ids=ids, entropy=entropy)
        self.stats: TurnClientStats = TurnClientStats(dropped=self._stun.stats.dropped)
        self._farewells = Farewells(self._stun)
        self._streams = PeerStreams(self._stun, config, self._put)
        self._allocation: ClientAllocation | None = None
        self._last: AllocationFailed | AllocationLost | None = None
        self._search: AllocateSearch | None = None
        self._state = TurnClientState.IDLE
        self._timers: FewTimers[_Timer] = FewTimers()
        self._reception = Reception(
            self._stun, self._streams, self.stats, allocation=lambda: self._allocation, absorb=self._absorb
        )
        self._make_search = partial(
            AllocateSearch,
            self._server,
            transports=tuple(transports) if transports is not None else None,
            verify_name=verify_name,
            ids=ids,
            entropy=entropy,
            stun=self._stun,
            farewells=self._farewells,
            memory=self.memory,
            config=config,
            local=local,
            socket=socket,
        )
        self._username = username_of(credentials)
        self._make_search(AllocateWish(), username=None)  # so that a wrong name is refused here

    # ------------------------------------------------------------- what it has

    @property
    def state(self) -> TurnClientState:
        """Where it is."""
        return self._state

    @property
    def relayed(self) -> tuple[Address, ...]:
        """The addresses that peers send to, IPv4 first; none without an allocation."""
        return self._allocation.relayed if self._allocation is not None else ()

    @property
    def mapped(self) -> Address | None:
        """How the server sees this client; ``None`` after a move if the server does not tell, and without an allocation."""
        return self._allocation.mapped if self._allocation is not None else None

    @property
    def local(self) -> Address | None:
        """What the socket towards the server is bound to."""
        return self._allocation.origin.local if self._allocation is not None else None

    @property
    def path(self) -> Path | None:
        """The way to the server: only what comes from its ``remote`` on its ``socket`` may be given to `unwrap`."""
        return self._allocation.path if self._allocation is not None else None

    @property
    def lifetime(self) -> int:
        """Seconds that the server grants from one refresh to the next; 0 without an allocation."""
        return self._allocation.lifetime if self._allocation is not None else 0

    @property
    def lingers(self) -> bool:
        """Whether it is closed and waits for the server to confirm the deletion: worth a moment of its driver's time."""
        return self._state is TurnClientState.CLOSING

    def is_permitted(self, host: str) -> bool:
        """Whether datagrams go to and come from this IP address, as far as is known."""
        permission = self._allocation.permissions.get(host) if self._allocation is not None else None
        return permission is not None and permission.active

    def channel(self, peer: Address) -> int | None:
        """The number of the channel that is bound to this peer, if one is."""
        channel = self._allocation.channels.get(peer) if self._allocation is not None else None
        return channel.number if channel is not None and channel.bound else None

    def explain(self, *, now: float) -> str:
        """Where it stands and why, in several lines for a person."""
        return explain(name_of(self._server), self._state, self._allocation, self._last, self.stats, now)

    # ------------------------------------------------------------- commands

    def allocate(
        self,
        *,
        transport: Transport = Transport.UDP,
        family: Family | None = None,
        even_port: bool = False,
        reserve_next: bool = False,
        reservation_token: bytes | None = None,
        dont_fragment: bool = False,
        lifetime: int | None = None,
        mobility: bool = False,
        now: float,
    ) -> None:
        """Ask for a relayed address: ends in `AllocationCreated` or `AllocationFailed`, possibly before this returns.

        Args:
            transport: between relay and peers.
            family: of the relayed address, 4 or 6; ``"both"`` for one of each, where the server has both. By default what the
                server takes nothing said for, which is IPv4.
            even_port: a relayed address with an even port.
            reserve_next: and have the next port reserved, for who knows `AllocationCreated.reservation_token`.
            reservation_token: take the port that is reserved under it.
            dont_fragment: `send` may ask for it later.
            lifetime: seconds from one refresh to the next; the server has the last word.
            mobility: an allocation that can be taken along to another local address (RFC 8016).

        Raises:
            LocalProtocolError: there is an allocation, or one is on its way, or the client is closed; or the options exclude
                each other (RFC 8656 7.1), or TCP is wanted of a server that is only asked over datagrams (RFC 6062 4.1).
        """
        if self._state is not TurnClientState.IDLE:
            raise LocalProtocolError(f"one allocation at a time; the client is in state: {self._state.value}")
        wish = AllocateWish(
            transport=transport,
            family=family,
            even_port=even_port,
            reserve_next=reserve_next,
            reservation_token=reservation_token,
            dont_fragment=dont_fragment,
            lifetime=lifetime,
            mobility=mobility,
        )
        search = self._make_search(wish, username=self._username)
        self._move(TurnClientInput.ALLOCATE)
        self._search = search
        search.start(now)
        self._absorb(now)

    def create_permission(self, *peers: Address, now: float) -> None:
        """Let hosts in, whatever their ports: `PermissionCreated` or `PermissionFailed` follows; renewed by itself.

        Raises:
            LocalProtocolError: no allocation, a peer of a family without a relayed address (RFC 8656 10.1), or too many.
        """
        allocation = self._get_allocation()
        for peer in peers:
            allocation.check_peer(peer)
        allocation.permissions.want(peers)
        allocation.pump(now)
        self._absorb(now)

    def bind_channel(self, peer: Address, *, now: float) -> int:
        """Ask for a permission and a channel: `ChannelBound` or `ChannelFailed` follows; renewed by itself.

        Returns:
            The number that the channel is to have.

        Raises:
            LocalProtocolError: as for `create_permission`; port 0.
        """
        allocation = self._get_allocation()
        allocation.check_peer(peer)
        check_port(peer)
        allocation.channels.check_room(peer)
        allocation.permissions.want((peer,))
        number = allocation.channels.want(peer)
        allocation.pump(now)
        self._absorb(now)
        return number

    def forget(self, *peers: Address, now: float) -> None:
        """Renew nothing for these hosts any more, and take nothing from them: permission and channels expire at the server."""
        if self._allocation is not None:
            self._allocation.forget(tuple(peer.host for peer in peers), now)

    def release_channel(self, peer: Address, *, now: float) -> None:
        """Renew a peer's channel no more, and send without it; the permission of its host is kept. No event follows."""
        if self._allocation is not None:
            self._allocation.channels.forget(peer, now)

    def send(self, peer: Address, data: bytes, *, dont_fragment: bool = False, now: float) -> None:
        """Send a datagram from the relayed address: by the peer's channel if it has one, otherwise in an indication.

        While the permission is asked for it waits, among at most ``max_waiting``. It may be lost like any datagram; those that
        are known to be, because the permission was refused for example, count in ``stats.unsent``.

        Args:
            peer: transport address, for whose host a permission was asked for.
            data: up to `MAX_DATA` bytes, none included.
            dont_fragment: the relay is to send it in one piece or not at all; always in an indication.

        Raises:
            LocalProtocolError: no allocation; no permission was asked for; the allocation is one without DONT-FRAGMENT; too
                much data; port 0.
        """
        allocation = self._get_allocation()
        if not dont_fragment and peer in allocation.routes.sending:  # a channel has been through all that follows
            allocation.send(peer, data, dont_fragment=False)
            return
        if dont_fragment and not allocation.origin.wish.dont_fragment:
            raise LocalProtocolError("DONT-FRAGMENT was not asked for by allocate(), or refused by the server (RFC 8656 7.1)")
        permission = allocation.permissions.get(peer.host)
        if permission is None:
            raise LocalProtocolError(f"no permission for {peer.host}: create_permission() comes first (RFC 8656 11.1)")
        check_port(peer)
        check_data(data)
        if permission.state is HoldState.ASKING:
            allocation.routes.wait(peer, data, dont_fragment=dont_fragment)
        else:
            allocation.send(peer, data, dont_fragment=dont_fragment)

    def refresh(self, *, lifetime: int | None = None, family: int | None = None, now: float) -> None:
        """Refresh now, with another lifetime, or give one family of two back: `AllocationRefreshed` follows (RFC 8656 8.1).

        Args:
            lifetime: seconds, also from the next refresh on; the server has the last word. 0 only with ``family``.
            family: 4 or 6, to delete its address, permissions and channels, and leave the other's alone.

        Raises:
            LocalProtocolError: no allocation; a lifetime of 0 for all of it, which is what `close` does; a family that it
                does not have, or that is its last.
        """
        allocation = self._get_allocation()
        allocation.check_refresh(lifetime, family)
        allocation.refresh(lifetime, family, now)
        self._absorb(now)

    def rebind(self, *, local: Address | None = None, now: float) -> None:
        """Take the allocation along, because the local address has changed or is about to (RFC 8016): opens another socket.

        `AllocationRebound` or `RebindFailed` follows; data takes the old way until then. Where that breaks, and where a NAT has
        changed what the server sees, the client does this by itself.

        Args:
            local: what to bind to; left out, the address by which the system routes to the server now, and any port.

        Raises:
            LocalProtocolError: no allocation, or not a mobile one; it is on the move; ``local`` is of another family than the
                server.
        """
        self._get_allocation().mover.rebind(local, now)
        self._absorb(now)

    # ------------------------------------------------------------- connections with peers (RFC 6062)

    def connect(self, peer: Address, *, now: float) -> PeerStreamId:
        """Have the relay connect to a peer over TCP: `PeerConnected` or `ConnectFailed` follows.

        Returns:
            What names the connection in events and commands.

        Raises:
            LocalProtocolError: no allocation, or one for UDP; a peer of a family without a relayed address, that is connected
                already, or that the relay failed to reach less than ten seconds ago (RFC 6062 4.3); too many connections.
        """
        id = self._streams.connect(self._get_allocation(), peer, now)
        self._absorb(now)
        return id

    def accept(self, id: PeerStreamId, *, now: float) -> None:
        """Take a connection that a peer has opened (`ConnectionAttempted`): `PeerConnected` or `ConnectFailed` follows.

        Raises:
            LocalProtocolError: it is not on offer, or not any more.
        """
        self._streams.accept(self._get_allocation(), id, now)
        self._absorb(now)

    def refuse(self, id: PeerStreamId, *, now: float) -> None:
        """Leave a connection that a peer has opened alone: the relay closes it by and by.

        Raises:
            LocalProtocolError: it is not on offer, or not any more.
        """
        self._streams.refuse(id)

    def send_stream(self, id: PeerStreamId, data: bytes, *, now: float) -> None:
        """Append bytes to a connection with a peer; `StreamSent` tells how many still wait.

        Raises:
            LocalProtocolError: the connection is not open, see `is_connected`.
        """
        self._streams.send(id, data)

    def set_stream_reading(self, id: PeerStreamId, enabled: bool, *, now: float) -> None:
        """Stop reading a connection, so that its peer must wait, or go on.

        Raises:
            LocalProtocolError: the connection is not open, see `is_connected`.
        """
        self._streams.set_reading(id, enabled)

    def close_stream(self, id: PeerStreamId, *, mode: CloseMode = CloseMode.FLUSH, now: float) -> None:
        """End a connection with a peer, or the attempt at one. No event follows; one that is gone is a no-op."""
        self._streams.close(id, mode, now)
        self._absorb(now)

    def is_connected(self, id: PeerStreamId) -> bool:
        """Whether a connection with a peer is open."""
        return self._streams.is_open(id)

    # ------------------------------------------------------------- the end

    def renew(self, token: AccessToken, *, now: float) -> None:
        """Show another access token from now on, before the one in use expires (RFC 7635 8); a Refresh does it at once.

        Raises:
            LocalProtocolError: the client was not made with one.
        """
        self._stun.renew(token)
        self._username = token.kid
        self.memory.forgive(token.kid)
        if self._allocation is not None:
            self._allocation.refresh_again(now)
        self._absorb(now)

    def close(self, *, now: float) -> None:
        """Give everything back (RFC 8656 8): `Closed` follows, when the server has confirmed it or had time to.

        The program should go on feeding the machine until then, or for a second at least: a lost deletion leaves the
        allocation at the server until it expires. After the first call a no-op.
        """
        if self._state in (TurnClientState.CLOSING, TurnClientState.CLOSED):
            return
        self._move(TurnClientInput.CLOSE)
        self._timers.set(_Timer.CLOSE, now + self._config.close_timeout)
        self._streams.clear("the client was closed", now)
        if self._search is not None:
            self._search.stop(now)
            self._search = None
        if self._allocation is not None:
            self._allocation.stop(now)
            self._farewells.delete(self._allocation.path, now)
            self._allocation = None
        self._absorb(now)

    # ------------------------------------------------------------- data without events

    def wrap(self, peer: Address, data: bytes) -> bytes | None:
        """The message that has the server send ``data`` to ``peer``: to be sent on `path`, by whoever called.

        Returns:
            ``None`` where nothing can be sent to this peer now: it has no permission, or there is no allocation or no way to it.

        Raises:
            LocalProtocolError: more than `MAX_DATA` bytes.
        """
        allocation = self._allocation
        return allocation.routes.wrap(peer, data) if allocation is not None and not allocation.mover.is_stranded else None

    def unwrap(self, data: bytes) -> tuple[Address, bytes] | None:
        """The peer and its data in a message that came from the server on `path`.

        Returns:
            ``None`` where it is something else, which `handle_datagrams` or, over a stream, `handle_stream_data` must have.
        """
        return self._allocation.routes.unwrap(data) if self._allocation is not None else None

    def take_datagrams(
        self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float
    ) -> list[tuple[Address, bytes]]:
        """As `handle_datagrams`, but data of peers is returned, in order: (peer, data)."""
        return self._reception.datagrams(socket, batch, now)

    def take_stream(self, socket: SocketId, data: bytes, *, now: float) -> list[tuple[Address, bytes]]:
        """As `handle_stream_data`, but data of peers is returned, in order: (peer, data)."""
        return self._reception.stream(socket, data, now)

    # ------------------------------------------------------------- what the world says

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Answers, data of peers, and what is to be dropped."""
        self._outputs += [DataReceived(peer, data) for peer, data in self.take_datagrams(socket, batch, now=now)]

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """The same, cut from a stream; its end is the end of the allocation."""
        self._outputs += [DataReceived(peer, data) for peer, data in self.take_stream(socket, data, now=now)]

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """How much the server still has to read: data over ``max_unsent`` is dropped, except on connections with peers."""
        self._streams.sent(socket, unsent)
        if self._allocation is not None and socket == self._allocation.path.socket:
            self._allocation.unsent = unsent

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """What waits for it leaves."""
        self._stun.handle_socket_opened(socket, local, now=now)
        self._absorb(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """Another server's turn, or the end of the allocation or of a connection with a peer."""
        if not self._streams.lost(socket, error):
            self._stun.handle_socket_failed(socket, error, now=now)
            self._absorb(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A hard error ends requests to that server; an allocation goes on until a refresh tells more."""
        self._stun.handle_icmp(socket, destination, error, now=now)
        self._absorb(now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """For the resolution."""
        if self._search is not None:
            self._search.handle_resolved(query, answer, now)
            self._absorb(now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, try the next server, refresh, renew, or give up."""
        if self._allocation is not None:
            self._allocation.handle_timer(now)
            self._absorb(now)
        self._streams.handle_timer(now)
        self._stun.handle_timer(now=now)
        self._absorb(now)  # the last failure comes before the limit for all of them
        if self._search is not None:
            self._search.handle_timer(now)
            self._absorb(now)
        if self._timers.pop_due(now) is not None:
            self._end(now)

    def deadline(self) -> float:
        """The earliest of all these."""
        earliest = min(self._timers.earliest, self._stun.deadline(), self._streams.deadline())
        if self._search is not None:
            earliest = min(earliest, self._search.deadline())
        if self._allocation is not None:
            earliest = min(earliest, self._allocation.deadline())
        return earliest

    # ------------------------------------------------------------- inside

    def _move(self, step: TurnClientInput) -> None:
        self._state = TURN_CLIENT_TRANSITIONS[self._state, step]

    def _absorb(self, now: float) -> None:
        """Take what the children have put out, until they are done."""
        while outputs := self._take_outputs_of_children(now):
            for output in outputs:
                if not isinstance(output, Action):
                    self._take(output, now)
                    continue
                self._reception.follow(output)
                self._outputs.append(output)
            if self._search is not None:
                self._search.check(now)
            self._conclude(now)
        self._conclude(now)
        if self._state is TurnClientState.CLOSING and not self._farewells:
            self._end(now)

    def _take_outputs_of_children(self, now: float) -> list[Action | Event]:
        actions = self._search.take_actions(now) if self._search is not None else []
        return [*actions, *self._stun.take_outputs()]

    def _take(self, event: Event, now: float) -> None:
        match event:
            case TransactionSucceeded() | TransactionFailed() | TransactionTimedOut():
                self._settle(event, now)
            case PathOpened(path, local) if self._search is not None:
                self._search.opened(path, local, now)
            case PathOpened(path, local) if self._allocation is not None:
                self._allocation.mover.opened(path, local)
            case PathClosed(path, error):
                allocation = self._allocation
                if allocation is not None and path.socket == allocation.path.socket and not allocation.mover.strand(now):
                    allocation.end("the server closed the connection" if error is None else error.text or error.kind.value)
            case Redirected():
                self._follow(event, now)
            case IndicationReceived(path, message) if message.method is Method.CONNECTION_ATTEMPT:
                if self._allocation is not None and path.socket == self._allocation.path.socket:
                    reason = self._streams.attempted(self._allocation, message, now)
                    self.stats.dropped.update(() if reason is None else (reason,))
            case _:  # servers ask nothing, and what they tell beside data concerns nobody
                pass

    def _settle(self, outcome: Outcome, now: float) -> None:
        if self._search is not None and self._search.settle(outcome, now):
            return
        if self._allocation is not None and self._allocation.settle(outcome, now):
            return
        if self._streams.settle(outcome, now):
            if isinstance(outcome, TransactionFailed) and outcome.code == ALLOCATION_MISMATCH and self._allocation is not None:
                self._allocation.mismatch(now)
            return
        self._farewells.requests.settle(outcome, now)

    def _follow(self, event: Redirected, now: float) -> None:
        """A 300: an Allocate goes on elsewhere; of what is about an allocation nobody else knows anything."""
        apart = event.new.socket != event.old.socket
        if self._search is not None and self._search.redirected(event):
            if apart:
                self._stun.release(event.old, now=now)
            return
        self._stun.cancel(event.id, now=now)
        if apart:
            self._stun.release(event.new, now=now)
        self._settle(TransactionFailed(event.id, TRY_ALTERNATE, "redirected", FailureCause.ERROR_RESPONSE), now)

    def _conclude(self, now: float) -> None:
        """See whether the servers are known, and whether the search or the allocation has ended."""
        if self._search is not None:
            self._follow_search(self._search, now)
        if self._allocation is not None and self._allocation.lost is not None:
            self._lose(self._allocation, self._allocation.lost, now)

    def _follow_search(self, search: AllocateSearch, now: float) -> None:
        if search.race is not None and self._state is TurnClientState.RESOLVING:
            self._move(TurnClientInput.RESOLVED)
        end = search.end
        if end is not None:
            self._search = None
            if isinstance(end, Won):
                self._begin(end, now)
            else:
                self._fail(end)

    def _begin(self, won: Won, now: float) -> None:
        attempt, grant = won.attempt, won.grant
        self._move(TurnClientInput.GRANTED)
        self._last = None
        self.stats.allocations += 1
        local = cast(Address, attempt.local)  # who has answered was asked through an open socket
        origin = Origin(attempt.target, attempt.path, local, attempt.wish)
        self._allocation = ClientAllocation(
            origin,
            grant,
            attempt.asked,
            stun=self._stun,
            config=self._config,
            entropy=self._entropy,
            stats=self.stats,
            put=self._put,
            now=now,
        )
        told = (grant.relayed, grant.mapped, grant.lifetime, grant.reservation_token, attempt.target, local)
        whole, mobile = attempt.wish.dont_fragment, grant.ticket is not None
        self._outputs.append(AllocationCreated(*told, dont_fragment=whole, refused=grant.refused, mobile=mobile))

    def _fail(self, event: AllocationFailed) -> None:
        self._move(TurnClientInput.FAILED)
        self._last = event
        self._outputs.append(event)

    def _lose(self, allocation: ClientAllocation, event: AllocationLost, now: float) -> None:
        self._move(TurnClientInput.LOST)
        self._allocation = None
        self._streams.clear(event.reason, now)
        self._last = event
        allocation.stop(now)
        if event.code == BAD_REQUEST:  # RFC 8656 12.3: the server has it still
            self._farewells.delete(allocation.path, now)
        else:
            self._stun.release(allocation.path, now=now)
        self._outputs.append(event)

    def _end(self, now: float) -> None:
        self._move(TurnClientInput.END)
        self._timers.clear()
        self._stun.close(now=now)
        self._outputs += [output for output in self._stun.take_outputs() if isinstance(output, Action)]
        self._outputs.append(Closed())

    def _put(self, output: Action | Event) -> None:
        self._outputs.append(output)

    def _get_allocation(self) -> ClientAllocation:
        if self._allocation is None:
            raise LocalProtocolError(f"there is no allocation; the client is in state: {self._state.value}")
        return self._allocation
