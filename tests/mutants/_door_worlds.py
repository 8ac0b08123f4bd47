"""Worlds of the TCP listener of an `IceMux`: connections that wait, strangers among them, agents that come and go meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sansice.ice import Candidate, GatheringOptions, IceAgent, LiteAgent, Nomination
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.machine import Address, CloseSocket, Machine, OpenSocket, SendStream, SocketId, Transport
from sansice.simulation import Arena, Host, Node
from sansice.stun import Listener, TransactionId, frame_rfc4571, short_term_key

from ._mux_rules import own, peer_of
from ._mux_worlds import LASTING, MUX, OVER_TCP, OVER_UDP, PORT, Desk

CONFIG = attrs.evolve(LASTING, pac_timeout=10.0, tcp_first_check_timeout=2.0, tcp_connect_timeout=8.0, max_tcp_strangers=2)
BOUNDS = attrs.evolve(MUX, max_silent=4, max_silent_per_prefix=3, first_frame_timeout=1.5)
LISTENER = Listener(Transport.TCP, PORT)
NETWORKS = ("203.0.113.66", "192.0.2.166")  # of strangers, of whom one is in the network of the server
TORN = b"\x00\x14" + bytes(7)
HELLO = b"\x16\x03\x01\x02\x00\x01"  # of TLS: a frame of 5,635 bytes, if it is one


class Visitor(Machine):
    """Connects, and says what it is given, a piece at a time."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host
        self._says: dict[SocketId, list[bytes]] = {}
        self._open: dict[SocketId, None] = {}

    def knock(self, *pieces: bytes, now: float) -> None:
        """Open one more connection, and say the first piece."""
        socket = SocketId(len(self._says) + 1)
        self._says[socket] = list(pieces)
        self._outputs.append(OpenSocket(socket, Transport.TCP, Address(self._host, 0), PORT))

    def go_on(self, *, now: float) -> None:
        """Say the next piece over every connection that is open, if there is one."""
        for socket in self._open:
            self._say(socket)

    def _say(self, socket: SocketId) -> None:
        if self._says[socket]:
            self._outputs.append(SendStream(socket, self._says[socket].pop(0)))

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        self._open[socket] = None
        self._say(socket)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        if not data:
            self._open.pop(socket, None)
            self._outputs.append(CloseSocket(socket))

    def handle_socket_failed(self, socket: SocketId, error: object, *, now: float) -> None:
        self._open.pop(socket, None)


class Door(Desk):
    """A `Desk` that is reached over TCP, and over UDP as well where that is ``udp``."""

    bounds = BOUNDS
    config = CONFIG
    listens: tuple[Listener | Address, ...] = (LISTENER,)
    candidates: tuple[Candidate, ...] = (OVER_TCP,)
    options = ("ice2", "renomination")
    udp = False

    def __init__(self, *, unknown: bool = False) -> None:
        super().__init__(unknown=unknown)
        self.visitors: list[tuple[Node, Visitor]] = []
        for address in NETWORKS:
            machine = Visitor(address)
            self.visitors.append((self.net.host(f"stranger {address}", address).run(machine), machine))

    def _host(self, number: int) -> Host:
        return self.net.host(f"client {number}", f"198.51.{number}.1")  # each in a network of its own

    def client(self, number: int, host: Host, port: int) -> IceAgent:
        """Connects, and does not wait for connections."""
        return IceAgent(
            controlling=True,
            credentials=own("client", number),
            config=self.config,
            gathering=GatheringOptions(udp=self.udp, tcp=("active",)),
            nomination=Nomination(renominate=True),
            entropy=host.entropy,
        )

    def agent(self, number: int, *, full: bool) -> IceAgent | LiteAgent:
        """Waits for connections."""
        credentials, ids, entropy = own("server", number), self.mux.ids, self.host.entropy
        gathering = GatheringOptions(udp=self.udp, tcp=("passive",))
        if not full:
            return LiteAgent(
                controlling=False, credentials=credentials, config=self.config, gathering=gathering, ids=ids, entropy=entropy
            )
        return IceAgent(
            controlling=False,
            credentials=credentials,
            config=self.config,
            gathering=gathering,
            nomination=Nomination(renominate=True),
            ids=ids,
            pacer=self.mux.pacer,
            entropy=entropy,
        )

    # ------------------------------------------------------------- who else comes

    def knock(self, *pieces: bytes, network: int = 0, times: int = 1) -> None:
        """A stranger connects."""
        node, visitor = self.visitors[network]
        for _ in range(times):
            node.call(visitor.knock, *pieces)

    def flood(self) -> None:
        """More strangers than may wait."""
        for network in range(len(NETWORKS)):
            self.knock(TORN, network=network, times=3)

    def go_on(self) -> None:
        """Strangers say the next piece."""
        for node, visitor in self.visitors:
            node.call(visitor.go_on)

    def guess(self, ufrag: str, *, network: int = 0, in_pieces: bool = False) -> None:
        """A stranger has heard a name, and guesses the password."""
        check = frame_rfc4571(
            encode_check(
                TransactionId(b"a guess at i"),
                username=f"{ufrag}:{peer_of('client1a').ufrag}",
                key=short_term_key("nobodyKnowsThisPassword"),
                priority=1,
                role=IceRole.CONTROLLING,
                tiebreaker=1,
                use_candidate=True,
            )
        )
        self.knock(*((check[:9], check[9:]) if in_pieces else (check,)), network=network)

    def expect(self, number: int) -> None:
        """A client asks for the ufrag that its agent is going to have when that has begun anew, which it does soon."""
        self.join(number, full=True, known=False, ufrag=own("server", number, 1).ufrag)
        self.serve(number, full=True, told=False)
        self.later(0.4, self._follow, number)

    def _follow(self, number: int) -> None:
        name = self.names[number]
        if name in self.mux:
            self.node.call(self._command, name, "restart", credentials=own("server", number, 1))
            self.node.call(self.mux.gather, name)
            self.tell(number)

    def break_connections(self) -> None:
        """The mux hears that all connections have ended."""
        for socket in tuple(self.node.sockets):
            if socket < 0:
                self.node.driver.stream_data(socket, b"")

    def udp_dies(self) -> None:
        """A firewall."""
        self.net.drop = lambda packet: packet.protocol == "udp"

    def udp_lives(self) -> None:
        """It is gone."""
        self.net.drop = None

    def arena(self, **faults: Callable[[], object]) -> Arena:
        """With all that strangers do."""
        faults = {
            "strangers_come_in_numbers": lambda: self.knock(b"\x00", times=5),
            "strangers_come_from_two_networks": self.flood,
            "a_stranger_guesses": lambda: self.guess("server1a"),
            "a_stranger_asks_for_nobody": lambda: self.guess("nobody7"),
            "strangers_go_on": self.go_on,
            "all_connections_end": self.break_connections,
            **faults,
        }
        return attrs.evolve(super().arena(**faults), config=self.config)


