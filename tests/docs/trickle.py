"""Lets two ends trickle over a channel, and looks at what they say."""

import runpy
import sys
from functools import partial

import trio
import trio.testing

from sansice.ice import Description

names = runpy.run_path(sys.argv[1])
said = {True: [], False: []}


class Watched(names["Channel"]):
    """Keeps what is said, and says one thing more: a candidate of a type that nobody knows, which must do no harm."""

    def __init__(self, stream, said):
        super().__init__(stream)
        self.said = said

    async def send(self, line):
        if len(self.said) == 1:
            await super().send("candidate:1 1 udp 1 192.0.2.1 9 typ unheard-of")
        self.said.append(line)
        await super().send(line)


async def main():
    streams = trio.testing.memory_stream_pair()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for stream, controlling in zip(streams, said, strict=True):
                channel = Watched(stream, said[controlling])
                nursery.start_soon(partial(names["talk_at_once"], channel, controlling=controlling))


trio.run(main)
for lines in said.values():
    first, *candidates, last = lines
    assert Description.from_json(first).candidates == ()
    assert candidates
    assert all(line.startswith("candidate:") for line in candidates)
    assert last == "end-of-candidates"
