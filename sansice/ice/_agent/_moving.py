"""Other addresses under a live agent: when sockets are opened for them, and who needs a restart to use them (RFC 8445 5.1.1.4).

Few agents move or fall silent, so this is made for the first `IceAgent.update_addresses`, or where consent has ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sansice.ice._events import IceState, RestartNeeded
from sansice.ice._gathering._host_list import HostList
from sansice.ice._role import IceRole

from ._conclusion import Conclusion

if TYPE_CHECKING:
    from sansice.ice._gathering._gatherer import Gatherer

    from ._session import Session
    from ._stream import Stream

_IDLE = (IceState.NEW, IceState.CLOSED)


class Moving:
    """What an agent knows of its moves.

    Attributes:
        waiting: the addresses that are to be gathered from once it is time; ``None``: none are.
        is_under_way: whether sockets are being closed because their addresses have gone.
    """

    __slots__ = ("_opens_at", "_session", "_told", "is_under_way", "waiting")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opens_at = -math.inf
        self._told: dict[int, int] = {}  # streams that need a restart, and which generation of theirs does
        self.is_under_way = False
        self.waiting: HostList | None = None

    # ------------------------------------------------------------- when sockets are opened

    def may_open(self, now: float) -> bool:
        """Whether the latest opening was long enough ago for another; then this is the latest."""
        if now < self._opens_at:
            return False
        self._opens_at = now + self._session.config.update_interval
        return True

    def wait(self, hosts: HostList) -> float:
        """Keep addresses until it is time; when that is."""
        self.waiting = hosts
        return self._opens_at

    # ------------------------------------------------------------- who needs a restart

    def tell(self, streams: Sequence[Stream], gatherer: Gatherer) -> None:
        """Tell which streams cannot use what addresses there are, and were not told of before."""
        for stream in streams:
            generation = stream.checker.generation
            if self._told.get(stream.index) != generation and self._is_stranded(stream, gatherer):
                self.tell_of(stream)

    def tell_of(self, stream: Stream) -> None:
        """Tell of one that needs it, and was not told of before."""
        self._told[stream.index] = stream.checker.generation
        self._session.outputs.append(RestartNeeded(stream.index))

    def needs_restart(self, streams: Sequence[Stream]) -> bool:
        """Whether any stream was told of, and has neither restarted nor found another way since."""
        return any(
            self._told.get(stream.index) == stream.checker.generation and (stream.is_over or not stream.is_selected)
            for stream in streams
        )

    def _is_stranded(self, stream: Stream, gatherer: Gatherer) -> bool:
        state = self._session.states[stream.index]
        if state in _IDLE:
            return False
        if state is IceState.FAILED or any(map(self._is_cut_off, stream.checker.conclusions)):
            return True
        # The peer is told nothing more, and what he was told is gone: he may still be heard of, and behind a NAT he may not.
        is_told_all = gatherer.is_final and not stream.awaits_answer
        return is_told_all and not stream.is_selected and not gatherer.candidates_of(stream.index)

    def _is_cut_off(self, conclusion: Conclusion) -> bool:
        if not conclusion.was_lost:
            return False
        return conclusion.mover is None or self._session.role is IceRole.CONTROLLED
