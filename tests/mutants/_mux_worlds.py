"""Worlds of an `IceMux`: clients that come, go, restart and move, and agents for them on one port."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sansice.ice import (
    AgentId,
    Candidate,
    CandidateType,
    Credentials,
    Description,
    GatheringOptions,
    IceAgent,
    IceMux,
    IceState,
    LiteAgent,
    MuxConfig,
    NotConnected,
    TcpType,
    UnknownUfrag,
    candidate_priority,
)
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.machine import Address, Event, Transport
from sansice.simulation import Arena, Host, Network, Node
from sansice.simulation._nat._kind import NatKind, PortAssignment
from sansice.stun import Listener, TransactionId, short_term_key

from ._mux_rules import LAST, own, peer_of, said_by
from ._worlds import CONFIG

LASTING = attrs.evolve(CONFIG, consent_timeout=16.0)  # two consent checks in a row may be lost
PORT = Address("192.0.2.1", 4000)
MUX = MuxConfig(
    max_unknown=3,
    max_unknown_per_prefix=4,  # three that ask, and room to ask twice
    unknown_timeout=3.0,
    max_refused=6,
    refused_timeout=5.0,
    max_sources=3,
    transaction_timeout=4.0,
    max_transactions=64,
)
CHATS = (0.5, 1.7, 3.0, 5.0)  # seconds from the start; some of them are lost, and that is no matter
SLOW, THINKS = (2,), 0.7  # whose agent takes so many seconds to come: a check is sent again by then (RFC 8445 14.3)
LAST_CHAT, CLOSING = 55.0, 60.0  # all that was disturbed has settled by then


def _candidate(transport: Transport, tcp_type: TcpType | None = None) -> Candidate:
    preference = 65535 if tcp_type is None else 8192  # RFC 6544 4.2: below that of UDP
    return Candidate(
        foundation="1" if tcp_type is None else "2",
        component=1,
        transport=transport,
        priority=candidate_priority(CandidateType.HOST, preference, 1),
        address=PORT,
        type=CandidateType.HOST,
        tcp_type=tcp_type,
    )


OVER_UDP, OVER_TCP = _candidate(Transport.UDP), _candidate(Transport.TCP, TcpType.PASSIVE)


class Desk:
    """A server with a mux and the application around it, and clients, each with an agent of its own there.

    Args:
        unknown: the agents come when a check for them has come, and only for ufrags that begin with ``server``.

    Attributes:
        listens, bounds: of the mux.
        candidates, options: that a client knows of its agent behind the shared port.
        config: of the agents.
    """

    listens: tuple[Listener | Address, ...] = (PORT,)
    bounds = MUX
    candidates: tuple[Candidate, ...] = (OVER_UDP,)
    options: tuple[str, ...] = ("ice2",)
    config = LASTING

    def __init__(self, *, unknown: bool = False, nat: NatKind | None = None) -> None:
        self.net = Network(seed=1, latency=0.02)
        self.nat = None if nat is None else self.net.nat("203.0.113.1", kind=nat, name="home")
        self.host = self.net.host("server", PORT.host)
        self.mux = IceMux(config=self.bounds)
        self.node = self.host.run(self.mux)
        self.node.listener = self._hear if unknown else None
        self.node.call(self.mux.start, self.listens)
        self.names: dict[int, AgentId] = {}
        self.clients: dict[int, tuple[Node, IceAgent]] = {}
        self.hosts: dict[int, Host] = {}
        self._generation = 0
        self._chats = 0

    # ------------------------------------------------------------- coming

    def join(self, number: int, *, full: bool = False, known: bool = True, at: int = 0, port: int = 0, ufrag: str = "") -> None:
        """A client, and its agent here unless it is to come by itself.

        Args:
            number: of both.
            full: what the agent here is.
            known: whether it is here already.
            at: the number of the client whose host, and whose ``port``, this one has.
            port: of the client; 0 is any.
            ufrag: what the client believes is to be asked for, in place of the agent's.
        """
        host = self.hosts.get(at) or self._host(number)
        self.hosts[number] = host
        agent = self.client(number, host, port)
        node = host.run(agent)
        node.call(agent.gather, host.addresses)
        self.clients[number] = node, agent
        if known:
            self.serve(number, full=full)
        credentials = peer_of(ufrag) if ufrag else own("server", number)
        node.call(agent.set_remote, self.description(credentials, lite=not full))

    def description(self, credentials: Credentials, *, lite: bool) -> Description:
        """What a client knows of its agent."""
        return Description(credentials.ufrag, credentials.pwd, candidates=self.candidates, lite=lite, options=self.options)

    def client(self, number: int, host: Host, port: int) -> IceAgent:
        """Its agent."""
        ports = GatheringOptions(port_range=(port, port)) if port else GatheringOptions()
        return IceAgent(
            controlling=True, credentials=own("client", number), config=self.config, gathering=ports, entropy=host.entropy
        )

    def agent(self, number: int, *, full: bool) -> IceAgent | LiteAgent:
        """The agent here."""
        credentials, ids, entropy = own("server", number), self.mux.ids, self.host.entropy
        if not full:
            return LiteAgent(controlling=False, credentials=credentials, config=self.config, ids=ids, entropy=entropy)
        pacer = self.mux.pacer
        return IceAgent(controlling=False, credentials=credentials, config=self.config, ids=ids, pacer=pacer, entropy=entropy)

    def _host(self, number: int) -> Host:
        if self.nat is not None:
            return self.net.host(f"client {number}", f"10.0.0.{number + 1}", behind=self.nat)
        return self.net.host(f"client {number}", f"198.51.100.{number}")

    def serve(self, number: int, *, full: bool = False, told: bool = True) -> None:
        """An agent for a client; ``told``: it is told of him at once."""
        agent = self.agent(number, full=full)
        name = self.names[number] = self.node.call(self.mux.add, agent)
        self.node.call(self.mux.gather, name)
        if told:
            self.tell(number)

    def tell(self, number: int) -> None:
        """The agent here hears of its client."""
        if number in self.names and self.names[number] in self.mux:
            name = self.names[number]
            description = self.clients[number][1].local_description
            self.node.call(self._command, name, "set_remote", description)

    def _command(self, name: AgentId, command: str, *arguments: object, now: float, **keywords: object) -> None:
        getattr(self.mux.agent(name), command)(*arguments, now=now, **keywords)
        self.mux.absorb(name, now=now)

    def _hear(self, event: Event) -> None:
        if not isinstance(event, UnknownUfrag) or self.mux.is_taken(event.ufrag):
            return
        number = int(event.ufrag[6]) if event.ufrag.startswith("server") else 0
        if not number or number in self.names:
            self.node.call(self.mux.refuse, event.ufrag)
        elif number in SLOW:
            self.later(THINKS, self._welcome, number)
        else:
            self.serve(number)

    def _welcome(self, number: int) -> None:
        if number not in self.names:
            self.serve(number)

    # ------------------------------------------------------------- what they do then

    def chat(self, last: bool = False) -> None:
        """Whoever can, says who he is."""
        self._chats += 1
        for number, (node, agent) in self.clients.items():
            if node.running and agent.writable:
                node.call(agent.send, said_by("client", number, LAST if last else str(self._chats)))
            name = self.names.get(number)
            if name is not None and name in self.mux:
                try:
                    self.node.call(self.mux.send, name, said_by("server", number, LAST if last else str(self._chats)))
                except NotConnected:
                    pass

    def leave(self, number: int) -> None:
        """The agent of a client is not wanted here any more."""
        if number in self.names:
            self.node.call(self.mux.remove, self.names[number])

    def hang_up(self, number: int) -> None:
        """A client goes."""
        node, agent = self.clients[number]
        if node.running:
            node.call(agent.close)

    def claim(self, number: int, other: int) -> None:
        """A client claims the ufrag of another one's agent, from where it is itself, with a password that it does not know."""
        node = self.clients[number][0]
        theirs, ours = own("server", other), own("client", other)
        check = encode_check(
            TransactionId(b"my own claim"),
            username=f"{theirs.ufrag}:{ours.ufrag}",
            key=short_term_key("nobodyKnowsThisPassword"),
            priority=1,
            role=IceRole.CONTROLLING,
            tiebreaker=1,
            use_candidate=True,
        )
        for shared in self.node.sockets if node.running else ():
            for place in node.sockets.values():
                self.node.driver.datagrams(shared, [(place, check)])

    def restart(self, number: int) -> None:
        """A client and its agent here begin anew, and tell each other."""
        node, agent = self.clients[number]
        name = self.names.get(number)
        if not node.running or agent.state is IceState.CLOSED or name is None or name not in self.mux:
            return
        self._generation += 1
        node.call(agent.restart, credentials=own("client", number, self._generation))
        node.call(agent.gather, self.hosts[number].addresses)
        self.node.call(self._command, name, "restart", credentials=own("server", number, self._generation))
        self.node.call(self.mux.gather, name)
        node.call(agent.set_remote, self.mux.agent(name).local_description)
        self.tell(number)

    def collide(self, number: int, other: int) -> None:
        """The agent of a client restarts with a ufrag that another one has, is told so, and begins anew."""
        name, ufrag = self.names.get(number), own("server", other).ufrag
        if name is None or name not in self.mux or self.mux.agent(name).state in (IceState.CLOSED, IceState.FAILED):
            return
        self.node.call(self._command, name, "restart", credentials=Credentials(ufrag, "anotherPasswordThanTheirs"))
        self.restart(number)

    def arena(self, **faults: Callable[[], object]) -> Arena:
        """With the chats, the end, and the faults."""
        start = self.net.now
        for when in CHATS:
            self.net.at(start + when, self.chat)
        self.net.at(start + LAST_CHAT, lambda: self.chat(last=True))
        self.net.at(start + CLOSING, lambda: self.node.call(self.mux.close))
        nodes = {"mux": self.node} | {f"client {number}": node for number, (node, _) in self.clients.items()}
        named = {name.replace("_", " "): fault for name, fault in faults.items()}
        if self.nat is not None:
            named["home reboots"] = self.nat.forget
        return Arena(self.net, nodes, faults=named, config=LASTING, until=6.0, settle=70.0)

    def later(self, seconds: float, what: Callable[..., None], *arguments: int) -> None:
        """Something that is planned, and no fault."""
        self.net.at(self.net.now + seconds, lambda: what(*arguments))


