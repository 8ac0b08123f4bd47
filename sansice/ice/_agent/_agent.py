"""The ICE agent (RFC 8445): streams of components, over UDP.

`IceAgent` wires its parts together and decides nothing that one of them can decide: `Gatherer` finds local
candidates; each `Stream` has a `Checker`, which finds pairs that work, and a `Component` for each path that data
takes; `Session` is what they share. Here are the commands, the inputs, the pacing, and the path of the data; what may be read
of all that is in `AgentView`, and what is done about sockets in `AgentSockets`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from sansice.ice._candidate import Candidate
from sansice.ice._config import DEFAULT_CONFIG, IceConfig
from sansice.ice._data import FIRST_OF_DATA, MAX_DATAGRAM, as_bytes, check_data
from sansice.ice._description import Credentials, Description
from sansice.ice._errors import NotConnected
from sansice.ice._events import Closed, DataReceived, GatheringState, IceCause, IceState, Restarted
from sansice.ice._gathering._gatherer import Gatherer
from sansice.ice._gathering._host_list import HostsGiven
from sansice.ice._gathering._options import DEFAULT_OPTIONS, GatheringOptions
from sansice.ice._nomination import REGULAR, Nomination
from sansice.ice._pair import CandidatePair
from sansice.ice._policy import CandidatePolicy
from sansice.ice._role import IceRole
from sansice.ice._server import IceServer, read_servers
from sansice.ice._session_description import SessionDescription
from sansice.ice._telling._stats import IceStats
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    DecodeError,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    Ids,
    LocalProtocolError,
    QueryId,
    Record,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import Message, MessageClass, Method, decode_untrusted, is_stun

from ._agent_sockets import FREE, AgentSockets
from ._arguments import credentials_of, layout_of, policy_of
from ._checklist import unfreeze_initial
from ._checks import Checks
from ._component import Component
from ._generations import ufrag_of
from ._pacer import Pacer
from ._session import NAMES, OVER, PairNominated, Session, owner_of
from ._stream import Stream, Told
from ._turns import Turns

_BINDING, _REQUEST, _INDICATION = Method.BINDING, MessageClass.REQUEST, MessageClass.INDICATION
_ADDRESS_GONE = SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, "the machine has lost the address")
_PACE = -1  # a timer beside those of streams: one more transaction may start


class IceAgent(AgentSockets):
    """Connects with one other agent.

    Give it addresses with `gather`, tell the peer `local_description` (or `local_descriptions`, where there are several
    streams), tell the agent the peer's with `set_remote`; `PairValidated` says that `send` may be called, `PairSelected`
    which pair was chosen. What goes wrong on the network is an event or a counter in ``stats.dropped``, never an exception.

    Args:
        controlling: the first guess of the role; a conflict is settled by the protocol (RFC 8445 7.3.1.1).
        streams: how many.
        components: of each stream, or of each one its own number.
        servers: STUN and TURN servers: `IceServer` values or URLs such as ``"stun:stun.example.org"``.
        policy: what of its addresses the agent lets anybody see: a `CandidatePolicy` or its word.
        gathering: how candidates are gathered, as far as it is a matter of choice.
        credentials: used as given, of all streams or of each one its own; drawn from ``entropy`` otherwise.
        config: timers and bounds.
        nomination: which pair is chosen, when, and whether another may follow.
        entropy: the only source of randomness.
        pacer: shared with other agents of the process, if any.
        ids: shared with the machine that this one is part of, if any.

    Raises:
        LocalProtocolError: a server that cannot be used; a role that is no bool; numbers that do not fit.
    """

    __slots__ = ("_turns",)

    def __init__(
        self,
        *,
        controlling: bool,
        streams: int = 1,
        components: int | Sequence[int] = 1,
        servers: Iterable[IceServer | str] = (),
        policy: CandidatePolicy | str = CandidatePolicy.ALL,
        gathering: GatheringOptions = DEFAULT_OPTIONS,
        credentials: Credentials | Sequence[Credentials] | None = None,
        config: IceConfig = DEFAULT_CONFIG,
        nomination: Nomination = REGULAR,
        pacer: Pacer | None = None,
        entropy: Entropy = os.urandom,
        ids: Ids | None = None,
    ) -> None:
        if not isinstance(controlling, bool):
            raise LocalProtocolError(f"controlling: True or False, not {controlling!r}")
        layout, hidden = layout_of(streams, components), policy_of(policy)
        ids = ids or Ids()
        super().__init__()
        self._session = Session(
            role=IceRole.CONTROLLING if controlling else IceRole.CONTROLLED,
            config=config,
            nomination=nomination,
            entropy=entropy,
            ids=ids,
            outputs=self._outputs,
        )
        self.stats: IceStats = self._session.stats
        self._gatherer = Gatherer(
            servers=read_servers(servers),
            ids=ids,
            foundations=self._session.foundations,
            config=config,
            entropy=entropy,
            layout=layout,
            options=gathering,
            policy=hidden,
            drop=self._session.drop,
        )
        self._relaying = None
        if self._gatherer.relays is not None:
            from ._relaying import Relaying

            self._relaying = Relaying(self._gatherer, self._gatherer.relays, self._outputs, self._pass_on)
        self._checks = Checks(self._session)
        own = credentials_of(credentials, len(layout), entropy)
        self._session.draw_tiebreaker()
        self._streams = tuple(
            [Stream(self._session, self._checks, index, count, own[index]) for index, count in enumerate(layout)]
        )
        self._turns = Turns(pacer)
        self._ungathered = ()
        self._sockets = {}

    # ------------------------------------------------------------- commands

    def gather(self, addresses: HostsGiven, *, include_loopback: bool | None = None, now: float) -> None:
        """Open sockets for each usable address, one a component, and ask the servers through them (RFC 8445 5.1.1).

        Candidates come as `CandidateGathered`; `GatheringCompleted` ends them, exactly once.

        Args:
            addresses: the machine's own, as literals or `HostAddress` values, which say more; `usable_addresses` tells what is
                left out, and `GatheringOptions` what is preferred.
            include_loopback: ``None``: loopback only where there is nothing else.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: a second call without a restart, an agent that is closed or has failed, an address that is none.
        """
        self._require_live()
        if self._gatherer.state is not GatheringState.NEW and not self._ungathered:
            raise LocalProtocolError("gather() was called before")
        hosts = self._gatherer.choose(addresses, include_loopback)
        self._begin_gathering(hosts, now)
        self._settle(now)

    def update_addresses(self, addresses: HostsGiven, *, include_loopback: bool | None = None, now: float) -> None:
        """The machine has other addresses now (RFC 8445 5.1.1.4).

        Sockets of addresses that are gone are closed, with all candidates and pairs that are based on them; if a selected
        pair was, its stream fails, unless renomination moves it, and a `restart` revives it. From new addresses the agent
        gathers and checks; those found after `GatheringCompleted` are told with the next restart.

        Args:
            addresses: all that there are, as for `gather`.
            include_loopback: as for `gather`.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: before `gather`, on an agent that is closed, an address that is none.
        """
        self._require_open()
        if self._gatherer.state is GatheringState.NEW:
            raise LocalProtocolError("update_addresses(): gather() comes first")
        hosts = self._gatherer.choose(addresses, include_loopback)
        self._forget_servers(hosts.names, asked_again=False)
        for socket in self._gatherer.update(hosts, now=now):
            component = self._sockets[socket]
            self._close_socket(socket, CloseMode.RESET, now)
            self._lose_socket(component, socket, _ADDRESS_GONE, now)
        self._know_sockets()
        self._settle(now)

    def set_remote(self, description: Description | SessionDescription, *, now: float) -> None:
        """Know the peer, and begin to check (RFC 8445 6).

        A second call with the same credentials adds what is new in it. Other credentials are the peer's restart (RFC 8445
        9): the stream gets new local credentials too, and `Restarted` says that the peer is to be told them, unless this is
        the answer to a restart of ours. What is of a generation that is over is ignored, and counted. So is nothing else
        changed where somebody else answers the description that was sent before (forking, RFC 8445 7.3.1.4), which a check
        of his has proven: the agent turns to him, with the same local credentials.

        Raises:
            LocalProtocolError: this agent's own description, one that changes only half of the credentials, or full to
                lite without a restart, a ufrag that is too long together with the agent's, not as many streams as the
                agent has, or an agent that is closed; or one that has failed, and the credentials are none that it does
                not know.
        """
        self._require_open()
        if not isinstance(description, (Description, SessionDescription)):
            raise LocalProtocolError(f"set_remote(): a Description, not {description!r:.40} (Description.from_json reads text)")
        described = (description,) if isinstance(description, Description) else description.streams
        if len(described) != len(self._streams):
            raise LocalProtocolError(f"set_remote(): {len(described)} streams, and the agent has {len(self._streams)}")
        looks = [(stream, one, stream.look_at(one)) for stream, one in zip(self._streams, described, strict=True)]
        if not any(told in (Told.NEXT, Told.OF_ANOTHER) or not stream.is_over for stream, _, told in looks):
            self._require_live()
        session, patience_ends = self._session, now + self._session.config.pac_timeout
        self._restart(
            [
                (stream, stream.checker.credentials if told is Told.OF_ANOTHER else Credentials.generate(session.entropy))
                for stream, _, told in looks
                if told in (Told.NEXT, Told.OF_ANOTHER)
            ],
            by_peer=True,
        )
        beginning = [stream for stream, _, told in looks if told in (Told.FIRST, Told.NEXT, Told.OF_ANOTHER)]
        for stream, one, told in looks:
            if told is Told.PAST:
                self.stats.drop(DropReason.OLD_GENERATION)
                continue
            if told is Told.SAME:
                stream.add_described(one)
            else:
                pacing = 50 if one.pacing is None else one.pacing
                session.ta = max(session.config.ta, min(pacing / 1000, session.config.max_ta))  # RFC 8445 14.2
                stream.set_remote(one, patience_ends)
            stream.remote_complete = stream.remote_complete or one.end_of_candidates
            self._reconsider(stream, now)
        if beginning:
            unfreeze_initial(session.lists)
        for stream in beginning:
            stream.checker.take_up_early(now=now)
            session.move(stream.index, IceCause.START)
        self._permit(now)
        self._settle(now)

    def add_remote_candidate(self, candidate: Candidate, *, stream: int = 0, ufrag: str | None = None, now: float) -> bool:
        """Add a candidate that the peer trickled (RFC 8838), before or after its description.

        Args:
            candidate: as the peer told it.
            stream: of which stream.
            ufrag: the generation that it belongs to (RFC 8838 11), where that is known; else what the candidate says itself,
                as browsers have it in an extension; else the present one.
            now: monotonic seconds.

        Returns:
            Whether it is used, or kept for a description that is still to come. Not used are: TCP, a component that the
            stream has not, a name under .local, port 0, an address that cannot be sent to, a duplicate, what
            comes after end-of-candidates, what belongs to an earlier generation, and candidates beyond
            ``max_remote_candidates``.

        Raises:
            LocalProtocolError: not a `Candidate`, no such stream, or on an agent that is closed or has failed.
        """
        self._require_live()
        if not isinstance(candidate, Candidate):
            raise LocalProtocolError(
                f"add_remote_candidate(): a Candidate, not {candidate!r:.40} (Candidate.from_sdp reads text)"
            )
        used = self._stream(stream).add_remote(candidate, ufrag_of(candidate) if ufrag is None else ufrag)
        self._permit(now)
        self._settle(now)
        return used

    def end_of_candidates(self, *, stream: int | None = None, ufrag: str | None = None, now: float) -> None:
        """The peer has no more candidates (RFC 8838 13), for one stream or for all; saying it twice is harmless.

        Args:
            stream: of which stream; ``None``: of all.
            ufrag: the generation that it is said of; ``None``: the present one.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: no such stream, or the agent is closed or has failed.
        """
        self._require_live()
        for one in self._streams if stream is None else (self._stream(stream),):
            one.end_of_candidates(ufrag)
            self._reconsider(one, now)
        self._settle(now)

    def _reconsider(self, stream: Stream, now: float) -> None:
        """The peer has told all candidates: it may have fewer components (RFC 8445 6.1.2.2), and all that it has be done."""
        if stream.is_complete_now:
            stream.complete()
            self._conclude(now)

    def send(self, data: bytes, *, stream: int = 0, component: int = 1, now: float) -> None:
        """Send a datagram on the selected pair, or on the best valid one before (RFC 8445 12.1).

        Raises:
            NotConnected: no pair is valid; a LocalProtocolError.
            LocalProtocolError: not bytes, no such stream or component, an empty datagram, one above 65,507 bytes, or one
                that the peer would take for STUN.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        of = self._streams[0].components[0] if stream == 0 and component == 1 else self._component(stream, component)
        path = of.path
        if path is None or now >= of.until or not data or data[0] < FIRST_OF_DATA or len(data) > MAX_DATAGRAM:
            path = self._check_send(data, of, now)
        if self._relaying is None or not self._relaying.is_virtual(path[0]):
            self._outputs.append(SendDatagram(path[0], path[1], data))
        else:
            if not self._relaying.send(path[0], path[1], data, now=now):
                of.carried.discarded += 1
                return
        carried = of.carried
        carried.last_sent = now
        carried.packets_sent += 1
        carried.bytes_sent += len(data)

    def _check_send(self, data: bytes, component: Component, now: float) -> tuple[SocketId, Address]:
        check_data(data)
        if component.path is None:
            raise NotConnected(f"send(): no pair is valid; ICE is {self.state.value}")
        if now >= component.until:  # and the timer that tells so has not been called yet
            raise NotConnected("send(): consent has expired (RFC 7675)")
        return component.path

    def nominate(self, pair: CandidatePair, *, stream: int = 0, now: float) -> None:
        """Nominate a valid pair, whatever the policy prefers; `PairSelected` tells that the peer has agreed.

        The policy goes on choosing: one whose ``choose`` says nothing leaves it all to this method.

        Args:
            pair: one of `pairs`, or that of a `PairValidated`.
            stream: which the pair is of.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: this agent is controlled; the pair is not valid; one was nominated before, and not both
                agents offer renomination (RFC 8445 8.1.1); no such stream; the agent is closed or has failed.
        """
        self._require_live()
        if not isinstance(pair, CandidatePair):
            raise LocalProtocolError(f"nominate(): a CandidatePair, not {pair!r:.40}")
        if self.role is not IceRole.CONTROLLING:
            raise LocalProtocolError("nominate(): this agent is controlled; the peer nominates (RFC 8445 8.1.1)")
        conclusions = self._stream(stream).checker.conclusions
        if pair.local.component > len(conclusions):
            raise LocalProtocolError(f"nominate(): stream {stream} has no component {pair.local.component}")
        conclusions[pair.local.component - 1].start_named(pair, now)
        self._settle(now)

    def restart(
        self, *, stream: int | None = None, credentials: Credentials | Sequence[Credentials] | None = None, now: float
    ) -> Credentials:
        """Start again with new credentials (RFC 8445 9): tell the peer `local_description`, and `gather` again.

        Data goes on over the pair in use, as long as the peer consents, until another one is selected. That is "during the
        restart" only: one that finds nothing ends the stream (RFC 8445 7.2.5.4), old pair and all, for the peer has given up
        these credentials as well; the next restart revives it. The role is kept. A restart whose description the peer has not
        answered yet is not begun anew: two that cross become one.

        Args:
            stream: which one; ``None``: all.
            credentials: used as given, of all these streams or of each one its own; drawn otherwise.
            now: monotonic seconds.

        Returns:
            The new credentials, of the first of these streams; `describe` has the others'.

        Raises:
            LocalProtocolError: the agent is closed, no such stream, or credentials of which a half is the present one's.
        """
        self._require_open()
        restarting = self._streams if stream is None else (self._stream(stream),)
        given: Sequence[Credentials | None] = (None,) * len(restarting)
        if credentials is not None:
            given = credentials_of(credentials, len(restarting), self._session.entropy)
            for one, new in zip(restarting, given, strict=True):
                own = one.checker.credentials
                if new.ufrag == own.ufrag or new.pwd == own.pwd:
                    raise LocalProtocolError("restart(): both ice-ufrag and ice-pwd must be new (RFC 8445 9)")
        self._restart(
            [
                (one, new or Credentials.generate(self._session.entropy))
                for one, new in zip(restarting, given, strict=True)
                if new is not None or not one.awaits_answer
            ],
            by_peer=False,
        )
        self._settle(now)
        return restarting[0].checker.credentials

    def _restart(self, restarting: Sequence[tuple[Stream, Credentials]], *, by_peer: bool) -> None:
        for stream, credentials in restarting:
            is_new = credentials != stream.checker.credentials
            stream.restart(credentials)
            self._session.timers.cancel(FREE)
            if is_new:
                self._ungathered = tuple(sorted({*self._ungathered, stream.index}))
                self._outputs.append(Restarted(stream.index, credentials, by_peer))

    def close(self, *, now: float) -> None:
        """Close all sockets and end. `Closed` is the last event; a second call is harmless."""
        if self.state is IceState.CLOSED:
            return
        for stream in self._streams:
            stream.stop()
        self._wind_up(now)
        for socket in tuple(self._sockets):
            self._close_socket(socket, CloseMode.FLUSH, now)
        self._pass_on(now)
        for stream in self._streams:
            self._session.move(stream.index, IceCause.CLOSE)
        self._outputs.append(Closed())

    # ------------------------------------------------------------- inputs

    def take_outputs(self) -> list[Action | Event]:
        """What is to be done and known, in order."""
        outputs = self._outputs.copy()
        if outputs:
            self._outputs.clear()  # it stays the same list, for the parts write into it
        return outputs

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A host candidate's socket is open."""
        if socket in self._gatherer.opening and self.state not in OVER:
            self._gatherer.handle_socket_opened(socket, local, now=now)
            self._settle(now)
        elif socket in self._sockets and self._sockets[socket].conclusion.pairing.local_on(socket) is None:
            self._close_socket(socket, CloseMode.RESET, now)  # it took longer than gathering may
        elif self._relaying is not None:
            self._gatherer.handle_socket_opened(socket, local, now=now)
            self._settle(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """That address is of no use, or of no more use."""
        component = self._sockets.get(socket)
        if self._relaying is None and component is None:
            return
        self._gatherer.handle_socket_failed(socket, error, now=now)
        self._know_sockets()  # another port may be tried
        if component is not None:
            del self._sockets[socket]
            self._lose_socket(component, socket, error, now)
        self._settle(now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """What a TURN server sends over TCP or TLS."""
        if self._relaying is not None:
            for where, batch in self._relaying.unwrap_stream(socket, data, now):
                self._receive(where, batch, now)
            if self._relaying.take_news(now):
                self._settle(now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """How much of what goes to a TURN server still waits here."""
        if self._relaying is not None:
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
                deliver(DataReceived(component.stream, component.number, data))
            else:
                stats.drop(DropReason.UNVALIDATED_SOURCE)
        if packets:
            carried = component.carried
            carried.packets_received += packets
            carried.bytes_received += size
            carried.last_received = now
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
                    return True
        return False

    def _handle_own_timer(self, timer: int, now: float) -> None:
        if timer == FREE:
            self._free_unselected(now)
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
            if len(self._sockets) > in_use or any(stream.has_former for stream in self._streams):
                self._session.timers.set(FREE, now + self._session.config.free_delay)

    def _wind_up(self, now: float) -> None:
        """All streams have ended."""
        self._gatherer.stop(now=now)
        if self._relaying is not None:
            self._relaying.close(now)
        self._session.timers.clear()
        self._pass_on(now)  # GatheringCompleted, if it was still to come
