"""The ICE agent (RFC 8445): streams of components, over UDP.

`IceAgent` wires its parts together and decides nothing that one of them can decide: `Gatherer` finds local
candidates; each `Stream` has a `Checker`, which finds pairs that work, and a `Component` for each path that data
takes; `Session` is what they share. Here are the commands, the inputs, the pacing, and the path of the data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sansice.ice._candidate import Candidate
from sansice.ice._config import DEFAULT_CONFIG, IceConfig
from sansice.ice._data import FIRST_OF_DATA, MAX_DATAGRAM, as_bytes, check_data
from sansice.ice._description import Credentials, Description
from sansice.ice._errors import ConsentLost, IceClosed, IceError, IceFailed, NotConnected
from sansice.ice._events import CandidateGathered, Closed, DataReceived, GatheringState, IceCause, IceState
from sansice.ice._gathering._gatherer import Gatherer, LocalLost, PeerUnreachable
from sansice.ice._gathering._host_list import HostsGiven
from sansice.ice._gathering._local_candidates import LocalFound
from sansice.ice._gathering._options import DEFAULT_OPTIONS, GatheringOptions
from sansice.ice._mtu import data_mtu
from sansice.ice._nomination import REGULAR, RENOMINATION, Nomination
from sansice.ice._pair import CandidatePair
from sansice.ice._policy import CandidatePolicy
from sansice.ice._role import IceRole
from sansice.ice._server import IceServer, read_servers
from sansice.ice._session_description import SessionDescription
from sansice.ice._telling._explain import explain
from sansice.ice._telling._stats import IceStats
from sansice.machine import (
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
    QueryId,
    Record,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import Message, MessageClass, Method, decode_untrusted, is_stun

from ._arguments import check_remote, credentials_of, layout_of, policy_of
from ._checks import Checks
from ._component import Component
from ._session import NAMES, OVER, PairNominated, Session, owner_of
from ._stream import Stream

if TYPE_CHECKING:
    from ._relaying import Relaying

_BINDING, _REQUEST, _INDICATION = Method.BINDING, MessageClass.REQUEST, MessageClass.INDICATION
_PACE, _FREE = -1, -2  # timers beside those of streams: one more transaction may start; unselected candidates are released


class IceAgent(Machine):
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
        ids: shared with the machine that this one is part of, if any.

    Raises:
        LocalProtocolError: a server that cannot be used; a role that is no bool; numbers that do not fit.
    """

    __slots__ = ("_checks", "_gatherer", "_next_slot", "_relaying", "_session", "_sockets", "_streams", "stats")

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
            drop=self._drop,
        )
        self._relaying: Relaying | None = None
        if self._gatherer.relays is not None:
            from ._relaying import Relaying

            self._relaying = Relaying(self._gatherer, self._gatherer.relays, self._outputs, self._pass_on)
        self._checks = Checks(self._session)
        own = credentials_of(credentials, len(layout), entropy)
        self._session.draw_tiebreaker()
        self._streams = tuple(
            [Stream(self._session, self._checks, index, count, own[index]) for index, count in enumerate(layout)]
        )
        self._next_slot = -math.inf  # the first check goes out at once (RFC 8445 6.1.4.2)
        self._sockets: dict[SocketId, Component] = {}  # in the order of opening

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> IceState:
        """The state, in W3C's words; of several streams the joint one, as in ``RTCIceConnectionState``."""
        return self._session.state

    @property
    def states(self) -> tuple[IceState, ...]:
        """The state of each stream."""
        return tuple(self._session.states)

    @property
    def gathering_state(self) -> GatheringState:
        """How far gathering is."""
        return self._gatherer.state

    @property
    def role(self) -> IceRole:
        """The role of this moment; a conflict may have changed it."""
        return self._session.role

    @property
    def components(self) -> tuple[int, ...]:
        """How many components each stream has."""
        return tuple(len(stream.components) for stream in self._streams)

    @property
    def credentials(self) -> Credentials:
        """Ours, of the first stream; the others' are in `local_descriptions`."""
        return self._streams[0].checker.credentials

    @property
    def writable(self) -> bool:
        """Whether `send` would send on the first component of the first stream: from the first valid pair on."""
        return self._streams[0].components[0].path is not None

    def is_writable(self, stream: int = 0, component: int = 1) -> bool:
        """Whether `send` would send there, from the first valid pair on, until consent is lost.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        return self._component(stream, component).path is not None

    @property
    def selected_pair(self) -> CandidatePair | None:
        """The nominated pair of the first component of the first stream, once there is one."""
        return self.selected_pair_of(0, 1)

    def selected_pair_of(self, stream: int = 0, component: int = 1) -> CandidatePair | None:
        """The nominated pair, once there is one.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        selected = self._component(stream, component).conclusion.selected
        return None if selected is None else selected.snapshot()

    def path_of(self, stream: int = 0, component: int = 1) -> tuple[SocketId, Address] | None:
        """The socket and the address that `send` would use, from the first valid pair on.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        return self._component(stream, component).path

    @property
    def data_mtu(self) -> int | None:
        """As `data_mtu_of`, of the first component of the first stream."""
        return self.data_mtu_of(0, 1)

    def data_mtu_of(self, stream: int = 0, component: int = 1) -> int | None:
        """Bytes of data that one packet carries there, if the path's packets are as large as ``IceConfig.path_mtu``.

        ``None`` where nothing is connected. `send` takes more, which IP cuts in pieces, and many a path drops those.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        used = self._component(stream, component).used
        return None if used is None else data_mtu(used, self._session.config.path_mtu)

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What was gathered so far, in order, of all streams."""
        return self._gatherer.candidates

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the peer told and what its checks revealed, in order of arrival, stream by stream."""
        return tuple(
            candidate
            for stream in self._streams
            for conclusion in stream.checker.conclusions
            for candidate in conclusion.pairing.remotes.values()
        )

    @property
    def pairs(self) -> tuple[CandidatePair, ...]:
        """The checklists, stream by stream, each by decreasing priority."""
        return tuple(pair.snapshot() for checklist in self._session.lists for pair in checklist)

    @property
    def local_description(self) -> Description:
        """What the peer must be told of the first stream; complete once `gathering_state` is."""
        return self.describe(0)

    @property
    def local_descriptions(self) -> SessionDescription:
        """What the peer must be told of all streams; complete once `gathering_state` is."""
        return SessionDescription(tuple(self.describe(stream.index) for stream in self._streams))

    def describe(self, stream: int = 0) -> Description:
        """What the peer must be told of one stream.

        Raises:
            LocalProtocolError: no such stream.
        """
        own = self._stream(stream).checker.credentials
        return Description(
            own.ufrag,
            own.pwd,
            candidates=self._gatherer.candidates_of(stream),
            options=("ice2", RENOMINATION) if self._session.nomination.renominate else ("ice2",),  # RFC 8445 10
            pacing=round(self._session.config.ta * 1000),
            end_of_candidates=self.gathering_state is GatheringState.COMPLETE,
        )

    @property
    def failure(self) -> IceError | None:
        """What waiting for this agent must raise, the same in every adapter; ``None`` while it lives.

        `IceFailed` if nothing connected or the socket in use died, `ConsentLost` if the peer fell silent or said so,
        `IceClosed` after `close`.
        """
        if self.state is IceState.CLOSED:
            return IceClosed("the connection is closed")
        if self.state is not IceState.FAILED:
            return None
        stream = self._streams[0]
        if not stream.is_selected:
            return IceFailed(self.explain())
        if stream.lost_socket is not None:
            return IceFailed(
                f"the socket in use was lost: {stream.lost_socket.text or stream.lost_socket.kind.value}\n{self.explain()}"
            )
        return ConsentLost("the peer no longer consents to receive; only a new connection can reach it")

    def explain(self) -> str:
        """What was tried and how far it got, for a person."""
        return explain(
            state=self.state,
            gathering=self.gathering_state,
            local=self.local_candidates,
            remote=self.remote_candidates,
            pairs=[pair for checklist in self._session.lists for pair in checklist],
            selected=self._streams[0].checker.conclusions[0].selected,
            dropped=self.stats.dropped,
        )

    @property
    def lingers(self) -> bool:
        """Whether it is closed and TURN servers are still to confirm that they have given up what they gave."""
        return self.state is IceState.CLOSED and self._relaying is not None and self._relaying.lingers

    def _drop(self, reason: DropReason, count: int) -> None:
        self.stats.dropped[reason] += count

    def _stream(self, index: int) -> Stream:
        if type(index) is not int or not 0 <= index < len(self._streams):
            raise LocalProtocolError(f"there is no stream {index!r}: they are 0 to {len(self._streams) - 1}")
        return self._streams[index]

    def _component(self, stream: int, number: int) -> Component:
        components = self._stream(stream).components
        if type(number) is not int or not 1 <= number <= len(components):
            raise LocalProtocolError(f"there is no component {number!r}: those of stream {stream} are 1 to {len(components)}")
        return components[number - 1]

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
            LocalProtocolError: a second call, an agent that is closed or has failed, an address that is none.
        """
        self._require_live()
        if self.gathering_state is not GatheringState.NEW:
            raise LocalProtocolError("gather() was called before")
        hosts = self._gatherer.choose(addresses, include_loopback)
        self._gatherer.start(hosts, now=now)
        self._know_sockets()
        self._settle(now)

    def _know_sockets(self) -> None:
        for socket, place in self._gatherer.opening.items():
            self._sockets.setdefault(socket, self._streams[place.stream].components[place.component - 1])

    def set_remote(self, description: Description | SessionDescription, *, now: float) -> None:
        """Know the peer, and begin to check (RFC 8445 6).

        A second call with the same credentials adds what is new in it.

        Raises:
            LocalProtocolError: other credentials than before (a restart, which is not supported yet), this
                agent's own, a ufrag that is too long together with the agent's, not as many streams as the agent has, or
                an agent that is closed or has failed.
        """
        self._require_live()
        if not isinstance(description, (Description, SessionDescription)):
            raise LocalProtocolError(f"set_remote(): a Description, not {description!r:.40} (Description.from_json reads text)")
        told = (description,) if isinstance(description, Description) else description.streams
        if len(told) != len(self._streams):
            raise LocalProtocolError(f"set_remote(): {len(told)} streams are described, and the agent has {len(self._streams)}")
        for stream, one in zip(self._streams, told, strict=True):
            check_remote(stream, one)
        session, patience_ends = self._session, now + self._session.config.pac_timeout
        beginning = [stream for stream in self._streams if stream.checker.remote is None]
        for stream, one in zip(self._streams, told, strict=True):
            if stream in beginning:
                pacing = 50 if one.pacing is None else one.pacing
                session.ta = max(session.config.ta, min(pacing / 1000, session.config.max_ta))  # RFC 8445 14.2
            stream.set_remote(one, patience_ends)
        for stream in beginning:
            stream.checker.run(now=now)
            session.move(stream.index, IceCause.START)
        self._settle(now)

    def add_remote_candidate(self, candidate: Candidate, *, stream: int = 0, now: float) -> bool:
        """Add a candidate that the peer trickled (RFC 8838), before or after its description.

        Returns:
            Whether it is used. Not used are: TCP, a component that the stream has not, a name under .local,
            port 0, an address that cannot be sent to, a duplicate, what comes after end-of-candidates, and candidates
            beyond ``max_remote_candidates``.

        Raises:
            LocalProtocolError: not a `Candidate`, no such stream, or on an agent that is closed or has failed.
        """
        self._require_live()
        if not isinstance(candidate, Candidate):
            raise LocalProtocolError(
                f"add_remote_candidate(): a Candidate, not {candidate!r:.40} (Candidate.from_sdp reads text)"
            )
        of = self._stream(stream)
        if of.remote_complete:  # RFC 8838 14: ignored
            self.stats.drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        used = of.checker.add_remote(candidate)
        self._settle(now)
        return used

    def end_of_candidates(self, *, stream: int | None = None, now: float) -> None:
        """The peer has no more candidates (RFC 8838 13), for one stream or for all; saying it twice is harmless.

        Raises:
            LocalProtocolError: no such stream, or the agent is closed or has failed.
        """
        self._require_live()
        for one in self._streams if stream is None else (self._stream(stream),):
            one.remote_complete = True
        self._settle(now)

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
            self._relaying.send(path[0], path[1], data, now=now)
        of.last_sent = now
        stats = self.stats
        stats.datagrams_sent += 1
        stats.bytes_sent += len(data)

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

    def restart(self, *, now: float) -> Credentials:
        """Start again with new credentials (RFC 8445 9): not supported yet, open a new agent.

        Raises:
            LocalProtocolError: always.
        """
        raise LocalProtocolError("restart() is not supported yet: make a new agent")

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

    def _require_live(self) -> None:
        if self.state in OVER:
            raise LocalProtocolError(f"the agent is {self.state.value}; only new credentials can connect")

    # ------------------------------------------------------------- inputs

    def take_outputs(self) -> list[Action | Event]:
        """What is to be done and known, in order."""
        outputs = self._outputs.copy()
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
        if self._relaying is None and (component is None or self.state in OVER):
            return
        self._gatherer.handle_socket_failed(socket, error, now=now)
        self._know_sockets()  # another port may be tried
        if component is not None and self.state not in OVER:
            del self._sockets[socket]
            self._streams[component.stream].lose_socket(socket, error, now=now)
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
        stats, deliver, is_trusted = self.stats, self._outputs.append, component.is_trusted
        was_stun = False
        for position, (source, data) in enumerate(batch, 1):
            if is_stun(data):
                was_stun = True
                self._handle_stun(component, socket, source, data, now)
                if self._session.states[component.stream] in OVER:  # it revoked consent
                    stats.dropped[DropReason.CLOSED] += len(batch) - position
                    break
            elif not data:
                stats.drop(DropReason.EMPTY)
            elif is_trusted(source):
                stats.datagrams_received += 1
                stats.bytes_received += len(data)
                deliver(DataReceived(component.stream, component.number, data))
            else:
                stats.drop(DropReason.UNVALIDATED_SOURCE)
        if was_stun:
            self._settle(now)

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
        if timer == _FREE:
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
        session, gatherer = self._session, self._gatherer
        self._pass_on(now)
        if session.names is not None:
            session.follow(session.names, now)
        if session.news or session.role_taken:
            self._act_on_news(now)
        while now >= self._next_slot and session.state not in OVER:
            # A check before a question to a server: somebody waits for it.
            if not (self._start_check(now) or self._start_question(now)):
                break
            self._next_slot = now + session.ta
            if session.news:
                self._act_on_news(now)
        if now < self._next_slot and session.state not in OVER and (session.has_next() or gatherer.has_next()):
            session.timers.set(_PACE, self._next_slot)
        else:
            session.timers.cancel(_PACE)  # what waited may have become needless
        for stream in self._streams:
            if stream.patience_over:
                stream.fail_if_hopeless(gatherer.state is GatheringState.GATHERING)
        if session.state is IceState.FAILED:
            self._wind_up(now)
        if self._relaying is not None:
            self._relaying.wrap_outputs(now)

    def _start_check(self, now: float) -> bool:
        chosen = self._session.next_pair()
        if chosen is None:
            return False
        stream, pair = chosen
        self._streams[stream].checker.check(pair, now=now)
        return True

    def _start_question(self, now: float) -> bool:
        if not self._gatherer.start_next(now=now):
            return False
        self._pass_on(now)
        return True

    def _act_on_news(self, now: float) -> None:
        session = self._session
        if session.role_taken:
            session.role_taken = False
            for stream in self._streams:
                stream.checker.consider(now)
        while session.news:
            news, session.news = session.news, []
            for one in news:
                self._streams[one.pair.local.stream].take(one, now)
                if type(one) is PairNominated:
                    self._conclude(now)
                    if self._relaying is not None:
                        self._relaying.select(one.pair.local.socket, one.pair.remote_address, now)

    def _pass_on(self, now: float) -> None:
        """Do what the gatherer wants."""
        for output in self._gatherer.take_outputs():
            if isinstance(output, LocalFound):
                self._add_local(output, now)
            elif isinstance(output, LocalLost):
                component = self._sockets.pop(output.socket, None)
                if component is not None:
                    error = SocketError(SocketErrorKind.OTHER, output.reason)
                    self._streams[component.stream].lose_socket(output.socket, error, now=now)
            elif isinstance(output, PeerUnreachable):
                self._lose_peer(output, now)
            else:
                self._outputs.append(output)

    def _lose_peer(self, lost: PeerUnreachable, now: float) -> None:
        component = self._sockets.get(lost.socket)
        if component is None:
            return
        for remote in tuple(component.conclusion.pairing.remotes):
            if remote.host == lost.host and lost.port in (None, remote.port):
                self._checks.handle_unreachable(lost.socket, remote, now=now)

    def _add_local(self, found: LocalFound, now: float) -> None:
        local, candidate = found.local, found.local.candidate
        stream = self._streams[local.stream]
        self._sockets.setdefault(local.socket, stream.components[candidate.component - 1])
        stream.add_local(local)
        if self._relaying is not None:
            self._relaying.permit(self._sockets, now)
        if found.told:
            self._outputs.append(CandidateGathered(local.stream, candidate.component, candidate))

    def _conclude(self, now: float) -> None:
        """Once all streams have selected, nothing else is needed (RFC 8445 8.3)."""
        if all(stream.is_selected or stream.is_over for stream in self._streams):
            if not self._is_moving:
                self._gatherer.stop(now=now)  # RFC 8445 5.1.1.4: bindings are kept until ICE completes
                self._pass_on(now)
            if len(self._sockets) > sum(map(len, (stream.components for stream in self._streams))):
                self._session.timers.set(_FREE, now + self._session.config.free_delay)

    @property
    def _is_moving(self) -> bool:
        """Whether a candidate that is still to come may be moved to."""
        return any(conclusion.mover is not None for stream in self._streams for conclusion in stream.checker.conclusions)

    def _free_unselected(self, now: float) -> None:
        """Close the sockets that no selected pair uses (RFC 8445 8.3.1)."""
        for socket, component in tuple(self._sockets.items()):
            if (component.path is None or socket != component.path[0]) and not component.conclusion.keeps(socket):
                self._streams[component.stream].checker.remove_local(socket, now=now)
                self._close_socket(socket, CloseMode.FLUSH, now)
        if self._is_moving and self._relaying is not None:  # which relays are kept changes with the pair in use
            self._session.timers.set(_FREE, now + self._session.config.keepalive_interval)

    def _close_socket(self, socket: SocketId, mode: CloseMode, now: float) -> None:
        del self._sockets[socket]
        if self._relaying is None:
            self._gatherer.forget(socket)
            self._outputs.append(CloseSocket(socket, mode))
        else:
            self._relaying.close_socket(socket, mode, now)

    def _wind_up(self, now: float) -> None:
        """All streams have ended."""
        self._gatherer.stop(now=now)
        if self._relaying is not None:
            self._relaying.close(now)
        self._session.timers.clear()
        self._pass_on(now)  # GatheringCompleted, if it was still to come
