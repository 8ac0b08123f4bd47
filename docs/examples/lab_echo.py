"""An echo server and its client, as they are on any network, tried on one that loses every fourth packet.

python docs/examples/lab_echo.py
"""

from __future__ import annotations

import trio
import trio.testing

from sansice import AddressRecord
from sansice.simulation import Network
from sansice_trio.testing import on_host, open_network

# ------------------------------------------------------------- the programs: nothing here knows of a simulation


async def serve(port: int) -> None:
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("0.0.0.0", port))
        while True:
            data, source = await sock.recvfrom(2048)
            await sock.sendto(data, source)


async def ask(host: str, port: int, question: bytes) -> tuple[bytes, int]:
    """The answer, and how often it had to be asked for."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        for attempt in range(1, 11):
            await sock.sendto(question, (host, port))
            with trio.move_on_after(0.5 * attempt):
                return await sock.recv(2048), attempt
    raise TimeoutError(f"{host} does not answer")


# ------------------------------------------------------------- the network


async def main() -> None:
    network = Network(seed=7, latency=0.05, loss=0.25)
    network.resolve("echo.example", [AddressRecord("198.51.100.7")])
    server = network.host("server", "198.51.100.7")
    home = network.nat("203.0.113.1", preset="linux-masquerade")
    client = network.host("client", "192.168.1.2", behind=home)
    async with open_network(network), trio.open_nursery() as nursery:
        with on_host(server):
            nursery.start_soon(serve, 7)
        with on_host(client):
            attempts = [(await ask("echo.example", 7, b"question %d" % n))[1] for n in range(100)]
        nursery.cancel_scope.cancel()
    print(f"100 answers, {sum(attempts)} questions, {trio.current_time():.1f} s of virtual time")
    assert 130 < sum(attempts) < 260


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
