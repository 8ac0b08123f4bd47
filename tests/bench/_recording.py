"""What recording costs: processor time of agents and of a server, recorded to a file and not.

No sockets: two agents hand each other their packets within one process, so that nothing but the machines and the recording is
in the figures. What the same packets cost with sockets is in `connect` and `stun`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench._timing import Metric, cpu_seconds, interleave
from sansice import Address, Machine, OpenSocket, SendDatagram, SocketId, Transport
from sansice.ice import IceAgent
from sansice.simulation import RecordingFile
from sansice.stun import Listener, MessageClass, Method, StunServer, StunServerConfig, TransactionId, encode

ROUNDS = 9
SESSIONS = 50
PACKETS = 5_000
REQUESTS = 16_000
BATCH = 16  # what a busy server reads at once
PACKET = 160  # bytes: 20 ms of speech
_HOSTS = ("192.0.2.1", "192.0.2.2")
_ONE = SocketId(1)


class Place:
    """Where machines are made: recorded in a folder, or not at all."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: list[RecordingFile] = []

    def make(self, kind, **arguments):
        """A machine."""
        if self._folder is None:
            return kind(**arguments)
        self._files.append(RecordingFile(self._folder / str(len(self._files))))
        return self._files[-1].make(kind, **arguments)

    def close(self) -> int:
        """End what was recorded, and tell its bytes."""
        written = sum(file.written for file in self._files)
        while self._files:
            self._files.pop().close()
        return written


def run(rounds: int | None = None) -> dict[str, Metric]:
    """Processor microseconds with a recording (`ours`) and without (`peer`).

    - `session`: two agents from their construction to the selected pair, for each of the two.
    - `packet`: a packet sent by one agent and received by the other, each of which has it in its file.
    - `binding`: a Binding request answered by a server.
    - `bytes`: what a packet takes in a file (`ours`) beside what is in it (`peer`), in bytes.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def compare(measure) -> Metric:
            measure(None)
            return interleave(
                lambda: measure(folder),
                lambda: measure(None),
                unit="us",
                peer_name="not recorded",
                rounds=rounds or ROUNDS,
            )

        size = bytes_of_a_packet(folder)
        metrics = {"session": compare(session), "packet": compare(packet), "binding": compare(binding)}
        metrics["bytes"] = {"ours": size, "peer": PACKET, "ratio": size / PACKET, "unit": "B", "peer_name": "the packet itself"}
        return metrics


def session(folder: Path | None) -> float:
    """Microseconds for each agent that connects."""

    def once() -> None:
        place = Place(folder)
        connected(place)
        place.close()

    return cpu_seconds(once, SESSIONS) * 1e6 / 2


def packet(folder: Path | None) -> float:
    """Microseconds for a packet from one agent to the other."""
    place = Place(folder)
    agents, now = connected(place)
    seconds = cpu_seconds(lambda: talk(agents, now))
    place.close()
    return seconds * 1e6 / PACKETS


def bytes_of_a_packet(folder: Path) -> float:
    """Bytes in a file for each packet that is sent or received."""
    place = Place(folder)
    agents, now = connected(place)
    before = sum(file.written for file in place._files)
    talk(agents, now)
    return (place.close() - before) / (2 * PACKETS)


def binding(folder: Path | None) -> float:
    """Microseconds for a Binding request."""
    place = Place(folder)
    server = place.make(StunServer, config=StunServerConfig(rate=None))
    server.start([Listener(Transport.UDP, Address(_HOSTS[0], 3478))], now=0.0)
    server.handle_socket_opened(_ONE, Address(_HOSTS[0], 3478), now=0.0)
    requests = [encode(Method.BINDING, MessageClass.REQUEST, TransactionId(os.urandom(12))) for _ in range(BATCH)]
    batch = [(Address("198.51.100.7", 4444), request) for request in requests]

    def answer() -> None:
        for number in range(REQUESTS // BATCH):
            server.handle_datagrams(_ONE, batch, now=number / 1000)
            server.take_outputs()
            server.deadline()

    seconds = cpu_seconds(answer)
    place.close()
    return seconds * 1e6 / REQUESTS


def connected(place: Place) -> tuple[list[IceAgent], float]:
    """Two agents with a selected pair, and the time at which they have it."""
    agents = [place.make(IceAgent, controlling=index == 0) for index in (0, 1)]
    now = 0.0
    for agent, host in zip(agents, _HOSTS, strict=True):
        agent.gather([host], now=now)
    settle(agents, now)
    for agent, other in zip(agents, reversed(agents), strict=True):
        agent.set_remote(other.local_description, now=now)
    settle(agents, now)
    while not all(agent.selected_pair for agent in agents):
        now = min(agent.deadline() for agent in agents)
        for agent in agents:
            if agent.deadline() <= now:
                agent.handle_timer(now=now)
        settle(agents, now)
    return agents, now


def settle(agents: list[IceAgent], now: float) -> None:
    """Do what the agents want, until they want nothing at this time."""
    while any(perform(agents, index, now) for index in (0, 1)):
        pass


def perform(agents: list[Machine], index: int, now: float) -> bool:
    """Do what one agent wants; whether it wanted anything."""
    outputs = agents[index].take_outputs()
    for output in outputs:
        if isinstance(output, OpenSocket):
            agents[index].handle_socket_opened(output.socket, Address(_HOSTS[index], 5000), now=now)
        elif isinstance(output, SendDatagram):
            agents[1 - index].handle_datagrams(_ONE, [(Address(_HOSTS[index], 5000), output.data)], now=now)
    return bool(outputs)


def talk(agents: list[IceAgent], now: float) -> None:
    """Packets from one to the other, one by one."""
    alice, bob = agents
    source = Address(_HOSTS[0], 5000)
    data = bytes([0x80]) + os.urandom(PACKET - 1)
    for number in range(PACKETS):
        now += 1e-4
        alice.send(data, stream=0, component=1, now=now)
        (sent,) = alice.take_outputs()
        alice.deadline()
        bob.handle_datagrams(_ONE, [(source, sent.data[:1] + sent.data[1:])], now=now)
        bob.take_outputs()
        bob.deadline()
        data = data[:-4] + number.to_bytes(4, "big")
