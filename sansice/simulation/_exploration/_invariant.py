"""What an invariant is, and how a breach of one is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import attrs

from sansice.ice import IceAgent
from sansice.machine import Machine

from ._evidence import End, Moment


@attrs.frozen
class Harm:
    """What a run's deviations did to the network, for invariants that promise something only on a tolerable one.

    Attributes:
        lost: exchanges that they may have cost: packets lost or held back, timers delayed.
        broken: something irreparable: a place deaf for good, a NAT that forgot, an agent killed, a long sleep.
    """

    lost: int = 0
    broken: bool = False


class InvariantBroken(Exception):
    """An invariant does not hold. Raised out of the simulated world, which is of no more use then."""

    def __init__(self, invariant: str, finding: str) -> None:
        super().__init__(f"{invariant}: {finding}")
        self.invariant: str = invariant
        self.finding: str = finding


class Invariant:
    """A rule that must hold whatever the network does; one is made for every run.

    Subclasses answer with what is wrong, for a person, or ``None``. They look at agents through public names and at
    what arrived and was sent.

    Args:
        ends: what is under observation, by name.

    Attributes:
        rule: what must hold, and where that is written.
        subject: whom it is about; it is asked about no other machine.
        ends: those that are.

    Raises:
        ValueError: there is none.
    """

    rule: ClassVar[str] = ""
    subject: ClassVar[type[Machine]] = IceAgent

    def __init__(self, ends: Mapping[str, End]) -> None:
        self.ends: tuple[End, ...] = tuple([end for end in ends.values() if isinstance(end.machine, self.subject)])
        if ends and not self.ends:
            text = ", ".join(f"{end.name} runs {type(end.machine).__name__}" for end in ends.values())
            raise ValueError(f"{text}, and {type(self).__name__} knows {self.subject.__name__} only")

    def after(self, moment: Moment) -> str | None:
        """Asked after each input of a subject."""
        return None

    def quiet(self, harm: Harm) -> str | None:
        """Asked whenever no packet is under way."""
        return None

    def ended(self, harm: Harm) -> str | None:
        """Asked at the end of the run, when there was time for everything to settle."""
        return None


MakeInvariant: TypeAlias = Callable[[Mapping[str, End]], Invariant]
"""An `Invariant` subclass, or a function that makes one."""
