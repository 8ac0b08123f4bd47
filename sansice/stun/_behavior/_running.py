"""What every test is: questions out, replies in, findings out."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from ._events import (
    FilteringDiscovered,
    FragmentsDiscovered,
    HairpinningDiscovered,
    LifetimeDiscovered,
    LifetimeNarrowed,
    MappingDiscovered,
    TestUnavailable,
)
from ._nat_words import BehaviorTest
from ._questions import Question, Reply

Finding: TypeAlias = (
    FilteringDiscovered
    | MappingDiscovered
    | HairpinningDiscovered
    | FragmentsDiscovered
    | LifetimeNarrowed
    | LifetimeDiscovered
    | TestUnavailable
)

Moves: TypeAlias = tuple[Question | Finding, ...]
"""What a test wants: questions to be asked, and events to be told."""


class Test(Protocol):
    """One test of RFC 5780 4, without clock or sockets: `Asking` has those, and a reply says when it was asked.

    Attributes:
        over: nothing more will come of it; questions under way are of no interest any more.
    """

    over: bool

    def begin(self) -> Moves:
        """The first questions."""
        ...

    def take(self, question: Question, reply: Reply) -> Moves:
        """A reply to one of them: further questions, findings, both or neither."""
        ...


def unavailable(test: BehaviorTest, reason: str) -> Moves:
    """The last move of a test that cannot be run."""
    return (TestUnavailable(test, reason),)
