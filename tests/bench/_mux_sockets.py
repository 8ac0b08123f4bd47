"""What a check and a datagram cost a server's process whose agents share one real port; the clients are this process.

All clients send by one socket: Linux lets a datagram say which address of 127.0.0.0/8 it comes from (IP_PKTINFO).
"""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bench._mux_crowd import DATA, check_of
from bench._stun import processor_seconds
from sansice import Address

HOST = "127.0.0.1"
MARK = b"\x81"  # what data begins with that is sent back
WINDOW = 64  # datagrams under way: more might be dropped where they wait
PATIENCE = 5.0  # seconds for an answer, on a machine that has other things to do
_IP_PKTINFO = 8  # linux/in.h; Python 3.11 has no name for it
_BUFFER = 1 << 21
T = TypeVar("T")
_TESTS = Path(__file__).resolve().parents[1]


class Clients:
    """All clients of one server, and what they cost it."""

    def __init__(self, pid: int, port: int, count: int, sock: socket.socket) -> None:
        self.pid = pid
        self._server = (HOST, port)
        self._count = count
        self._socket = sock
        self._transactions = itertools.count(1)

    def checks(self, active: int, packets: int) -> float:
        """Processor microseconds of the server for each check of one of the active clients, answered."""
        turns = self._turns(active, packets)
        checks = [(number, check_of(number, next(self._transactions))) for number in turns]
        before = processor_seconds(self.pid)
        for window in _windows(checks):
            for number, data in window:
                self._send(number, data)
            self._await(len(window))
        return 1e6 * (processor_seconds(self.pid) - before) / packets

    def data(self, active: int, packets: int) -> float:
        """The same of a datagram of data; one of `WINDOW` is sent back, so that no more than these are under way.

        What follows a check goes a longer way, and in a call that is one datagram of hundreds: it is sent before, uncounted.
        """
        for window in _windows(self._turns(active, active)):
            self._exchange_data(window)
        before = processor_seconds(self.pid)
        for window in _windows(self._turns(active, packets)):
            self._exchange_data(window)
        return 1e6 * (processor_seconds(self.pid) - before) / packets

    def _exchange_data(self, window: list[int]) -> None:
        for number in window[:-1]:
            self._send(number, DATA)
        self._send(window[-1], MARK + DATA[1:])
        self._await(1)

    def _turns(self, active: int, packets: int) -> list[int]:
        step = self._count // active
        return [number % active * step for number in range(packets)]

    def _send(self, number: int, data: bytes) -> None:
        self._socket.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, _from(number))], 0, self._server)

    def _await(self, answers: int) -> None:
        for _ in range(answers):
            self._socket.recv(2000)


@contextmanager
def clients_of_one_port(count: int) -> Iterator[Clients]:
    """A server in a process of its own with so many lite agents, each connected with its client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        command = [sys.executable, "-m", "bench._mux_server", str(count), str(sock.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_TESTS) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                clients = Clients(process.pid, int(process.stdout.readline()), count, sock)
                clients.checks(count, count)
                yield clients
            finally:
                process.stdin.close()


def address_of(number: int, port: int) -> Address:
    """Where a client is: each has an address of its own."""
    return Address(f"127.1.{number >> 8}.{number & 255}", port)


def _from(number: int) -> bytes:
    """struct in_pktinfo: the interface does not matter, the address is the one to send from."""
    return struct.pack("=I4s4s", 0, socket.inet_aton(address_of(number, 0).host), bytes(4))


def _windows(items: list[T]) -> Iterator[list[T]]:
    return (items[start : start + WINDOW] for start in range(0, len(items), WINDOW))
