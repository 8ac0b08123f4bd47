"""Lines that lose, delay and squeeze what crosses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sansice.simulation._scene._parts import Expectation, HostSpec, NatSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._link import Link

from ._cast import STUN, couple


def lines() -> Iterator[Scene]:
    """The scenes of this module."""
    yield _at_home_over(
        Link(latency=0.3, jitter=0.01),
        name="satellite",
        about="A farm behind a geostationary satellite: 600 ms for every round trip before anybody has done anything. The "
        "first retransmission of a check leaves before the answer to it can be there.",
        expect=Expectation(pair_types="srflx-srflx"),
    )


def _at_home_over(link: Link, **more: Any) -> Scene:
    """A call between two homes, the first of which has this line."""
    return Scene(
        nats=(NatSpec("home A", "203.0.113.1", link=link), NatSpec("home B", "198.51.100.1")),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.178.20", behind="home B")),
        servers=(STUN,),
        agents=couple(),
        **more,
    )
