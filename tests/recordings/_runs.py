"""Real programs on loopback sockets, recorded: agents whose packets get lost on the way, and servers under load."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import attrs

from adapters.conformance._runtimes import HANG, RUNTIMES, Runtime
from sansice import Address
from sansice.ice import Description, IceConfig
from sansice.simulation import ReplayReport, read_recording, replay_file, scrub_file
from sansice.stun import LongTermCredentials, ServerAuthentication, StaticUsers, StunServerConfig, is_stun

HOST = "127.0.0.1"
LOSS = 0.2  # each way
LOST_CHECKS = 4  # at most, as each that is lost again doubles the wait for the next: after 15 s nobody learns any more
DUPLICATION = 0.1
BURSTS, BURST = 10, 20  # datagrams that each agent sends
AWAITED = 4  # of a burst of the peer's; that fewer arrive happens once in a hundred million bursts
LOADERS, REQUESTS, WINDOW = 3, 300, 16
PATIENCE = 0.05  # seconds that a loader waits for answers that may be lost
_QUICK = IceConfig(ta=0.005)  # the least that RFC 8445 14.2 allows
_REQUEST = struct.Struct("!HHI12s")
_COOKIE = 0x2112A442


class Run(NamedTuple):
    """One program, and what replaying its recordings came to.

    Attributes:
        kind: "agents" or "server".
        adapter: the runtime's name.
        seed: of what goes wrong on purpose.
        reports: one a recording.
    """

    kind: str
    adapter: str
    seed: int
    reports: list[ReplayReport]

    @property
    def same(self) -> bool:
        """Whether everything was replayed byte for byte."""
        return all(one.same and one.replayed == len(one.recording.steps) for one in self.reports)


def run(number: int, folder: Path, *, scrub: bool = False) -> Run:
    """Run number ``number``: the kinds and the adapters take turns. Its recordings are left in ``folder``.

    Args:
        number: says which, and is the seed.
        folder: for the recordings.
        scrub: replay them without their secrets as well.
    """
    kind, body = KINDS[number % len(KINDS)]
    runtime = RUNTIMES[number // len(KINDS) % len(RUNTIMES)]
    files = runtime.run(body, folder, number)
    if scrub:
        for file in list(files):
            files.append(file.with_name(file.name + "-scrubbed"))
            scrub_file(file, files[-1])
    for file in files:
        assert not read_recording(file).is_cut
    return Run(kind, runtime.name, number, [replay_file(file) for file in files])


# --------------------------------------------------------------------------- agents


async def talk(rt: Runtime, folder: Path, seed: int) -> list[Path]:
    """Two agents connect over a bad path and talk at the same time."""
    files = [folder / f"{seed}-{name}" for name in ("alice", "bob")]
    arguments = {"include_loopback": True, "interface_filter": lambda name, address: address == HOST, "config": _QUICK}
    make = rt.adapter.open_ice
    async with (
        rt.opened(make(controlling=True, record=files[0], **arguments)) as alice,
        rt.opened(make(controlling=False, record=files[1], **arguments)) as bob,
    ):
        of_alice, of_bob = await rt.call(alice.gather()), await rt.call(bob.gather())
        with bad_path(of_alice, of_bob, random.Random(seed)) as (seen_by_bob, seen_by_alice):
            await rt.together(lambda: _end(rt, alice, seen_by_alice), lambda: _end(rt, bob, seen_by_bob))
    return files


async def _end(rt: Runtime, ice, remote: Description) -> None:
    await rt.call(ice.connect(remote))
    for number in range(BURSTS):
        for _ in range(BURST):
            ice.send_nowait(b"\x80" + number.to_bytes(2, "big") * 40)
        for _ in range(AWAITED):
            await rt.call(ice.receive())


@contextmanager
def bad_path(of_one: Description, of_other: Description, luck: random.Random) -> Iterator[tuple[Description, Description]]:
    """What each of two agents is told of the other: an address in between, where packets get lost and doubled."""
    with _udp() as at_one, _udp() as at_other, _udp() as stop:
        ways = {
            at_one: (at_other, of_other.candidates[0].address),  # what one sends here comes to the other from there
            at_other: (at_one, of_one.candidates[0].address),
        }

        def forward() -> None:
            lost_checks = 0
            while True:
                ready, _, _ = select.select([*ways, stop], [], [])
                if stop in ready:
                    return
                for sock in ready:
                    data = sock.recv(65535)
                    out, destination = ways[sock]
                    copies = 0 if luck.random() < LOSS else 2 if luck.random() < DUPLICATION else 1
                    if copies == 0 and is_stun(data):
                        lost_checks += 1
                        copies = lost_checks > LOST_CHECKS
                    for _ in range(copies):
                        out.sendto(data, destination)

        thread = threading.Thread(target=forward)
        thread.start()
        try:
            yield _moved(of_one, at_other), _moved(of_other, at_one)
        finally:
            stop.sendto(b"", stop.getsockname())
            thread.join(HANG)


def _moved(description: Description, sock: socket.socket) -> Description:
    candidate = attrs.evolve(description.candidates[0], address=Address(*sock.getsockname()))
    return attrs.evolve(description, candidates=(candidate,))


def _udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    return sock


# --------------------------------------------------------------------------- servers


async def serve(rt: Runtime, folder: Path, seed: int) -> list[Path]:
    """A server with users answers several floods at once, over UDP and over TCP in small pieces, with nonsense among them."""
    file = folder / f"{seed}-server"
    authentication = None
    credentials = None
    if seed % 2:
        authentication = ServerAuthentication(realm="r", lookup_key=StaticUsers({"me": "a secret"}, realm="r"))
        credentials = LongTermCredentials("me", "a secret")
    options = {"authentication": authentication, "config": StunServerConfig(rate=None), "record": file}
    async with rt.opened(rt.adapter.serve_stun([f"{HOST}:0"], **options)) as service:
        (_, udp), (_, tcp) = service.listening
        loads = [threading.Thread(target=_flood, args=(udp, random.Random(seed * 100 + one))) for one in range(LOADERS)]
        loads.append(threading.Thread(target=_trickle, args=(tcp, random.Random(seed))))
        for thread in loads:
            thread.start()
        while any(thread.is_alive() for thread in loads):
            await rt.call(rt.adapter.stun_binding(f"stun:{udp}", credentials=credentials))
    return [file]


def _flood(server: Address, luck: random.Random) -> None:
    with _udp() as sock:
        sock.settimeout(PATIENCE)
        for _ in range(REQUESTS // WINDOW):
            for _ in range(WINDOW):
                data = _request(luck) if luck.random() < 0.9 else luck.randbytes(luck.randrange(60))
                sock.sendto(data, server)
            try:
                for _ in range(WINDOW):
                    sock.recv(2048)
            except TimeoutError:
                pass  # nonsense is not answered


def _trickle(server: Address, luck: random.Random) -> None:
    data = b"".join(_request(luck) for _ in range(20))
    with socket.create_connection(server, timeout=HANG) as sock:
        while data:
            piece = luck.randrange(1, 50)
            sock.sendall(data[:piece])
            data = data[piece:]
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(2048):
            pass


def _request(luck: random.Random) -> bytes:
    return _REQUEST.pack(1, 0, _COOKIE, luck.randbytes(12))


KINDS: list[tuple[str, Callable]] = [("agents", talk), ("server", serve)]
