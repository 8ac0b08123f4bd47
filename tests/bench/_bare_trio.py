"""What trio and the kernel alone take of a connection: the floor under `connect.cpu`.

Two tasks with a socket each do what two connecting agents must do at least: open, answer one exchange in each
direction, wait 50 ms (Ta, RFC 8445 14.2), answer a third one, close. There is no protocol in it.
"""

from __future__ import annotations

import socket
import time

import trio

from bench._timing import quiet_gc

TA = 0.05
CHECK, ANSWER = bytes(100), bytes(64)  # about the sizes of a check and its answer


def milliseconds(times: int) -> list[float]:
    """Processor milliseconds of each of ``times`` runs."""
    return trio.run(_measure, times)


async def _measure(times: int) -> list[float]:
    samples = []
    for _ in range(times):
        with quiet_gc():
            start = time.process_time()
            with _open() as a, _open() as b:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_end, a, b.getsockname(), True)
                    nursery.start_soon(_end, b, a.getsockname(), False)
            samples.append(1e3 * (time.process_time() - start))
    return samples


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


async def _end(sock: socket.socket, peer: tuple[str, int], nominates: bool) -> None:
    sock.sendto(CHECK, peer)
    await _answer(sock, peer, checks=1, answers=1)
    if nominates:
        await trio.sleep(TA)
        sock.sendto(CHECK, peer)
    await _answer(sock, peer, checks=not nominates, answers=nominates)


async def _answer(sock: socket.socket, peer: tuple[str, int], *, checks: int, answers: int) -> None:
    """Answer so many checks, and take so many answers, in any order."""
    while checks + answers > 0:
        await trio.lowlevel.wait_readable(sock)
        if sock.recv(2000) == CHECK:
            sock.sendto(ANSWER, peer)
            checks -= 1
        else:
            answers -= 1
