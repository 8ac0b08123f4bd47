"""Between an agent and its TCP connections (RFC 6544): what is sent from a TCP candidate goes in frames, and frames come back.

To the agent's parts a TCP candidate is a socket like that of UDP, and each of its paths has an address of the peer's
(`TcpAddress`). Here these sockets are made of connections: an active candidate opens one for each path when the first check goes
there, a passive one is a listener, whose connections come from peers, and a simultaneous-open one is both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.ice._candidate import TcpType
from sansice.ice._config import IceConfig
from sansice.ice._telling._tally import CheckFailure
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    DecodeError,
    DropReason,
    Event,
    Ids,
    LocalProtocolError,
    OpenSocket,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.stun import MessageClass, Rfc4571Framer, decode_untrusted, frame_rfc4571, is_stun

from ._address import TcpAddress

MAX_ATTEMPTS = 5  # RFC 6544 12: to one address at a time, so that nobody can have us flood it
# A check with the longest names is below 1300 bytes. Who has proven nothing is not worth a buffer of more than this.
MAX_FIRST_FRAME = 2048
MAX_WAITING = 8  # checks that wait for one connection: the agent asks again every few seconds, and each asks the same

_LENGTH = 2  # bytes before each frame (RFC 4571 2)
_PASSIVE, _BOTH = TcpType.PASSIVE, TcpType.SIMULTANEOUS_OPEN
_FAILURES = MappingProxyType(
    {SocketErrorKind.REFUSED: CheckFailure.TCP_REFUSED, SocketErrorKind.TIMEOUT: CheckFailure.TCP_TIMED_OUT}
)


class TcpState(IdentityEnum):
    """How far a connection is."""

    WAITING = "others to that address are being opened"
    CONNECTING = "connecting"
    OPEN = "open"


class TcpEvent(IdentityEnum):
    """What moves a connection from state to state."""

    TURN = "its turn has come"
    OPEN = "it is there"


TCP_TRANSITIONS = MappingProxyType(
    {
        TcpState.WAITING: {TcpEvent.TURN: TcpState.CONNECTING},
        TcpState.CONNECTING: {TcpEvent.OPEN: TcpState.OPEN},
        TcpState.OPEN: {},
    }
)


class TcpLoss(NamedTuple):
    """A connection could not be opened, or is no more.

    Attributes:
        socket, remote: its path.
        why: what it means for a check on its way.
        can_reopen: whether this end may open another one (RFC 6544 11.1).
        is_elsewhere: who was there does not speak ICE: nobody is to be looked for at that address.
    """

    socket: SocketId
    remote: Address
    why: CheckFailure
    can_reopen: bool
    is_elsewhere: bool = False


class TcpBase(NamedTuple):
    """The base of a TCP candidate: its socket, how it connects, and its address."""

    socket: SocketId
    kind: TcpType
    local: Address


class _Connection:
    """One connection.

    Attributes:
        socket: the driver's.
        base: the candidate that it belongs to.
        is_ours: whether this end opens it.
        is_proven: who is there has shown that he speaks ICE; where he has connected, that he knows the password.
        is_answered: a check was answered over it, so that data may go (RFC 6544 11.1).
        unsent: bytes that wait for the peer to read.
        waiting: frames that wait for the connection.
        head: what has come, while nobody is proven to be there.
    """

    __slots__ = (
        "base",
        "framer",
        "head",
        "is_answered",
        "is_ours",
        "is_proven",
        "remote",
        "socket",
        "state",
        "unsent",
        "waiting",
    )

    def __init__(self, socket: SocketId, base: TcpBase, remote: Address, *, is_ours: bool) -> None:
        self.socket = socket
        self.base = base
        self.remote = remote
        self.is_ours = is_ours
        self.state = TcpState.WAITING
        self.framer = Rfc4571Framer()
        self.head = b""
        self.is_proven = False
        self.is_answered = False
        self.unsent = 0
        self.waiting: list[bytes] = []

    @property
    def path(self) -> tuple[SocketId, Address]:
        """What the agent's parts call it."""
        return self.base.socket, self.remote

    def move(self, event: TcpEvent) -> None:
        """Take the transition, which must be in the table."""
        try:
            self.state = TCP_TRANSITIONS[self.state][event]
        except KeyError:
            raise LocalProtocolError(f"a TCP connection, {self.state.value}: {event.value}") from None

    def hear(self, data: bytes) -> bytes | None:
        """Take bytes of somebody who is still to prove himself: his first frame, once it is whole.

        What is behind it is not looked at before, for it may have any length then, or be nobody's.

        Raises:
            DecodeError: the frame is too long for a first one, or is not STUN.
        """
        head = self.head + data
        empty = (len(head) - len(head.lstrip(b"\0"))) // _LENGTH  # frames of no length, which say nothing
        self.head = head = head[empty * _LENGTH :]
        end = _LENGTH + int.from_bytes(head[:_LENGTH], "big")
        if len(head) < _LENGTH:
            return None
        if end > _LENGTH + MAX_FIRST_FRAME:
            raise DecodeError(DropReason.LIMIT)
        if len(head) < end:
            return None
        first = head[_LENGTH:end]
        if not is_stun(first):
            raise DecodeError(DropReason.NOT_STUN)
        self.head = head[end:]
        return first


