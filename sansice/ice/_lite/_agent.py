"""The lite agent (RFC 8445 2.5): for programs that their peers can reach, such as servers with public addresses.

`LiteAgent` opens its sockets, answers the checks of a full agent, and uses the pairs that this one nominates. It never
checks anything itself. Two lite agents choose their pairs from what they have told each other (RFC 8445 8.2).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sansice.ice._candidate import MAX_COMPONENT, Candidate, CandidateType
from sansice.ice._config import DEFAULT_CONFIG, IceConfig
from sansice.ice._data import FIRST_OF_DATA, MAX_DATAGRAM, as_bytes, check_data
from sansice.ice._description import Credentials, Description
from sansice.ice._errors import ConsentLost, IceClosed, IceError, IceFailed, NotConnected
from sansice.ice._events import CandidateGathered, Closed, DataReceived, GatheringState, IceCause, IceState
from sansice.ice._gathering._host_list import HostList, HostsGiven, host_list
from sansice.ice._gathering._options import DEFAULT_OPTIONS, GatheringOptions
from sansice.ice._mtu import path_data_mtu
from sansice.ice._nomination import RENOMINATION
from sansice.ice._pair import CandidatePair
from sansice.ice._role import IceRole
from sansice.ice._session_description import SessionDescription
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
    Ids,
    LocalProtocolError,
    Machine,
    SendDatagram,
    SocketError,
    SocketId,
)
from sansice.stun import MessageClass, Method, decode_untrusted, is_stun

from ._component import Component
from ._hosts import Host
from ._remote import check_remote, choose, take_remote, trickle
from ._requests import handle_request
from ._session import OVER, LiteSession, Timer
from ._stream import Stream

if TYPE_CHECKING:
    from sansice.ice._telling._explanation import Explanation
    from sansice.ice._telling._report import IceReport

_BINDING, _REQUEST, _INDICATION = Method.BINDING, MessageClass.REQUEST, MessageClass.INDICATION
_NEW_GATHERING, _GATHERED = GatheringState.NEW, GatheringState.COMPLETE


class LiteAgent(Machine):
    """Lets one other agent connect.

    The commands, properties and events are those of `IceAgent`: give it addresses with `gather`, tell the peer
    `local_description` once `GatheringCompleted` has come, tell the agent the peer's with `set_remote`. A full peer controls and
    nominates; from `PairSelected` on `send` may be called. With a lite peer the agent whose side began must be ``controlling``.

    **Consent.** A lite agent asks for none (RFC 7675 1): it takes the peer's consent checks, and its other authenticated
    checks, for what they are, the peer's word that it is there and wants data. Where none has come over a pair in use for
    ``config.consent_timeout``, 30 s, which is five or more checks, consent has expired: nothing is sent any more, and the
    stream has failed until it is restarted; it is disconnected before, from ``config.disconnected_after`` on, but not until two
    checks in a row can have been lost. Data that arrives and keepalives do not count, because anybody may have
    sent them under the peer's address (RFC 7675 5.1). From a lite peer there are no checks at all, so a pair with one lasts until
    it is closed; and so it does with ``config.consent`` switched off, for peers from before RFC 7675.

    **Patience.** A stream whose peer is known fails where for ``config.pac_timeout`` no authenticated check has come and some
    component has no pair.

    Args:
        controlling: matters with a lite peer only, where the agents must differ: who has begun is controlling (RFC 8445 6.1.1).
            A full peer controls, whatever this says.
        streams: how many.
        components: of each stream, or a number for each of them.
        credentials: used as given, of all streams or of each one its own; drawn from ``entropy`` otherwise.
        config: timers and bounds.
        gathering: which addresses are used, whether TCP connections are taken (``tcp=("passive",)``), the range of ports,
            and how a 1:1 NAT rewrites addresses (rules that yield host candidates; the others are of no use here).
        entropy: the only source of randomness.
        ids: shared with the machine that this one is part of, if any.

    Raises:
        LocalProtocolError: a role that is no bool, or numbers of streams, components and credentials that do not go together.
    """

    __slots__ = ("_session", "stats")

    def __init__(
        self,
        *,
        controlling: bool,
        streams: int = 1,
        components: int | Sequence[int] = 1,
        credentials: Credentials | Sequence[Credentials] | None = None,
        config: IceConfig = DEFAULT_CONFIG,
        gathering: GatheringOptions = DEFAULT_OPTIONS,
        entropy: Entropy = os.urandom,
        ids: Ids | None = None,
    ) -> None:
        if not isinstance(controlling, bool):
            raise LocalProtocolError(f"controlling: True or False, not {controlling!r}")
        if streams < 1:
            raise LocalProtocolError(f"streams: {streams} is below 1")
        counts = (components,) * streams if isinstance(components, int) else tuple(components)
        if len(counts) != streams or not all(1 <= count <= MAX_COMPONENT for count in counts):
            raise LocalProtocolError(
                f"components: {components!r} is not a number of 1..{MAX_COMPONENT} for each of {streams} streams"
            )
        super().__init__()
        role = IceRole.CONTROLLING if controlling else IceRole.CONTROLLED
        self._session = LiteSession(
            role=role, config=config, gathering=gathering, entropy=entropy, ids=ids or Ids(), outputs=self._outputs
        )
        self.stats: IceStats = self._session.stats
        given = self._credentials_for(range(streams), credentials)
        self._session.streams = tuple(
            Stream(index, own, [self.stats.add_component() for _ in range(count)])
            for index, (own, count) in enumerate(zip(given, counts, strict=True))
        )

    def _credentials_for(self, streams: Sequence[object], given: Credentials | Sequence[Credentials] | None) -> list[Credentials]:
        if given is None:
            return [Credentials.generate(self._session.entropy) for _ in streams]
        listed = [given] * len(streams) if isinstance(given, Credentials) else list(given)
        if len(listed) != len(streams) or not all(isinstance(one, Credentials) for one in listed):
            raise LocalProtocolError(f"credentials: {len(listed)} given, {len(streams)} needed, each of them Credentials")
        return listed

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> IceState:
        """The state of all streams together, in W3C's words."""
        return self._session.state

    @property
    def states(self) -> tuple[IceState, ...]:
        """The state of each stream."""
        return tuple(stream.state for stream in self._session.streams)

    @property
    def gathering_state(self) -> GatheringState:
        """How far gathering is."""
        return self._session.gathering

    @property
    def role(self) -> IceRole:
        """The role: controlled, unless the peer is lite too and this side has begun."""
        return self._session.role

    @property
    def components(self) -> tuple[int, ...]:
        """How many components each stream has."""
        return tuple(len(stream.current.components) for stream in self._session.streams)

    @property
    def credentials(self) -> Credentials:
        """Ours, of the first stream; the others' are in `local_descriptions`."""
        return self._session.streams[0].current.credentials

    @property
    def writable(self) -> bool:
        """Whether `send` would send on stream 0: once each of its components has a valid pair (RFC 8445 12.1.1)."""
        return self._session.streams[0].carrier is not None

    def is_writable(self, stream: int = 0, component: int = 1) -> bool:
        """Whether `send` would send there; all components of a stream become so together.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        return self._find(stream, component, "is_writable").carrier is not None

    @property
    def selected_pair(self) -> CandidatePair | None:
        """That of component 1 of stream 0, once there is one."""
        return self.selected_pair_of(0, 1)

    def selected_pair_of(self, stream: int = 0, component: int = 1) -> CandidatePair | None:
        """The nominated pair of a component, once every component of its stream has one (RFC 8445 8.2).

        Raises:
            LocalProtocolError: no such stream or component.
        """
        carrier = self._find(stream, component, "selected_pair_of").carrier
        if carrier is None or not carrier.is_selected:
            return None
        pair = carrier.components[component - 1].pair
        return None if pair is None else pair.snapshot()

    def path_of(self, stream: int = 0, component: int = 1) -> tuple[SocketId, Address] | None:
        """The socket and the address that `send` would use.

        Raises:
            LocalProtocolError: no such stream or component.
        """
        carrier = self._find(stream, component, "path_of").carrier
        pair = None if carrier is None else carrier.components[component - 1].pair
        return None if pair is None else (pair.host.socket, pair.address)

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
        carrier = self._find(stream, component, "data_mtu_of").carrier
        pair = None if carrier is None else carrier.components[component - 1].pair
        if pair is None:
            return None
        is_relayed = pair.remote.type is CandidateType.RELAYED
        return path_data_mtu(pair.address, self._session.config.path_mtu, is_relayed=is_relayed)

    @property
    def lingers(self) -> bool:
        """Whether anything is still to be said after `close`: never, for a lite agent has no relays."""
        return False

    @property
    def needs_restart(self) -> bool:
        """Whether a stream was told of by `RestartNeeded`, and has neither restarted since nor got another pair."""
        return any(stream.needs_restart for stream in self._session.streams)

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """The host candidates, of all streams, in order."""
        return tuple(host.candidate for host in self._session.hosts.open.values())

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the peer told, and the peer-reflexive ones that it nominated."""
        found: list[Candidate] = []
        for component in self._components():
            found.extend(component.remotes.values())
            if component.pair is not None and component.pair.address not in component.remotes:
                found.append(component.pair.remote)
        return tuple(found)

    @property
    def pairs(self) -> tuple[CandidatePair, ...]:
        """The valid pairs: a lite agent has no others."""
        return tuple(component.pair.snapshot() for component in self._components() if component.pair is not None)

    def _components(self) -> list[Component]:
        return [component for stream in self._session.streams for component in stream.current.components]

    @property
    def local_description(self) -> Description:
        """What the peer must be told of stream 0. See `describe`."""
        return self.describe()

    @property
    def local_descriptions(self) -> SessionDescription:
        """What the peer must be told of all streams. See `describe`."""
        return SessionDescription([self.describe(stream.index) for stream in self._session.streams])

    def describe(self, stream: int = 0) -> Description:
        """What the peer must be told of a stream: always whole, with the end of candidates (RFC 8838 B).

        Raises:
            LocalProtocolError: gathering has not ended, so that it would not be whole; no such stream.
        """
        current = self._find(stream, 1, "describe").current
        if self._session.gathering is not _GATHERED:
            raise LocalProtocolError("a lite agent's description is whole: wait for GatheringCompleted")
        used = [pair.host for pair in current.pairs] if current.is_chosen else list(self._session.hosts.of(stream))
        return Description(
            current.credentials.ufrag,
            current.credentials.pwd,
            candidates=[host.candidate for host in used],
            lite=True,
            options=("ice2", RENOMINATION),  # RFC 8445 10
            end_of_candidates=True,
        )

    @property
    def failure(self) -> IceError | None:
        """What waiting for this agent must raise, the same in every adapter; ``None`` while it lives, or one of its streams.

        `IceFailed` if nothing connected or a socket in use died, `ConsentLost` if the peer fell silent, `IceClosed` after
        `close`. Of several streams, that of the first that never connected, or of the first.
        """
        if self._session.state is IceState.CLOSED:
            return IceClosed("the connection is closed")
        if self._session.state is not IceState.FAILED:
            return None
        never = (index for index, one in enumerate(self._session.streams) if one.lost_socket is None and not one.is_lost)
        return self.failure_of(next(never, 0))

    def failure_of(self, stream: int = 0) -> IceError | None:
        """What waiting for a stream must raise; ``None`` while it lives. See `failure`.

        Raises:
            LocalProtocolError: no such stream.
        """
        failed = self._find(stream, 1, "failure_of")
        if self._session.state is IceState.CLOSED:
            return IceClosed("the connection is closed")
        if failed.state is not IceState.FAILED:
            return None
        of_stream = f" of stream {stream}" if len(self._session.streams) > 1 else ""
        lost = failed.lost_socket
        if lost is not None:
            return IceFailed(f"the socket in use{of_stream} was lost: {lost.text or lost.kind.value}\n{self.explain()}", stream)
        if failed.is_lost:
            silent = f"the peer{of_stream} has sent no check for too long; only new credentials can connect again"
            return ConsentLost(silent, stream)
        return IceFailed(self.explain(), stream)

    def explain(self) -> Explanation:
        """What came, how far it got, and why nothing is connected: a text for a person, and what it was made of."""
        from ._explain import explain  # for those who ask

        return explain(self._session)

    def report(self) -> IceReport:
        """What is counted, of pairs, candidates and components, as W3C's statistics have it: as it is now."""
        from ._reporting import report  # for those who ask

        return report(self._session)

    # ------------------------------------------------------------- commands

    def gather(self, addresses: HostsGiven, *, include_loopback: bool | None = None, now: float) -> None:
        """Open a socket for each usable address, stream and component: one candidate for each (RFC 8445 5.2).

        A restart opens by itself what it lacks; after one this may be called again, as with `IceAgent`, and is the same as
        `update_addresses` then.

        Args:
            addresses: the machine's own, as literals or `HostAddress` values; see `usable_addresses` for what is left out. A
                lite agent is for machines with one public address of a family, because nothing tries which is better.
            include_loopback: ``None``: loopback only where there is nothing else.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: a second call without a restart, an agent that is closed or has failed, an address that is none.
        """
        self._require_live()
        if self._session.gathering is not _NEW_GATHERING and not self._session.has_restarted:
            raise LocalProtocolError("gather() was called before")
        self._use(self._choose(addresses, include_loopback), now)
        self._session.has_restarted = False

    def update_addresses(self, addresses: HostsGiven, *, include_loopback: bool | None = None, now: float) -> None:
        """The machine's addresses are others now: the sockets of those that are gone are closed, new ones are opened.

        A stream that was sent on from an address that is gone has no pair until the peer nominates another one; `restart` tells
        it of new addresses. `RestartNeeded` says when that is all that helps, as soon as there is an address to begin from.

        Raises:
            LocalProtocolError: before `gather`, an agent that is closed, an address that is none.
        """
        self._require_open()
        if self._session.gathering is _NEW_GATHERING:
            raise LocalProtocolError("update_addresses(): call gather() first")
        self._use(self._choose(addresses, include_loopback), now)

    def _use(self, hosts: HostList, now: float) -> None:
        """Open and close sockets, so that there is one for each of these addresses and no other."""
        session = self._session
        for socket in session.hosts.use(hosts):
            host = session.hosts.open.get(socket)
            session.close_socket(socket)
            if host is not None and session.streams[host.stream].forget(host):
                session.streams[host.stream].is_cut_off = True
                session.lose(session.streams[host.stream])
        if hosts.names:
            for stream in session.streams:
                session.move_away(stream)
        if session.state not in OVER:  # a restart opens what it lacks
            session.open_sockets(session.streams, now=now)
            self._gathered(now)
        session.watch(now=now)

    def _choose(self, addresses: HostsGiven, include_loopback: bool | None) -> HostList:
        session = self._session
        return host_list(addresses, session.hosts.options, include_loopback, session.config.max_host_addresses)

    def set_remote(self, description: Description | SessionDescription, *, now: float) -> None:
        """Know the peer.

        Other credentials than before are the peer's restart (RFC 8445 9): a stream that the application has not restarted itself
        gets new ones, told by `Restarted`. The same credentials again add what is new; from a lite peer they replace its
        candidates, which ends the choice among several pairs (RFC 8445 8.2).

        Raises:
            LocalProtocolError: not as many streams as there are, this agent's own description, one of before the restart, a ufrag
                that is too long together with the agent's, a peer that becomes lite or full without a restart (RFC 8445
                9), or an agent that is closed; or one that has failed, and it is no restart.
        """
        self._require_open()
        if not isinstance(description, (Description, SessionDescription)):
            raise LocalProtocolError(f"set_remote(): a Description, not {description!r:.40} (Description.from_json reads text)")
        told = (description,) if isinstance(description, Description) else description.streams
        if len(told) != len(self._session.streams):
            raise LocalProtocolError(f"set_remote(): descriptions of {len(told)} streams, there are {len(self._session.streams)}")
        for stream, one in zip(self._session.streams, told, strict=True):
            check_remote(self._session, stream, one)
        if not any(stream.is_restarted_by(one) for stream, one in zip(self._session.streams, told, strict=True)):
            self._require_live()
        for stream, one in zip(self._session.streams, told, strict=True):
            take_remote(self._session, stream, one, now=now)

    def add_remote_candidate(self, candidate: Candidate, *, stream: int = 0, ufrag: str | None = None, now: float) -> bool:
        """Add a candidate that the peer trickled (RFC 8838), before or after its description.

        Args:
            candidate: the peer's.
            stream: from 0.
            ufrag: of the generation that it belongs to; ``None``: the one of this moment.
            now: monotonic seconds.

        Returns:
            Whether it is kept. A lite agent needs a full peer's candidates for their names only, not to connect.

        Raises:
            LocalProtocolError: not a `Candidate`, no such stream, or on an agent that is closed or has failed.
        """
        self._require_live()
        found = self._find(stream, 1, "add_remote_candidate")
        if not isinstance(candidate, Candidate):
            raise LocalProtocolError(
                f"add_remote_candidate(): a Candidate, not {candidate!r:.40} (Candidate.from_sdp reads text)"
            )
        return trickle(self._session, found, ufrag, candidate, now=now)

    def end_of_candidates(self, *, stream: int | None = None, ufrag: str | None = None, now: float) -> None:
        """The peer has no more candidates, for a stream or for all (RFC 8838 13); of another generation it is ignored.

        Raises:
            LocalProtocolError: no such stream, or the agent is closed or has failed.
        """
        self._require_live()
        for one in self._session.streams if stream is None else (self._find(stream, 1, "end_of_candidates"),):
            trickle(self._session, one, ufrag, None, now=now)

    def send(self, data: bytes, *, stream: int = 0, component: int = 1, now: float) -> None:
        """Send a datagram on the pair of a component, once every component of its stream has one (RFC 8445 12.1.1).

        Raises:
            NotConnected: some component of the stream has no valid pair; a LocalProtocolError.
            LocalProtocolError: not bytes, no such stream or component, an empty datagram, one above 65,507 bytes, or one
                that the peer would take for STUN.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        carrier = self._find(stream, component, "send").carrier
        if not data or data[0] < FIRST_OF_DATA or len(data) > MAX_DATAGRAM:
            check_data(data)
        pair = None if carrier is None else carrier.components[component - 1].pair
        if carrier is None or pair is None:
            raise NotConnected(
                f"send(): not every component of stream {stream} has a valid pair; ICE is {self._session.state.value}"
            )
        if now >= pair.heard_at + carrier.lifetime:  # and the timer that tells so has not been called yet
            raise NotConnected("send(): the peer has fallen silent, its consent has expired (RFC 7675)")
        if self._session.tcp is not None and self._session.tcp.is_base(pair.host.socket):
            if not self._session.tcp.send((pair.host.socket, pair.address), data, 1):
                self._session.streams[stream].ledgers[component - 1].total.discarded += 1
                return
        else:
            self._outputs.append(SendDatagram(pair.host.socket, pair.address, data))
        pair.sent_at = now
        ledger = self._session.streams[stream].ledgers[component - 1]
        ledger.use(pair.tally)
        carried = ledger.total
        carried.last_sent = now
        carried.packets_sent += 1
        carried.bytes_sent += len(data)

    def restart(
        self, *, stream: int | None = None, credentials: Credentials | Sequence[Credentials] | None = None, now: float
    ) -> Credentials:
        """Begin anew, with new credentials (RFC 8445 9); also after failing. The old pairs carry data until there are new ones.

        Tell the peer the new description after the next `GatheringCompleted`, and this agent the peer's.

        Args:
            stream: which; ``None`` is the whole session.
            credentials: used as given, of all streams that restart or of each one its own; drawn otherwise.
            now: monotonic seconds.

        Returns:
            The new credentials, of stream 0 where all restart.

        Raises:
            LocalProtocolError: no such stream, credentials of which not both ufrag and password are new, a closed agent.
        """
        self._require_open()
        streams = self._session.streams if stream is None else (self._find(stream, 1, "restart"),)
        given = self._credentials_for(streams, credentials)
        for one, new in zip(streams, given, strict=True):
            old = one.current.credentials
            if new.ufrag == old.ufrag or new.pwd == old.pwd:
                raise LocalProtocolError("restart(): ufrag and password must both be new (RFC 8445 9)")
        for one, new in zip(streams, given, strict=True):
            self._session.renew(one, new, by_peer=False, now=now)
        self._session.watch(now=now)
        return given[0]

    def nominate(self, pair: CandidatePair, *, stream: int = 0, now: float) -> None:
        """Not a lite agent's business: its peer nominates.

        Raises:
            LocalProtocolError: always.
        """
        raise LocalProtocolError("nominate(): a lite agent nominates nothing, its peer does (RFC 8445 8.2)")

    def close(self, *, now: float) -> None:
        """Close all sockets and end. `Closed` is the last event; a second call is harmless."""
        if self._session.state is IceState.CLOSED:
            return
        session = self._session
        for socket in session.hosts.clear():
            session.close_socket(socket)
        session.gathered_if_open()
        for stream in session.streams:
            stream.lose()
            session.move(stream, IceCause.CLOSE)
        session.timers.clear()
        self._outputs.append(Closed())

    def _require_open(self) -> None:
        if self._session.state is IceState.CLOSED:
            raise LocalProtocolError("the agent is closed")

    def _require_live(self) -> None:
        if self._session.state in OVER:
            raise LocalProtocolError(f"the agent is {self._session.state.value}; only new credentials can connect")

    def _find(self, stream: int, component: int, command: str) -> Stream:
        if type(stream) is type(component) is int and 0 <= stream < len(self._session.streams):
            found = self._session.streams[stream]
            if 1 <= component <= len(found.current.components):
                return found
        raise LocalProtocolError(f"{command}(): there is no stream {stream!r} with a component {component!r}")

    # ------------------------------------------------------------- inputs

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A host candidate's socket is open."""
        session = self._session
        host = session.hosts.opened(socket, local)
        if host is not None:
            if session.tcp is not None:
                session.tcp.add_base(socket, host.candidate.tcp_type, host.base)
            self._outputs.append(CandidateGathered(host.stream, host.component, host.candidate))
            self._gathered(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """That address is of no use, or of no more use: with the one that is sent from a stream fails."""
        session = self._session
        if session.tcp is not None:
            if session.tcp.has(socket):
                session.tcp.failed(socket, error, now)
                session.cut(session.tcp)
                return
            if session.tcp.is_base(socket):
                session.tcp.lose_base(socket)
        again = session.hosts.ask_again(socket, error)
        if again is not None:
            self._outputs.append(again)
            return
        host = session.hosts.open.get(socket)
        if not session.hosts.forget(socket):
            return
        if host is None:
            session.hosts.error = error.text or error.kind.value
        stream = None if host is None else session.streams[host.stream]
        if host is not None and stream is not None and stream.forget(host):
            stream.lost_socket = error
            session.fail(stream)
            session.watch(now=now)
        self._gathered(now)

    def _gathered(self, now: float) -> None:
        """One socket fewer is to open."""
        session = self._session
        session.gathered_if_open()
        if session.gathering is _GATHERED:
            for stream in session.streams:
                choose(session, stream, now=now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """STUN is answered; data is delivered from addresses of which an authenticated check has come."""
        session = self._session
        if now >= session.timers.earliest:  # the timer is late, and what comes now may no longer be answered (RFC 7675 5.1)
            self.handle_timer(now=now)
        host = session.hosts.open.get(socket)
        if host is None or session.state in OVER:
            self.stats.dropped[DropReason.UNKNOWN_SOCKET if host is None else DropReason.CLOSED] += len(batch)
            return
        stats, deliver = self.stats, self._outputs.append
        number, component = host.stream, host.component
        stream = session.streams[number]
        for source, data in batch:
            if is_stun(data):
                self._handle_stun(host, source, data, now)
            elif not data:
                stats.drop(DropReason.EMPTY)
            elif stream.is_trusted(component, source):
                stream.count_received(component, socket, source, len(data), now)
                deliver(DataReceived(number, component, data))
            else:
                stats.drop(DropReason.UNVALIDATED_SOURCE)
        if session.tcp is not None:
            session.tcp.wrap_outputs(now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """A peer, or anybody else, has connected to a TCP candidate (RFC 6544 7.2)."""
        host, tcp = self._session.hosts.open.get(listener), self._session.tcp
        if tcp is None:
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
        else:
            is_wanted = host is not None and self._session.streams[host.stream].state not in OVER
            tcp.accept(listener, socket, remote, is_wanted=is_wanted, now=now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """What came over a TCP connection."""
        tcp = self._session.tcp
        if tcp is not None and tcp.has(socket):
            for where, batch in tcp.unwrap(socket, data, now):
                self.handle_datagrams(where, batch, now=now)
            self._session.cut(tcp)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """How much waits for a peer to read."""
        tcp = self._session.tcp
        if tcp is not None and tcp.has(socket):
            tcp.sent(socket, unsent)

    def _handle_stun(self, host: Host, source: Address, data: bytes, now: float) -> None:
        try:
            message = decode_untrusted(data)
        except DecodeError as error:
            self.stats.drop(error.reason)
            return
        if message.method is not _BINDING:
            self.stats.drop(DropReason.UNKNOWN_METHOD)
        elif message.message_class is _REQUEST:
            if message.has_fingerprint:
                handle_request(self._session, host, source, message, now=now)
            else:  # RFC 8445 7.2.4: every check has one
                self.stats.drop(DropReason.BAD_FINGERPRINT)
        elif message.message_class is not _INDICATION:  # an indication is a keepalive (RFC 8445 11)
            self.stats.drop(DropReason.UNKNOWN_TRANSACTION)  # nothing was asked

    def handle_timer(self, *, now: float) -> None:
        """Whatever is due."""
        session = self._session
        while (timer := session.timers.pop_due(now)) is not None:
            if timer is Timer.GATHERING:
                for socket in session.hosts.give_up():
                    self._outputs.append(CloseSocket(socket))
                self._gathered(now)
            elif timer is Timer.KEEPALIVE:
                session.judge_silence(now=now)  # before all else: nothing may be sent (RFC 7675 5.1)
                session.keep_alive(now=now)
                if session.tcp is not None:
                    session.tcp.wrap_outputs(now)
            elif timer is Timer.TCP and session.tcp is not None:
                session.tcp.handle_timer(now)
                session.cut(session.tcp)
            elif timer is Timer.FREE:
                session.free_unused()
            else:
                session.judge_silence(now=now)

    def deadline(self) -> float:
        """The earliest of all that is planned."""
        return self._session.timers.earliest

    def take_outputs(self) -> list[Action | Event]:
        """See `Machine.take_outputs`."""
        outputs = self._outputs.copy()  # the session has the list, too
        self._outputs.clear()
        return outputs