class Mixed(Door):
    """The same port over UDP as well."""

    listens = (PORT, LISTENER)
    candidates = (OVER_UDP, OVER_TCP)
    udp = True


def door_plain() -> Arena:
    """One client with a lite agent, one with a full one; and strangers who say nothing, too little, or what is no STUN."""
    door = Door()
    door.join(1)
    door.join(2, full=True)
    door.knock(b"")
    door.later(0.2, lambda: door.knock(TORN, bytes(9), bytes(9), network=1))
    door.later(0.9, door.go_on)
    door.later(1.6, door.go_on)
    door.later(2.0, lambda: door.knock(HELLO))
    return door.arena(agent_1_is_removed=lambda: door.leave(1), client_2_is_killed=door.clients[2][0].stop)


def door_guessed() -> Arena:
    """A stranger claims to be the client of each agent, in pieces and between them."""
    door = Door()
    door.guess("server2a", in_pieces=True)
    door.join(1, full=True)
    door.join(2)
    door.later(0.1, lambda: door.guess("server1a"))
    door.later(0.3, door.go_on)
    door.later(1.2, lambda: door.guess("server2a", network=1))
    return door.arena(agent_2_is_removed=lambda: door.leave(2))


def door_unknown() -> Arena:
    """The agents come when a check for them has come, one of them late; one client asks for somebody who never comes."""
    door = Door(unknown=True)
    door.join(1, known=False, full=False)
    door.join(2, known=False)
    door.join(9, known=False, ufrag="nobody9")
    door.later(0.5, lambda: door.guess("nobody8"))
    return door.arena(
        agent_1_is_removed=lambda: door.leave(1),
        nobody_is_not_to_come=lambda: door.node.call(door.mux.forget, "nobody9"),
        client_2_is_killed=door.clients[2][0].stop,
    )


def door_forestalled() -> Arena:
    """A stranger asks first for an agent that is to come, and waits in the client's place."""
    door = Mixed(unknown=True)
    door.guess("server2a")
    door.later(0.3, lambda: door.join(2, known=False))
    door.join(1, known=False)
    arena = door.arena(agent_2_is_removed=lambda: door.leave(2))
    return attrs.evolve(arena, until=5.0)


def door_hasty() -> Arena:
    """Clients ask for ufrags that their agents are going to have: the connections wait, and a restart finds them there."""
    door = Door()
    door.join(1, full=True)
    door.expect(2)
    door.later(3.0, door.restart, 1)
    return door.arena(agent_2_is_removed=lambda: door.leave(2))


def door_mixed() -> Arena:
    """Agents with UDP and TCP pairs; UDP dies, and lives again."""
    door = Mixed()
    door.join(1, full=True)
    door.join(2, full=True)
    door.later(2.0, door.udp_dies)
    door.later(25.0, door.udp_lives)
    return door.arena(agent_2_is_removed=lambda: door.leave(2), udp_dies=door.udp_dies, udp_lives=door.udp_lives)


DOOR_WORLDS: dict[str, Callable[[], Arena]] = {
    world.__name__: world for world in (door_plain, door_guessed, door_unknown, door_forestalled, door_hasty, door_mixed)
}
