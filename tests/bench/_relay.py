"""Relaying under load, ours in its own process on trio against coturn: processor time for each relayed packet.

The load comes from a third process, in C, on sockets whose allocations were made before (`_relay_flows`, `_relay_load.c`). It
keeps a number of packets under way in each direction, so that no server loses any. Processor time is that of the server's
process as the kernel counts it, all threads together.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench._relay_flows import HOST, Flow, open_flows
from bench._relay_idle import CHANNEL, Crowd
from bench._stun import Server, _free_port, _wait_for_answer, processor_seconds
from bench._timing import Metric, compare_calls, interleave

FLOWS = (1, 100, 1000)
SIZES = {160: "", 1200: "_1200"}  # bytes: speech, and as much as fits everywhere; how that ends the name of a metric
PACKETS = 20_000  # each way in one round
WINDOW = 64  # packets under way each way: what the smallest receive buffer holds
WARM_UP = 4_000
ROUNDS = 7
IDLE = 50_000
MOST_BYTES = 4096  # of an idle allocation, beside its sockets
LEAST_LOST = 1e-6  # what less counts as, so that there always is a ratio
_TESTS = Path(__file__).resolve().parents[1]


def run(rounds: int | None = None) -> dict[str, Metric]:
    """What relaying costs.

    - `flows_1`, `flows_100`, `flows_1000`: processor microseconds of one relayed packet of 160 bytes of data, over a channel,
      both directions at once; `_1200` of 1200 bytes.
    - `lost`: the share of all these packets that did not arrive.
    - `idle_memory`: bytes of one of 50,000 allocations that nobody uses, beside its sockets, against what it may be.
    - `idle_cost`: processor nanoseconds of one packet through the machine with these allocations, against the same without.
    """
    rounds = rounds or ROUNDS
    _allow_descriptors()
    figures: dict[str, Metric] = {}
    lost: dict[str, list[dict[str, int]]] = {"ours": [], "theirs": []}
    with build_load() as program:
        for count in FLOWS:
            with contextlib.ExitStack() as stack:
                theirs, name = stack.enter_context(coturn())
                mine = stack.enter_context(ours())
                our_flows = stack.enter_context(open_flows(mine.port, count))
                their_flows = stack.enter_context(open_flows(theirs.port, count))
                for size, suffix in SIZES.items():
                    figures[f"flows_{count}{suffix}"] = interleave(
                        Costs(program, mine, our_flows, size, lost["ours"]),
                        Costs(program, theirs, their_flows, size, lost["theirs"]),
                        unit="us",
                        peer_name=name,
                        rounds=rounds,
                    )
    share = {side: share_lost(loads) for side, loads in lost.items()}
    figures["lost"] = _metric(share["ours"], share["theirs"], "share", name)
    figures["idle_memory"] = _metric(idle_bytes(), MOST_BYTES, "B", "what it may be")
    figures["idle_cost"] = idle_cost(rounds)
    return figures


class Costs:
    """Measures a server, a round a call: processor microseconds for each relayed packet. The first round warms up first."""

    def __init__(self, program: Path, server: Server, flows: list[Flow], size: int, loads: list[dict[str, int]]) -> None:
        self._program = program
        self._server = server
        self._flows = flows
        self._size = size
        self._loads = loads
        load(program, flows, size, WARM_UP)

    def __call__(self, packets: int = PACKETS) -> float:
        before = processor_seconds(self._server.pid)
        figures = load(self._program, self._flows, self._size, packets)
        self._loads.append(figures)
        return 1e6 * (processor_seconds(self._server.pid) - before) / figures["received"]


def load(program: Path, flows: list[Flow], size: int, packets: int) -> dict[str, int]:
    """Put the load on.

    Raises:
        RuntimeError: packets arrived that nobody had sent, or none at all.
    """
    descriptors = [flow.client.fileno() for flow in flows] + [flow.peer.fileno() for flow in flows]
    command = [str(number) for number in (program, size, packets, WINDOW, len(flows), *descriptors)]
    done = subprocess.run(command, pass_fds=descriptors, capture_output=True, text=True, check=True)
    figures: dict[str, int] = json.loads(done.stdout)
    if figures["wrong"] or not figures["received"]:
        raise RuntimeError(f"no relay does this: {figures}")
    return figures


def share_lost(loads: list[dict[str, int]]) -> float:
    """Which part of all packets did not arrive."""
    sent, received = (sum(figures[key] for figures in loads) for key in ("sent", "received"))
    return max(1 - received / sent, LEAST_LOST)


@contextlib.contextmanager
def build_load() -> Iterator[Path]:
    """The load generator, compiled.

    Raises:
        RuntimeError: there is no compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("the load generator is in C: install a compiler (Debian: apt-get install gcc libc6-dev)")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "relay_load"
        source = Path(__file__).with_name("_relay_load.c")
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)
        yield program


@contextlib.contextmanager
def ours() -> Iterator[Server]:
    """Our server in a process of its own."""
    command = [sys.executable, "-m", "bench._relay_server"]
    with subprocess.Popen(command, cwd=_TESTS, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(process.pid, int(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def coturn() -> Iterator[tuple[Server, str]]:
    """coturn, which asks nobody for credentials either, and its version."""
    version = subprocess.run(["turnserver", "--version"], capture_output=True, text=True).stdout
    name = "coturn " + "".join(re.findall(r"\d+\.\d+\.\d+", version)[:1])
    port = _free_port()
    options = ["-z", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780", "--log-file=stdout"]
    command = ["turnserver", "-n", "-L", HOST, "-E", HOST, "-p", str(port), *options, "--pidfile", os.devnull]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for_answer(port)
            yield Server(process.pid, port), name
        finally:
            process.kill()


def idle_bytes(count: int = IDLE) -> float:
    """Bytes of one of so many allocations, in a process of their own."""
    command = [sys.executable, "-m", "bench._relay_idle", str(count)]
    done = subprocess.run(command, cwd=_TESTS, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    if figures["allocations"] != count:
        raise RuntimeError(f"{figures['allocations']} allocations where {count} were made")
    return figures["bytes"]


def idle_cost(rounds: int, count: int = IDLE) -> Metric:
    """What a packet costs in the machine alone, with many idle allocations and without."""
    many, one = Crowd(count), Crowd(1)
    message = CHANNEL.to_bytes(2) + (160).to_bytes(2) + bytes(160)

    def relay(crowd: Crowd) -> None:
        crowd.relay([(crowd.last[0], message)])

    return compare_calls(lambda: relay(many), lambda: relay(one), peer_name="the same without", unit="ns", rounds=rounds)


def _metric(mine: float, peer: float, unit: str, peer_name: str) -> Metric:
    return {"ours": mine, "peer": peer, "ratio": mine / peer, "unit": unit, "peer_name": peer_name}


def _allow_descriptors() -> None:
    """A thousand flows have two sockets each, and one in the server."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
