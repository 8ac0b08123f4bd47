"""A client for any number of servers and sockets: requests, indications, retries, redirections (RFC 8489 6, 9, 10).

`StunClient` sends each request through a `StunTransaction` and adds what outlasts one: how many may be under way with a
server, what is known of its round-trip time and of its realm and nonce, and which answers mean "ask again".
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import attrs

from sansice._timers import Timers
from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    DEFAULT_OPTIONS,
    Action,
    Address,
    CloseMode,
    CloseSocket,
    DecodeError,
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
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.stun._attributes import Attribute
from sansice.stun._authentication._client import ClientAuthentication, Protection, Verdict
from sansice.stun._authentication._credentials import AccessToken, Credentials
from sansice.stun._framing import StreamFramer
from sansice.stun._header import MessageClass, Method, TransactionId, new_transaction_id
from sansice.stun._message import Message, decode_untrusted
from sansice.stun._paths import IndicationReceived, Path, PathClosed, PathOpened, RequestReceived
from sansice.stun._resolution._rules import ServerTarget
from sansice.stun._security import AlgorithmChoice, first_supported
from sansice.stun._transaction import FailureCause, StunTransaction, TransactionFailed, TransactionSucceeded, TransactionTimedOut

from ._config import StunClientConfig
from ._exchange import Exchange, ExchangeInput, ExchangeState, Server, Socket
from ._memory import ServerMemory
from ._messages import MessageWriter
from ._redirects import MAX_REDIRECTED_SOCKETS, MAX_REDIRECTIONS, MEMORY, TRY_ALTERNATE, Redirected, read_alternate

_DEFAULT_CONFIG = StunClientConfig()
_NOT_TRANSIENT = (508,)  # RFC 8656 7.4: no port is free; TURN has a rule of its own for when to ask again
_MAX_CHALLENGES = 4  # ours: of one request; a first 401, a stale nonce, a new realm, and one more

_Outcome: TypeAlias = TransactionSucceeded | TransactionFailed | TransactionTimedOut


@attrs.define(eq=False)
class StunClientStats:
    """Counters.

    Attributes:
        dropped: what arrived and came to nothing, by reason.
        requests: transactions that were started, repeated ones (401, 438, 5xx, 300) included.
    """

    dropped: Counter[DropReason] = attrs.Factory(Counter)
    requests: int = 0


class StunClient(Machine):
    """Requests and indications to any number of servers, over UDP, TCP, TLS and DTLS.

    It opens sockets of its own (`open`) and works on those of others (`adopt`); the TLS and DTLS sessions are the driver's.
    Every request ends in exactly one `TransactionSucceeded`, `TransactionFailed` or `TransactionTimedOut` with the id
    that `request` returned, unless it is cancelled. Until then it may take several transactions: after a 401 or a 438,
    after a 5xx, and after a 300. A stream stays open until it is released: while the application uses an address
    that was learned on it, its NAT binding must live (RFC 8489 6.2.2).

    Other events: `PathOpened`, `PathClosed`, `Redirected`, `RequestReceived`, `IndicationReceived`.

    Args:
        credentials: for every server that is asked.
        choose: picks the password algorithm from a server's list; TURN has a rule of its own, `strongest_supported`.
        config: what may be tuned.
        ids: the counter of the machine that this one is part of.
        entropy: makes transaction ids.

    Attributes:
        stats: counters.

    Raises:
        LocalProtocolError: credentials with a ``config`` that rules authentication out.
    """

    __slots__ = (
        "_closed",
        "_config",
        "_credentials",
        "_entropy",
        "_exchanges",
        "_ids",
        "_memory",
        "_running",
        "_servers",
        "_sockets",
        "_timers",
        "_writer",
        "stats",
    )

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        choose: AlgorithmChoice = first_supported,
        config: StunClientConfig = _DEFAULT_CONFIG,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        if credentials is not None and (config.classic or config.anycast):
            kind = "an RFC 3489 server has no" if config.classic else "with an anycast address there is no"
            raise LocalProtocolError(f"{kind} authentication (RFC 5389 12.1, RFC 8489 15): leave credentials out")
        self.stats: StunClientStats = StunClientStats()
        self._credentials = credentials
        self._config = config
        self._ids = ids if ids is not None else Ids()
        self._entropy = entropy
        self._closed = False
        self._sockets: dict[SocketId, Socket] = {}
        self._servers: dict[Address, Server] = {}  # those that something is to be asked, and no other
        self._exchanges: dict[TransactionId, Exchange] = {}
        self._running: dict[TransactionId, Exchange] = {}  # by the id on the wire
        self._memory = ServerMemory(config, credentials, choose)
        self._writer = MessageWriter(config)
        self._timers: Timers[TransactionId | SocketId] = Timers()

    # ------------------------------------------------------------- sockets

    def open(self, target: ServerTarget, *, local: Address | None = None, alpn: Sequence[str] = (), now: float) -> Path:
        """Open a socket for ``target``; `PathOpened` or `PathClosed` tells what became of it.

        Requests may be made at once: they leave when it is open.

        Args:
            target: from `ServerResolution`, or made by hand.
            local: what to bind to; left out, the address by which the system routes to the server, and any port.
            alpn: protocols to offer over TLS and DTLS (RFC 7443).

        Raises:
            LocalProtocolError: the client is closed, the families differ, or ``config`` rules the transport out.
        """
        self._check_open()
        self._check_transport(target.transport)
        towards = target.towards
        if local is not None and local.is_ipv6 != towards.is_ipv6:
            raise LocalProtocolError(f"{local} cannot reach {towards}: they are of different families")
        if local is None:
            local = Address(ANY_IPV6 if towards.is_ipv6 else ANY_IPV4, 0)
        path, opens = self._make_socket(target, local, tuple(alpn), now)
        self._outputs.extend(opens)
        return path

    def adopt(self, path: Path, *, hostname: str | None = None) -> None:
        """Use a socket that is open and that somebody else owns: the owner feeds this machine too, and closes the socket.

        Args:
            path: the socket and a server; through a UDP socket, other servers may be asked as well.
            hostname: over TLS and DTLS, what the server's certificate says: where a redirection names no other, the
                next server's must say it, too (RFC 8489 10).

        Raises:
            LocalProtocolError: the client is closed, knows the socket already, or is for RFC 3489 servers: then messages
                cannot be told from what else the socket carries (RFC 5389 12.2).
        """
        self._check_open()
        self._check_transport(path.transport)
        if path.socket in self._sockets:
            raise LocalProtocolError(f"socket {path.socket} is in use already")
        if self._config.classic:
            raise LocalProtocolError(
                "an RFC 3489 server is asked on a socket that carries nothing else (RFC 5389 12.2): open() one"
            )
        local = Address(ANY_IPV6 if path.remote.is_ipv6 else ANY_IPV4, 0)
        self._sockets[path.socket] = Socket(path, False, True, hostname, (), local, StreamFramer())

    def share(self, path: Path) -> None:
        """Ask a server through an open UDP socket that is somebody else's and in use for others as well: like `adopt`, but it may
        be said for each server, and `release` then ends what is asked of that server alone.

        Raises:
            LocalProtocolError: not UDP, or as for `adopt`.
        """
        if path.transport is not Transport.UDP:
            raise LocalProtocolError(f"a {path.transport.name} socket leads to one server: adopt() it")
        known = self._sockets.get(path.socket)
        if known is None or not known.shared:
            self.adopt(path)
            self._sockets[path.socket].shared = True

    def release(self, path: Path, *, mode: CloseMode = CloseMode.FLUSH, now: float) -> None:
        """Let a socket go: it is closed if it is the client's own. What is still asked through it fails.

        Over a stream, do it when neither the connection nor an address learned on it is needed any more; with ``RESET``
        when a request through an idle one timed out (RFC 8489 6.2.2). A socket that is gone already is a no-op.
        """
        known = self._sockets.get(path.socket)
        if known is not None and known.shared:
            lost = [exchange for exchange in self._through(path.socket) if exchange.path.remote == path.remote]
            self._fail(lost, "the server was released", now)
        else:
            self._lose(path.socket, "the socket was released", now, mode)

    def release_stream(self, path: Path, *, now: float) -> None:
        """Let a stream go without closing it: from now on it is the caller's, who closes it (RFC 6062 4.5)."""
        known = self._sockets.get(path.socket)
        if known is not None:
            known.own = False
            self._lose(path.socket, "the stream was taken over", now, CloseMode.FLUSH)

    def close(self, *, now: float) -> None:
        """Release everything. What is still asked fails; nothing can be asked any more."""
        self._closed = True
        for socket in tuple(self._sockets):
            self._lose(socket, "the client was closed", now, CloseMode.FLUSH)

    def dropped(self, path: Path) -> Mapping[DropReason, int]:
        """What was dropped of that which came from a server, through a socket that is not released yet."""
        known = self._sockets.get(path.socket)
        return MappingProxyType(dict(known.drops.get(path.remote, {})) if known is not None else {})

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("the client is closed")

    def _check_transport(self, transport: Transport) -> None:
        if transport is not Transport.UDP and (self._config.classic or self._config.anycast):
            why = "an RFC 3489 server (RFC 5389 12.1)" if self._config.classic else "an anycast address (RFC 8489 15)"
            raise LocalProtocolError(f"{why} is asked over UDP, not {transport.name}")

    def _make_socket(self, target: ServerTarget, local: Address, alpn: tuple[str, ...], now: float) -> tuple[Path, list[Action]]:
        path = Path(self._ids.socket(), target.address, target.transport)
        hostname = target.server_hostname
        self._sockets[path.socket] = Socket(path, True, False, hostname, alpn, local, StreamFramer(), proxy=target.proxy)
        self._timers.set(path.socket, now + self._config.open_timeout)
        tls = TlsOptions(hostname, alpn) if target.transport.is_secure else None
        options = SocketOptions(tls=tls, proxy=target.proxy) if tls or target.proxy else DEFAULT_OPTIONS
        return path, [OpenSocket(path.socket, target.transport, local, target.address, options)]

    # ------------------------------------------------------------- asking and telling

    def request(
        self,
        method: Method,
        attributes: Iterable[tuple[Attribute[Any], Any]] = (),
        *,
        path: Path | None = None,
        now: float,
    ) -> TransactionId:
        """Ask a server. At most ten transactions with one server are under way at a time; more wait their turn.

        SOFTWARE, FINGERPRINT and what authentication needs are added as configured.

        Args:
            method: what to ask.
            attributes: as for `encode`.
            path: where to ask; may be left out where there is one socket only.

        Returns:
            What the outcome carries as its ``id``. A request that is repeated does so in new transactions.

        Raises:
            LocalProtocolError: the path is not open, a value does not fit its attribute, the message is larger than
                `size_budget` allows, too many requests wait for that server, or the client is closed.
        """
        path, known = self._choose(path)
        given = tuple(attributes)
        if self._config.classic and (method is not Method.BINDING or given):
            raise LocalProtocolError("an RFC 3489 server is asked for a bare Binding (RFC 5389 12.1)")
        server = self._servers.get(path.remote)
        if server is not None and len(server.queue) >= self._config.max_queued:
            raise LocalProtocolError(f"{len(server.queue)} requests wait for {path.remote} already")
        authentication = self._memory.authentication(path.remote)
        self._writer.check(MessageClass.REQUEST, method, given, authentication.protect(method), path)
        self._memory.remember(path.remote, authentication)
        exchange = Exchange(new_transaction_id(self._entropy), method, given, path, known.hostname, authentication)
        self._exchanges[exchange.id] = exchange
        self._enqueue(exchange)
        self._start_next(path.remote, now)
        return exchange.id

    def indicate(
        self,
        method: Method,
        attributes: Iterable[tuple[Attribute[Any], Any]] = (),
        *,
        path: Path | None = None,
        now: float,
    ) -> TransactionId:
        """Tell a server something: sent once, and nothing comes of it (RFC 8489 6.2.1).

        Short-term credentials protect it; long-term ones never do (RFC 8489 9.2).

        Args:
            method, attributes, path: as for `request`.

        Raises:
            LocalProtocolError: as for `request`; also where the socket is still opening.
        """
        path, known = self._choose(path)
        if not known.open:
            raise LocalProtocolError(f"socket {path.socket} is not open yet, and an indication waits for nothing")
        protection, given = self._memory.authentication(path.remote).protect_indication(), tuple(attributes)
        self._writer.check(MessageClass.INDICATION, method, given, protection, path)
        transaction_id = new_transaction_id(self._entropy)
        data = self._writer.write(MessageClass.INDICATION, method, transaction_id, given, protection)
        known.asked(path.remote)
        self._outputs.append(SendStream(path.socket, data) if path.reliable else SendDatagram(path.socket, path.remote, data))
        return transaction_id

    def cancel(self, transaction_id: TransactionId, *, now: float) -> None:
        """Forget a request: there will be no outcome. An unknown or finished one is a no-op."""
        exchange = self._exchanges.get(transaction_id)
        if exchange is not None:
            self._leave(exchange)
            self._forget(exchange)
            self._start_next(exchange.path.remote, now)

    def renew(self, token: AccessToken) -> None:
        """Show another access token from now on, before the one in use expires (RFC 7635 8, 9).

        Raises:
            LocalProtocolError: the client was not made with one.
        """
        if not isinstance(self._credentials, AccessToken):
            raise LocalProtocolError("renew(): there is no access token that another could take the place of")
        self._credentials = token
        self._memory.renew(token)

    def conclude(self, transaction_id: TransactionId, *, now: float) -> bool:
        """Ask no further for a request: the end of the transaction under way is its outcome, whatever it says.

        For what nobody needs any more and the server may yet do: its answer says whether it has.

        Returns:
            Whether there will be an outcome. Where no transaction is under way the request is cancelled.
        """
        exchange = self._exchanges.get(transaction_id)
        if exchange is None or exchange.state is not ExchangeState.RUNNING:
            self.cancel(transaction_id, now=now)
            return False
        exchange.concluding = True
        return True

    def challenges(self, transaction_id: TransactionId) -> int:
        """How often the server has wanted other proof for this request so far (401, 438); 0 for a finished or unknown one.

        A server that challenges is there, and wants to be asked with credentials: enough to choose among several that are
        being asked at once (RFC 8656 3.9).
        """
        exchange = self._exchanges.get(transaction_id)
        return exchange.challenges if exchange is not None else 0

    def is_bare(self, server: Address) -> bool:
        """Whether a request to this server would prove nothing: without credentials, or before the server has wanted any."""
        return self._memory.authentication(server).protect().key is None

    def _choose(self, path: Path | None) -> tuple[Path, Socket]:
        self._check_open()
        if path is None:
            if len(self._sockets) != 1:
                raise LocalProtocolError(f"there are {len(self._sockets)} sockets: say which path")
            path = next(iter(self._sockets.values())).path
        known = self._sockets.get(path.socket)
        if known is None:
            raise LocalProtocolError(f"socket {path.socket} is not open: open() or adopt() it")
        fixed = path.transport is not Transport.UDP
        if path.transport is not known.path.transport or (fixed and path.remote != known.path.remote):
            raise LocalProtocolError(f"socket {path.socket} leads to {known.path}, not to {path}")
        if path.remote.is_ipv6 != known.path.remote.is_ipv6:
            raise LocalProtocolError(f"{path.remote} is of another family than socket {path.socket}")
        return path, known

    # ------------------------------------------------------------- from the queue to the outcome

    def _enqueue(self, exchange: Exchange, *, first: bool = False) -> None:
        server = self._servers.setdefault(exchange.path.remote, Server())
        server.queue.insert(0 if first else len(server.queue), exchange)

    def _start_next(self, remote: Address, now: float) -> None:
        """Start what waits for this server, as far as it may be under way at a time (RFC 8489 6.2)."""
        server = self._servers.get(remote)
        if server is None:
            return
        for exchange in tuple(server.queue):
            if server.outstanding >= self._config.max_outstanding:
                return
            if self._sockets[exchange.path.socket].open:
                server.queue.remove(exchange)
                self._start(exchange, server, now)
        self._tidy(remote)

    def _start(self, exchange: Exchange, server: Server, now: float) -> None:
        path, authentication = exchange.path, exchange.authentication
        exchange.move(ExchangeInput.START)
        protection = exchange.protection = authentication.protect(exchange.method)
        # The first transaction has the id that the caller knows; each one more has its own (RFC 8489 6, 9.2.5).
        transaction_id = exchange.id if exchange.transaction is None else new_transaction_id(self._entropy)
        request = self._writer.write(MessageClass.REQUEST, exchange.method, transaction_id, exchange.attributes, protection)
        too_large = self._writer.misfit(request, path)  # by what the server wants to be sent back
        if too_large:
            self._finish(exchange, TransactionFailed(exchange.id, None, too_large, FailureCause.TOO_LARGE))
            return
        transaction = exchange.transaction = StunTransaction.of_encoded(
            request,
            transaction_id,
            path.socket,
            path.remote,
            method=exchange.method,
            key=protection.key,
            algorithm=protection.algorithm,
            schedule=self._memory.schedule(path, now),
            reliable=path.reliable,
            classic=self._config.classic,
            long_term=authentication.long_term,
        )
        server.outstanding += 1
        self.stats.requests += 1
        self._sockets[path.socket].asked(path.remote)
        exchange.asked[path.remote] = now
        self._running[transaction_id] = exchange
        transaction.start(now=now)
        self._absorb(exchange, now)

    def _absorb(self, exchange: Exchange, now: float) -> None:
        """Take what the transaction of ``exchange`` has put out."""
        transaction = cast(StunTransaction, exchange.transaction)
        for output in transaction.take_outputs():
            if isinstance(output, Event):
                self._end_transaction(exchange, cast(_Outcome, output), now)
                return
            self._outputs.append(output)
        self._timers.set(exchange.id, transaction.deadline())

    def _end_transaction(self, exchange: Exchange, outcome: _Outcome, now: float) -> None:
        self._leave(exchange)
        asked = exchange.path.remote
        self._memory.finished(exchange.path, outcome.rtt if isinstance(outcome, TransactionSucceeded) else None, now)
        if not self._asks_again(exchange, outcome, now):
            self._finish(exchange, _with_problem(outcome, exchange.authentication))
        self._start_next(asked, now)

    def _asks_again(self, exchange: Exchange, outcome: _Outcome, now: float) -> bool:
        if isinstance(outcome, TransactionTimedOut):
            return False
        protection = cast(Protection, exchange.protection)
        verdict = exchange.authentication.handle_response(outcome, protection)
        if exchange.concluding:
            return False
        if verdict is Verdict.RETRY:
            exchange.challenges += 1
            if exchange.challenges <= _MAX_CHALLENGES:
                exchange.move(ExchangeInput.AGAIN)
                self._enqueue(exchange, first=True)
                return True
        if isinstance(outcome, TransactionSucceeded) or outcome.code is None:
            return False
        if outcome.code == TRY_ALTERNATE:
            return outcome.authenticated and self._redirects(exchange, cast(Message, outcome.response), now)
        if outcome.code // 100 == 5 and outcome.code not in _NOT_TRANSIENT and exchange.resends < self._config.resends:
            exchange.resends += 1
            exchange.move(ExchangeInput.PAUSE)
            self._timers.set(exchange.id, now + self._config.resend_delay)
            return True
        return False

    def _redirects(self, exchange: Exchange, response: Message, now: float) -> bool:
        """Follow an authentic 300, if that is wanted and it leads on (RFC 8489 10)."""
        old = exchange.path
        alternate = read_alternate(response, old.remote)
        if not self._config.alternate_servers or alternate is None or exchange.redirections >= MAX_REDIRECTIONS:
            return False
        asked = exchange.asked.get(alternate.address)
        if asked is not None and now - asked <= MEMORY:
            return False
        hostname = (alternate.domain or exchange.hostname) if old.transport.is_secure else None
        before = ServerTarget(old.transport, old.remote, None, self._sockets[old.socket].proxy)
        found = self._path_to(before.redirected(alternate.address, hostname), old, now)
        if found is None:
            return False
        new, opens = found
        exchange.redirections += 1
        self._outputs.append(Redirected(exchange.id, old, new, hostname, self._credentials))
        self._outputs.extend(opens)
        exchange.path = new
        exchange.authentication = self._memory.remember(new.remote, self._memory.authentication(new.remote))
        exchange.move(ExchangeInput.AGAIN)
        self._enqueue(exchange)
        self._start_next(new.remote, now)
        return True

    def _path_to(self, target: ServerTarget, old: Path, now: float) -> tuple[Path, list[Action]] | None:
        """A way to an alternate server: the same UDP socket, a session to it that is there already, or a new one."""
        if old.transport is Transport.UDP:
            return Path(old.socket, target.address, Transport.UDP), []
        for known in self._sockets.values():
            if known.own and (known.path.transport, known.path.remote, known.hostname) == (
                target.transport,
                target.address,
                target.server_hostname,
            ):
                return known.path, []
        if sum(known.redirected for known in self._sockets.values()) >= MAX_REDIRECTED_SOCKETS:
            return None
        before = self._sockets[old.socket]
        new, opens = self._make_socket(target, Address(before.local.host, 0), before.alpn, now)
        self._sockets[new.socket].redirected = True
        return new, opens

    def _finish(self, exchange: Exchange, outcome: _Outcome) -> None:
        self._forget(exchange)
        self._outputs.append(attrs.evolve(outcome, id=exchange.id))

    def _forget(self, exchange: Exchange) -> None:
        exchange.move(ExchangeInput.END)
        del self._exchanges[exchange.id]

    def _leave(self, exchange: Exchange) -> None:
        """Take a request out of wherever it is: off the wire, out of the queue, off the timers."""
        self._timers.cancel(exchange.id)
        server = self._servers.get(exchange.path.remote)
        if exchange.state is ExchangeState.RUNNING:
            del self._running[cast(StunTransaction, exchange.transaction).id]
            cast(Server, server).outstanding -= 1
        elif exchange.state is ExchangeState.QUEUED:
            cast(Server, server).queue.remove(exchange)

    def _tidy(self, remote: Address) -> None:
        server = self._servers[remote]
        if not server.outstanding and not server.queue:
            del self._servers[remote]

    # ------------------------------------------------------------- what the world says

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """What waits for this socket may leave."""
        known = self._sockets.get(socket)
        if known is None or known.open:
            return
        known.open = True
        self._timers.cancel(socket)
        self._outputs.append(PathOpened(known.path, local))
        for remote in tuple(self._servers):
            self._start_next(remote, now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """Whatever was asked through it has failed (RFC 8489 6.2.2)."""
        self._die(socket, error, now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Responses go to their requests; the rest is handed on or counted."""
        for source, data in batch:
            self._receive(socket, source, data, now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Cut the stream into messages; its end fails what was asked on it (RFC 8489 6.2.2)."""
        known = self._sockets.get(socket)
        if known is None or not known.path.reliable:
            self._drop(DropReason.UNKNOWN_SOCKET)
            return
        if not data:
            self._die(socket, None, now)
            return
        for frame in known.framer.feed(data):
            self._receive(socket, known.path.remote, frame, now)
        error = known.framer.error
        if error is not None and socket in self._sockets:
            self._drop(error, known, known.path.remote)
            self._die(socket, SocketError(SocketErrorKind.OTHER, f"what arrived is no STUN: {error.value}"), now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A hard error ends the requests to that server (RFC 8489 6.2.1)."""
        running = [exchange for exchange in self._through(socket) if exchange.state is ExchangeState.RUNNING]
        for exchange in running:  # and not those whose turn comes by this
            cast(StunTransaction, exchange.transaction).handle_icmp(socket, destination, error, now=now)
            self._absorb(exchange, now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, give up, ask again after a 5xx, or stop waiting for a socket."""
        while (key := self._timers.pop_due(now)) is not None:
            if isinstance(key, int):
                seconds = f"{self._config.open_timeout:g}"
                self._die(key, SocketError(SocketErrorKind.TIMEOUT, f"not connected after {seconds} s"), now)
                continue
            exchange = self._exchanges[key]
            if exchange.state is ExchangeState.PAUSED:
                exchange.move(ExchangeInput.AGAIN)
                self._enqueue(exchange)
                self._start_next(exchange.path.remote, now)
            else:
                cast(StunTransaction, exchange.transaction).handle_timer(now=now)
                self._absorb(exchange, now)

    def deadline(self) -> float:
        """When the next of these is due."""
        return self._timers.deadline()

    def _receive(self, socket: SocketId, source: Address, data: bytes, now: float) -> None:
        known = self._sockets.get(socket)
        if known is None:
            self._drop(DropReason.CLOSED if self._closed else DropReason.UNKNOWN_SOCKET)
            return
        try:
            message = decode_untrusted(data, require_fingerprint=self._config.fingerprint)
        except DecodeError as error:
            self._drop(error.reason, known, source)
            return
        if message.message_class is MessageClass.SUCCESS or message.message_class is MessageClass.ERROR:
            self._take_response(known, source, message, now)
        elif source not in known.drops:
            self._drop(DropReason.UNVALIDATED_SOURCE)
        elif message.message_class is MessageClass.REQUEST:
            self._outputs.append(RequestReceived(Path(socket, Address(*source), known.path.transport), message))
        elif message.unknown_required():  # RFC 8489 6.3.2
            self._drop(DropReason.UNKNOWN_ATTRIBUTE, known, source)
        else:
            self._outputs.append(IndicationReceived(Path(socket, Address(*source), known.path.transport), message))

    def _take_response(self, known: Socket, source: Address, message: Message, now: float) -> None:
        exchange = self._running.get(message.transaction_id)
        if exchange is None:
            self._drop(DropReason.UNKNOWN_TRANSACTION, known, source)
            return
        path = exchange.path
        if path.socket != known.path.socket or path.remote != source:
            self._drop(DropReason.WRONG_SOURCE, self._sockets[path.socket], path.remote)
            return
        transaction = cast(StunTransaction, exchange.transaction)
        transaction.handle_response(message, now=now)
        if transaction.refusal is not None:
            self._drop(transaction.refusal, known, source)
        self._absorb(exchange, now)

    def _drop(self, reason: DropReason, known: Socket | None = None, source: Address | None = None) -> None:
        self.stats.dropped[reason] += 1
        if known is not None and source is not None and source in known.drops:
            known.drops[source][reason] += 1

    # ------------------------------------------------------------- the end of a socket

    def _through(self, socket: SocketId) -> list[Exchange]:
        return [exchange for exchange in self._exchanges.values() if exchange.path.socket == socket]

    def _die(self, socket: SocketId, error: SocketError | None, now: float) -> None:
        """The socket is lost, or of no use any more."""
        known = self._sockets.get(socket)
        if known is None:
            return
        reason = (error.text or error.kind.value) if error is not None else "the server closed the connection"
        self._outputs.append(PathClosed(known.path, error))
        self._lose(socket, reason, now, CloseMode.RESET)

    def _lose(self, socket: SocketId, reason: str, now: float, mode: CloseMode) -> None:
        known = self._sockets.get(socket)
        if known is None:
            return
        lost = self._through(socket)
        del self._sockets[socket]
        self._timers.cancel(socket)
        if known.own:
            self._outputs.append(CloseSocket(socket, mode))
        self._fail(lost, reason, now)

    def _fail(self, lost: Sequence[Exchange], reason: str, now: float) -> None:
        for exchange in lost:
            self._leave(exchange)
        for exchange in lost:
            self._finish(exchange, TransactionFailed(exchange.id, None, reason, FailureCause.CLOSED))
        for exchange in lost:
            self._start_next(exchange.path.remote, now)


def _with_problem(outcome: _Outcome, authentication: ClientAuthentication) -> _Outcome:
    """Say why a challenge was not answered, beside what the server said."""
    if isinstance(outcome, TransactionFailed) and outcome.code in (401, 438) and authentication.problem:
        return attrs.evolve(outcome, reason=f"{outcome.reason}: {authentication.problem}".lstrip(": "))
    return outcome
