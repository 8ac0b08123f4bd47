"""Many agents on one port: what a check and a packet of data cost with ten thousand lite agents, against ten.

The packets are what a driver would hand over: new objects, in batches, each of another client than the one before.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from importlib.metadata import version
from typing import Any

import aioice
import aioice.stun

from bench._connect import Traced, aioice_on_loopback
from bench._mux_crowd import PACKETS, Crowd
from bench._mux_sockets import Clients, clients_of_one_port
from bench._timing import Metric, cpu_seconds, interleave

MANY, FEW = 10_000, 10
MEMORY_ROUNDS = 1  # Python's own count of bytes does not vary
PEER_CONNECTIONS = 10


def run(rounds: int | None = None) -> dict[str, Metric]:
    """What a server with one port for all pays.

    - `check`: processor microseconds of a consent check, answered, that comes from one of ten clients: ours with 10,000
      agents on the port, the peer's with these ten alone. Both see the same traffic, so it is the mux that makes the difference.
    - `data`: the same of a datagram of 160 bytes.
    - `check_scattered`, `data_scattered`: each packet is for another agent of the 10,000, so that the processor has nothing of it
      in its caches: mostly what memory costs.
    - `check_received`, `data_received`: the same of a server's process with a real port, the system's calls included: each packet
      from another one of 10,000 real clients, against ten.
    - `check_aioice`: a check with 10,000 agents on one port, against aioice's where each connection has a socket of its own; both
      from ten clients, and without the system's calls.
    - `memory`: bytes of a connected agent on the mux, with the mux's share, among 10,000 and among 10.
    """
    many, few = Crowd(MANY), Crowd(FEW)
    name = f"{FEW} agents"

    def compare(make: str, active: int) -> Metric:
        return interleave(
            lambda: many.microseconds(make, active),
            lambda: few.microseconds(make, FEW),
            unit="us",
            peer_name=name,
            rounds=rounds,
        )

    metrics = {
        "check": compare("checks", FEW),
        "data": compare("data", FEW),
        "check_scattered": compare("checks", MANY),
        "data_scattered": compare("data", MANY),
        "check_aioice": _against_aioice(many, rounds),
    }
    with clients_of_one_port(MANY) as all, clients_of_one_port(FEW) as ten:
        for name_of, cost in (("check_received", Clients.checks), ("data_received", Clients.data)):
            metrics[name_of] = interleave(
                functools.partial(cost, all, MANY, MANY),
                functools.partial(cost, ten, FEW, MANY),
                unit="us",
                peer_name=name,
                rounds=rounds,
            )
    memory_rounds = min(rounds or MEMORY_ROUNDS, MEMORY_ROUNDS)
    metrics["memory"] = interleave(
        lambda: _memory(MANY), lambda: _memory(FEW), unit="bytes", peer_name=name, rounds=memory_rounds
    )
    return metrics


def _memory(count: int) -> float:
    Crowd(FEW)  # caches
    with Traced() as empty:
        alone = Crowd(0)
    with Traced() as traced:
        crowd = Crowd(count)
        keep = crowd.mux
        del crowd
    del alone, keep
    return (traced.bytes - empty.bytes) / count


# ------------------------------------------------------------------- aioice


class _NoSocket:
    """Takes what aioice sends, and does nothing."""

    def sendto(self, data: bytes, address: Any) -> None:
        pass


def _against_aioice(many: Crowd, rounds: int | None) -> Metric:
    loop = asyncio.new_event_loop()
    try:
        with aioice_on_loopback():
            peers = loop.run_until_complete(_connected())
        return interleave(
            lambda: many.microseconds("checks", FEW),
            lambda: loop.run_until_complete(_peer_microseconds(peers)),
            unit="us",
            peer_name=f"aioice {version('aioice')}, a socket each",
            rounds=rounds,
        )
    finally:
        loop.run_until_complete(_close(peers))
        loop.close()


async def _connected() -> list[tuple[aioice.Connection, aioice.Connection]]:
    pairs = []
    for _ in range(PEER_CONNECTIONS):
        a, b = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
        await a.gather_candidates()
        await b.gather_candidates()
        for one, other in ((a, b), (b, a)):
            one.remote_username, one.remote_password = other.local_username, other.local_password
            for candidate in other.local_candidates:
                await one.add_remote_candidate(candidate)
            await one.add_remote_candidate(None)
        await asyncio.gather(a.connect(), b.connect())
        pairs.append((a, b))
    return pairs


async def _close(pairs: list[tuple[aioice.Connection, aioice.Connection]]) -> None:
    for pair in pairs:
        for one in pair:
            await one.close()


async def _peer_microseconds(pairs: list[tuple[aioice.Connection, aioice.Connection]]) -> float:
    """The check that a client sends, to where aioice's socket hands it over."""
    numbers = itertools.count(1)
    packets = []
    for number in range(PACKETS):
        a, b = pairs[number % len(pairs)]
        check = aioice.stun.Message(
            message_method=aioice.stun.Method.BINDING,
            message_class=aioice.stun.Class.REQUEST,
            transaction_id=next(numbers).to_bytes(12, "big"),
        )
        check.attributes["USERNAME"] = f"{b.local_username}:{a.local_username}"
        check.attributes["PRIORITY"] = 1862270975
        check.attributes["ICE-CONTROLLING"] = number
        check.attributes["USE-CANDIDATE"] = None
        check.add_message_integrity(b.local_password.encode())
        source = a.local_candidates[0]
        packets.append((b._protocols[0], bytes(check), (source.host, source.port)))
    before = [(b._protocols[0], b._protocols[0].transport) for _, b in pairs]
    for protocol, _ in before:
        protocol.transport = _NoSocket()
    try:
        return 1e6 * cpu_seconds(lambda: [one.datagram_received(data, source) for one, data, source in packets]) / len(packets)
    finally:
        for protocol, transport in before:
            protocol.transport = transport