def mux_lite() -> Arena:
    """Two clients with lite agents."""
    desk = Desk()
    desk.join(1)
    desk.join(2)
    desk.later(0.8, desk.claim, 2, 1)
    faults = {"client_1_claims_what_is_2s": lambda: desk.claim(1, 2), "client_1_is_killed": desk.clients[1][0].stop}
    return desk.arena(agent_1_is_removed=lambda: desk.leave(1), **faults)


def mux_full() -> Arena:
    """Two clients with full agents."""
    desk = Desk()
    desk.join(1, full=True)
    desk.join(2, full=True)
    return desk.arena(agent_1_is_removed=lambda: desk.leave(1), client_1_is_killed=desk.clients[1][0].stop)


def mux_one_home() -> Arena:
    """Two clients behind one NAT, which gives the port of one to the other when it has forgotten both."""
    desk = Desk(nat=NatKind(ports=PortAssignment.SEQUENTIAL))
    desk.join(1)
    desk.join(2, full=True)
    return desk.arena(agent_2_is_removed=lambda: desk.leave(2))


def mux_moving() -> Arena:
    """The NAT of two clients forgets both in mid-call: they have other ports from then on, which only their checks prove."""
    desk = Desk(nat=NatKind(ports=PortAssignment.SEQUENTIAL))
    desk.join(1)
    desk.join(2, full=True)
    if desk.nat is not None:
        desk.later(2.0, desk.nat.forget)
    return attrs.evolve(desk.arena(), sound=False)  # a lite agent goes on sending to where its client was


