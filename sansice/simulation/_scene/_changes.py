"""What befalls a scene while it runs."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansice.machine import Address
from sansice.simulation._world._link import Link

from ._parts import check_seconds


def _as_address(text: str) -> str:
    return Address.of(text, 0).host


@attrs.frozen
class InterfaceDown:
    """An interface of a host goes down: a cable is pulled, a Wi-Fi left."""

    host: str
    address: str = attrs.field(converter=_as_address)


@attrs.frozen
class InterfaceUp:
    """An interface comes up again, or for the first time."""

    host: str
    address: str = attrs.field(converter=_as_address)


@attrs.frozen
class InterfaceReaddressed:
    """An interface has another address from now on, as after a new DHCP lease."""

    host: str
    address: str = attrs.field(converter=_as_address)
    to: str = attrs.field(converter=_as_address)


@attrs.frozen
class NatRebooted:
    """A NAT loses every mapping.

    Attributes:
        nat: its name.
        seconds: until it passes packets on again.
    """

    nat: str
    seconds: float = attrs.field(default=0.0, validator=check_seconds)


@attrs.frozen
class LinkChanged:
    """A place treats packets in another way from now on.

    Attributes:
        place: a segment, the network inside a NAT, or the Internet.
        link: what it does now.
    """

    place: str
    link: Link


@attrs.frozen
class ServerRebooted:
    """A server is not there for a while.

    Attributes:
        server: its name.
        seconds: until it answers again.
    """

    server: str
    seconds: float = attrs.field(validator=check_seconds)


@attrs.frozen
class HostSlept:
    """A laptop's lid is closed for a while: its programs do not run, and its clock jumps when it wakes.

    Attributes:
        host: its name.
        seconds: until it wakes.
    """

    host: str
    seconds: float = attrs.field(validator=check_seconds)


@attrs.frozen
class AgentRestarted:
    """The program around an agent restarts it (RFC 8445 9).

    Attributes:
        agent: its name.
    """

    agent: str


Change: TypeAlias = (
    InterfaceDown | InterfaceUp | InterfaceReaddressed | NatRebooted | LinkChanged | ServerRebooted | HostSlept | AgentRestarted
)


@attrs.frozen
class At:
    """A change, and when it happens.

    Attributes:
        time: seconds from the start of the scene.
        change: what happens.
    """

    time: float = attrs.field(validator=check_seconds)
    change: Change

    @property
    def ends(self) -> float:
        """When the change is over: later than `time` where it is for a while only."""
        return self.time + getattr(self.change, "seconds", 0.0)
