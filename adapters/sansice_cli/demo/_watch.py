"""What an agent's state and pairs do, seen by looking again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from sansice.ice import CandidatePair, IceState, PairState

from ._reports import PairMoved, Report, StateMoved


class Watched(Protocol):
    """An agent, or a connection that has one."""

    @property
    def state(self) -> IceState:
        """Its state."""
        ...

    @property
    def pairs(self) -> Iterable[CandidatePair]:
        """Its checklist."""
        ...


class Watch:
    """Tells what has changed since the last look; an agent has no event for a check that starts.

    Args:
        agent: whom to look at.
        tell: takes each report, at once.
    """

    def __init__(self, agent: Watched, tell: Callable[[Report], None]) -> None:
        self._agent = agent
        self._tell = tell
        self._state = IceState.NEW
        self._pairs: dict[tuple[object, object], CandidatePair] = {}

    def look(self, at: float) -> None:
        """Tell what is new at this time."""
        state, pairs = self._agent.state, {_key(pair): pair for pair in self._agent.pairs}
        if state is not self._state:
            self._state = state
            self._tell(StateMoved(at, state))
        for key, pair in pairs.items():
            known = self._pairs.get(key)
            if known is None or known.state is not pair.state:
                self._tell(_moved(at, pair, pair.state))
        for key, pair in self._pairs.items():
            if key not in pairs:
                self._tell(_moved(at, pair, None))
        self._pairs = pairs


def _key(pair: CandidatePair) -> tuple[object, object]:
    return pair.local.address, pair.remote.address


def _moved(at: float, pair: CandidatePair, state: PairState | None) -> PairMoved:
    return PairMoved(at, pair.local, pair.remote, pair.priority, state)
