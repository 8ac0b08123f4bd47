"""Relayed transport addresses that wait for the allocation that knows their token (RFC 8656 7.2)."""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

from ._config import RESERVATION_LIFETIME
from ._tickets import Tokens

T = TypeVar("T")


class Reservation(NamedTuple, Generic[T]):
    """What is held.

    Attributes:
        held: the open socket on the reserved port, or whatever stands for it.
        account: whose it is: nobody else's allocation gets it.
        expires: seconds; an instant later the token is worth nothing.
    """

    held: T
    account: str
    expires: float


class Reservations(Generic[T]):
    """Reservations by their token, all of one lifetime, hence the oldest ends first.

    How many there may be is for `Quotas` to say.

    Args:
        tokens: makes tokens.
        lifetime: seconds.
    """

    __slots__ = ("_lifetime", "_tokens", "_waiting")

    def __init__(self, tokens: Tokens, lifetime: float = RESERVATION_LIFETIME) -> None:
        self._tokens = tokens
        self._lifetime = lifetime
        self._waiting: dict[bytes, Reservation[T]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, held: T, account: str, *, now: float) -> bytes:
        """Keep something; the 8 bytes of RESERVATION-TOKEN that fetch it."""
        token = self._tokens.reservation()
        self._waiting[token] = Reservation(held, account, now + self._lifetime)
        return token

    def claim(self, token: bytes, account: str, *, now: float) -> T | None:
        """What that token fetches, once; ``None`` where it is unknown, used, expired or another account's (508).

        A token that another account tries stays good for its owner.
        """
        found = self._waiting.get(token)
        if found is None or found.account != account or found.expires <= now:
            return None
        del self._waiting[token]
        return found.held

    def pop_due(self, now: float) -> Reservation[T] | None:
        """Take out the next that nobody has fetched in time."""
        return self._waiting.pop(next(iter(self._waiting))) if self.deadline() <= now else None

    def deadline(self) -> float:
        """When the oldest expires, or `math.inf`."""
        return next(iter(self._waiting.values())).expires if self._waiting else math.inf

    def clear(self) -> tuple[Reservation[T], ...]:
        """Take out all."""
        everything = tuple(self._waiting.values())
        self._waiting.clear()
        return everything