def mux_unknown() -> Arena:
    """The agents come when a check for them has come; one client asks for somebody who is not there."""
    desk = Desk(unknown=True)
    desk.join(1, known=False)
    desk.join(2, known=False)
    desk.join(9, known=False, ufrag="nobody9")
    return desk.arena(agent_1_is_removed=lambda: desk.leave(1))


def mux_restarts() -> Arena:
    """Agents of both kinds begin anew, and one of them with a ufrag that another has."""
    desk = Desk()
    desk.join(1)
    desk.join(2, full=True)
    desk.later(1.2, desk.restart, 1)
    desk.later(2.2, desk.restart, 2)
    desk.later(3.2, desk.collide, 2, 1)
    return desk.arena(client_2_restarts=lambda: desk.restart(2))


def mux_same_address() -> Arena:
    """A client goes without a word, and another one comes at its very address and port; its agent is there still."""
    desk = Desk()
    desk.join(1, port=5000)
    desk.join(2)
    desk.later(1.2, lambda: desk.clients[1][0].stop())
    arena = desk.arena(agent_1_is_removed=lambda: desk.leave(1))
    desk.later(1.3, lambda: desk.join(3, at=1, port=5000))
    return attrs.evolve(arena, until=5.0)


MUX_WORLDS: dict[str, Callable[[], Arena]] = {
    world.__name__: world for world in (mux_lite, mux_full, mux_one_home, mux_moving, mux_unknown, mux_restarts, mux_same_address)
}
