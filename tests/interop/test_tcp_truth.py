"""How long the kernel waits for an acknowledgement before it repeats a segment, against the laboratory's TCP."""

import socket
import struct

from sansice.simulation._world._tcp_sending import MIN_MARGIN

INFO = struct.Struct("8x24I")  # the beginning of Linux's struct tcp_info, times in microseconds
RTO, RTT = 0, 15
TICK = 0.01  # seconds: the kernel's own clock has at least a hundred of them a second


def test_a_lost_segment_is_repeated_as_soon_as_by_linux():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        with theirs:
            ours.sendall(b"measured")
            theirs.recv(100)
            info = INFO.unpack(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO.size))
    waits, round_trip = info[RTO] / 1e6, info[RTT] / 1e6
    assert MIN_MARGIN <= waits - round_trip <= MIN_MARGIN + TICK
