"""Enumerations that tables are keyed by."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING


class IdentityEnum(enum.Enum):
    """An enumeration whose members hash by identity.

    Members are singletons, so nothing else changes; but the hash of `enum.Enum` is Python code, and a state machine
    looks its states up many times for each packet.
    """

    if TYPE_CHECKING:  # which would call the assignment an ambiguous override

        def __hash__(self) -> int: ...

    else:
        __hash__ = object.__hash__
