"""aioice's TURN client in a process of its own: `HOST PORT TRANSPORT USER PASSWORD CA_FILE PEER_HOST PEER_PORT COUNT`.

It allocates, sends COUNT datagrams to the peer through a channel, one after the other's echo, and deletes the allocation. It says
`{"relayed": [host, port], "mapped": [host, port], "echoed": number}`, or `{"error": text}`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys

from aioice.turn import create_turn_endpoint

LIMIT = 10  # seconds for any one datagram


class Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self.lost = asyncio.Event()

    def datagram_received(self, data, addr) -> None:
        self.received.put_nowait((data, addr))

    def connection_lost(self, exc) -> None:
        self.lost.set()


async def main(host, port, transport, user, password, ca_file, peer_host, peer_port, count) -> dict:
    context = ssl.create_default_context(cafile=ca_file) if transport == "tls" else None
    endpoint, receiver = await create_turn_endpoint(
        Receiver,
        (host, int(port)),
        user,
        password,
        ssl=context,
        transport="udp" if transport == "udp" else "tcp",
    )
    peer = (peer_host, int(peer_port))
    echoed = 0
    for number in range(int(count)):
        data = b"datagram %d" % number + bytes(number)  # of every length modulo 4
        endpoint.sendto(data, peer)
        async with asyncio.timeout(LIMIT):
            echoed += await receiver.received.get() == (data, peer)
    told = {
        "relayed": endpoint.get_extra_info("sockname"),
        "mapped": endpoint.get_extra_info("related_address"),
        "echoed": echoed,
    }
    endpoint.close()
    async with asyncio.timeout(LIMIT):
        await receiver.lost.wait()
    return told


if __name__ == "__main__":
    try:
        answer = asyncio.run(main(*sys.argv[1:]))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
