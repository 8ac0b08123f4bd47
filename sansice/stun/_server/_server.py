"""A STUN server: Binding requests answered over UDP, TCP, TLS and DTLS (RFC 8489, 5389 12, 5780 6)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DecodeError,
    DropReason,
    Entropy,
    Ids,
    LocalProtocolError,
    Machine,
    SendDatagram,
    SetReading,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun._attributes import ERROR_CODE, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS
from sansice.stun._authentication._user_keys import PENDING, Found, Pending
from sansice.stun._header import MessageClass, Method
from sansice.stun._message import Message, decode_untrusted
from sansice.stun._paths import IndicationReceived, Path, RequestReceived
from sansice.stun._values import ErrorCode

from ._answerer import Answerer
from ._answers import Attributes, behavior_answer_untrusted, encode_answer, redirection, understood
from ._behavior import corners
from ._binding_answer import PLAIN_REQUEST, PLAIN_REQUEST_LENGTH, PlainAnswers
from ._classic import answer_classic_untrusted, refuse_classic_untrusted
from ._config import DEFAULT_SERVER_CONFIG, Listener, StunServerConfig
from ._connections import Connection, Connections
from ._events import (
    SERVER_TRANSITIONS,
    CredentialRequested,
    FrameReceived,
    ListenerFailed,
    ListenerOpened,
    RequestId,
    ServerDrained,
    ServerInput,
    ServerReady,
    ServerState,
    StreamClosed,
)
from ._gate import Gate, SessionOf, no_session
from ._listening import (
    Authentication,
    Authentications,
    Listening,
    authentication_at,
    check_authentication,
    check_listeners,
    opening,
)
from ._rate_limit import PrefixLimiter
from ._requests import AnswerMemory, Exchange, PendingRequests
from ._stats import StunServerStats

# Looked up once: on Python 3.11 each look-up in an Enum runs through its metaclass, as slow as a call.
_RUNNING = ServerState.RUNNING
_DTLS = Transport.DTLS
_BINDING = Method.BINDING
_CHANNEL_DATA = 0x40  # RFC 8656 12: what a framer lets through begins with 00 for STUN, with 01 for ChannelData
_REQUEST, _INDICATION, _SUCCESS, _ERROR = MessageClass
_RATE_LIMITED = DropReason.RATE_LIMITED
_make = tuple.__new__


class StunServer(Machine):
    """Answers Binding requests, and hands requests of other methods to the application.

    `start` names where to listen; `ServerReady` tells when that is decided. Everything else happens by itself: requests
    are answered to where they came from, streams that say nothing are closed, prefixes that ask too often are not
    answered. What is dropped is counted in `stats`.

    A plain answer has XOR-MAPPED-ADDRESS and nothing else: 32 bytes over IPv4, 44 over IPv6, for a request of at least 20.
    No answer to an unauthenticated request is larger than 1.6 times the request (over IPv6: or than 44 bytes), with three
    exceptions that the RFCs leave no choice about: 401 and 438, which carry realm and nonce; the addresses that
    ``behavior`` adds; SOFTWARE where it is switched on. They use the sender's share of ``rate`` up in proportion to
    their size, so that a prefix is never sent more bytes in error than it would be in plain answers.

    Args:
        config: policy and bounds.
        authentication: the long-term or short-term mechanism; ``None`` asks nobody for credentials, as RFC 8489 12 wants
            it of a public server. A mapping has one for each listener, so that realms may differ.
        methods: methods beside Binding that the application answers: their requests become `RequestReceived`, their
            indications `IndicationReceived`.
        channel_data: streams carry ChannelData between messages (RFC 8656 12.5): for a parent machine that is a TURN server.
            It is told `FrameReceived`, and `StreamClosed`.
        session_of: what a parent machine knows of who asks on a path: the access token of its allocation (RFC 7635 9).
        ids: the counter of a parent machine.
        entropy: gives the key that spreads prefixes over the rate limiter's table.

    Attributes:
        stats: counters.

    Raises:
        LocalProtocolError: ``methods`` has Binding; ``config.alternates`` without ``authentication``, which would not
            redirect anybody (RFC 8489 14.8).
    """

    __slots__ = (
        "_answers",
        "_authentication",
        "_channel_data",
        "_config",
        "_connections",
        "_drain_at",
        "_gate",
        "_ids",
        "_limiter",
        "_listening",
        "_memory",
        "_methods",
        "_pending",
        "_plain",
        "_ready",
        "_state",
        "_unix_offset",
        "stats",
    )

    def __init__(
        self,
        *,
        config: StunServerConfig = DEFAULT_SERVER_CONFIG,
        authentication: Authentication | Authentications | None = None,
        methods: Iterable[Method] = (),
        channel_data: bool = False,
        session_of: SessionOf = no_session,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        self._methods = tuple(methods)
        if _BINDING in self._methods:
            raise LocalProtocolError("methods: the server answers Binding itself")
        check_authentication(config, authentication)
        self._config = config
        self._authentication = authentication
        self._channel_data = channel_data
        self.stats: StunServerStats = StunServerStats()
        self._state = ServerState.NEW
        self._ids = ids if ids is not None else Ids()
        self._listening: dict[SocketId, Listening] = {}
        self._ready = False
        self._connections = Connections(
            config.max_connections,
            config.max_connections_per_prefix,
            config.message_timeout,
            config.idle_timeout,
            channel_data=channel_data,
        )
        self._pending = PendingRequests(config.max_pending, config.pending_timeout)
        self._memory = AnswerMemory(config.max_remembered, config.remember)
        self._limiter = PrefixLimiter(config.rate, config.burst, entropy=entropy) if config.rate is not None else None
        self._answers = Answerer(config, self.stats, self._limiter)
        self._gate = Gate(config, self.stats, self._answers, session_of)
        self._plain = PlainAnswers()
        self._drain_at = math.inf
        self._unix_offset = math.inf  # a clock that was never told lets nobody in whose credentials expire

    # ------------------------------------------------------------- commands

    @property
    def state(self) -> ServerState:
        """Where the server is in its life."""
        return self._state

    @property
    def addresses(self) -> tuple[tuple[Transport, Address], ...]:
        """Transport and address of the listeners that are open now."""
        return tuple((one.listener.transport, one.local) for one in self._listening.values() if one.local is not None)

    def start(self, listeners: Iterable[Listener], *, now: float) -> None:
        """Open the listeners. Each answers with `ListenerOpened` or `ListenerFailed`, then comes one `ServerReady`.

        Raises:
            LocalProtocolError: started before, or closed; no listener; the same one twice; one that ``authentication``
                says nothing about; with ``behavior``, UDP listeners that are not two addresses with the same two ports
                (RFC 5780 6).
        """
        state = self._after(ServerInput.START)
        listed = tuple(listeners)
        check_listeners(listed, self._config)
        listening = [Listening(one, authentication_at(one, self._authentication)) for one in listed]
        self._state = state
        for one in listening:
            socket = self._ids.socket()
            self._listening[socket] = one
            self._outputs.append(opening(socket, one.listener, self._config))

    def drain(self, *, now: float) -> None:
        """Take nothing new, answer what is owed, then close; `ServerDrained` tells when.

        Streams on which nothing is owed close at once, the others after their answers, and all of them after
        ``drain_grace`` seconds. A second call changes nothing.

        Raises:
            LocalProtocolError: not running.
        """
        state = self._after(ServerInput.DRAIN)
        if state is self._state:
            return
        self._state = state
        self._drain_at = now + self._config.drain_grace
        for socket, one in list(self._listening.items()):
            if one.listener.transport.is_stream:
                self._close_listener(socket)
        for connection in self._connections.all():
            self._end(connection)
        self._finish_draining(now)

    def close(self, *, now: float) -> None:
        """Close everything at once. What was sent before still goes out. A second call changes nothing."""
        self._state = self._after(ServerInput.CLOSE)
        self._shut()

    def provide_key(self, id: RequestId, keys: Found, *, now: float) -> bool:
        """Answer a `CredentialRequested`: ``None`` says that there is no such user.

        Returns:
            Whether the request was still waiting.

        Raises:
            LocalProtocolError: no request ever had this id.
        """
        if not 0 < id <= self._pending.last:
            raise LocalProtocolError(f"provide_key({id!r}): no CredentialRequested has this id")
        exchange = self._pending.get(id, authenticated=False)
        if exchange is None:
            return False
        self._pending.remove(id)
        self._authenticate(exchange, now, found=keys)
        self._settle(exchange, now)
        return True

    def respond(
        self,
        received: RequestReceived,
        attributes: Attributes = (),
        *,
        error: ErrorCode | None = None,
        remember: bool = True,
        now: float,
    ) -> bool:
        """Answer a `RequestReceived`, with ``error`` or else with success, protected as the request was.

        ERROR-CODE and SOFTWARE are added. The answer is dropped where the client's stream is gone: a server never opens one
        (RFC 8489 6.2.2).

        Args:
            received: as told.
            attributes: of the answer.
            error: the value of ERROR-CODE.
            remember: repeat this answer when the request comes again. Not needed where serving it twice comes to the same.
            now: seconds.

        Returns:
            Whether the request was still waiting.

        Raises:
            LocalProtocolError: a value that its attribute cannot hold.
        """
        found = self._find_pending(received)
        if found is None:
            return False
        id, exchange = found
        listed = tuple(attributes) if error is None else ((ERROR_CODE, error), *attributes)
        answer = encode_answer(self._config, exchange, _SUCCESS if error is None else _ERROR, listed)
        self._pending.remove(id)
        self._answers.send(exchange, answer, self._outputs, code=0 if error is None else error.code, now=now)
        connection = self._connections.get(exchange.path.socket)
        if connection is not None and error is None and exchange.request.method is Method.CONNECTION_BIND:
            connection.bound = True
        if remember and not exchange.path.reliable:
            self._memory.put(exchange.transaction, answer, now)
        self._settle(exchange, now)
        return True

    def awaits(self, received: RequestReceived) -> bool:
        """Whether a `RequestReceived` still waits for `respond`: it does not for ever, and its stream may be gone."""
        return self._find_pending(received) is not None

    def withdraw(self, received: RequestReceived, *, now: float) -> None:
        """Forget a `RequestReceived`: somebody else answers it."""
        found = self._find_pending(received)
        if found is not None:
            self._pending.remove(found[0])
            self._settle(found[1], now)

    def listening_socket(self, transport: Transport, local: Address) -> SocketId | None:
        """The listener that is open at an address."""
        wanted = transport, local
        return next((id for id, one in self._listening.items() if (one.listener.transport, one.local) == wanted), None)

    def postpone(self, received: RequestReceived, seconds: float, *, now: float) -> None:
        """Give the parent more time for an answer than ``pending_timeout``, the same each time. It bounds how many there are.

        A stream whose client has said all it had to is not kept open for it.
        """
        found = self._find_pending(received)
        if found is not None and not found[1].postponed:
            self._pending.postpone(found[0], now + seconds)
            self._settle(found[1], now)

    def _find_pending(self, received: RequestReceived) -> tuple[RequestId, Exchange] | None:
        id = self._pending.find((received.path.socket, received.path.remote, received.message.transaction_id))
        exchange = None if id is None else self._pending.get(id, authenticated=True)
        return None if id is None or exchange is None else (id, exchange)

    def replace_authentication(self, authentication: Authentication | Authentications | None, *, now: float) -> None:
        """Use other credentials from now on, for requests that wait for their keys as well.

        Raises:
            LocalProtocolError: none, though the server redirects; or a mapping that says nothing about a listener.
        """
        check_authentication(self._config, authentication)
        every = [authentication_at(one.listener, authentication) for one in self._listening.values()]
        self._authentication = authentication
        for one, own in zip(self._listening.values(), every, strict=True):
            one.authentication = own

    # ------------------------------------------------------------- what a parent machine knows better

    def handle_vouched_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """`handle_datagrams` for clients that the parent knows, and bounds itself: their prefix's share is not touched."""
        one = self._listening.get(socket)
        if one is None or one.local is None or self._state is not _RUNNING:
            self.stats.drop(DropReason.UNKNOWN_SOCKET if one is None else DropReason.CLOSED, len(batch))
            return
        for source, data in batch:
            self._handle_datagram(one, socket, source, data, now)

    def vouch_for_stream(self, socket: SocketId, vouched: bool, *, now: float) -> None:
        """Exempt a stream from the idle timeout and from its prefix's share of ``rate``, or not any more.

        Its requests have ``vouched_rate`` then. A stream that is gone is a no-op.
        """
        connection = self._connections.get(socket)
        if connection is not None:
            self._connections.vouch(connection, vouched, now)

    def release_stream(self, socket: SocketId, *, now: float) -> bytes | None:
        """Give a stream up without closing it: from now on it is the parent's (RFC 6062 5.4).

        Returns:
            What has been read of it and was no whole message yet, or came behind a ConnectionBind; ``None`` where it is gone,
            or ends.
        """
        connection = self._connections.get(socket)
        if connection is None or connection.ended:
            return None
        self._remove_stream(socket)
        return connection.framer.unread

    # ------------------------------------------------------------- sockets

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A listener is open."""
        one = self._listening.get(socket)
        if one is None or one.local is not None:
            return
        one.open(local)
        self._outputs.append(ListenerOpened(one.listener, local))
        self._listeners_changed()

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A listener could not be opened or died, or a stream is gone."""
        one = self._listening.pop(socket, None)
        if one is not None:
            self._outputs.append(ListenerFailed(one.listener, error))
            self._listeners_changed()
        elif self._connections.get(socket) is not None:
            self._forget_stream(socket)
            self._finish_draining(now)

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        """What credentials that expire are judged by."""
        self._unix_offset = unix - now

    def handle_timer(self, *, now: float) -> None:
        """Close streams that took too long, answer what the application did not, and end a drain."""
        while (connection := self._connections.pop_due(now)) is not None:
            self.stats.timed_out += 1
            self._end(connection)
        while (exchange := self._pending.pop_due(now)) is not None:
            self._refuse(exchange, 500, "Server Error", now)
            self._settle(exchange, now)
        if self._drain_at <= now:
            self._end_draining()

    def deadline(self) -> float:
        """When a stream, a waiting request or a drain must be ended."""
        return min(self._connections.deadline(), self._pending.deadline(), self._drain_at)

    # ------------------------------------------------------------- datagrams

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Answer what arrived on a UDP or DTLS listener."""
        one = self._listening.get(socket)
        stats = self.stats
        if one is None or one.local is None or self._state is not _RUNNING:
            stats.drop(DropReason.UNKNOWN_SOCKET if one is None else DropReason.CLOSED, len(batch))
            return
        config = self._config
        limiter = self._limiter
        is_special = config.behavior or config.require_fingerprint or config.software
        is_plain = not is_special and self._gate.is_open(one, _BINDING)
        append, answer = self._outputs.append, self._plain.answer
        answered = 0
        for source, data in batch:
            if limiter is not None and not limiter.take(source[0], now):
                stats.dropped[_RATE_LIMITED] += 1
            elif is_plain and len(data) == PLAIN_REQUEST_LENGTH and data.startswith(PLAIN_REQUEST):
                append(_make(SendDatagram, (socket, source, answer(source, data))))
                answered += 1
            else:
                self._handle_datagram(one, socket, source, data, now)
        stats.requests += answered
        stats.responses += answered

    def _handle_datagram(self, one: Listening, socket: SocketId, source: Address, data: bytes, now: float) -> None:
        path = Path(socket, source, one.listener.transport)
        try:
            message = decode_untrusted(data, require_fingerprint=self._config.require_fingerprint)
        except DecodeError as error:
            if error.reason is DropReason.BAD_COOKIE:
                self._handle_classic(path, one, data, now)
            else:
                self.stats.drop(error.reason)
        else:
            self._handle_message(path, one, message, now)

    def _handle_classic(self, path: Path, one: Listening, data: bytes, now: float) -> None:
        """What has no cookie may be of RFC 3489 (RFC 5389 12.2)."""
        try:
            if path.transport is _DTLS:
                answer = refuse_classic_untrusted(data)
            elif not self._config.classic or not self._gate.is_open(one, _BINDING):
                raise DecodeError(DropReason.BAD_COOKIE)
            else:
                answer = answer_classic_untrusted(path.remote, data, one.corner)
        except DecodeError as error:
            self.stats.drop(error.reason)
            return
        self.stats.requests += 1
        self.stats.classic += 1
        self._answers.count(answer.code)
        self._answers.charge(path, len(data), len(answer.data), now)
        socket = path.socket if answer.socket is None else answer.socket
        self._outputs.append(SendDatagram(socket, path.remote, answer.data))

    # ------------------------------------------------------------- streams

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """A client has opened a stream: keep it, or close it where a bound is reached."""
        one = self._listening.get(listener)
        added = None
        if one is not None and self._state is _RUNNING and self._connections.get(socket) is None:
            added = self._connections.add(Path(socket, remote, one.listener.transport), listener, now)
        if added is None:
            self.stats.drop(DropReason.LIMIT if self._state is _RUNNING else DropReason.CLOSED)
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
            return
        self.stats.accepted += 1
        self.stats.connections = len(self._connections)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Bytes of a client, cut anywhere; ``b""`` when it will send no more."""
        connection = self._connections.get(socket)
        if connection is None or connection.ended:
            return
        if not data:
            self._end(connection)
            return
        self._handle_frames(connection, self._connections.read(connection, data, now), now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """A client that does not read its answers is not read either, until it has read most of them."""
        connection = self._connections.get(socket)
        if connection is None or connection.ended:
            return
        limit = self._config.max_unsent
        if (unsent > limit and not connection.paused) or (unsent <= limit // 2 and connection.paused):
            connection.paused = not connection.paused
            self._outputs.append(SetReading(socket, not connection.paused))

    def _handle_frames(self, connection: Connection, frames: list[bytes], now: float) -> None:
        while frames:
            for frame in frames:
                if frame[0] >= _CHANNEL_DATA:
                    self._outputs.append(FrameReceived(connection.path, frame))
                else:
                    self._handle_frame(connection, frame, now)
            frames = self._connections.resume(connection, now)
        error = connection.framer.error
        if error is not None and not connection.ended:
            self.stats.drop(error)
            self._end(connection)

    def _handle_frame(self, connection: Connection, frame: bytes, now: float) -> None:
        path = connection.path
        one = self._listening.get(connection.listener)
        if one is None:
            self.stats.drop(DropReason.CLOSED)  # the listener has died, and with it its address
            return
        if not self._admits(connection, now):
            self.stats.drop(_RATE_LIMITED)
            return
        try:
            message = decode_untrusted(frame, require_fingerprint=self._config.require_fingerprint)
        except DecodeError as error:
            self.stats.drop(error.reason)
        else:
            self._handle_message(path, one, message, now)

    def _admits(self, connection: Connection, now: float) -> bool:
        if connection.vouched:
            return connection.allowance.take(self._config.vouched_rate, self._config.vouched_burst, now)
        return self._limiter is None or self._limiter.take(connection.path.remote.host, now)

    def _end(self, connection: Connection) -> None:
        """Close a stream, after the answers that are owed on it (RFC 8489 6.2.2)."""
        socket = connection.path.socket
        if connection.owed:
            self._connections.end(connection)
            self._outputs.append(SetReading(socket, False))
        else:
            self._forget_stream(socket)
            self._outputs.append(CloseSocket(socket, CloseMode.FLUSH))

    def _forget_stream(self, socket: SocketId) -> None:
        path = self._remove_stream(socket).path
        if self._channel_data:
            self._outputs.append(StreamClosed(path))

    def _remove_stream(self, socket: SocketId) -> Connection:
        self._pending.discard_stream(socket)
        connection = self._connections.remove(socket)
        self.stats.connections = len(self._connections)
        return connection

    # ------------------------------------------------------------- messages

    def _handle_message(self, path: Path, one: Listening, message: Message, now: float) -> None:
        if message.message_class is _REQUEST:
            if message.method is not _BINDING and message.method not in self._methods:
                self.stats.drop(DropReason.UNKNOWN_METHOD)
                return
            exchange = Exchange(path, one, one.local or one.listener.address, one.corner, message)
            if self._pending.find(exchange.transaction) is not None:
                self.stats.retransmissions += 1
                return
            self.stats.requests += 1
            self._authenticate(exchange, now)
        elif message.message_class is _INDICATION:
            self._handle_indication(path, one, message, now)
        else:
            self.stats.drop(DropReason.UNKNOWN_TRANSACTION)  # this end asks nothing

    def _handle_indication(self, path: Path, one: Listening, message: Message, now: float) -> None:
        """An indication is never answered (RFC 8489 6.3.2)."""
        if message.method is not _BINDING and message.method not in self._methods:
            self.stats.drop(DropReason.UNKNOWN_METHOD)
            return
        if not self._gate.admits_indication(path, one, message, now=now, unix=now + self._unix_offset):
            return
        if message.unknown_required(understood(self._config, path.transport, one.corner)):
            self.stats.drop(DropReason.UNKNOWN_ATTRIBUTE)
            return
        self.stats.indications += 1
        if message.method is not _BINDING:
            self._outputs.append(IndicationReceived(path, message))

    def _authenticate(self, exchange: Exchange, now: float, found: Found | Pending = PENDING) -> None:
        admitted = self._gate.admit(exchange, self._outputs, found=found, now=now, unix=now + self._unix_offset)
        if isinstance(admitted, Exchange):
            self._serve(admitted, now)
        elif admitted is not None:
            id = self._wait(exchange, now, authenticated=False)
            if id is not None:
                self._outputs.append(CredentialRequested(id, admitted.username, admitted.realm))

    def _serve(self, exchange: Exchange, now: float) -> None:
        """Answer a request that is authenticated, where that is asked for."""
        request = exchange.request
        known = understood(self._config, exchange.path.transport, exchange.corner, exchange.session)
        unknown = request.unknown_required(known)
        if unknown:  # RFC 8489 6.3.1; the list names all of them and still is shorter than they were
            self.stats.drop(DropReason.UNKNOWN_ATTRIBUTE)
            self._refuse(exchange, 420, "Unknown Attribute", now, [(UNKNOWN_ATTRIBUTES, unknown)])
            return
        redirect = redirection(self._config, exchange)
        if redirect:
            self._refuse(exchange, 300, "Try Alternate", now, redirect)
        elif request.method is not _BINDING:
            self._hand_up(exchange, now)
        else:
            self._answer_binding(exchange, now)

    def _hand_up(self, exchange: Exchange, now: float) -> None:
        """Have the application answer, but only once (RFC 8489 6.3.1)."""
        answer = self._memory.get(exchange.transaction, now)
        if answer is not None:
            self.stats.retransmissions += 1
            self._answers.send(exchange, answer, self._outputs, now=now)
        elif self._wait(exchange, now, authenticated=True) is not None:
            path, request, session = exchange.path, exchange.request, exchange.session
            remaining = None if session is None else session.remaining(now + self._unix_offset)
            received = RequestReceived(path, request, exchange.username, exchange.local, session, remaining)
            self._outputs.append(received)

    def _wait(self, exchange: Exchange, now: float, *, authenticated: bool) -> RequestId | None:
        id = self._pending.add(exchange, now, authenticated=authenticated)
        if id is None:
            self.stats.drop(DropReason.LIMIT)
            self._refuse(exchange, 500, "Server Error", now)
            return None
        connection = self._connections.get(exchange.path.socket)
        if connection is not None:
            connection.owed += 1
        return id

    def _settle(self, exchange: Exchange, now: float) -> None:
        """A request waits no more: close what was only waiting for that."""
        connection = self._connections.get(exchange.path.socket)
        if connection is not None and not exchange.postponed:
            connection.owed -= 1
            if connection.ended and not connection.owed:
                self._end(connection)
            else:
                self._handle_frames(connection, self._connections.resume(connection, now), now)
        self._finish_draining(now)

    # ------------------------------------------------------------- answers

    def _answer_binding(self, exchange: Exchange, now: float) -> None:
        attributes: Attributes = [(XOR_MAPPED_ADDRESS, exchange.path.remote)]
        path = exchange.path
        if self._config.behavior:
            try:
                attributes, path = behavior_answer_untrusted(exchange)
            except DecodeError:
                self._refuse(exchange, 400, "Bad Request", now)
                return
        answer = encode_answer(self._config, exchange, _SUCCESS, attributes)
        self._answers.send(exchange, answer, self._outputs, path=path, code=0, now=now)

    def _refuse(self, exchange: Exchange, code: int, reason: str, now: float, attributes: Attributes = ()) -> None:
        answer = self._answers.refusal(exchange, code, reason, attributes)
        self._answers.send(exchange, answer, self._outputs, code=code, now=now)

    # ------------------------------------------------------------- the server's own life

    def _after(self, step: ServerInput) -> ServerState:
        """The state after a step, if it is allowed now."""
        state = SERVER_TRANSITIONS[self._state].get(step)
        if state is None:
            raise LocalProtocolError(f"{step.value}: the server is {self._state.value!r}")
        return state

    def _listeners_changed(self) -> None:
        opened = {socket: (one.listener.transport, one.local) for socket, one in self._listening.items() if one.local is not None}
        if self._config.behavior:
            squares = corners(opened)
            for socket, one in self._listening.items():
                one.corner = squares.get(socket)
        if not self._ready and len(opened) == len(self._listening):
            self._ready = True
            self._outputs.append(ServerReady(self.addresses))

    def _close_listener(self, socket: SocketId) -> None:
        del self._listening[socket]
        self._outputs.append(CloseSocket(socket, CloseMode.FLUSH))

    def _finish_draining(self, now: float) -> None:
        if self._state is ServerState.DRAINING and not self._connections and not len(self._pending):
            self._end_draining()

    def _end_draining(self) -> None:
        self._state = self._after(ServerInput.DRAINED)
        self._shut()
        self._outputs.append(ServerDrained())

    def _shut(self) -> None:
        self._drain_at = math.inf
        self._pending.clear()
        for connection in self._connections.all():
            self._forget_stream(connection.path.socket)
            self._outputs.append(CloseSocket(connection.path.socket, CloseMode.FLUSH))
        for socket in list(self._listening):
            self._close_listener(socket)
