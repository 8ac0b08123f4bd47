"""What runs in a network namespace: one end of a comparison with the laboratory. It speaks JSON, a line each.

- `stun ADDRESS`: a STUN server; says `ready`, runs until its stdin ends
- `echo ADDRESS:PORT...`: a `LateEcho`; says `ready`, runs until its stdin ends
- `ask HOST [[SERVER, PORT, SILENCE], ...]`: an `Asker`; says what was seen
- `agent controlling|controlled [STUN-URI...]`: says its description; reads the partner's; says `checking` once checks have
  left, then `{"connected", "pair", "ends"}`; runs until its stdin ends
"""

from __future__ import annotations

import contextlib
import json
import sys

import trio
from _truth_machines import Asker, LateEcho, Question, Told

from sansice import Address, Transport
from sansice.ice import Description, IceFailed
from sansice.stun import Listener
from sansice_trio import IceConnection, open_driver, open_ice, serve_stun

HEAD_START = 0.2  # s: Ta is 0.05, so that each of few pairs has been checked


async def stun(host: str) -> None:
    async with serve_stun([Listener(Transport.UDP, Address(host, 3478))]):
        await ready()


async def echo(*addresses: str) -> None:
    async with open_driver(LateEcho([Address.parse(address) for address in addresses])):
        await ready()


async def ready() -> None:
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.read)


async def ask(host: str, questions: str) -> None:
    asked = [Question(Address.parse(server), port, silence) for server, port, silence in json.loads(questions)]
    async with open_driver(Asker(host, asked)) as (_, events):
        async for event in events:
            if isinstance(event, Told):
                print(json.dumps(event.seen), flush=True)
                return


async def agent(role: str, *servers: str) -> None:
    async with open_ice(controlling=role == "controlling", ice_servers=servers) as ice:
        say((await ice.gather()).to_json())
        remote = await trio.to_thread.run_sync(sys.stdin.readline)
        with trio.move_on_after(HEAD_START):
            await connect(ice, remote)
        say("checking")
        try:
            pair = await ice.connected()
        except IceFailed:
            say(json.dumps({"connected": False}))
        else:
            say(
                json.dumps(
                    {
                        "connected": True,
                        "pair": f"{pair.local.type.value}-{pair.remote.type.value}",
                        "ends": [str(pair.local.address), str(pair.remote.address)],
                    }
                )
            )
        await trio.to_thread.run_sync(sys.stdin.read)


async def connect(ice: IceConnection, remote: str) -> None:
    """Begin; how it ends is asked later."""
    with contextlib.suppress(IceFailed):
        await ice.connect(Description.from_json(remote))


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    trio.run({"stun": stun, "echo": echo, "ask": ask, "agent": agent}[sys.argv[1]], *sys.argv[2:])
