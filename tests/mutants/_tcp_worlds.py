"""Worlds of ICE over TCP: ends of all kinds, UDP that comes and goes, connections that break, strangers at the listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from sansice.ice import GatheringOptions, IceAgent, IceState, Nomination, NotConnected, TcpType
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.machine import Address, CloseSocket, Machine, OpenSocket, SendStream, SocketId, Transport
from sansice.simulation import Arena, Network, Node, StreamReads
from sansice.stun import TransactionId, frame_rfc4571, short_term_key

from ._tcp_rules import LAST, words_of
from ._worlds import CONFIG, V4_A, V4_B

TCP_CONFIG = attrs.evolve(
    CONFIG,
    consent_timeout=16.0,
    pac_timeout=10.0,
    tcp_first_check_timeout=2.0,
    tcp_connect_timeout=8.0,  # three SYNs may be lost
    max_tcp_strangers=2,
)
ACTIVE, PASSIVE, BOTH = TcpType.ACTIVE, TcpType.PASSIVE, TcpType.SIMULTANEOUS_OPEN
SAYING = (0.4, 1.0, 1.6, 2.8, 4.0, 12.0, 30.0)  # seconds from the start
LAST_SAYING, CLOSING = 70.0, 75.0
MANY = 3  # words at a time, which one read may take together
IN_PIECES = StreamReads(size=300, random=True, delay=0.004)


class Stranger(Machine):
    """Connects to a listener, says something that is no check with the right password, and leaves it at that."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host
        self._says: dict[SocketId, bytes] = {}

    def knock(self, listener: Address, says: bytes, *, now: float) -> None:
        """Open one more connection."""
        socket = SocketId(len(self._says) + 1)
        self._says[socket] = says
        self._outputs.append(OpenSocket(socket, Transport.TCP, Address(self._host, 0), listener))

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        if self._says[socket]:
            self._outputs.append(SendStream(socket, self._says[socket]))

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        if not data:
            self._outputs.append(CloseSocket(socket))


