"""What strangers can send over connections to a listener: of one agent (RFC 6544), and of many on one port.

The first byte of a piece says what happens: somebody connects, sends the rest of the piece, ends his connection, or is silent
until the machine wants its timer; and on which of the connections.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz._running import HOST, PEER, STEP, fixed_entropy, pieces
from sansice import Action, Address, CloseSocket, Event, Machine, OpenSocket, SocketId, Transport
from sansice.ice import (
    Candidate,
    Credentials,
    Description,
    GatheringOptions,
    IceAgent,
    IceMux,
    LiteAgent,
    MuxConfig,
    UnknownUfrag,
)
from sansice.ice._mux._doorstep import MAX_OFFERED
from sansice.ice._tcp._paths import MAX_FIRST_FRAME
from sansice.stun import Listener

PASSIVE = GatheringOptions(udp=False, tcp=("passive",))
CONNECT, SEND, END, WAIT = range(4)
_LENGTH = 2  # bytes before a frame
_FEW = MuxConfig(max_unknown=4, max_silent=4, max_silent_per_prefix=3, max_refused=4)


class Visitors:
    """Everybody who connects to one listener of a machine.

    Args:
        machine: it.
        listener: its listener's socket.
        judge: looks at the machine after each input.
    """

    def __init__(self, machine: Machine, listener: SocketId, judge: Callable[[], None]) -> None:
        self._machine = machine
        self._listener = listener
        self._judge = judge
        self._open: list[SocketId] = []
        self._count = 0
        self.events: list[Event] = []

    def tell(self, data: bytes) -> None:
        """All of an input, and at last silence until nothing is waited for."""
        now, machine = 0.0, self._machine
        for piece in pieces(data):
            now += STEP
            what, which = (piece[0] % 4, piece[0] >> 2) if piece else (WAIT, 0)
            if what == CONNECT or (not self._open and what != WAIT):
                self._count += 1
                source = Address(f"192.0.2.{which}", 50_000 + self._count)
                self._open.append(SocketId(-self._count))
                machine.handle_accepted(self._listener, self._open[-1], source, now=now)
            elif what == WAIT:
                if machine.deadline() < 1e9:
                    now = max(now, machine.deadline())
                    machine.handle_timer(now=now)
                    assert machine.deadline() > now
            else:
                socket = self._open[which % len(self._open)]
                if what == END or piece[1:]:
                    machine.handle_stream_data(socket, piece[1:] if what == SEND else b"", now=now)
            self._drain()
        assert len(set(self._open)) == len(self._open)

    def _drain(self) -> None:
        for output in self._machine.take_outputs():
            if isinstance(output, CloseSocket) and output.socket in self._open:
                self._open.remove(output.socket)
            elif isinstance(output, Event):
                self.events.append(output)
        self._judge()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)


def tcp(data: bytes) -> None:
    """An agent that listens keeps few strangers and little of each, and connects to nobody unasked; a lite one the same."""
    lite = bool(data[:1] and data[0] & 1)
    kind = LiteAgent if lite else IceAgent
    machine = kind(controlling=not lite, credentials=Credentials("ufra", "p" * 22), gathering=PASSIVE, entropy=fixed_entropy())
    machine.gather([HOST.host], now=0.0)
    listener = _open_all(machine.take_outputs(), machine)
    candidates = [Candidate.from_sdp(f"1 1 tcp 2105458943 {PEER.host} 9 typ host tcptype active")]
    machine.set_remote(Description("peer", "q" * 22, candidates=candidates), now=0.0)
    paths = machine._tcp if isinstance(machine, IceAgent) else machine._session.tcp
    assert paths is not None

    def judge() -> None:
        known = [one for one in paths._by_socket.values() if not one.is_ours]
        assert visitors.open == len(known)
        strangers = [one for one in known if not one.is_proven]
        assert len(strangers) <= 32
        assert all(one.framer.pending < _LENGTH + MAX_FIRST_FRAME for one in strangers)

    visitors = Visitors(machine, listener, judge)
    visitors.tell(data[1:])
    assert lite or machine.selected_pair is None  # its own checks nobody can answer


def mux(data: bytes) -> None:
    """A mux that listens gives connections to whom they ask for, offers few ufrags once, and keeps little of the rest."""
    machine = IceMux(config=_FEW)
    machine.start([Listener(Transport.TCP, HOST)], now=0.0)
    listener = _open_all(machine.take_outputs(), machine)
    agent = LiteAgent(
        controlling=False, credentials=Credentials("ufra", "p" * 22), gathering=PASSIVE, ids=machine.ids, entropy=fixed_entropy()
    )
    name = machine.add(agent, now=0.0)
    machine.gather(name, now=0.0)
    agent.set_remote(Description("peer", "q" * 22), now=0.0)
    machine.absorb(name, now=0.0)
    machine.take_outputs()

    def judge() -> None:
        inside = machine._residents
        assert visitors.open == len(inside.doorstep) + len(inside.owners)
        assert len(inside.doorstep._silent) <= _FEW.max_silent
        assert len(inside.doorstep._offered) <= _FEW.max_unknown
        kept = [len(one.data) for one in (*inside.doorstep._silent.values(), *inside.doorstep._offered.values())]
        assert max(kept, default=0) <= MAX_OFFERED
        assert machine.deadline() <= min(agent.deadline(), inside.doorstep.deadline())

    visitors = Visitors(machine, listener, judge)
    visitors.tell(data)
    asked = [event.ufrag for event in visitors.events if isinstance(event, UnknownUfrag)]
    assert "ufra" not in asked


def _open_all(outputs: list[Action | Event], machine: Machine) -> SocketId:
    """The listener, which opens."""
    (socket,) = (output.socket for output in outputs if isinstance(output, OpenSocket))
    machine.handle_socket_opened(socket, HOST, now=0.0)
    machine.take_outputs()
    return socket


CONNECTION_TARGETS: dict[str, Callable[[bytes], None]] = {"tcp": tcp, "mux": mux}
