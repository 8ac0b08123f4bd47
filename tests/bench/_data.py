"""Data over a connected pair on loopback, ours against aioice: processor time of sending a datagram and of receiving it.

One end sends, the other receives, both in one process; nothing goes back. `BURST` datagrams follow each other, as the packets
of one picture of a video do; in the metrics called ``..._single`` each one is received before the next is sent.
"""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version

import aioice
import trio

import sansice_asyncio
import sansice_trio
from bench._connect import LOOPBACK, _tell, aioice_on_loopback
from bench._timing import Metric, interleave, quiet_gc

DATA = bytes([0x80]) + bytes(1199)  # as RTP begins
BURST = 10
DATAGRAMS = 2000  # in one round of a timing


def run(rounds: int | None = None) -> dict[str, Metric]:
    """Processor microseconds of one datagram of 1,200 bytes, sent and received.

    - `trio`, `asyncio`: in bursts, with the adapter of that name; aioice is on asyncio in both.
    - `trio_single`, `asyncio_single`: one at a time.
    """
    peer_name = f"aioice {version('aioice')}"
    metrics: dict[str, Metric] = {}
    with aioice_on_loopback():
        for suffix, burst in (("", BURST), ("_single", 1)):
            for name, ours in (("trio", on_trio), ("asyncio", on_asyncio)):
                metrics[name + suffix] = interleave(
                    lambda ours=ours, burst=burst: ours(burst),
                    lambda burst=burst: on_aioice(burst),
                    unit="us",
                    peer_name=peer_name,
                    rounds=rounds,
                )
    return metrics


def on_trio(burst: int) -> float:
    """Microseconds of a datagram between two connections of the trio adapter."""
    return trio.run(_on_trio, burst)


async def _on_trio(burst: int) -> float:
    async with _open(sansice_trio, controlling=True) as a, _open(sansice_trio, controlling=False) as b:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.connect, await b.gather())
            nursery.start_soon(b.connect, await a.gather())
        return await _time_ours(a, b, burst)


def on_asyncio(burst: int) -> float:
    """Microseconds of a datagram between two connections of the asyncio adapter."""
    return asyncio.run(_on_asyncio(burst))


async def _on_asyncio(burst: int) -> float:
    async with _open(sansice_asyncio, controlling=True) as a, _open(sansice_asyncio, controlling=False) as b:
        await asyncio.gather(a.connect(await b.gather()), b.connect(await a.gather()))
        return await _time_ours(a, b, burst)


def on_aioice(burst: int) -> float:
    """Microseconds of a datagram between two connections of aioice."""
    return asyncio.run(_on_aioice(burst))


async def _on_aioice(burst: int) -> float:
    a, b = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
    await a.gather_candidates()
    await b.gather_candidates()
    await _tell(a, b)
    await _tell(b, a)
    await asyncio.gather(a.connect(), b.connect())
    with quiet_gc():
        start = time.process_time()
        for _ in range(DATAGRAMS // burst):
            for _ in range(burst):
                await a.send(DATA)
            for _ in range(burst):
                await b.recv()
        took = time.process_time() - start
    await a.close()
    await b.close()
    return 1e6 * took / DATAGRAMS


async def _time_ours(a, b, burst: int) -> float:
    with quiet_gc():
        start = time.process_time()
        for _ in range(DATAGRAMS // burst):
            for _ in range(burst):
                a.send_nowait(DATA)
            for _ in range(burst):
                await b.receive()
        return 1e6 * (time.process_time() - start) / DATAGRAMS


def _open(adapter, *, controlling: bool):
    return adapter.open_ice(
        controlling=controlling, include_loopback=True, interface_filter=lambda name, address: address == LOOPBACK
    )