class TcpPaths:
    """The connections of one agent.

    Args:
        outputs: of the agent: in them, what is sent from TCP candidates is replaced.
        config: bounds and times.
        ids: of the tree of machines.
        drop: counts what was dropped.
        dscp: of the connections.
        arm: is told when `handle_timer` is to be called; infinite for never.

    Attributes:
        losses: what became of connections, for the agent to act on.
    """

    __slots__ = (
        "_answers",
        "_arm_at",
        "_bases",
        "_by_path",
        "_by_socket",
        "_config",
        "_drop",
        "_dscp",
        "_ids",
        "_outputs",
        "_timers",
        "losses",
    )

    def __init__(
        self,
        outputs: list[Action | Event],
        config: IceConfig,
        ids: Ids,
        *,
        drop: Callable[[DropReason], None],
        dscp: int,
        arm: Callable[[float], None],
    ) -> None:
        self._outputs = outputs
        self._config = config
        self._ids = ids
        self._drop = drop
        self._dscp = dscp
        self._arm_at = arm
        self._bases: dict[SocketId, TcpBase] = {}
        self._by_path: dict[tuple[SocketId, Address], _Connection] = {}
        self._by_socket: dict[SocketId, _Connection] = {}
        self._answers: dict[SocketId, tuple[Address, int]] = {}
        self._timers: FewTimers[SocketId] = FewTimers()
        self.losses: list[TcpLoss] = []

    def is_base(self, socket: SocketId) -> bool:
        """Whether a socket is that of a TCP candidate."""
        return socket in self._bases

    def has(self, socket: SocketId) -> bool:
        """Whether a socket is that of a connection."""
        return socket in self._by_socket

    def add_base(self, socket: SocketId, kind: TcpType | None, local: Address) -> None:
        """A TCP candidate is known, with its base; several may have one socket."""
        if kind is not None:
            self._bases[socket] = TcpBase(socket, kind, local)

    # ------------------------------------------------------------- what the agent sends

    def wrap_outputs(self, now: float) -> None:
        """Replace what the agent's parts have sent from TCP candidates by frames on connections."""
        bases, outputs = self._bases, self._outputs
        if not any(type(output) is SendDatagram and output.socket in bases for output in outputs):
            return
        before = outputs.copy()
        outputs.clear()
        for output in before:
            if isinstance(output, SendDatagram) and output.socket in bases:
                self._send_stun(*output, now)
            else:
                outputs.append(output)

    def _send_stun(self, socket: SocketId, remote: Address, data: bytes, now: float) -> None:
        """A request opens a connection where there is none (RFC 6544 7.1); an answer is of use on its own connection only."""
        connection = self._by_path.get((socket, remote))
        is_request = decode_untrusted(data).message_class is MessageClass.REQUEST
        if connection is None:
            if not is_request:
                return
            base = self._bases[socket]
            if base.kind is _PASSIVE:
                self._lose((socket, remote), CheckFailure.TCP_CLOSED)
                return
            connection = self._connect(base, remote, now)
        if not is_request and not connection.is_proven and not connection.is_ours:
            self._prove(connection, data)
        if connection.state is TcpState.OPEN:
            self._outputs.append(SendStream(connection.socket, frame_rfc4571(data)))
        else:
            connection.waiting = [*connection.waiting, frame_rfc4571(data)][-MAX_WAITING:]

    def _prove(self, connection: _Connection, answer: bytes) -> None:
        """An answer with integrity goes to nobody but who has used the password rightly, whatever it says."""
        if not decode_untrusted(answer).has_integrity:
            return
        proven = [one for one in self._by_socket.values() if one.base is connection.base and one.is_proven and not one.is_ours]
        if len(proven) < self._config.max_peer_reflexive:  # each may be another remote candidate, and there are no more
            connection.is_proven = True
            self._timers.cancel(connection.socket)
            self._arm()
        else:
            self._drop(DropReason.LIMIT)

    def send(self, path: tuple[SocketId, Address], data: bytes, answers: int) -> bool:
        """Send data; ``False``: there is no connection at this moment, or the peer reads too slowly.

        Args:
            path: of a TCP candidate.
            data: at most 65,535 bytes.
            answers: how many checks on that path have been answered.
        """
        connection = self._by_path.get(path)
        if connection is None or connection.unsent > self._config.max_tcp_unsent:
            return False
        if not connection.is_answered:
            if connection.state is not TcpState.OPEN or answers <= self._answers_before(path):
                return False
            connection.is_answered = True
        self._outputs.append(SendStream(connection.socket, frame_rfc4571(data)))
        return True

    def _answers_before(self, path: tuple[SocketId, Address]) -> int:
        """How many came before the present connection of a path."""
        remote, answers = self._answers.get(path[0], (None, 0))
        return answers if remote == path[1] else 0

    def note_loss(self, path: tuple[SocketId, Address], answers: int) -> bool:
        """The connection in use was lost, when so many checks had been answered; whether one had over that very connection."""
        is_answered = answers > self._answers_before(path)
        self._answers[path[0]] = path[1], answers
        return is_answered

    # ------------------------------------------------------------- connections of ours

    def _connect(self, base: TcpBase, remote: Address, now: float) -> _Connection:
        connection = _Connection(self._ids.socket(), base, remote, is_ours=True)
        self._add(connection)
        self._begin_attempts(remote.host, now)
        return connection

    def _begin_attempts(self, host: str, now: float) -> None:
        """Connect to an address, as often as may be at a time."""
        ours = [one for one in self._by_socket.values() if one.remote.host == host and one.state is not TcpState.OPEN]
        free = MAX_ATTEMPTS - sum(one.state is TcpState.CONNECTING for one in ours)
        for connection in [one for one in ours if one.state is TcpState.WAITING][:free]:
            connection.move(TcpEvent.TURN)
            base = connection.base
            is_both = base.kind is _BOTH
            self._outputs.append(
                OpenSocket(
                    connection.socket,
                    Transport.TCP,
                    base.local if is_both else Address(base.local.host, 0),  # RFC 6544 7.1: an unallocated port
                    Address(*connection.remote),
                    SocketOptions(dscp=self._dscp, reuse_port=is_both),
                )
            )
            self._timers.set(connection.socket, now + self._config.tcp_connect_timeout)
        self._arm()

    def opened(self, socket: SocketId, now: float) -> None:
        """A connection of ours is there."""
        connection = self._by_socket[socket]
        connection.move(TcpEvent.OPEN)
        self._timers.cancel(socket)
        self._outputs.extend(SendStream(socket, frame) for frame in connection.waiting)
        connection.waiting = []
        self._begin_attempts(connection.remote.host, now)

    def failed(self, socket: SocketId, error: SocketError, now: float) -> None:
        """A connection could not be opened, or died; it is closed."""
        connection = self._by_socket[socket]
        is_open = connection.state is TcpState.OPEN
        self._forget(connection)
        why = CheckFailure.TCP_CLOSED if is_open else _FAILURES.get(error.kind, CheckFailure.TCP_FAILED)
        self._lose(connection.path, why)
        self._begin_attempts(connection.remote.host, now)

    # ------------------------------------------------------------- connections of peers

    def accept(self, listener: SocketId, socket: SocketId, remote: Address, *, is_wanted: bool, now: float) -> None:
        """A listener has a connection (RFC 6544 7.2). Whose it is, its first frame must show, and soon."""
        base = self._bases.get(listener)
        if base is None or not is_wanted:
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
            return
        strangers = [one for one in self._by_socket.values() if not one.is_proven and not one.is_ours]
        if len(strangers) >= self._config.max_tcp_strangers:
            self._close(strangers[0], CloseMode.RESET)
            self._drop(DropReason.LIMIT)
        connection = _Connection(socket, base, TcpAddress(*remote), is_ours=False)
        connection.state = TcpState.OPEN
        former = self._by_path.get(connection.path)
        self._add(connection)
        if former is not None:  # both ends are simultaneous-open, and the peer was faster; or its port is the same again
            connection.is_ours = former.is_ours
            self._outputs.extend(SendStream(socket, frame) for frame in former.waiting)
            self._close(former, CloseMode.RESET)
        if not connection.is_ours:
            self._timers.set(socket, now + self._config.tcp_first_check_timeout)
            self._arm()

    # ------------------------------------------------------------- what arrives

    def unwrap(self, socket: SocketId, data: bytes, now: float) -> Iterator[tuple[SocketId, Sequence[tuple[Address, bytes]]]]:
        """The frames that are whole now, by the socket of the candidate; ``b""`` is the end of the connection.

        What it yields is to be acted on before more is asked for: who the sender is turns out by the answer to the first frame.
        """
        connection = self._by_socket[socket]
        if not data:
            # A simultaneous-open candidate's next connection has the same two ports, which a slow farewell would keep.
            mode = CloseMode.RESET if connection.base.kind is _BOTH else CloseMode.FLUSH
            self._give_up(connection, mode, now)
            return
        if not connection.is_proven:
            try:
                first = connection.hear(data)
            except DecodeError as error:
                self._drop(error.reason)
                self._give_up(connection, CloseMode.RESET, now, is_elsewhere=connection.is_ours)
                return
            if first is None:
                return
            if connection.is_ours:
                connection.is_proven = True
            yield connection.base.socket, [(connection.remote, first)]
            if socket not in self._by_socket:
                return
            if not connection.is_proven:
                self._drop(DropReason.UNPROVEN_STREAM)
                self._close(connection, CloseMode.FLUSH)  # with the answer that says why
                return
            data, connection.head = connection.head, b""
        frames = connection.framer.feed(data)
        if frames:
            yield connection.base.socket, [(connection.remote, frame) for frame in frames]

    def sent(self, socket: SocketId, unsent: int) -> None:
        """How much waits for the peer to read."""
        self._by_socket[socket].unsent = unsent

    # ------------------------------------------------------------- the end of connections

    def handle_timer(self, now: float) -> None:
        """A connection was not there in time, or nobody has shown whose it is."""
        while (socket := self._timers.pop_due(now)) is not None:
            connection = self._by_socket[socket]
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
            self._forget(connection)
            if connection.is_ours:
                self._lose(connection.path, CheckFailure.TCP_TIMED_OUT)
                self._begin_attempts(connection.remote.host, now)
            else:
                self._drop(DropReason.UNPROVEN_STREAM)
        self._arm()

    def close_base(self, socket: SocketId, mode: CloseMode) -> None:
        """A candidate is given up, with all its connections."""
        base = self._bases.pop(socket)
        self._answers.pop(socket, None)
        for connection in [one for one in self._by_socket.values() if one.base.socket == socket]:
            self._close(connection, mode)
        if base.kind is not TcpType.ACTIVE:
            self._outputs.append(CloseSocket(socket, mode))

    def lose_base(self, socket: SocketId) -> None:
        """A listener has died, and its connections are of no use without their candidate."""
        del self._bases[socket]
        for connection in [one for one in self._by_socket.values() if one.base.socket == socket]:
            self._close(connection, CloseMode.RESET)

    def paths(self) -> list[tuple[SocketId, Address]]:
        """Of the connections whose other end is known."""
        return [one.path for one in self._by_socket.values() if one.is_ours or one.is_proven]

    def close_path(self, path: tuple[SocketId, Address]) -> None:
        """Close a connection that nothing needs (RFC 6544 8)."""
        self._close(self._by_path[path], CloseMode.FLUSH)

    def close_all(self) -> None:
        """The agent has failed: nobody is waited for."""
        for connection in tuple(self._by_socket.values()):
            self._close(connection, CloseMode.FLUSH)

    def _give_up(self, connection: _Connection, mode: CloseMode, now: float, *, is_elsewhere: bool = False) -> None:
        why = CheckFailure.NOT_ICE if is_elsewhere else CheckFailure.TCP_CLOSED
        self._close(connection, mode)
        self._lose(connection.path, why, is_elsewhere=is_elsewhere)
        self._begin_attempts(connection.remote.host, now)

    def _lose(
        self,
        path: tuple[SocketId, Address],
        why: CheckFailure,
        *,
        is_elsewhere: bool = False,
    ) -> None:
        base = self._bases.get(path[0])
        can_reopen = base is not None and base.kind is not _PASSIVE
        self.losses.append(TcpLoss(*path, why, can_reopen, is_elsewhere))

    def _close(self, connection: _Connection, mode: CloseMode) -> None:
        if connection.state is not TcpState.WAITING:
            self._outputs.append(CloseSocket(connection.socket, mode))
        self._forget(connection)

    # ------------------------------------------------------------- tables

    def _add(self, connection: _Connection) -> None:
        self._by_socket[connection.socket] = connection
        self._by_path[connection.path] = connection

    def _forget(self, connection: _Connection) -> None:
        del self._by_socket[connection.socket]
        if self._by_path.get(connection.path) is connection:
            del self._by_path[connection.path]
        self._timers.cancel(connection.socket)
        self._arm()

    def _arm(self) -> None:
        self._arm_at(self._timers.earliest)
