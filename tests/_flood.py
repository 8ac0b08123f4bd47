"""What a flood sends, and what it leaves behind in a server."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

from sansice.machine import Address


def bytes_held(thing):
    """The bytes of everything that is reachable from an object, code and modules excepted."""
    total, pending, seen = 0, [thing], set()
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, type | FunctionType | ModuleType | BuiltinFunctionType):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        pending += gc.get_referents(item)
    return total


def spoofed(draw, data):
    """A datagram from an address that anybody could write into it."""
    number = draw.getrandbits(32)
    return Address(f"{number >> 24 or 1}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000), data
