"""Relayed candidates: TURN clients, each of whose relayed addresses is a socket to the agent (RFC 8445 5.1.1.2, 7.2.1).

Such a socket is never opened: `Relays.wrap` takes what the agent sends on it, `Relays.unwrap` says what has arrived on it. UDP
servers are asked through the sockets of host candidates, all others through sockets of the clients' own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence

from sansice._timers import FewTimers
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    Ids,
    LocalProtocolError,
    Machine,
    OpenSocket,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import is_stun
from sansice.turn import (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    Closed,
    Family,
    PeerUnreachable,
    PermissionFailed,
    TurnClient,
    TurnClientConfig,
    TurnServerMemory,
)

from ._relay import (
    PeerRefused,
    Relay,
    Relayed,
    RelayedIcmp,
    RelayInput,
    RelayLost,
    RelayQuestion,
    RelayRefused,
    RelayState,
)

Datagrams = list[tuple[Address, bytes]]

# The first two bytes of a Binding message, by class (RFC 8489 5): on a host candidate's socket these are the agent's own.
_BINDING = frozenset((b"\x00\x01", b"\x00\x11", b"\x01\x01", b"\x01\x11"))
_SERVER_TROUBLE = 500  # from here on a refusal may pass (RFC 8489 14.8)


class Relays(Machine):
    """The relays of one agent.

    Args:
        ids: of the tree of machines.
        family: of relayed addresses: 4, 6, ``"both"``, or ``None`` for what a server gives whom nothing is said.
        config: of the clients.
        entropy: of the agent.
        drop: counts what was dropped.

    Attributes:
        discarded: how many datagrams had no room in the stream to their server.
    """

    __slots__ = (
        "_by_server",
        "_by_socket",
        "_closing",
        "_config",
        "_drop",
        "_entropy",
        "_family",
        "_ids",
        "_memory",
        "_named",
        "_number",
        "_own",
        "_relays",
        "_shared",
        "_timers",
        "discarded",
    )

    def __init__(
        self,
        *,
        ids: Ids,
        family: Family | None,
        config: TurnClientConfig,
        entropy: Entropy,
        drop: Callable[[DropReason, int], None],
    ) -> None:
        super().__init__()
        self._ids = ids
        self._family: Family | None = family
        self._config = config
        self._entropy = entropy
        self._drop = drop
        self._memory = TurnServerMemory()
        self._named: dict[str, TurnServerMemory] = {}  # of servers that only a proxy knows the addresses of
        self._relays: dict[int, Relay] = {}  # by number
        self._number = 0
        self._by_socket: dict[SocketId, Relay] = {}  # sockets that relayed addresses are to the agent
        self._own: dict[SocketId, Relay] = {}  # sockets towards servers that carry nothing else
        self._by_server: dict[tuple[SocketId, Address], Relay] = {}  # and through host candidates' sockets, by both
        self._shared: dict[SocketId, None] = {}  # these sockets
        self._closing: dict[SocketId, CloseMode] = {}  # host candidates' sockets that a deletion keeps open
        self._timers: FewTimers[int] = FewTimers()
        self.discarded = 0

    # ------------------------------------------------------------- what there is

    def __len__(self) -> int:
        """How many there are, those included that are being deleted."""
        return len(self._relays)

    @property
    def pending(self) -> tuple[Relay, ...]:
        """Those of which it is not known yet whether they will relay."""
        return tuple(relay for relay in self._relays.values() if relay.state is RelayState.ASKING)

    @property
    def live(self) -> tuple[Relay, ...]:
        """Those that relay, or may come to it."""
        return tuple(relay for relay in self._relays.values() if relay.is_live)

    @property
    def lingers(self) -> bool:
        """Whether servers are still being told to delete an allocation."""
        return any(relay.client.lingers for relay in self._relays.values())

    def is_virtual(self, socket: SocketId) -> bool:
        """Whether a socket is a relayed address, never opened."""
        return socket in self._by_socket

    def carries(self, socket: SocketId) -> bool:
        """Whether what arrives on a socket may be a relay's, so that `unwrap` must see it."""
        return socket in self._own or socket in self._shared

    def is_asked(self, socket: SocketId, server: Address) -> bool:
        """Whether a relay asks this server through this host candidate's socket already: there can be one (RFC 8656 2.2).

        One that was only sent there by another server does not count, which may have meant to keep us from asking.
        """
        relay = self._by_server.get((socket, server))
        return relay is not None and relay.is_live and relay.question.names(server)

    # ------------------------------------------------------------- asking, and giving back

    def ask(self, question: RelayQuestion, *, is_held: bool = False, now: float) -> Relay:
        """Ask for an allocation; `Relayed` or `RelayRefused` follows, possibly before this returns.

        Args:
            question: what to ask for.
            is_held: open streams to the server, and let them wait for `release` before anything is asked.
            now: the time.
        """
        self._number += 1
        client = TurnClient(
            question.targets,
            credentials=question.server.credentials,
            config=self._config,
            local=question.host.base,
            socket=question.host.socket,
            memory=self._memory_of(question),
            ids=self._ids,
            entropy=self._entropy,
        )
        relay = self._relays[self._number] = Relay(self._number, question, client, now)
        if is_held:
            relay.opened = {}
        client.allocate(family=self._family, now=now)
        self._absorb(relay, now)
        return relay

    def release(self, relay: Relay, *, now: float) -> None:
        """One that was held asks now, or as soon as a stream is open."""
        opened, relay.opened, relay.asked = relay.opened or {}, None, now
        for socket, local in opened.items():
            if self._own.get(socket) is relay:  # otherwise another one was faster
                self.handle_socket_opened(socket, local, now=now)

    def _memory_of(self, question: RelayQuestion) -> TurnServerMemory:
        """Who is to be left alone is known by address; of servers whose names a proxy looks up that is the proxy's."""
        proxy = question.targets[0].proxy
        if proxy is None or proxy.authority is None:
            return self._memory
        return self._named.setdefault(question.server.uri.host, TurnServerMemory())

    def leave(self, relay: Relay, *, now: float) -> None:
        """Delete one's allocation, or ask for none any more."""
        relay.move(RelayInput.LEAVE)
        self._forget_sockets(relay)
        relay.client.close(now=now)
        self._absorb(relay, now)

    def refresh(self, *, now: float) -> None:
        """See whether they relay still: a server, or a NAT on the way to one, may have forgotten an allocation, and says so."""
        for relay in self.live:
            if relay.granted is not None:
                with contextlib.suppress(LocalProtocolError):  # too much waits for its server
                    relay.client.refresh(now=now)
                self._absorb(relay, now)

    def close(self, *, now: float) -> None:
        """Delete all allocations."""
        for relay in self.live:
            self.leave(relay, now=now)

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Close a host candidate's socket: at once, or when nothing relays through it any more."""
        if socket in self._shared:
            self._closing[socket] = mode
        else:
            self._outputs.append(CloseSocket(socket, mode))

    def close_virtual(self, socket: SocketId, *, now: float) -> None:
        """A relayed address is not needed any more; with its last one a relay is given back (RFC 8445 8.3.1)."""
        relay = self._by_socket.pop(socket)
        relay.sockets = {family: one for family, one in relay.sockets.items() if one != socket}
        if not relay.sockets:
            self.leave(relay, now=now)

    # ------------------------------------------------------------- the way of data

    def wrap(self, socket: SocketId, peer: Address, data: bytes, *, now: float) -> Action | None:
        """What sends a datagram from a relayed address.

        Returns:
            ``None`` where it waits for a permission, as a bounded number of datagrams may, or cannot be sent; there may be news.

        Raises:
            LocalProtocolError: more than `sansice.turn.MAX_DATA` bytes.
        """
        relay = self._by_socket.get(socket)
        if relay is None:  # lost, and whoever sends will hear of it
            return None
        client = relay.client
        message = client.wrap(peer, data)
        path = client.path
        if message is None or path is None:
            self._wait(relay, socket, peer, data, now)
            return None
        if not path.reliable:
            return SendDatagram(path.socket, path.remote, message)
        if relay.unsent <= self._config.max_unsent:
            return SendStream(path.socket, message)
        self.discarded += 1  # as UDP would
        self._drop(DropReason.QUEUE_FULL, 1)
        return None

    def _wait(self, relay: Relay, socket: SocketId, peer: Address, data: bytes, now: float) -> None:
        refused = relay.refused.get(peer.host)
        if refused is not None:
            self._outputs.append(PeerRefused(socket, peer.host, *refused))
        elif self.permit(socket, peer, now=now):
            relay.client.send(peer, data, now=now)
            self._absorb(relay, now)

    @property
    def has_news(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._outputs)

    def permit(self, socket: SocketId, peer: Address, *, now: float) -> bool:
        """Let a peer's host in: before the first check, for its checks come as well (RFC 8445 7.2.1).

        Returns:
            Whether a permission is held, or asked for.
        """
        relay = self._by_socket.get(socket)
        if relay is None or relay.sockets.get(_family_of(peer)) != socket or peer.host in relay.refused:
            return False
        if peer.host not in relay.permitted:
            try:
                relay.client.create_permission(peer, now=now)
            except LocalProtocolError:  # too many
                return False
            relay.permitted[peer.host] = None
            self._absorb(relay, now)
        return peer.host in relay.permitted

    def keep(self, socket: SocketId, hosts: Collection[str], *, now: float) -> None:
        """Renew no permission of any other host: of peers that have moved, or of a generation that is over.

        A relay may outlive hundreds of restarts, and what it may permit is bounded.
        """
        relay = self._by_socket.get(socket)
        if relay is None:
            return
        gone = [host for host in relay.permitted if host not in hosts and relay.sockets.get(_family_of_host(host)) == socket]
        for host in gone:
            del relay.permitted[host]
            relay.refused.pop(host, None)
        if gone:
            relay.client.forget(*(Address(host, 0) for host in gone), now=now)
            self._absorb(relay, now)

    def select(self, socket: SocketId, peer: Address, *, now: float) -> None:
        """A pair was selected: its data goes by a channel from now on (RFC 8445 7.2.1: not before)."""
        relay = self._by_socket.get(socket)
        if relay is not None and relay.client.channel(peer) is None:
            try:
                relay.client.bind_channel(peer, now=now)
            except LocalProtocolError:  # no allocation any more, or too many: data goes in indications
                return
            self._absorb(relay, now)

    def unwrap(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> list[tuple[SocketId, Datagrams]]:
        """What has arrived, in order: what relays brought under the sockets that they are, the rest under its own."""
        found: list[tuple[SocketId, Datagrams]] = []
        own, start, count = self._own.get(socket), 0, len(batch)
        while start < count:
            relay = own or self._owner(socket, *batch[start])
            end = start + 1
            while end < count and (own or self._owner(socket, *batch[end])) is relay:
                end += 1
            if relay is None:
                _extend(found, socket, batch[start:end])
            else:
                self._receive(found, relay, relay.client.take_datagrams(socket, batch[start:end], now=now), now)
            start = end
        return found

    def _owner(self, socket: SocketId, source: Address, data: bytes) -> Relay | None:
        """Whose a datagram on a host candidate's socket is; Binding messages are always the agent's.

        So is data, but from the server that relays: any other address may have been named as an alternate by a server that lies,
        and be the peer's.
        """
        relay = self._by_server.get((socket, source))
        if relay is None or (data[:2] in _BINDING and is_stun(data)):
            return None
        granted = relay.granted
        return relay if (granted is not None and granted.target.address == source) or is_stun(data) else None

    def unwrap_stream(self, socket: SocketId, data: bytes, *, now: float) -> list[tuple[SocketId, Datagrams]]:
        """The same, of a stream towards a server."""
        relay = self._own.get(socket)
        if relay is None:
            self._drop(DropReason.UNKNOWN_SOCKET, 1)
            return []
        found: list[tuple[SocketId, Datagrams]] = []
        self._receive(found, relay, relay.client.take_stream(socket, data, now=now), now)
        return found

    def _receive(self, found: list[tuple[SocketId, Datagrams]], relay: Relay, brought: Datagrams, now: float) -> None:
        """What a client made of what it was given: data of peers, and news."""
        relay.heard = True
        for peer, data in brought:
            where = relay.sockets.get(_family_of(peer))
            if where is None:
                self._drop(DropReason.NO_ALLOCATION, 1)
            else:
                _extend(found, where, ((peer, data),))
        self._absorb(relay, now)

    # ------------------------------------------------------------- what the world says

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A socket towards a server is open."""
        relay = self._own.get(socket)
        if relay is not None and relay.opened is not None:
            relay.opened[socket] = local
        elif relay is not None:
            relay.heard = True
            relay.client.handle_socket_opened(socket, local, now=now)
            self._absorb(relay, now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A socket is lost: whatever went through it is, too."""
        self._closing.pop(socket, None)
        for relay in tuple(self._relays.values()):
            if socket == relay.question.host.socket or self._own.get(socket) is relay:
                self._lose_socket(relay, socket, error, now)

    def lose_hosts(self, hosts: Collection[str], error: SocketError, *, now: float) -> None:
        """No addresses are left but these. A candidate's socket may have been closed before, or be open for a relay only."""
        for relay in self.live:
            if relay.question.host.base.host not in hosts:
                self._lose_socket(relay, relay.question.host.socket, error, now)

    def _lose_socket(self, relay: Relay, socket: SocketId, error: SocketError, now: float) -> None:
        dead = [socket]
        if error.kind is SocketErrorKind.ADDRESS_UNAVAILABLE:  # to which the sockets of its own are bound, too
            dead += [one for one, owner in self._own.items() if owner is relay and one != socket]
        for one in dead:
            relay.client.handle_socket_failed(one, error, now=now)
            self._absorb(relay, now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """How much a server still has to read."""
        relay = self._own.get(socket)
        if relay is not None:
            relay.unsent = unsent
            relay.client.handle_stream_sent(socket, unsent, now=now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A server that is not there delays nobody."""
        relay = self._own.get(socket) or self._by_server.get((socket, destination))
        if relay is not None:
            relay.client.handle_icmp(socket, destination, error, now=now)
            self._absorb(relay, now)

    def handle_timer(self, *, now: float) -> None:
        """Whatever is due at any of the clients."""
        while (number := self._timers.pop_due(now)) is not None:
            relay = self._relays[number]
            relay.client.handle_timer(now=now)
            self._absorb(relay, now)

    def deadline(self) -> float:
        """When one of them is due."""
        return self._timers.earliest

    # ------------------------------------------------------------- inside

    def _absorb(self, relay: Relay, now: float) -> None:
        """Pass on what a client wants, and act on what it tells."""
        client = relay.client
        while outputs := client.take_outputs():  # acting on one may make more
            for output in outputs:
                if isinstance(output, Action):
                    self._follow(relay, output)
                    self._outputs.append(output)
                else:
                    self._take(relay, output, now)
        dropped = client.stats.dropped
        for reason, count in dropped.items():
            self._drop(reason, count)
        dropped.clear()
        if relay.state is not RelayState.OVER:
            self._timers.set(relay.number, client.deadline())

    def _follow(self, relay: Relay, action: Action) -> None:
        """Know which sockets and servers are whose."""
        if isinstance(action, SendDatagram):
            if action.socket == relay.question.host.socket:
                key = action.socket, action.destination
                if self._by_server.setdefault(key, relay) is not relay and not self._by_server[key].question.names(key[1]):
                    self._by_server[key] = relay  # whoever was sent there by another server gives way
                self._shared[action.socket] = None
        elif isinstance(action, OpenSocket):
            self._own[action.socket] = relay
        elif isinstance(action, CloseSocket):
            del self._own[action.socket]

    def _take(self, relay: Relay, event: Event, now: float) -> None:
        if isinstance(event, AllocationCreated):
            self._begin(relay, event, now)
        elif isinstance(event, AllocationFailed):
            relay.move(RelayInput.FAIL)
            self._outputs.append(RelayRefused(relay, event.reason, event.code, event.attempts, now - relay.asked))
            relay.client.close(now=now)
        elif isinstance(event, AllocationLost):
            relay.move(RelayInput.FAIL)
            self._outputs.append(RelayLost(relay, self._forget_sockets(relay), event.reason))
            relay.client.close(now=now)
        elif isinstance(event, PermissionFailed):
            self._refuse(relay, event, now)
        elif isinstance(event, PeerUnreachable):
            where = relay.sockets.get(_family_of(event.peer))
            if where is not None:
                self._outputs.append(RelayedIcmp(where, event.peer, event.error))
        elif isinstance(event, Closed):
            self._end(relay)

    def _begin(self, relay: Relay, created: AllocationCreated, now: float) -> None:
        relay.move(RelayInput.GRANT)
        addresses: list[tuple[SocketId, Address]] = []
        for address in created.relayed:
            socket = relay.sockets[_family_of(address)] = self._ids.socket()
            self._by_socket[socket] = relay
            addresses.append((socket, address))
        told = (created.mapped, created.local, created.target, now - relay.asked)
        relay.granted = Relayed(relay, tuple(addresses), *told)
        self._outputs.append(relay.granted)

    def _refuse(self, relay: Relay, failed: PermissionFailed, now: float) -> None:
        for host in failed.hosts:
            if failed.code is None or failed.code >= _SERVER_TROUBLE:
                relay.permitted.pop(host, None)  # the next datagram asks once more
                relay.client.forget(Address(host, 0), now=now)
                continue
            relay.refused[host] = failed.code, failed.reason
            where = relay.sockets.get(_family_of_host(host))
            if where is not None:
                self._outputs.append(PeerRefused(where, host, failed.code, failed.reason))

    def _forget_sockets(self, relay: Relay) -> tuple[SocketId, ...]:
        sockets = tuple(relay.sockets.values())
        for socket in sockets:
            del self._by_socket[socket]
        relay.sockets.clear()
        return sockets

    def _end(self, relay: Relay) -> None:
        """Its client is closed; a host candidate's socket that waited for that is closed as well."""
        relay.move(RelayInput.END)
        del self._relays[relay.number]
        self._timers.cancel(relay.number)
        self._by_server = {key: one for key, one in self._by_server.items() if one is not relay}
        self._shared = dict.fromkeys(socket for socket, _ in self._by_server)
        for socket in [one for one in self._closing if one not in self._shared]:
            self._outputs.append(CloseSocket(socket, self._closing.pop(socket)))


def _family_of(address: Address) -> int:
    return _family_of_host(address.host)


def _family_of_host(host: str) -> int:
    return 6 if ":" in host else 4


def _extend(found: list[tuple[SocketId, Datagrams]], socket: SocketId, items: Iterable[tuple[Address, bytes]]) -> None:
    """Add to the last run, or begin another one."""
    if not found or found[-1][0] != socket:
        found.append((socket, []))
    found[-1][1].extend(items)
