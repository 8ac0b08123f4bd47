"""The floor under a simulated network: the same machines and one heap, with no network between them.

No links, addresses, ports, translation or counters: an output that is a datagram becomes an input of the other machine
after a fixed time. What a `Network` costs is what it takes beyond this.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random

from sansice.ice import GatheringState, IceAgent
from sansice.machine import Address, Machine, OpenSocket, SendDatagram

LATENCY = 0.02
HOSTS = ("192.0.2.1", "198.51.100.1")


class BareLoop:
    """Machines whose datagrams reach each other by address; deadlines are asked for after every input."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Machine, tuple[object, Address, bytes] | None]] = []
        self._counter = itertools.count()
        self._bound: dict[Address, tuple[Machine, object]] = {}
        self._locals: dict[tuple[Machine, object], Address] = {}

    def perform(self, machine: Machine) -> None:
        """Do what a machine wants, and have its timer fire when it says so."""
        outputs = machine.take_outputs()
        while outputs:
            for output in outputs:
                if type(output) is SendDatagram:
                    to = self._bound.get(output.destination)
                    if to is not None:
                        source = self._locals[machine, output.socket]
                        what = (to[1], source, output.data)
                        heapq.heappush(self._heap, (self.now + LATENCY, next(self._counter), to[0], what))
                elif type(output) is OpenSocket:
                    local = Address(output.bind.host, output.bind.port or 40_000 + len(self._bound))
                    self._bound[local] = (machine, output.socket)
                    self._locals[machine, output.socket] = local
                    machine.handle_socket_opened(output.socket, local, now=self.now)
            outputs = machine.take_outputs()
        deadline = machine.deadline()
        if deadline < math.inf:
            heapq.heappush(self._heap, (max(deadline, self.now), next(self._counter), machine, None))

    def step(self) -> bool:
        """Let the next thing happen. Returns whether there was one."""
        if not self._heap:
            return False
        self.now, _, machine, what = heapq.heappop(self._heap)
        if what is not None:
            socket, source, data = what
            machine.handle_datagrams(socket, [(source, data)], now=self.now)
        elif machine.deadline() <= self.now:
            machine.handle_timer(now=self.now)
        else:
            return True
        self.perform(machine)
        return True


def bare_session(seed: int) -> bool:
    """Two agents gather, exchange descriptions and connect. Returns whether they did."""
    loop = BareLoop()
    agents = [IceAgent(controlling=not n, entropy=random.Random(f"{seed}/{n}").randbytes) for n in range(2)]
    for agent, host in zip(agents, HOSTS, strict=True):
        agent.gather((host,), now=loop.now)
        loop.perform(agent)
    while any(agent.gathering_state is not GatheringState.COMPLETE for agent in agents) and loop.step():
        pass
    one, two = agents
    descriptions = one.local_description, two.local_description
    for agent, other in zip(agents, reversed(descriptions), strict=True):
        agent.set_remote(other, now=loop.now)
        loop.perform(agent)
    while not (one.selected_pair and two.selected_pair) and loop.now < 60.0 and loop.step():
        pass
    return bool(one.selected_pair and two.selected_pair)


def bare_packets(machine: Machine, socket: object, source: Address, data: bytes, count: int) -> None:
    """Hand a machine so many datagrams, each by way of the heap."""
    heap: list[tuple[float, int, Machine]] = []
    for number in range(count):
        heapq.heappush(heap, (LATENCY, number, machine))
    while heap:
        now, _, receiver = heapq.heappop(heap)
        receiver.handle_datagrams(socket, [(source, data)], now=now)
        receiver.take_outputs()
        receiver.deadline()
