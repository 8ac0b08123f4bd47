"""coturn's load generator `turnutils_uclient` and the echo that it sends to, `turnutils_peer`, in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence

import attrs
import trio

from interop._loopback import LIMIT, find_tool
from sansice import Address

HOST, HOST6 = "127.0.0.1", "::1"
MESSAGES, LENGTH = 5, 200  # of each flow: a run is a matter of waits, so more would only show what the benchmark measures
_PAUSE = 0.02  # seconds between two looks at whether the echo is there

_BYTES = re.compile(r"start_mclient: tot_send_bytes ~ (\d+), tot_recv_bytes ~ (\d+)")
_LOST = re.compile(r"Total lost packets (-?\d+) \([-\d.]+%\), total send dropped (\d+)")
_ERROR = re.compile(r"error (\d{3})\b")


@attrs.frozen
class UclientRun:
    """What a run came to.

    Attributes:
        code: of the exit. It says little: some runs that lose everything end with 0.
        sent, received: bytes; -1 where the tool gave up before it sent any.
        lost: packets that did not come back.
        dropped: packets that it could not send.
        refusals: the error codes that it printed, in order.
        printed: all of it.
    """

    code: int
    sent: int
    received: int
    lost: int
    dropped: int
    refusals: tuple[int, ...]
    printed: str = attrs.field(repr=False)

    @property
    def lossless(self) -> bool:
        """Whether something was sent, and all of it came back."""
        return self.code == 0 and self.sent == self.received > 0 and self.lost == self.dropped == 0


async def uclient(
    server: Address, *options: object, user: tuple[str, str] | None = ("u", "p"), length: int = LENGTH, limit: float = LIMIT
) -> UclientRun:
    """Run the tool against a server until it ends.

    Args:
        server: where to connect to.
        options: of the command line.
        user: name and password.
        length: bytes in each message.
        limit: seconds.
    """
    known = () if user is None else ("-u", user[0], "-w", user[1])
    command = [find_tool("turnutils_uclient"), "-n", MESSAGES, "-l", length, *known, *options, "-p", server.port, server.host]
    with trio.fail_after(limit):
        done = await trio.run_process(
            [str(one) for one in command], capture_stdout=True, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False
        )
    return read_run(done.returncode, done.stdout.decode(errors="replace"))


def read_run(code: int, printed: str) -> UclientRun:
    """The figures that the tool printed last."""
    sent, received = map(int, (_BYTES.findall(printed) or [(-1, -1)])[-1])
    lost, dropped = map(int, (_LOST.findall(printed) or [(-1, -1)])[-1])
    return UclientRun(code, sent, received, lost, dropped, tuple(map(int, _ERROR.findall(printed))), printed)


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """`turnutils_peer` on both loopback addresses; the first of the two ports that it answers at."""
    port = _free_pair()
    command = [find_tool("turnutils_peer"), "-L", HOST, "-L", HOST6, "-p", str(port)]
    async with trio.open_nursery() as nursery:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        process = await nursery.start(functools.partial(trio.run_process, command, **quiet))
        with trio.fail_after(LIMIT):
            for address in ((host, one) for host in (HOST, HOST6) for one in (port, port + 1)):
                await _await_echo(process, address)
        yield port
        nursery.cancel_scope.cancel()


async def _await_echo(process: trio.Process, address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with trio.socket.socket(family, socket.SOCK_DGRAM) as probe:
        await probe.connect(address)
        while True:  # while nobody listens, an ICMP error says so at once
            assert process.returncode is None, f"turnutils_peer has ended with {process.returncode}"
            with contextlib.suppress(ConnectionRefusedError):
                await probe.send(b"\x80 are you there?")
                with trio.move_on_after(1):
                    await probe.recv(64)
                    return
            await trio.sleep(_PAUSE)


def _free_pair() -> int:
    """An even port that is free with the one after it, for UDP, at both addresses."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for host, family in ((HOST, socket.AF_INET), (HOST6, socket.AF_INET6)):
                for step in (0, 1):
                    one = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                    one.bind((host, port + step if port else 0))
                    port = port or one.getsockname()[1]
            if port % 2 == 0:
                return port


async def together(runs: Sequence[object], task: object, *, at_once: int) -> list[object]:
    """The results of ``task(*run)`` for all runs, so many at a time: each of them mostly waits."""
    limiter = trio.CapacityLimiter(at_once)
    results: list[object] = [None] * len(runs)

    async def one(number: int) -> None:
        async with limiter:
            results[number] = await task(*runs[number])

    async with trio.open_nursery() as nursery:
        for number in range(len(runs)):
            nursery.start_soon(one, number)
    return results
