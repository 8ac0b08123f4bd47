"""Which port a relayed transport address gets (RFC 8656 7.2)."""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final

from sansice.machine import Entropy

REFUSED_FOR: Final = 60.0
"""Seconds for which a port that the system refused is left alone: who has it has it for a while."""

_DRAW = 8  # bytes: no port is likelier than another by more than one in 2**48


class RelayPorts:
    """The ports of one host that are free to become relayed transport addresses.

    Each is as likely as any other, whatever was taken before: a stranger who knows one relayed address cannot tell the
    next. Taking and giving back cost the same for any range.

    Args:
        low, high: the range, both ends included, as `TurnServerConfig.relay_ports` has it.
        entropy: picks.
    """

    __slots__ = ("_bags", "_entropy", "_high", "_low", "_pairs", "_refused")

    def __init__(self, low: int, high: int, *, entropy: Entropy) -> None:
        self._low = low
        self._high = high
        self._entropy = entropy
        even = low + low % 2
        self._bags = _Bag(low, high, range(even, high + 1, 2)), _Bag(low, high, range(low + 1 - low % 2, high + 1, 2))
        self._pairs = _Bag(low, high, range(even, high, 2))  # even ports that are free together with the one above
        self._refused: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        """How many are free, those that the system has just refused excepted."""
        even, odd = self._bags
        return len(even) + len(odd)

    def take(self, *, now: float) -> int | None:
        """A free port, taken; ``None`` where there is none (508)."""
        self._recover(now)
        even, odd = self._bags
        if not (even or odd):
            return None
        index = self._below(len(even) + len(odd))
        port = even[index] if index < len(even) else odd[index - len(even)]
        self._remove(port)
        return port

    def take_even(self, *, now: float) -> int | None:
        """A free even port, taken, for EVEN-PORT without a reservation; ``None`` where there is none (508)."""
        return self._take_from(self._bags[0], now)

    def take_pair(self, *, now: float) -> int | None:
        """A free even port, taken together with the one above it, for EVEN-PORT with its R bit; ``None``: none (508)."""
        port = self._take_from(self._pairs, now)
        if port is not None:
            self._remove(port + 1)
        return port

    def give_back(self, port: int) -> None:
        """A relay is closed: its port is free again. One that is free already stays so."""
        if self._low <= port <= self._high:
            self._bags[port % 2].add(port)
            base = port - port % 2
            if base in self._bags[0] and base + 1 in self._bags[1]:
                self._pairs.add(base)

    def refuse(self, port: int, *, now: float) -> None:
        """The system would not open a port that was taken: it is free again after `REFUSED_FOR` seconds."""
        self._refused.append((now + REFUSED_FOR, port))

    def _take_from(self, bag: _Bag, now: float) -> int | None:
        self._recover(now)
        if not bag:
            return None
        port = bag[self._below(len(bag))]
        self._remove(port)
        return port

    def _remove(self, port: int) -> None:
        self._bags[port % 2].discard(port)
        self._pairs.discard(port - port % 2)

    def _recover(self, now: float) -> None:
        while self._refused and self._refused[0][0] <= now:
            self.give_back(self._refused.popleft()[1])

    def _below(self, bound: int) -> int:
        return int.from_bytes(self._entropy(_DRAW), "big") % bound


class _Bag:
    """Ports of a range, any of which is found by its place: what is taken out is replaced by the last.

    It holds every other port from the first of ``ports`` on: all at once, because one by one they are what a server that
    serves one simulated session spends most of its time with.
    """

    __slots__ = ("_low", "_place", "_ports")

    def __init__(self, low: int, high: int, ports: range) -> None:
        self._low = low
        self._ports = array("H", ports)
        self._place = array("i", [-1]) * (high - low + 1)
        self._place[ports.start - low : ports.stop - low : ports.step] = array("i", range(len(ports)))

    def __len__(self) -> int:
        return len(self._ports)

    def __getitem__(self, place: int) -> int:
        return self._ports[place]

    def __contains__(self, port: int) -> bool:
        index = port - self._low
        return 0 <= index < len(self._place) and self._place[index] >= 0

    def add(self, port: int) -> None:
        if port not in self:
            self._place[port - self._low] = len(self._ports)
            self._ports.append(port)

    def discard(self, port: int) -> None:
        if port in self:
            place = self._place[port - self._low]
            self._place[port - self._low] = -1
            last = self._ports.pop()
            if last != port:
                self._ports[place] = last
                self._place[last - self._low] = place
