"""One sleep: a laptop's lid is closed in the middle of a call, and opened at home or elsewhere."""

from __future__ import annotations

import itertools

import attrs

from sansice.ice import IceState
from sansice.simulation import At, HostSlept, InterfaceDown, InterfaceUp, Scene, scene

MAX_WAIT = 1.0  # s from waking until both ends have heard each other, a restart included
FALLS_ASLEEP = 10.0  # s, and later with each seed, so that it is now before a check for consent and now after
AWAKE = 10.0  # s afterwards, in which nobody may be silent for longer, either
LAPTOP, BOB, HOME, CAFE = "laptop", "bob", "192.168.1.2", "10.7.0.9"
SECONDS = (5.0, 15.0, 24.0, 26.0, 29.0, 31.0, 60.0, 600.0)


@attrs.frozen
class Sleep:
    """Who sleeps, for how long, and where the laptop wakes.

    Attributes:
        seconds: how long.
        sleepers: the hosts that do.
        moves: whether the laptop wakes in another network.
        controls: whether it is the laptop that controls.
    """

    seconds: float
    sleepers: tuple[str, ...]
    moves: bool
    controls: bool

    @property
    def name(self) -> str:
        """For people."""
        where = "elsewhere" if self.moves else "at home"
        return f"{' and '.join(self.sleepers)} for {self.seconds:g} s, {where}, {LAPTOP if self.controls else BOB} controls"

    def scene(self, begins: float) -> Scene:
        """The scene of the library, changed."""
        base = scene("laptop-wakes-elsewhere")
        changes = [At(begins, HostSlept(name, self.seconds)) for name in self.sleepers]
        if self.moves:
            there = begins + self.seconds / 2
            changes += [At(there, InterfaceDown(LAPTOP, HOME)), At(there, InterfaceUp(LAPTOP, CAFE))]
        return attrs.evolve(
            base,
            agents=tuple(
                attrs.evolve(agent, roams=True, controlling=(agent.name == LAPTOP) is self.controls) for agent in base.agents
            ),
            changes=tuple(changes),
        )


SLEEPS = tuple(Sleep(*case) for case in itertools.product(SECONDS, ((LAPTOP,), (LAPTOP, BOB)), (False, True), (True, False)))


def wait_after(sleep: Sleep, seed: int) -> float:
    """How much longer than the sleep either end has heard nothing at most, seconds.

    Raises:
        AssertionError: they have not heard each other again, or not to the end.
    """
    begins = FALLS_ASLEEP + 0.7 * seed
    world = sleep.scene(begins).build(seed=seed)
    world.network.run(until=begins + sleep.seconds + AWAKE)
    programs = world.programs.values()
    assert all(program.agent.state in (IceState.CONNECTED, IceState.COMPLETED) for program in programs), (sleep.name, seed)
    return max(program.silence_until for program in programs) - sleep.seconds
