"""One run: an arena, a schedule, and the invariants that watch it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import attrs

from ._arena import Arena, MakeArena
from ._deviations import Schedule
from ._evidence import End, Moment
from ._invariant import Harm, Invariant, InvariantBroken, MakeInvariant
from ._steering import Steering, Step
from ._telling import describe
from ._witness import Witness

PRELUDE = 60.0  # virtual seconds after which deviations begin in any case


@attrs.frozen
class Breach:
    """A run in which an invariant does not hold.

    Attributes:
        invariant: its name.
        finding: what is wrong, for a person.
        at: virtual seconds from the start of the world.
        events: inputs of the agents up to there, and deviations.
        story: a line for each of them.
    """

    invariant: str
    finding: str
    at: float
    events: int
    story: tuple[str, ...] = attrs.field(repr=False)


@attrs.frozen
class Run:
    """How one run went.

    Attributes:
        breach: ``None`` where all invariants held.
        steps: its choice points.
        inputs: how many inputs the agents had.
        digest: equal where the agents had the same inputs, each in the same order at the same times, and the same
            faults befell them: then nothing that follows can differ.
    """

    breach: Breach | None
    steps: tuple[Step, ...]
    inputs: int
    digest: bytes


class _Trial:
    """The agents under observation, and those who judge them."""

    def __init__(self, arena: Arena, invariants: Sequence[MakeInvariant]) -> None:
        self.ends = {name: End(name, node, arena.config) for name, node in arena.agents.items()}
        self.invariants = tuple(make(self.ends) for make in invariants)
        self.moments: list[Moment] = []
        self._about = {
            name: [one for one in self.invariants if isinstance(end.machine, one.subject)] for name, end in self.ends.items()
        }
        self._digests = {name: hashlib.blake2b(digest_size=16) for name in self.ends}
        for end in self.ends.values():
            peers = [other for other in self.ends.values() if other is not end]
            end.node.driver.machine = Witness(end, peers, self)

    def note(self, moment: Moment) -> None:
        """Write down what just happened."""
        self.moments.append(moment)
        source = moment.socket if moment.path is None else moment.path
        self._digests[moment.end.name].update(f"{moment.now:.9f} {moment.kind.value} {source or ''} ".encode() + moment.data)

    def judge(self, moment: Moment) -> None:
        """Write down what just happened, and ask all invariants about it."""
        self.note(moment)
        for invariant in self._about[moment.end.name]:
            self._judge(invariant, invariant.after(moment))

    def quiet(self, harm: Harm) -> None:
        """Nothing is under way."""
        self._ask(lambda invariant: invariant.quiet(harm))

    def ended(self, harm: Harm) -> None:
        """All has settled."""
        self._ask(lambda invariant: invariant.ended(harm))

    def _ask(self, question: Callable[[Invariant], str | None]) -> None:
        for invariant in self.invariants:
            self._judge(invariant, question(invariant))

    def _judge(self, invariant: Invariant, finding: str | None) -> None:
        if finding is not None:
            raise InvariantBroken(type(invariant).__name__, finding)

    def digest(self, faults: bytes) -> bytes:
        """Of the whole run."""
        return hashlib.blake2b(b"".join([*(one.digest() for one in self._digests.values()), faults]), digest_size=16).digest()


def run_schedule(make: MakeArena, schedule: Schedule, invariants: Sequence[MakeInvariant]) -> Run:
    """Run one schedule in a fresh arena, until an invariant breaks or everything has settled.

    Raises:
        ValueError: the schedule names a fault that the arena has not.
        SimulationError: the world does not settle.
    """
    arena = make()
    trial = _Trial(arena, invariants)
    steering = Steering(arena, schedule, lambda: len(trial.moments), lambda: trial.quiet(steering.harm))
    breach = None
    try:
        if arena.begins is not None:
            arena.network.run(until=arena.network.now + PRELUDE, when=arena.begins)
        start = arena.network.now
        steering.run(start + arena.until)
        possible = len(steering.steps)
        steering.run(start + arena.until + arena.settle)
        trial.ended(attrs.evolve(steering.harm, broken=steering.harm.broken or not arena.sound))
    except InvariantBroken as broken:
        possible = len(steering.steps)
        events = len(trial.moments) + len(steering.notes)
        breach = Breach(broken.invariant, broken.finding, arena.network.now, events, tuple(_story(trial, steering, broken)))
    digest = trial.digest(steering.digest.digest())
    return Run(breach, tuple(steering.steps[:possible]), len(trial.moments), digest)


def _story(trial: _Trial, steering: Steering, broken: InvariantBroken) -> Iterator[str]:
    notes = list(steering.notes)
    for index, moment in enumerate(trial.moments):
        while notes and notes[0][0] <= index:
            yield f"             {notes.pop(0)[1]}"
        yield describe(moment)
    for _, note in notes:
        yield f"             {note}"
    yield f"             {broken.invariant} is broken: {broken.finding}"
