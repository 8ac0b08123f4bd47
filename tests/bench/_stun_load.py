"""Load for a STUN server on 127.0.0.1: ``PORT KIND AMOUNT``. Prints what was sent and answered.

``steady REQUESTS``: eight sockets with eight requests under way each, as fast as the answers come.
``alone REQUESTS``: one request at a time.
``flood SECONDS``: requests without waiting for anything; answers are counted as they come, and for a moment afterwards.
What is lost is not asked again.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

SOCKETS = 8
WINDOW = 8
PATIENCE = 0.5  # seconds without any answer, after which those under way are lost
HEADER = bytes.fromhex("000100002112a442")


def main(port: int, kind: str, amount: float) -> dict[str, float]:
    """Put the load on, and count."""
    sockets = [_open(port) for _ in range(1 if kind == "alone" else SOCKETS)]
    if kind == "flood":
        return _flood(sockets, amount)
    return _steady(sockets, 1 if kind == "alone" else WINDOW, int(amount))


def _open(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.connect(("127.0.0.1", port))
    return sock


def _request() -> bytes:
    return HEADER + os.urandom(12)


def _steady(sockets: list[socket.socket], window: int, requests: int) -> dict[str, float]:
    sent = answered = 0
    while sent < requests:
        for sock in sockets:
            for _ in range(window):
                sock.send(_request())
        under_way = len(sockets) * window
        sent += under_way
        while under_way:
            readable = select.select(sockets, [], [], PATIENCE)[0]
            if not readable:
                break
            for sock in readable:
                count = _count(sock)
                under_way -= count
                answered += count
    return {"sent": sent, "answered": answered}


def _flood(sockets: list[socket.socket], seconds: float) -> dict[str, float]:
    sent = answered = 0
    request = _request()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for sock in sockets:
            for _ in range(WINDOW):
                try:
                    sock.send(request)
                except BlockingIOError:
                    break
                sent += 1
            answered += _count(sock)
    while readable := select.select(sockets, [], [], PATIENCE)[0]:
        answered += sum(_count(sock) for sock in readable)
    return {"sent": sent, "answered": answered}


def _count(sock: socket.socket) -> int:
    count = 0
    try:
        while True:
            sock.recv(2000)
            count += 1
    except BlockingIOError:
        return count


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
