"""The agents on a mux: what they want is done here, at the sockets that they share, and who has come and gone is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sansice._timers import Timers
from sansice.ice._events import Closed, DataReceived, PairSelected, Restarted
from sansice.ice._telling._stats import IceStats
from sansice.machine import (
    Action,
    Address,
    CloseSocket,
    Event,
    OpenSocket,
    QueryId,
    Resolve,
    SendDatagram,
    SocketId,
    Transport,
)
from sansice.stun import ERROR_CODE, ErrorCode, MessageClass, Method, TransactionId, decode_untrusted, encode, is_stun

from ._config import MuxConfig
from ._doorstep import Caller, Doorstep
from ._events import AgentEvent, AgentId, UfragTaken
from ._inside import has_heard, remote_ufrag_of, stream_of, ufrags_of
from ._listening import Listening
from ._members import Lane, Member
from ._peek import ERROR, REQUEST, SUCCESS, TRANSACTION_ID
from ._rivals import claim
from ._strangers import Strangers
from ._transactions import Transactions

# A TURN server has one allocation for each address that it is asked from (RFC 8656 2.2), and all agents are at the same one. So
# they are told what the server would tell the second of them: that address is taken (RFC 8656 7.4), ask from another. They
# open a socket of their own then, which is theirs alone.
_TAKEN = ErrorCode(437, "")
_ALLOCATE = b"\x00\x03"  # RFC 8656 17
_STUN_ENDS = 4  # RFC 7983 7: what begins with a higher byte is no STUN
_ANSWERS = (SUCCESS, ERROR)


class Residents:
    """The agents on a mux, and everything that leads to them.

    Attributes:
        members: by name, in the order of coming.
        by_ufrag: who has a ufrag.
        lanes: the places at shared sockets, by their names to the agents.
        owners: whose a socket is that is not shared.
        asking: who has asked the DNS.
        timers: of the agents.
        transactions: who has asked what through shared sockets.
        strangers: ufrags that nobody here has.
        doorstep: connections of which nobody knows yet whose they are.
    """

    __slots__ = (
        "_config",
        "_listening",
        "_outputs",
        "asking",
        "by_ufrag",
        "doorstep",
        "lanes",
        "members",
        "owners",
        "strangers",
        "timers",
        "transactions",
    )

    def __init__(self, config: MuxConfig, listening: Listening, outputs: list[Action | Event], stats: IceStats) -> None:
        self._config = config
        self._listening = listening
        self._outputs = outputs
        self.members: dict[AgentId, Member] = {}
        self.by_ufrag: dict[bytes, Member] = {}
        self.lanes: dict[SocketId, Lane] = {}
        self.owners: dict[SocketId, Member] = {}
        self.asking: dict[QueryId, Member] = {}
        self.timers: Timers[AgentId] = Timers()
        self.strangers = Strangers(config)
        self.doorstep = Doorstep(config, outputs, stats)
        self.transactions = Transactions(config.transaction_timeout, config.max_transactions)

    # ------------------------------------------------------------- what they are given

    def deliver(self, lane: Lane, batch: Sequence[tuple[Address, bytes]], now: float) -> None:
        """Data, or whatever else is an agent's by where it comes from."""
        agent = lane.agent
        agent.handle_datagrams(lane.id, batch, now=now)
        outputs = agent.take_outputs()
        for position, output in enumerate(outputs):
            if type(output) is not DataReceived:
                self.take(lane.member, now, outputs=outputs[position:])
                return
            self._outputs.append(AgentEvent(lane.name, output))
        if outputs:
            lane.settle(batch[-1][0])
        # An agent that does nothing but deliver plans nothing earlier than before, so that its timer need not be looked at: with
        # many agents each look is at memory that is far away, and costs as much as all the rest.

    def check(self, lane: Lane, source: Address, data: bytes, now: float) -> None:
        """A check: where the agent has authenticated it, the peer says that it is at ``source``. A repeated one says nothing."""
        agent = lane.agent
        is_repeated = source not in lane.sources and has_heard(agent, lane.stream, data[TRANSACTION_ID])
        agent.handle_datagrams(lane.id, ((source, data),), now=now)
        proven = self.take(lane.member, now, (lane.id, source, data[TRANSACTION_ID]))
        if proven and source not in lane.sources and not is_repeated and lane.id in self.lanes:
            claim(lane, source, self._config.max_sources, now=now)

    def adopt(self, caller: Caller, lane: Lane, now: float) -> None:
        """A connection has said whose it is: it is that agent's, who judges whether that was said with the right password."""
        member, socket = lane.member, caller.socket
        data = self.doorstep.release(caller)
        self.owners[socket] = member
        lane.agent.handle_accepted(lane.id, socket, caller.remote, now=now)
        lane.agent.handle_stream_data(socket, data, now=now)
        self.take(member, now)

    def learn(self, lane: Lane, source: Address) -> None:
        """The peer of an agent has proven where it is, by an answer."""
        if lane.id in self.lanes:  # or what proved it was the agent's last word
            lane.learn(source, self._config.max_sources)

    # ------------------------------------------------------------- what they want

    def take(
        self,
        member: Member,
        now: float,
        asked: tuple[SocketId, Address, bytes] | None = None,
        outputs: list[Action | Event] | None = None,
    ) -> bool:
        """Do what an agent wants, pass on what it tells, and plan its next deadline.

        Args:
            member: the agent.
            now: monotonic seconds.
            asked: the check that it was just given: on which socket, from where, its transaction id.
            outputs: what was taken from it already.

        Returns:
            Whether the agent has authenticated that: then its answer is signed, even where it is an error.
        """
        agent, lanes, emit = member.agent, self.lanes, self._outputs.append
        proven = False
        wished = sent = 0
        opened: list[Lane] = []
        if outputs is None:
            outputs = agent.take_outputs()
        while outputs:
            wished += len(outputs)
            opening: list[Lane] = []
            for output in outputs:
                if type(output) is SendDatagram:
                    lane = lanes.get(output[0])
                    if lane is None:
                        emit(output)
                        continue
                    data = output[2]
                    if data[0] < _STUN_ENDS and is_stun(data):
                        kind = data[:2]
                        if kind == REQUEST:
                            self.transactions.note(data[TRANSACTION_ID], lane.id, now=now)
                        elif kind in _ANSWERS:
                            proven = proven or ((lane.id, output[1], data[TRANSACTION_ID]) == asked and _is_signed(data))
                        elif kind == _ALLOCATE:
                            agent.handle_datagrams(lane.id, ((output[1], _refuse(data)),), now=now)
                            continue
                    else:
                        sent += 1
                    emit(SendDatagram(lane.shared.id, output[1], data))
                elif type(output) is DataReceived:
                    emit(AgentEvent(member.id, output))
                elif isinstance(output, OpenSocket):
                    opening += self._open_socket(member, output)
                elif isinstance(output, Event):
                    self._pass_event(member, output, now)
                else:
                    self._pass_action(member, output)
            for lane in opening:
                if lane.shared.local is not None and lane.id in lanes:
                    agent.handle_socket_opened(lane.id, lane.shared.local, now=now)
                    opened.append(lane)
            outputs = agent.take_outputs()
        if not sent or sent != wished:  # more has happened to the agent than that the application has sent data
            for lane in member.lanes:
                lane.carried = None
        renewed = self._renew(member, now) if member.is_renewing else ()
        if member.is_over and not agent.lingers:
            self._forget(member)
        elif (due := agent.deadline()) != member.due:
            member.due = due
            self.timers.set(member.id, due)
        for lane in opened:
            self.greet(lane, now)
        if renewed:
            self._meet(member, renewed, now)
        return proven

    def _open_socket(self, member: Member, wish: OpenSocket) -> tuple[Lane, ...]:
        """A socket that an agent wants: a place at a shared one, or one of its own."""
        stream = stream_of(member.agent, wish.socket)
        shared = self._listening.serving(wish, [lane.shared for lane in member.lanes if lane.stream == stream])
        if shared is None:
            self.owners[wish.socket] = member
            self._outputs.append(wish)
            return ()
        if stream is None:  # it has changed its mind since
            return ()
        lane = Lane(wish.socket, shared, member, stream)
        member.lanes = (*member.lanes, lane)
        self.lanes[lane.id] = shared.lanes[lane.id] = lane
        return (lane,)

    def greet(self, lane: Lane, now: float) -> None:
        """A place is open: has a check for it come before the agent?"""
        member, shared = lane.member, lane.shared
        for ufrag in member.ufrags[lane.stream] if member.lanes else ():
            first = self.strangers.find(ufrag, now=now)
            if first is not None and first.socket == shared.id and self.by_ufrag.get(ufrag) is member:
                self.strangers.welcome(ufrag)
                caller = self.doorstep.asking(ufrag)
                if caller is None or caller.shared is not shared:
                    self.check(lane, first.source, first.data, now)
                else:
                    self.adopt(caller, lane, now)

    def _pass_action(self, member: Member, action: Action) -> None:
        """Whatever else is to be done: only what is about a shared socket stays here."""
        if isinstance(action, CloseSocket):
            lane = self.lanes.get(action.socket)
            if lane is not None:
                self.close_lane(lane)
                return
            self.owners.pop(action.socket, None)
        elif isinstance(action, Resolve):
            self.asking[action.query] = member
        self._outputs.append(action)

    def _pass_event(self, member: Member, event: Event, now: float) -> None:
        self._outputs.append(AgentEvent(member.id, event))
        if isinstance(event, PairSelected):
            self._believe(member, event.stream)
        elif isinstance(event, Restarted):
            member.is_renewing = True
        elif isinstance(event, Closed):
            self._rename(member, (), now)
            member.is_over = True

    def _believe(self, member: Member, stream: int) -> None:
        """A lite peer sends no checks: it is where it has said that it is, if nobody has proven to be there."""
        path = member.agent.path_of(stream)
        lane = None if path is None else self.lanes.get(path[0])
        if path is None or lane is None or lane.shared.listener.transport is not Transport.UDP:
            return
        if path[1] not in lane.shared.routes:
            lane.learn(path[1], self._config.max_sources)

    # ------------------------------------------------------------- agents and places come and go

    def _renew(self, member: Member, now: float) -> tuple[bytes, ...]:
        """A restart has given an agent new ufrags, which are returned, or the old ones are answered for no more."""
        ufrags = ufrags_of(member.agent)
        renewed = self._rename(member, ufrags, now) if ufrags != member.ufrags else ()
        member.is_renewing = any(len(of_stream) > 1 for of_stream in ufrags)
        return renewed

    def _meet(self, member: Member, ufrags: Iterable[bytes], now: float) -> None:
        """Who has asked for these before the restart that brought them, is heard: a check that waited is answered, and a
        connection is the agent's. A client whose connection was closed would not come again (RFC 6544 7.1: its check has failed).
        """
        for lane in member.lanes:
            self.greet(lane, now)
        for ufrag in ufrags:  # or came to where the agent has no place
            self.strangers.welcome(ufrag)
            self.doorstep.dismiss(ufrag)

    def _rename(self, member: Member, ufrags: tuple[tuple[bytes, ...], ...], now: float) -> tuple[bytes, ...]:
        former, old = member.ufrags, [ufrag for of_stream in member.ufrags for ufrag in of_stream]
        new = [ufrag for of_stream in ufrags for ufrag in of_stream]
        member.ufrags = ufrags
        for ufrag in old:
            if ufrag not in new and self.by_ufrag.get(ufrag) is member:
                del self.by_ufrag[ufrag]
                if ufrags or member.is_renewing:  # of a restart late checks come of two generations
                    self.strangers.refuse(ufrag, now=now)
        for stream, of_stream in enumerate(() if ufrags or member.is_renewing else former):
            remote_ufrag = remote_ufrag_of(member.agent, stream)
            if remote_ufrag is not None:
                self.strangers.retire(of_stream[0], remote_ufrag, now=now)  # late checks are nobody's
        renewed: list[bytes] = []
        for ufrag in new:
            if ufrag not in old:
                if self.by_ufrag.setdefault(ufrag, member) is not member:
                    self._outputs.append(UfragTaken(member.id, ufrag.decode()))
                else:
                    renewed.append(ufrag)
        return tuple(renewed)

    def close_lane(self, lane: Lane) -> None:
        lane.close(self._config.max_sources)
        del self.lanes[lane.id]
        lane.member.lanes = tuple([one for one in lane.member.lanes if one is not lane])

    def _forget(self, member: Member) -> None:
        """It has said its last word, and closed all that was open; answers of the DNS may still come, to nobody."""
        self.timers.cancel(member.id)
        self.members.pop(member.id, None)


def _is_signed(answer: bytes) -> bool:
    """Success always is. Errors are where the request was: a nomination that is refused, a conflict of roles."""
    return answer[:2] == SUCCESS or decode_untrusted(answer).has_integrity


def _refuse(request: bytes) -> bytes:
    """What a TURN server answers that has an allocation for the address of who asks."""
    return encode(Method.ALLOCATE, MessageClass.ERROR, TransactionId(request[TRANSACTION_ID]), ((ERROR_CODE, _TAKEN),))
