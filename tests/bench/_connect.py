"""Connecting two agents over loopback, ours on trio against aioice on asyncio: processor time, waiting time and memory.

Both ends live in one process. Neither side lists the machine's interfaces within a timing: aioice's list is forced to
127.0.0.1, ours is the adapter's cached one.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable
from contextlib import contextmanager
from importlib.metadata import version
from typing import Self, TypedDict

import aioice
import aioice.ice
import trio

from bench import _bare_trio, _minimal_ice
from bench._timing import Metric, interleave, quiet_gc
from sansice import Address, OpenSocket, SendDatagram, SocketId
from sansice.ice import Description, IceAgent
from sansice_trio import IceConnection, open_ice

PAIRS = 10  # connected one after the other in one round of the timings
MEMORY_PAIRS, WARM_UP = 100, 20  # pairs alive at once when memory is counted; those that fill caches and are gone before
MEMORY_ROUNDS = 3  # memory hardly varies
LOOPBACK = "127.0.0.1"


class WaitMetric(TypedDict):
    """A `Metric` of medians, with the 95th percentiles beside them, and how many of our samples were left out as disturbed."""

    ours: float
    peer: float
    ratio: float
    unit: str
    peer_name: str
    p95: float
    peer_p95: float
    disturbed: int


def run(rounds: int | None = None) -> dict[str, Metric | WaitMetric]:
    """What one connection costs.

    - `cpu`: processor milliseconds of gathering and connecting, both ends together, until both have selected a pair.
    - `cpu_over_bare_trio`: that again, against the same sockets, datagrams and 50 ms of waiting on trio without any
      protocol (`_bare_trio`): what no trio adapter can go below.
    - `cpu_of_minimal_ice`: not ours, but the least that connects by RFC 8445 on trio (`_minimal_ice`), against aioice: what
      `cpu` would be of an implementation that can do nothing else.
    - `cpu_first_byte`: the same until the first datagram of the application's is received, which is before that.
    - `first_byte`: milliseconds from both ends having the other's description until that datagram is received:
      medians, and the 95th percentiles, of the samples during which no other process got our processor.
    - `memory_agent`: bytes of a connected `IceAgent` with nothing around it, against a connected aioice `Connection`.
    - `memory`: the same of a connection with the trio adapter and its socket.
    """
    peer_name = f"aioice {version('aioice')}"
    with aioice_on_loopback():
        _our_samples(PAIRS), _peer_samples(PAIRS)  # imports, caches, byte code
        return {
            **_timings(peer_name, rounds),
            "cpu_over_bare_trio": _over_bare_trio(rounds),
            "cpu_of_minimal_ice": interleave(
                lambda: _minimal_ice.median(PAIRS),
                lambda: _median(_peer_samples(PAIRS), "cpu"),
                unit="ms",
                peer_name=peer_name,
                rounds=rounds,
            ),
            "memory_agent": _memory(_agent_memory, peer_name, rounds),
            "memory": _memory(_our_memory, peer_name, rounds),
        }


class Sample(TypedDict):
    """What one pair took, in milliseconds; and whether the system gave the processor to others before the first byte.

    The scheduler takes it for 4 ms or a multiple, of a wait of 0.6: that says something about the neighbours only.
    """

    cpu: float
    cpu_first_byte: float
    first_byte: float
    disturbed: bool


@contextmanager
def aioice_on_loopback():
    """Have aioice use 127.0.0.1, which it would ignore, and nothing else."""
    list_addresses = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = list_addresses


# ------------------------------------------------------------------- time


def _timings(peer_name: str, rounds: int | None) -> dict[str, Metric | WaitMetric]:
    """All timings come from the same connections: round by round, ours and aioice's in turns."""
    ours: list[list[Sample]] = []
    peer: list[list[Sample]] = []

    def measure(into: list[list[Sample]], samples: list[Sample]) -> float:
        into.append(samples)
        return _median(samples, "cpu")

    def compare(key: str) -> Metric:
        our_costs, peer_costs = (iter([_median(samples, key) for samples in side]) for side in (ours, peer))
        return interleave(lambda: next(our_costs), lambda: next(peer_costs), unit="ms", peer_name=peer_name, rounds=len(ours))

    cpu = interleave(
        lambda: measure(ours, _our_samples(PAIRS)),
        lambda: measure(peer, _peer_samples(PAIRS)),
        unit="ms",
        peer_name=peer_name,
        rounds=rounds,
    )
    first_byte: WaitMetric = {
        **compare("first_byte"),
        "p95": _p95(ours),
        "peer_p95": _p95(peer),
        "disturbed": sum(sample["disturbed"] for samples in ours for sample in samples),
    }
    return {"cpu": cpu, "cpu_first_byte": compare("cpu_first_byte"), "first_byte": first_byte}


