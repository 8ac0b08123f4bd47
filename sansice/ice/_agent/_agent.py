"""The ICE agent (RFC 8445): one stream of one component over UDP.

`IceAgent` wires its parts together and decides nothing that one of them can decide: `Gatherer` finds local
candidates, `Checker` finds pairs that work, `Consent` watches the pair in use. Here are the commands, the
pacing that the parts share, the state, and the path of the data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.ice._candidate import Candidate
from sansice.ice._config import DEFAULT_CONFIG, IceConfig
from sansice.ice._data import FIRST_OF_DATA, MAX_DATAGRAM, as_bytes, check_data
from sansice.ice._description import Credentials, Description
from sansice.ice._errors import ConsentLost, IceClosed, IceError, IceFailed, NotConnected
from sansice.ice._events import (
    ICE_TRANSITIONS,
    CandidateGathered,
    Closed,
    ConsentExpired,
    DataReceived,
    GatheringState,
    IceCause,
    IceState,
    IceStateChanged,
    PairSelected,
    PairValidated,
)
from sansice.ice._gathering._addresses import usable_addresses
from sansice.ice._gathering._gatherer import Gatherer, LocalFound
from sansice.ice._pair import CandidatePair, Pair
from sansice.ice._priority import Foundations
from sansice.ice._role import IceRole
from sansice.ice._server import IceServer, stun_servers
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
    IcmpError,
    Ids,
    LocalProtocolError,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketId,
)
from sansice.stun import Message, MessageClass, Method, decode_untrusted, encode, is_stun, new_transaction_id

from ._checker import Checker, PairBecameValid, PairNominated
from ._consent import Consent, ConsentAnswer

MAX_USERNAME = 508  # bytes; RFC 8489 14.3
_STREAM, _COMPONENT = 0, 1
_BINDING, _REQUEST, _INDICATION = Method.BINDING, MessageClass.REQUEST, MessageClass.INDICATION
_OVER = frozenset({IceState.FAILED, IceState.CLOSED})


class _Timer(IdentityEnum):
    PACE = "one more transaction may start"
    PATIENCE = "RFC 8863"
    CONSENT = "the next consent check"
    EXPIRY = "consent ends"
    QUIET = "the peer counts as disconnected"
    KEEPALIVE = "nothing was sent for Tr"
    FREE = "unselected candidates are released"


_PACE, _PATIENCE, _CONSENT, _EXPIRY, _QUIET, _KEEPALIVE, _FREE = _Timer  # looked up once: see stun/_transaction.py
_OF_PAIR = (_CONSENT, _EXPIRY, _QUIET, _KEEPALIVE)  # the pair in use


class IceAgent(Machine):
    """Connects with one other agent.

    Give it addresses with `gather`, tell the peer `local_description`, tell the agent the peer's with
    `set_remote`; `PairValidated` says that `send` may be called, `PairSelected` which pair was chosen.
    What goes wrong on the network is an event or a counter in ``stats.dropped``, never an exception.

    Args:
        controlling: the first guess of the role; a conflict is settled by the protocol (RFC 8445 7.3.1.1).
        servers: STUN servers: `IceServer` values or URLs such as ``"stun:stun.example.org"``.
        credentials: used as given; drawn from ``entropy`` otherwise.
        config: timers and bounds.
        entropy: the only source of randomness.
        ids: shared with the machine that this one is part of, if any.

    Raises:
        LocalProtocolError: a server that cannot be used; a role that is no bool.
    """

    __slots__ = (
        "_checker",
        "_config",
        "_consent",
        "_entropy",
        "_gatherer",
        "_last_sent",
        "_lost_socket",
        "_next_slot",
        "_path",
        "_patience_over",
        "_remote_complete",
        "_sockets",
        "_state",
        "_ta",
        "_timers",
        "_until",
        "_used",
        "stats",
    )

    def __init__(
        self,
        *,
        controlling: bool,
        servers: Iterable[IceServer | str] = (),
        credentials: Credentials | None = None,
        config: IceConfig = DEFAULT_CONFIG,
        entropy: Entropy = os.urandom,
        ids: Ids | None = None,
    ) -> None:
        if not isinstance(controlling, bool):
            raise LocalProtocolError(f"controlling: True or False, not {controlling!r}")
        super().__init__()
        foundations = Foundations()
        self.stats: IceStats = IceStats()
        self._config = config
        self._entropy = entropy
        self._gatherer = Gatherer(
            servers=stun_servers(servers), ids=ids or Ids(), foundations=foundations, config=config, entropy=entropy
        )
        self._checker = Checker(
            credentials=credentials or Credentials.generate(entropy),
            role=IceRole.CONTROLLING if controlling else IceRole.CONTROLLED,
            foundations=foundations,
            config=config,
            entropy=entropy,
            drop=self.stats.drop,
        )
        self._state = IceState.NEW
        self._timers: FewTimers[_Timer] = FewTimers()
        self._ta = config.ta
        self._next_slot = -math.inf  # the first check goes out at once (RFC 8445 6.1.4.2)
        self._sockets: list[SocketId] = []  # ascending; few, and a set of one takes three times the room
        self._remote_complete = False
        self._patience_over = False
        self._used: Pair | None = None
        self._path: tuple[SocketId, Address] | None = None
        self._consent: Consent | None = None
        self._lost_socket: SocketError | None = None
        self._until = math.inf  # when consent for the path ends
        self._last_sent = -math.inf

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> IceState:
        """The state, in W3C's words."""
        return self._state

    @property
    def gathering_state(self) -> GatheringState:
        """How far gathering is."""
        return self._gatherer.state

    @property
    def role(self) -> IceRole:
        """The role of this moment; a conflict may have changed it."""
        return self._checker.role

    @property
    def credentials(self) -> Credentials:
        """Ours."""
        return self._checker.credentials

    @property
    def writable(self) -> bool:
        """Whether `send` would send: from the first valid pair on, until consent is lost."""
        return self._path is not None

    @property
    def selected_pair(self) -> CandidatePair | None:
        """The nominated pair, once there is one."""
        selected = self._checker.selected
        return None if selected is None else selected.snapshot()

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What was gathered so far, in order."""
        return self._gatherer.candidates

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the peer told and what its checks revealed, in order of arrival."""
        return tuple(self._checker.pairing.remotes.values())

    @property
    def pairs(self) -> tuple[CandidatePair, ...]:
        """The checklist, by decreasing priority."""
        return tuple(pair.snapshot() for pair in self._checker.list)

    @property
    def local_description(self) -> Description:
        """What the peer must be told; complete once `gathering_state` is."""
        return Description(
            self.credentials.ufrag,
            self.credentials.pwd,
            candidates=self.local_candidates,
            options=("ice2",),  # RFC 8445 10
            pacing=round(self._config.ta * 1000),
            end_of_candidates=self.gathering_state is GatheringState.COMPLETE,
        )

    @property
    def failure(self) -> IceError | None:
        """What waiting for this agent must raise, the same in every adapter; ``None`` while it lives.

        `IceFailed` if nothing connected or the socket in use died, `ConsentLost` if the peer fell silent or said so,
        `IceClosed` after `close`.
        """
        if self._state is IceState.CLOSED:
            return IceClosed("the connection is closed")
        if self._state is not IceState.FAILED:
            return None
        if self._checker.selected is None:
            return IceFailed(self.explain())
        if self._lost_socket is not None:
            return IceFailed(
                f"the socket in use was lost: {self._lost_socket.text or self._lost_socket.kind.value}\n{self.explain()}"
            )
        return ConsentLost("the peer no longer consents to receive; only a new connection can reach it")

    def explain(self) -> str:
        """What was tried and how far it got, for a person."""
        return explain(
            state=self._state,
            gathering=self.gathering_state,
            local=self.local_candidates,
            remote=self.remote_candidates,
            pairs=self._checker.list,
            selected=self._checker.selected,
            dropped=self.stats.dropped,
        )

    # ------------------------------------------------------------- commands

    def gather(self, addresses: Sequence[str], *, include_loopback: bool | None = None, now: float) -> None:
        """Open a socket for each usable address and ask the servers through it (RFC 8445 5.1.1).

        Candidates come as `CandidateGathered`; `GatheringCompleted` ends them, exactly once.

        Args:
            addresses: the machine's own, as literals; see `usable_addresses` for what is left out.
            include_loopback: ``None``: loopback only where there is nothing else.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: a second call, an agent that is closed or has failed, an address that is none.
        """
        self._require_live()
        if self.gathering_state is not GatheringState.NEW:
            raise LocalProtocolError("gather() was called before")
        if isinstance(addresses, str):
            raise LocalProtocolError(f"gather(): a list of addresses, not the one text {addresses!r}")
        try:
            hosts = usable_addresses(addresses, include_loopback)
        except ValueError as error:
            raise LocalProtocolError(f"gather(): {error}") from None
        self._gatherer.start(hosts[: self._config.max_host_addresses], now=now)
        self._sockets.extend(self._gatherer.opening)
        self._settle(now)

    def set_remote(self, description: Description, *, now: float) -> None:
        """Know the peer, and begin to check (RFC 8445 6).

        A second call with the same credentials adds what is new in it.

        Raises:
            LocalProtocolError: other credentials than before (a restart, which is not supported yet), this
                agent's own, a ufrag that is too long together with the agent's, or an agent that is closed or
                has failed.
        """
        self._require_live()
        if not isinstance(description, Description):
            raise LocalProtocolError(f"set_remote(): a Description, not {description!r:.40} (Description.from_json reads text)")
        patience_ends = now + self._config.pac_timeout
        remote = self._checker.remote
        if (description.ufrag, description.pwd) == (self.credentials.ufrag, self.credentials.pwd):
            raise LocalProtocolError("set_remote(): this is the agent's own description")
        if len(description.ufrag) + 1 + len(self.credentials.ufrag) > MAX_USERNAME:
            raise LocalProtocolError(f"set_remote(): both ufrags together make a USERNAME above {MAX_USERNAME} bytes")
        if remote is None:
            pacing = 50 if description.pacing is None else description.pacing
            self._ta = max(self._config.ta, min(pacing / 1000, self._config.max_ta))  # RFC 8445 14.2
            self._checker.set_remote(description, ta=self._ta, now=now)
            self._timers.set(_PATIENCE, patience_ends)  # RFC 8863 4
            self._move(IceCause.START)
        elif (description.ufrag, description.pwd) != (remote.ufrag, remote.pwd):
            raise LocalProtocolError("set_remote(): other credentials mean a restart, which is not supported yet")
        else:
            for candidate in description.candidates:
                self._checker.pairing.add_remote(candidate)
        self._remote_complete = self._remote_complete or description.end_of_candidates
        self._settle(now)

    def add_remote_candidate(self, candidate: Candidate, *, now: float) -> bool:
        """Add a candidate that the peer trickled (RFC 8838), before or after its description.

        Returns:
            Whether it is used. Not used are: TCP, another component, a name (they are not resolved yet), port 0,
            an address that cannot be sent to, a duplicate, what comes after end-of-candidates, and candidates beyond
            ``max_remote_candidates``.

        Raises:
            LocalProtocolError: not a `Candidate`, or on an agent that is closed or has failed.
        """
        self._require_live()
        if not isinstance(candidate, Candidate):
            raise LocalProtocolError(
                f"add_remote_candidate(): a Candidate, not {candidate!r:.40} (Candidate.from_sdp reads text)"
            )
        if self._remote_complete:  # RFC 8838 14: ignored
            self.stats.drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        used = self._checker.pairing.add_remote(candidate)
        self._settle(now)
        return used

    def end_of_candidates(self, *, now: float) -> None:
        """The peer has no more candidates (RFC 8838 13); saying it twice is harmless.

        Raises:
            LocalProtocolError: the agent is closed or has failed.
        """
        self._require_live()
        self._remote_complete = True
        self._settle(now)

    def send(self, data: bytes, *, stream: int = _STREAM, component: int = _COMPONENT, now: float) -> None:
        """Send a datagram on the selected pair, or on the best valid one before (RFC 8445 12.1).

        Raises:
            NotConnected: no pair is valid; a LocalProtocolError.
            LocalProtocolError: not bytes, no such stream or component, an empty datagram, one above 65,507 bytes, or one
                that the peer would take for STUN.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        path = self._path
        if (
            path is None
            or now >= self._until
            or not data
            or data[0] < FIRST_OF_DATA
            or len(data) > MAX_DATAGRAM
            or stream != _STREAM
            or component != _COMPONENT
        ):
            path = self._check_send(data, stream, component, now)
        self._last_sent = now
        stats = self.stats
        stats.datagrams_sent += 1
        stats.bytes_sent += len(data)
        self._outputs.append(SendDatagram(path[0], path[1], data))

    def _check_send(self, data: bytes, stream: int, component: int, now: float) -> tuple[SocketId, Address]:
        if stream != _STREAM or component != _COMPONENT:
            raise LocalProtocolError(f"send(): there is no stream {stream} with a component {component}")
        check_data(data)
        if self._path is None:
            raise NotConnected(f"send(): no pair is valid; ICE is {self._state.value}")
        if now >= self._until:  # and the timer that tells so has not been called yet
            raise NotConnected("send(): consent has expired (RFC 7675)")
        return self._path

    def restart(self, *, now: float) -> Credentials:
        """Start again with new credentials (RFC 8445 9): not supported yet, open a new agent.

        Raises:
            LocalProtocolError: always.
        """
        raise LocalProtocolError("restart() is not supported yet: make a new agent")

    def close(self, *, now: float) -> None:
        """Close all sockets and end. `Closed` is the last event; a second call is harmless."""
        if self._state is IceState.CLOSED:
            return
        self._wind_up(now)
        for socket in self._sockets:
            self._outputs.append(CloseSocket(socket))
        self._sockets.clear()
        self._move(IceCause.CLOSE)
        self._outputs.append(Closed())

    def _require_live(self) -> None:
        if self._state in _OVER:
            raise LocalProtocolError(f"the agent is {self._state.value}; only new credentials can connect")

    # ------------------------------------------------------------- inputs

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A host candidate's socket is open."""
        if socket in self._gatherer.opening and self._state not in _OVER:
            self._gatherer.handle_socket_opened(socket, local, now=now)
            self._settle(now)
        elif socket in self._sockets and socket not in self._checker.pairing.locals:  # it took longer than gathering may
            self._close_socket(socket, CloseMode.RESET)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """That address is of no use, or of no more use."""
        if socket not in self._sockets or self._state in _OVER:
            return
        self._sockets.remove(socket)
        self._gatherer.handle_socket_failed(socket, error, now=now)
        self._checker.remove_local(socket, now=now)
        selected = self._checker.selected
        if selected is not None and selected.local.socket == socket:
            self._lost_socket = error
            self._absorb(now)
            self._fail(now)
        self._settle(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A hard error fails the check or the question that caused it; data is not affected."""
        if error.is_hard and self._state not in _OVER:
            self._gatherer.handle_icmp(socket, destination, error, now=now)
            self._checker.handle_unreachable(socket, destination, now=now)
            self._settle(now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """STUN is acted on; data is delivered from addresses that an authenticated check of this session used."""
        if now >= self._until:  # the timer is late, and what comes now may no longer be answered (RFC 7675 5.1)
            self.handle_timer(now=now)
        if self._state in _OVER or socket not in self._checker.pairing.locals:
            self.stats.dropped[DropReason.CLOSED if self._state in _OVER else DropReason.UNKNOWN_SOCKET] += len(batch)
            return
        stats, deliver, is_trusted = self.stats, self._outputs.append, self._checker.is_trusted
        was_stun = False
        for position, (source, data) in enumerate(batch, 1):
            if is_stun(data):
                was_stun = True
                self._handle_stun(socket, source, data, now)
                if self._state in _OVER:  # it revoked consent
                    stats.dropped[DropReason.CLOSED] += len(batch) - position
                    break
            elif not data:
                stats.drop(DropReason.EMPTY)
            elif is_trusted(source):
                stats.datagrams_received += 1
                stats.bytes_received += len(data)
                deliver(DataReceived(_STREAM, _COMPONENT, data))
            else:
                stats.drop(DropReason.UNVALIDATED_SOURCE)
        if was_stun:
            self._settle(now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """The DNS says where a server is, or that there is none."""
        if self._state not in _OVER:
            self._gatherer.handle_resolved(query, answer, now=now)
            self._settle(now)

    def handle_timer(self, *, now: float) -> None:
        """Whatever is due."""
        while True:
            if now >= self._until and self._consent is not None:  # before all else: nothing may be sent (RFC 7675 5.1)
                self._expire_consent(self._consent, now, revoked=False)
            elif self._gatherer.deadline() <= now:
                self._gatherer.handle_timer(now=now)
            elif self._checker.deadline() <= now:
                self._checker.handle_timer(now=now)
            elif (timer := self._timers.pop_due(now)) is not None:
                self._handle_own_timer(timer, now)
            else:
                return
            self._settle(now)

    def _handle_own_timer(self, timer: _Timer, now: float) -> None:
        if timer is _PATIENCE:
            self._patience_over = True
        elif timer is _CONSENT and self._consent is not None:
            self._check_consent(self._consent, now)
        elif timer is _QUIET:
            self._move(IceCause.QUIET)
        elif timer is _KEEPALIVE and self._path is not None:
            self._keep_alive(self._path, now)
        elif timer is _FREE:
            self._free_unselected(now)

    def deadline(self) -> float:
        """The earliest of all that is planned."""
        # Asked, not copied into our own table: they change with almost every datagram, and there are two.
        return min(self._timers.earliest, self._gatherer.deadline(), self._checker.deadline())

    # ------------------------------------------------------------- STUN

    def _handle_stun(self, socket: SocketId, source: Address, data: bytes, now: float) -> None:
        try:
            message = decode_untrusted(data)
        except DecodeError as error:
            self.stats.drop(error.reason)
            return
        if message.method is not _BINDING:
            self.stats.drop(DropReason.UNKNOWN_METHOD)
        elif message.message_class is _REQUEST:
            if message.has_fingerprint:
                self._checker.handle_request(socket, source, message, now=now)
            else:  # RFC 8445 7.2.4: every check has one
                self.stats.drop(DropReason.BAD_FINGERPRINT)
        elif message.message_class is not _INDICATION:  # an indication is a keepalive (RFC 8445 11)
            self._handle_response(socket, source, message, now)

    def _handle_response(self, socket: SocketId, source: Address, message: Message, now: float) -> None:
        if self._gatherer.handle_response(socket, source, message, now=now):
            return
        if not message.has_fingerprint:  # RFC 8445 7.2.4, 7.3: only a STUN server may do without
            self.stats.drop(DropReason.BAD_FINGERPRINT)
            return
        if self._checker.handle_response(socket, source, message, now=now):
            return
        consent = self._consent
        if consent is None or not consent.is_outstanding(message.transaction_id):
            self.stats.drop(DropReason.UNKNOWN_TRANSACTION)
        elif (socket, source) != (consent.pair.local.socket, consent.pair.remote_address):
            self.stats.drop(DropReason.WRONG_SOURCE)
        elif not self._checker.verify(message):
            self.stats.drop(DropReason.BAD_INTEGRITY)
        else:
            self._take_consent(consent, message, now)

    # ------------------------------------------------------------- the parts, and what they share

    def _settle(self, now: float) -> None:
        """Pass on what the parts want, start what the pacing allows, and plan the next deadline."""
        self._absorb(now)
        checker, gatherer = self._checker, self._gatherer
        while self._state not in _OVER and now >= self._next_slot:
            # A check before a question to a server: somebody waits for it.
            if not (checker.start_next(now=now) or gatherer.start_next(now=now)):
                break
            self._next_slot = now + self._ta
            self._absorb(now)
        if self._state not in _OVER and now < self._next_slot and (checker.has_next() or gatherer.has_next()):
            self._timers.set(_PACE, self._next_slot)
        else:
            self._timers.cancel(_PACE)  # what waited may have become needless
        if self._patience_over:
            self._fail_if_hopeless(now)

    def _absorb(self, now: float) -> None:
        for output in self._checker.take_outputs():
            if isinstance(output, Action):
                self._outputs.append(output)
            elif isinstance(output, PairBecameValid):
                self._outputs.append(PairValidated(_STREAM, _COMPONENT, output.pair.snapshot()))
                self._move(IceCause.VALIDATE)
                self._use_best(now)
            elif isinstance(output, PairNominated):
                self._select(output.pair, now)
            else:  # PairDied
                self._use_best(now)
        for output in self._gatherer.take_outputs():
            if isinstance(output, LocalFound):
                self._checker.pairing.add_local(output.local)
                self._outputs.append(CandidateGathered(_STREAM, _COMPONENT, output.local.candidate))
            else:
                self._outputs.append(output)

    def _select(self, pair: Pair, now: float) -> None:
        self._gatherer.stop()  # RFC 8445 5.1.1.4: bindings are kept until ICE completes
        self._use_best(now)
        self._timers.cancel(_PATIENCE)  # it was for the first pair
        if len(self._sockets) > 1:
            self._timers.set(_FREE, now + self._config.free_delay)
        self._move(IceCause.SELECT)
        self._outputs.append(PairSelected(_STREAM, _COMPONENT, pair.snapshot()))

    def _use_best(self, now: float) -> None:
        """Send on the selected pair, else on the best valid one, and watch the consent of that pair."""
        pair = self._checker.selected or self._checker.best_valid
        if pair is self._used:
            if self._consent is not None:  # the answer that nominated it renews consent too
                self._watch(self._consent)
            return
        if self._used is not None:
            for timer in _OF_PAIR:
                self._timers.cancel(timer)
        self._used = pair
        self._consent = None
        self._until = math.inf
        if pair is None:
            self._path = None
            self._move(IceCause.LOSE)
            return
        self._path = (pair.local.socket, pair.remote_address)
        if self._config.consent:
            self._consent = Consent(pair, self._config)
            self._timers.set(_CONSENT, now + self._consent.interval(self._entropy))
            self._watch(self._consent)
        else:
            self._timers.set(_KEEPALIVE, now + self._config.keepalive_interval)

    def _free_unselected(self, now: float) -> None:
        """Close the sockets that the selected pair does not use (RFC 8445 8.3.1)."""
        used = self._path[0] if self._path is not None else None
        for socket in tuple(self._sockets):
            if socket != used:
                self._checker.remove_local(socket, now=now)
                self._close_socket(socket, CloseMode.FLUSH)

    def _close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        self._sockets.remove(socket)
        self._outputs.append(CloseSocket(socket, mode))

    def _move(self, cause: IceCause) -> None:
        old, new = self._state, ICE_TRANSITIONS[self._state][cause]
        if new is not old:
            self._state = new
            self._outputs.append(IceStateChanged(old, new))

    def _fail_if_hopeless(self, now: float) -> None:
        """Fail when nothing can connect any more, but never before patience has ended (RFC 8863 4)."""
        if self._state in _OVER or self._checker.selected is not None:
            return
        no_more_candidates = self._remote_complete and self.gathering_state is not GatheringState.GATHERING
        if self._checker.nomination_failed or (no_more_candidates and self._checker.is_exhausted):
            self._fail(now)

    def _fail(self, now: float) -> None:
        """The end for these credentials. From now on the agent is silent, so that the peer notices too."""
        self._wind_up(now)
        self._move(IceCause.FAIL)

    def _wind_up(self, now: float) -> None:
        self._path = self._used = self._consent = None
        self._gatherer.stop()
        self._checker.fail_list()
        self._timers.clear()
        self._absorb(now)  # GatheringCompleted, if it was still to come

    # ------------------------------------------------------------- after a pair is in use

    def _watch(self, consent: Consent) -> None:
        self._until = expires_at = consent.expires_at
        self._timers.set(_EXPIRY, expires_at)
        self._timers.set(_QUIET, consent.quiet_at)

    def _check_consent(self, consent: Consent, now: float) -> None:
        """Ask once more (RFC 7675 5.1); consent checks are not paced with the others."""
        pair = consent.pair
        transaction_id, request = self._checker.encode_check(pair.local)
        consent.asked(transaction_id, now=now)
        pair.requests_sent += 1
        self._outputs.append(SendDatagram(pair.local.socket, pair.remote_address, request))
        self._timers.set(_CONSENT, now + consent.interval(self._entropy))

    def _take_consent(self, consent: Consent, message: Message, now: float) -> None:
        try:
            answer = consent.answered(message, now=now)
        except DecodeError as error:
            self.stats.drop(error.reason)
            return
        if answer is ConsentAnswer.REVOKED:
            self._expire_consent(consent, now, revoked=True)
        elif answer is ConsentAnswer.RENEWED:
            self._watch(consent)
            self._move(IceCause.ANSWER if self._checker.selected is None else IceCause.SELECT)

    def _expire_consent(self, consent: Consent, now: float, *, revoked: bool) -> None:
        """Stop sending. On the selected pair that is the end of the session (RFC 7675 5.1)."""
        self._absorb(now)  # what came earlier in the same batch must not reach an agent that has failed
        self._outputs.append(ConsentExpired(_STREAM, _COMPONENT, revoked))
        if consent.pair is self._checker.selected:
            self._fail(now)
        else:
            self._checker.fail_valid(consent.pair, -math.inf if revoked else now - self._config.consent_timeout, now=now)

    def _keep_alive(self, path: tuple[SocketId, Address], now: float) -> None:
        """Send an indication where nothing else was sent for Tr (RFC 8445 11)."""
        interval = self._config.keepalive_interval
        if now >= self._last_sent + interval:
            transaction_id = new_transaction_id(self._entropy)
            data = encode(Method.BINDING, MessageClass.INDICATION, transaction_id, fingerprint=True)
            self._outputs.append(SendDatagram(*path, data))
            self._last_sent = now
        self._timers.set(_KEEPALIVE, self._last_sent + interval)
