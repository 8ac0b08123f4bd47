"""Lets the example of docs/howto/connect.md end in each of the ways that it tells apart."""

import io
import runpy
import sys
from contextlib import redirect_stdout

import trio

from sansice.ice import IceConfig
from sansice_trio import open_ice

with redirect_stdout(io.StringIO()) as printed:
    echo = runpy.run_path(sys.argv[1])["echo"]
lines = printed.getvalue().splitlines()
assert lines[0].startswith("send(): no pair is valid")
assert lines[1:3] == ["no path was found", "ICE is failed: the peer has told no candidate"]


async def ends(during, **config):
    """How the echo ends when `during` is done to the two connections once data has gone round."""
    told = []

    async def run(ice, remote):
        told.append(await echo(ice, remote))

    async with open_ice(controlling=True) as alice, open_ice(controlling=False, config=IceConfig(**config)) as bob:
        of_alice, of_bob = await alice.gather(), await bob.gather()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, bob, of_alice)
            await alice.connect(of_bob)
            await alice.send(b"there and back")
            assert await alice.receive() == b"there and back"
            during(alice, bob)
    return told


async def closed_early():
    async with open_ice(controlling=True) as ice, open_ice(controlling=False) as other:
        remote = await other.gather()
        ice.close()
        return await echo(ice, remote)


async def main():
    with trio.fail_after(30):
        assert await ends(lambda alice, bob: bob.close()) == ["closed"]
        assert await ends(lambda alice, bob: alice.close(), consent_timeout=0.5) == ["the peer has gone"]
        assert await closed_early() == "closed before it was connected"


trio.run(main)
