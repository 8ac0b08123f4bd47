"""What a machine may be told: everything that the contract allows the world to do, in steps."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from sansice.machine import (
    Address,
    AddressRecord,
    IcmpError,
    NaptrRecord,
    QueryId,
    Record,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    SrvRecord,
)
from sansice.stun import COOKIE

from ._trial import Trial, local_of

STRANGERS = (Address("198.51.100.7", 7), Address("2001:db8::7", 65535), Address("127.0.0.1", 1))
ERRORS = (IcmpError(3, 3), IcmpError(1, 4, ipv6=True), IcmpError(3, 4, mtu=1280), IcmpError(11, 0))
RECORDS: tuple[Record, ...] = (
    AddressRecord("192.0.2.1"),
    AddressRecord("2001:db8::1", 60),
    SrvRecord(0, 0, 0, "."),
    SrvRecord(1, 65535, 3478, "stun.example"),
    NaptrRecord(1, 1, "s", "RELAY:turn.udp", "", "turn.example"),
)
MESSAGE_TYPES = (0x0001, 0x0011, 0x0101, 0x0111, 0x0003, 0x0103, 0x0113, 0x0016, 0x0017, 0x3FFF)
ATTRIBUTE_TYPES = (
    *(0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x000C, 0x0012, 0x0014, 0x0015, 0x001C, 0x0020, 0x0024, 0x0025, 0x0030),
    *(0x7FFF, 0x8022, 0x8028, 0x8029, 0x802A, 0xFFFF),
)


def stun_like(kind: int, transaction_id: bytes, attributes: Sequence[tuple[int, bytes]], lie: int = 0) -> bytes:
    """A message with the frame of RFC 8489 5 and any attributes; ``lie`` is added to its length field."""
    body = b"".join(struct.pack("!HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in attributes)
    return struct.pack("!HHI", kind, (len(body) + lie) & 0xFFFF, COOKIE) + transaction_id + body


_LENGTHS = (4, 40, 1500)  # of noise: as often too short for any header as long enough for all


def random_datagram(draw: random.Random, known: Sequence[bytes]) -> bytes:
    """A hostile datagram: noise, something like STUN, or a known datagram with a few bits changed."""
    choice = draw.randrange(3 if known else 2)
    if choice == 0:
        return draw.randbytes(draw.randrange(draw.choice(_LENGTHS)))
    if choice == 1:
        attributes = [(draw.choice(ATTRIBUTE_TYPES), draw.randbytes(draw.randrange(24))) for _ in range(draw.randrange(6))]
        return stun_like(draw.choice(MESSAGE_TYPES), draw.randbytes(12), attributes)
    data = bytearray(draw.choice(known))
    for _ in range(draw.randrange(1, 4)):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


class Play(Protocol):
    """A step: what it makes of a trial depends on what the machine has asked for until then."""

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        ...


class Command(NamedTuple):
    """A command with these arguments."""

    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.command(self.method, self.arguments, self.keywords)


class PassTime(NamedTuple):
    """Time passes and every timer fires when it is due."""

    seconds: float

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.pass_time(self.seconds)


class Leap(NamedTuple):
    """The clock jumps, and a late timer fires."""

    seconds: float

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.leap(self.seconds)


class Arrive(NamedTuple):
    """Datagrams arrive, from a stranger or from somebody the machine has sent to."""

    socket: int
    source: int
    batch: tuple[bytes, ...]

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        source = _peer(trial, self.source)
        trial.tell("handle_datagrams", _socket(trial, self.socket), [(source, data) for data in self.batch])


class Reflect(NamedTuple):
    """A datagram of the machine comes back from where it went: as it was, or made into a response, perhaps damaged."""

    which: int
    message_class: int
    flips: tuple[int, ...]

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        if not trial.sent:
            return
        sent = trial.sent[-1 - self.which % len(trial.sent)]
        data = bytearray(sent.data)
        if len(data) >= 2:
            data[0] |= self.message_class >> 8
            data[1] |= self.message_class & 0xFF
        for flip in self.flips:
            if data:
                data[flip // 8 % len(data)] ^= 1 << flip % 8
        trial.tell("handle_datagrams", sent.socket, [(Address(*sent.destination), bytes(data))])


class Reply(NamedTuple):
    """The peer does what it should: it answers a datagram of the machine, if it would."""

    answers: Callable[[SendDatagram], bytes | None]
    which: int

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        if not trial.sent:
            return
        sent = trial.sent[-1 - self.which % len(trial.sent)]
        data = self.answers(sent)
        if data is not None:
            trial.tell("handle_datagrams", sent.socket, [(Address(*sent.destination), data)])


class Answer(NamedTuple):
    """The oldest open socket request or question is answered; without one, an answer comes to nothing asked."""

    opened: bool
    error: SocketErrorKind
    records: tuple[Record, ...] | ResolveError

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        if trial.asking:
            trial.tell("handle_resolved", trial.asking.pop(0).query, self.records)
        elif not trial.opening:
            trial.tell("handle_resolved", QueryId(999), self.records)
        elif self.opened:
            action = trial.opening.pop(0)
            trial.sockets.append(action.socket)
            trial.tell("handle_socket_opened", action.socket, local_of(action))
        else:
            trial.tell("handle_socket_failed", trial.opening.pop(0).socket, SocketError(self.error, "tried"))


class Die(NamedTuple):
    """A socket fails, known or not; nothing more is heard of it."""

    socket: int
    error: SocketErrorKind

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        socket = _socket(trial, self.socket)
        if socket in trial.sockets:
            trial.sockets.remove(socket)
        trial.tell("handle_socket_failed", socket, SocketError(self.error, "died"))


class Unreachable(NamedTuple):
    """An ICMP error comes back."""

    socket: int
    destination: int
    error: IcmpError

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.tell("handle_icmp", _socket(trial, self.socket), _peer(trial, self.destination), self.error)


class StreamData(NamedTuple):
    """Bytes, or the end, arrive on a stream; on a socket that may be none."""

    socket: int
    data: bytes

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.tell("handle_stream_data", _socket(trial, self.socket), self.data)


class StreamSent(NamedTuple):
    """The backlog of a stream moves."""

    socket: int
    unsent: int

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.tell("handle_stream_sent", _socket(trial, self.socket), self.unsent)


class Accept(NamedTuple):
    """A listener accepts a stream."""

    listener: int
    source: int

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        accepted = SocketId(-1 - sum(call.method == "handle_accepted" for call in trial.calls))
        trial.tell("handle_accepted", _socket(trial, self.listener), accepted, _peer(trial, self.source))
        trial.sockets.append(accepted)


class WallClock(NamedTuple):
    """The wall clock is told, or jumps."""

    unix: float

    def play(self, trial: Trial) -> None:
        """Tell the machine."""
        trial.tell("handle_wall_clock", self.unix)


def _socket(trial: Trial, pick: int) -> SocketId:
    known = trial.sockets
    return known[pick % len(known)] if known and pick >= 0 else SocketId(999_999)


def _peer(trial: Trial, pick: int) -> Address:
    if pick >= len(STRANGERS) and trial.sent:
        return Address(*trial.sent[-1 - pick % len(trial.sent)].destination)
    return STRANGERS[pick % len(STRANGERS)]