def _median(samples: list[Sample], key: str) -> float:
    return statistics.median(sample[key] for sample in _undisturbed(samples))


def _p95(rounds: list[list[Sample]]) -> float:
    waits = [sample["first_byte"] for sample in _undisturbed([sample for samples in rounds for sample in samples])]
    return statistics.quantiles([*waits, *waits], n=20, method="inclusive")[-1]


def _undisturbed(samples: list[Sample]) -> list[Sample]:
    """All of them, where none was left alone."""
    return [sample for sample in samples if not sample["disturbed"]] or samples


def _preemptions() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _over_bare_trio(rounds: int | None) -> Metric:
    return interleave(
        lambda: _median(_our_samples(PAIRS), "cpu"),
        lambda: statistics.median(_bare_trio.milliseconds(PAIRS)),
        unit="ms",
        peer_name="trio without a protocol",
        rounds=rounds,
    )


def _our_samples(pairs: int) -> list[Sample]:
    return trio.run(_time_ours, pairs)


def _peer_samples(pairs: int) -> list[Sample]:
    return asyncio.run(_time_peer(pairs))


async def _time_ours(pairs: int) -> list[Sample]:
    samples = []
    for _ in range(pairs):
        with quiet_gc():
            start = time.process_time()
            async with _open(controlling=True) as a, _open(controlling=False) as b:
                of_a, of_b = await a.gather(), await b.gather()
                preempted, told = _preemptions(), time.perf_counter()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(a.connect, of_b)
                    nursery.start_soon(b.connect, of_a)
                    while not a.writable:
                        await a.changed()
                    a.send_nowait(b"first")
                    await b.receive()
                    waited, cpu_first = time.perf_counter() - told, time.process_time() - start
                    disturbed = _preemptions() != preempted
                cpu = time.process_time() - start
        samples.append(Sample(cpu=1e3 * cpu, cpu_first_byte=1e3 * cpu_first, first_byte=1e3 * waited, disturbed=disturbed))
    return samples


async def _time_peer(pairs: int) -> list[Sample]:
    samples = []
    for _ in range(pairs):
        with quiet_gc():
            start = time.process_time()
            a, b = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
            await a.gather_candidates()
            await b.gather_candidates()
            preempted, told = _preemptions(), time.perf_counter()
            await _tell(a, b)
            await _tell(b, a)
            await asyncio.gather(a.connect(), b.connect())
            await a.send(b"first")
            await b.recv()
            waited = time.perf_counter() - told
            cpu = time.process_time() - start
            disturbed = _preemptions() != preempted
            await a.close()
            await b.close()
        samples.append(Sample(cpu=1e3 * cpu, cpu_first_byte=1e3 * cpu, first_byte=1e3 * waited, disturbed=disturbed))
    return samples


def _open(*, controlling: bool) -> IceConnection:
    return open_ice(controlling=controlling, include_loopback=True, interface_filter=_is_loopback)


def _is_loopback(name: str, address: str) -> bool:
    return address == LOOPBACK


async def _tell(connection: aioice.Connection, peer: aioice.Connection) -> None:
    connection.remote_username, connection.remote_password = peer.local_username, peer.local_password
    for candidate in peer.local_candidates:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(candidate.to_sdp()))
    await connection.add_remote_candidate(None)


# ------------------------------------------------------------------- memory


def _memory(ours: Callable[[], float], peer_name: str, rounds: int | None) -> Metric:
    return interleave(ours, _peer_memory, unit="bytes", peer_name=peer_name, rounds=min(rounds or MEMORY_ROUNDS, MEMORY_ROUNDS))


class Traced:
    """Bytes allocated within a block and alive at its end."""

    def __enter__(self) -> Self:
        gc.collect()
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        gc.collect()
        self.bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()


def _our_memory() -> float:
    return trio.run(_our_traced)


