"""Our TURN server on 127.0.0.1 until it is terminated; prints its port. It asks nobody for credentials and has no limits."""

from __future__ import annotations

import signal

import trio

from sansice.stun import StunServerConfig
from sansice.turn import PeerPolicy, TurnLimits, TurnServerConfig
from sansice_trio import serve_turn

CONFIG = TurnServerConfig(anonymous=True, stun=StunServerConfig(rate=None))
LIMITS = TurnLimits(allocations_per_user=5000, channels_per_user=5000, permissions_per_user=5000)


async def main() -> None:
    """Serve until SIGTERM."""
    # The peers are at 127.0.0.2: another host, as far as the server knows.
    policy = PeerPolicy(allow=["127.0.0.0/8"])
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with serve_turn(["udp:127.0.0.1:0"], config=CONFIG, limits=LIMITS, peer_policy=policy) as service:
            print(service.listening[0][1].port, flush=True)
            async for _ in signals:
                break


if __name__ == "__main__":
    trio.run(main)
