"""Hole punching by hand, and with ICE, through every kind of NAT against every kind.

Two programs behind NATs learn their outer addresses from a server, exchange them, and send to each other until something
comes through. The table shows where that works.

    python docs/examples/lab_hole_punch.py
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from sansice import Address, AddressRecord
from sansice.ice import Description, IceFailed
from sansice.simulation import MATRIX_KINDS, Network
from sansice_trio import open_ice, stun_binding
from sansice_trio.testing import on_host, open_network

STUN = "stun:stun.example"

# ------------------------------------------------------------- the programs: nothing here knows of a simulation


class Channel:
    """Lines of text between two programs: elsewhere a web socket."""

    def __init__(self, send: trio.MemorySendChannel[str], receive: trio.MemoryReceiveChannel[str]) -> None:
        self.send, self.receive = send.send, receive.receive


async def punch(channel: Channel, local: str, controlling: bool) -> bool:
    """Send to the other end's outer address until something comes from it."""
    outer = await stun_binding(STUN, local=Address(local, 5000))
    await channel.send(f"{outer.host} {outer.port}")
    host, port = (await channel.receive()).split()
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((local, 5000))
        heard = False
        for _ in range(10):
            await sock.sendto(b"hello", (host, int(port)))
            with trio.move_on_after(0.2):
                _, source = await sock.recvfrom(100)
                heard = heard or source == (host, int(port))
        return heard


async def call(channel: Channel, local: str, controlling: bool) -> bool:
    """The same with ICE."""
    async with open_ice(controlling=controlling, ice_servers=[STUN]) as ice:
        await channel.send((await ice.gather()).to_json())
        try:
            await ice.connect(Description.from_json(await channel.receive()))
        except IceFailed:
            return False
        await ice.send(b"hello")
        await ice.receive()
        await trio.sleep(1)
        return True


# ------------------------------------------------------------- the networks

ENDS = (("192.168.1.2", "203.0.113.1"), ("192.168.178.20", "198.51.100.1"))

Program = Callable[[Channel, str, bool], Awaitable[bool]]


async def try_between(a: str, b: str, program: Program) -> bool:
    """Whether both ends say that it worked, behind these two kinds of NAT."""
    network = Network(seed=f"{a} {b}", latency=0.02)
    network.stun_server("192.0.2.9")
    network.resolve("stun.example", [AddressRecord("192.0.2.9")])
    to_b, from_a = trio.open_memory_channel[str](1)
    to_a, from_b = trio.open_memory_channel[str](1)
    worked: list[bool] = []
    async with open_network(network), trio.open_nursery() as nursery:
        for controlling, kind, channel, (inner, outer) in (
            (True, a, Channel(to_b, from_b), ENDS[0]),
            (False, b, Channel(to_a, from_a), ENDS[1]),
        ):
            nat = None if kind == "open" else network.nat(outer, preset=kind)
            local = outer if nat is None else inner
            with on_host(network.host(local, local, behind=nat)):
                nursery.start_soon(note, worked, program(channel, local, controlling))
    return all(worked)


async def note(worked: list[bool], running: Awaitable[bool]) -> None:
    worked.append(await running)


async def main() -> None:
    for name, program in (("by hand", punch), ("with ICE", call)):
        print(f"{name:>16}", *(f"{kind:>16}" for kind in MATRIX_KINDS))
        for a in MATRIX_KINDS:
            works = [await try_between(a, b, program) for b in MATRIX_KINDS]
            print(f"{a:>16}", *(f"{'yes' if one else '-':>16}" for one in works))
    assert not await try_between("symmetric", "port-restricted", call)
    assert await try_between("symmetric", "restricted-cone", call)
    assert not await try_between("symmetric", "restricted-cone", punch)


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
