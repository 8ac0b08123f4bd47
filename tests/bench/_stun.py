"""A STUN server under load, ours in its own process on trio against coturn: processor time for each Binding request.

The load comes from a third process (`_stun_load`). Processor time is that of the server's process as the kernel counts
it, all threads together, so what the load generator and the neighbours do costs nobody.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench._timing import Metric, interleave

HOST = "127.0.0.1"
REQUESTS = 20_000  # in one round: a fifth of a second of the server's processor
ALONE = 4_000
WARM_UP = 2_000
FLOOD_SECONDS = 1.0
ROUNDS = 9
FLOOD_ROUNDS = 3
LEAST_LOST = 0.001  # what less counts as, so that there always is a ratio
READY_SECONDS = 10.0
_TESTS = Path(__file__).resolve().parents[1]
_PLAIN_REQUEST = bytes.fromhex("000100002112a442") + bytes(12)


class Server(NamedTuple):
    """A server that answers."""

    pid: int
    port: int


def run(rounds: int | None = None) -> dict[str, Metric]:
    """What answering costs.

    - `binding`: processor microseconds of one answered Binding request, 64 of them under way at any time, so that no
      server loses any; our server has no rate limit then, as coturn has none.
    - `binding_limited`: the same with ours counting every request towards its prefix's share.
    - `binding_alone`: the same with one request at a time, so that each costs a round of the event loop: the worst case.
    - `requests_per_second`: answers to a sender that never waits, for each second of the server's processor.
    - `lost`: the share of its requests that are then not answered, as the system drops what waits too long. That depends on
      who else wants the processor.
    """
    with coturn() as (theirs, name), ours("--unlimited") as unlimited, ours() as limited:
        for server in (theirs, unlimited, limited):
            cost(server, WARM_UP)
        ours_us, theirs_us = (lambda: cost(unlimited)), (lambda: cost(theirs))
        rounds, flood_rounds = rounds or ROUNDS, min(rounds or ROUNDS, FLOOD_ROUNDS)
        floods: dict[int, list[dict[str, float]]] = {unlimited.pid: [], theirs.pid: []}

        def answers(server: Server) -> float:
            before = processor_seconds(server.pid)
            floods[server.pid].append(load(server, "flood", FLOOD_SECONDS))
            return floods[server.pid][-1]["answered"] / (processor_seconds(server.pid) - before)

        def lost(server: Server) -> float:
            one = floods[server.pid].pop(0)
            return max(1 - one["answered"] / one["sent"], LEAST_LOST)

        unit = "us"
        return {
            "binding": interleave(ours_us, theirs_us, unit=unit, peer_name=name, rounds=rounds),
            "binding_limited": interleave(lambda: cost(limited), theirs_us, unit=unit, peer_name=name, rounds=rounds),
            "binding_alone": interleave(
                lambda: cost(unlimited, ALONE, "alone"),
                lambda: cost(theirs, ALONE, "alone"),
                unit=unit,
                peer_name=name,
                rounds=rounds,
            ),
            "requests_per_second": interleave(
                lambda: answers(unlimited), lambda: answers(theirs), unit="1/s", peer_name=name, rounds=flood_rounds
            ),
            "lost": interleave(lambda: lost(unlimited), lambda: lost(theirs), unit="share", peer_name=name, rounds=flood_rounds),
        }


def cost(server: Server, requests: int = REQUESTS, kind: str = "steady") -> float:
    """Processor microseconds of ``server`` for each of so many answers."""
    before = processor_seconds(server.pid)
    answered = load(server, kind, requests)["answered"]
    if answered < 0.99 * requests:
        raise RuntimeError(f"only {answered} of {requests} requests were answered, which is no load that loses none")
    return 1e6 * (processor_seconds(server.pid) - before) / answered


def processor_seconds(pid: int) -> float:
    """What a process has used so far, in user and in kernel mode, by the clock that Linux keeps for it."""
    return time.clock_gettime(~pid << 3 | 2)  # CPUCLOCK_SCHED of a process: what clock_getcpuclockid(3) answers


def load(server: Server, kind: str, amount: float) -> dict[str, float]:
    """Run the load generator in a process of its own."""
    command = [sys.executable, "-m", "bench._stun_load", str(server.port), kind, str(amount)]
    done = subprocess.run(command, cwd=_TESTS, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@contextmanager
def ours(*arguments: str) -> Iterator[Server]:
    """Our server in a process of its own."""
    command = [sys.executable, "-m", "bench._stun_server", *arguments]
    with subprocess.Popen(command, cwd=_TESTS, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(process.pid, int(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def coturn() -> Iterator[tuple[Server, str]]:
    """coturn, which answers Binding requests without credentials, and its version."""
    version = subprocess.run(["turnserver", "--version"], capture_output=True, text=True).stdout
    name = "coturn " + "".join(re.findall(r"\d+\.\d+\.\d+", version)[:1])
    port = _free_port()
    options = ["--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780", "--log-file=stdout", "--pidfile", os.devnull]
    command = ["turnserver", "-n", "-L", HOST, "-p", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for_answer(port)
            yield Server(process.pid, port), name
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for_answer(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((HOST, port))
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            sock.settimeout(0.1)
            try:
                sock.send(_PLAIN_REQUEST)
                sock.recv(2000)
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError(f"coturn does not answer within {READY_SECONDS} s")
