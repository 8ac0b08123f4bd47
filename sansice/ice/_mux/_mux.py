"""Many agents on one port: `IceMux`, the machine.

A check names the agent that it is for, by the ufrag in front of its USERNAME (RFC 8445 7.2.2); an answer repeats the transaction
id of what asked; everything else, data, DTLS, RTP, QUIC (RFC 7983), is known by where it comes from, once a check from there has
been authenticated. A TCP connection is all one agent's: that of its first check.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sansice.ice._agent._agent import IceAgent
from sansice.ice._agent._pacer import MIN_INTERVAL, Pacer
from sansice.ice._events import DataReceived, GatheringState, IceState
from sansice.ice._gathering._host_list import HostsGiven
from sansice.ice._telling._stats import IceStats
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    DecodeError,
    DropReason,
    Event,
    IcmpError,
    Ids,
    LocalProtocolError,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
)
from sansice.stun import Listener, decode_untrusted, is_stun, short_term_key

from ._config import DEFAULT_MUX_CONFIG, MuxConfig
from ._doorstep import Caller
from ._events import MUX_TRANSITIONS, AgentEvent, AgentId, MuxInput, MuxState, UnknownUfrag
from ._inside import AnyAgent, ids_of, is_trusted, pacer_of, ufrags_of
from ._listening import Listening, read_listeners
from ._members import Lane, Member, SharedSocket
from ._peek import ERROR, INDICATION, REQUEST, SUCCESS, TRANSACTION_ID, local_ufrag_untrusted, ufrags_untrusted
from ._residents import Residents
from ._strangers import FirstCheck


class IceMux(Machine):
    """Serves any number of agents, full and lite, on one UDP port and one TCP listener of each address, or on several.

    `start` names where to listen; `ServerReady` tells when that is decided. Agents are ordinary ones, made with ``ids=mux.ids``,
    and full ones with ``pacer=mux.pacer`` besides; `add` takes them before they gather. From then on the mux is their driver:
    it feeds them and does what they want, and what they tell comes as `AgentEvent`. Commands are given to the agent itself, and
    then `absorb` is called, which takes what came of the command (`gather` and `send` do both)::

        agent = LiteAgent(controlling=False, ids=mux.ids, credentials=credentials)
        name = mux.add(agent, now=now)
        mux.gather(name, now=now)
        agent.set_remote(description, now=now)
        mux.absorb(name, now=now)

    An agent's host candidates are then at the shared ports, one at each, and so are server-reflexive ones, and those that a 1:1
    NAT gives (`GatheringOptions.rewrite`); where the mux listens over TCP, passive TCP candidates are there as well. What else it
    opens, such as connections to TURN servers, and names that it looks up, go through to the driver.

    **Whose is it?** A check belongs to the agent that has its ufrag, an answer to the agent that asked. Anything else belongs to
    the agent whose peer was proven to be at the source address: by an answer that the agent has accepted, which shows who is
    there and moves the address at once; or by a new check that the agent has authenticated, which shows only who has sent it. So
    a check takes no address from an agent whose own peer is there by what it has shown of late, within two consent checks; and
    whoever repeats a check, or claims another's ufrag without the password, moves nothing. Where a NAT gives an address to
    another client, it becomes the other agent's with the first check. A TCP connection is the agent's whose ufrag the check in
    its first frame has (RFC 6544 7.2), who closes it where the password is wrong. What is nobody's is dropped and counted; it
    makes no state, but for `UnknownUfrag` and for connections whose first frame is not there yet, within the bounds of
    `MuxConfig`.

    Over UDP each peer has to be at an address of its own: two agents here cannot both be connected to one port there.

    Args:
        config: bounds.
        pace: seconds between any two transactions that full agents start, all together (RFC 8445 14.2).

    Attributes:
        ids: for the agents.
        pacer: for the full ones.
        stats: counters of what was given to no agent; what agents drop is in theirs.
    """

    __slots__ = ("_config", "_last", "_listening", "_residents", "_state", "ids", "pacer", "stats")

    def __init__(self, *, config: MuxConfig = DEFAULT_MUX_CONFIG, pace: float = MIN_INTERVAL) -> None:
        super().__init__()
        self.ids: Ids = Ids()
        self.pacer: Pacer = Pacer(pace)
        self.stats: IceStats = IceStats()
        self._config = config
        self._state = MuxState.NEW
        self._listening = Listening()
        self._residents = Residents(config, self._listening, self._outputs, self.stats)
        self._last = 0

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> MuxState:
        """Where it is in its life."""
        return self._state

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of the shared sockets that are open now, each once."""
        return tuple(dict.fromkeys(address for _, address in self._listening.addresses))

    @property
    def listeners(self) -> tuple[tuple[Listener, Address | None], ...]:
        """Where it listens: as `start` was told, and what that is bound to, once it is open."""
        return tuple((one.listener, one.local) for one in self._listening.sockets.values())

    @property
    def hosts(self) -> HostsGiven:
        """What agents gather from to be at the shared sockets, and at no others: `gather` has them do so."""
        return self._listening.hosts

    @property
    def agents(self) -> tuple[AgentId, ...]:
        """Those that are on it, in the order of `add`."""
        return tuple(self._residents.members)

    def agent(self, name: AgentId) -> AnyAgent:
        """The agent of that name.

        Raises:
            LocalProtocolError: there is none, or it is gone.
        """
        return self._member(name).agent

    def _member(self, name: AgentId) -> Member:
        member = self._residents.members.get(name)
        if member is None:
            raise LocalProtocolError(f"there is no agent {name!r}, or it is gone")
        return member

    def __contains__(self, name: object) -> bool:
        return name in self._residents.members

    @property
    def lingers(self) -> bool:
        """Whether agents of a mux that is closed still say farewell to their relays. See `sansice.driver.Driver.lingers`."""
        return self._state is MuxState.CLOSED and bool(self._residents.members)

    def is_taken(self, ufrag: str) -> bool:
        """Whether an agent has this ufrag."""
        return ufrag.encode() in self._residents.by_ufrag

    def is_authentic(self, ufrag: str, pwd: str, *, now: float) -> bool | None:
        """Whether the check that waits for this ufrag was made with this password (RFC 8445 7.2.2); ``None``: none waits.

        See `UnknownUfrag`.
        """
        first = self._residents.strangers.find(ufrag.encode(), now=now)
        return None if first is None else decode_untrusted(first.data).verify(short_term_key(pwd))

    # ------------------------------------------------------------- commands

    def start(self, listeners: Iterable[Listener | Address], *, now: float) -> None:
        """Open the shared sockets. Each answers with `ListenerOpened` or `ListenerFailed`, then comes one `ServerReady`.

        Args:
            listeners: the machine's own addresses, never the wildcard; port 0 is any. UDP, where a `Listener` does not say TCP.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: started before, or closed; no address, the same one twice, or one that is none to listen at.
        """
        state = self._after(MuxInput.START)
        listed = read_listeners(listeners)
        self._state = state
        self._outputs.extend(self._listening.start(listed, self.ids, self._config.receive_buffer))

    def _after(self, what: MuxInput) -> MuxState:
        state = MUX_TRANSITIONS[self._state].get(what)
        if state is None:
            raise LocalProtocolError(f"{what.value}: the mux is {self._state.value}")
        return state

    def add(self, agent: AnyAgent, *, now: float) -> AgentId:
        """Serve an agent from now on, until it is closed or removed. If a check waits for its ufrag, it is given that one.

        Args:
            agent: that has not gathered yet.
            now: monotonic seconds.

        Returns:
            Its name, for the commands and in `AgentEvent`.

        Raises:
            LocalProtocolError: the mux is not started, or is closed; the agent has gathered, is closed, or was made without
                ``ids=mux.ids`` (a full one: and ``pacer=mux.pacer``); it has several components in a stream, which
                cannot be told apart on one port; one of its ufrags is taken.
        """
        if self._state is not MuxState.RUNNING:
            raise LocalProtocolError(f"add(): the mux is {self._state.value}")
        if ids_of(agent) is not self.ids:
            raise LocalProtocolError("add(): make the agent with ids=mux.ids, so that no two open the same socket")
        if isinstance(agent, IceAgent) and pacer_of(agent) is not self.pacer:
            raise LocalProtocolError("add(): make the agent with pacer=mux.pacer: all together keep one pace (RFC 8445 14.2)")
        if agent.gathering_state is not GatheringState.NEW or agent.state in (IceState.CLOSED, IceState.FAILED):
            raise LocalProtocolError("add(): the agent has gathered before, or is over")
        if any(count > 1 for count in agent.components):
            raise LocalProtocolError("add(): a ufrag names a stream, so on one port a stream has one component (RFC 8843)")
        ufrags = ufrags_of(agent)
        named = [ufrag for of_stream in ufrags for ufrag in of_stream]
        for ufrag in named:
            owner = self._residents.by_ufrag.get(ufrag)
            if owner is not None and owner.agent is agent:
                raise LocalProtocolError("add(): the agent is here already")
            if owner is not None or named.count(ufrag) > 1:
                raise LocalProtocolError(f"add(): the ufrag {ufrag.decode()} is taken")
        self._last += 1
        member = Member(AgentId(self._last), agent, ufrags)
        self._residents.members[member.id] = member
        self._residents.by_ufrag.update(dict.fromkeys(named, member))
        self._residents.take(member, now)
        return member.id

    def gather(self, name: AgentId, *, now: float) -> None:
        """Have an agent gather from the addresses that the mux listens at, and no others; `IceAgent.gather` takes others, too.

        Raises:
            LocalProtocolError: see `agent` and `IceAgent.gather`.
        """
        member = self._member(name)
        member.agent.gather(self.hosts, include_loopback=True, now=now)
        self._residents.take(member, now)

    def send(self, name: AgentId, data: bytes, *, stream: int = 0, now: float) -> None:
        """Send a datagram for an agent.

        Raises:
            LocalProtocolError: see `agent` and `IceAgent.send`.
        """
        member = self._member(name)
        member.agent.send(data, stream=stream, now=now)
        self._residents.take(member, now)

    def absorb(self, name: AgentId, *, now: float) -> None:
        """Take what came of a command that the application gave to an agent.

        Raises:
            LocalProtocolError: see `agent`.
        """
        self._residents.take(self._member(name), now)

    def remove(self, name: AgentId, *, now: float) -> None:
        """Close an agent, and route nothing to it any more. One that is gone is none to close: that is harmless."""
        member = self._residents.members.get(name)
        if member is not None:
            member.agent.close(now=now)
            self._residents.take(member, now)

    def refuse(self, ufrag: str, *, now: float) -> None:
        """Nobody is to have this ufrag (see `UnknownUfrag`): for ``MuxConfig.refused_timeout`` it is not offered again.

        Raises:
            LocalProtocolError: an agent has it.
        """
        encoded = ufrag.encode()
        if encoded in self._residents.by_ufrag:
            raise LocalProtocolError(f"refuse(): an agent has the ufrag {ufrag}; remove() it")
        self._residents.strangers.refuse(encoded, now=now)
        self._residents.doorstep.dismiss(encoded)

    def decline(self, ufrag: str, *, now: float) -> None:
        """Nobody has this ufrag yet: for ``MuxConfig.declined_timeout`` it is not offered again, and then the next check is."""
        self._residents.strangers.decline(ufrag.encode(), now=now)
        self._residents.doorstep.dismiss(ufrag.encode())

    def forget(self, ufrag: str, *, now: float) -> None:
        """Let the check that waits for a ufrag (see `UnknownUfrag`) wait no more. The next one is offered again."""
        self._residents.strangers.forget(ufrag.encode(), now=now)
        self._residents.doorstep.dismiss(ufrag.encode())

    def distrust(self, ufrag: str, *, now: float) -> None:
        """The same, and for ``MuxConfig.unknown_timeout`` at most its sender is not listened to; the next one of another is."""
        self._residents.strangers.distrust(ufrag.encode(), now=now)
        self._residents.doorstep.dismiss(ufrag.encode())

    def vouch(self, source: Address, *, now: float) -> None:
        """Who came from there has proven something: it does not count for ``MuxConfig.max_unknown_per_prefix`` any more."""
        self._residents.strangers.vouch(source)

    def close(self, *, now: float) -> None:
        """Close all agents, and the shared sockets. A second call is harmless."""
        self._state = self._after(MuxInput.CLOSE)
        for name in tuple(self._residents.members):
            self.remove(name, now=now)
        self._residents.doorstep.close_at()
        self._outputs.extend([CloseSocket(socket) for socket in self._listening.sockets])
        self._listening.clear()
        self._residents.strangers.clear()

    # ------------------------------------------------------------- inputs: sockets

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A shared socket is open, and with it the places of all agents there. Or it is an agent's own."""
        shared = self._listening.sockets.get(socket)
        if shared is not None:
            if shared.local is None:
                self._outputs.extend(self._listening.opened(shared, local))
                for lane in tuple(shared.lanes.values()):
                    lane.member.agent.handle_socket_opened(lane.id, local, now=now)
                    self._residents.take(lane.member, now)
                    self._residents.greet(lane, now)
            return
        member = self._residents.owners.get(socket)
        if member is not None:
            member.agent.handle_socket_opened(socket, local, now=now)
            self._residents.take(member, now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A shared socket did not open, or died: so it is for all agents there. Or it is an agent's own."""
        shared = self._listening.sockets.get(socket)
        if shared is not None:
            self._outputs.extend(self._listening.failed(shared, error))
            self._residents.doorstep.close_at(shared)
            for lane in tuple(shared.lanes.values()):
                self._residents.close_lane(lane)
                lane.member.agent.handle_socket_failed(lane.id, error, now=now)
                self._residents.take(lane.member, now)
            return
        member = self._residents.owners.pop(socket, None)
        if member is not None:
            member.agent.handle_socket_failed(socket, error, now=now)
            self._residents.take(member, now)
        elif (caller := self._residents.doorstep.find(socket)) is not None:
            self._residents.doorstep.lose(caller)
            self._stop_offering(caller, now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """A connection to a shared listener waits until it is known whose it is. Or an agent has a listener of its own."""
        shared = self._listening.sockets.get(listener)
        if shared is not None:
            self._residents.doorstep.take(shared, socket, remote, now=now)
            return
        member = self._residents.owners.get(listener)
        if member is None:
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
        else:
            self._residents.owners[socket] = member
            member.agent.handle_accepted(listener, socket, remote, now=now)
            self._residents.take(member, now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Of an agent's connection; or of one that is still to say whose it is."""
        member = self._residents.owners.get(socket)
        if member is not None:
            member.agent.handle_stream_data(socket, data, now=now)
            self._residents.take(member, now)
        elif (caller := self._residents.doorstep.find(socket)) is not None:
            self._hear(caller, data, now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """Of an agent's connection."""
        member = self._residents.owners.get(socket)
        if member is not None:
            member.agent.handle_stream_sent(socket, unsent, now=now)
            self._residents.take(member, now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """What an agent has sent to its peer came back. Whose it was that was sent elsewhere nobody knows."""
        shared = self._listening.sockets.get(socket)
        if shared is None:
            member = self._residents.owners.get(socket)
        else:
            lane = shared.routes.get(destination)
            member = None if lane is None else lane.member
            socket = socket if lane is None else lane.id
        if member is not None:
            member.agent.handle_icmp(socket, destination, error, now=now)
            self._residents.take(member, now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """The DNS answers the agent that asked."""
        member = self._residents.asking.pop(query, None)
        if member is not None:
            member.agent.handle_resolved(query, answer, now=now)
            self._residents.take(member, now)

    def handle_timer(self, *, now: float) -> None:
        """The timers of the agents that are due."""
        while (name := self._residents.timers.pop_due(now)) is not None:
            member = self._residents.members[name]
            member.due = math.inf
            member.agent.handle_timer(now=now)
            self._residents.take(member, now)
        self._residents.doorstep.expire(now)

    def deadline(self) -> float:
        """The earliest of all agents, and of the connections that wait."""
        due, doorstep = self._residents.timers.deadline(), self._residents.doorstep
        return min(due, doorstep.deadline()) if doorstep else due

    def take_outputs(self) -> list[Action | Event]:
        """What is to be done and known, in order."""
        outputs = self._outputs.copy()  # it stays the same list, for the residents write into it
        self._outputs.clear()
        return outputs

    # ------------------------------------------------------------- inputs: datagrams

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Give each datagram to its agent, or to nobody."""
        shared = self._listening.sockets.get(socket)
        if shared is None:
            self._handle_own(socket, batch, now)
            return
        if now >= self._residents.timers.deadline():  # late, and what comes now may no longer be whose it was (RFC 7675 5.1)
            self.handle_timer(now=now)
        routes, stats, emit = shared.routes, self.stats, self._outputs.append
        owner: Lane | None = None
        start = 0  # of a run of datagrams that are one agent's
        for position, (source, data) in enumerate(batch):
            if is_stun(data):
                if owner is not None:
                    self._residents.deliver(owner, batch[start:position], now)
                    owner = None
                self._handle_stun(shared, source, data, now)
                continue
            lane = routes.get(source)
            if lane is not None and (carried := lane.carried) is not None and source == lane.usual and data:
                # With many agents each look at one is at memory that is far away: what makes no difference is not looked at.
                if owner is not None:
                    self._residents.deliver(owner, batch[start:position], now)
                    owner = None
                carried.receive(len(data), now)
                emit(AgentEvent(lane.name, DataReceived(lane.stream, 1, data)))  # one component a stream, see `add`
                continue
            if lane is not owner:
                if owner is not None:
                    self._residents.deliver(owner, batch[start:position], now)
                owner, start = lane, position
            if lane is None:
                stats.drop(DropReason.UNVALIDATED_SOURCE if data else DropReason.EMPTY)
        if owner is not None:
            self._residents.deliver(owner, batch[start:], now)

    def _handle_own(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], now: float) -> None:
        member = self._residents.owners.get(socket)
        if member is None:
            self.stats.dropped[DropReason.UNKNOWN_SOCKET] += len(batch)
        else:
            member.agent.handle_datagrams(socket, batch, now=now)
            self._residents.take(member, now)

    def _handle_stun(self, shared: SharedSocket, source: Address, data: bytes, now: float) -> None:
        kind = data[:2]
        if kind == REQUEST:
            ufrag = local_ufrag_untrusted(data)
            member = None if ufrag is None else self._residents.by_ufrag.get(ufrag)
            if ufrag is None:
                self.stats.drop(DropReason.BAD_USERNAME)
            elif member is None:
                why = self._offer(ufrag, shared, source, data, now)
                if why is not None:
                    self.stats.drop(why)
            elif (lane := member.lane_at(shared, ufrag)) is None:
                self.stats.drop(DropReason.UNKNOWN_SOCKET)
            else:
                self._residents.check(lane, source, data, now)
        elif kind in (SUCCESS, ERROR):
            self._answer(shared, source, data, now)
        elif kind == INDICATION:  # a keepalive (RFC 8445 11)
            owner = shared.routes.get(source)
            if owner is None:
                self.stats.drop(DropReason.UNVALIDATED_SOURCE)
            else:
                self._residents.deliver(owner, ((source, data),), now)
        else:
            self.stats.drop(DropReason.UNKNOWN_METHOD)

    def _answer(self, shared: SharedSocket, source: Address, data: bytes, now: float) -> None:
        """An answer: where the agent drops nothing, and trusts where it came from, it has proven that the peer is there.

        Where it came from is for the agent to judge: a check that is answered from elsewhere has failed (RFC 8445 7.2.5.2.1).
        """
        socket = self._residents.transactions.find(data[TRANSACTION_ID], now=now)
        lane = None if socket is None else self._residents.lanes.get(socket)
        if lane is None or lane.shared is not shared:
            self.stats.drop(DropReason.UNKNOWN_TRANSACTION)
            return
        agent = lane.member.agent
        before = agent.stats.dropped.total()
        agent.handle_datagrams(lane.id, ((source, data),), now=now)
        self._residents.take(lane.member, now)
        if (
            data[:2] == SUCCESS
            and shared.routes.get(source) is not lane
            and agent.stats.dropped.total() == before
            and is_trusted(agent, lane.id, source)
        ):
            self._residents.learn(lane, source)

    def _offer(self, ufrag: bytes, shared: SharedSocket, source: Address, data: bytes, now: float) -> DropReason | None:
        """A check for a ufrag that nobody has: offer it, or say why not."""
        try:
            ufrags = ufrags_untrusted(data)
        except DecodeError as error:
            return error.reason
        why = self._residents.strangers.admit(ufrag, FirstCheck(shared.id, source, data, ufrags.remote.encode()), now=now)
        if why is None and shared.local is not None:
            self._outputs.append(UnknownUfrag(ufrags.local, ufrags.remote, source, shared.local))
        return why

    # ------------------------------------------------------------- inputs: connections that wait

    def _hear(self, caller: Caller, data: bytes, now: float) -> None:
        doorstep = self._residents.doorstep
        if not data:
            doorstep.leave(caller)
            self._stop_offering(caller, now)
            return
        first = doorstep.hear(caller, data)
        if first is not None:
            why = self._seat(caller, first, now)
            if why is not None:
                doorstep.turn_away(caller, why)
        elif caller.ufrag is not None and doorstep.find(caller.socket) is None:  # it has said too much
            self._stop_offering(caller, now)

    def _seat(self, caller: Caller, first: bytes, now: float) -> DropReason | None:
        """The first frame of a connection is there: give it to its agent, or offer it, or say why not."""
        if not is_stun(first):
            return DropReason.NOT_STUN
        ufrag = local_ufrag_untrusted(first) if first[:2] == REQUEST else None
        if ufrag is None:
            return DropReason.BAD_USERNAME
        member = self._residents.by_ufrag.get(ufrag)
        if member is not None:
            lane = member.lane_at(caller.shared, ufrag)
            if lane is None:
                return DropReason.UNKNOWN_SOCKET
            self._residents.adopt(caller, lane, now)
            return None
        why = self._offer(ufrag, caller.shared, caller.remote, first, now)
        if why is None:
            self._residents.doorstep.offer(caller, ufrag, now=now)
        return why

    def _stop_offering(self, caller: Caller, now: float) -> None:
        """Whose check it was is gone; who asks for that ufrag next, is offered."""
        if caller.ufrag is not None:
            self._residents.strangers.forget(caller.ufrag, now=now)
