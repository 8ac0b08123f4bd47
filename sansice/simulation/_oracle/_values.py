"""The words of the oracle: endpoints with symbolic ports, and how far a packet gets."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import attrs

from sansice.simulation._world._packets import Fate

Port: TypeAlias = str | int | tuple[str, int]
"""A port without its number. That of a server is its number; that of a socket, the name of its host; a NAT's, the name of
the NAT and which of its mappings it is. Two of them never are the same port by luck."""


class Endpoint(NamedTuple):
    """An address, and a port of which only its identity is known."""

    host: str
    port: Port

    @property
    def is_ipv6(self) -> bool:
        """Whether it is of that family."""
        return ":" in self.host


class Socket(NamedTuple):
    """An agent's socket on one interface.

    Attributes:
        host: the computer it is on.
        place: where the interface is attached.
        local: what it is bound to.
    """

    host: str
    place: str
    local: Endpoint


class Arrival(NamedTuple):
    """A packet reached a computer.

    Attributes:
        host: the computer.
        local: the endpoint on it.
        source: where the packet seems to come from.
    """

    host: str
    local: Endpoint
    source: Endpoint


class Loss(NamedTuple):
    """A packet ended on the way.

    Attributes:
        place: where, the name of a NAT, a network or a host.
        fate: why.
    """

    place: str
    fate: Fate


Outcome: TypeAlias = Arrival | Loss


@attrs.frozen
class Chances:
    """What a scene leaves open, decided one way.

    Attributes:
        refusing: the agent that answers its peer's checks with 487 because both began in one role (RFC 8445 7.3.1.1). It
            learns nothing from a check until the peer has the other role: because the answer came back to where the check
            went, or because a check of its own arrived before.
        silent: an agent that answers checks and sends none. Without it nothing is known of what the other can do alone.
        crowded: a chase leaves no room for any other peer-reflexive candidate.
        outside_first: NATs with an open input see the peer's probe before the packet from inside.
        spread: NATs with several outer addresses and no rule give each new mapping another one.
    """

    refusing: str = ""
    silent: str = ""
    crowded: bool = False
    outside_first: bool = False
    spread: bool = False
