"""Exploration: stateless model checking, bounded by the number of deviations from the clock's order."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, islice

import attrs

from sansice.simulation._scene._scene import Scene

from ._arena import MakeArena
from ._counterexample import Counterexample
from ._deviations import Deviation, Schedule, counted
from ._invariant import MakeInvariant
from ._invariants import INVARIANTS
from ._scenes import scene_arena
from ._shrink import shrink
from ._steering import Step, alternatives
from ._trial import Breach, Run, run_schedule

SYSTEMATIC = 3  # runs of a depth from 2 on for each of a random walk, which comes where depth does not reach
LONGEST_WALK = 6  # deviations
MAX_SAMPLE = 1_000_000  # runs of one depth: the list of those to come must fit into memory


@attrs.frozen
class DepthCoverage:
    """How much of the runs with exactly so many deviations was tried.

    Attributes:
        depth: number of deviations.
        possible: how many such runs there are, without those that only repeat another run (see ``same``).
        tried: how many of them were run.
        same: of those, how many went for every agent as an earlier run did; what follows from them was not tried again.
        exact: whether ``possible`` is the number; otherwise the depth before was not exhausted, and it is a lower bound.
    """

    depth: int
    possible: int
    tried: int
    same: int
    exact: bool

    @property
    def share(self) -> float:
        """Of the possible ones, from 0 to 1; an upper bound where ``exact`` is false."""
        return self.tried / self.possible if self.possible else 1.0

    def __str__(self) -> str:
        bound = "" if self.exact else "at least "
        most = "" if self.exact or self.tried < self.possible else "at most "
        share = f"{most}{self.share:.1%} of {bound}{self.possible}"
        return f"{counted(self.depth, 'deviation')}: {counted(self.tried, 'run')}, {share}; {self.same} the same as earlier ones"


@attrs.frozen
class Exploration:
    """What was tried, and what was found.

    Attributes:
        world: the name of the world.
        runs: how many, those for shrinking apart.
        depths: what share of the bounded space was covered.
        walks: runs with random deviations, beyond those.
        counterexample: ``None`` where every invariant held in every run.
    """

    world: str
    runs: int
    depths: tuple[DepthCoverage, ...]
    walks: int
    counterexample: Counterexample | None

    def __str__(self) -> str:
        found = "nothing found" if self.counterexample is None else str(self.counterexample)
        depths = map(str, self.depths)
        return "\n".join([f"{self.world}: {counted(self.runs, 'run')}", *depths, f"random: {counted(self.walks, 'run')}", found])


def _never() -> bool:
    return False


def explore(
    arena: MakeArena | Scene,
    *,
    invariants: Sequence[MakeInvariant] = INVARIANTS,
    depth: int = 2,
    budget: int = 10_000,
    seed: int = 0,
    stop: Callable[[], bool] = _never,
    world: str | None = None,
) -> Exploration:
    """Try what the network may do to the agents of a world, in order of how much it deviates from its clock.

    First the run without deviations, then all runs with one, then with two, up to ``depth``; those of one depth in a
    random order, so that a part of them is a fair sample. From two on every fourth run is one of a random walk with
    up to six deviations; so is what is left of the budget. It ends at the first breach of an invariant, shrunk.

    The same arguments give the same result, unless ``stop`` looks at a clock.

    Args:
        arena: a function that makes the world, anew for each run; or a scene, see `scene_arena`.
        invariants: must hold in each.
        depth: how many deviations, tried systematically.
        budget: runs at most.
        seed: of the order within a depth, and of the walks.
        stop: asked before each run whether to end, for a budget in seconds or an interrupt.
        world: its name in reports; that of ``arena`` if left out.

    Raises:
        ValueError: a depth below 0 or a budget below 1.
        SimulationError: the world does not settle.
    """
    if depth < 0 or budget < 1:
        raise ValueError(f"depth {depth} must be 0 or more, and budget {budget} must be 1 or more")
    scene = arena if isinstance(arena, Scene) else None
    make = arena if not isinstance(arena, Scene) else partial(scene_arena, arena)
    name = getattr(arena, "__name__", "world") if scene is None else scene.name
    found = _Search(make, invariants, budget, seed, stop).search(depth, name if world is None else world)
    if found.counterexample is None or scene is None:
        return found
    return attrs.evolve(found, counterexample=attrs.evolve(found.counterexample, scene=scene))


@attrs.frozen
class _Node:
    """A run that may be deviated from further."""

    schedule: Schedule
    steps: tuple[Step, ...]

    def children(self, faults: Sequence[str]) -> Iterator[Deviation]:
        return alternatives(self.steps, self.schedule[-1].step if self.schedule else -1, faults)


class _Found(Exception):
    """Ends the search, from whatever depth of it."""

    def __init__(self, schedule: Schedule, breach: Breach) -> None:
        super().__init__(schedule)
        self.schedule = schedule
        self.breach = breach


class _Search:
    def __init__(
        self, arena: MakeArena, invariants: Sequence[MakeInvariant], budget: int, seed: int, stop: Callable[[], bool]
    ) -> None:
        self._arena = arena
        self._invariants = invariants
        self._budget = budget
        self._stop = stop
        self._dice = random.Random(f"{seed}/explore")
        self._faults = tuple(arena().events)
        self._runs = 0
        self._seen: set[bytes] = set()  # asked for membership only
        self._depths: list[DepthCoverage] = []
        self._walks = 0
        self._walk: list[_Node] = []
        self._walk_ends = 0

    def search(self, depth: int, world: str) -> Exploration:
        counterexample = None
        try:
            root = self._systematic(depth)
            while not self._is_over:
                self._walk_on(root)
        except _Found as found:
            schedule, breach = shrink(self._run, found.schedule, found.breach, self._faults)
            counterexample = Counterexample(world, schedule, breach)
        return Exploration(world, self._runs, tuple(self._depths), self._walks, counterexample)

    @property
    def _is_over(self) -> bool:
        return self._runs >= self._budget or self._stop()

    def _systematic(self, depth: int) -> _Node:
        """All depths, as far as the budget goes. Returns the run without deviations."""
        self._depths.append(DepthCoverage(0, 1, 1, 0, exact=True))
        run = self._try(())
        self._seen.add(run.digest)
        root = _Node((), run.steps)
        nodes, exact = [root], True
        for number in range(1, depth + 1):
            if self._is_over:
                break
            nodes, exact = self._one_depth(number, root, nodes, exact, last=number == depth)
        return root

    def _one_depth(self, depth: int, root: _Node, parents: Sequence[_Node], exact: bool, last: bool) -> tuple[list[_Node], bool]:
        """Runs with one deviation more than their parents. Returns those to deviate from further, and whether that is all."""
        ends = list(accumulate(sum(1 for _ in parent.children(self._faults)) for parent in parents))
        possible = ends[-1] if ends else 0
        nodes: list[_Node] = []
        tried = same = 0
        try:
            for pick in self._dice.sample(range(possible), min(possible, self._budget, MAX_SAMPLE)):
                if depth > 1 and tried % SYSTEMATIC == SYSTEMATIC - 1 and not self._is_over:
                    self._walk_on(root)
                if self._is_over:
                    break
                tried += 1
                schedule, run = self._child(parents, ends, pick)
                if run.digest in self._seen:
                    same += 1
                    continue
                self._seen.add(run.digest)
                if not last:
                    nodes.append(_Node(schedule, run.steps))
        finally:
            self._depths.append(DepthCoverage(depth, possible, tried, same, exact))
        return nodes, exact and tried == possible

    def _child(self, parents: Sequence[_Node], ends: Sequence[int], pick: int) -> tuple[Schedule, Run]:
        """Run the ``pick``-th of all children of all parents."""
        index = bisect_right(ends, pick)
        parent = parents[index]
        first = ends[index - 1] if index else 0
        schedule = (*parent.schedule, next(islice(parent.children(self._faults), pick - first, None)))
        return schedule, self._try(schedule)

    def _walk_on(self, root: _Node) -> None:
        """One more random deviation, or the first one of a new walk."""
        node = self._walk[-1] if self._walk and len(self._walk) < self._walk_ends else root
        children = list(node.children(self._faults))
        if not children:  # this walk ends early; where the root has none, nothing can be tried at all
            node, children = root, list(root.children(self._faults))
        if node is root:
            self._walk = []
            self._walk_ends = self._dice.randint(2, LONGEST_WALK)
        self._walks += 1
        schedule = (*node.schedule, self._dice.choice(children)) if children else ()
        self._walk.append(_Node(schedule, self._try(schedule).steps))

    def _try(self, schedule: Schedule) -> Run:
        self._runs += 1
        run = self._run(schedule)
        if run.breach is not None:
            raise _Found(schedule, run.breach)
        return run

    def _run(self, schedule: Schedule) -> Run:
        return run_schedule(self._arena, schedule, self._invariants)
