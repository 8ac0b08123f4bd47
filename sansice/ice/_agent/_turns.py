"""When an agent may start its next check, or ask the next server (RFC 8445 6.1.4.2, 14.2)."""

from __future__ import annotations

import math

from ._pacer import Pacer


class Turns:
    """The turns of one agent: one a Ta over all its streams, and each at a moment that a shared `Pacer` gave, if there is one.

    Attributes:
        at: when the next turn is.
    """

    __slots__ = ("_pacer", "_reserved", "at")

    def __init__(self, pacer: Pacer | None) -> None:
        self.at = -math.inf  # the first check goes out at once
        self._pacer = pacer
        self._reserved = False

    def has_come(self, now: float, wanted: bool) -> bool:
        """Whether it is the agent's turn, and ``wanted``: a moment is not asked for in vain."""
        if now < self.at:
            return False
        if not wanted:
            self._reserved = False
            return False
        pacer = self._pacer
        if pacer is None:
            return True
        # A moment that was missed is given up where others have begun theirs. Where they have not, all are late: if each went to
        # the end of the queue, nobody would ever start anything.
        if not self._reserved or (now >= self.at + pacer.interval and not pacer.is_quiet(now)):
            self._reserved = True
            self.at = pacer.reserve(now)
        return now >= self.at

    def take(self, now: float, ta: float) -> None:
        """Something was started."""
        self.at = now + ta
        self._reserved = False
        if self._pacer is not None:
            self._pacer.started(now)
