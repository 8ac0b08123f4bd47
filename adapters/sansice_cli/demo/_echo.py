"""Numbered datagrams, one at a time, and what becomes of them."""

from __future__ import annotations

import math

LOST_AFTER = 0.25  # seconds; then the next is sent, though a late echo still counts
SILENCE = 3.0  # seconds without any echo that end the attempt
ALLOWANCE = 5.0  # seconds for the whole attempt, and SHARE for each datagram
SHARE = 0.01


class Echo:
    """Counts datagrams out and in; knows no socket and no clock. ``now`` is in seconds everywhere.

    One datagram is on its way at a time: more would measure the queue instead of the path, and on one
    machine they gain nothing.

    Args:
        count: datagrams to send.
        size: of each, in bytes; 16 at least, for a word and a number.

    Attributes:
        sent, echoed: how many.
        round_trips: seconds, one for each echo.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self.sent = 0
        self.echoed = 0
        self.round_trips: list[float] = []
        self._missing: dict[int, float] = {}
        self._awaited_until = -math.inf
        self._ends = self._heard = math.inf

    @property
    def is_over(self) -> bool:
        """Whether every datagram has come back, or waiting for more is pointless."""
        return self.echoed == self.count or self._ends == -math.inf

    def next(self, *, now: float) -> bytes | None:
        """The datagram to send now, if one may be sent."""
        if self.is_over or self.sent == self.count or now < self._awaited_until:
            return None
        if not self.sent:
            self._heard, self._ends = now, now + ALLOWANCE + SHARE * self.count
        number = self.sent
        self.sent += 1
        self._missing[number] = now
        self._awaited_until = now + LOST_AFTER
        return self.datagram(number)

    def received(self, data: bytes, *, now: float) -> bool:
        """Take an echo; ``False`` for anything but the first true copy of what was sent."""
        number = _read_number(data)
        if number not in self._missing or data != self.datagram(number):
            return False
        self.round_trips.append(now - self._missing.pop(number))
        self.echoed += 1
        self._heard = now
        if number == self.sent - 1:
            self._awaited_until = -math.inf
        return True

    def deadline(self) -> float:
        """When to call `handle_timer`, once the first is sent."""
        ends = min(self._ends, self._heard + SILENCE)
        return ends if self.sent == self.count else min(ends, self._awaited_until)

    def handle_timer(self, *, now: float) -> None:
        """End the attempt where it has lasted too long; `next` knows by itself when an echo is late."""
        if now >= min(self._ends, self._heard + SILENCE):
            self._ends = -math.inf

    def datagram(self, number: int) -> bytes:
        """The whole text of one datagram; it differs from all others every few bytes."""
        word = b"echo %09d, " % number
        return (word * (self.size // len(word) + 1))[: self.size]


def _read_number(data: bytes) -> int:
    """Which datagram this claims to be; -1 for none."""
    digits = data[5:14]
    return int(digits) if len(digits) == 9 and digits.isdigit() else -1
