"""A TURN server: relayed addresses for clients over UDP, TCP, TLS and DTLS (RFC 8656)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from sansice.machine import (
    Address,
    DropReason,
    Entropy,
    IcmpError,
    Ids,
    LocalProtocolError,
    Machine,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun import (
    ALPN_NAT_DISCOVERY,
    ALPN_TURN,
    LIFETIME,
    MOBILITY_TICKET,
    XOR_MAPPED_ADDRESS,
    Allowance,
    Authentication,
    Authentications,
    Found,
    FrameReceived,
    IndicationReceived,
    Listener,
    ListenerFailed,
    ListenerOpened,
    Method,
    Path,
    RequestId,
    RequestReceived,
    ServerDrained,
    ServerState,
    Session,
    StreamClosed,
    StunServer,
)
from sansice.turn._peer_policy import DEFAULT_PEER_POLICY, PeerPolicy

from ._admission import MAX_AMPLIFICATION, check_authentication, is_too_short
from ._allocate import within_token
from ._allocate_answer import Attributes
from ._allocation import Allocation, AllocationId, Mobile
from ._allocations import Allocations, describe
from ._allocator import Allocator
from ._answering import answer, refuse
from ._config import DEFAULT_TURN_CONFIG, TurnServerConfig
from ._elsewhere import Elsewhere
from ._events import (
    TURN_SERVER_TRANSITIONS,
    AllocationInfo,
    AllocationMoved,
    AllocationsDrained,
    CloseReason,
    TurnServerInput,
    TurnServerState,
)
from ._limits import Quotas, TurnLimits, same_account
from ._mobility import Mobility, paths_of
from ._own import OwnAddresses
from ._peers import judge_bind, judge_permissions
from ._places import Places
from ._refresh import judge_refresh
from ._refusal import BAD_REQUEST, MISMATCH, NO_CAPACITY, WRONG_CREDENTIALS, Refusal
from ._relay import DataPath
from ._stats import TurnServerStats
from ._tcp_relay import ConnectFinished, TcpRelay
from ._tcp_requests import TcpRequests, read_connection_id
from ._tickets import Ticket, Tickets, Tokens

_Handler: TypeAlias = "Callable[[TurnServer, RequestReceived, float], None]"

DEFAULT_LIMITS = TurnLimits()

_METHODS = (
    Method.ALLOCATE,
    Method.REFRESH,
    Method.SEND,
    Method.CREATE_PERMISSION,
    Method.CHANNEL_BIND,
    Method.CONNECT,
    Method.CONNECTION_BIND,
)


class TurnServer(Machine):
    """Gives clients relayed addresses, and relays between them and their peers.

    `start` names where to listen; ServerReady tells when that is decided. From then on the server needs nothing but its
    inputs: requests are judged and answered, sockets opened and closed, data relayed, and all that expires ends by itself.
    `AllocationOpened` and `AllocationClosed` tell what goes on; what is dropped is counted in `stats`.

    Args:
        authentication: the long-term mechanism, third-party authorization, or a mapping that has one for each listener.
            It may be ``None`` only with ``config.anonymous``.
        config: policy and timers.
        limits: how much a user, and all of them, may have.
        peer_policy: which peers may be reached; by default none in any special-purpose block.
        account: whose a user name is, a pure function, for names that change while their owner does not.
        ids: the counter of a parent machine.
        entropy: ports, tokens, transaction ids, and what the STUN server underneath draws.

    Attributes:
        stats: counters.

    Raises:
        LocalProtocolError: nobody would be asked for credentials, and ``config.anonymous`` does not say that this is meant;
            or a realm so long (over 36 bytes, with MD5 allowed) that asking would amplify.
    """

    __slots__ = (
        "_allocations",
        "_allocator",
        "_closes",
        "_config",
        "_data",
        "_drain_at",
        "_elsewhere",
        "_listeners",
        "_mobility",
        "_own",
        "_places",
        "_quotas",
        "_state",
        "_stun",
        "_tcp",
        "_tcp_requests",
        "stats",
    )

    def __init__(
        self,
        *,
        authentication: Authentication | Authentications | None,
        config: TurnServerConfig = DEFAULT_TURN_CONFIG,
        limits: TurnLimits = DEFAULT_LIMITS,
        peer_policy: PeerPolicy = DEFAULT_PEER_POLICY,
        account: Callable[[str], str] = same_account,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        check_authentication(authentication, config)
        ids = ids if ids is not None else Ids()
        stun = attrs.evolve(
            config.stun,
            classic=False,  # RFC 8656 5: there is no RFC 3489 in TURN
            authenticate_binding=config.authenticate_binding,
            max_amplification=MAX_AMPLIFICATION,
            alpn=(ALPN_TURN, ALPN_NAT_DISCOVERY),  # RFC 7443 2
            max_unsent=2 * config.max_unsent,  # more than relayed data may fill: a slow client can still refresh
        )
        self._config = config
        self._stun = StunServer(
            config=stun,
            authentication=authentication,
            methods=_METHODS,
            channel_data=True,
            session_of=self._session_of,
            ids=ids,
            entropy=entropy,
        )
        self.stats: TurnServerStats = TurnServerStats(self._stun.stats)
        self._state = TurnServerState.NEW
        self._quotas = Quotas(limits, account=account)
        self._quotas.set_limits(limits, now=0.0)
        self._own = OwnAddresses(peer_policy, config.sibling_ports)
        self._places = Places(config, entropy=entropy)
        self._data = DataPath(config, self.stats, entropy=entropy, own=self._own, arrive=self._arrive)
        tokens = Tokens(config.worker, entropy=entropy)
        self._tcp = TcpRelay(self._quotas, tokens, self.stats, ids=ids, entropy=entropy)
        self._tcp_requests = TcpRequests(self._stun, self._tcp, self._own, config.max_unsent)
        self._allocations = Allocations(self._data, self._own, self._places, self._quotas, self._tcp, self.stats)
        tickets = Tickets(config.ticket_key, worker=config.worker, entropy=entropy)
        self._elsewhere = Elsewhere(config, self._stun, tickets)
        self._mobility = Mobility(tickets, self._allocations, self._data, enabled=config.mobility)
        self._allocator = Allocator(
            self._stun,
            config,
            self._data,
            self._allocations,
            self._places,
            self._quotas,
            self._mobility,
            ids=ids,
            entropy=entropy,
        )
        self._listeners: dict[Listener, Address] = {}
        self._drain_at = math.inf
        self._closes = True
        for host, told in self._places.hosts():
            self._own.add_host(host, told)

    # ------------------------------------------------------------- commands

    @property
    def state(self) -> TurnServerState:
        """Where the server is in its life."""
        return self._state

    @property
    def addresses(self) -> tuple[tuple[Transport, Address], ...]:
        """Transport and address of the listeners that are open now."""
        return self._stun.addresses

    @property
    def limits(self) -> TurnLimits:
        """The bounds, as `set_limits` left them."""
        return self._quotas.limits

    def allocations(self, *, now: float) -> tuple[AllocationInfo, ...]:
        """What there is, oldest first. Costs time in proportion."""
        return tuple(describe(allocation, now=now) for allocation in self._allocations.all())

    def listening_socket(self, transport: Transport, local: Address) -> SocketId | None:
        """The listener at an address: where what another process says is for this one is to be fed, see `DatagramsElsewhere`."""
        return self._stun.listening_socket(transport, local)

    def start(self, listeners: Iterable[Listener], *, now: float) -> None:
        """Open the listeners. Each answers with ListenerOpened or ListenerFailed, then comes one ServerReady.

        Raises:
            LocalProtocolError: started before, or closed; no listener; the same one twice; one that ``authentication``
                says nothing about.
        """
        state = self._after(TurnServerInput.START)
        self._stun.start(listeners, now=now)
        self._state = state
        self._absorb(now)

    def drain(self, *, grace: float | None = None, close: bool = True, now: float) -> None:
        """Take no new allocations, and serve those there are until the last has ended; `AllocationsDrained` tells when.

        New ones are sent to the alternates (300) where there are any, and refused otherwise (508). A second call takes the
        place of the first.

        Args:
            grace: seconds after which the allocations that are left are ended; by default those of the configuration.
            close: close then, as soon as nothing is owed any more; ServerDrained tells when. Otherwise newcomers are sent
                away until `close` or another `drain`: where processes share their listeners, those of one that has closed
                would get no answer. A server that has begun to close goes on with that.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: not running; a grace below 0, or without end.
        """
        if grace is not None and not 0 <= grace < math.inf:
            raise LocalProtocolError(f"drain(grace={grace!r}): not a number of seconds from 0 on")
        self._state = self._after(TurnServerInput.DRAIN)
        self._drain_at = now + (self._config.drain_grace if grace is None else grace)
        self._closes = close or self._stun.state is ServerState.DRAINING
        self._finish_draining(now)

    def close(self, *, now: float) -> None:
        """Close everything at once. What was sent before still goes out. A second call changes nothing."""
        self._state = self._after(TurnServerInput.CLOSE)
        self._drain_at = math.inf
        self._end_all(CloseReason.SERVER_CLOSED, now)
        self._stun.close(now=now)
        self._absorb(now)

    def set_limits(self, limits: TurnLimits, *, now: float) -> None:
        """Use other bounds from now on. Nobody loses what he has; who has more than he may gets no more."""
        self._quotas.set_limits(limits, now=now)

    def provide_key(self, id: RequestId, keys: Found, *, now: float) -> bool:
        """Answer a CredentialRequested: ``None`` says that there is no such user.

        Returns:
            Whether the request was still waiting.

        Raises:
            LocalProtocolError: no request ever had this id.
        """
        waiting = self._stun.provide_key(id, keys, now=now)
        self._absorb(now)
        return waiting

    def replace_authentication(self, authentication: Authentication | Authentications | None, *, now: float) -> None:
        """Use other credentials from now on. Allocations stay; their next request needs the new ones.

        Raises:
            LocalProtocolError: as the constructor.
        """
        check_authentication(authentication, self._config)
        self._stun.replace_authentication(authentication, now=now)

    def close_allocation(self, id: AllocationId, *, now: float) -> bool:
        """End an allocation; its client learns it from the next request (437).

        Returns:
            Whether it still existed.

        Raises:
            LocalProtocolError: no allocation ever had this id.
        """
        if not 0 < id <= self._allocations.last:
            raise LocalProtocolError(f"close_allocation({id!r}): no allocation has this id")
        allocation = self._allocations.get(id)
        if allocation is None:
            return False
        self._end(allocation, CloseReason.KILLED, now)
        self._absorb(now)
        self._finish_draining(now)
        return True

    # ------------------------------------------------------------- datagrams and streams

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Relay what is data, and answer what is asked."""
        data, outputs = self._data, self._outputs
        relay = data.relays.get(socket)
        if relay is not None:
            data.from_peer(relay, batch, outputs, now=now)
            return
        if self._elsewhere:
            batch = self._elsewhere.forward(socket, batch, outputs, now=now)
        at, end = 0, len(batch)
        while at < end:
            first, at = data.from_client(socket, batch, at, outputs, now=now)
            if first < at:
                self._ask(socket, batch[first:at], now)

    def _ask(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], now: float) -> None:
        """Have requests answered: those of strangers at the expense of their prefix, of others at their own.

        A stranger's come after, which changes nothing: each client's own stay in order.
        """
        strangers: list[tuple[Address, bytes]] = []
        for item in batch:
            allocation = self._data.find(socket, item[0])
            if allocation is None and is_too_short(item[1]):
                self.stats.drop(DropReason.TOO_SHORT)
            elif allocation is None:
                strangers.append(item)
            elif self._allows(allocation, now):
                self._stun.handle_vouched_datagrams(socket, (item,), now=now)
            else:
                allocation.dropped += 1
                self.stats.drop(DropReason.RATE_LIMITED)
        if strangers:
            self._stun.handle_datagrams(socket, strangers, now=now)
        self._absorb(now)

    def _allows(self, allocation: Allocation, now: float) -> bool:
        if allocation.allowance is None:
            allocation.allowance = Allowance()
        return allocation.allowance.take(self._config.stun.vouched_rate, self._config.stun.vouched_burst, now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """A client has opened a stream, or a peer has connected to a relayed address."""
        relay = self._data.relays.get(listener)
        if relay is None:
            self._stun.handle_accepted(listener, socket, remote, now=now)
        else:
            self._tcp_requests.accept(relay, socket, remote, now=now)
        self._absorb(now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Bytes of a client, cut anywhere; ``b""`` when it will send no more, which ends its allocation unless it is mobile."""
        if self._tcp.owns(socket):
            self._tcp.handle_stream_data(socket, data, now=now)
        else:
            self._stun.handle_stream_data(socket, data, now=now)
        self._absorb(now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """What waits for a client that reads too slowly: beyond a bound its relayed data is dropped."""
        if self._tcp.owns(socket):
            self._tcp.handle_stream_sent(socket, unsent, now=now)
        else:
            for allocation in self._allocations.of_socket(socket):
                allocation.unsent = unsent
            self._stun.handle_stream_sent(socket, unsent, now=now)
        self._absorb(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A relayed datagram came back as an error: its client is told (RFC 8656 11.5)."""
        relay = self._data.relays.get(socket)
        if relay is not None:
            self._data.from_icmp(relay, destination, error, self._outputs)

    # ------------------------------------------------------------- sockets and time

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A listener is open, a relayed address, or a connection to a peer."""
        if self._tcp.owns(socket):
            self._tcp.handle_socket_opened(socket, local, now=now)
        elif not self._allocator.opened(socket, local, self._outputs, now=now):
            self._stun.handle_socket_opened(socket, local, now=now)
        self._absorb(now)
        self._finish_draining(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A socket could not be opened, or died: a relayed address, a listener, a client's stream or a peer's."""
        relay = self._data.relays.get(socket)
        if self._tcp.owns(socket):
            self._tcp.handle_socket_failed(socket, error, now=now)
        elif relay is not None:
            self._allocations.close_relay(relay, CloseReason.RELAY_FAILED, self._outputs)
            self._forget_stream_of(relay.allocation, now)
        elif not self._allocator.failed(socket, error, self._outputs, now=now):
            self._stun.handle_socket_failed(socket, error, now=now)
            self._absorb(now)
            self._end_of_listener(socket, now)
        self._absorb(now)
        self._finish_draining(now)

    def _end_of_listener(self, socket: SocketId, now: float) -> None:
        """A listener is gone, and whoever came by it."""
        for allocation in self._allocations.of_socket(socket):
            if not allocation.path.reliable:  # otherwise it was a stream, whose end has been told already
                self._end(allocation, CloseReason.LISTENER_FAILED, now)
        self._mobility.cancel_all(socket)
        self._allocator.abandon_socket(socket, self._outputs)

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        """What credentials that expire are judged by."""
        self._stun.handle_wall_clock(unix, now=now)

    def handle_timer(self, *, now: float) -> None:
        """End what has expired."""
        for allocation in self._allocations.expire(self._outputs, now=now):
            self._forget_stream_of(allocation, now)
        self._tcp.handle_timer(now=now)
        self._allocator.expire(self._outputs, now=now)
        self._stun.handle_timer(now=now)
        self._absorb(now)
        self._finish_draining(now)

    def deadline(self) -> float:
        """When the next thing expires."""
        allocated = min(self._allocations.deadline(), self._allocator.deadline(), self._tcp.deadline())
        return min(allocated, self._stun.deadline(), self._drain_at)

    # ------------------------------------------------------------- what the STUN server says

    def _absorb(self, now: float) -> None:
        # An answer leaves before what may follow it on the same stream (RFC 6062 5.4).
        outputs = self._stun.take_outputs() or self._tcp.take_outputs()
        while outputs:
            for output in outputs:
                kind = type(output)
                handle = _ABSORBED.get(kind)
                if handle is None:
                    self._outputs.append(output)
                else:
                    handle(self, output, now)
            outputs = self._stun.take_outputs() or self._tcp.take_outputs()

    def _handle_frame(self, frame: FrameReceived, now: float) -> None:
        allocation = self._data.find(frame.path.socket, frame.path.remote)
        if allocation is None:
            self.stats.drop(DropReason.NO_ALLOCATION)
        else:
            self._note_data(allocation, frame.path, now)
            self._data.from_stream(allocation, frame.data, self._outputs, now=now)

    def _handle_indication(self, received: IndicationReceived, now: float) -> None:
        """A Send indication that came on a stream (RFC 8656 11.2)."""
        allocation = self._data.find(received.path.socket, received.path.remote)
        if allocation is not None:
            self._note_data(allocation, received.path, now)
        self._data.from_indication(allocation, received.message, self._outputs, now=now)

    def _handle_stream_closed(self, event: StreamClosed, now: float) -> None:
        path = event.path
        allocation = self._data.find(path.socket, path.remote)
        if allocation is not None and self._mobility.leave(allocation, path):
            self._arrive(allocation, now)
        elif allocation is not None:
            self._end(allocation, CloseReason.STREAM_CLOSED, now)
        self._allocator.abandon_socket(path.socket, self._outputs)
        self._finish_draining(now)

    def _handle_listener_opened(self, event: ListenerOpened, now: float) -> None:
        self._listeners[event.listener] = event.address
        self._own.add_listener(event.listener.transport, event.address)
        self._places.listen(event.address.host)
        self._outputs.append(event)

    def _handle_listener_failed(self, event: ListenerFailed, now: float) -> None:
        address = self._listeners.pop(event.listener, None)
        if address is not None:
            self._own.remove_listener(event.listener.transport, address)
        self._outputs.append(event)

    def _handle_drained(self, event: ServerDrained, now: float) -> None:
        self._state = self._after(TurnServerInput.DRAINED)
        self._outputs.append(event)

    # ------------------------------------------------------------- requests

    def _handle_request(self, received: RequestReceived, now: float) -> None:
        if not self._elsewhere.hand_over(received, self._outputs, now=now):
            _HANDLERS[received.message.method](self, received, now)

    def _allocate(self, received: RequestReceived, now: float) -> None:
        self._allocator.allocate(received, self._outputs, is_draining=self._state is not TurnServerState.RUNNING, now=now)

    def _refresh(self, received: RequestReceived, now: float) -> None:
        ticket = self._mobility.read(received.message)
        find = self._allocation_of if ticket is None else partial(self._allocation_of_ticket, ticket)
        allocation = find(received, now)
        if allocation is None:
            return
        wish = judge_refresh(received.message, allocation.relays, self._config)
        if isinstance(wish, Refusal):
            refuse(self._stun, received, wish, now)
            return
        lifetime = within_token(wish.lifetime, received.remaining)
        allocation.session = received.session or allocation.session
        attributes: Attributes = ((LIFETIME, lifetime),)
        if isinstance(ticket, Ticket) and allocation.mobile is not None and wish.lifetime:
            self._move(allocation.mobile, ticket, received.path, now)
            mapped = (XOR_MAPPED_ADDRESS, received.path.remote)  # as for an Allocate: RFC 8016 3.2.2 leaves that open
            attributes = (*attributes, mapped, (MOBILITY_TICKET, allocation.mobile.ticket))
        answer(self._stun, received, attributes, now)
        if wish.lifetime:
            self._allocations.refresh(wish.relays, lifetime, now=now)
            return
        for relay in wish.relays:
            self._allocations.close_relay(relay, CloseReason.DELETED, self._outputs)
        self._forget_stream_of(allocation, now)
        self._finish_draining(now)

    def _create_permission(self, received: RequestReceived, now: float) -> None:
        allocation = self._allocation_of(received, now)
        if allocation is None:
            return
        wanted = judge_permissions(received.message, allocation, self._own.may_permit)
        if isinstance(wanted, Refusal):
            refuse(self._stun, received, wanted, now)
        elif self._allocations.permit(allocation, wanted, now=now):
            answer(self._stun, received, (), now)
        else:
            refuse(self._stun, received, NO_CAPACITY, now)

    def _channel_bind(self, received: RequestReceived, now: float) -> None:
        allocation = self._allocation_of(received, now)
        if allocation is None:
            return
        wish = judge_bind(received.message, allocation, self._own.may_reach, self._config.last_channel)
        if isinstance(wish, Refusal):
            refuse(self._stun, received, wish, now)
        elif self._allocations.bind(wish, now=now):
            answer(self._stun, received, (), now)
        else:
            refuse(self._stun, received, NO_CAPACITY, now)

    def _connect(self, received: RequestReceived, now: float) -> None:
        allocation = self._allocation_of(received, now)
        if allocation is not None:
            self._tcp_requests.connect(received, allocation, now=now)

    def _connection_bind(self, received: RequestReceived, now: float) -> None:
        path = received.path
        connection = read_connection_id(received)
        if isinstance(connection, Refusal) or self._data.find(path.socket, path.remote) is not None:
            refuse(self._stun, received, BAD_REQUEST, now)  # also on a control connection, which is never a data connection
        else:
            self._allocator.abandon_socket(path.socket, self._outputs)
            self._tcp_requests.bind(received, connection, now=now)

    def _handle_connected(self, event: ConnectFinished, now: float) -> None:
        self._tcp_requests.finish(event, now=now)

    def _session_of(self, path: Path) -> Session | None:
        """The access token by which a client has its allocation: its requests there show none (RFC 7635 9)."""
        allocation = self._data.find(path.socket, path.remote)
        return None if allocation is None else allocation.session

    def _allocation_of(self, received: RequestReceived, now: float) -> Allocation | None:
        """The allocation that a request is about; where there is none, or it is another user's, it is refused (RFC 8656 5)."""
        path = received.path
        allocation = self._data.find(path.socket, path.remote)
        if allocation is None:
            refuse(self._stun, received, MISMATCH, now)
        elif allocation.username != (received.username or ""):
            refuse(self._stun, received, WRONG_CREDENTIALS, now)
        else:
            return allocation
        return None

    # ------------------------------------------------------------- clients that move

    def _allocation_of_ticket(self, ticket: Ticket | Refusal, received: RequestReceived, now: float) -> Allocation | None:
        """The allocation of a client that has moved; where it may not have it, it is refused (RFC 8016 3.2.2)."""
        found = (
            ticket
            if isinstance(ticket, Refusal)
            else self._mobility.judge_refresh(ticket, received.path, received.username or "", now=now)
        )
        if not isinstance(found, Refusal) and self._allocator.awaits(received.path):
            found = MISMATCH  # somebody is about to have an allocation of his own there
        if isinstance(found, Refusal):
            refuse(self._stun, received, found, now)
            return None
        return found.allocation

    def _move(self, mobile: Mobile, ticket: Ticket, path: Path, now: float) -> None:
        before = mobile.arriving
        self._mobility.move(mobile, ticket, path, now=now)
        if before is not None and before != mobile.arriving:
            self._stun.vouch_for_stream(before.socket, False, now=now)
        self._stun.vouch_for_stream(path.socket, True, now=now)
        if mobile.has_left:
            self._arrive(mobile.allocation, now)

    def _note_data(self, allocation: Allocation, path: Path, now: float) -> None:
        """Data has come on a stream: on the new one of a client on the move it is what that waited for."""
        if path != allocation.path:
            self._arrive(allocation, now)

    def _arrive(self, allocation: Allocation, now: float) -> None:
        left = None if allocation.mobile is None else self._mobility.arrive(allocation.mobile)
        if left is not None:
            self._stun.vouch_for_stream(left.socket, False, now=now)
            self._outputs.append(AllocationMoved(allocation.id, allocation.username, left, allocation.path))

    # ------------------------------------------------------------- the server's own life

    def _after(self, step: TurnServerInput) -> TurnServerState:
        """The state after a step, if it is allowed now."""
        state = TURN_SERVER_TRANSITIONS[self._state].get(step)
        if state is None:
            raise LocalProtocolError(f"{step.value}: the server is {self._state.value!r}")
        return state

    def _end(self, allocation: Allocation, reason: CloseReason, now: float) -> None:
        self._allocations.close(allocation, reason, self._outputs)
        self._forget_stream_of(allocation, now)

    def _end_all(self, reason: CloseReason, now: float) -> None:
        for allocation in self._allocations.all():
            self._end(allocation, reason, now)
        self._allocator.clear(self._outputs)

    def _forget_stream_of(self, allocation: Allocation, now: float) -> None:
        """The stream of a client that has no allocation any more is like any other: it may not be idle for ever."""
        if not allocation.relays:
            for path in paths_of(allocation):
                self._stun.vouch_for_stream(path.socket, False, now=now)

    def _finish_draining(self, now: float) -> None:
        """Go on to the end of a drain, where nobody is left or the time is over."""
        if self._state is not TurnServerState.DRAINING or self._drain_at == math.inf:
            return
        if self._drain_at <= now or not (self._allocations or self._allocator.is_busy):
            self._drain_at = math.inf
            self._end_all(CloseReason.DRAINED, now)
            self._outputs.append(AllocationsDrained())
            if self._closes:
                self._stun.drain(now=now)
                self._absorb(now)
            else:
                self._state = self._after(TurnServerInput.EMPTIED)


_HANDLERS: Mapping[Method, _Handler] = MappingProxyType(
    {
        Method.ALLOCATE: TurnServer._allocate,
        Method.REFRESH: TurnServer._refresh,
        Method.CREATE_PERMISSION: TurnServer._create_permission,
        Method.CHANNEL_BIND: TurnServer._channel_bind,
        Method.CONNECT: TurnServer._connect,
        Method.CONNECTION_BIND: TurnServer._connection_bind,
    }
)
"""What serves the requests of each method."""

_ABSORBED: Mapping[type, Callable[[TurnServer, Any, float], None]] = MappingProxyType(
    {
        RequestReceived: TurnServer._handle_request,
        FrameReceived: TurnServer._handle_frame,
        IndicationReceived: TurnServer._handle_indication,
        StreamClosed: TurnServer._handle_stream_closed,
        ListenerOpened: TurnServer._handle_listener_opened,
        ListenerFailed: TurnServer._handle_listener_failed,
        ServerDrained: TurnServer._handle_drained,
        ConnectFinished: TurnServer._handle_connected,
    }
)
"""What the STUN server says to its parent; everything else is for the driver, or for the application."""
