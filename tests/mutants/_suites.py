"""The suites of worlds, each with the rules that hold there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sansice.simulation import INVARIANTS, Arena, MakeInvariant

from ._corner_worlds import CORNER_WORLDS
from ._door_rules import DOOR_RULES
from ._door_worlds import DOOR_WORLDS
from ._moving_rules import MOVING_RULES
from ._moving_worlds import MOVING_WORLDS
from ._mux_rules import MUX_RULES
from ._mux_worlds import MUX_WORLDS
from ._names_rules import NAMES_RULES
from ._names_worlds import NAMES_WORLDS
from ._tcp_rules import TCP_RULES
from ._tcp_worlds import TCP_WORLDS
from ._worlds import BEYOND, BEYOND_WORLDS, WORLDS

World = Callable[[], Arena]


class Suite(NamedTuple):
    """Worlds of one part of the package.

    Attributes:
        worlds: name, how it is made, what must hold there.
        rounds: runs a world: what is easy is found before anything costs much.
    """

    worlds: tuple[tuple[str, World, tuple[MakeInvariant, ...]], ...]
    rounds: tuple[int, ...] = (1, 60, 300, 1500, 6000, 25_000, 1_000_000)


def _all(worlds: Mapping[str, World], rules: Sequence[MakeInvariant]) -> tuple[tuple[str, World, tuple[MakeInvariant, ...]], ...]:
    return tuple((name, world, tuple(rules)) for name, world in worlds.items())


SUITES: dict[str, Suite] = {
    "ice": Suite((*_all(WORLDS, INVARIANTS), *_all(BEYOND_WORLDS, BEYOND)), (1, 300, 1500, 6000, 25_000, 1_000_000)),
    "mux": Suite(_all(MUX_WORLDS, MUX_RULES)),
    "door": Suite(_all(DOOR_WORLDS, DOOR_RULES)),
    "moving": Suite(_all(MOVING_WORLDS, MOVING_RULES)),
    "names": Suite(_all(NAMES_WORLDS, NAMES_RULES)),
    "tcp": Suite(_all(TCP_WORLDS, TCP_RULES)),
    "corners": Suite(tuple((name, world, rules) for name, (world, rules) in CORNER_WORLDS.items())),
}
