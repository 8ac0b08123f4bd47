"""Our STUN server on 127.0.0.1 until it is terminated; prints its port. ``--unlimited``: without the rate limit."""

from __future__ import annotations

import signal
import sys

import trio

from sansice import Address, Transport
from sansice.stun import Listener, ServerReady, StunServer, StunServerConfig
from sansice_trio import open_driver

_UNREACHED = 1e6  # requests a second: counted, and never too many


async def main(rate: float | None) -> None:
    """Serve until SIGTERM."""
    server = StunServer(config=StunServerConfig(rate=rate, burst=int(_UNREACHED)))
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_driver(server) as (driver, events):
            driver.call(server.start, [Listener(Transport.UDP, Address("127.0.0.1", 0))])
            async for event in events:
                if isinstance(event, ServerReady):
                    print(event.addresses[0][1].port, flush=True)
                    break
            async for _ in signals:
                break


if __name__ == "__main__":
    trio.run(main, None if "--unlimited" in sys.argv[1:] else _UNREACHED)
