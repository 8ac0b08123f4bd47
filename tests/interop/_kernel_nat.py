"""The two ends of a discovery, each a program of its own to be run in a network namespace.

- `serve HOST HOST PORT PORT`: a STUN server with RFC 5780 over UDP; says `ready`, runs until its stdin ends
- `discover ADDRESS:PORT TEST...`: says what `NatBehavior.to_json` says
"""

from __future__ import annotations

import sys

import trio

from sansice import Address, Transport
from sansice.stun import BehaviorConfig, BehaviorTest, Listener, Schedule, StunServerConfig
from sansice_trio import discover_nat, serve_stun

# Four requests in 3.5 s, and a second to wait. No packet gets lost here; what may be late is a process.
SCHEDULE = Schedule(rc=4, rm=2)


async def serve(hosts: list[str], ports: list[int]) -> None:
    listeners = [Listener(Transport.UDP, Address(host, port)) for host in hosts for port in ports]
    async with serve_stun(listeners, config=StunServerConfig(behavior=True, rate=None)):
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


async def discover(server: str, *tests: str) -> None:
    config = BehaviorConfig(schedule=SCHEDULE)
    behavior = await discover_nat(Address.parse(server), tests=[BehaviorTest(test) for test in tests], config=config)
    print(behavior.to_json(), flush=True)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "serve":
        trio.run(serve, arguments[:2], [int(port) for port in arguments[2:]])
    else:
        trio.run(discover, *arguments)
