"""aioice in a process of its own. It is told what to do as `_peer_process` says.

- `{"open": {"controlling", "components", "address", "stun", "relay", "only_relays"}}`: gathers; an address in the place of null
  is the only one to use, a STUN server is `[host, port]`, and a relay `[host, port, user, password]`. It says
  `{"ufrag", "pwd", "candidates": [sdp, ...]}`
- `{"connect": {"ufrag", "pwd", "candidates"}}`: says whether it is controlling, when it is connected
- `{"send": [hex, ...], "component": number}`: sends these datagrams
- `{"receive": number, "component": number}`: waits for so many datagrams on a component, and says them
"""

from __future__ import annotations

import asyncio
import json
import sys

import aioice

LIMIT = 20  # seconds for any one command


async def main() -> None:
    connection = None
    while (line := await asyncio.to_thread(sys.stdin.readline)) != "":
        command = json.loads(line)
        answer = {"id": command["id"]}
        try:
            async with asyncio.timeout(LIMIT):
                if "open" in command:
                    connection, answer["result"] = await open_connection(**command["open"])
                else:
                    answer["result"] = await obey(connection, command)
        except (ConnectionError, TimeoutError) as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)
    if connection is not None:
        await connection.close()


async def open_connection(*, controlling, components, address, stun, relay, only_relays):
    if address is not None:
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
    host, port, user, password = relay or (None,) * 4
    connection = aioice.Connection(
        ice_controlling=controlling,
        components=components,
        stun_server=stun and tuple(stun),
        turn_server=relay and (host, port),
        turn_username=user,
        turn_password=password,
        transport_policy=aioice.TransportPolicy.RELAY if only_relays else aioice.TransportPolicy.ALL,
    )
    await connection.gather_candidates()
    return connection, {
        "ufrag": connection.local_username,
        "pwd": connection.local_password,
        "candidates": [candidate.to_sdp() for candidate in connection.local_candidates],
    }


RECEIVED: dict[int, list[str]] = {}  # by component


async def obey(connection: aioice.Connection, command: dict) -> object:
    match command:
        case {"connect": remote}:
            connection.remote_username, connection.remote_password = remote["ufrag"], remote["pwd"]
            for line in remote["candidates"]:
                await connection.add_remote_candidate(aioice.Candidate.from_sdp(line.removeprefix("candidate:")))
            await connection.add_remote_candidate(None)
            await connection.connect()
            return connection.ice_controlling
        case {"send": datagrams, "component": component}:
            for datagram in datagrams:
                await connection.sendto(bytes.fromhex(datagram), component)
            return None
        case {"receive": number, "component": component}:
            while len(RECEIVED.setdefault(component, [])) < number:
                data, where = await connection.recvfrom()
                RECEIVED.setdefault(where, []).append(data.hex())
            received = RECEIVED[component][:number]
            del RECEIVED[component][:number]
            return received
    raise ConnectionError(f"no such command: {command}")


if __name__ == "__main__":
    asyncio.run(main())
