"""What all targets that run machines share: where things are, how an input is cut, entropy that is the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from sansice import Address

PEER = Address("192.0.2.7", 5000)
HOST = Address("192.0.2.1", 40000)
STEP = 0.05  # seconds between two pieces


def pieces(data: bytes) -> Iterator[bytes]:
    """The data in pieces, each led by its length in two bytes; the last one is what is left."""
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + 2], "big")
        yield data[start + 2 : start + 2 + length]
        start += 2 + length


def joined(*parts: bytes) -> bytes:
    """What `pieces` cuts into these parts."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def fixed_entropy() -> Callable[[int], bytes]:
    """The same bytes in every run, or a crash could not be repeated."""
    drawn = 0

    def entropy(length: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_128(drawn.to_bytes(8, "big")).digest(length)

    return entropy
