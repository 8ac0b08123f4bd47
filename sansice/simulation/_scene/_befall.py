"""How changes happen to a scene that was built."""

from __future__ import annotations

from typing import assert_never

from ._changes import (
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


def befall(world: SceneWorld, change: Change) -> None:
    """Let a change happen, now."""
    match change:
        case InterfaceDown():
            world.interfaces[change.host, change.address].down()
        case InterfaceUp():
            world.interfaces[change.host, change.address].up()
        case InterfaceReaddressed():
            interface = world.interfaces.pop((change.host, change.address))
            interface.readdress(change.to)
            world.interfaces[change.host, change.to] = interface
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
        case _:  # pragma: no cover  # the type checker proves that there is no other
            assert_never(change)
