"""What must hold of agents that speak over TCP (RFC 6544), judged by what went over each connection and by keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sansice.ice import DataReceived
from sansice.machine import Address, CloseSocket, OpenSocket, SendStream, SocketId, Transport
from sansice.simulation import End, Harm, InputKind, Invariant, Moment
from sansice.simulation._exploration._evidence import EPSILON, OVER, read
from sansice.simulation._exploration._strangers import FORGED_DATA
from sansice.stun import USERNAME, MessageClass

LAST = 99  # the number of the words that both must hear
TOLERABLE = 2  # exchanges lost
_LENGTH = 2  # bytes (RFC 4571 2)


def words_of(name: str, number: int) -> bytes:
    """What ``name`` says as its ``number``-th: of its own length, and of its own bytes up to the end."""
    head = f"{name}{number:02} ".encode()
    return head + bytes([0x40 + number % 32]) * (1 + 37 * number % 1200) + head


def number_of(name: str, data: bytes) -> int | None:
    """Which words of ``name`` these are; ``None``: they are none, or torn."""
    number = data[len(name) : len(name) + 2]
    if not number.isdigit() or data != words_of(name, int(number)):
        return None
    return int(number)


class FrameReader:
    """Cuts a stream into frames (RFC 4571 2), slowly and plainly."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_between_frames(self) -> bool:
        return not self._rest

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._rest += data
        while len(self._rest) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._rest[:_LENGTH], "big")
            if len(self._rest) < end:
                return
            yield self._rest[_LENGTH:end]
            self._rest = self._rest[end:]


class FramesAreWhole(Invariant):
    """See ``rule``."""

    rule = "what is said over a connection is heard there as it was said, whole, once and in order (RFC 4571 2, RFC 6544 11.1)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._in: dict[tuple[str, SocketId], FrameReader] = {}
        self._out: dict[tuple[str, SocketId], FrameReader] = {}
        self._latest: dict[tuple[str, SocketId], int] = {}
        self._drops: dict[str, int] = {}

    def after(self, moment: Moment) -> str | None:
        """What was sent, what came, and what was told of it."""
        end = moment.end
        for action in moment.others:
            finding = self._judge_sent(end, action) if isinstance(action, SendStream) else None
            if finding is not None:
                return finding
        heard = [event.data for event in moment.events if isinstance(event, DataReceived)]
        other = "B" if end.name == "A" else "A"
        torn = next((data for data in heard if number_of(other, data) is None and data != FORGED_DATA), None)
        if torn is not None:
            return f"{end.name} heard {torn[:20]!r}, {len(torn)} bytes, which {other} never said"
        drops = sum(end.agent.stats.dropped.values())
        before, self._drops[end.name] = self._drops.get(end.name, 0), drops
        if moment.kind is not InputKind.STREAM or moment.socket is None:
            return None
        place = end.name, moment.socket
        came = [
            frame for frame in self._in.setdefault(place, FrameReader()).feed(moment.data) if number_of(other, frame) is not None
        ]
        if heard != came and (drops == before or heard != came[: len(heard)]):
            return f"{end.name} heard {len(heard)} of the {len(came)} frames that came, and others or none were dropped"
        for data in heard:
            number = number_of(other, data) or 0
            if number <= self._latest.get(place, 0):
                return f"{end.name} heard the {number}. words after the {self._latest[place]}. over one connection"
            self._latest[place] = number
        return None

    def _judge_sent(self, end: End, action: SendStream) -> str | None:
        reader = self._out.setdefault((end.name, action.socket), FrameReader())
        for frame in reader.feed(action.data):
            if read(frame) is None and number_of(end.name, frame) is None:
                return f"{end.name} sent a frame of {len(frame)} bytes that is neither STUN nor what it was to say"
        return None if reader.is_between_frames else f"{end.name} sent what is no whole frame on socket {action.socket}"


