"""The inputs of the full agent: what the world tells it, what follows of that, and the pacing of what it starts.

`AgentInputs` wires the parts together and decides nothing that one of them can decide: `Gatherer` finds local candidates; each
`Stream` has a `Checker`, which finds pairs that work, and a `Component` for each path that data takes; `Session` is what they
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sansice.ice._events import DataReceived, GatheringState, IceState
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    DecodeError,
    DropReason,
    Event,
    IcmpError,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
)
from sansice.stun import Message, MessageClass, Method, decode_untrusted, is_stun

from ._agent_sockets import FREE, MOVE, AgentSockets
from ._component import Component
from ._session import NAMES, OVER, TCP, PairNominated, owner_of
from ._turns import Turns

if TYPE_CHECKING:
    from ._relaying import Relaying

_BINDING, _REQUEST, _INDICATION = Method.BINDING, MessageClass.REQUEST, MessageClass.INDICATION
_PACE = -1  # a timer beside those of streams: one more transaction may start


class AgentInputs(AgentSockets):
    """The part of `IceAgent` that is fed; applications use that, not this."""

    __slots__ = ("_turns",)

    _turns: Turns

    # ------------------------------------------------------------- inputs

    def take_outputs(self) -> list[Action | Event]:
        """What is to be done and known, in order."""
        outputs = self._outputs.copy()
        if outputs:
            self._outputs.clear()  # it stays the same list, for the parts write into it
        return outputs

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A host candidate's socket is open, or a connection that a check was waiting for."""
        if self._tcp is not None and self._tcp.has(socket):
            self._tcp.opened(socket, now)
        elif socket in self._gatherer.opening and self.state not in OVER:
            self._gatherer.handle_socket_opened(socket, local, now=now)
            self._settle(now)
        elif socket in self._sockets and self._sockets[socket].conclusion.pairing.local_on(socket) is None:
            self._close_socket(socket, CloseMode.RESET, now)  # it took longer than gathering may
        elif self._relaying is not None:
            self._gatherer.handle_socket_opened(socket, local, now=now)
            self._settle(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """That address is of no use, or of no more use; or a connection is not there."""
        if self._tcp is not None and self._tcp.has(socket):
            self._tcp.failed(socket, error, now)
            self._settle(now)
            return
        component = self._sockets.get(socket)
        if self._relaying is None and component is None:
            return
        self._gatherer.handle_socket_failed(socket, error, now=now)
        self._know_sockets()  # another port may be tried
        if component is not None:
            del self._sockets[socket]
            if self._tcp is not None and self._tcp.is_base(socket):
                self._tcp.lose_base(socket)
            self._lose_socket(component, socket, error, now)
        self._settle(now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """A peer, or anybody else, has connected to a TCP candidate (RFC 6544 7.2)."""
        component = self._sockets.get(listener)
        if self._tcp is None:
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
        else:
            is_wanted = component is not None and self._session.states[component.stream] not in OVER
            self._tcp.accept(listener, socket, remote, is_wanted=is_wanted, now=now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """What a TURN server sends over TCP or TLS, or a peer over TCP."""
        if self._tcp is not None and self._tcp.has(socket):
            for where, batch in self._tcp.unwrap(socket, data, now):
                self._receive(where, batch, now)
            self._settle(now)
        elif self._relaying is not None:
            for where, batch in self._relaying.unwrap_stream(socket, data, now):
                self._receive(where, batch, now)
            if self._relaying.take_news(now):
                self._settle(now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """How much of what goes to a TURN server, or to a peer over TCP, still waits here."""
        if self._tcp is not None and self._tcp.has(socket):
            self._tcp.sent(socket, unsent)
        elif self._relaying is not None:
            self._relaying.handle_stream_sent(socket, unsent, now=now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A hard error fails the check or the question that caused it; data is not affected."""
        if error.is_hard and (self._relaying is not None or self.state not in OVER):
            self._gatherer.handle_icmp(socket, destination, error, now=now)
            self._checks.handle_unreachable(socket, destination, now=now)
            self._settle(now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """STUN is acted on; data is delivered from addresses that an authenticated check of this session used."""
        if self._relaying is None or not self._relaying.carries(socket):
            self._receive(socket, batch, now)
            return
        for where, part in self._relaying.unwrap(socket, batch, now):
            self._receive(where, part, now)
        if self._relaying.take_news(now):
            self._settle(now)

    def _receive(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], now: float) -> None:
        component = self._sockets.get(socket)
        if component is not None and now >= component.until:
            self.handle_timer(now=now)  # it is late, and what comes now may no longer be answered (RFC 7675 5.1)
        if component is None or self._session.states[component.stream] in OVER:
            is_closed = self.state in OVER or component is not None
            self.stats.dropped[DropReason.CLOSED if is_closed else DropReason.UNKNOWN_SOCKET] += len(batch)
            return
        stats, deliver = self.stats, self._outputs.append
        usual = component.source_on(socket)
        was_stun, packets, size = False, 0, 0
        for position, (source, data) in enumerate(batch, 1):
            if is_stun(data):
                was_stun = True
                _count(component, packets, size, now)  # before another pair is in use
                packets = size = 0
                self._handle_stun(component, socket, source, data, now)
                if self._session.states[component.stream] in OVER:  # it revoked consent
                    stats.dropped[DropReason.CLOSED] += len(batch) - position
                    break
                usual = component.source_on(socket)
            elif not data:
                stats.drop(DropReason.EMPTY)
            elif source == usual:
                packets += 1
                size += len(data)
                deliver(DataReceived(component.stream, component.number, data))
            elif component.is_trusted(source):
                self._count_stray(component, socket, source, data, now)
                if component.is_of_former:
                    _count(component, packets, size, now)
                    packets = size = 0
                    self._streams[component.stream].follow_data(component, socket, source, now)
                    usual = component.source_on(socket)
                deliver(DataReceived(component.stream, component.number, data))
            else:
                stats.drop(DropReason.UNVALIDATED_SOURCE)
        _count(component, packets, size, now)
        if was_stun:
            self._settle(now)

    def _count_stray(self, component: Component, socket: SocketId, source: Address, data: bytes, now: float) -> None:
        """A datagram came over another pair than the one in use."""
        pair = self._streams[component.stream].find_pair(socket, source)
        component.ledger.stray(None if pair is None else pair.tally, len(data), now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """The DNS says where a server is, or one of the peer's candidates, or that there is none."""
        if self.state not in OVER:
            self._gatherer.handle_resolved(query, answer, now=now)
            if self._session.names is not None:
                self._session.names.handle_resolved(query, answer, now=now)
            self._settle(now)

    def handle_timer(self, *, now: float) -> None:
        """Whatever is due."""
        while True:
            if self._expire_consent(now):  # before all else: nothing may be sent (RFC 7675 5.1)
                pass
            elif self._gatherer.deadline() <= now:
                self._gatherer.handle_timer(now=now)
            elif self._checks.deadline() <= now:
                self._checks.handle_timer(now=now)
            elif (timer := self._session.timers.pop_due(now)) is not None:
                self._handle_own_timer(timer, now)
            else:
                return
            self._settle(now)

    def _expire_consent(self, now: float) -> bool:
        for stream in self._streams:
            for component in stream.components:
                if now >= component.until:
                    stream.expire(component, revoked=False, now=now)
                    if stream.is_over:  # new credentials are all that helps (RFC 7675 5.1)
                        self._have_moving().tell_of(stream)
                    return True
        return False

    def _handle_own_timer(self, timer: int, now: float) -> None:
        if timer == FREE:
            self._free_unselected(now)
        elif timer == MOVE:
            if self._moving is not None and self._moving.waiting is not None and self.state is not IceState.CLOSED:
                self._move_to(self._moving.waiting, now)
        elif timer == TCP and self._tcp is not None:
            self._tcp.handle_timer(now)
        elif timer == NAMES and self._session.names is not None:
            self._session.names.handle_timer(now=now)
        elif timer >= 0:
            index, number, is_nomination = owner_of(timer)
            stream = self._streams[index]
            if not number:
                stream.patience_over = True
            elif is_nomination:
                stream.checker.conclusions[number - 1].consider(now)
            else:
                stream.components[number - 1].handle_timer(now=now)

    def deadline(self) -> float:
        """The earliest of all that is planned."""
        # Asked, not copied into one table: they change with almost every datagram, and there are three.
        return min(self._session.timers.earliest, self._gatherer.deadline(), self._checks.deadline())

    # ------------------------------------------------------------- STUN

    def _handle_stun(self, component: Component, socket: SocketId, source: Address, data: bytes, now: float) -> None:
        try:
            message = decode_untrusted(data)
        except DecodeError as error:
            self.stats.drop(error.reason)
            return
        if message.method is not _BINDING:
            self.stats.drop(DropReason.UNKNOWN_METHOD)
        elif message.message_class is _REQUEST:
            if message.has_fingerprint:
                self._streams[component.stream].handle_request(component, socket, source, message, now=now)
            else:  # RFC 8445 7.2.4: every check has one
                self.stats.drop(DropReason.BAD_FINGERPRINT)
        elif message.message_class is not _INDICATION:  # an indication is a keepalive (RFC 8445 11)
            self._handle_response(component, socket, source, message, now)
        if self._session.news:  # what follows in the batch comes after what this one changed
            self._act_on_news(now)

    def _handle_response(self, component: Component, socket: SocketId, source: Address, message: Message, now: float) -> None:
        if self._gatherer.handle_response(socket, source, message, now=now):
            return
        if not message.has_fingerprint:  # RFC 8445 7.2.4, 7.3: only a STUN server may do without
            self.stats.drop(DropReason.BAD_FINGERPRINT)
        elif not self._checks.handle_response(socket, source, message, now=now):
            self._streams[component.stream].handle_response(component, socket, source, message, now=now)

    # ------------------------------------------------------------- the parts, and what they share

    def _settle(self, now: float) -> None:
        """Act on what became of pairs, start what the pacing allows, and plan the next deadline."""
        session, turns = self._session, self._turns
        self._pass_on(now)
        if session.has_discovered:
            session.has_discovered = False
            self._permit(now)
        if session.names is not None:
            session.follow(session.names, now)
        if session.news or session.is_to_consider:
            self._act_on_news(now)
        while turns.has_come(now, wanted := self._has_next()):
            self._start_next(now)
            turns.take(now, session.ta)
        if wanted and now < turns.at:
            session.timers.set(_PACE, turns.at)
        else:
            session.timers.cancel(_PACE)  # what waited may have become needless
        for stream in self._streams:
            if stream.patience_over:
                stream.fail_if_hopeless(self._gatherer.state is GatheringState.GATHERING)
        if session.state is IceState.FAILED:
            self._wind_up(now)
        elif session.has_failed:
            session.has_failed = False
            self._conclude(now)  # the others may have waited for that one only
        if self._relaying is not None:
            self._relaying.wrap_outputs(now)
        if self._tcp is not None:
            self._tcp.wrap_outputs(now)
            if self._tcp.losses:
                self._act_on_losses(self._tcp, now)
                self._settle(now)

    def _has_next(self) -> bool:
        return self._session.state not in OVER and (self._session.has_next() or self._gatherer.has_next())

    def _start_next(self, now: float) -> None:
        """A check before a question to a server: somebody waits for it."""
        chosen = self._session.next_pair()
        if chosen is not None:
            stream, pair = chosen
            self._streams[stream].checker.check(pair, now=now)
            return
        self._gatherer.start_next(now=now)
        self._pass_on(now)
        self._act_on_news(now)

    def _act_on_news(self, now: float) -> None:
        session = self._session
        if session.is_to_consider:
            session.is_to_consider = False
            for stream in self._streams:
                stream.checker.consider(now)
        while session.news:
            news, session.news = session.news, ()
            for one in news:
                self._streams[one.pair.local.stream].take(one, now)
                if type(one) is PairNominated:
                    self._conclude(now)
                    if self._relaying is not None:
                        self._relaying.select(one.pair.local.socket, one.pair.remote_address, now)

    def _conclude(self, now: float) -> None:
        """Once all streams have selected, nothing else is needed (RFC 8445 8.3)."""
        if all(stream.is_selected or stream.is_over for stream in self._streams):
            if not self._is_moving:
                self._gatherer.stop(now=now)  # RFC 8445 5.1.1.4: bindings are kept until ICE completes
                self._pass_on(now)
            in_use = sum([len(stream.wanted) for stream in self._streams])
            if len(self._sockets) > in_use or self._tcp is not None or any(stream.has_former for stream in self._streams):
                self._session.timers.set(FREE, now + self._session.config.free_delay)

    def _wind_up(self, now: float) -> None:
        """All streams have ended."""
        self._gatherer.stop(now=now)
        if self._relaying is not None:
            self._give_back_relays(self._relaying, now)
        if self._tcp is not None:
            self._tcp.close_all()
        self._session.timers.clear()
        self._pass_on(now)  # GatheringCompleted, if it was still to come

    def _give_back_relays(self, relaying: Relaying, now: float) -> None:
        """No restart may begin with what is given back: its checks would go nowhere, and others wait for them as their like."""
        for socket in [one for one in self._sockets if relaying.is_virtual(one)]:
            self._streams[self._sockets.pop(socket).stream].checker.forget_local(socket)
        relaying.close(now)


def _count(component: Component, packets: int, size: int, now: float) -> None:
    """So many datagrams came over the pair in use."""
    if packets:
        carried = component.carried
        carried.packets_received += packets
        carried.bytes_received += size
        carried.last_received = now
