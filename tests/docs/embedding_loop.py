"""Connects two agents with the loop that the README shows, each in a thread of its own."""

import os
import runpy
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import attrs

from sansice import SocketId
from sansice.ice import Candidate, IceAgent, IceState

SECONDS = 20
# Sending from a loopback address to another machine's is an error of the system, on every system.
REFUSED = Candidate.from_sdp("9 1 udp 2130706431 192.0.2.99 9 typ host")

run = runpy.run_path(sys.argv[1])["run"]


class Busy:
    """A socket that always has another packet: a loop that waits for a quiet moment to look at the clock never finds one."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        os.write(self.writing, b"never read")

    def fileno(self):
        return self.reading

    def recvfrom(self, size):
        return b"\xff of a stranger", ("192.0.2.7", 7)

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


class End:
    """One of the two, with the sockets that its loop keeps."""

    def __init__(self, controlling):
        self.agent = IceAgent(controlling=controlling)
        self.sockets = {}
        self.agent.gather(loopback_addresses(), now=time.monotonic())
        self.run_until(lambda: True)

    def run_until(self, done):
        run(self.agent, self.sockets, done)
        assert self.agent.take_outputs() == [], "the loop ended with something left to do"


def loopback_addresses():
    """Both families, where the machine has both."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


def both(action):
    """Do something with both ends at once."""
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(action, end) for end in ends]:
            one.result()


def within(seconds, condition):
    end = time.monotonic() + seconds
    return lambda: condition() or time.monotonic() > end


ends = End(True), End(False)
told = [end.agent.local_description for end in ends]
assert len(told[0].candidates) == len(loopback_addresses())

for end, theirs in zip(ends, reversed(told), strict=True):
    theirs = attrs.evolve(theirs, candidates=(REFUSED, *theirs.candidates))
    end.agent.set_remote(theirs, now=time.monotonic())
    end.sockets[SocketId(99)] = Busy()
connected = within(SECONDS, lambda: all(end.agent.state is IceState.COMPLETED for end in ends))
both(lambda end: end.run_until(connected))
assert all(end.agent.state is IceState.COMPLETED for end in ends), [end.agent.explain() for end in ends]
for end in ends:
    end.sockets.pop(SocketId(99)).close()

for end in ends:
    end.agent.send(b"hello", now=time.monotonic())
both(lambda end: end.run_until(within(SECONDS, lambda: end.agent.stats.datagrams_received)))
assert [end.agent.stats.datagrams_received for end in ends] == [1, 1]

for end in ends:
    end.agent.close(now=time.monotonic())
    end.run_until(lambda: True)
    assert end.sockets == {}
