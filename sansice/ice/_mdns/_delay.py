"""Delays that keep those who were woken by the same thing from speaking at the same time (RFC 6762 5.2, 6)."""

from __future__ import annotations

from sansice.machine import Entropy

_SHORTEST, _LONGEST = 0.020, 0.120  # RFC 6762 5.2: of a first question
_MORE_SHORTEST, _MORE_LONGEST = 0.400, 0.500  # RFC 6762 7.2: of an answer to a query that says that more of it follows


def random_delay(entropy: Entropy) -> float:
    """Seconds before a first question, or before an announcement."""
    return _between(_SHORTEST, _LONGEST, entropy)


def delay_for_more(entropy: Entropy) -> float:
    """Seconds before an answer to somebody who has not said yet all that he knows."""
    return _between(_MORE_SHORTEST, _MORE_LONGEST, entropy)


def _between(low: float, high: float, entropy: Entropy) -> float:
    return low + (high - low) * int.from_bytes(entropy(2), "big") / 0xFFFF
