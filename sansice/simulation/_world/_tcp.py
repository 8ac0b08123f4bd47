"""One end of a TCP connection (RFC 9293): opening, data, closing, and every way to fail.

It is small and honest: sequence numbers, cumulative acknowledgements, retransmission (RFC 6298), congestion control
(RFC 5681, RFC 6928), windows and half-closed connections are there; options, urgent data, delayed acknowledgements and
Nagle's algorithm are not.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Protocol

from sansice.machine import Address, IcmpError, SocketError, SocketErrorKind

from ._packets import IPV4_HEADER, IPV6_HEADER, TCP_HEADER, TcpFlags, TcpSegment
from ._tcp_receiving import RECEIVE_BUFFER, Receiving
from ._tcp_sending import MIN_MSS, Sending

if TYPE_CHECKING:
    from ._tcp_ports import TcpListener, TcpPorts

SYN_RETRIES = 6  # Linux: tcp_syn_retries, 127 seconds in all
SYN_ACK_RETRIES = 5  # Linux: tcp_synack_retries, 63 seconds
RETRIES = 15  # Linux: tcp_retries2, a quarter of an hour and more
ORPHAN_TIMEOUT = 60.0  # seconds; Linux: tcp_fin_timeout, for a peer that does not end after its counterpart is gone

_MODULUS = 2**32
_FIN, _SYN, _RST, _ACK = int(TcpFlags.FIN), int(TcpFlags.SYN), int(TcpFlags.RST), int(TcpFlags.ACK)
_SYN_ONLY, _ACK_ONLY = TcpFlags.SYN, TcpFlags.ACK
_SYN_ACK, _RST_ACK = TcpFlags.SYN | TcpFlags.ACK, TcpFlags.RST | TcpFlags.ACK
_DATA = {
    (False, False): TcpFlags.ACK,
    (True, False): TcpFlags.ACK | TcpFlags.PSH,
    (False, True): TcpFlags.ACK | TcpFlags.FIN,
    (True, True): TcpFlags.ACK | TcpFlags.PSH | TcpFlags.FIN,
}


class TcpState(enum.Enum):
    """Where a connection is (RFC 9293 3.3.2)."""

    CLOSED = "closed"
    SYN_SENT = "asked the peer"
    SYN_RECEIVED = "asked by the peer"
    ESTABLISHED = "open"
    FIN_WAIT_1 = "ended here; the peer does not know yet"
    FIN_WAIT_2 = "ended here; the peer goes on"
    CLOSE_WAIT = "ended by the peer"
    CLOSING = "ended on both sides at once"
    LAST_ACK = "ended by the peer, then here; the peer does not know yet"
    TIME_WAIT = "over; late segments may come"


class TcpInput(enum.Enum):
    """What moves a connection from one state to another."""

    CONNECT = "the application connects"
    SYN = "the peer's SYN"
    OPEN = "the peer knows our SYN, and we know its"
    CLOSE = "the application has nothing more to send"
    FIN = "the peer's FIN"
    FIN_ACKNOWLEDGED = "the peer has our FIN"


TCP_TRANSITIONS: dict[tuple[TcpState, TcpInput], TcpState] = {
    (TcpState.CLOSED, TcpInput.CONNECT): TcpState.SYN_SENT,
    (TcpState.CLOSED, TcpInput.SYN): TcpState.SYN_RECEIVED,
    (TcpState.SYN_SENT, TcpInput.SYN): TcpState.SYN_RECEIVED,  # simultaneous open, RFC 9293 3.5
    (TcpState.SYN_SENT, TcpInput.OPEN): TcpState.ESTABLISHED,
    (TcpState.SYN_RECEIVED, TcpInput.OPEN): TcpState.ESTABLISHED,
    (TcpState.ESTABLISHED, TcpInput.CLOSE): TcpState.FIN_WAIT_1,
    (TcpState.ESTABLISHED, TcpInput.FIN): TcpState.CLOSE_WAIT,
    (TcpState.CLOSE_WAIT, TcpInput.CLOSE): TcpState.LAST_ACK,
    (TcpState.FIN_WAIT_1, TcpInput.FIN): TcpState.CLOSING,
    (TcpState.FIN_WAIT_1, TcpInput.FIN_ACKNOWLEDGED): TcpState.FIN_WAIT_2,
    (TcpState.FIN_WAIT_2, TcpInput.FIN): TcpState.TIME_WAIT,
    (TcpState.CLOSING, TcpInput.FIN_ACKNOWLEDGED): TcpState.TIME_WAIT,
    (TcpState.LAST_ACK, TcpInput.FIN_ACKNOWLEDGED): TcpState.CLOSED,
}
"""Beside these, a reset, silence for too long, or two maximum segment lifetimes end in `TcpState.CLOSED` from anywhere."""

_OPENING = (TcpState.SYN_SENT, TcpState.SYN_RECEIVED)


class TcpUser(Protocol):
    """Who uses a connection. It may use it, and end it, inside any of these."""

    def connected(self) -> None:
        """The connection is open."""
        ...

    def readable(self) -> None:
        """`TcpConnection.read` has something, or the peer has ended. Told again only when more comes."""
        ...

    def writable(self) -> None:
        """`TcpConnection.send` takes something again, after it did not take all."""
        ...

    def failed(self, error: SocketError) -> None:
        """The connection is lost, or never came to be. Nothing more is told."""
        ...


class _Nobody:
    """Stands where there is no user (any more)."""

    def connected(self) -> None:
        """Nothing."""

    def readable(self) -> None:
        """Nothing."""

    def writable(self) -> None:
        """Nothing."""

    def failed(self, error: SocketError) -> None:
        """Nothing."""


NOBODY: TcpUser = _Nobody()


class TcpConnection:
    """One end of a connection, built by `TcpPorts.connect` or by a listener.

    Attributes:
        local, remote: its two ends.
        state: where it is.
        user: who is told; `NOBODY` where nobody is any more, or not yet.
        reuse_port: whether others may bind its port.
        accepted: whether the peer opened it.
    """

    __slots__ = (
        "_ack_due",
        "_isn",
        "_listener",
        "_peer_isn",
        "_ports",
        "_receiving",
        "_scheduled",
        "_sending",
        "_short",
        "_told",
        "accepted",
        "local",
        "remote",
        "reuse_port",
        "state",
        "user",
    )

    def __init__(self, ports: TcpPorts, local: Address, remote: Address, isn: int, *, reuse_port: bool) -> None:
        self.local: Address = local
        self.remote: Address = remote
        self.state: TcpState = TcpState.CLOSED
        self.user: TcpUser = NOBODY
        self.reuse_port: bool = reuse_port
        self.accepted: bool = False
        self._ports = ports
        self._listener: TcpListener | None = None
        self._isn = isn
        self._peer_isn = 0
        self._sending = Sending(ports.mss(local, remote))
        self._receiving = Receiving()
        self._told = 0  # offset that the window ended at when the peer was last told
        self._ack_due = False
        self._short = False  # the user waits for room
        self._scheduled = math.inf

    # ------------------------------------------------------------- what its user does

    def connect(self, user: TcpUser) -> bool:
        """Ask the peer. Returns whether the question has left."""
        self.user = user
        self._move(TcpInput.CONNECT)
        return self._send_syn()

    def accept(self, listener: TcpListener, segment: TcpSegment) -> None:
        """Answer the peer's SYN; the listener is told once the connection is open."""
        self.accepted = True
        self._listener = listener
        self._peer_isn = segment.seq
        self._move(TcpInput.SYN)
        self._send_syn()

    @property
    def waiting(self) -> int:
        """Bytes that `read` has."""
        return self._receiving.waiting

    @property
    def at_end(self) -> bool:
        """Whether the peer has ended, and everything before that is read."""
        return self._receiving.ended and not self._receiving.waiting

    @property
    def unacknowledged(self) -> int:
        """Bytes that were taken and that the peer has not acknowledged."""
        return self._sending.unacknowledged

    def read(self, size: int) -> bytes:
        """Take at most so many bytes out; the peer may send as many more."""
        data = self._receiving.read(size)
        if not self._ack_due and self.state is not TcpState.CLOSED and not self._receiving.ended:
            more = self._receiving.next + self._receiving.window - self._told
            if more >= min(RECEIVE_BUFFER // 2, self._sending.mss):  # RFC 9293 3.8.6.2.2: no silly windows
                self._acknowledge()
        return data

    def send(self, data: bytes) -> int:
        """Queue bytes, and return how many were taken; where that is not all, `TcpUser.writable` tells when to go on."""
        taken = self._sending.put(data)
        self._short = taken < len(data)
        self._pump()
        return taken

    def shutdown(self) -> None:
        """End this direction, after what is queued. Once is enough."""
        if (self.state, TcpInput.CLOSE) in TCP_TRANSITIONS:
            self._move(TcpInput.CLOSE)
            self._sending.fin = True
            self._pump()

    def abort(self) -> None:
        """Drop everything, and have the peer know. The user is told nothing."""
        self.user = NOBODY
        if self.state not in (TcpState.CLOSED, TcpState.SYN_SENT, TcpState.TIME_WAIT):
            self._transmit(_RST_ACK, self._sending.newest)
        self._end()

    def abandon(self) -> None:
        """The user has died: what a system does then for it."""
        self.user = NOBODY
        if self.state in _OPENING or self._receiving.waiting:
            self.abort()  # RFC 2525 2.17: somebody thinks that this was read
            return
        self.shutdown()
        self._await_end()

    def _await_end(self) -> None:
        if self.state is TcpState.FIN_WAIT_2 and self.user is NOBODY:
            self._ports.at(self._ports.clock.now + ORPHAN_TIMEOUT, self._give_up_orphan, None)

    def _give_up_orphan(self, _: object) -> None:
        if self.state is TcpState.FIN_WAIT_2:
            self._end()

    # ------------------------------------------------------------- what arrives

    def receive(self, segment: TcpSegment, data: bytes) -> None:
        """Take a segment in (RFC 9293 3.10.7)."""
        flags = int(segment.flags)
        if self.state is TcpState.SYN_SENT:
            self._receive_answer(segment, flags)
        else:
            receiving = self._receiving
            offset = receiving.next + _signed(segment.seq - self._peer_isn - receiving.next)
            if flags & _RST:
                self._receive_reset(offset)
            elif flags & _SYN:
                self._receive_syn_again(segment, flags)
            elif flags & _ACK and self._receive_ack(segment, bare=not data and not flags & _FIN):
                self._receive_text(offset, data, bool(flags & _FIN))
        if self._ack_due:
            self._acknowledge()
        self._arm()

    def _receive_answer(self, segment: TcpSegment, flags: int) -> None:
        """What the peer says to our SYN (RFC 9293 3.10.7.3)."""
        is_ours = segment.ack == (self._isn + 1) % _MODULUS
        if flags & _ACK and not is_ours:
            if not flags & _RST:
                self._ports.send(self.local, self.remote, TcpSegment(TcpFlags.RST, segment.ack, 0, 0))
            return
        if flags & _RST:
            if flags & _ACK:
                self._fail(SocketError(SocketErrorKind.REFUSED, f"nobody listens at {self.remote}"))
            return
        if not flags & _SYN:
            return
        self._peer_isn = segment.seq
        if flags & _ACK:
            self._open(segment)
            self._ack_due = self.state is not TcpState.CLOSED and self._told == 0
        else:
            self._move(TcpInput.SYN)
            self._send_syn()

    def _receive_reset(self, offset: int) -> None:
        # RFC 9293 3.10.7.4 (RFC 5961 3.2): only the very next number resets, a guess is answered.
        if self.state is TcpState.TIME_WAIT:
            return  # RFC 1337 3: everything has arrived already
        if offset == self._receiving.next:
            if self.state is TcpState.SYN_RECEIVED:
                self._fail(SocketError(SocketErrorKind.REFUSED, f"{self.remote} does not want a connection"))
            else:
                self._fail(SocketError(SocketErrorKind.RESET, f"{self.remote} has reset the connection"))
        elif 0 < offset - self._receiving.next < self._receiving.window:
            self._ack_due = True

    def _receive_syn_again(self, segment: TcpSegment, flags: int) -> None:
        if self.state is not TcpState.SYN_RECEIVED or segment.seq != self._peer_isn:
            self._ack_due = True  # RFC 9293 3.10.7.4 (RFC 5961 4.2)
        elif flags & _ACK and segment.ack == (self._isn + 1) % _MODULUS:
            self._ack_due = True  # the answer of who opened at the same time
            self._open(segment)
        else:
            self._send_syn()

    def _receive_ack(self, segment: TcpSegment, *, bare: bool) -> bool:
        """Returns whether to go on with the segment."""
        sending = self._sending
        offset = sending.acknowledged + _signed(segment.ack - self._isn - sending.acknowledged)
        if self.state is TcpState.SYN_RECEIVED:
            if offset != 1:
                self._ports.send(self.local, self.remote, TcpSegment(TcpFlags.RST, segment.ack, 0, 0))
                return False
            self._open(segment)
        elif offset > sending.highest:
            self._ack_due = True
            return False
        elif sending.acknowledge(offset, segment.window, self._ports.clock.now, bare=bare):
            self._fit()
            again = sending.first()
            self._transmit(_DATA[bool(again.data), again.fin], again.offset, again.data)
        if sending.is_done and (self.state, TcpInput.FIN_ACKNOWLEDGED) in TCP_TRANSITIONS:
            self._move(TcpInput.FIN_ACKNOWLEDGED)
        self._pump()
        if self._short and sending.room:
            self._short = False
            self.user.writable()
        return self.state is not TcpState.CLOSED

    def _receive_text(self, offset: int, data: bytes, fin: bool) -> None:
        if not data and not fin:
            return
        receiving = self._receiving
        before, had_ended = receiving.next, receiving.ended
        receiving.put(offset, data, fin)
        self._ack_due = True
        if receiving.ended and not had_ended:
            self._move(TcpInput.FIN)
        if receiving.next == before:
            return
        if self.user is NOBODY and receiving.waiting:
            self.abort()  # RFC 9293 3.6.1: nobody will read it
        else:
            self.user.readable()

    def yields_to(self, segment: TcpSegment) -> bool:
        """Whether a SYN begins anew what is over here (RFC 9293 3.6.1)."""
        offset = _signed(segment.seq - self._peer_isn - self._receiving.next)
        return self.state is TcpState.TIME_WAIT and begins(segment) and offset >= 0

    def icmp(self, error: IcmpError, quoted: TcpSegment) -> None:
        """A segment of ours came back."""
        offset = _signed(quoted.seq - self._isn - self._sending.acknowledged)
        if not 0 <= offset < self._sending.highest - self._sending.acknowledged:
            return  # RFC 5927 4.1: about nothing that is under way
        if error.mtu:
            header = IPV6_HEADER if error.ipv6 else IPV4_HEADER
            self._sending.shrink(error.mtu - header - TCP_HEADER)
            self._pump()
            self._arm()
        elif self.state is TcpState.SYN_SENT:  # later such an error may pass (RFC 9293 3.9.2.2)
            self._fail(unreachable(error, self.remote))

    # ------------------------------------------------------------- inside

    def _open(self, segment: TcpSegment) -> None:
        self._sending.acknowledge(1, segment.window, self._ports.clock.now, bare=True)
        self._move(TcpInput.OPEN)
        listener, self._listener = self._listener, None
        if listener is None:
            self.user.connected()
        else:
            listener.opened(self)

    def _send_syn(self) -> bool:
        self._sending.sent_syn(self._ports.clock.now)
        self._arm()
        return self._transmit(_SYN_ONLY if self.state is TcpState.SYN_SENT else _SYN_ACK, 0)

    def _pump(self) -> None:
        """Send what may leave."""
        sending, now = self._sending, self._ports.clock.now
        self._fit()
        while (out := sending.take(now)) is not None:
            self._transmit(_DATA[sending.next >= sending.end and bool(out.data), out.fin], out.offset, out.data)
        self._arm()

    def _fit(self) -> None:
        mss = max(self._ports.mss(self.local, self.remote), MIN_MSS)
        if mss < self._sending.mss:
            self._sending.shrink(mss)

    def _acknowledge(self) -> None:
        self._transmit(_ACK_ONLY, self._sending.next)

    def _transmit(self, flags: TcpFlags, offset: int, data: bytes = b"") -> bool:
        receiving = self._receiving
        ack = 0
        if flags is not _SYN_ONLY:
            ack = (self._peer_isn + receiving.next) % _MODULUS
            self._told = receiving.next + receiving.window
            self._ack_due = False
        segment = TcpSegment(flags, (self._isn + offset) % _MODULUS, ack, receiving.window)
        return self._ports.send(self.local, self.remote, segment, data)

    def _arm(self) -> None:
        # As in `Node.arm`, a deadline that moves away costs no entry in the heap: the old one looks again when it is due.
        deadline = self._sending.deadline
        if deadline < self._scheduled:
            self._scheduled = deadline
            self._ports.at(deadline, self._fire, deadline)

    def _fire(self, deadline: float) -> None:
        if deadline != self._scheduled:
            return
        self._scheduled = math.inf
        sending, now = self._sending, self._ports.clock.now
        if self.state is TcpState.CLOSED:
            return
        if sending.deadline > now:
            self._arm()
            return
        if sending.retries >= _LIMITS.get(self.state, RETRIES):
            self._fail(SocketError(SocketErrorKind.TIMEOUT, f"{self.remote} does not answer"))
            return
        sending.expire(now)
        if self.state in _OPENING:
            self._send_syn()
        else:
            self._pump()

    def _move(self, input: TcpInput) -> None:
        self.state = TCP_TRANSITIONS[self.state, input]
        if self.state is TcpState.TIME_WAIT:
            self._ports.rest(self)
        elif self.state is TcpState.CLOSED:
            self._end()
        else:
            self._await_end()

    def _fail(self, error: SocketError) -> None:
        user = self.user
        self._end()
        user.failed(error)

    def _end(self) -> None:
        self.state = TcpState.CLOSED
        self.user = NOBODY
        self._ack_due = False
        if self._listener is not None:
            self._listener.lost(self)
        self._sending.deadline = math.inf
        self._ports.forget(self)


_LIMITS = {TcpState.SYN_SENT: SYN_RETRIES, TcpState.SYN_RECEIVED: SYN_ACK_RETRIES}


def begins(segment: TcpSegment) -> bool:
    """Whether it asks for a new connection."""
    return int(segment.flags) & (_FIN | _SYN | _RST | _ACK) == _SYN


def _signed(difference: int) -> int:
    """How far apart two sequence numbers are, in whichever direction is shorter (RFC 9293 3.4)."""
    return (difference + _MODULUS // 2) % _MODULUS - _MODULUS // 2


def unreachable(error: IcmpError, remote: Address) -> SocketError:
    """What Linux says of a connection that an ICMP error ends."""
    kind = _OF_ICMPV6.get((error.type, error.code)) if error.ipv6 else _OF_ICMPV4.get((error.type, error.code))
    text = f"ICMP{'v6' if error.ipv6 else ''} {error.type}/{error.code} about {remote}"
    return SocketError(kind if kind is not None else SocketErrorKind.UNREACHABLE, text)


# As the errno of the kernel's tables icmp_err_convert and tab_unreach, where that is not one of "unreachable".
_OF_ICMPV4 = {(3, 2): SocketErrorKind.UNSUPPORTED, (3, 3): SocketErrorKind.REFUSED}
_OF_ICMPV6 = {
    (1, 1): SocketErrorKind.PERMISSION,
    (1, 4): SocketErrorKind.REFUSED,
    (1, 5): SocketErrorKind.PERMISSION,
    (1, 6): SocketErrorKind.PERMISSION,
}
