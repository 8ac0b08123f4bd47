"""The states that an agent was in, for those who read them later."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from ._events import IceState

# Changes that wait for the slowest reader. A connection that flaps as fast as consent allows makes 500 of them an hour.
MAX_STATES = 1024


class StateLog:
    """The last `MAX_STATES` states, numbered from 0.

    Args:
        first: the state of this moment.
    """

    __slots__ = ("_first", "_states")

    def __init__(self, first: IceState) -> None:
        self._states: deque[IceState] = deque([first], MAX_STATES)
        self._first = 0  # the number of the oldest that is kept

    def append(self, state: IceState) -> None:
        """The agent is in this state now."""
        if len(self._states) == MAX_STATES:
            self._first += 1
        self._states.append(state)

    @property
    def is_closed(self) -> bool:
        """Whether no state will follow."""
        return self._states[-1] is IceState.CLOSED

    @property
    def last(self) -> int:
        """The number of the present state."""
        return self._first + len(self._states) - 1

    def read(self, number: int) -> tuple[int, IceState] | None:
        """The state of that number, or the oldest after it that is kept, and its number; ``None``: it is still to come."""
        number = max(number, self._first)
        return (number, self._states[number - self._first]) if number <= self.last else None


class Logged(Protocol):
    """What a reader of states needs of the connection."""

    _left: bool

    def _log(self) -> StateLog:
        """The states, from now on at the latest."""
        ...


class IceStatesBase:
    """The part of an adapter's iterator over states that never waits.

    Args:
        ice: the connection.

    Attributes:
        missed: how many states were left out, because too many waited.
    """

    __slots__ = ("_ice", "_log", "_next", "missed")

    def __init__(self, ice: Logged) -> None:
        self._ice: Any = ice
        self._log = ice._log()
        self._next = self._log.last
        self.missed: int = 0

    def _take(self) -> IceState | None:
        """The next state, if the agent has come to it."""
        found = self._log.read(self._next)
        if found is None:
            return None
        number, state = found
        self.missed += number - self._next
        self._next = number + 1
        return state

    def _is_over(self) -> bool:
        """Whether no state will follow those that were taken."""
        return bool(self._ice._left) or self._log.is_closed
