"""An ICE agent on plain UDP sockets: no adapter, no framework, one thread.

Run it in two terminals, or let one process play both ends as the test of this file does. Descriptions
travel over stdin and stdout, a line of JSON each way.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable

from sansice import Address, CloseSocket, Event, OpenSocket, SendDatagram, SocketId
from sansice.ice import DataReceived, Description, IceAgent, IceState


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
                    family = socket.AF_INET6 if output.bind.is_ipv6 else socket.AF_INET
                    udp = self.sockets[output.socket] = socket.socket(family, socket.SOCK_DGRAM)
                    udp.setblocking(False)
                    udp.bind(output.bind)
                    local = Address.of(*udp.getsockname()[:2])
                    self.agent.handle_socket_opened(output.socket, local, now=time.monotonic())
                elif isinstance(output, CloseSocket):
                    self.sockets.pop(output.socket).close()
                elif isinstance(output, Event):
                    self.events.append(output)

    def run_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for packets and for the agent's deadline, until ``done()`` or time is up."""
        end = time.monotonic() + seconds
        self.flush()
        while not done() and time.monotonic() < end:
            wait = max(0.0, min(self.agent.deadline(), end) - time.monotonic())
            ready, _, _ = select.select(list(self.sockets.values()), [], [], wait)
            for socket_id, udp in list(self.sockets.items()):
                if udp in ready:
                    data, source = udp.recvfrom(65535)
                    batch = [(Address.of(*source[:2]), data)]
                    self.agent.handle_datagrams(socket_id, batch, now=time.monotonic())
            if time.monotonic() >= self.agent.deadline():
                self.agent.handle_timer(now=time.monotonic())
            self.flush()
        return done()


def main(controlling: bool) -> int:
    """Exchange descriptions over stdin and stdout, connect, say hello."""
    agent = IceAgent(controlling=controlling)
    loop = Loop(agent)
    agent.gather(["127.0.0.1"], now=time.monotonic())
    loop.flush()
    print(agent.local_description.to_json(), flush=True)
    agent.set_remote(Description.from_json(sys.stdin.readline()), now=time.monotonic())
    if not loop.run_until(lambda: agent.state is IceState.COMPLETED, 10.0):
        print(agent.explain(), file=sys.stderr)
        return 1
    agent.send(b"hello", now=time.monotonic())
    loop.run_until(lambda: any(isinstance(event, DataReceived) for event in loop.events), 10.0)
    received = [event.data for event in loop.events if isinstance(event, DataReceived)]
    print(received, agent.selected_pair, file=sys.stderr)
    agent.close(now=time.monotonic())
    loop.flush()
    return 0 if received == [b"hello"] else 1


if __name__ == "__main__":
    sys.exit(main(controlling="--controlling" in sys.argv))
