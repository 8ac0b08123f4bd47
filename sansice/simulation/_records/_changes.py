"""What befalls a scene, in words."""

from __future__ import annotations

from typing import assert_never

from sansice.simulation._scene._changes import (
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
from sansice.simulation._scene._scene import Scene


def changes_in_words(scene: Scene) -> list[tuple[float, str]]:
    """A scene's changes, for the ``notes`` of a `Story`: (virtual time, what happens then)."""
    return [(at.time, _words(at.change)) for at in scene.changes]


def _words(change: Change) -> str:
    match change:
        case InterfaceDown():
            return f"{change.host}'s interface {change.address} goes down"
        case InterfaceUp():
            return f"{change.host}'s interface {change.address} comes up"
        case InterfaceReaddressed():
            return f"{change.host}'s interface {change.address} becomes {change.to}"
        case NatRebooted():
            away = f", which takes {change.seconds:g} s" if change.seconds else ""
            return f"{change.nat} reboots and loses every mapping{away}"
        case LinkChanged():
            return f"the link of {change.place} changes"
        case ServerRebooted():
            return f"{change.server} does not answer for {change.seconds:g} s"
        case HostSlept():
            return f"{change.host} sleeps for {change.seconds:g} s"
        case AgentRestarted():
            return f"{change.agent} is restarted by its program"
        case _:  # pragma: no cover  # the type checker proves that there is no other
            assert_never(change)