class Call:
    """Two ends, each with TCP candidates of some kinds."""

    def __init__(
        self, a: Sequence[TcpType], b: Sequence[TcpType], *, udp: bool = False, reads: StreamReads | None = None
    ) -> None:
        self.net = Network(seed=1, latency=0.02)
        self.nodes: dict[str, Node] = {}
        self.agents: dict[str, IceAgent] = {}
        self._said = 0
        for name, kinds, address in (("A", a, V4_A[0]), ("B", b, V4_B[0])):
            host = self.net.host(name, address)
            host.reads = reads or host.reads
            agent = self.agents[name] = IceAgent(
                controlling=name == "A",
                config=TCP_CONFIG,
                gathering=GatheringOptions(udp=udp, tcp=tuple(kinds)),
                nomination=Nomination(renominate=True),
                entropy=host.entropy,
            )
            node = self.nodes[name] = host.run(agent)
            node.call(agent.gather, host.addresses)
        self.net.run(until=1.0)
        host = self.net.host("stranger", "203.0.113.66")
        self.stranger = Stranger("203.0.113.66")
        self._stranger = host.run(self.stranger)
        one, two = self.agents.values()
        to_a, to_b = two.local_description, one.local_description
        self.later(0.0, lambda: self.nodes["B"].call(two.set_remote, to_b))
        self.later(0.0, lambda: self.nodes["A"].call(one.set_remote, to_a))
        for when in SAYING:
            self.later(when, self.say)
        self.later(LAST_SAYING, lambda: self.say(LAST))
        self.later(CLOSING, self.close)

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Something that is planned, and no fault."""
        self.net.at(self.net.now + seconds, what)

    def say(self, number: int = 0) -> None:
        """Both say something, if they can."""
        for name, node in self.nodes.items():
            for offset in range(1 if number else MANY):
                words = words_of(name, number or self._said + offset + 1)
                try:
                    if node.running:
                        node.call(self.agents[name].send, words)
                except NotConnected:
                    pass
        self._said += MANY

    def close(self) -> None:
        """Both hang up."""
        for name, node in self.nodes.items():
            if node.running and self.agents[name].state is not IceState.CLOSED:
                node.call(self.agents[name].close)

    def listener(self, name: str) -> Address | None:
        """Where an end accepts connections."""
        for one in self.agents[name].local_candidates:
            if one.tcp_type in (PASSIVE, BOTH) and isinstance(one.address, Address):
                return one.address
        return None

    def visit(self, says: bytes, times: int = 1) -> None:
        """The stranger comes to whoever listens."""
        for name in self.nodes:
            listener = self.listener(name)
            if listener is not None and self.nodes[name].running:
                for _ in range(times):
                    self._stranger.call(self.stranger.knock, listener, says)

    def guess(self) -> None:
        """The stranger has heard the names of both ends, and guesses the password."""
        for name, other in (("A", "B"), ("B", "A")):
            if self.listener(name) is not None:
                check = encode_check(
                    TransactionId(b"a guess at i"),
                    username=f"{self.agents[name].credentials.ufrag}:{self.agents[other].credentials.ufrag}",
                    key=short_term_key("nobodyKnowsThisPassword"),
                    priority=1,
                    role=IceRole.CONTROLLING,
                    tiebreaker=1,
                    use_candidate=True,
                )
                self.visit(frame_rfc4571(check))
                return

    def break_connections(self, name: str) -> None:
        """An end hears that all its connections have ended; it closes them, and the other one hears that."""
        node, tcp = self.nodes[name], self.agents[name]._tcp
        for socket in () if tcp is None else tuple(tcp._by_socket):
            if node.running and socket in node.sockets:
                node.driver.stream_data(socket, b"")

    def udp_dies(self) -> None:
        """A firewall."""
        self.net.drop = lambda packet: packet.protocol == "udp"

    def udp_lives(self) -> None:
        """It is gone."""
        self.net.drop = None

    def tcp_dies(self) -> None:
        """Another kind of firewall."""
        self.net.drop = lambda packet: packet.protocol == "tcp"

    def arena(self, *, sound: bool = True) -> Arena:
        """With all that strangers and middleboxes do."""
        faults: dict[str, Callable[[], object]] = {
            "A's connections end": lambda: self.break_connections("A"),
            "B's connections end": lambda: self.break_connections("B"),
            "a stranger says nothing": lambda: self.visit(b""),
            "a stranger sends half a frame": lambda: self.visit(b"\x01\x00half"),
            "strangers come in numbers": lambda: self.visit(b"\x00", 4),
            "UDP dies": self.udp_dies,
            "TCP dies": self.tcp_dies,
            "all is well again": self.udp_lives,
            "A is killed": self.nodes["A"].stop,
        }
        return Arena(self.net, self.nodes, faults=faults, config=TCP_CONFIG, sound=sound, until=6.0, settle=90.0)


def tcp_plain() -> Arena:
    """One connects, the other listens."""
    return Call([ACTIVE], [PASSIVE]).arena()


def tcp_passive_controls() -> Arena:
    """The other way round, with programs that read in pieces."""
    return Call([PASSIVE], [ACTIVE], reads=IN_PIECES).arena()


def tcp_simultaneous() -> Arena:
    """Both connect from where they listen."""
    return Call([BOTH], [BOTH]).arena()


def tcp_all_kinds() -> Arena:
    """Both do everything, and read in pieces."""
    return Call([ACTIVE, PASSIVE], [ACTIVE, PASSIVE, BOTH], reads=IN_PIECES).arena()


def tcp_strangers() -> Arena:
    """Strangers at the listener, from before the first check on: silent, torn, and one who guesses the password."""
    call = Call([ACTIVE], [PASSIVE])
    call.visit(b"")
    call.later(0.3, lambda: call.visit(b"\x00\x14" + bytes(7)))
    call.later(1.5, call.guess)
    call.later(4.5, lambda: call.visit(b"\x16\x03\x01\x02\x00\x01", 3))
    return call.arena()


def tcp_mixed() -> Arena:
    """UDP works, then it does not, then it does."""
    call = Call([ACTIVE, PASSIVE], [ACTIVE, PASSIVE], udp=True)
    call.later(2.0, call.udp_dies)
    call.later(25.0, call.udp_lives)
    return call.arena()


def tcp_fallen_back() -> Arena:
    """No UDP from the start; then TCP is cut, and UDP works."""
    call = Call([ACTIVE], [PASSIVE], udp=True, reads=IN_PIECES)
    call.udp_dies()
    call.later(2.5, call.tcp_dies)
    call.later(30.0, call.udp_lives)
    return call.arena()


TCP_WORLDS: dict[str, Callable[[], Arena]] = {
    world.__name__: world
    for world in (
        tcp_plain,
        tcp_passive_controls,
        tcp_simultaneous,
        tcp_all_kinds,
        tcp_strangers,
        tcp_mixed,
        tcp_fallen_back,
    )
}
