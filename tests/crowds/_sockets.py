"""A crowd on the real sockets of one `serve_ice`: its clients are in another process, some connect over UDP and some over TCP.

Each client says who it is, and each connection answers whom it is for: whatever arrives elsewhere is *misrouted*.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import trio

from sansice.ice import Description, GatheringOptions, IceError
from sansice_trio import IceConnection, IceService, ServedConnection, open_ice, serve_ice

AT_ONCE = 25  # clients that are being connected: one machine plays both ends
OVER_TCP = 4  # every so manieth client
PATIENCE = 60.0  # seconds for one client, on a machine that has other things to do
_TCP = GatheringOptions(udp=False, tcp=("active",))
_UDP = GatheringOptions()


def run_sockets(clients: int) -> dict[str, Any]:
    """Connect so many clients, and tell how it went."""
    return trio.run(_serve, clients)


def run_clients(clients: int) -> None:
    """Be the clients: offers go to standard output, answers come from standard input, a line of JSON each."""
    trio.run(_be_clients, clients)


# ------------------------------------------------------------------- the server


async def _serve(clients: int) -> dict[str, Any]:
    _need_files(clients)
    began = time.monotonic()
    counts = {"clients": clients, "connected": 0, "over_tcp": 0, "misrouted": 0}
    command = [sys.executable, str(Path(__file__).parent), "--as-clients", str(clients)]
    async with serve_ice("127.0.0.1:0") as service:
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None
        async with trio.open_nursery() as nursery, contextlib.aclosing(_lines(process.stdout)) as lines:
            async for line in lines:
                if "over" in line:
                    counts["connections"] = len(service.connections)
                    counts["misrouted"] += line["misrouted"]
                    break
                answer = await _answer(service, line, nursery, counts)
                await process.stdin.send_all(_line({"client": line["client"], "answer": answer}))
            await process.stdin.aclose()
            nursery.cancel_scope.cancel()
        await process.wait()
        dropped = {reason.name: count for reason, count in service.dropped.items() if count}
    return {**counts, "dropped": dropped, "seconds": round(time.monotonic() - began, 1)}


async def _answer(service: IceService, line: dict[str, Any], nursery: trio.Nursery, counts: dict[str, int]) -> str:
    served = service.open()
    answer = await served.gather()
    served.set_remote(Description.from_json(line["offer"]))
    nursery.start_soon(_attend, served, line["client"], counts)
    return answer.to_json()


async def _attend(served: ServedConnection, number: int, counts: dict[str, int]) -> None:
    await served.connected()
    pair = served.selected_pair
    async for data in served:
        counts["misrouted"] += data != b"from %d" % number
        counts["connected"] += 1
        counts["over_tcp"] += pair is not None and pair.local.tcp_type is not None
        await served.send(b"for %d" % number)


# ------------------------------------------------------------------- the clients


async def _be_clients(clients: int) -> None:
    _need_files(clients)
    answers: dict[int, trio.MemorySendChannel[Description]] = {}
    turns, writing, done = trio.Semaphore(AT_ONCE), trio.Lock(), [trio.Event() for _ in range(clients)]
    counts = {"misrouted": 0}
    out, incoming = trio.lowlevel.FdStream(1), trio.lowlevel.FdStream(0)

    async def one(number: int) -> None:
        gathering = _UDP if number % OVER_TCP else _TCP
        async with open_ice(controlling=True, include_loopback=True, gathering=gathering) as ice:
            with trio.move_on_after(PATIENCE):
                async with turns:
                    await connect(ice, number)
            done[number].set()
            await trio.sleep_forever()

    async def connect(ice: IceConnection, number: int) -> None:
        send, receive = trio.open_memory_channel[Description](1)
        answers[number] = send
        offer = await ice.gather()
        async with writing:
            await out.send_all(_line({"client": number, "offer": offer.to_json()}))
        with contextlib.suppress(IceError):
            await ice.connect(await receive.receive())
            await ice.send(b"from %d" % number)
            counts["misrouted"] += await ice.receive() != b"for %d" % number

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(one, number)
        nursery.start_soon(_hand_out, incoming, answers)
        for event in done:
            await event.wait()
        await out.send_all(_line({"over": True, **counts}))
        nursery.cancel_scope.cancel()


async def _hand_out(incoming: trio.abc.ReceiveStream, answers: dict[int, trio.MemorySendChannel[Description]]) -> None:
    async with contextlib.aclosing(_lines(incoming)) as lines:
        async for line in lines:
            await answers[line["client"]].send(Description.from_json(line["answer"]))


# ------------------------------------------------------------------- both


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[dict[str, Any], None]:
    received = b""
    async for chunk in stream:
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _need_files(clients: int) -> None:
    """A socket or two for each client, and what its driver waits with."""
    needed, (soft, hard) = 4 * clients + 256, resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(needed, hard)), hard))
