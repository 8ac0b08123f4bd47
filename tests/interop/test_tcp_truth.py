"""When the kernel repeats a lost segment, against the laboratory's TCP."""

import socket
import struct
from pathlib import Path

from interop._netns import required_namespaces
from sansice.simulation._world._tcp_sending import MIN_MARGIN

INFO = struct.Struct("8x24I")  # the beginning of Linux's struct tcp_info, times in microseconds
RTO, RTT = 0, 15
TICK = 0.01  # seconds: the kernel's own clock has at least a hundred of them a second
PORT = 5555
TRIES = 20  # to send the second segment before the kernel probes for the first by itself, a fifth of a second later
LOSE = f"table inet lossy {{ chain input {{ type filter hook input priority 0; tcp dport {PORT} drop; }}; }}"


def connection(port=0):
    with socket.create_server(("127.0.0.1", port)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


def counted(name):
    """A counter of this network namespace's TCP."""
    lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(dict(zip(names, values, strict=True))[name])


def test_a_lost_segment_is_repeated_as_soon_as_by_linux():
    ours, theirs = connection()
    with ours, theirs:
        ours.sendall(b"measured")
        theirs.recv(100)
        info = INFO.unpack(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO.size))
    waits, round_trip = info[RTO] / 1e6, info[RTT] / 1e6
    assert MIN_MARGIN <= waits - round_trip <= MIN_MARGIN + TICK


def test_of_two_segments_the_first_is_repeated_as_soon_as_the_second_has_arrived_without_it():
    with required_namespaces() as spaces:
        spaces.add("host")
        with spaces.inside("host"):
            ours, theirs = connection(PORT)
            with ours, theirs:
                ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(TRIES):
                    repeated, probes = counted("TCPFastRetrans"), counted("TCPLossProbes")
                    spaces.nft("host", LOSE)
                    ours.sendall(b"lost")
                    spaces.nft("host", "flush ruleset")
                    ours.sendall(b"arrives")
                    theirs.recv(100)
                    if counted("TCPLossProbes") == probes:
                        break
            assert counted("TCPFastRetrans") == repeated + 1
            assert counted("TCPTimeouts") == 0
