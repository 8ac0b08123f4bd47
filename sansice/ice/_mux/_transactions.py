"""Who asked: the transactions that went out through shared sockets, so that their answers find back."""

from __future__ import annotations

import math

from sansice.machine import SocketId


class Transactions:
    """A table from transaction id to who asked, of a bounded size and age.

    An entry lasts for ``timeout`` to twice that. There are two tables, of which the older one is given up as a whole: so
    nothing is searched, and no timer is needed.

    Args:
        timeout: seconds.
        limit: entries that are new within that time.
    """

    __slots__ = ("_limit", "_new", "_old", "_timeout", "_turn_at")

    def __init__(self, timeout: float, limit: int) -> None:
        self._timeout = timeout
        self._limit = limit
        self._new: dict[bytes, SocketId] = {}
        self._old: dict[bytes, SocketId] = {}
        self._turn_at = -math.inf

    def note(self, transaction_id: bytes, socket: SocketId, *, now: float) -> None:
        """A request went out."""
        self._forget(now)
        if transaction_id not in self._new:
            if len(self._new) >= self._limit:
                self._turn(now)
            self._new[transaction_id] = socket

    def find(self, transaction_id: bytes, *, now: float) -> SocketId | None:
        """Who asked that."""
        self._forget(now)
        return self._new.get(transaction_id) or self._old.get(transaction_id)

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def _forget(self, now: float) -> None:
        if now >= self._turn_at + self._timeout:
            self._new = {}
            self._turn(now)
        elif now >= self._turn_at:
            self._turn(self._turn_at)  # late, which makes nothing last longer

    def _turn(self, now: float) -> None:
        self._old, self._new = self._new, {}
        self._turn_at = now + self._timeout
