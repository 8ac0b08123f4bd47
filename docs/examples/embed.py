"""An ICE agent on plain UDP sockets: no adapter, no framework, one thread.

Run it in two terminals of one machine, in each with the line of JSON that the other one prints:

    python docs/examples/embed.py --controlling
    python docs/examples/embed.py

Copy the line of each into the other and press Enter, both within half a minute: an agent that nobody answers gives up.
Both ends then say which pair they selected and what they received.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable

from sansice import (
    Address,
    CloseSocket,
    Event,
    LocalProtocolError,
    OpenSocket,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.ice import DataReceived, Description, IceAgent, IceState

PATIENCE = 60.0  # seconds, more than the agent's own


class Loop:
    """Feeds one machine and performs what it asks: the whole of what an adapter does."""

    def __init__(self, agent: IceAgent) -> None:
        self.agent = agent
        self.sockets: dict[SocketId, socket.socket] = {}
        self.events: list[Event] = []

    def flush(self) -> None:
        """Perform everything that the agent wants. Performing may make it want more."""
        while outputs := self.agent.take_outputs():
            for output in outputs:
                if isinstance(output, SendDatagram):
                    try:
                        self.sockets[output.socket].sendto(output.data, output.destination)
                    except OSError:
                        pass  # a datagram that the system refuses is a lost one
                elif isinstance(output, OpenSocket):
                    self.open(output)
                elif isinstance(output, CloseSocket):
                    self.sockets.pop(output.socket).close()
                elif isinstance(output, Event):
                    self.events.append(output)

    def open(self, wish: OpenSocket) -> None:
        """Bind a socket and tell the agent where; or tell it why not."""
        udp = socket.socket(socket.AF_INET6 if wish.bind.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.setblocking(False)
            udp.bind(wish.bind)
        except OSError as error:
            udp.close()
            why = SocketError(SocketErrorKind.OTHER, str(error))
            self.agent.handle_socket_failed(wish.socket, why, now=time.monotonic())
        else:
            self.sockets[wish.socket] = udp
            local = Address.of(*udp.getsockname()[:2])
            self.agent.handle_socket_opened(wish.socket, local, now=time.monotonic())

    def run_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for packets and for the agent's deadline, until ``done()`` or time is up."""
        end = time.monotonic() + seconds
        self.flush()
        while not done() and time.monotonic() < end:
            wait = max(0.0, min(self.agent.deadline(), end) - time.monotonic())
            ready, _, _ = select.select(list(self.sockets.values()), [], [], wait)
            for socket_id, udp in list(self.sockets.items()):
                if udp in ready:
                    self.read(socket_id, udp)
            if time.monotonic() >= self.agent.deadline():
                self.agent.handle_timer(now=time.monotonic())
            self.flush()
        return done()

    def read(self, socket_id: SocketId, udp: socket.socket) -> None:
        """Hand one datagram to the agent."""
        try:
            data, source = udp.recvfrom(65535)
        except OSError:
            return  # its checksum was wrong, or it was an error about a packet of ours
        self.agent.handle_datagrams(socket_id, [(Address.of(*source[:2]), data)], now=time.monotonic())


def main(controlling: bool) -> int:
    """Exchange descriptions over stdin and stdout, connect, say hello."""
    agent = IceAgent(controlling=controlling)
    loop = Loop(agent)
    agent.gather(["127.0.0.1"], now=time.monotonic())
    loop.flush()
    print(agent.local_description.to_json(), flush=True)
    try:
        agent.set_remote(Description.from_json(sys.stdin.readline()), now=time.monotonic())
    except (ValueError, LocalProtocolError) as error:
        problem = f"The line that the other end prints is wanted here: {error}"
    else:
        problem = "" if greet(loop) else agent.explain()
    if problem:
        print(problem, file=sys.stderr)
    agent.close(now=time.monotonic())
    loop.flush()
    return 1 if problem else 0


def greet(loop: Loop) -> bool:
    """Connect, send a word and wait for the other's; whether all of it happened."""
    agent = loop.agent
    loop.run_until(lambda: agent.state in (IceState.COMPLETED, IceState.FAILED), PATIENCE)
    if agent.state is not IceState.COMPLETED:
        return False
    agent.send(b"hello", now=time.monotonic())
    loop.run_until(lambda: any(isinstance(event, DataReceived) for event in loop.events), PATIENCE)
    received = [event.data for event in loop.events if isinstance(event, DataReceived)]
    print(received, agent.selected_pair, file=sys.stderr)
    return received == [b"hello"]


if __name__ == "__main__":
    sys.exit(main(controlling="--controlling" in sys.argv))
