"""What a connection of an adapter to a relay does without a runtime: `TurnConnectionBase`, and its peers.

The three adapters have one ``TurnConnection`` each. All of it that never waits stands here: the client, what was received
from whom, what may be read, and what is raised when there is no allocation. An adapter adds the waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from sansice.driver import EventQueueBase
from sansice.machine import Address, DropReason, Event, IcmpError, LocalProtocolError
from sansice.stun import AccessToken, LongTermCredentials

from ._client._client import TurnClient
from ._client._events import (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    AllocationRebound,
    AllocationRefreshed,
    ChannelBound,
    ChannelFailed,
    Closed,
    DataReceived,
    PeerUnreachable,
    PermissionCreated,
    PermissionFailed,
    RebindFailed,
)
from ._client._peer_stream import PeerStreamId
from ._client._states import TurnClientState
from ._client._stats import TurnClientStats
from ._client._stream_events import (
    ConnectFailed,
    ConnectionAttempted,
    PeerConnected,
    StreamLost,
    StreamReceived,
    StreamSent,
)
from ._connection_streams import S, Streams
from ._errors import TurnClosed, TurnError, TurnLost, TurnStep, TurnWouldBlock
from ._inbox import Inbox, N

R = TypeVar("R")

MAX_TURN_EVENTS = 256  # that wait in a connection whose application looks at them seldom or never

TURN_EVENTS: tuple[type[Event], ...] = (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    AllocationRebound,
    AllocationRefreshed,
    ChannelBound,
    ChannelFailed,
    Closed,
    ConnectFailed,
    ConnectionAttempted,
    PeerConnected,
    PeerUnreachable,
    PermissionCreated,
    PermissionFailed,
    RebindFailed,
    StreamLost,
)
"""What waits in ``turn.events`` of a connection, up to `MAX_TURN_EVENTS` of them."""


class TurnDriver(Protocol):
    """What a connection needs of the driver that runs its client."""

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason."""
        ...

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run a command of the client's with ``now`` filled in, and perform what it wants."""
        ...


D = TypeVar("D", bound=TurnDriver)
Q = TypeVar("Q", bound=EventQueueBase)
P = TypeVar("P", bound="TurnPeerBase[Any]")

TurnCredentials: TypeAlias = LongTermCredentials | AccessToken
"""What `TurnClient` takes for credentials."""

MakeTurnDriver: TypeAlias = Callable[[TurnClient, Callable[[Event], None]], D]
"""``make(client, deliver)``: a driver that is not running yet."""


def address_of(peer: Address | str) -> Address:
    """A peer's transport address, which may be text: ``192.0.2.1:5000``, ``[2001:db8::1]:5000``.

    Raises:
        LocalProtocolError: the text is none.
    """
    if isinstance(peer, Address):
        return peer
    try:
        return Address.parse(peer)
    except ValueError as error:
        raise LocalProtocolError(f"a peer is named by its address: {error}") from None


def turn_credentials(username: str | None, credential: TurnCredentials | str | None) -> TurnCredentials | None:
    """What a client proves with, from the arguments of ``open_turn``.

    Raises:
        LocalProtocolError: a name without a password, or the reverse.
        ValueError: RFC 8265 forbids one of them.
    """
    if isinstance(credential, str):
        if username is None:
            raise LocalProtocolError("a password needs a user name")
        return LongTermCredentials(username, credential)
    if username is not None:
        raise LocalProtocolError("a user name needs a password, as text")
    return credential


def host_of(peer: Address | str) -> Address:
    """The same for permissions, for which ports mean nothing (RFC 8656 9): ``192.0.2.1`` is enough."""
    if isinstance(peer, Address):
        return peer
    try:
        return Address.of(peer, 0)
    except ValueError:
        return address_of(peer)


