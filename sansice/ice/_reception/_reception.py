"""A port that peers come to: `IceReception`, the machine that makes the agents of an `IceMux`.

A peer whose ufrag the application knows has an agent before it comes (`IceReception.open`). One that nobody has announced is let
in by its first check, if the application says with which password (`Admission`), and the check was made with that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import attrs

from sansice.ice._agent._agent import IceAgent
from sansice.ice._agent._pacer import MIN_INTERVAL
from sansice.ice._candidate import Candidate, TcpType
from sansice.ice._config import DEFAULT_CONFIG, IceConfig
from sansice.ice._description import Credentials
from sansice.ice._events import Closed, IceState, IceStateChanged, PairSelected
from sansice.ice._gathering._addresses import AddressKind, look_at
from sansice.ice._gathering._options import DEFAULT_OPTIONS, GatheringOptions
from sansice.ice._lite._agent import LiteAgent
from sansice.ice._mux._config import DEFAULT_MUX_CONFIG, MuxConfig
from sansice.ice._mux._events import AgentEvent, AgentId, MuxState, UnknownUfrag
from sansice.ice._mux._inside import AnyAgent
from sansice.ice._mux._mux import IceMux
from sansice.ice._nomination import REGULAR, Nomination
from sansice.ice._server import IceServer
from sansice.machine import (
    Action,
    Address,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    LocalProtocolError,
    Machine,
    OpenSocket,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun import PENDING, Listener

from ._admission import DEFAULT_LIMITS, Admission, Admit, ReceptionLimits, check_admit, read_admission
from ._events import AdmissionFailed, PeerAdmitted, PeerArrived, ReceptionStats

R = TypeVar("R")


class IceReception(Machine):
    """Serves peers on one port of each address, over UDP, TCP or both: those that are announced, and those that come unasked.

    `start` names where to listen; `ServerReady` tells when that is decided. `open` makes an agent for a peer that signalling will
    tell of; commands are given to it through `tell`. Where ``admit`` is given, it is asked about each check for a ufrag that
    nobody has. Whom it lets in gets an agent, which answers that very check: `PeerAdmitted`, and once it is connected
    `PeerArrived`; `accept` gives the agents that have arrived, the oldest first. What agents tell comes as `AgentEvent`.

    No state is made for who does not know the password. Agents that do not connect, or that nobody accepts, are
    closed after a while.

    Args:
        lite: make lite agents, for a server that all peers can reach (RFC 8445 2.5); otherwise full ones.
        admit: says who is let in, and with which passwords. ``None``: nobody who is not announced. About whom it says
            ``None`` it is asked again with the next check that comes ``MuxConfig.declined_timeout`` later.
        servers: STUN and TURN servers of full agents.
        gathering: which candidates agents have.
        nomination: how full agents that control choose their pairs.
        config: timers and bounds of the agents.
        limits: bounds on who has not been accepted.
        mux: bounds of the mux.
        pace: seconds between any two transactions of full agents (RFC 8445 14.2).
        entropy: the only source of randomness.

    Attributes:
        mux: whom it makes the agents for; its ``stats`` say what was given to nobody.
        stats: how it went with those that came by themselves.

    Raises:
        LocalProtocolError: servers, or a nomination, for lite agents; an ``admit`` that is no function.
    """

    __slots__ = (
        "_admit",
        "_arriving",
        "_config",
        "_entropy",
        "_gathering",
        "_limits",
        "_lite",
        "_max_unknown",
        "_nomination",
        "_servers",
        "_strangers",
        "_waiting",
        "mux",
        "stats",
    )

    def __init__(
        self,
        *,
        lite: bool = True,
        admit: Admit | None = None,
        servers: Iterable[IceServer | str] = (),
        gathering: GatheringOptions = DEFAULT_OPTIONS,
        nomination: Nomination | None = None,
        config: IceConfig = DEFAULT_CONFIG,
        limits: ReceptionLimits = DEFAULT_LIMITS,
        mux: MuxConfig = DEFAULT_MUX_CONFIG,
        pace: float = MIN_INTERVAL,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        self._servers = tuple(servers)
        if lite and (self._servers or nomination is not None):
            raise LocalProtocolError("lite agents ask no servers and nominate nothing: lite=False makes full ones")
        self._lite = lite
        check_admit(admit)
        self._admit: Admit = admit or _nobody
        self._gathering = gathering
        self._nomination = nomination or REGULAR
        self._config = config
        self._limits = limits
        self._entropy = entropy
        self._max_unknown = mux.max_unknown
        self.mux: IceMux = IceMux(config=mux if admit else attrs.evolve(mux, max_unknown=0), pace=pace)
        self.stats: ReceptionStats = ReceptionStats()
        self._strangers: dict[str, UnknownUfrag] = {}  # about whom the answer comes later
        # Both in the order of coming, and so of their deadlines.
        self._arriving: dict[AgentId, float] = {}
        self._waiting: dict[AgentId, float] = {}

    # ------------------------------------------------------------- what may be read

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """The candidates that all agents have: at the addresses that it listens at, and outside of a 1:1 NAT
        (`GatheringOptions.rewrite`).
        """
        if not self.mux.addresses:
            return ()
        agent = LiteAgent(controlling=False, gathering=self._gathering, config=self._config, entropy=bytes)
        agent.gather(self.mux.hosts, include_loopback=True, now=0.0)
        shared: dict[tuple[Transport, str], list[Address | None]] = {}
        for listener, local in reversed(self.mux.listeners):
            shared.setdefault((listener.transport, listener.address.host), []).append(local)
        for wish in [one for one in agent.take_outputs() if isinstance(one, OpenSocket)]:
            listened = shared.get((wish.transport, wish.bind.host))
            local = listened.pop() if listened else None
            if local is not None:
                agent.handle_socket_opened(wish.socket, local, now=0.0)
        return agent.local_candidates

    @property
    def lingers(self) -> bool:
        """Whether agents still say farewell. See `IceMux.lingers`."""
        return self.mux.lingers

    @property
    def waiting(self) -> int:
        """How many connections wait for `accept`."""
        return len(self._waiting)

    def agent(self, name: AgentId) -> AnyAgent:
        """The agent of that name.

        Raises:
            LocalProtocolError: there is none, or it is gone.
        """
        return self.mux.agent(name)

    # ------------------------------------------------------------- commands

    def start(self, listeners: Iterable[Listener | Address], *, now: float) -> None:
        """Open the sockets. See `IceMux.start`.

        Agents have candidates of what is listened at: UDP ones, passive TCP ones (RFC 6544), or both.
        """
        self.mux.start(listeners, now=now)
        listened = [one for one, _ in self.mux.listeners]
        self._gathering = _gathering_at(listened, self._gathering)
        if len(listened) > self._config.max_host_addresses:  # named one by one: a check that comes to any of them is answered
            self._config = attrs.evolve(self._config, max_host_addresses=len(listened))
        self._absorb(now)

    def open(
        self,
        *,
        credentials: Credentials | Sequence[Credentials] | None = None,
        streams: int = 1,
        controlling: bool = False,
        now: float,
    ) -> AgentId:
        """Make an agent for a peer that signalling tells of, and have it gather.

        Args:
            credentials: used as given; drawn otherwise.
            streams: how many, of one component each.
            controlling: the first guess of the role; a lite agent takes the work only with a lite peer.
            now: monotonic seconds.

        Returns:
            Its name, for `tell` and `agent`.

        Raises:
            LocalProtocolError: it is not started, or closed; a ufrag that another agent has.
        """
        self._require_free(credentials)
        name = self.mux.add(self._make(credentials, streams, controlling=controlling), now=now)
        self.mux.gather(name, now=now)
        self._absorb(now)
        return name

    def _require_free(self, credentials: Credentials | Sequence[Credentials] | None) -> None:
        """Refuse before anything is drawn or made what the mux would refuse."""
        if self.mux.state is not MuxState.RUNNING:
            raise LocalProtocolError(f"open(): {self.mux.state.value}")
        given = (credentials,) if isinstance(credentials, Credentials) else credentials or ()
        for one in given:
            if self.mux.is_taken(one.ufrag):
                raise LocalProtocolError(f"open(): the ufrag {one.ufrag} is taken")

    def _make(
        self, credentials: Credentials | Sequence[Credentials] | None, streams: int = 1, *, controlling: bool = False
    ) -> AnyAgent:
        if self._lite:
            return LiteAgent(
                controlling=controlling,
                streams=streams,
                credentials=credentials,
                gathering=self._gathering,
                config=self._config,
                entropy=self._entropy,
                ids=self.mux.ids,
            )
        return IceAgent(
            controlling=controlling,
            streams=streams,
            credentials=credentials,
            servers=self._servers,
            gathering=self._gathering,
            nomination=self._nomination,
            config=self._config,
            entropy=self._entropy,
            ids=self.mux.ids,
            pacer=self.mux.pacer,
        )

    def tell(self, name: AgentId, command: Callable[..., R], *args: object, now: float, **kwargs: object) -> R:
        """Give a command to an agent: ``tell(name, agent.send, b"hello", now=now)``.

        Raises:
            LocalProtocolError: what the command raises.
        """
        result = command(*args, now=now, **kwargs)
        if name in self.mux:  # and did not close with that, or before
            self.mux.absorb(name, now=now)
        self._absorb(now)
        return result

    def command(self, name: AgentId, command: str, *args: object, now: float, **kwargs: object) -> Any:
        """The same by the command's name, as a recording can have it: ``command(name, "send", b"hello", now=now)``.

        Raises:
            LocalProtocolError: there is no agent of that name, or it is gone; what the command raises.
        """
        return self.tell(name, getattr(self.agent(name), command), *args, now=now, **kwargs)

    def accept(self, *, now: float) -> AgentId | None:
        """The oldest connection that waits; ``None`` where none does. From now on it is the application's to close."""
        self._expire(now)
        for name in self._waiting:
            del self._waiting[name]
            self.stats.accepted += 1
            return name
        return None

    def admit(self, ufrag: str, admission: Admission | str, *, now: float) -> bool:
        """Say now what ``admit`` has left open with `sansice.stun.PENDING`.

        Returns:
            Whether that was in time, and the check was made with this password.

        Raises:
            LocalProtocolError: nothing that could be used.
        """
        try:
            told = read_admission(admission, lite=self._lite)
        except ValueError as error:
            raise LocalProtocolError(f"admit(): {error}") from None
        stranger = self._strangers.get(ufrag)
        if stranger is None:
            return False
        is_let_in = self._let_in(stranger, told, now)
        del self._strangers[ufrag]
        self._absorb(now)
        return is_let_in

    def refuse(self, ufrag: str, *, now: float) -> None:
        """The same for somebody who is not wanted. See `IceMux.refuse`."""
        self.mux.refuse(ufrag, now=now)
        if self._strangers.pop(ufrag, None) is not None:
            self.stats.refused += 1

    def close(self, *, now: float) -> None:
        """Close all agents, and the sockets. A second call is harmless."""
        self._arriving.clear()
        self._waiting.clear()
        self._strangers.clear()
        self.mux.close(now=now)
        self._absorb(now)

    # ------------------------------------------------------------- who comes, and who goes

    def _absorb(self, now: float) -> None:
        """Do what the mux wants, pass on what it tells, and see to those who come."""
        emit = self._outputs.append
        while outputs := self.mux.take_outputs():
            for output in outputs:
                if type(output) is AgentEvent:
                    emit(output)
                    if output.agent in self._arriving or output.agent in self._waiting:
                        self._follow(output.agent, output.event, now)
                elif type(output) is UnknownUfrag:
                    self._meet(output, now)
                else:
                    emit(output)

    def _meet(self, stranger: UnknownUfrag, now: float) -> None:
        """A check for a ufrag that nobody has."""
        if len(self._arriving) >= self._limits.max_arriving:
            self.mux.forget(stranger.ufrag, now=now)
            self.mux.stats.drop(DropReason.LIMIT)
            return
        try:
            said = self._admit(stranger)
            if said is PENDING:
                self._leave_open(stranger)
                return
            if said is not None:
                self._let_in(stranger, read_admission(said, lite=self._lite), now)
                return
            self.mux.decline(stranger.ufrag, now=now)  # its signalling may still be on its way
            self.stats.refused += 1
            return
        except Exception as error:  # what is wrong with the application's function is no reason to leave its other peers alone
            self._outputs.append(AdmissionFailed(stranger.ufrag, stranger.source, f"{type(error).__name__}: {error}"))
        self.mux.refuse(stranger.ufrag, now=now)
        self.stats.refused += 1

    def _leave_open(self, stranger: UnknownUfrag) -> None:
        """The mux keeps the check, and offers no other for this ufrag, until it forgets it; so as many are remembered here."""
        self._strangers.pop(stranger.ufrag, None)  # of whom the mux has forgotten the check
        self._strangers[stranger.ufrag] = stranger
        if len(self._strangers) > self._max_unknown:
            del self._strangers[next(iter(self._strangers))]
        self._outputs.append(stranger)

    def _let_in(self, stranger: UnknownUfrag, admission: Admission, now: float) -> bool:
        """Make an agent for whom has sent the check that waits, if it was made with the right password.

        Raises:
            LocalProtocolError: no agent can have such a peer; nothing was done.
        """
        is_authentic = self.mux.is_authentic(stranger.ufrag, admission.pwd, now=now)
        if not is_authentic:
            self.mux.distrust(stranger.ufrag, now=now)  # another's check for it may be authentic
            self.stats.forged += is_authentic is False
            return False
        agent = self._make(admission.credentials(stranger))
        agent.set_remote(admission.description(stranger), now=now)
        name = self.mux.add(agent, now=now)
        self._arriving[name] = now + self._limits.arrival_timeout
        self.stats.admitted += 1
        self._outputs.append(PeerAdmitted(name, stranger.ufrag, stranger.remote_ufrag))
        self.mux.gather(name, now=now)
        if not self._config.shared_credentials:  # with them a password is no more than what anybody has said
            self.mux.vouch(stranger.source, now=now)
        return True

    def _follow(self, name: AgentId, event: Event, now: float) -> None:
        """How it goes with an agent that nobody has accepted yet."""
        if isinstance(event, PairSelected) and name in self._arriving:
            del self._arriving[name]
            if len(self._waiting) >= self._limits.max_waiting:
                self.stats.not_accepted += 1
                self.mux.remove(name, now=now)
                return
            self._waiting[name] = now + self._limits.accept_timeout
            self._outputs.append(PeerArrived(name))
        elif isinstance(event, Closed) or (isinstance(event, IceStateChanged) and event.new is IceState.FAILED):
            self._give_up(name, now)

    def _give_up(self, name: AgentId, now: float) -> None:
        if self._arriving.pop(name, None) is not None:
            self.stats.not_connected += 1
        else:
            del self._waiting[name]
            self.stats.not_accepted += 1
        self.mux.remove(name, now=now)

    def _expire(self, now: float) -> None:
        """Close those whose time is over."""
        for table in (self._arriving, self._waiting):
            while table:
                name = next(iter(table))
                if table[name] > now:
                    break
                self._give_up(name, now)
        self._absorb(now)

    # ------------------------------------------------------------- inputs

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_socket_opened(socket, local, now=now)
        self._absorb(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_socket_failed(socket, error, now=now)
        self._absorb(now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_datagrams(socket, batch, now=now)
        self._absorb(now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_accepted(listener, socket, remote, now=now)
        self._absorb(now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_stream_data(socket, data, now=now)
        self._absorb(now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_stream_sent(socket, unsent, now=now)
        self._absorb(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_icmp(socket, destination, error, now=now)
        self._absorb(now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """See `IceMux`."""
        self.mux.handle_resolved(query, answer, now=now)
        self._absorb(now)

    def handle_timer(self, *, now: float) -> None:
        """Timers of the agents, and the time that those have who were not accepted."""
        self._expire(now)
        self.mux.handle_timer(now=now)
        self._absorb(now)

    def deadline(self) -> float:
        """The earliest of all."""
        arriving = next(iter(self._arriving.values()), math.inf)
        return min(self.mux.deadline(), arriving, next(iter(self._waiting.values()), math.inf))

    def take_outputs(self) -> list[Action | Event]:
        """What is to be done and known, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs


def _gathering_at(listened: Sequence[Listener], given: GatheringOptions) -> GatheringOptions:
    """Which candidates agents have that are to use these shared sockets."""
    if given.link_local is None and any(look_at(one.address.host)[1] is AddressKind.LINK_LOCAL for one in listened):
        given = attrs.evolve(given, link_local=True)
    transports = [one.transport for one in listened]
    if Transport.TCP not in transports:
        return given
    tcp = tuple(dict.fromkeys([*given.tcp, TcpType.PASSIVE]))
    return attrs.evolve(given, udp=given.udp and Transport.UDP in transports, tcp=tcp)


def _nobody(stranger: UnknownUfrag) -> None:
    """Lets nobody in."""