class StrangersAreShownOut(Invariant):
    """See ``rule``."""

    rule = "a connection that was accepted is closed where no check with our password came over it in time; they are few"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._since: dict[tuple[str, SocketId], float] = {}
        self._in: dict[tuple[str, SocketId], FrameReader] = {}

    def after(self, moment: Moment) -> str | None:
        """Whoever has not shown who he is, and when he came."""
        end = moment.end
        if moment.socket is not None:
            place = end.name, moment.socket
            if moment.kind is InputKind.ACCEPTED:
                self._since[place] = moment.now
                self._in[place] = FrameReader()
            elif moment.kind is InputKind.STREAM and place in self._since:
                for frame in self._in[place].feed(moment.data):
                    if self._is_authentic(end, frame):
                        del self._since[place]
                        break
        for action in moment.others:
            if isinstance(action, CloseSocket):
                self._since.pop((end.name, action.socket), None)
        return self._overdue(moment.now - moment.late, end)

    def _is_authentic(self, end: End, frame: bytes) -> bool:
        message = read(frame)
        if message is None or message.message_class not in (MessageClass.REQUEST, MessageClass.SUCCESS):
            return False
        if message.message_class is MessageClass.SUCCESS:  # of simultaneous-open ends: to a check that waited for the connection
            return any(message.verify(one.key) for one in self.ends if one is not end)
        return (message.get(USERNAME) or "").partition(":")[0] == end.ufrag and message.verify(end.key)

    def _overdue(self, now: float, end: End) -> str | None:
        sockets = end.node.sockets
        for place in [place for place in self._since if place[0] == end.name and place[1] not in sockets]:
            del self._since[place]
        known = [since for (name, _), since in self._since.items() if name == end.name]
        if len(known) > end.config.max_tcp_strangers:
            return f"{end.name} has {len(known)} connections of whom it does not know"
        if known and now > min(known) + end.config.tcp_first_check_timeout + EPSILON:
            return f"{end.name} has kept a connection since {min(known):.3f} s over which nobody has shown who he is"
        return None

    def ended(self, harm: Harm) -> str | None:
        """Nobody is waited for any more."""
        return next((finding for end in self.ends if (finding := self._overdue(end.node.now(), end)) is not None), None)


class ConnectionsAreFew(Invariant):
    """See ``rule``."""

    rule = "one connection is opened for a path, and no other one while it lasts (RFC 6544 7.1)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._open: dict[str, dict[SocketId, tuple[str, Address]]] = {name: {} for name in ends}

    def after(self, moment: Moment) -> str | None:
        """Every connection that is opened and closed."""
        end, mine = moment.end, self._open[moment.end.name]
        if moment.kind is InputKind.FAILED and moment.socket is not None:
            mine.pop(moment.socket, None)
        for action in moment.others:
            if isinstance(action, CloseSocket):
                mine.pop(action.socket, None)
            elif isinstance(action, OpenSocket) and action.transport is Transport.TCP and action.remote is not None:
                path = action.bind.host, action.remote
                if path in mine.values():
                    return f"{end.name} opens a second connection from {path[0]} to {path[1]}"
                mine[action.socket] = path
        return None


class NothingIsLeft(Invariant):
    """See ``rule``."""

    rule = "an agent that was closed has no socket, no timer and no connection left; tables lead to what is open"

    def after(self, moment: Moment) -> str | None:
        """Whoever is over wants nothing."""
        end = moment.end
        if moment.kind is InputKind.TIMER and end.agent.deadline() <= moment.now:
            return f"{end.name} had its timer at {moment.now:.6f} s and wants it again at {end.agent.deadline():.6f} s"
        tcp = end.agent._tcp
        if tcp is not None and any(one.socket not in tcp._by_socket for one in tcp._by_path.values()):
            return f"{end.name} knows a path by a connection that it has given up"
        return None

    def ended(self, harm: Harm) -> str | None:
        """Both were closed, if they live."""
        for end in self.ends:
            if end.node.running and (end.agent.state not in OVER or end.node.sockets or end.agent.deadline() != math.inf):
                return f"{end.name} is {end.agent.state.value} and has {len(end.node.sockets)} sockets"
            tcp = end.agent._tcp
            if end.node.running and tcp is not None and (tcp._by_socket or tcp._by_path or tcp._bases):
                return f"{end.name} was closed and has {len(tcp._by_socket)} connections in its tables"
        return None


class BothAreHeard(Invariant):
    """See ``rule``."""

    rule = "both ends are heard at the end over what is left of UDP and TCP, where no more than two exchanges were lost"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._heard: set[str] = set()  # asked for membership only

    def after(self, moment: Moment) -> str | None:
        """Who hears the last words."""
        other = "B" if moment.end.name == "A" else "A"
        if any(isinstance(event, DataReceived) and number_of(other, event.data) == LAST for event in moment.events):
            self._heard.add(moment.end.name)
        return None

    def ended(self, harm: Harm) -> str | None:
        """Both must have."""
        deaf = [end.name for end in self.ends if end.name not in self._heard and end.node.running]
        if harm.broken or harm.lost > TOLERABLE or not deaf:
            return None
        return f"{' and '.join(deaf)} did not hear the last words, though only {harm.lost} exchanges were disturbed"


TCP_RULES = (FramesAreWhole, StrangersAreShownOut, ConnectionsAreFew, NothingIsLeft, BothAreHeard)
