"""One travel: the scene ``wifi-to-lte`` in one of its cases."""

from __future__ import annotations

import itertools

import attrs

from sansice.ice import IceState
from sansice.simulation import At, InterfaceDown, InterfaceUp, Scene, scene

MAX_GAP = 1.0  # s without a word from the other end, while there is a path
LEAVES = 10.0  # s: when the first of the two changes comes
WITHOUT = 1.0  # s without any network, where the Wi-Fi is gone first
BOTH = 2.0  # s with two networks, where LTE is there first
END = 20.0
PHONE, WIFI, LTE = "phone", "192.168.1.2", "100.64.7.7"


@attrs.frozen
class Case:
    """What comes first, and what the two ends can do.

    Attributes:
        makes_first: whether LTE is up before the Wi-Fi is gone.
        renominates: whether both ends renominate.
        controls: whether it is the phone that controls.
    """

    makes_first: bool
    renominates: bool
    controls: bool

    @property
    def name(self) -> str:
        """For people."""
        order = "make before break" if self.makes_first else "break before make"
        ability = "renomination" if self.renominates else "restart"
        return f"{order}, {ability}, {PHONE if self.controls else 'peer'} controls"

    @property
    def scene(self) -> Scene:
        """The scene of the library, changed."""
        base = scene("wifi-to-lte")
        up, down = (LEAVES, LEAVES + BOTH) if self.makes_first else (LEAVES + WITHOUT, LEAVES)
        nomination = "renominating" if self.renominates else "regular"
        return attrs.evolve(
            base,
            agents=tuple(
                attrs.evolve(agent, nomination=nomination, controlling=(agent.name == PHONE) is self.controls)
                for agent in base.agents
            ),
            changes=(At(up, InterfaceUp(PHONE, LTE)), At(down, InterfaceDown(PHONE, WIFI))),
        )


CASES = tuple(Case(*flags) for flags in itertools.product((True, False), repeat=3))


@attrs.frozen
class Travel:
    """How one went.

    Attributes:
        case, seed: which.
        gap: the longest that either end has heard nothing, but for the time in which there was no network.
        connected: whether both ends are in the end, and have heard each other.
    """

    case: Case
    seed: int
    gap: float
    connected: bool

    @property
    def is_good(self) -> bool:
        """Whether the call went on."""
        return self.connected and self.gap < MAX_GAP


def travel(case: Case, seed: int) -> Travel:
    """Let a phone travel."""
    world = case.scene.build(seed=seed)
    world.network.run(until=END)
    programs = world.programs.values()
    silence = max(program.silence_until for program in programs)
    connected = all(
        program.agent.state in (IceState.CONNECTED, IceState.COMPLETED) and program.silence_until > 0.0 for program in programs
    )
    return Travel(case, seed, silence if case.makes_first else max(0.0, silence - WITHOUT), connected)
