"""What must hold of an `IceMux`, whatever happens: judged by keys and labels, beside what the mux believes itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from typing import cast

from sansice.ice import (
    AgentEvent,
    AgentId,
    Closed,
    Credentials,
    DataReceived,
    IceAgent,
    IceMux,
    IceState,
    PairSelected,
    UnknownUfrag,
)
from sansice.ice._mux._inside import holds, remote_ufrag_of
from sansice.machine import Address, DropReason, Machine, Transport
from sansice.simulation import End, Harm, InputKind, Invariant, Moment
from sansice.simulation._exploration._strangers import STRANGER
from sansice.stun import USE_CANDIDATE, USERNAME, MessageClass, TransactionId, is_stun, short_term_key

LAST = "last"  # the word of the chat that everybody must hear
NOBODY = AgentId(0)
TOLERABLE = 2  # exchanges lost
EPSILON = 1e-6


def own(kind: str, number: int, generation: int = 0) -> Credentials:
    """Of client or server ``number``: who has the ufrag can tell the password, which no agent can."""
    return peer_of(f"{kind}{number}{'abcdefghij'[generation % 10]}")


def peer_of(ufrag: str) -> Credentials:
    """The credentials with a ufrag."""
    return Credentials(ufrag, f"passwordOf{ufrag}".ljust(22, "0"))


def said_by(kind: str, number: int, word: str) -> bytes:
    """Data with a label."""
    return f"{kind}{number} {word}".encode()


class OfTheMux(Invariant):
    """Something about the only mux."""

    subject = IceMux

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self.mux = cast(IceMux, self.ends[0].machine)


class RoutesFollowEvidence(OfTheMux):
    """See ``rule``."""

    rule = "what comes from an address is that agent's whose peer was proven to be there, and nobody else's (RFC 7983)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._proven: dict[Address, AgentId] = {}
        self._claims: dict[Address, AgentId] = {}  # whose checks came from where another's peer is
        self._checks: dict[TransactionId, Address] = {}
        self._asked: dict[TransactionId, tuple[AgentId, str, str, Address]] = {}
        self._waiting: dict[TransactionId, tuple[Address, str]] = {}
        self._nobodys = 0

    def after(self, moment: Moment) -> str | None:
        """Data, and what proves where somebody is."""
        finding = None
        if moment.kind is InputKind.DATAGRAM and moment.path is not None:
            if is_stun(moment.data):
                self._learn(moment, moment.path[1])
            else:
                finding = self._judge(moment, moment.path[1])
        self._nobodys = self.mux.stats.dropped[DropReason.UNVALIDATED_SOURCE]
        for event in moment.events:
            if isinstance(event, AgentEvent) and isinstance(event.event, PairSelected):
                remote = event.event.pair.remote
                if isinstance(remote.address, Address) and remote.transport is Transport.UDP:
                    self._proven.setdefault(remote.address, event.agent)  # a lite peer's word is all there is
            elif isinstance(event, AgentEvent) and isinstance(event.event, Closed):
                self._claims = {source: agent for source, agent in self._claims.items() if agent != event.agent}
                gone = [source for source, agent in self._proven.items() if agent == event.agent]
                self._proven = {source: agent for source, agent in self._proven.items() if agent != event.agent}
                self._proven.update({source: self._claims.pop(source) for source in gone if source in self._claims})
        for sent in moment.sent:
            if sent.message is None:
                continue
            waiting = self._waiting.get(sent.message.transaction_id)
            if waiting is not None and waiting[0] == sent.path[1] and sent.message.has_integrity:
                self._claim(waiting[0], self._agent_with(waiting[1]), moment.now)  # the very check that was offered
            if sent.message.message_class is MessageClass.REQUEST:
                theirs, _, ours = (sent.message.get(USERNAME) or "").partition(":")
                agent = self._agent_with(ours)
                if agent:
                    self._asked[sent.message.transaction_id] = agent, ours, theirs, sent.path[1]
        return finding

    def _judge(self, moment: Moment, source: Address) -> str | None:
        owner = self._proven.get(source)
        got = [event.agent for event in moment.events if isinstance(event, AgentEvent) and isinstance(event.event, DataReceived)]
        if any(agent != owner for agent in got):
            return f"data from {source} went to agent {got[0]}, and " + (
                f"agent {owner} was proven to have its peer there" if owner else "nobody was proven to be there"
            )
        if owner is not None and owner in self.mux and self.mux.stats.dropped[DropReason.UNVALIDATED_SOURCE] > self._nobodys:
            return f"data from {source} went to nobody, and agent {owner} was proven to have its peer there"
        return None

    def _learn(self, moment: Moment, source: Address) -> None:
        message = moment.message
        if message is None:
            return
        if message.message_class is MessageClass.REQUEST:
            ufrag = (message.get(USERNAME) or "").partition(":")[0]
            # An input may set off what was due, too: only the answer to this very check says that it was believed.
            answers = [sent.message for sent in moment.sent if sent.message is not None and sent.path[1] == source]
            answered = any(one.has_integrity and one.transaction_id == message.transaction_id for one in answers)
            agent = self._agent_with(ufrag)
            if not message.verify(short_term_key(peer_of(ufrag).pwd)):
                return
            if agent and answered:
                is_repeated = self._checks.setdefault(message.transaction_id, source) != source
                if not is_repeated or isinstance(self.mux.agent(agent), IceAgent):
                    self._claim(source, agent, moment.now)
            elif any(isinstance(event, UnknownUfrag) for event in moment.events):
                self._waiting[message.transaction_id] = source, ufrag
        elif message.message_class is MessageClass.SUCCESS:
            asked = self._asked.get(message.transaction_id)
            if asked is None or source != asked[3] or not message.verify(short_term_key(peer_of(asked[2]).pwd)):
                return
            if asked[0] in self.mux and self._trusts(asked[0], source):
                self._proven[source] = asked[0]
                self._claims.pop(source, None)

    def _claim(self, source: Address, agent: AgentId, now: float) -> None:
        """A request takes no address from an agent whose peer is there by what it has shown of late."""
        owner = self._proven.get(source, NOBODY)
        lanes = [lane for lane in self.mux._residents.lanes.values() if lane.name == owner]
        if owner != agent and any(holds(lane.agent, lane.id, lane.stream, source, now) for lane in lanes):
            self._claims[source] = agent
        else:
            self._proven[source] = agent

    def _trusts(self, agent: AgentId, source: Address) -> bool:
        """Whether an agent has a pair there that works: an answer may come too late for that."""
        return any(one.remote.address == source and one.state.value == "succeeded" for one in self.mux.agent(agent).pairs)

    def _agent_with(self, ufrag: str) -> AgentId:
        member = self.mux._residents.by_ufrag.get(ufrag.encode())
        return NOBODY if member is None else member.id


class DataIsNobodyElses(Invariant):
    """See ``rule``."""

    rule = "what one client sends only its own agent gets, and what that one sends only this client"
    subject = Machine

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        muxes = [end.machine for end in self.ends if isinstance(end.machine, IceMux)]
        self._mux = muxes[0]

    def after(self, moment: Moment) -> str | None:
        """By labels. A stranger who repeats the checks of several clients gets their data mixed, and deserves it; and where a
        client is where a killed one was, its agent gets what that one has sent last.
        """
        if moment.path is None or moment.path[1] in STRANGER.values():
            return None
        for event in moment.events:
            if isinstance(event, AgentEvent) and isinstance(event.event, DataReceived) and event.agent in self._mux:
                number = self._mux.agent(event.agent).credentials.ufrag[6]
                if not event.event.data.startswith(b"client" + number.encode()) and self._lives(event.event.data):
                    return f"the agent of client {number} got {event.event.data!r}"
            elif isinstance(event, DataReceived) and not event.data.startswith(b"server" + moment.end.name[-1].encode()):
                return f"{moment.end.name} got {event.data!r}"
        return None

    def _lives(self, data: bytes) -> bool:
        return any(end.node.running for end in self.ends if data.startswith(end.name.replace(" ", "").encode()))


class EverybodyIsServed(Invariant):
    """See ``rule``."""

    rule = "each client and its agent hear each other in the end, where no more than two exchanges were lost"
    subject = Machine

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._heard: set[str] = set()  # asked for membership only
        self._is_robbed = False
        self._forestalled = 0
        self._offers: dict[TransactionId, str] = {}
        self._waiting: set[str] = set()  # asked for membership only

    def after(self, moment: Moment) -> str | None:
        """Who is heard in the last chat. Whose nomination a stranger repeats faster than it comes, has lost it to him.

        Where his copy of a first check, or a forged one, is offered in place of the client's, told apart by nothing, the client
        is answered what it sends once its agent is there (RFC 8489 6.2.1). While the application thinks, two of the three
        transmissions of these worlds are gone. And where it is offered itself, the second comes while it waits, and both get
        one answer.
        """
        if moment.message is not None and moment.path is not None and moment.path[1] in STRANGER.values():
            self._is_robbed = self._is_robbed or USE_CANDIDATE in moment.message
        if moment.message is not None and moment.message.message_class is MessageClass.REQUEST:
            ufrag = self._offers.get(moment.message.transaction_id)
            if ufrag is not None and not any(
                isinstance(one.machine, IceMux) and one.machine.is_taken(ufrag) for one in self.ends
            ):
                self._waiting.add(ufrag.removeprefix("server")[0])
        for event in moment.events:
            if isinstance(event, UnknownUfrag) and moment.message is not None:
                is_true = moment.message.verify(short_term_key(peer_of(event.ufrag).pwd))
                self._forestalled += 0 if is_true and event.source not in STRANGER.values() else 2
                self._offers[moment.message.transaction_id] = event.ufrag
            told = event.event if isinstance(event, AgentEvent) else event
            if isinstance(told, DataReceived) and told.data.endswith(LAST.encode()):
                self._heard.add(told.data.decode().partition(" ")[0])
        return None

    def ended(self, harm: Harm) -> str | None:
        """All clients whose process lives, but for those who are to find nobody."""
        if harm.broken or harm.lost + self._forestalled > TOLERABLE or self._is_robbed:
            return None
        for end in self.ends:
            number = end.name[-1]
            if harm.lost + self._forestalled + (number in self._waiting) > TOLERABLE:
                continue
            if end.name.startswith("client") and end.node.running and number != "9":
                for who in (f"client{number}", f"server{number}"):
                    if who not in self._heard:
                        return f"{who} was not heard in the end, though only {harm.lost} exchanges were disturbed"
        return None


class UnknownUfragsAreOfferedOnce(OfTheMux):
    """See ``rule``."""

    rule = "a ufrag that nobody has is offered once in its time, few at a time, and one that somebody has never"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._not_before: dict[str, float] = {}
        self._gone: dict[tuple[str, str], float] = {}
        self._ufrags: dict[AgentId, str] = {}
        self._theirs: dict[AgentId, str] = {}

    def after(self, moment: Moment) -> str | None:
        """Every offer, and the end of every agent."""
        config = self.mux._config
        for event in moment.events:
            if isinstance(event, UnknownUfrag):
                if self.mux.is_taken(event.ufrag):
                    return f"{event.ufrag} was offered, and an agent has it"
                if moment.now < self._gone.get((event.ufrag, event.remote_ufrag), -math.inf) - EPSILON:
                    return f"{event.ufrag} was offered to whose agent is gone"
                if moment.now < self._not_before.get(event.ufrag, -math.inf) - EPSILON:
                    return f"{event.ufrag} was offered again before {self._not_before[event.ufrag]:.3f} s"
                wait = config.unknown_timeout if event.ufrag.startswith("server") else config.refused_timeout
                self._not_before[event.ufrag] = moment.now + wait
            elif isinstance(event, AgentEvent) and isinstance(event.event, Closed) and event.agent in self._ufrags:
                self._not_before.pop(self._ufrags[event.agent], None)
                self._gone[self._ufrags[event.agent], self._theirs[event.agent]] = moment.now + config.refused_timeout
        for name in self.mux.agents:
            agent = self.mux.agent(name)
            if agent.state is not IceState.CLOSED:
                self._ufrags[name] = agent.credentials.ufrag
                self._theirs[name] = (remote_ufrag_of(agent, 0) or b"").decode()
        return None


class TablesAreTidy(OfTheMux):
    """See ``rule``."""

    rule = "every table leads to agents that are there, is bounded, and is empty when all are gone; no deadline is missed"

    def after(self, moment: Moment) -> str | None:
        """All tables, after every input."""
        inside, config = self.mux._residents, self.mux._config
        members = inside.members
        if any(members.get(one.id) is not one for one in (*inside.by_ufrag.values(), *inside.owners.values())):
            return "a ufrag or a socket leads to an agent that is gone"
        for shared in self.mux._listening.sockets.values():
            for source, lane in shared.routes.items():
                if inside.lanes.get(lane.id) is not lane or members.get(lane.name) is not lane.member:
                    return f"the route of {source} leads to agent {lane.name}, which is gone"
                if source not in lane.sources:
                    return f"the route of {source} leads to agent {lane.name}, which does not know it"
            if any(source not in shared.routes or one.lane.id not in shared.lanes for source, one in shared.rivals.items()):
                return f"{len(shared.rivals)} claims are remembered, of whom is gone or to what is nobody's"
            for lane in shared.lanes.values():
                if len(lane.sources) > config.max_sources or any(shared.routes.get(one) is not lane for one in lane.sources):
                    return f"agent {lane.name} believes that {lane.sources} are its own"
        if len(inside.transactions) > 2 * config.max_transactions:
            return f"{len(inside.transactions)} transactions are remembered"
        strangers = inside.strangers
        if len(strangers._waiting) > config.max_unknown or len(strangers._refused) > config.max_refused:
            return f"{len(strangers._waiting)} ufrags wait, {len(strangers._refused)} are refused"
        earliest = min([one.agent.deadline() for one in members.values()], default=math.inf)
        if self.mux.deadline() > earliest:
            return f"an agent is due at {earliest:.6f} s, and the mux at {self.mux.deadline():.6f} s"
        if moment.kind is InputKind.TIMER and self.mux.deadline() <= moment.now:
            return f"the mux had its timer at {moment.now:.6f} s and wants it again at {self.mux.deadline():.6f} s"
        return None

    def ended(self, harm: Harm) -> str | None:
        """The mux was closed."""
        inside = self.mux._residents
        tables: dict[str, Sized] = {
            "agents": inside.members,
            "ufrags": inside.by_ufrag,
            "places": inside.lanes,
            "sockets of agents": inside.owners,
            "questions to the DNS": inside.asking,
            "strangers": inside.strangers,
            "connections that wait": inside.doorstep,
            "shared sockets": self.mux._listening.sockets,
            "open sockets": self.ends[0].node.sockets,
        }
        left = [f"{len(table)} {name}" for name, table in tables.items() if len(table)]
        if self.mux.deadline() != math.inf:
            left.append("a timer")
        return f"the closed mux has {', '.join(left)} left" if left else None


MUX_RULES = (RoutesFollowEvidence, DataIsNobodyElses, EverybodyIsServed, UnknownUfragsAreOfferedOnce, TablesAreTidy)
