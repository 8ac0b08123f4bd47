"""One session of two ends over loopback, given up at a place that a seed chooses."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from _giving_up import give_up

from adapters.conformance._runtimes import Runtime
from sansice.ice import IceConfig, IceServer

QUICK = IceConfig(ta=0.005)  # the least that RFC 8445 14.2 allows
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "components": {"streams": 2, "components": [2, 1]},
    "lite": {},
    "relayed": {"policy": "relay"},
    "all candidates": {},
    "restarted": {},
}
_WITH_SERVERS = ("relayed", "all candidates")


async def run_session(rt: Runtime, seed: int, server: IceServer) -> str:
    """One session; what became of it, for statistics: its kind, and whether it came to its end."""
    dice = random.Random(seed)
    kind = dice.choice(list(KINDS))
    arguments = {
        "config": QUICK,
        "include_loopback": True,
        "interface_filter": lambda name, address: address == "127.0.0.1",
        **KINDS[kind],
        **({"ice_servers": [server]} if kind in _WITH_SERVERS else {}),
    }
    is_whole = await give_up(rt, dice, partial(_session, dice=dice, kind=kind, arguments=arguments))
    return f"{kind}, {'whole' if is_whole else 'given up'}"


async def _session(rt: Runtime, opened: list[Any], *, dice: random.Random, kind: str, arguments: dict[str, Any]) -> None:
    open_ice = rt.adapter.open_ice
    async with (
        rt.opened(open_ice(controlling=True, **arguments)) as alice,
        rt.opened(open_ice(controlling=False, lite=kind == "lite", **arguments)) as bob,
    ):
        opened += alice, bob
        of_alice, of_bob = await rt.call(alice.gather()), await rt.call(bob.gather())
        await _connect(rt, alice, of_bob, bob, of_alice)
        for number in range(dice.randrange(4)):
            await rt.call(alice.send(b"%d" % number))
            await rt.call(bob.receive())
        if kind == "restarted":
            await _restart(rt, alice, bob)
        elif kind != "relayed" and dice.random() < 0.3:
            with bob.detach().socket:
                await rt.call(bob.send(b"still there"))
                await rt.call(alice.receive())


async def _connect(rt: Runtime, alice: Any, of_bob: Any, bob: Any, of_alice: Any) -> None:
    async def from_alice() -> None:
        await rt.call(alice.connect(of_bob))

    async def from_bob() -> None:
        await rt.call(bob.connect(of_alice))

    await rt.together(from_alice, from_bob)


async def _restart(rt: Runtime, alice: Any, bob: Any) -> None:
    alice.restart()
    of_alice = await rt.call(alice.gather())
    bob.set_remote(of_alice)
    of_bob = await rt.call(bob.gather())
    alice.set_remote(of_bob)
    await rt.call(alice.connected())
    await rt.call(bob.connected())
    await rt.call(alice.send(b"anew"))
    await rt.call(bob.receive())