class TurnPeerBase(Generic[N]):
    """The part of an adapter's ``TurnPeer`` that never waits. Applications use that, not this.

    Attributes:
        address: the peer's transport address.
        unreachable: the last ICMP error about what was sent to it (RFC 8656 11.6), ``None`` if there was none. A hint:
            everybody can forge one.
    """

    __slots__ = ("_inbox", "_turn", "_wants_channel", "address", "unreachable")

    def __init__(
        self, turn: TurnConnectionBase[Any, Any, N, Any, Any], address: Address, inbox: Inbox[bytes, N], *, wants_channel: bool
    ) -> None:
        self.address: Address = address
        self.unreachable: IcmpError | None = None
        self._turn = turn
        self._inbox = inbox
        self._wants_channel = wants_channel

    def send_nowait(self, data: bytes, *, dont_fragment: bool = False) -> None:
        """Send a datagram. Until the server has granted the permission it waits in the client, which keeps some.

        Args:
            data: what to send.
            dont_fragment: have the server send it unfragmented or not at all (RFC 8656 14), where the allocation was asked
                for with ``dont_fragment``. What comes back is told by `unreachable` and by ``turn.events``.

        Raises:
            TurnError: the server has refused the permission; `TurnLost` and `TurnClosed` where there is no allocation.
            LocalProtocolError: more than fits into a datagram.
        """
        self._turn._send(self.address, data, dont_fragment=dont_fragment)

    def receive_nowait(self) -> bytes:
        """The oldest datagram that waits.

        Raises:
            TurnWouldBlock: none does.
            TurnError: none will come, as in `send_nowait`.
        """
        data = self._take()
        if data is None:
            raise self._turn._would_block("receive_nowait(): nothing has arrived")
        return data

    def close(self) -> None:
        """Give the peer up: its channel ends, and so does the permission of its host, unless another peer has the same.

        What goes on coming from it until the server has forgotten it is dropped. A second call is harmless.
        """
        self._turn._forget(self)

    def _take(self) -> bytes | None:
        """What waits, or ``None`` while something may still come."""
        if len(self._inbox):
            return self._inbox.take()
        self._turn._raise_if_refused(self.address.host)
        return None

    def _is_ready(self) -> bool:
        self._turn._raise_if_refused(self.address.host)
        return self._turn.client.is_permitted(self.address.host)

    def __repr__(self) -> str:
        return f"<TurnPeer {self.address}>"


