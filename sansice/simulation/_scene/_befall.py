"""How changes happen to a scene that was built."""

from __future__ import annotations

from typing import assert_never

from ._changes import (
    AgentRestarted,
    Change,
    HostSlept,
    InterfaceDown,
    InterfaceReaddressed,
    InterfaceUp,
    LinkChanged,
    NatRebooted,
    ServerRebooted,
)
from ._scene_world import SceneWorld


def rehearse(world: SceneWorld) -> None:
    """Go through all changes of addresses, in the order of their times, in a world in which no time has passed.

    Raises:
        ValueError: one cannot happen; the text names the place.
    """
    for index, at in sorted(enumerate(world.scene.changes), key=lambda pair: pair[1].time):
        change = at.change
        if not isinstance(change, InterfaceDown | InterfaceUp | InterfaceReaddressed):
            continue
        if (change.host, change.address) not in world.interfaces:
            raise ValueError(f"changes[{index}]: {change.host!r} does not have the address {change.address} at {at.time!r} s")
        if isinstance(change, InterfaceReaddressed):
            try:
                _readdress(world, change)
            except ValueError as error:
                raise ValueError(f"changes[{index}]: {error}") from None


def befall(world: SceneWorld, change: Change) -> None:
    """Let a change happen, now."""
    match change:
        case InterfaceDown():
            world.interfaces[change.host, change.address].down()
        case InterfaceUp():
            world.interfaces[change.host, change.address].up()
        case InterfaceReaddressed():
            _readdress(world, change)
        case NatRebooted():
            world.nats[change.nat].reboot(change.seconds)
        case LinkChanged():
            world.places[change.place].inside.link = change.link
        case ServerRebooted():
            world.servers[change.server].stop()
            world.hosts[change.server].sleep(change.seconds)  # its system answers no more than its program
            world.network.at(world.network.now + change.seconds, lambda: world.serve(change.server))
        case HostSlept():
            world.hosts[change.host].sleep(change.seconds)
        case AgentRestarted():
            world.programs[change.agent].restart()
        case _:  # pragma: no cover  # the type checker proves that there is no other
            assert_never(change)


def _readdress(world: SceneWorld, change: InterfaceReaddressed) -> None:
    interface = world.interfaces.pop((change.host, change.address))
    interface.readdress(change.to)
    world.interfaces[change.host, change.to] = interface
