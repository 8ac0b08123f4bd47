"""End B of ``sansice demo``: it answers an offer, sends every datagram back, and ends with its input."""

from __future__ import annotations

import os
import sys

import trio

from sansice.driver import clock
from sansice.ice import IceError
from sansice_trio import IceConnection, open_ice

from ._end import End
from ._lines import Lines
from ._other import IS_TOLD
from ._reports import DataArrived, Described, Failed, PeerKnown, Report
from ._settings import Settings

_PLAIN = Settings()


async def answer(link: Lines, settings: Settings = _PLAIN) -> None:
    """Be end B until ``link`` ends."""
    told, telling = trio.open_memory_channel[Report](1000)
    async with open_ice(**settings.arguments(of_b=True)) as ice, trio.open_nursery() as nursery:
        nursery.start_soon(_pass_on, telling, link)
        end = End(ice, told.send_nowait)
        description = await end.gather()
        async for report in link.reports():
            if isinstance(report, Described):
                told.send_nowait(PeerKnown(clock()))
                told.send_nowait(Described(clock(), description))
                nursery.start_soon(_connect, end, report, told)
        nursery.cancel_scope.cancel()


async def _pass_on(telling: trio.MemoryReceiveChannel[Report], link: Lines) -> None:
    async for report in telling:
        await link.send(report)


async def _connect(end: End, offer: Described, told: trio.MemorySendChannel[Report]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_echo, end.ice, told)
        try:
            await end.connect(offer.description)
        except IceError as error:
            told.send_nowait(Failed(clock(), str(error)))


async def _echo(ice: IceConnection, told: trio.MemorySendChannel[Report]) -> None:
    is_first = True
    try:
        async for data in ice:
            if is_first:
                is_first = False
                told.send_nowait(DataArrived(clock()))
            while not ice.writable:  # the other end's check may succeed before ours does
                await ice.changed()
            ice.send_nowait(data)
    except IceError as error:
        told.send_nowait(Failed(clock(), str(error)))


async def _main(settings: Settings) -> None:
    link = Lines(trio.lowlevel.FdStream(os.dup(1)), trio.lowlevel.FdStream(os.dup(0)))
    try:
        await answer(link, settings)
    finally:
        await link.close()


def _read_line(file: int) -> bytes:
    """The first line of a file, and not a byte more."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(file, 1)):
        line += byte
    return line


if __name__ == "__main__":
    if IS_TOLD not in sys.argv:
        trio.run(_main, _PLAIN)
    elif line := _read_line(0):  # otherwise the other process has gone already
        trio.run(_main, Settings.from_line(line))