class TurnConnectionBase(Generic[D, Q, N, P, S]):
    """The part of an adapter's ``TurnConnection`` that never waits. Applications use that, not this.

    Whoever waits looks, waits for the news, and looks again; `_raise_if_over` says when there is nothing to wait for.

    Args:
        client: newly made.
        uri: the server, as text.
        wish: the arguments of `TurnClient.allocate`.
        make_driver: given the client, and where to deliver its events.
        make_news: given the driver, what somebody waits for.
        events: a queue for what is told beside data. It needs no reader.
        max_queued, max_queued_bytes: received data that may wait, of each peer, and of all whom nobody has asked for by name.

    Attributes:
        client: the machine.
        events: what the client tells beside data: refreshes, losses, permissions, channels, ICMP errors.
        uri: the server, as text.

    Raises:
        LocalProtocolError: a queue of less than one datagram.
    """

    __slots__ = (
        "_denied", "_driver", "_failure", "_inbox", "_left", "_make_news", "_max_queued", "_max_queued_bytes", "_moved", "_news",
        "_peers", "_permitted", "_streams", "_unheld", "_wish", "client", "events", "uri",
    )  # fmt: skip

    def __init__(
        self,
        client: TurnClient,
        uri: str,
        wish: Mapping[str, object],
        make_driver: MakeTurnDriver[D],
        make_news: Callable[[D], N],
        events: Q,
        *,
        max_queued: int,
        max_queued_bytes: int,
    ) -> None:
        if min(max_queued, max_queued_bytes) < 1:
            raise LocalProtocolError("open_turn(): a queue of less than one datagram")
        self.client: TurnClient = client
        self.uri: str = uri
        self.events: Q = events
        self._wish = wish
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._driver: D = make_driver(client, self._deliver)
        self._make_news = make_news
        self._news: N = make_news(self._driver)
        self._inbox: Inbox[DataReceived, N] = self._new_inbox()
        self._peers: dict[Address, P] = {}
        self._streams: Streams[S] = Streams()
        self._permitted: dict[str, Address] = {}  # whom `permit` was asked for, by host
        self._denied: dict[str, tuple[str, int]] = {}
        self._failure: tuple[type[TurnError], TurnStep, str, int] | None = None
        self._moved: AllocationRebound | RebindFailed | None = None
        self._unheld = False  # what the peers had went with an earlier allocation
        self._left = False

    def __repr__(self) -> str:
        relayed = " and ".join(str(address) for address in self.relayed)
        return f"<{type(self).__name__} {self.uri}: {self.state.value}{relayed and f', {relayed}'}>"

    # ------------------------------------------------------------- what a runtime supplies

    def _new_peer(self, address: Address, inbox: Inbox[bytes, N], *, wants_channel: bool) -> P:
        """Make a peer of the runtime's kind."""
        raise NotImplementedError

    def _new_stream(self, id: PeerStreamId, peer: Address) -> S:
        """Make a stream of the runtime's kind."""
        raise NotImplementedError

    def _look(self, read: Callable[[], R]) -> R:
        """Read more than one thing of the client. A runtime with threads keeps them out meanwhile."""
        return read()

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> TurnClientState:
        """Where the client is."""
        return self.client.state

    @property
    def relayed(self) -> tuple[Address, ...]:
        """The relayed addresses, for peers to send to: one a family; none while there is no allocation."""
        return self.client.relayed

    @property
    def mapped(self) -> Address | None:
        """How the server sees this client; ``None`` without an allocation, and after a move where the server does not tell."""
        return self.client.mapped

    @property
    def lifetime(self) -> int:
        """Seconds that the server grants from one refresh to the next, which happens by itself; 0 without an allocation."""
        return self.client.lifetime

    @property
    def peers(self) -> tuple[Address, ...]:
        """Whom `peer` was asked for."""
        return self._look(lambda: tuple(self._peers))

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams the system refused to send, by reason."""
        return self._driver.lost

    def stats(self) -> TurnClientStats:
        """A copy of the counters. What had to make room for newer data is ``dropped[DropReason.QUEUE_FULL]``."""
        return self._look(lambda: attrs.evolve(self.client.stats, dropped=Counter(self.client.stats.dropped)))

    def explain(self) -> str:
        """Where it stands, for a person."""
        return self._driver.call(self.client.explain)

    # ------------------------------------------------------------- commands that never wait

    def send_nowait(self, peer: Address | str, data: bytes) -> None:
        """Send a datagram to somebody who has a permission, or soon will. See `TurnPeerBase.send_nowait`."""
        self._send(address_of(peer), data, dont_fragment=False)

    def receive_nowait(self) -> DataReceived:
        """The oldest datagram from anybody whom `peer` was not asked for, as ``peer, data``.

        Raises:
            TurnWouldBlock: none waits.
            TurnError: none will come: there is no allocation.
        """
        received = self._take()
        if received is None:
            raise self._would_block("receive_nowait(): nothing has arrived")
        return received

    def close(self) -> None:
        """Delete the allocation now. Whoever waits gets `TurnClosed`; a second call is harmless."""
        self._driver.call(self.client.close)

    # ------------------------------------------------------------- what the waiting is made of

    def _start_allocating(self) -> None:
        """Ask for an allocation, where there is none, and none is being asked for."""
        if self._left or self.client.state in (TurnClientState.CLOSING, TurnClientState.CLOSED):
            self._raise_if_over()
        if self.client.state is TurnClientState.IDLE:
            self._failure = None
            self._driver.call(self.client.allocate, **self._wish)

    def _is_allocated(self) -> bool:
        self._raise_if_over()
        if self.client.state is not TurnClientState.ALLOCATED:
            return False
        if self._unheld:
            self._unheld = False
            for address in self._permitted.values():
                self._hold_again(address, channel=False)
            for address, peer in self._peers.items():
                self._hold_again(address, channel=peer._wants_channel)
        return True

    def _start_rebinding(self, local: Address | None) -> None:
        self._raise_if_over()
        self._moved = None
        self._driver.call(self.client.rebind, local=local)

    def _has_moved(self) -> bool:
        self._raise_if_over()
        if isinstance(self._moved, RebindFailed):
            raise TurnError(self.uri, TurnStep.REFRESH, self._moved.reason, self._moved.code or 0)
        return self._moved is not None

    def _start_permitting(self, peers: tuple[Address | str, ...]) -> tuple[str, ...]:
        """Ask for permissions; the hosts to wait for."""
        self._raise_if_over()
        addresses = tuple(host_of(peer) for peer in peers)
        self._ask(self.client.create_permission, *addresses)
        self._permitted.update((address.host, address) for address in addresses)
        return tuple(address.host for address in addresses)

    def _are_permitted(self, hosts: tuple[str, ...]) -> bool:
        for host in hosts:
            self._raise_if_refused(host)
        return all(self.client.is_permitted(host) for host in hosts)

    def _peer(self, peer: Address | str, *, channel: bool) -> P:
        self._raise_if_over()
        address = address_of(peer)
        found = self._peers.get(address)
        if found is None:
            found = self._new_peer(address, self._new_inbox(), wants_channel=channel)
            self._hold(found)
            self._peers[address] = found
        return found

    def _start_connecting(self, peer: Address | str) -> S:
        """Have the relay connect; the stream is not open yet."""
        self._raise_if_over()
        address = address_of(peer)
        id = self._driver.call(self.client.connect, address)
        return self._add_stream(id, address)

    def _start_accepting(self) -> S | None:
        """Take what a peer offers, if one does; the stream is not open yet."""
        self._raise_if_over()
        offers = self._streams.offers
        if not offers:
            return None
        id, peer = next(iter(offers.items()))
        del offers[id]
        stream = self._add_stream(id, peer)  # before it is accepted, which may fail at once
        self._driver.call(self.client.accept, id)
        return stream

    def _add_stream(self, id: PeerStreamId, peer: Address) -> S:
        stream = self._new_stream(id, peer)
        self._streams.add(stream)
        return stream

    def _new_inbox(self) -> Inbox[Any, N]:
        return Inbox(self._make_news(self._driver), self._max_queued, self._max_queued_bytes)

    def _hold(self, peer: P) -> None:
        """Have the client ask for what the peer needs, and keep it."""
        self._ask(self.client.bind_channel if peer._wants_channel else self.client.create_permission, peer.address)

    def _hold_again(self, address: Address, *, channel: bool) -> None:
        """The same of a later allocation, which may be one that cannot reach everybody: the others are not concerned."""
        try:
            self._ask(self.client.bind_channel if channel else self.client.create_permission, address)
        except LocalProtocolError as error:
            self._denied[address.host] = (str(error), 0)

    def _ask(self, command: Callable[..., object], *peers: Address) -> None:
        """Have the client ask once more, whatever the server said before."""
        before = self._denied
        self._denied = {host: why for host, why in before.items() if all(peer.host != host for peer in peers)}
        try:
            self._driver.call(command, *peers)
        except LocalProtocolError:
            self._denied = before
            raise

    def _forget(self, peer: TurnPeerBase[N]) -> None:
        if self._peers.get(peer.address) is not peer:
            return
        del self._peers[peer.address]
        host = peer.address.host
        if host not in self._permitted and all(other.address.host != host for other in self._peers.values()):
            self._denied.pop(host, None)
            self._driver.call(self.client.forget, peer.address)
        elif peer._wants_channel:
            self._driver.call(self.client.release_channel, peer.address)

    def _send(self, peer: Address, data: bytes, *, dont_fragment: bool) -> None:
        self._raise_if_refused(peer.host)
        self._driver.call(self.client.send, peer, data, dont_fragment=dont_fragment)

    def _take(self) -> DataReceived | None:
        """What waits, or ``None`` while something may still come."""
        if len(self._inbox):
            return self._inbox.take()
        self._raise_if_over()
        return None

    def _would_block(self, reason: str) -> TurnWouldBlock:
        return TurnWouldBlock(self.uri, TurnStep.DATA, reason)

    # ------------------------------------------------------------- what the client tells

    def _deliver(self, event: Event) -> None:
        if type(event) is DataReceived:
            peer = self._peers.get(event.peer)
            dropped = self._inbox.put(event, len(event.data)) if peer is None else peer._inbox.put(event.data, len(event.data))
            if dropped:
                self.client.stats.dropped[DropReason.QUEUE_FULL] += dropped
            return
        self._streams.deliver(event)
        if type(event) is StreamReceived or type(event) is StreamSent:
            return
        match event:
            case AllocationCreated():
                self._failure = None
            case AllocationFailed(step=step, reason=reason, code=code):
                self._fail(TurnError, step, reason, code)
            case AllocationLost(reason=reason, code=code):
                self._denied.clear()
                self._unheld = True
                self._fail(TurnLost, TurnStep.REFRESH, reason, code)
            case AllocationRebound() | RebindFailed():
                self._moved = event
            case PermissionCreated(hosts=hosts):
                for host in hosts:
                    self._denied.pop(host, None)
                self._wake_peers(hosts)
            case PermissionFailed(hosts=hosts, code=code, reason=reason):
                self._denied.update((host, (reason, code or 0)) for host in hosts)
                self._wake_peers(hosts)
            case PeerUnreachable(peer=address, error=error):
                peer = self._peers.get(address)
                if peer is not None:
                    peer.unreachable = error
            case Closed():
                self._fail(TurnClosed, TurnStep.DATA, "closed", None)
        self.events.put(event)
        self._news.wake()

    def _fail(self, kind: type[TurnError], step: TurnStep, reason: str, code: int | None) -> None:
        self._failure = (kind, step, reason, code or 0)
        self._wake_all()

    def _wake_peers(self, hosts: tuple[str, ...]) -> None:
        for peer in self._peers.values():
            if peer.address.host in hosts:
                peer._inbox.news.wake()

    def _wake_all(self) -> None:
        self._news.wake()
        self._inbox.news.wake()
        self._streams.wake()
        for peer in self._peers.values():
            peer._inbox.news.wake()

    def _end(self) -> None:
        """The block is left, or its driver has failed: whoever still waits waits in vain."""
        self._left = True
        self.events.close()
        self._wake_all()

    def _raise_if_over(self) -> None:
        if self._failure is not None:
            kind, step, reason, code = self._failure
            raise kind(self.uri, step, reason, code)
        if self._left or self.client.state in (TurnClientState.CLOSING, TurnClientState.CLOSED):
            raise TurnClosed(self.uri, TurnStep.DATA, "closed")

    def _raise_if_refused(self, host: str) -> None:
        self._raise_if_over()
        denied = self._denied.get(host)
        if denied is not None:
            reason, code = denied
            raise TurnError(self.uri, TurnStep.PERMIT, f"{host}: {reason}", code)
