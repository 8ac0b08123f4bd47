"""What must hold of the connections to an `IceMux`, judged by what goes over each of them and by keys."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from sansice.ice import AgentEvent, AgentId, DataReceived
from sansice.machine import Address, CloseSocket, OpenSocket, SendStream, SocketId
from sansice.simulation import End, InputKind, Moment
from sansice.simulation._exploration._evidence import read
from sansice.stun import USERNAME, Message, MessageClass, TransactionId, short_term_key

from ._mux_rules import (
    EPSILON,
    DataIsNobodyElses,
    EverybodyIsServed,
    OfTheMux,
    RoutesFollowEvidence,
    TablesAreTidy,
    UnknownUfragsAreOfferedOnce,
    peer_of,
)
from ._tcp_rules import FrameReader


class _Connection:
    """What is known of a connection that the mux was given.

    Attributes:
        source: where it came from.
        since: when.
        ufrag: for whom its first check is; ``""`` before, or where it is no check.
        heard_at: when the first frame was whole.
        is_proven: a check with the right password came over it, and was answered.
    """

    def __init__(self, source: Address, since: float) -> None:
        self.source = source
        self.since = since
        self.ufrag = ""
        self.heard_at = math.inf
        self.is_proven = False
        self.asked: dict[TransactionId, str] = {}  # checks with the right password, and for whom they are
        self.unanswered: Counter[TransactionId] = Counter()
        self.heard, self.said = FrameReader(), FrameReader()

    @property
    def number(self) -> str:
        """Of the agent that it is for."""
        return self.ufrag[6:7] if self.ufrag.startswith("server") else ""

    @property
    def prefix(self) -> str:
        """Of IPv4."""
        return self.source.host.rpartition(".")[0]


class OfConnections(OfTheMux):
    """Keeps the books of the connections that are open."""

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self.open: dict[SocketId, _Connection] = {}

    def after(self, moment: Moment) -> str | None:
        """In the order of what happens: what came, then what was sent and closed."""
        socket = moment.socket
        if moment.kind is InputKind.ACCEPTED and socket is not None and moment.path is not None:
            self.open[socket] = _Connection(moment.path[1], moment.now)
        known = None if socket is None else self.open.get(socket)
        if known is not None and moment.kind is InputKind.STREAM:
            for frame in known.heard.feed(moment.data):
                self._hear(known, frame, moment.now)
        elif known is not None and socket is not None and moment.kind is InputKind.FAILED:
            del self.open[socket]
        finding = None if known is None else self.judge_heard(known, moment)
        for action in moment.others:
            if isinstance(action, SendStream):
                to = self.open.get(action.socket)
                finding = finding or (None if to is None else self._judge_sent(to, action.data))
            elif isinstance(action, CloseSocket):
                self.open.pop(action.socket, None)
        return finding or self.judge(moment)

    def _hear(self, known: _Connection, frame: bytes, now: float) -> None:
        if known.heard_at == math.inf and frame:
            known.heard_at = now
            known.ufrag = _for_whom(read(frame))
        message = read(frame)
        if message is not None and message.message_class is MessageClass.REQUEST:
            ufrag = _for_whom(message)
            if message.verify(short_term_key(peer_of(ufrag).pwd)):
                known.asked[message.transaction_id] = ufrag
                known.unanswered[message.transaction_id] += 1

    def _judge_sent(self, to: _Connection, data: bytes) -> str | None:
        for frame in to.said.feed(data):
            message = read(frame)
            finding = self.judge_said(to, message, frame)
            if finding is not None:
                return finding
            if message is not None and message.message_class is not MessageClass.REQUEST and message.has_integrity:
                to.is_proven = True
        return None

    def judge_heard(self, known: _Connection, moment: Moment) -> str | None:
        """About what came over a connection."""
        return None

    def judge_said(self, to: _Connection, message: Message | None, frame: bytes) -> str | None:
        """About what the mux sends over a connection."""
        return None

    def judge(self, moment: Moment) -> str | None:
        """About all connections."""
        return None


class ConnectionsAreOneAgents(OfConnections):
    """See ``rule``."""

    rule = "a connection is that agent's alone whose ufrag and password its first check has (RFC 6544 7.2)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._numbers: dict[AgentId, str] = {}

    def after(self, moment: Moment) -> str | None:
        """Note who is who."""
        for name in self.mux.agents:
            self._numbers.setdefault(name, self.mux.agent(name).credentials.ufrag[6:7])
        return super().after(moment)

    def judge_heard(self, known: _Connection, moment: Moment) -> str | None:
        """Data goes to that agent only, and only from who knows its password."""
        for event in moment.events:
            if not isinstance(event, AgentEvent) or not isinstance(event.event, DataReceived):
                continue
            number = self._numbers.get(event.agent, "")
            if not known.asked:
                return f"agent {number} got data over a connection from {known.source} that nobody with a password made"
            if number != known.number or not event.event.data.startswith(f"client{number} ".encode()):
                return f"agent {number} got {event.event.data!r} over a connection whose first check is for {known.ufrag!r}"
        return None

    def judge_said(self, to: _Connection, message: Message | None, frame: bytes) -> str | None:
        """Answers are that agent's, and so are its own checks, and what it says."""
        if message is None:
            if to.is_proven and frame.startswith(f"server{to.number} ".encode()):
                return None
            return f"{frame!r} was sent over a connection whose first check is for {to.ufrag!r}"
        if message.message_class is MessageClass.REQUEST:
            ours = (message.get(USERNAME) or "").partition(":")[2]
            return None if ours[6:7] == to.number else f"a check of {ours!r} was sent over a connection for {to.ufrag!r}"
        if not message.has_integrity:
            return None
        ufrag = to.asked.get(message.transaction_id)
        if ufrag is None or ufrag[6:7] != to.number or not message.verify(short_term_key(peer_of(ufrag).pwd)):
            return f"what nobody with the password asked was answered over a connection for {to.ufrag!r}"
        to.unanswered[message.transaction_id] -= 1
        return f"a check for {ufrag!r} was answered twice" if to.unanswered[message.transaction_id] < 0 else None


