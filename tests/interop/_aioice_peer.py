"""aioice in a process of its own: commands and answers are JSON objects, a line each, on stdin and stdout.

- start: `{"controlling": bool, "address": null}`; says `{"version", "ufrag", "pwd", "candidates": [sdp, ...]}`;
  an address in the place of null is the only one to use; with `"stun_server": [host, port]` it asks that one, too
- `{"connect": {"ufrag", "pwd", "candidates"}}`: says `{"connected": true, "controlling": bool}`, or `{"error"}`
- `{"send": [hex, ...]}`: sends these datagrams; says `{"sent": number}`
- `{"receive": number}`: waits for so many datagrams; says `{"received": [hex, ...]}`
- end of stdin: closes and exits
"""

from __future__ import annotations

import asyncio
import json
import sys

import aioice

LIMIT = 20  # seconds for any one command


async def main() -> None:
    start = await read()
    if start["address"] is not None:
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [start["address"]]
    stun_server = start.get("stun_server")
    connection = aioice.Connection(ice_controlling=start["controlling"], stun_server=stun_server and tuple(stun_server))
    await connection.gather_candidates()
    say(
        version=aioice.__version__,
        ufrag=connection.local_username,
        pwd=connection.local_password,
        candidates=[candidate.to_sdp() for candidate in connection.local_candidates],
    )
    try:
        while (command := await read()) is not None:
            async with asyncio.timeout(LIMIT):
                await obey(connection, command)
    finally:
        await connection.close()


async def obey(connection: aioice.Connection, command: dict) -> None:
    match command:
        case {"connect": remote}:
            connection.remote_username, connection.remote_password = remote["ufrag"], remote["pwd"]
            for line in remote["candidates"]:
                await connection.add_remote_candidate(aioice.Candidate.from_sdp(line.removeprefix("candidate:")))
            await connection.add_remote_candidate(None)
            try:
                await connection.connect()
            except ConnectionError as error:
                say(error=str(error))
            else:
                say(connected=True, controlling=connection.ice_controlling)
        case {"send": datagrams}:
            for datagram in datagrams:
                await connection.send(bytes.fromhex(datagram))
            say(sent=len(datagrams))
        case {"receive": number}:
            say(received=[(await connection.recv()).hex() for _ in range(number)])


async def read() -> dict | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


def say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
