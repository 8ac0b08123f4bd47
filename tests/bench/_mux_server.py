"""Many lite agents on one real port, until standard input ends: ``COUNT CLIENTS_PORT``. Prints its port."""

from __future__ import annotations

import sys

import trio

from bench._mux_crowd import join
from bench._mux_sockets import HOST, MARK, address_of
from sansice import Address
from sansice.ice import AgentEvent, DataReceived, IceMux
from sansice_trio import open_driver


async def main(count: int, clients_port: int) -> None:
    """Serve that many clients; data that begins with `MARK` is sent back."""
    mux = IceMux()
    async with open_driver(mux) as (driver, events), trio.open_nursery() as nursery:
        driver.call(mux.start, [Address(HOST, 0)])
        for number in range(count):
            driver.call(join, mux, number, address_of(number, clients_port))
        print(mux.addresses[0].port, flush=True)
        nursery.start_soon(_until_standard_input_ends, nursery.cancel_scope)
        async for event in events:
            match event:
                case AgentEvent(name, DataReceived(data=data)) if data.startswith(MARK):
                    driver.call(mux.send, name, data)
                case _:
                    pass


async def _until_standard_input_ends(scope: trio.CancelScope) -> None:
    await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
    scope.cancel()


if __name__ == "__main__":
    count, clients_port = map(int, sys.argv[1:])
    trio.run(main, count, clients_port)