async def _our_traced() -> float:
    await _trace_ours(WARM_UP)
    return await _trace_ours(MEMORY_PAIRS)


async def _trace_ours(number: int) -> float:
    pairs: list[tuple[IceConnection, IceConnection]] = []
    try:
        with Traced() as traced:
            await _connect_ours(pairs, number)
        return traced.bytes / (2 * number)
    finally:
        for a, b in reversed(pairs):
            await b.__aexit__(None, None, None)
            await a.__aexit__(None, None, None)


async def _connect_ours(pairs: list[tuple[IceConnection, IceConnection]], number: int) -> None:
    for _ in range(number):
        # By hand, because a stack of contexts would be counted with the connections.
        a, b = _open(controlling=True), _open(controlling=False)
        pairs.append((await a.__aenter__(), await b.__aenter__()))
    async with trio.open_nursery() as nursery:
        for a, b in pairs:
            of_a, of_b = await a.gather(), await b.gather()
            nursery.start_soon(a.connect, _sent(of_b))
            nursery.start_soon(b.connect, _sent(of_a))


def _peer_memory() -> float:
    return asyncio.run(_peer_traced())


async def _peer_traced() -> float:
    await _trace_peers(WARM_UP)
    return await _trace_peers(MEMORY_PAIRS)


async def _trace_peers(number: int) -> float:
    pairs: list[tuple[aioice.Connection, aioice.Connection]] = []
    try:
        with Traced() as traced:
            await _connect_peers(pairs, number)
        return traced.bytes / (2 * number)
    finally:
        for pair in pairs:
            for connection in pair:
                await connection.close()


async def _connect_peers(pairs: list[tuple[aioice.Connection, aioice.Connection]], number: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            a, b = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
            pairs.append((a, b))
            await a.gather_candidates()
            await b.gather_candidates()
            await _tell(a, b)
            await _tell(b, a)
            group.create_task(a.connect())
            group.create_task(b.connect())


def _agent_memory() -> float:
    for _ in range(WARM_UP):
        _connected_agents()
    with Traced() as traced:
        pairs = [_connected_agents() for _ in range(MEMORY_PAIRS)]
    return traced.bytes / (2 * len(pairs))


def _connected_agents() -> tuple[IceAgent, IceAgent]:
    """Two agents that a wire without delay has connected, as they are right after it."""
    a, b = IceAgent(controlling=True), IceAgent(controlling=False)
    wire = Wire((a, b))
    for agent in (a, b):
        agent.gather([LOOPBACK], now=wire.now)
        wire.carry()
    a.set_remote(_sent(b.local_description), now=wire.now)
    b.set_remote(_sent(a.local_description), now=wire.now)
    wire.carry()
    while a.selected_pair is None or b.selected_pair is None:
        wire.wait()
    return a, b


class Wire:
    """The driver of two agents with one socket each, in a time of its own. It builds what a system would: new objects."""

    def __init__(self, agents: tuple[IceAgent, IceAgent]) -> None:
        self.now = 0.0
        self._agents = agents
        self._sockets: dict[int, tuple[IceAgent, SocketId]] = {}
        self._ports: dict[IceAgent, int] = {}

    def wait(self) -> None:
        """Let the next timer fire."""
        agent = min(self._agents, key=IceAgent.deadline)
        self.now = max(self.now, agent.deadline())
        agent.handle_timer(now=self.now)
        self.carry()

    def carry(self) -> None:
        """Perform what the agents want until they want nothing more at this instant."""
        busy = True
        while busy:
            busy = False
            for agent in self._agents:
                for output in agent.take_outputs():
                    busy = True
                    if isinstance(output, OpenSocket):
                        self._open(agent, output.socket)
                    elif isinstance(output, SendDatagram):
                        peer, socket = self._sockets[output.destination.port]
                        peer.handle_datagrams(socket, [(_address(self._ports[agent]), output.data)], now=self.now)

    def _open(self, agent: IceAgent, socket: SocketId) -> None:
        port = 40000 + len(self._sockets)
        self._sockets[port] = agent, socket
        self._ports[agent] = port
        agent.handle_socket_opened(socket, _address(port), now=self.now)


def _address(port: int) -> Address:
    return Address(LOOPBACK.encode().decode(), port)


def _sent(description: Description) -> Description:
    """What the peer has of a description after it was sent as text."""
    return Description.from_json(description.to_json())
