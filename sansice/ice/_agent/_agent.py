"""The ICE agent (RFC 8445): streams of components, over UDP and, where that is wanted, over TCP (RFC 6544).

Here are the commands; what the agent is fed, its pacing and the path of what arrives are in `AgentInputs`, what is done about
sockets in `AgentSockets`, and what may be read of all that in `AgentView`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial

from sansice.ice._candidate import Candidate
from sansice.ice._config import DEFAULT_CONFIG, IceConfig
from sansice.ice._data import FIRST_OF_DATA, MAX_DATAGRAM, as_bytes, check_data
from sansice.ice._description import Credentials, Description
from sansice.ice._errors import NotConnected
from sansice.ice._events import Closed, GatheringState, IceCause, IceState, Restarted
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
    Address,
    CloseMode,
    DropReason,
    Entropy,
    Ids,
    LocalProtocolError,
    SendDatagram,
    SocketId,
)

from ._agent_inputs import AgentInputs
from ._agent_sockets import FREE
from ._arguments import credentials_of, layout_of, policy_of
from ._checklist import unfreeze_initial
from ._checks import Checks
from ._component import Component
from ._generations import ufrag_of
from ._pacer import Pacer
from ._session import TCP, Session
from ._stream import Stream, Told
from ._turns import Turns


class IceAgent(AgentInputs):
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

    __slots__ = ()

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
        self._session.relays_only = hidden is CandidatePolicy.RELAY
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
        self._tcp = None
        if gathering.tcp:
            from sansice.ice._tcp._paths import TcpPaths

            session = self._session
            session.has_tcp = True
            arm = partial(session.timers.set, TCP)
            self._tcp = TcpPaths(self._outputs, config, ids, drop=session.drop, dscp=gathering.dscp, arm=arm)
        self._checks = Checks(self._session)
        own = credentials_of(credentials, len(layout), entropy)
        self._session.draw_tiebreaker()
        self._streams = tuple(
            [Stream(self._session, self._checks, index, count, own[index]) for index, count in enumerate(layout)]
        )
        self._turns = Turns(pacer)
        self._ungathered = ()
        self._moving = None
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
        """The machine has other addresses now (RFC 8445 5.1.1.4), while gathering or at any time later.

        Sockets of addresses that are gone are closed at once, with all candidates, pairs and relays that are based on them. From
        new ones the agent gathers and checks; those found after `GatheringCompleted` are told with the next restart, unless
        gathering is continual (`GatheringOptions.continual`). New addresses that come faster than ``IceConfig.update_interval``
        wait for the rest of it.

        A stream whose selected pair is gone moves by renomination, where both agents know it. Where that cannot be, it is
        disconnected, `RestartNeeded` tells so as soon as there is an address to begin anew from, and without a `restart` it
        fails when consent would have ended. A stream that has selected a pair for good has no use for new addresses before.

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
        self._move_to(self._gatherer.choose(addresses, include_loopback), now)
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
            now=now,
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
            Whether it is used, or kept for a description that is still to come. Not used are: TCP by an agent that has none
            itself, a component that the stream has not, a name under .local that conceals no address (or any, where only relays
            are used), port 0, an address that cannot be sent to, a duplicate, what comes after end-of-candidates, what belongs to
            an earlier generation, and candidates beyond ``max_remote_candidates``.

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
        if self._relaying is None and self._tcp is None:
            self._outputs.append(SendDatagram(path[0], path[1], data))
        elif not self._send_from(path, data, of, now):
            of.carried.discarded += 1
            return
        carried = of.carried
        carried.last_sent = now
        carried.packets_sent += 1
        carried.bytes_sent += len(data)

    def _send_from(self, path: tuple[SocketId, Address], data: bytes, component: Component, now: float) -> bool:
        """Send data from whatever kind of candidate; ``False``: there is no room for it, or no connection at this moment."""
        if self._tcp is not None and self._tcp.is_base(path[0]):
            return component.used is not None and self._tcp.send(path, data, component.used.tally.responses_received)
        if self._relaying is not None and self._relaying.is_virtual(path[0]):
            return self._relaying.send(*path, data, now=now)
        self._outputs.append(SendDatagram(*path, data))
        return True

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
        answered yet is not begun anew: two that cross become one. Where it is the peer's that was not answered yet, tell him that
        answer first (RFC 3264 4): he would take the description of this restart for it, and both would wait for another one.

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
            now=now,
        )
        self._settle(now)
        return restarting[0].checker.credentials

    def _restart(self, restarting: Sequence[tuple[Stream, Credentials]], *, by_peer: bool, now: float) -> None:
        if restarting and self._relaying is not None:
            self._relaying.refresh(now)  # checks from what relays no more go nowhere, and those of its like wait for them
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
        self._gatherer.close()
        self._pass_on(now)
        for stream in self._streams:
            self._session.move(stream.index, IceCause.CLOSE)
        self._outputs.append(Closed())
