"""Rate limits for each source prefix, in memory that does not grow."""

from __future__ import annotations

import ipaddress
import math
from array import array
from hashlib import blake2b

from sansice.machine import Entropy

# Buckets in each of the two rows, a power of two that two bytes of the hash can name: 256 KiB in all. A flood from ever
# new sources spreads over them: 100,000 packets a second are six for each bucket, far below any sensible rate.
BUCKETS = 16384
_MASK = BUCKETS - 1

_CACHED = 1024  # hosts whose buckets are remembered: the hash costs as much as the rest of an answer
_IPV6_PREFIX = 7  # bytes: /56 is what a provider gives to one customer (RFC 6177)


class PrefixLimiter:
    """Token buckets for source prefixes, /24 of IPv4 and /56 of IPv6: ``rate`` a second, ``burst`` at once.

    There is no entry for each prefix, which a spoofing sender could have made by the million, but a fixed table: each
    prefix has one bucket in each of two rows, by a hash whose key comes from ``entropy``, so that nobody can choose
    prefixes that collide. A prefix is refused only when *both* its buckets are exhausted. So the limiter never lets a
    prefix have more than its share, and it wrongs an honest prefix only where both its buckets are shared with
    prefixes that are over their rate: with ``k`` of those, one honest prefix in ``(16384 / k) ** 2``. A sender who floods from
    very many prefixes exhausts the whole table at 16,384 times the rate, and no sooner.

    A bucket is the time at which it will be full again (the generic cell rate algorithm), hence one number.

    Args:
        rate: tokens a second, above 0.
        burst: tokens that a full bucket holds, at least 1.
        entropy: gives the key.
    """

    __slots__ = ("_cache", "_first", "_interval", "_keyed", "_second", "_tolerance")

    def __init__(self, rate: float, burst: int, *, entropy: Entropy) -> None:
        self._interval = 1.0 / rate
        self._tolerance = (burst + 0.01) / rate  # the last token of a burst is not lost to the rounding of a sum
        self._keyed = blake2b(digest_size=4, key=entropy(16))
        self._first = array("d", bytes(8 * BUCKETS))
        self._second = array("d", bytes(8 * BUCKETS))
        self._cache: dict[str, tuple[int, int]] = {}

    def take(self, host: str, now: float) -> bool:
        """Take a token from the buckets of ``host``'s prefix; ``False``, and nothing is taken, where there is none.

        Args:
            host: a canonical literal address.
            now: seconds; what counts is how much time passes between two calls.
        """
        slots = self._cache.get(host)
        if slots is None:
            slots = self._find(host)
        i, j = slots
        first, second = self._first, self._second
        full_at, other = first[i], second[j]
        if other < full_at:
            full_at = other
        if full_at < now:
            full_at = now
        full_at += self._interval
        if full_at - now > self._tolerance:
            return False
        # Each row learns only what it did not know: a bucket shared with a busier prefix keeps that one's state.
        if first[i] < full_at:
            first[i] = full_at
        if second[j] < full_at:
            second[j] = full_at
        return True

    def charge(self, host: str, now: float, tokens: float) -> None:
        """Take tokens that may not be there: the prefix is then refused until it has made up for them."""
        i, j = self._cache.get(host) or self._find(host)
        first, second = self._first, self._second
        full_at = max(min(first[i], second[j]), now) + self._interval * tokens
        first[i] = max(first[i], full_at)
        second[j] = max(second[j], full_at)

    def _find(self, host: str) -> tuple[int, int]:
        keyed = self._keyed.copy()
        keyed.update(prefix_of(host))
        digest = keyed.digest()
        cache = self._cache
        if len(cache) >= _CACHED:
            cache.clear()
        slots = cache[host] = ((digest[0] << 8 | digest[1]) & _MASK, (digest[2] << 8 | digest[3]) & _MASK)
        return slots


class Allowance:
    """One bucket of its own, for a client that is known: the same arithmetic, and one number."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = -math.inf

    def take(self, rate: float, burst: int, now: float) -> bool:
        """Take a token of ``rate`` a second, ``burst`` at once; ``False``, and nothing is taken, where there is none."""
        full_at = max(self._full_at, now) + 1.0 / rate
        if full_at - now > (burst + 0.01) / rate:
            return False
        self._full_at = full_at
        return True


def prefix_of(host: str) -> bytes:
    """The bytes that stand for a literal address's prefix: /24 of IPv4, /56 of IPv6."""
    if ":" in host:
        return ipaddress.IPv6Address(host).packed[:_IPV6_PREFIX]
    return host[: host.rindex(".")].encode()
