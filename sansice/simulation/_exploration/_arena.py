"""Arenas: worlds made for exploration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from sansice.ice import IceConfig
from sansice.simulation._network import Network
from sansice.simulation._world._node import Node


@attrs.define(eq=False)
class Arena:
    """A world in which everything may go wrong.

    What is planned with `Network.at` belongs to the run: commands are happenings like packets and timers.

    Attributes:
        network: with time, links, NATs; their own losses and jitter are drawn from the seed as ever, and best left out.
        agents: the nodes that run what is under observation, by name. The invariants that are shipped know `IceAgent`; of your
            own, an `Invariant` says in ``subject`` which machine it is about.
        faults: what else may happen, by name: ``{"the NAT reboots": nat.forget, "B is killed": node_b.stop}``.
        changes: the same of what is part of life, such as an address that comes or goes: it counts as no harm, so that what
            invariants promise on a tolerable network they promise then as well.
        places: by address, whose packets come there, where that is not one of the agent's own addresses: a NAT's outer
            address stands for the agent behind it. Deliveries to different places are taken to commute.
        config: the one that all these agents were made with; bounds and times are judged by it.
        sound: whether the network, left alone, lets these agents connect; if not, nothing is said about those that do not.
        begins: when deviations begin, asked after each happening; at once if left out. What comes before is observed, too.
        until: virtual seconds from then on during which deviations are tried.
        settle: virtual seconds that the world is given after that, to come to an end by itself.

    Raises:
        ValueError: no agent, a time that is none, or a fault and a change of one name.
    """

    network: Network
    agents: Mapping[str, Node]
    faults: Mapping[str, Callable[[], object]] = attrs.field(factory=dict)
    changes: Mapping[str, Callable[[], object]] = attrs.field(factory=dict)
    places: Mapping[str, str] = attrs.field(factory=dict)
    config: IceConfig = attrs.field(factory=IceConfig)
    sound: bool = True
    begins: Callable[[], bool] | None = None
    until: float = 5.0
    settle: float = 60.0

    def __attrs_post_init__(self) -> None:
        if not self.agents:
            raise ValueError("agents: none, and an exploration observes at least one")
        for name in ("until", "settle"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: a number of seconds from 0 on, not {getattr(self, name)!r}")
        twice = [name for name in self.changes if name in self.faults]
        if twice:
            raise ValueError(f"changes: {twice[0]!r} is a fault, too")
        unknown = [name for name in self.places.values() if name not in self.agents]
        if unknown:
            raise ValueError(f"places: there is no agent {unknown[0]!r} among {', '.join(self.agents)}")

    @property
    def events(self) -> Mapping[str, Callable[[], object]]:
        """All faults and changes."""
        return {**self.faults, **self.changes}


MakeArena: TypeAlias = Callable[[], Arena]
"""Makes the same arena anew for each run."""