class NobodyWaitsForLong(OfConnections):
    """See ``rule``."""

    rule = "a connection is closed where its first frame is late, or no check with the password of anybody; those are few"

    def judge(self, moment: Moment) -> str | None:
        """Whoever has proven nothing: how long he may stay, and how many are with him."""
        now, config = moment.now - moment.late, self.mux._config
        silent = [one for one in self.open.values() if one.heard_at == math.inf]
        for one in self.open.values():
            if one.is_proven:
                continue
            until = one.since + config.first_frame_timeout if one.heard_at == math.inf else one.heard_at + config.unknown_timeout
            if now > until + EPSILON:
                return f"a connection from {one.source} may wait until {until:.3f} s, and does at {now:.3f} s"
            if one.heard_at < now and self.mux.is_taken(one.ufrag):
                return f"a connection from {one.source} waits for {one.ufrag!r}, who is there"
        if len(silent) > config.max_silent:
            return f"{len(silent)} connections have said nothing"
        beside = max((sum(other.prefix == one.prefix for other in silent) for one in silent), default=0)
        if beside > config.max_silent_per_prefix:
            return f"{beside} connections of one network have said nothing"
        return None


class SocketsLeadSomewhere(OfTheMux):
    """See ``rule``."""

    rule = "every socket that is open is listened at, an agent's or a connection that waits; none is wanted that was closed"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._open: dict[SocketId, None] = dict.fromkeys(self.ends[0].node.sockets)

    def after(self, moment: Moment) -> str | None:
        """By what the driver was told and has told."""
        for action in moment.others:
            if isinstance(action, OpenSocket):
                self._open[action.socket] = None
        if moment.kind is InputKind.ACCEPTED and moment.socket is not None:
            self._open[moment.socket] = None
        elif moment.kind is InputKind.FAILED and moment.socket is not None:
            self._open.pop(moment.socket, None)
        for action in moment.others:
            if isinstance(action, CloseSocket):
                self._open.pop(action.socket, None)
        return self._judge()

    def _judge(self) -> str | None:
        inside = self.mux._residents
        door = inside.doorstep
        waiting = [*door._silent, *(one.socket for one in door._offered.values())]
        wanted = dict.fromkeys([*self.mux._listening.sockets, *inside.owners, *waiting])
        astray = [socket for socket in self._open if socket not in wanted]
        if astray:
            return f"socket {astray[0]} is open, and nobody's"
        gone = [socket for socket in wanted if socket not in self._open]
        if gone:
            return f"socket {gone[0]} is wanted, and closed"
        if sum(map(len, door._by_prefix.values())) != len(door._silent) or not all(door._by_prefix.values()):
            return f"{len(door._silent)} connections are silent, and by their networks {door._by_prefix}"
        return None


class OffersEndWithTheirConnection(UnknownUfragsAreOfferedOnce):
    """The same, but where the connection has gone over which a ufrag was asked for, it may be offered again: nobody has
    decided, and who asks again is to be heard. How often one network can have that done is bounded all the same.
    """

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._first: dict[SocketId, FrameReader | str] = {}

    def after(self, moment: Moment) -> str | None:
        """Connections first."""
        socket = moment.socket
        if socket is not None and moment.kind is InputKind.ACCEPTED:
            self._first[socket] = FrameReader()
        elif socket is not None and moment.kind is InputKind.STREAM and moment.data:
            reader = self._first.get(socket)
            if isinstance(reader, FrameReader):
                whole: Iterator[bytes] = (frame for frame in reader.feed(moment.data) if frame)
                self._first[socket] = next((_for_whom(read(frame)) for frame in whole), reader)
        elif socket is not None and moment.kind in (InputKind.STREAM, InputKind.FAILED):
            self._again(socket)
        finding = super().after(moment)
        for action in moment.others:
            if isinstance(action, CloseSocket):
                self._again(action.socket)
        return finding

    def _again(self, socket: SocketId) -> None:
        ufrag = self._first.pop(socket, None)
        if isinstance(ufrag, str) and not self.mux.is_taken(ufrag):
            self._not_before.pop(ufrag, None)


def _for_whom(message: Message | None) -> str:
    if message is None or message.message_class is not MessageClass.REQUEST:
        return ""
    return (message.get(USERNAME) or "").partition(":")[0]


DOOR_RULES = (
    ConnectionsAreOneAgents,
    NobodyWaitsForLong,
    SocketsLeadSomewhere,
    OffersEndWithTheirConnection,
    RoutesFollowEvidence,
    DataIsNobodyElses,
    EverybodyIsServed,
    TablesAreTidy,
)
